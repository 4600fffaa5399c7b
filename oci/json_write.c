/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON: the state, features and default spec documents. Member order is the order of the calls. The
 * text is valid UTF-8 whatever the strings hold: bytes that are not become U+FFFD, as Go's encoder does.
 */
#include "oci/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct json_writer *w, const char *s, size_t len)
{
	if (len > w->cap - w->len) {
		w->cap = (w->len + len) * 2 + 256;
		w->text = mem_realloc(w->text, w->cap);
	}
	memcpy(w->text + w->len, s, len);
	w->len += len;
}

static void put_text(struct json_writer *w, const char *s)
{
	put(w, s, strlen(s));
}

/* Length of the valid UTF-8 sequence at @s, 0 when there is none. */
static size_t utf8_length(const unsigned char *s)
{
	uint32_t c;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] < 0xe0)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] < 0xf0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] < 0xf5)
		n = 4;
	else
		return 0;
	c = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	/* overlong forms, surrogates, beyond Unicode */
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

static void put_quoted(struct json_writer *w, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	char esc[8];
	size_t n;

	put(w, "\"", 1);
	for (; *p; p += n) {
		n = utf8_length(p);
		if (n == 0) {
			put_text(w, "\xef\xbf\xbd");
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			esc[0] = '\\';
			esc[1] = (char)*p;
			put(w, esc, 2);
		} else if (*p < 0x20 || *p == 0x7f) {
			snprintf(esc, sizeof(esc), "\\u%04x", *p);
			put(w, esc, 6);
		} else {
			put(w, (const char *)p, n);
		}
	}
	put(w, "\"", 1);
}

static void put_newline(struct json_writer *w)
{
	if (w->flat)
		return;
	put(w, "\n", 1);
	for (int i = 0; i < w->depth; i++)
		put(w, "    ", 4);
}

/* What stands before a value: comma, newline, name. */
static void value_begin(struct json_writer *w, const char *key)
{
	if (w->depth > 0) {
		if (w->some[w->depth - 1])
			put(w, ",", 1);
		w->some[w->depth - 1] = true;
		put_newline(w);
	}
	if (key) {
		put_quoted(w, key);
		put(w, ": ", w->flat ? 1 : 2);
	}
}

static void container_begin(struct json_writer *w, const char *key, const char *bracket)
{
	value_begin(w, key);
	put(w, bracket, 1);
	assert(w->depth < JSON_WRITE_DEPTH_MAX);
	w->some[w->depth++] = false;
}

void json_write_object(struct json_writer *w, const char *key)
{
	container_begin(w, key, "{");
}

void json_write_array(struct json_writer *w, const char *key)
{
	container_begin(w, key, "[");
}

void json_write_end(struct json_writer *w, char bracket)
{
	assert(w->depth > 0);
	w->depth--;
	if (w->some[w->depth])
		put_newline(w);
	put(w, &bracket, 1);
}

void json_write_string(struct json_writer *w, const char *key, const char *value)
{
	value_begin(w, key);
	put_quoted(w, value);
}

static void __attribute__((format(printf, 3, 4)))
write_literal(struct json_writer *w, const char *key, const char *fmt, ...)
{
	char text[32];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	value_begin(w, key);
	put_text(w, text);
}

void json_write_int(struct json_writer *w, const char *key, int64_t value)
{
	write_literal(w, key, "%" PRId64, value);
}

void json_write_uint(struct json_writer *w, const char *key, uint64_t value)
{
	write_literal(w, key, "%" PRIu64, value);
}

void json_write_bool(struct json_writer *w, const char *key, bool value)
{
	write_literal(w, key, "%s", value ? "true" : "false");
}

void json_write_strings(struct json_writer *w, const char *key, const char *const *v, size_t n)
{
	json_write_array(w, key);
	for (size_t i = 0; i < n; i++)
		json_write_string(w, NULL, v[i]);
	json_write_end(w, ']');
}

void json_write_map(struct json_writer *w, const char *key, const struct spec_map *map)
{
	json_write_object(w, key);
	for (size_t i = 0; i < map->n; i++)
		json_write_string(w, map->v[i].key, map->v[i].value);
	json_write_end(w, '}');
}

char *json_write_done(struct json_writer *w, size_t *len)
{
	char *text;

	assert(w->depth == 0);
	put(w, "\n", 2); /* and its NUL */
	text = w->text;
	if (len)
		*len = w->len - 1;
	memset(w, 0, sizeof(*w));
	return text;
}
