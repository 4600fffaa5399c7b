/* SPDX-License-Identifier: Apache-2.0 */
/* husk list: the containers of this state root. */
#include <stdio.h>
#include <string.h>

#include "container.h"
#include "husk.h"
#include "options.h"
#include "util.h"

static void print_table(struct container *const *c, size_t n)
{
	size_t id = 2, bundle = 6;

	for (size_t i = 0; i < n; i++) {
		size_t a = strlen(c[i]->id), b = strlen(c[i]->state->bundle);

		id = a > id ? a : id;
		bundle = b > bundle ? b : bundle;
	}
	printf("%-*s   %-8s   %-8s   %-*s   %-30s   %s\n", (int)id, "ID", "PID", "STATUS", (int)bundle, "BUNDLE",
	       "CREATED", "OWNER");
	for (size_t i = 0; i < n; i++) {
		const struct state *s = c[i]->state;
		char when[48];

		time_format(s->created_ns, when);
		printf("%-*s   %-8d   %-8s   %-*s   %-30s   %s\n", (int)id, s->id, (int)container_pid(c[i]),
		       status_name(container_status(c[i])), (int)bundle, s->bundle, when, s->owner);
	}
}

static int print_json(struct container *const *c, size_t n, struct error *err)
{
	const struct state **s = xcalloc(n, sizeof(struct state *));
	enum container_status *status = xcalloc(n, sizeof(*status));
	pid_t *pids = xcalloc(n, sizeof(*pids));
	CLEAN_FREE char *json = NULL;
	int rc;

	for (size_t i = 0; i < n; i++) {
		s[i] = c[i]->state;
		status[i] = container_status(c[i]);
		pids[i] = container_pid(c[i]);
	}
	rc = state_list_document(s, status, pids, n, &json, err);
	if (!rc)
		fputs(json, stdout);
	free(s);
	free(status);
	free(pids);
	return rc;
}

int cmd_list(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options]";
	const char *format = "table";
	bool quiet = false;
	const struct option table[] = {
		{ "format", 'f', OPT_STRING, &format, "FORMAT", "table or json" },
		{ "quiet", 'q', OPT_FLAG, &quiet, "", "ids only" },
		{ 0 },
	};
	struct container **c;
	size_t n, got = 0;
	char **ids;
	int first, rc = 0;

	first = verb_options(table, usage, "List the containers of this state root.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 0, 0, usage, err) < 0)
		return -1;
	if (strcmp(format, "table") && strcmp(format, "json"))
		return error_set(err, 0, "--format %s: table or json", format);
	if (container_list(g->root, &ids, &n, err) < 0)
		return -1;
	c = xcalloc(n, sizeof(struct container *));
	for (size_t i = 0; i < n; i++) {
		struct error ignored;

		if (quiet) {
			puts(ids[i]);
			continue;
		}
		c[got] = xcalloc(1, sizeof(**c));
		if (container_open(c[got], g->root, ids[i], false, &ignored) == 0) {
			got++;
			continue;
		}
		container_close(c[got]); /* deleted meanwhile */
		free(c[got]);
	}
	if (!quiet && !strcmp(format, "json"))
		rc = print_json(c, got, err);
	else if (!quiet)
		print_table(c, got);
	for (size_t i = 0; i < got; i++) {
		container_close(c[i]);
		free(c[i]);
	}
	for (size_t i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
	free(c);
	return rc;
}
