/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena: memory that is released as a whole. A parsed document and everything made from it live in one, so no error
 * path has anything to free piecewise. Running out of memory ends the program with a message: the callers are
 * short-lived commands, whose leavings any later command knows how to clean.
 */
#ifndef HUSK_OCI_ARENA_H
#define HUSK_OCI_ARENA_H

#include <stddef.h>

struct arena;
struct strings;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */

/* Zeroed memory for @n objects of @size bytes, aligned for any type; never NULL, also for 0. */
void *arena_alloc(struct arena *a, size_t n, size_t size);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Room for one more element in an array that began empty: returns the array, moved when it had to grow, in which
 * [n] is zeroed and usable. The capacity follows from n, so nothing else must ever grow the same array.
 */
void *arena_grow(struct arena *a, void *array, size_t n, size_t size);

/* Append to a list; keeps the NULL behind its end. */
void strings_add(struct arena *a, struct strings *list, const char *s);

/* malloc() and friends that end the program instead of failing. */
void *mem_alloc(size_t size);
void *mem_realloc(void *p, size_t size);

#endif
