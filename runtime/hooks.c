/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lifecycle hooks of config.json that run on the host. Each is a child in a process group of its own, with the
 * container's state on stdin; what it prints on stdout and stderr (a bounded part) goes into the error message.
 */
#include "hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../oci/signals.h"
#include "log.h"
#include "util.h"

#define HOOK_OUTPUT 2048 /* bytes of output kept for the message */

struct hook_io {
	int in, out; /* our ends: its stdin, its stdout and stderr */
	const char *state;
	size_t state_len;
	char output[HOOK_OUTPUT];
	size_t output_len;
};

static void hook_child(const struct spec_hook *h, const char *cwd, int in, int out)
{
	static char *const no_args[] = { NULL };
	char *name[] = { (char *)h->path, NULL };

	setpgid(0, 0);
	signals_default();
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir(cwd) < 0) {
		dprintf(out, "%s\n", error_errno_text(errno));
		_exit(127);
	}
	close_range(3, ~0U, 0);
	execve(h->path, h->args.n ? (char *const *)h->args.v : name, h->env.n ? (char *const *)h->env.v : no_args);
	dprintf(2, "exec %s: %s\n", h->path, error_errno_text(errno));
	_exit(127);
}

static void hook_write(struct hook_io *io)
{
	ssize_t n = write(io->in, io->state, io->state_len);

	if (n > 0) {
		io->state += n;
		io->state_len -= (size_t)n;
	}
	/* a hook that does not read its stdin is no failure */
	if (!io->state_len || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(io->in);
		io->in = -1;
	}
}

static void hook_read(struct hook_io *io)
{
	char buf[4096];
	ssize_t n = read(io->out, buf, sizeof(buf));

	if (n > 0) {
		size_t room = sizeof(io->output) - 1 - io->output_len;

		if ((size_t)n < room)
			room = (size_t)n;
		memcpy(io->output + io->output_len, buf, room);
		io->output_len += room;
	} else if (!n || (errno != EAGAIN && errno != EINTR)) {
		close(io->out);
		io->out = -1;
	}
}

/* Feed and drain until the process has ended. A daemon that it leaves may keep its output open: not waited for. */
static int hook_wait(pid_t pid, struct hook_io *io, int timeout, int *status)
{
	CLEAN_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	uint64_t end = timeout ? mono_ns() + (uint64_t)timeout * 1000000000u : UINT64_MAX;
	bool expired = false;

	for (;;) {
		struct pollfd p[3] = {
			{ .fd = pidfd, .events = POLLIN },
			{ .fd = io->in, .events = POLLOUT },
			{ .fd = io->out, .events = POLLIN },
		};
		uint64_t now = mono_ns();
		int ms = timeout && !expired ? (now >= end ? 0 : (int)((end - now) / 1000000 + 1)) : -1;

		if (pidfd < 0)
			break; /* no poll: just wait */
		if (poll(p, 3, ms) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			hook_write(io);
		if (p[2].revents)
			hook_read(io);
		if (p[0].revents)
			break;
		if (!expired && timeout && mono_ns() >= end) {
			expired = true;
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
		}
	}
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	while (io->out >= 0) { /* its last words */
		struct pollfd p = { .fd = io->out, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0)
			break;
		hook_read(io);
	}
	return expired ? -ETIMEDOUT : 0;
}

static int hook_run(const struct spec_hook *h, const char *state, const char *cwd, struct error *err)
{
	struct hook_io io = { .in = -1, .out = -1, .state = state, .state_len = strlen(state) };
	int in[2], out[2], status = 0, rc;
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return error_set(err, errno, "pipe");
	if (pipe2(out, O_CLOEXEC) < 0) {
		int e = errno;

		close(in[0]);
		close(in[1]);
		return error_set(err, e, "pipe");
	}
	sigaction(SIGPIPE, &ignore, &old);
	pid = fork();
	if (!pid)
		hook_child(h, cwd, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	io.in = in[1];
	io.out = out[0];
	if (pid < 0) {
		rc = error_set(err, errno, "fork");
	} else {
		fcntl(io.in, F_SETFL, O_NONBLOCK);
		fcntl(io.out, F_SETFL, O_NONBLOCK);
		rc = hook_wait(pid, &io, h->timeout, &status);
		for (size_t i = 0; i < io.output_len; i++)
			if ((unsigned char)io.output[i] < 0x20)
				io.output[i] = ' ';
		if (rc)
			rc = error_set(err, 0, "%s did not end within its timeout of %d s", h->path, h->timeout);
		else if (WIFSIGNALED(status))
			rc = error_set(err, 0, "%s: signal: %s, output: %s", h->path, signal_name(WTERMSIG(status)),
				       io.output);
		else if (WEXITSTATUS(status))
			rc = error_set(err, 0, "%s: exit status %d, output: %s", h->path, WEXITSTATUS(status),
				       io.output);
	}
	if (io.in >= 0)
		close(io.in);
	if (io.out >= 0)
		close(io.out);
	sigaction(SIGPIPE, &old, NULL);
	return rc;
}

char *hook_state(const struct state *s, enum container_status status, pid_t pid, struct error *err)
{
	char *out = NULL;

	return state_hook_document(s, status, pid, &out, err) < 0 ? NULL : out;
}

int hooks_run(const struct spec_hooks *hooks, const char *name, const char *state, const char *cwd, struct error *err)
{
	for (size_t i = 0; i < hooks->n; i++)
		if (hook_run(&hooks->v[i], state, cwd, err) < 0)
			return error_wrap(err, "error running %s hook #%zu", name, i);
	return 0;
}

void hooks_run_all(const struct spec_hooks *hooks, const char *name, const char *state, const char *cwd)
{
	struct error err;

	for (size_t i = 0; i < hooks->n; i++)
		if (hook_run(&hooks->v[i], state, cwd, &err) < 0)
			log_warn("%s hook #%zu: %s", name, i, err.text);
}
