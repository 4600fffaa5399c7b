/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk delete: remove a container and all that create made.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "husk.h"
#include "launch.h"
#include "log.h"
#include "options.h"
#include "util.h"
#include "vm.h"

#define LOCK_MS 10000
#define LOCK_FORCE_MS 2000 /* engines cut a forced delete off after five seconds */
#define POLITE_NS (1500ull * 1000000u)

/* SIGKILL through the agent, so that files are written back; then a moment for the proxy to end by itself. */
static void kill_politely(struct container *c)
{
	uint64_t deadline = mono_ns() + POLITE_NS;
	struct wire_signal sig = { .signo = SIGKILL };
	uint8_t payload[sizeof(sig) + 256];
	struct error ignored;
	struct session *s = vm_session(c, deadline, &ignored);
	CLEAN_FD int pidfd = (int)syscall(SYS_pidfd_open, c->state->pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (!s)
		return;
	memcpy(payload, &sig, sizeof(sig));
	memcpy(payload + sizeof(sig), c->id, strlen(c->id));
	if (session_request(s, WIRE_SIGNAL, payload, sizeof(sig) + strlen(c->id), deadline, NULL, &ignored) == 0 &&
	    pidfd >= 0)
		poll(&p, 1, (int)((deadline - mono_ns()) / 1000000 % 10000));
	session_free(s);
}

static int delete_locked(struct container *c, bool force, struct error *err)
{
	struct spec *spec = NULL;
	struct error ignored;
	int rc;

	switch (container_status(c)) {
	case STATUS_STOPPED:
		break;
	case STATUS_CREATED:
		kill_politely(c);
		break;
	case STATUS_CREATING:
		if (!force)
			return error_set(err, 0, "cannot delete container %s that is not stopped: creating", c->id);
		break;
	default:
		if (!force)
			return error_set(err, 0, "cannot delete container %s that is not stopped: %s", c->id,
					 status_name(container_status(c)));
		kill_politely(c);
		break;
	}
	if (c->state && container_spec(c, &spec, &ignored) < 0)
		spec = NULL; /* create died before it had copied it */
	log_debug("removing what is left of %s", c->id);
	rc = destroy(c, spec, err);
	spec_free(spec);
	return rc;
}

static int delete (const struct globals *g, const char *id, bool force, struct error *err)
{
	struct container c;
	int rc = container_open(&c, g->root, id, force, err);

	if (!rc) {
		rc = container_lock(&c, force ? LOCK_FORCE_MS : LOCK_MS, err);
		/* forced, and another command is stuck on it: go on; each step can bear company */
		if (rc < 0 && force && err->code != ENOENT && c.state)
			rc = 0;
	}
	if (!rc)
		rc = delete_locked(&c, force, err);
	container_close(&c);
	if (rc < 0 && force && err->code == ENOENT) {
		*err = (struct error){ 0 };
		return 0;
	}
	return rc;
}

int cmd_delete(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[--force] ID";
	bool force = false;
	const struct option table[] = {
		{ "force", 'f', OPT_FLAG, &force, "", "kill it if it runs; no error when it does not exist" },
		{ 0 },
	};
	int first;

	first = verb_options(table, usage, "Remove a container.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	return delete (g, argv[first], force, err);
}
