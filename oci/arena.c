/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: a list of chunks, each filled from its start. Big objects get a chunk of their own.
 */
#include "oci/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci/spec.h"

#define CHUNK_SIZE (64u << 10)

struct chunk {
	struct chunk *next;
	size_t used, size;
	alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct chunk *first; /* the one being filled */
};

static void __attribute__((noreturn)) out_of_memory(void)
{
	static const char text[] = "husk: out of memory\n";

	fputs(text, stderr);
	exit(1);
}

void *mem_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *mem_realloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

static struct chunk *chunk_new(size_t size)
{
	struct chunk *c = calloc(1, sizeof(*c) + size);

	if (!c)
		out_of_memory();
	c->size = size;
	return c;
}

struct arena *arena_new(void)
{
	struct arena *a = mem_alloc(sizeof(*a));

	a->first = chunk_new(CHUNK_SIZE);
	return a;
}

void arena_free(struct arena *a)
{
	struct chunk *c, *next;

	if (!a)
		return;
	for (c = a->first; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a);
}

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct chunk *c = a->first, *big;
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
		out_of_memory();
	bytes = (bytes + align - 1) / align * align;
	if (bytes > CHUNK_SIZE / 4) {
		/* a chunk of its own, behind the one being filled */
		big = chunk_new(bytes);
		big->used = bytes;
		big->next = c->next;
		c->next = big;
		return big->bytes;
	}
	if (bytes > c->size - c->used) {
		c = chunk_new(CHUNK_SIZE);
		c->next = a->first;
		a->first = c;
	}
	p = c->bytes + c->used;
	c->used += bytes;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = arena_alloc(a, len + 1, 1);

	if (len)
		memcpy(p, s, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		out_of_memory();
	p = arena_alloc(a, (size_t)len + 1, 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)len + 1, fmt, ap);
	va_end(ap);
	return p;
}

void *arena_grow(struct arena *a, void *array, size_t n, size_t size)
{
	void *grown;

	/* capacities are 4, 8, 16...: full exactly when n is one of them */
	if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
		return array;
	grown = arena_alloc(a, n ? n * 2 : 4, size);
	if (n)
		memcpy(grown, array, n * size);
	return grown;
}

void strings_add(struct arena *a, struct strings *list, const char *s)
{
	/* one slot more than used, for the NULL */
	if (list->n == 0)
		list->v = arena_grow(a, NULL, 0, sizeof(*list->v));
	list->v[list->n++] = s;
	list->v = arena_grow(a, list->v, list->n, sizeof(*list->v));
	list->v[list->n] = NULL;
}
