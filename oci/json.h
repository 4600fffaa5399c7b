/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON documents as a tree of typed nodes, each of which knows its place, so that every message names it:
 * "config.json: process.args[1]: expected a string, found a number".
 *
 * The parser bounds size, depth and number of nodes. Member names are unique after parsing (the last one wins, as in
 * Go), strings have no NUL inside. A null member counts as absent for all json_get_*.
 */
#ifndef HUSK_OCI_JSON_H
#define HUSK_OCI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oci/arena.h"
#include "oci/error.h"
#include "oci/spec.h"

#define JSON_DEPTH_MAX 256
#define JSON_NODES_MAX 1000000u

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	bool boolean;
	size_t n;	     /* children */
	size_t index;	     /* place in the parent */
	const char *key;     /* name in the parent object; of the root: the document's name */
	const char *text;    /* of a string, or of a number as written */
	struct json *parent; /* NULL for the root */
	struct json *first, *next;
};

#define json_for_each(child, node) for (struct json *child = (node) ? (node)->first : NULL; child; child = child->next)

/* Parse @text; the tree lives in @a. @name is what messages call the document. The root is an object. */
int json_parse(struct arena *a, const char *name, const char *text, size_t len, struct json **out, struct error *err);

/* Fill *err with "DOCUMENT: PATH: message". Returns -1. */
int json_error(struct error *err, const struct json *node, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* "PATH" of a node without the document's name, for warnings. */
const char *json_path(struct arena *a, const struct json *node);

/* Member of an object, whatever its type, or NULL: absent or null. */
struct json *json_member(const struct json *obj, const char *key);

/* Check the type of a node. Returns 0, or -1 with *err filled. */
int json_expect(const struct json *node, enum json_type type, struct error *err);

/*
 * Typed members. Absent: 0, and *out is left alone. Wrong type or out of range: -1 with *err filled.
 */
int json_get_object(const struct json *obj, const char *key, struct json **out, struct error *err);
int json_get_array(const struct json *obj, const char *key, struct json **out, struct error *err);
int json_get_string(const struct json *obj, const char *key, const char **out, struct error *err);
int json_get_bool(const struct json *obj, const char *key, bool *out, struct error *err);
int json_get_opt_bool(const struct json *obj, const char *key, struct opt_bool *out, struct error *err);
int json_get_i64(const struct json *obj, const char *key, int64_t min, int64_t max, struct opt_i64 *out,
		 struct error *err);
int json_get_u64(const struct json *obj, const char *key, struct opt_u64 *out, struct error *err);
int json_get_u32(const struct json *obj, const char *key, struct opt_u32 *out, struct error *err);
int json_get_strings(struct arena *a, const struct json *obj, const char *key, struct strings *out, struct error *err);
int json_get_map(struct arena *a, const struct json *obj, const char *key, struct spec_map *out, struct error *err);

/* As json_get_*, but absence is an error. */
int json_need_string(const struct json *obj, const char *key, const char **out, struct error *err);
int json_need_u32(const struct json *obj, const char *key, uint32_t *out, struct error *err);
int json_need_u64(const struct json *obj, const char *key, uint64_t *out, struct error *err);

/* The value of a number node. */
int json_u32(const struct json *node, uint32_t *out, struct error *err);

/*
 * Writing. A growing text; every function appends. Strings are escaped; indentation is four blanks, as Go's tools have
 * it. Containers nest at most JSON_WRITE_DEPTH_MAX deep (a programming error otherwise: asserted).
 */
#define JSON_WRITE_DEPTH_MAX 32

struct json_writer {
	char *text; /* malloc()ed */
	size_t len, cap;
	int depth;
	bool some[JSON_WRITE_DEPTH_MAX]; /* a member was written at this depth */
	bool flat;			 /* on one line */
};

void json_write_object(struct json_writer *w, const char *key); /* @key NULL: in an array, or the root */
void json_write_array(struct json_writer *w, const char *key);
void json_write_end(struct json_writer *w, char bracket); /* '}' or ']' */
void json_write_string(struct json_writer *w, const char *key, const char *value);
void json_write_int(struct json_writer *w, const char *key, int64_t value);
void json_write_uint(struct json_writer *w, const char *key, uint64_t value);
void json_write_bool(struct json_writer *w, const char *key, bool value);
void json_write_strings(struct json_writer *w, const char *key, const char *const *v, size_t n);
void json_write_map(struct json_writer *w, const char *key, const struct spec_map *map);

/* The finished text with a newline at its end, to be freed by the caller. */
char *json_write_done(struct json_writer *w, size_t *len);

#endif
