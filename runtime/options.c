/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line options: one table per verb. See options.h for the accepted forms.
 */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static const struct option *option_find(const struct option *table, const char *name, size_t len)
{
	for (const struct option *o = table; o->name; o++) {
		if (strlen(o->name) == len && !memcmp(o->name, name, len))
			return o;
		if (len == 1 && o->letter == *name)
			return o;
	}
	return NULL;
}

/* Length of the longest common start: enough to guess what was meant. */
static const struct option *option_guess(const struct option *table, const char *name, size_t len)
{
	const struct option *best = NULL;
	size_t most = 2;

	for (const struct option *o = table; o->name; o++) {
		size_t n = 0;

		while (n < len && o->name[n] && o->name[n] == name[n])
			n++;
		if (n > most) {
			most = n;
			best = o;
		}
	}
	return best;
}

static int option_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "true", "1", "t", "T", "TRUE", "True" };
	static const char *const no[] = { "false", "0", "f", "F", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (!strcmp(text, yes[i])) {
			*out = true;
			return 0;
		}
		if (!strcmp(text, no[i])) {
			*out = false;
			return 0;
		}
	}
	return -1;
}

static int option_store(const struct option *o, const char *value, struct error *err)
{
	switch (o->kind) {
	case OPT_FLAG: {
		bool on = true;

		if (value && option_bool(value, &on) < 0)
			return error_set(err, 0, "--%s=%s: expected true or false", o->name, value);
		if (o->out)
			*(bool *)o->out = on;
		break;
	}
	case OPT_MAYBE:
		if (o->out)
			*(const char **)o->out = value ? value : "true";
		break;
	case OPT_STRING:
		if (o->out)
			*(const char **)o->out = value;
		break;
	case OPT_LIST: {
		struct option_list *l = o->out;

		if (!l)
			break;
		l->v = xrealloc(l->v, (l->n + 2) * sizeof(*l->v));
		l->v[l->n++] = value;
		l->v[l->n] = NULL;
		break;
	}
	}
	return 0;
}

/* Words that OPT_MAYBE also takes behind a blank; no verb and no id of an engine is one. */
static bool maybe_value(const char *word)
{
	return !strcmp(word, "true") || !strcmp(word, "false") || !strcmp(word, "auto");
}

int options_parse(const char *what, const struct option *table, int argc, char **argv, struct error *err)
{
	int i;

	for (i = 1; i < argc; i++) {
		const char *name = argv[i], *value;
		const struct option *o;
		size_t len;

		if (name[0] != '-' || !name[1])
			break;
		if (!strcmp(name, "--")) {
			i++;
			break;
		}
		name += name[1] == '-' ? 2 : 1;
		len = strcspn(name, "=");
		value = name[len] ? name + len + 1 : NULL;
		o = len ? option_find(table, name, len) : NULL;
		if (!o) {
			const struct option *guess = option_guess(table, name, len);

			if (guess)
				return error_set(err, 0, "unknown flag %s; did you mean --%s? (see %s --help)", argv[i],
						 guess->name, what);
			return error_set(err, 0, "unknown flag %s (see %s --help)", argv[i], what);
		}
		if (!value && (o->kind == OPT_STRING || o->kind == OPT_LIST)) {
			if (++i >= argc)
				return error_set(err, 0, "flag needs a value: --%s %s (see %s --help)", o->name,
						 o->arg ? o->arg : "VALUE", what);
			value = argv[i];
		}
		if (!value && o->kind == OPT_MAYBE && i + 1 < argc && maybe_value(argv[i + 1]))
			value = argv[++i];
		if (option_store(o, value, err) < 0)
			return -1;
	}
	return i;
}

void options_print(const struct option *table)
{
	for (const struct option *o = table; o->name; o++) {
		char left[64];

		if (!o->help)
			continue;
		if (o->letter)
			snprintf(left, sizeof(left), "--%s, -%c %s", o->name, o->letter, o->arg ? o->arg : "");
		else
			snprintf(left, sizeof(left), "--%s %s", o->name, o->arg ? o->arg : "");
		printf("  %-34s %s\n", left, o->help);
	}
}

void option_list_free(struct option_list *l)
{
	free(l->v);
	l->v = NULL;
	l->n = 0;
}
