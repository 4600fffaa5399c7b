/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that the host asked for, from clone3 to EXIT. The loop runs this; the child's side is
 * setup.c. The child, and whoever may trace it, controls the messages on `sync`; any process of a
 * container controls when its own ends.
 *
 * Two things end a child's construction: a REPORT_FAULT (then its reaping), or the end of `sync`
 * after REPORT_EXEC, which execve closes. The end of `sync` without either means that it was
 * killed.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone.h"
#include "container.h"
#include "report.h"
#include "session.h"
#include "sys.h"
#include "util.h"

#define PATIENCE_NS (2 * NS_PER_S)
#define KILLED_EARLY "the process was killed while it was being set up"

static struct process *processes;

static void process_free(struct process *p)
{
	for (struct process **q = &processes; *q; q = &(*q)->next) {
		if (*q == p) {
			*q = p->next;
			break;
		}
	}
	if (p->s)
		session_set_process(p->s, NULL);
	watch_close(&p->sync);
	timer_stop(&p->patience);
	relay_close(&p->io);
	fd_close(&p->pidfd);
	free(p);
}

/* ---- the child's messages ---- */

/*
 * Construction failed; answered when the child has been reaped, so that nothing of it is left then.
 */
static void build_failed(struct process *p, const struct fault *f)
{
	if (!p->failed) {
		p->failed = true;
		p->fault = *f;
	}
	watch_close(&p->sync);
	if (p->pid || p->helper) {
		(void)sys_pidfd_send_signal(p->pidfd, SIGKILL);
		return;
	}
	/* the helper ended without a child proper: nothing is left to reap */
	p->state = PROCESS_DEAD;
	container_process_failed(p, &p->fault);
	process_free(p);
}

static void sync_fail(struct process *p, int err, const char *what)
{
	struct fault f;

	(void)fault_set(&f, STAGE_SETUP, err, "%s", what);
	build_failed(p, &f);
}

/* The end of `sync`: execve has closed it, or the child is dead. */
static void sync_end(struct process *p)
{
	watch_close(&p->sync);
	if (!p->execs) {
		sync_fail(p, ECANCELED, KILLED_EARLY);
		return;
	}
	p->state = PROCESS_RUNNING;
	container_process_started(p);
}

