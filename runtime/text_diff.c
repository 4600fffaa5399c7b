/* SPDX-License-Identifier: Apache-2.0 */
/* A difference of one hunk: the lines between the common beginning and the common end. */
#include "text_diff.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

#define CONTEXT 3

struct lines {
	const char **at; /* n + 1 of them */
	size_t n;
};

static struct lines split(const char *text)
{
	struct lines l = { .at = xmalloc(sizeof(char *)) };

	l.at[0] = text;
	while (*text) {
		text += strcspn(text, "\n");
		text += *text == '\n';
		l.at = xrealloc(l.at, (l.n + 2) * sizeof(char *));
		l.at[++l.n] = text;
	}
	return l;
}

static size_t length(const struct lines *l, size_t i)
{
	return (size_t)(l->at[i + 1] - l->at[i]);
}

static bool same_line(const struct lines *a, size_t i, const struct lines *b, size_t j)
{
	return length(a, i) == length(b, j) && !memcmp(a->at[i], b->at[j], length(a, i));
}

static void print_lines(FILE *f, char mark, const struct lines *l, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		size_t len = length(l, i);

		fprintf(f, "%c%.*s", mark, (int)len, l->at[i]);
		if (l->at[i][len - 1] != '\n')
			fputs("\n\\ No newline at end of file\n", f);
	}
}

void text_diff(FILE *f, const char *path, const char *before, const char *after)
{
	struct lines a = split(before ? before : ""), b = split(after ? after : "");
	size_t head = 0, tail = 0, from, to_a, to_b;

	while (head < a.n && head < b.n && same_line(&a, head, &b, head))
		head++;
	while (tail < a.n - head && tail < b.n - head && same_line(&a, a.n - tail - 1, &b, b.n - tail - 1))
		tail++;
	from = head > CONTEXT ? head - CONTEXT : 0;
	to_a = a.n - tail;
	to_b = b.n - tail;
	if (to_a > head || to_b > head) {
		size_t more = tail > CONTEXT ? CONTEXT : tail;
		size_t na = to_a - from + more, nb = to_b - from + more;

		fprintf(f, "--- %s\n+++ %s\n@@ -%zu,%zu +%zu,%zu @@\n", before ? path : "/dev/null",
			after ? path : "/dev/null", na ? from + 1 : 0, na, nb ? from + 1 : 0, nb);
		print_lines(f, ' ', &a, from, head);
		print_lines(f, '-', &a, head, to_a);
		print_lines(f, '+', &b, head, to_b);
		print_lines(f, ' ', &a, to_a, to_a + more);
	}
	free(a.at);
	free(b.at);
}
