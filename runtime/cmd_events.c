/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk events: statistics and out-of-memory events of a running container as JSON lines, until it ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../oci/json.h"
#include "guest_stats.h"
#include "husk.h"
#include "options.h"
#include "size_parse.h"
#include "util.h"
#include "vm.h"

#define AGENT_NS (10ull * 1000000000u)

static int stats_print(const struct container *c, struct error *err)
{
	uint64_t deadline = mono_ns() + AGENT_NS;
	struct session *s = vm_session(c, deadline, err);
	struct guest_stats *g = s ? guest_stats_read(s, c->id, deadline, err) : NULL;
	CLEAN_FREE char *line = g ? guest_stats_document(g, c->id) : NULL;

	if (line) {
		fputs(line, stdout);
		fflush(stdout);
	}
	guest_stats_free(g);
	session_free(s);
	return line ? 0 : -1;
}

static void oom_print(const char *id)
{
	struct json_writer w = { .flat = true };
	CLEAN_FREE char *line = NULL;

	json_write_object(&w, NULL);
	json_write_string(&w, "type", "oom");
	json_write_string(&w, "id", id);
	json_write_end(&w, '}');
	line = json_write_done(&w, NULL);
	fputs(line, stdout);
	fflush(stdout);
}

static int follow(const struct container *c, int64_t interval_ms, struct error *err)
{
	struct session *s = vm_session(c, mono_ns() + AGENT_NS, err);
	uint64_t next = mono_ns();
	int rc;

	if (!s)
		return -1;
	rc = session_request(s, WIRE_WAIT, c->id, strlen(c->id), mono_ns() + AGENT_NS, NULL, err);
	while (!rc) {
		struct frame f;
		int got;

		next += (uint64_t)interval_ms * 1000000;
		while ((got = session_wait(s, &f, next)) == 0) {
			if (f.h.type == WIRE_OOM)
				oom_print(c->id);
			else if (f.h.type == WIRE_EXIT)
				break;
		}
		if (got != -ETIMEDOUT) /* the container ended, or the VM */
			break;
		if (stats_print(c, err) < 0) {
			*err = (struct error){ 0 };
			break;
		}
	}
	session_free(s);
	return rc;
}

int cmd_events(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options] ID";
	const char *interval = "5s";
	bool stats = false;
	const struct option table[] = {
		{ "interval", 0, OPT_STRING, &interval, "DURATION", "time between statistics (default 5s)" },
		{ "stats", 0, OPT_FLAG, &stats, "", "print statistics once and end" },
		{ 0 },
	};
	struct container c;
	int64_t ms;
	int first, rc;

	first = verb_options(table, usage, "Print a container's events as JSON lines.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	if (!duration_parse(interval, &ms) || !ms)
		return error_set(err, 0, "--interval %s: expected a duration such as 5s or 500ms", interval);
	rc = container_open(&c, g->root, argv[first], false, err);
	if (!rc && container_status(&c) == STATUS_STOPPED)
		rc = error_set(err, 0, "container with id %s is not running", c.id);
	if (!rc)
		rc = stats ? stats_print(&c, err) : follow(&c, ms, err);
	container_close(&c);
	return rc;
}
