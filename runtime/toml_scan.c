/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML 1.0, as far as finding things needs it: headers, dotted keys, and values that are skipped by their brackets and
 * quotes, over several lines where TOML allows it.
 */
#include "toml_scan.h"

#include <string.h>

struct scan {
	struct arena *a;
	const char *doc, *text;
	size_t i;
	unsigned int line;
	struct error *err;
};

static int not_understood(const struct scan *s, const char *what)
{
	return error_set(s->err, 0, "%s: line %u: %s: husk does not edit what it does not understand; do it by hand",
			 s->doc, s->line, what);
}

static char at(const struct scan *s)
{
	return s->text[s->i];
}

static void skip_blanks(struct scan *s)
{
	s->i += strspn(s->text + s->i, " \t");
}

/* Blanks, a comment, and the newline or the end. */
static int end_of_line(struct scan *s)
{
	skip_blanks(s);
	if (at(s) == '#')
		s->i += strcspn(s->text + s->i, "\n");
	if (at(s) == '\r' && s->text[s->i + 1] == '\n')
		s->i++;
	if (at(s) == '\n') {
		s->i++;
		s->line++;
		return 0;
	}
	return at(s) ? not_understood(s, "something follows the value") : 0;
}

/* ---- keys ---- */

static bool bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static const char *one_key(struct scan *s)
{
	char quote = at(s);
	size_t from = s->i;

	if (quote == '"' || quote == '\'') {
		const char *end;

		from = ++s->i;
		end = strpbrk(s->text + from, quote == '"' ? "\"\\\n" : "'\n");
		if (!end || *end != quote)
			return NULL;
		s->i = (size_t)(end - s->text) + 1;
		return arena_strndup(s->a, s->text + from, (size_t)(end - s->text) - from);
	}
	while (bare(at(s)))
		s->i++;
	return s->i > from ? arena_strndup(s->a, s->text + from, s->i - from) : NULL;
}

/* A dotted name, added to the item's keys; stops at the first byte behind it that is no blank. */
static int name(struct scan *s, struct toml_item *it)
{
	for (;;) {
		const char *key;

		skip_blanks(s);
		key = one_key(s);
		if (!key)
			return not_understood(s, "no plain name");
		if (it->nkeys == TOML_KEYS_MAX)
			return not_understood(s, "a name of too many parts");
		it->keys[it->nkeys++] = key;
		skip_blanks(s);
		if (at(s) != '.')
			return 0;
		s->i++;
	}
}

/* ---- values ---- */

static int skip_string(struct scan *s)
{
	char quote = at(s);
	bool many = s->text[s->i + 1] == quote && s->text[s->i + 2] == quote;

	s->i += many ? 3 : 1;
	while (at(s)) {
		if (at(s) == '\\' && quote == '"' && s->text[s->i + 1]) {
			s->line += s->text[s->i + 1] == '\n';
			s->i += 2;
			continue;
		}
		if (at(s) == '\n') {
			if (!many)
				break;
			s->line++;
		}
		if (at(s) == quote && (!many || (s->text[s->i + 1] == quote && s->text[s->i + 2] == quote))) {
			s->i += many ? 3 : 1;
			while (many && at(s) == quote) /* up to two quotes may stand before the closing three */
				s->i++;
			return 0;
		}
		s->i++;
	}
	return not_understood(s, "a string that does not end");
}

/* Arrays and inline tables, by their brackets. */
static int skip_brackets(struct scan *s)
{
	char open[64] = { 0 };
	size_t depth = 0;

	do {
		char c = at(s);

		if (c == '"' || c == '\'') {
			if (skip_string(s) < 0)
				return -1;
			continue;
		}
		if (c == '#') {
			s->i += strcspn(s->text + s->i, "\n");
			continue;
		}
		if (!c)
			return not_understood(s, "a bracket that is not closed");
		if (c == '[' || c == '{') {
			if (depth == sizeof(open))
				return not_understood(s, "too many brackets");
			open[depth++] = c;
		} else if (c == ']' || c == '}') {
			if (!depth || open[--depth] != (c == ']' ? '[' : '{'))
				return not_understood(s, "a bracket of the wrong kind");
		} else if (c == '\n') {
			if (depth && open[depth - 1] == '{')
				return not_understood(s, "an inline table over several lines");
			s->line++;
		}
		s->i++;
	} while (depth);
	return 0;
}

