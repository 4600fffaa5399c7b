/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The init proxy: the process that an engine knows as the container. Its pid is in the pid file; its namespaces,
 * root, cgroup and start time are looked at through /proc; its death by any signal ends the container, and its wait
 * status is the container's. It is a single-threaded event loop around one session with the agent.
 *
 * Theory of operation. The life has three parts:
 *
 *   1. Building (proxy_build.c). In new namespaces and the container's cgroup, it starts husk-vmm as its child before
 *      anything else, so that the guest boots while hooks run and shares are opened; hands the shares to the VMM; moves
 *      its root into the container's rootfs, after which it holds no other mount; sends the plan; reports to the
 *      command that cloned it. Any failure here ends it, and the VMM with it (pid namespace, owner socket, PDEATHSIG).
 *   2. Waiting and running (here): requests on proxy.sock, signals, stdio, until EXIT.
 *   3. Ending: output drained, VMM killed and reaped, exit with the guest's status. As pid 1 of its namespace it cannot
 *      die by the same signal, so a signal n shows as 128 + n, as engines print it anyway.
 *
 * The agent may be hostile: what it sends reaches only the session (length-checked), the pump and the container's
 * own stdio.
 */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "container.h"
#include "proxy_internal.h"
#include "sync.h"
#include "util.h"

#define LOG_KEEP (256u << 10) /* bytes of the VMM's output that are kept */

/* ---- the VMM's output ---- */

void proxy_log_drain(struct proxy *x)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(x->log_pipe, buf, sizeof(buf))) > 0) {
		size_t keep = LOG_KEEP - x->log_len;

		if (x->tee >= 0)
			(void)write_all(x->tee, buf, (size_t)n);
		if ((size_t)n < keep)
			keep = (size_t)n;
		if (keep && write_all(x->log_fd, buf, keep) == 0)
			x->log_len += keep;
	}
	if (!n)
		watch_set(&x->loop, &x->log_w, 0);
}

static void on_log(void *arg, uint32_t events)
{
	(void)events;
	proxy_log_drain(arg);
}

/* ---- answering who asked for the start ---- */

static void reply_send(int fd, int status, const struct error *err)
{
	struct proxy_rep rep = { .magic = PROXY_MAGIC, .status = status };

	if (status) {
		rep.len = (uint32_t)strlen(err->text);
		rep.code = (uint32_t)err->code;
	}
	if (send(fd, &rep, sizeof(rep), MSG_NOSIGNAL) == (ssize_t)sizeof(rep) && rep.len)
		send(fd, err->text, rep.len, MSG_NOSIGNAL);
}

static void start_answer(struct proxy *x, const struct error *err)
{
	x->starting = false;
	if (x->starter >= 0) {
		reply_send(x->starter, err ? -1 : 0, err);
		close(x->starter);
		x->starter = -1;
	} else if (x->sync >= 0) {
		sync_send(x->sync, err ? SYNC_ERROR : SYNC_STARTED, 0, err ? err->text : NULL);
	}
}

/* Ask the agent to run the process. The answer comes as a frame of the session. */
static void start_begin(struct proxy *x)
{
	struct error err = { 0 };

	x->starting = true;
	if (proxy_network(x, &err) < 0) {
		start_answer(x, &err);
		return;
	}
	session_put(x->s, WIRE_START, 0, x->p->id, strlen(x->p->id));
	pump_kick(&x->pump);
}

