/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk kill: send a signal to a container's process, through the agent. SIGKILL works whatever the guest does: when
 * the agent does not answer, the VM is ended.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../oci/signals.h"
#include "husk.h"
#include "launch.h"
#include "options.h"
#include "util.h"
#include "vm.h"

#define AGENT_NS (2000ull * 1000000u) /* patience with a wedged agent */
#define HARD_MS 2000

static int send_signal(struct container *c, int signo, bool all, struct error *err)
{
	uint64_t deadline = mono_ns() + AGENT_NS;
	struct session *s = vm_session(c, deadline, err);
	size_t len = strlen(c->id);
	uint8_t payload[sizeof(struct wire_signal) + 256];
	struct wire_signal sig = { .signo = (uint32_t)signo, .all = all };
	int rc;

	if (!s)
		return -1;
	memcpy(payload, &sig, sizeof(sig));
	memcpy(payload + sizeof(sig), c->id, len);
	rc = session_request(s, WIRE_SIGNAL, payload, sizeof(sig) + len, deadline, NULL, err);
	session_free(s);
	return rc;
}

static int kill_container(struct container *c, int signo, bool all, struct error *err)
{
	enum container_status status = container_status(c);

	if (status == STATUS_STOPPED || status == STATUS_CREATING)
		return all ? 0 : error_set(err, 0, "container not running");
	if (send_signal(c, signo, all, err) == 0)
		return 0;
	if (!process_alive(c->state->pid, c->state->pid_start) || (signo != SIGKILL && err->code == ESRCH)) {
		*err = (struct error){ 0 };
		return all ? 0 : error_set(err, 0, "container not running");
	}
	if (signo != SIGKILL)
		return -1;
	/* a wedged agent; or the process has ended and its proxy waits for a slow reader of its output */
	kill_hard(c, HARD_MS);
	if (c->alive)
		return error_set(err, 0, "the container's proxy (pid %d) does not die", (int)c->state->pid);
	*err = (struct error){ 0 };
	return 0;
}

int cmd_kill(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[--all] ID [SIGNAL]";
	bool all = false;
	const struct option table[] = {
		{ "all", 'a', OPT_FLAG, &all, "", "every process of the container; no error when it is not running" },
		{ 0 },
	};
	int first, rc, signo = SIGTERM;
	struct container c;

	first = verb_options(table, usage, "Send a signal (default SIGTERM) to a container's process.", argc, argv,
			     err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 2, usage, err) < 0)
		return -1;
	if (first + 1 < argc) {
		signo = signal_parse(argv[first + 1]);
		if (signo < 0)
			return error_set(err, 0, "unknown signal \"%s\"", argv[first + 1]);
	}
	rc = container_open(&c, g->root, argv[first], false, err);
	if (!rc)
		rc = kill_container(&c, signo, all, err);
	container_close(&c);
	return rc;
}