static int skip_value(struct scan *s)
{
	size_t n;

	if (at(s) == '"' || at(s) == '\'')
		return skip_string(s);
	if (at(s) == '[' || at(s) == '{')
		return skip_brackets(s);
	n = strspn(s->text + s->i, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_.:");
	s->i += n;
	return n ? 0 : not_understood(s, "no value");
}

/* ---- the document ---- */

static int header(struct scan *s, struct toml_item *it)
{
	bool array = s->text[s->i + 1] == '[';

	it->kind = array ? TOML_ARRAY_TABLE : TOML_TABLE;
	s->i += array ? 2 : 1;
	if (name(s, it) < 0)
		return -1;
	if (at(s) != ']' || (array && s->text[s->i + 1] != ']'))
		return not_understood(s, "a header without its bracket");
	s->i += array ? 2 : 1;
	it->ntable = it->nkeys;
	return 0;
}

static int assignment(struct scan *s, struct toml_item *it, const struct toml_item *table)
{
	it->kind = TOML_VALUE;
	if (table) {
		memcpy(it->keys, table->keys, sizeof(it->keys));
		it->nkeys = it->ntable = table->nkeys;
	}
	if (name(s, it) < 0)
		return -1;
	if (at(s) != '=')
		return not_understood(s, "neither a header nor an assignment");
	s->i++;
	skip_blanks(s);
	it->value = s->i;
	if (skip_value(s) < 0)
		return -1;
	it->value_end = s->i;
	return 0;
}

int toml_scan(struct arena *a, const char *doc, const char *text, struct toml *out, struct error *err)
{
	struct scan s = { .a = a, .doc = doc, .text = text, .line = 1, .err = err };
	size_t table = 0;
	bool in_table = false;

	*out = (struct toml){ 0 };
	while (text[s.i]) {
		struct toml_item it = { .line = s.line, .start = s.i };
		size_t word = s.i + strspn(text + s.i, " \t");

		if (text[word] == '#' || text[word] == '\n' || text[word] == '\r' || !text[word]) {
			if (end_of_line(&s) < 0)
				return -1;
			continue;
		}
		s.i = word;
		if (text[word] == '[' ? header(&s, &it) < 0 : assignment(&s, &it, in_table ? &out->v[table] : NULL) < 0)
			return -1;
		if (end_of_line(&s) < 0)
			return -1;
		it.end = s.i;
		out->v = arena_grow(a, out->v, out->n, sizeof(*out->v));
		out->v[out->n] = it;
		if (it.kind != TOML_VALUE) {
			table = out->n;
			in_table = true;
		}
		out->n++;
	}
	return 0;
}

/* ---- looking things up ---- */

static bool same_keys(const struct toml_item *it, const char *const *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(it->keys[i], keys[i]))
			return false;
	return true;
}

bool toml_below(const struct toml_item *it, const char *const *keys, size_t n)
{
	return it->nkeys >= n && same_keys(it, keys, n);
}

bool toml_above(const struct toml_item *it, const char *const *keys, size_t n)
{
	return it->nkeys <= n && same_keys(it, keys, it->nkeys);
}

const struct toml_item *toml_value(const struct toml *t, const char *const *keys, size_t n)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].kind == TOML_VALUE && t->v[i].nkeys == n && same_keys(&t->v[i], keys, n))
			return &t->v[i];
	return NULL;
}

const char *toml_string(struct arena *a, const char *text, const struct toml_item *it)
{
	size_t len = it->value_end - it->value;
	const char *v = text + it->value;

	if (len < 2 || (*v != '"' && *v != '\'') || memchr(v, '\\', len) || memchr(v, '\n', len) ||
	    (len >= 6 && v[1] == *v))
		return NULL;
	return arena_strndup(a, v + 1, len - 2);
}

bool toml_word(const char *text, const struct toml_item *it, const char *word)
{
	return it->value_end - it->value == strlen(word) && !memcmp(text + it->value, word, strlen(word));
}
