/* SPDX-License-Identifier: Apache-2.0 */
/* husk state: a container's state as JSON. Cheap: engines poll it ten times a second. */
#include <stdio.h>

#include "container.h"
#include "husk.h"
#include "options.h"
#include "util.h"

int cmd_state(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "ID";
	static const struct option table[] = { { 0 } };
	CLEAN_FREE char *json = NULL;
	struct container c;
	int first, rc;

	first = verb_options(table, usage, "Print a container's state as JSON.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	rc = container_open(&c, g->root, argv[first], false, err);
	if (!rc)
		rc = state_document(c.state, container_status(&c), container_pid(&c), &json, err);
	if (!rc)
		fputs(json, stdout);
	container_close(&c);
	return rc;
}