/* The helper has cloned the child proper, our child as well. It waits for go. */
static void sync_pid(struct process *p, uint32_t pid)
{
	int fd;

	if (!p->helper || p->pid || (int32_t)pid <= 0) {
		sync_fail(p, EPROTO, "unexpected message of the child");
		return;
	}
	fd = (int)sys_result(syscall(SYS_pidfd_open, (pid_t)pid, 0));
	if (fd < 0) {
		sync_fail(p, fd, KILLED_EARLY);
		return;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fd_close(&p->pidfd);
	p->pidfd = fd;
	p->pid = (pid_t)pid;
	if (!p->s || report_go(p->sync.fd)) /* hung up meanwhile: it must not run */
		sync_fail(p, EPIPE, "let the child go on");
}

static void sync_message(struct process *p, const struct report *r, int fd)
{
	int err;

	switch (r->kind) {
	case REPORT_PID:
		sync_pid(p, r->value);
		return;
	case REPORT_MAPS:
		if (p->state == PROCESS_BUILDING && p->is_init) {
			container_process_maps(p);
			return;
		}
		break;
	case REPORT_TTY:
		err = relay_set_tty(&p->io, fd);
		if (err)
			sync_fail(p, err, "terminal");
		return;
	case REPORT_READY:
		if (p->state == PROCESS_BUILDING && p->is_init) {
			p->state = PROCESS_CREATED;
			container_process_ready(p);
			return;
		}
		break;
	case REPORT_EXEC:
		if (p->state == (p->is_init ? PROCESS_STARTING : PROCESS_BUILDING) && !p->execs) {
			p->execs = true;
			return;
		}
		break;
	case REPORT_FAULT: /* it ends by itself, with an exit status that tells as much */
		p->failed = true;
		p->fault = r->fault;
		watch_close(&p->sync);
		timer_start(&p->patience, PATIENCE_NS);
		return;
	}
	sync_fail(p, EPROTO, "unexpected message of the child");
}

/* One message. False when there is none. */
static bool sync_receive(struct process *p)
{
	struct report r;
	int fd, n;

	n = report_receive(p->sync.fd, &r, &fd);
	if (n == -EAGAIN)
		return false;
	if (n == 1)
		sync_message(p, &r, fd);
	else if (n == 0)
		sync_end(p);
	else
		sync_fail(p, EPROTO, "bad message of the child");
	return true;
}

/*
 * All that the child has said. The end after REPORT_EXEC is among it, if it is there: the answer
 * goes before the output.
 */
static void sync_drain(struct process *p)
{
	while (p->sync.fd >= 0 && sync_receive(p))
		;
}

static void sync_readable(void *arg, uint32_t events)
{
	(void)events;
	sync_drain(arg);
}

/* ---- spawn ---- */

static void patience_over(void *arg)
{
	struct process *p = arg;

	if (p->state != PROCESS_DEAD)
		(void)sys_pidfd_send_signal(p->pidfd, SIGKILL);
	else
		relay_settle(&p->io);
}

static void on_settled(void *arg)
{
	process_finish(arg);
}

struct process *process_spawn(struct session *s, struct container *c, struct setup *setup, bool tty, int cgroup,
			      int pid_ns, uint32_t uid, uint32_t gid, struct fault *f)
{
	struct process *p = calloc(1, sizeof(*p));
	int pair[2] = { -1, -1 }, r, pid;

	if (!p || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		(void)fault_set(f, STAGE_SETUP, errno, "new process");
		free(p);
		return NULL;
	}
	p->c = c;
	p->s = s;
	p->is_init = !setup->is_exec;
	p->pidfd = -1;
	p->sync = (struct watch){ .fd = pair[0], .fn = sync_readable, .arg = p };
	p->patience = (struct timer){ .fn = patience_over, .arg = p };
	r = relay_init(&p->io, s, tty, uid, gid, setup->stdio);
	p->io.on_settled = on_settled;
	p->io.arg = p;
	if (r == 0)
		r = watch_set(&p->sync, EPOLLIN);
	setup->sync = pair[1];
	pid = r ? r : clone_child(setup, cgroup, pid_ns, &p->pidfd);
	close(pair[1]);
	for (int i = 0; i < 3 && !r; i++)
		fd_close(&setup->stdio[i]);
	p->next = processes;
	processes = p;
	if (pid < 0) {
		(void)fault_set(f, STAGE_SETUP, pid, "new process");
		p->s = NULL;
		process_free(p);
		return NULL;
	}
	fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
	if (setup->second_clone)
		p->helper = pid;
	else
		p->pid = pid;
	session_set_process(s, p);
	return p;
}

/* ---- life ---- */

void process_start(struct process *p)
{
	p->state = PROCESS_STARTING;
	if (report_go(p->sync.fd))
		sync_fail(p, ECANCELED, "the process was killed before it was started");
}

int process_signal(struct process *p, int signo)
{
	if (p->state == PROCESS_DEAD) {
		if (p->exit_sent)
			return -ESRCH;
		/*
		 * dead, but its output waits for a stalled host: whoever kills wants to see the end
		 */
		if (signo == SIGKILL)
			relay_settle(&p->io);
		return 0;
	}
	if (p->pidfd < 0)
		return -ESRCH;
	return sys_pidfd_send_signal(p->pidfd, signo);
}

void process_hangup(struct process *p)
{
	p->s = NULL;
	relay_close(&p->io);
	if (p->state == PROCESS_DEAD) {
		if (p->is_init && p->c)
			container_hangup(p);
		else
			process_free(p);
		return;
	}
	if (p->pidfd >= 0)
		(void)sys_pidfd_send_signal(p->pidfd, SIGKILL);
	if (p->is_init && p->c)
		container_hangup(p);
}

/* Dead, and the container agrees: report when all output is through. */
void process_finish(struct process *p)
{
	if (p->state != PROCESS_DEAD || p->exit_sent)
		return;
	if (!p->io.exited) { /* begins to settle; may call us back before it returns */
		if (p->exit.signal)
			timer_start(&p->patience, PATIENCE_NS);
		relay_exited(&p->io);
		return;
	}
	if (!relay_settled(&p->io))
		return;
	p->exit_sent = true;
	timer_stop(&p->patience);
	if (p->s)
		session_frame(p->s, WIRE_EXIT, 0, &p->exit, sizeof(p->exit));
	container_process_gone(p);
	/* what background processes still write goes on to the session, until the host closes it */
	if (!p->s && !(p->is_init && p->c))
		process_free(p);
}

/* The child is reaped, and all that it said has been read. */
static void process_died(struct process *p, int status, uint64_t user_us, uint64_t system_us)
{
	enum process_state was = p->state;

	p->exit = (struct wire_exit){
		.code = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
		.signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0,
		.user_us = user_us,
		.system_us = system_us,
	};
	p->state = PROCESS_DEAD;
	if (p->failed && was == PROCESS_BUILDING) {
		container_process_failed(p, &p->fault);
		process_free(p);
		return;
	}
	if (p->failed && was == PROCESS_STARTING)
		container_process_failed(p, &p->fault);
	container_process_dead(p);
}

/* A helper has ended: the child proper is known by now, or will never be. */
static void helper_died(struct process *p)
{
	sync_drain(p);
	p->helper = 0;
	if (!p->pid)
		sync_fail(p, ECANCELED, KILLED_EARLY);
}

static struct process *process_of(pid_t pid)
{
	struct process *p = processes;

	while (p && p->pid != pid && p->helper != pid)
		p = p->next;
	return p;
}

bool process_reaped(pid_t pid, int status, uint64_t user_us, uint64_t system_us)
{
	struct process *p, *next;

	/* a helper's sibling may be dead before we have read that it exists */
	for (p = processes; p; p = next) {
		next = p->next;
		if (p->helper && !p->pid && p->helper != pid)
			sync_drain(p);
	}
	p = process_of(pid);
	if (!p)
		return false;
	if (p->helper == pid) {
		helper_died(p);
		return true;
	}
	sync_drain(p);
	if (p->sync.fd >= 0) /* a hook's child has a copy: no more will come from ours */
		sync_end(p);
	process_died(p, status, user_us, system_us);
	return true;
}

void process_orphan_all(struct container *c)
{
	struct process *next;

	for (struct process *p = processes; p; p = next) {
		next = p->next;
		if (p->c != c)
			continue;
		p->c = NULL;
		if (p->state == PROCESS_DEAD && !p->s)
			process_free(p);
	}
}
