/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON tree: built from yajl's events (yajl checks UTF-8 and escapes), read by typed access.
 *
 * yajl_tree is not used: it recurses on the depth of the input and keeps numbers as doubles. Here depth and node count
 * are bounded while parsing, and numbers stay text until somebody says what range they must have.
 */
#include "oci/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define PATH_TEXT_MAX 512 /* of a place in messages */
#define KEY_TEXT_MAX 64

struct builder {
	struct arena *arena;
	struct error *err;
	const char *name;
	struct json *root;
	struct json *open;  /* container being filled */
	struct json **tail; /* where its next child goes */
	const char *key;    /* name of the next member */
	unsigned depth;
	unsigned nodes;
	struct json **tails[JSON_DEPTH_MAX];
	bool failed; /* *err is filled */
};

static int build_fail(struct builder *b, const char *what)
{
	error_set(b->err, 0, "%s: %s", b->name, what);
	b->failed = true;
	return 0;
}

static struct json *node_add(struct builder *b, enum json_type type)
{
	struct json *n;

	if (++b->nodes > JSON_NODES_MAX) {
		build_fail(b, "too many values (more than a million)");
		return NULL;
	}
	n = arena_alloc(b->arena, 1, sizeof(*n));
	n->type = type;
	n->parent = b->open;
	if (!b->open) {
		n->key = b->name;
		b->root = n;
		return n;
	}
	n->key = b->key;
	b->key = NULL;
	n->index = b->open->n++;
	*b->tail = n;
	b->tail = &n->next;
	return n;
}

static int container_open(struct builder *b, enum json_type type)
{
	struct json *n;

	if (b->depth == JSON_DEPTH_MAX)
		return build_fail(b, "nested too deeply");
	n = node_add(b, type);
	if (!n)
		return 0;
	b->tails[b->depth++] = b->tail;
	b->open = n;
	b->tail = &n->first;
	return 1;
}

static int container_close(struct builder *b)
{
	b->tail = b->tails[--b->depth];
	b->open = b->open->parent;
	return 1;
}

static int on_null(void *ctx)
{
	return node_add(ctx, JSON_NULL) != NULL;
}

static int on_boolean(void *ctx, int value)
{
	struct json *n = node_add(ctx, JSON_BOOL);

	if (n)
		n->boolean = value != 0;
	return n != NULL;
}

static int on_number(void *ctx, const char *text, size_t len)
{
	struct builder *b = ctx;
	struct json *n = node_add(b, JSON_NUMBER);

	if (n)
		n->text = arena_strndup(b->arena, text, len);
	return n != NULL;
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	struct builder *b = ctx;
	struct json *n = node_add(b, JSON_STRING);

	if (!n)
		return 0;
	n->text = "";
	if (memchr(text, 0, len)) {
		json_error(b->err, n, "contains a NUL character");
		b->failed = true;
		return 0;
	}
	n->text = arena_strndup(b->arena, (const char *)text, len);
	return 1;
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
	struct builder *b = ctx;

	if (memchr(text, 0, len)) {
		json_error(b->err, b->open, "the name of a member contains a NUL character");
		b->failed = true;
		return 0;
	}
	b->key = arena_strndup(b->arena, (const char *)text, len);
	return 1;
}

