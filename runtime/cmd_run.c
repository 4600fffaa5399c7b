/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk run: create and start; in the foreground also wait, pass signals on, and delete.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "console.h"
#include "husk.h"
#include "launch.h"
#include "options.h"
#include "timeline.h"
#include "util.h"

/* Wait for the proxy, our child; what we are told by signal, it is told, too. Its wait status. */
static int wait_forwarding(pid_t pid, const sigset_t *set)
{
	for (;;) {
		siginfo_t si;
		int signo = sigwaitinfo(set, &si), status;

		if (signo < 0)
			continue;
		if (signo == SIGCHLD || signo == SIGURG) {
			pid_t got;

			while ((got = waitpid(-1, &status, WNOHANG)) > 0)
				if (got == pid)
					return status;
			continue;
		}
		if (signo == SIGPIPE)
			continue;
		kill(pid, signo);
	}
}

static int run_foreground(struct launched *l, bool keep, bool timeline, struct error *err)
{
	bool tty = l->spec->process && l->spec->process->terminal && isatty(0);
	struct error ignored;
	struct timeline t;
	sigset_t set, old;
	int status, rc;

	/* a background job that touches its terminal must stop, not be told to the guest */
	sigfillset(&set);
	sigdelset(&set, SIGTTIN);
	sigdelset(&set, SIGTTOU);
	sigprocmask(SIG_SETMASK, &set, &old);
	if (tty)
		terminal_raw(0);
	rc = launch_start(l, err);
	container_unlock(&l->c);
	if (rc < 0) {
		kill(l->pid, SIGKILL);
		while (waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
			;
	} else {
		status = wait_forwarding(l->pid, &set);
	}
	terminal_restore();
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (timeline && timeline_read(l->c.dirfd, FILE_TIMELINE, &t) == 0)
		timeline_print(stderr, &t);
	if (!keep || rc < 0)
		if (container_lock(&l->c, 10000, &ignored) == 0)
			destroy(&l->c, l->spec, &ignored);
	if (rc < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int cmd_run(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options] ID";
	struct launch_options o = { 0 };
	bool detach = false, keep = false, no_subreaper = false, timeline = false;
	const struct option table[] = {
		{ "bundle", 'b', OPT_STRING, &o.bundle, "DIR", "directory of config.json (default: the current one)" },
		{ "detach", 'd', OPT_FLAG, &detach, "", "return when the process runs" },
		{ "keep", 0, OPT_FLAG, &keep, "", "do not delete the container at its end" },
		{ "timeline", 0, OPT_FLAG, &timeline, "", "print when each step of its life happened" },
		{ "pid-file", 0, OPT_STRING, &o.pid_file, "FILE", "write the pid of the container's process to FILE" },
		{ "console-socket", 0, OPT_STRING, &o.console_socket, "SOCKET",
		  "send the terminal's master to this unix socket" },
		{ "pidfd-socket", 0, OPT_STRING, &o.pidfd_socket, "SOCKET",
		  "send a pidfd of the process to this unix socket" },
		{ "preserve-fds", 0, OPT_STRING, &o.preserve_fds, "N", "0: none can cross into a VM" },
		{ "no-subreaper", 0, OPT_FLAG, &no_subreaper, "", "do not adopt orphans of the container" },
		{ "no-pivot", 0, OPT_FLAG, NULL, "", "accepted; the guest's root is its own" },
		{ "no-new-keyring", 0, OPT_FLAG, NULL, "", "accepted; the guest's keyrings are its own" },
		{ 0 },
	};
	struct launched l;
	int first, rc;

	first = verb_options(table, usage, "Create a container and start it.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	o.foreground = !detach;
	if (!detach && !no_subreaper)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	rc = launch(g, &o, argv[first], &l, err);
	if (!rc && detach) {
		struct error ignored;

		rc = launch_start(&l, err);
		if (rc < 0)
			destroy(&l.c, l.spec, &ignored);
	} else if (!rc) {
		rc = run_foreground(&l, keep, timeline, err);
	}
	launched_close(&l);
	return rc;
}
