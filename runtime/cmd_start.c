/* SPDX-License-Identifier: Apache-2.0 */
/* husk start: run the process of a created container. */
#include "husk.h"
#include "launch.h"
#include "options.h"
#include "proxy.h"
#include "util.h"

#define LOCK_MS 10000
#define START_NS (60ull * 1000000000u)

static int check_state(const struct container *c, const struct spec *spec, struct error *err)
{
	switch (container_status(c)) {
	case STATUS_CREATED:
		break;
	case STATUS_STOPPED:
		return error_set(err, 0, "cannot start a container that has stopped");
	case STATUS_CREATING:
		return error_set(err, 0, "cannot start a container that is still being created");
	default:
		return error_set(err, 0, "cannot start an already running container");
	}
	if (!spec->process)
		return error_set(err, 0, "cannot start: config.json has no process");
	return 0;
}

static int start(struct container *c, struct error *err)
{
	CLEAN_FREE char *path = container_socket_path(c, FILE_PROXY_SOCK);
	struct spec *spec = NULL;
	int rc;

	if (container_lock(c, LOCK_MS, err) < 0 || container_spec(c, &spec, err) < 0)
		return -1;
	rc = check_state(c, spec, err);
	if (!rc) {
		rc = proxy_request(path, PROXY_START, mono_ns() + START_NS, err);
		if (rc)
			error_wrap(err, "unable to start container process");
		else
			rc = poststart_run(c, spec, err);
	}
	spec_free(spec);
	return rc;
}

int cmd_start(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "ID";
	static const struct option table[] = { { 0 } };
	struct container c;
	int first, rc;

	first = verb_options(table, usage, "Run the process of a created container.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	rc = container_open(&c, g->root, argv[first], false, err);
	if (!rc)
		rc = start(&c, err);
	container_close(&c);
	return rc;
}