static int on_start_map(void *ctx)
{
	return container_open(ctx, JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
	return container_open(ctx, JSON_ARRAY);
}

static int order_by_key(const void *a, const void *b)
{
	const struct json *x = *(struct json *const *)a, *y = *(struct json *const *)b;
	int c = strcmp(x->key, y->key);

	return c ? c : (x->index > y->index) - (x->index < y->index);
}

/* Of members with the same name only the last stays. */
static void members_unique(struct json *obj)
{
	struct json **sorted, **link = &obj->first;
	size_t i = 0;

	if (obj->n < 2)
		return;
	sorted = mem_alloc(obj->n * sizeof(struct json *));
	json_for_each(m, obj) sorted[i++] = m;
	qsort(sorted, obj->n, sizeof(struct json *), order_by_key);
	/* mark those that a later one replaces by taking their name */
	for (i = 0; i + 1 < obj->n; i++)
		if (strcmp(sorted[i]->key, sorted[i + 1]->key) == 0)
			sorted[i]->key = NULL;
	free(sorted);
	obj->n = 0;
	while (*link) {
		if (!(*link)->key) {
			*link = (*link)->next;
			continue;
		}
		(*link)->index = obj->n++;
		link = &(*link)->next;
	}
}

static int on_end_map(void *ctx)
{
	struct builder *b = ctx;

	members_unique(b->open);
	return container_close(b);
}

static int on_end_array(void *ctx)
{
	return container_close(ctx);
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_key,
	.yajl_end_map = on_end_map,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end_array,
};

/* yajl's words, with the place as line and column. */
static void syntax_error(struct builder *b, yajl_handle h, const char *text, size_t len)
{
	size_t at = yajl_get_bytes_consumed(h), line = 1, column = 1;
	unsigned char *words = yajl_get_error(h, 0, NULL, 0);
	const char *shown = words ? (const char *)words : "syntax error";

	if (at > len)
		at = len;
	for (size_t i = 0; i < at; i++, column++)
		if (text[i] == '\n') {
			line++;
			column = 0;
		}
	error_set(b->err, 0, "%s: not valid JSON at line %zu, column %zu: %.*s", b->name, line, column,
		  (int)strcspn(shown, "\n"), shown);
	if (words)
		yajl_free_error(h, words);
	b->failed = true;
}

int json_parse(struct arena *a, const char *name, const char *text, size_t len, struct json **out, struct error *err)
{
	struct builder b = { .arena = a, .err = err, .name = arena_strdup(a, name) };
	yajl_handle h;
	yajl_status st;

	if (len > SPEC_FILE_MAX)
		return error_set(err, EFBIG, "%s: larger than %u MiB", name, SPEC_FILE_MAX >> 20);
	h = yajl_alloc(&callbacks, NULL, &b);
	if (!h)
		return error_set(err, ENOMEM, "%s", name);
	st = yajl_parse(h, (const unsigned char *)text, len);
	if (st == yajl_status_ok)
		st = yajl_complete_parse(h);
	if (st != yajl_status_ok && !b.failed)
		syntax_error(&b, h, text, len);
	yajl_free(h);
	if (b.failed)
		return -1;
	if (!b.root)
		return error_set(err, 0, "%s: not valid JSON: the document is empty", name);
	*out = b.root;
	return json_expect(b.root, JSON_OBJECT, err);
}

/* ---- places and messages ---- */

static bool key_is_plain(const char *key)
{
	if (*key == '\0' || strlen(key) > KEY_TEXT_MAX)
		return false;
	for (; *key; key++)
		if (!isalnum((unsigned char)*key) && *key != '_' && *key != '-')
			return false;
	return true;
}

/* Write the place of @node to @out: "linux.resources.unified["memory.max"]"; empty for the root. */
static void path_format(const struct json *node, char *out, size_t size)
{
	const struct json *chain[JSON_DEPTH_MAX + 1] = { NULL };
	size_t n = 0, len = 0;
	int w;

	for (; node && node->parent && n < JSON_DEPTH_MAX; node = node->parent)
		chain[n++] = node;
	out[0] = '\0';
	while (n-- > 0 && len < size - 1) {
		const struct json *c = chain[n];

		if (!c->key)
			w = snprintf(out + len, size - len, "[%zu]", c->index);
		else if (key_is_plain(c->key))
			w = snprintf(out + len, size - len, "%s%s", len ? "." : "", c->key);
		else
			w = snprintf(out + len, size - len, "[\"%.*s\"]", KEY_TEXT_MAX, c->key);
		len += (size_t)w;
	}
}

static const char *document_name(const struct json *node)
{
	while (node->parent)
		node = node->parent;
	return node->key;
}

int json_error(struct error *err, const struct json *node, const char *fmt, ...)
{
	char place[PATH_TEXT_MAX], message[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	path_format(node, place, sizeof(place));
	return error_set(err, 0, "%s: %s%s%s", document_name(node), place, place[0] ? ": " : "", message);
}

const char *json_path(struct arena *a, const struct json *node)
{
	char place[PATH_TEXT_MAX];

	path_format(node, place, sizeof(place));
	return arena_strdup(a, place);
}

/* ---- typed access ---- */

static const char *type_text(enum json_type t)
{
	switch (t) {
	case JSON_NULL:
		return "null";
	case JSON_BOOL:
		return "a boolean";
	case JSON_NUMBER:
		return "a number";
	case JSON_STRING:
		return "a string";
	case JSON_ARRAY:
		return "an array";
	case JSON_OBJECT:
		return "an object";
	}
	return "?";
}

struct json *json_member(const struct json *obj, const char *key)
{
	json_for_each(m, obj) if (strcmp(m->key, key) == 0) return m->type == JSON_NULL ? NULL : m;
	return NULL;
}

int json_expect(const struct json *node, enum json_type type, struct error *err)
{
	if (node->type == type)
		return 0;
	return json_error(err, node, "expected %s, found %s", type_text(type), type_text(node->type));
}

static int get_typed(const struct json *obj, const char *key, enum json_type type, struct json **out, struct error *err)
{
	struct json *m = json_member(obj, key);

	if (!m)
		return 0;
	if (json_expect(m, type, err) < 0)
		return -1;
	*out = m;
	return 0;
}

int json_get_object(const struct json *obj, const char *key, struct json **out, struct error *err)
{
	return get_typed(obj, key, JSON_OBJECT, out, err);
}

int json_get_array(const struct json *obj, const char *key, struct json **out, struct error *err)
{
	return get_typed(obj, key, JSON_ARRAY, out, err);
}

int json_get_string(const struct json *obj, const char *key, const char **out, struct error *err)
{
	struct json *m = NULL;

	if (get_typed(obj, key, JSON_STRING, &m, err) < 0)
		return -1;
	if (m)
		*out = m->text;
	return 0;
}

int json_get_bool(const struct json *obj, const char *key, bool *out, struct error *err)
{
	struct json *m = NULL;

	if (get_typed(obj, key, JSON_BOOL, &m, err) < 0)
		return -1;
	if (m)
		*out = m->boolean;
	return 0;
}

int json_get_opt_bool(const struct json *obj, const char *key, struct opt_bool *out, struct error *err)
{
	struct json *m = NULL;

	if (get_typed(obj, key, JSON_BOOL, &m, err) < 0)
		return -1;
	if (m)
		*out = (struct opt_bool){ true, m->boolean };
	return 0;
}

/* A number with fraction or exponent is no integer, as in Go. */
static bool is_integer(const char *text)
{
	if (*text == '-')
		text++;
	return *text && text[strspn(text, "0123456789")] == '\0';
}

int json_get_i64(const struct json *obj, const char *key, int64_t min, int64_t max, struct opt_i64 *out,
		 struct error *err)
{
	struct json *m = NULL;
	long long v;

	if (get_typed(obj, key, JSON_NUMBER, &m, err) < 0)
		return -1;
	if (!m)
		return 0;
	errno = 0;
	v = is_integer(m->text) ? strtoll(m->text, NULL, 10) : 0;
	if (!is_integer(m->text) || errno != 0 || v < min || v > max)
		return json_error(err, m, "%.40s is not an integer from %lld to %lld", m->text, (long long)min,
				  (long long)max);
	*out = (struct opt_i64){ true, v };
	return 0;
}

static int unsigned_value(const struct json *m, uint64_t max, uint64_t *out, struct error *err)
{
	unsigned long long v;

	if (json_expect(m, JSON_NUMBER, err) < 0)
		return -1;
	errno = 0;
	v = is_integer(m->text) && m->text[0] != '-' ? strtoull(m->text, NULL, 10) : 0;
	if (!is_integer(m->text) || (m->text[0] == '-' && strcmp(m->text, "-0") != 0) || errno != 0 || v > max)
		return json_error(err, m, "%.40s is not an integer from 0 to %llu", m->text, (unsigned long long)max);
	*out = v;
	return 0;
}

int json_get_u64(const struct json *obj, const char *key, struct opt_u64 *out, struct error *err)
{
	struct json *m = json_member(obj, key);

	if (!m)
		return 0;
	if (unsigned_value(m, UINT64_MAX, &out->v, err) < 0)
		return -1;
	out->set = true;
	return 0;
}

int json_u32(const struct json *node, uint32_t *out, struct error *err)
{
	uint64_t v = 0;

	if (unsigned_value(node, UINT32_MAX, &v, err) < 0)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

int json_get_u32(const struct json *obj, const char *key, struct opt_u32 *out, struct error *err)
{
	struct json *m = json_member(obj, key);

	if (!m)
		return 0;
	if (json_u32(m, &out->v, err) < 0)
		return -1;
	out->set = true;
	return 0;
}

int json_get_strings(struct arena *a, const struct json *obj, const char *key, struct strings *out, struct error *err)
{
	struct json *array = NULL;

	if (get_typed(obj, key, JSON_ARRAY, &array, err) < 0)
		return -1;
	if (!array)
		return 0;
	out->v = arena_alloc(a, array->n + 1, sizeof(*out->v));
	out->n = 0;
	json_for_each(m, array)
	{
		if (json_expect(m, JSON_STRING, err) < 0)
			return -1;
		out->v[out->n++] = m->text;
	}
	return 0;
}

int json_get_map(struct arena *a, const struct json *obj, const char *key, struct spec_map *out, struct error *err)
{
	struct json *map = NULL;

	if (get_typed(obj, key, JSON_OBJECT, &map, err) < 0)
		return -1;
	if (!map)
		return 0;
	out->v = arena_alloc(a, map->n, sizeof(*out->v));
	out->n = 0;
	json_for_each(m, map)
	{
		if (json_expect(m, JSON_STRING, err) < 0)
			return -1;
		out->v[out->n++] = (struct spec_pair){ m->key, m->text };
	}
	return 0;
}

static int missing(const struct json *obj, const char *key, struct error *err)
{
	return json_error(err, obj, "%s is missing", key);
}

int json_need_string(const struct json *obj, const char *key, const char **out, struct error *err)
{
	if (!json_member(obj, key))
		return missing(obj, key, err);
	return json_get_string(obj, key, out, err);
}

int json_need_u32(const struct json *obj, const char *key, uint32_t *out, struct error *err)
{
	struct json *m = json_member(obj, key);

	return m ? json_u32(m, out, err) : missing(obj, key, err);
}

int json_need_u64(const struct json *obj, const char *key, uint64_t *out, struct error *err)
{
	struct json *m = json_member(obj, key);

	return m ? unsigned_value(m, UINT64_MAX, out, err) : missing(obj, key, err);
}
