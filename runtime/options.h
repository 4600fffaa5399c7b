/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line options: one table per verb. Accepts --flag VALUE, --flag=VALUE and the single-dash forms that Go's
 * flag package takes (-flag, -flag=VALUE, -f VALUE). Parsing stops at the first word that is no option, or after "--".
 */
#ifndef HUSK_RUNTIME_OPTIONS_H
#define HUSK_RUNTIME_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "../oci/error.h"

enum option_kind {
	OPT_FLAG,   /* bool: --x, --x=true, --x=false */
	OPT_STRING, /* const char *; the last one wins */
	OPT_LIST,   /* struct option_list; each occurrence is added */
	OPT_MAYBE,  /* const char *: --x means "true", --x=VALUE, --x true|false|auto */
};

struct option_list {
	const char **v;
	size_t n;
};

struct option {
	const char *name; /* without dashes; NULL ends the table */
	char letter;	  /* 0: none */
	enum option_kind kind;
	void *out;	 /* bool *, const char ** or struct option_list *; NULL: accepted and ignored */
	const char *arg; /* name of the value in the help; NULL: hidden from the help if help is NULL */
	const char *help;
};

/**
 * options_parse() - fill the table's variables from argv[1...]
 * @what: "husk" or "husk VERB": whose --help messages point to
 *
 * Strings point into argv. Return: index of the first positional word (may be argc), or -1 with *err.
 */
int options_parse(const char *what, const struct option *table, int argc, char **argv, struct error *err);

/* Print the table for --help. */
void options_print(const struct option *table);

void option_list_free(struct option_list *l);

#endif
