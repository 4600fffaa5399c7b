/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Undoing what create made: processes, cgroup, state directory, poststop hooks. Every step stands alone, so that it
 * also cleans what a killed create or a crashed VM left, and may itself be killed and repeated.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "cgroup.h"
#include "hooks.h"
#include "launch.h"
#include "net_clean.h"
#include "pod.h"
#include "util.h"

/* SIGKILL to a process known by pid and start time; then wait for its end, at most @ms. true: gone. */
static bool kill_wait(pid_t pid, uint64_t start, int signo, unsigned int ms)
{
	CLEAN_FD int pidfd = -1;
	struct pollfd p;

	if (pid <= 0 || pid == getpid())
		return true;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (!process_alive(pid, start))
		return true;
	if (pidfd < 0)
		return errno == ESRCH;
	if (signo)
		syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
	p = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	return poll(&p, 1, (int)ms) > 0;
}

void kill_hard(struct container *c, unsigned int ms)
{
	const struct state *s = c->state;

	if (!s || strcmp(s->boot_id ? s->boot_id : "", host_boot_id()))
		return;
	/* a stopped process takes a SIGKILL, too; the VMM goes with its proxy, and is asked for by name to be sure */
	kill_wait(s->pid, s->pid_start, SIGKILL, ms);
	kill_wait(s->vmm_pid, s->vmm_start, SIGKILL, ms);
	c->alive = process_alive(s->pid, s->pid_start);
}

/* The network of a VM that others use is not this container's. */
static void network_clean(const struct container *c, const struct spec *spec)
{
	const struct spec_namespace *n = spec ? &spec->lin.ns[NS_NETWORK] : NULL;

	if (n && n->present && n->path && (!c->state->vm_id || !strcmp(c->state->vm_id, c->id)))
		net_clean(n->path);
}

int destroy(struct container *c, const struct spec *spec, struct error *err)
{
	CLEAN_FREE char *json = NULL, *bundle = NULL;
	struct error ignored;
	int rc = 0;

	if (c->state) {
		struct cgroup cg;

		bundle = xstrdup(c->state->bundle);
		if (spec && spec->hooks[HOOK_POSTSTOP].n)
			json = hook_state(c->state, STATUS_STOPPED, 0, &ignored);
		if (c->state->boot_id && !strcmp(c->state->boot_id, host_boot_id())) {
			if (c->state->vm_id && strcmp(c->state->vm_id, c->id))
				pod_leave(c);
			kill_hard(c, 5000);
			network_clean(c, spec);
			cgroup_from_dirs(&cg, &c->state->cgroups);
			if (state_extra(c->state, EXTRA_CGROUPS_PLANNED)) {
				cgroup_remove_unused(&cg);
			} else {
				cgroup_kill(&cg);
				if (c->state->systemd_unit)
					cgroup_systemd_stop(c->state->systemd_unit, cg.ndirs ? cg.dirs[0] : NULL);
				rc = cgroup_remove(&cg, err);
			}
			cgroup_free(&cg);
		} /* else: from before a reboot, and its cgroups may be another's by now */
	}
	if (!rc)
		rc = container_remove(c, err);
	if (json)
		hooks_run_all(&spec->hooks[HOOK_POSTSTOP], "poststop", json, bundle);
	return rc;
}
