/* SPDX-License-Identifier: Apache-2.0 */
#include "mountinfo.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Blanks, tabs, newlines and backslashes are written as three octal digits. */
static void unescape(char *s)
{
	char *w = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*w++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*w++ = *s;
		}
	}
	*w = '\0';
}

/* "ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS [TAGS] - TYPE SOURCE SUPEROPTIONS" */
static bool parse(char *line, struct mountinfo *m)
{
	char *save = NULL, *field[5], *tail = strstr(line, " - ");

	if (!tail)
		return false;
	*tail = '\0';
	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	if (sscanf(field[2], "%u:%u", &m->major, &m->minor) != 2)
		return false;
	m->root = field[3];
	m->point = field[4];
	m->type = strtok_r(tail + 3, " ", &save);
	m->source = strtok_r(NULL, " ", &save);
	m->super = strtok_r(NULL, " \n", &save);
	if (!m->super)
		return false;
	unescape(m->root);
	unescape(m->point);
	unescape(m->source);
	return true;
}

void mountinfo_each(bool (*each)(void *ctx, const struct mountinfo *m), void *ctx)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	CLEAN_FREE char *line = NULL;
	struct mountinfo m;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0)
		if (parse(line, &m) && !each(ctx, &m))
			break;
	if (f)
		fclose(f);
}

struct below {
	const char *path;
	size_t len;
	bool found;
};

static bool look_below(void *ctx, const struct mountinfo *m)
{
	struct below *b = ctx;

	b->found = strncmp(m->point, b->path, b->len) == 0 && m->point[b->len] == '/' && m->point[b->len + 1];
	return !b->found;
}

bool mountinfo_below(const char *path)
{
	CLEAN_FREE char *real = realpath(path, NULL);
	struct below b = { .path = real };

	if (!real)
		return false;
	b.len = strcmp(real, "/") == 0 ? 0 : strlen(real);
	mountinfo_each(look_below, &b);
	return b.found;
}