static void on_frame(void *arg, const struct frame *f)
{
	struct proxy *x = arg;
	struct error err = { 0 };

	if (f->h.type == WIRE_OOM) {
		x->oom = true;
		oom_tell_now(&x->oom_tell);
		return;
	}
	if (!x->starting)
		return;
	if (f->h.type == WIRE_ERROR) {
		guest_error(&err, f);
		start_answer(x, &err);
		return;
	}
	if (f->h.type != WIRE_OK)
		return;
	x->started = true;
	x->timeline.ns[STEP_STARTED] = mono_ns();
	timeline_write(x->p->dirfd, FILE_TIMELINE, &x->timeline);
	close(openat(x->p->dirfd, FILE_STARTED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	start_answer(x, NULL);
	pump_start(&x->pump);
}

static void on_end(void *arg)
{
	struct proxy *x = arg;

	x->loop.stop = true;
}

/* ---- requests ---- */

static bool peer_is_owner(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.uid == geteuid();
}

static void on_request(void *arg, uint32_t events)
{
	struct proxy *x = arg;
	CLEAN_FD int fd = accept4(x->p->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval limit = { .tv_sec = 1 };
	struct error err = { 0 };
	struct proxy_req req;

	(void)events;
	if (fd < 0 || !peer_is_owner(fd))
		return;
	/* commands send their request at once; one that does not must not hold us */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (read_all(fd, &req, sizeof(req)) < 0 || req.magic != PROXY_MAGIC)
		return;
	switch (req.op) {
	case PROXY_START:
		if (x->started || x->starting) {
			error_set(&err, 0, "cannot start an already running container");
			reply_send(fd, -1, &err);
			return;
		}
		x->starter = take_fd(&fd);
		start_begin(x);
		return;
	default:
		error_set(&err, EPROTO, "proxy request %u", req.op);
		reply_send(fd, -1, &err);
	}
}

/* The command that cloned us: `run` asks for the start this way. Its end is no event for us any more. */
static void on_sync(void *arg, uint32_t events)
{
	struct proxy *x = arg;
	struct sync_msg m;

	(void)events;
	if (sync_recv(x->sync, &m) < 0) {
		watch_set(&x->loop, &x->sync_w, 0);
		close(x->sync);
		x->sync = -1;
		return;
	}
	if (m.type == SYNC_START && !x->started && !x->starting)
		start_begin(x);
}

/* ---- signals ---- */

void proxy_reap(struct proxy *x)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (oom_tell_reaped(&x->oom_tell, pid))
			continue;
		if (pid == x->vmm) {
			x->vmm = 0;
			x->vmm_status = status;
		}
	}
}

static void on_signal(void *arg, uint32_t events)
{
	struct proxy *x = arg;
	struct signalfd_siginfo si;

	(void)events;
	while (read(x->sig_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		int signo = (int)si.ssi_signo;

		switch (signo) {
		case SIGCHLD:
			proxy_reap(x);
			break;
		case SIGWINCH:
			if (x->p->tty)
				pump_resize(&x->pump);
			else
				pump_signal(&x->pump, signo);
			break;
		case SIGPIPE: /* our own write to a closed pipe, or somebody's kill? */
			if (si.ssi_pid != (uint32_t)getpid())
				pump_signal(&x->pump, signo);
			break;
		default:
			pump_signal(&x->pump, signo);
		}
	}
}

/* ---- end ---- */

void proxy_stop_vmm(struct proxy *x)
{
	if (x->owner >= 0)
		close(x->owner);
	x->owner = -1;
	if (x->vmm <= 0)
		return;
	kill(x->vmm, SIGKILL);
	while (waitpid(x->vmm, &x->vmm_status, 0) < 0 && errno == EINTR)
		;
	x->vmm = 0;
}

/*
 * The VM went away under the container. This is the one time that we write into its stderr: who finds its status 137
 * there looks for the reason in its output, and engines keep no other place for it.
 */
static void vm_end_tell(struct proxy *x)
{
	struct stdio *to = &x->pump.out[x->p->tty ? 0 : 1].io;
	char line[768], text[1024];
	int n;

	if (x->p->joins) {
		snprintf(line, sizeof(line), "the pod's VM ended");
	} else {
		proxy_vm_words(x, line, sizeof(line));
		if (x->vmm)
			snprintf(line, sizeof(line), "the agent in the container's VM broke its session");
		else if (WIFSIGNALED(x->vmm_status))
			snprintf(line, sizeof(line), "husk-vmm, which ran the container, was killed by signal %d",
				 WTERMSIG(x->vmm_status));
	}
	n = snprintf(text, sizeof(text), "husk: the container ended with its VM: %s%s", line,
		     x->p->tty ? "\r\n" : "\n");
	if (to->fd >= 0 && n > 0)
		stdio_write(to, &(struct iovec){ .iov_base = text, .iov_len = (size_t)n }, 1);
}

static void proxy_end(struct proxy *x) __attribute__((noreturn));
static void proxy_end(struct proxy *x)
{
	struct error err = { 0 };
	int status;

	if (x->starting) {
		error_set(&err, 0,
			  x->pump.exited ? "the container's process ended before it could run its program"
					 : "the container's VM ended");
		start_answer(x, &err);
	}
	if (x->started && !x->pump.exited)
		vm_end_tell(x);
	x->timeline.ns[STEP_EXITED] = mono_ns();
	timeline_write(x->p->dirfd, FILE_TIMELINE, &x->timeline);
	if (x->oom || (x->pump.exited && x->pump.exit.oom)) {
		int fd = openat(x->p->bundle_fd, "oom", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

		if (fd >= 0)
			close(fd);
	}
	oom_tell_finish(&x->oom_tell);
	net_stop(&x->net, x->p->host->net == HOST_NET_PATH);
	status = pump_status(&x->pump);
	proxy_stop_vmm(x);
	pump_free(&x->pump); /* the engine sees the end of stdout when all is done */
	_exit(status);
}

void proxy_main(const struct proxy_params *p)
{
	static struct proxy proxy;
	struct proxy *x = &proxy;
	sigset_t all;

	*x = (struct proxy){
		.p = p,
		.sync = p->sync,
		.starter = -1,
		.owner = -1,
		.ctl = -1,
		.log_pipe = -1,
		.log_fd = -1,
		.tee = -1,
		.net.sock = -1,
		.oom_tell.dir = -1,
	};
	x->timeline.ns[STEP_CREATE] = p->t_begin;
	x->timeline.ns[STEP_PROXY] = mono_ns();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	x->sig_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (x->sig_fd < 0 || evloop_init(&x->loop) < 0)
		_exit(1);

	proxy_build(x); /* ends the process when it fails */

	x->pump.on_frame = on_frame;
	x->pump.on_end = on_end;
	x->pump.arg = x;
	x->sig_w = (struct watch){ .fd = x->sig_fd, .fn = on_signal, .arg = x };
	x->sync_w = (struct watch){ .fd = x->sync, .fn = on_sync, .arg = x };
	x->listen_w = (struct watch){ .fd = p->listen_fd, .fn = on_request, .arg = x };
	x->log_w = (struct watch){ .fd = x->log_pipe, .fn = on_log, .arg = x };
	watch_set(&x->loop, &x->sig_w, EPOLLIN);
	watch_set(&x->loop, &x->sync_w, EPOLLIN);
	watch_set(&x->loop, &x->listen_w, EPOLLIN);
	if (x->log_pipe >= 0)
		watch_set(&x->loop, &x->log_w, EPOLLIN);
	evloop_run(&x->loop);
	proxy_end(x);
}
