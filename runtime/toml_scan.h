/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TOML document as a list of its headers and assignments with their places in the text: enough to edit it line by
 * line without touching anything else. Values are skipped, not interpreted. What the scanner is not sure of (keys with
 * escapes, dates with a blank) is an error, never a guess.
 */
#ifndef HUSK_RUNTIME_TOML_SCAN_H
#define HUSK_RUNTIME_TOML_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "../oci/arena.h"
#include "../oci/error.h"

#define TOML_KEYS_MAX 16

enum toml_kind { TOML_TABLE, TOML_ARRAY_TABLE, TOML_VALUE };

struct toml_item {
	enum toml_kind kind;
	unsigned int line;	 /* from 1 */
	size_t start, end;	 /* its lines, the last newline included */
	size_t value, value_end; /* of TOML_VALUE */
	size_t nkeys;		 /* of the whole name: the table's keys, then the assignment's own */
	size_t ntable;		 /* of them the table's */
	const char *keys[TOML_KEYS_MAX];
};

struct toml {
	struct toml_item *v;
	size_t n;
};

/* @doc is what messages call the document. Everything lives in the arena. */
int toml_scan(struct arena *a, const char *doc, const char *text, struct toml *out, struct error *err);

/* Do these keys begin the item's name; is it the beginning of them? */
bool toml_below(const struct toml_item *it, const char *const *keys, size_t n);
bool toml_above(const struct toml_item *it, const char *const *keys, size_t n);

/* The assignment with this name, or NULL. */
const struct toml_item *toml_value(const struct toml *t, const char *const *keys, size_t n);

/* The text of a value that is one string in quotes without escapes, else NULL. */
const char *toml_string(struct arena *a, const char *text, const struct toml_item *it);

/* Is the value's text just this word? */
bool toml_word(const char *text, const struct toml_item *it, const char *word);

#endif
