/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that stands for one exec'ed process. Its death by any signal closes the session, and the agent kills the
 * process then; the session breaks when container or VM end, and it ends with 137.
 */
#include "exec_proxy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "pump.h"
#include "title.h"
#include "util.h"

#define EXEC_MAX 65536u

struct relay {
	struct evloop loop;
	struct pump pump;
	struct watch sig_w;
	bool tty;
};

static void on_signal(void *arg, uint32_t events)
{
	struct relay *r = arg;
	struct signalfd_siginfo si;

	(void)events;
	while (read(r->sig_w.fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		int signo = (int)si.ssi_signo;

		if (signo == SIGCHLD || signo == SIGURG || (signo == SIGPIPE && si.ssi_pid == (uint32_t)getpid()))
			continue;
		if (signo == SIGWINCH && r->tty)
			pump_resize(&r->pump);
		else
			pump_signal(&r->pump, signo);
	}
}

static void on_end(void *arg)
{
	struct relay *r = arg;

	r->loop.stop = true;
}

/* Become a process of our own: nothing of the caller's stays open or attached. */
static void detach(const struct exec_params *p, int fds[3])
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int keep[5];

	for (int i = 0; i < 3; i++)
		fds[i] = fcntl(p->console >= 0 ? p->console : i, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	memcpy(keep, fds, 3 * sizeof(int));
	keep[3] = p->s->fd;
	keep[4] = p->dirfd;
	fds_keep_only(keep, 5);
	setsid();
	prctl(PR_SET_PDEATHSIG, 0);
	umask(022);
	if (p->console >= 0)
		ioctl(fds[0], TIOCSCTTY, 0);
	title_set(p->args);
}

/* Background processes of the ended process hold its stdout or stderr: somebody must go on reading, not us. */
static void linger(struct relay *r)
{
	pid_t pid = fork();

	if (pid)
		return;
	setsid();
	watch_set(&r->loop, &r->sig_w, 0);
	close(r->sig_w.fd);
	r->loop.stop = false;
	pump_linger(&r->pump);
	evloop_run(&r->loop);
	_exit(0);
}

int exec_relay(const struct exec_params *p)
{
	static struct relay relay;
	struct relay *r = &relay;
	int fds[3] = { 0, 1, 2 };
	sigset_t set;
	int status;

	if (p->detached)
		detach(p, fds);
	else if (p->console >= 0)
		fds[0] = fds[1] = fds[2] = p->console;
	sigprocmask(SIG_SETMASK, NULL, &set);
	*r = (struct relay){ .tty = p->tty };
	if (evloop_init(&r->loop) < 0 || pump_init(&r->pump, &r->loop, p->s, fds, p->tty) < 0)
		return 137;
	if (p->tty && p->detached && fds[2] >= 0)
		close(fds[2]);
	if (p->detached && chdir("/") < 0)
		return 137;
	r->sig_w = (struct watch){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .fn = on_signal, .arg = r };
	r->pump.on_end = on_end;
	r->pump.arg = r;
	if (r->sig_w.fd < 0 || watch_set(&r->loop, &r->sig_w, EPOLLIN) < 0)
		return 137;
	pump_start(&r->pump);
	if (evloop_run(&r->loop) < 0)
		return 137;
	status = pump_status(&r->pump);
	if (pump_lingers(&r->pump))
		linger(r);
	return status;
}

/* ---- who is there ---- */

void exec_record(int dirfd, pid_t pid)
{
	char name[40], text[32];

	snprintf(name, sizeof(name), FILE_EXEC_PREFIX "%d", (int)pid);
	snprintf(text, sizeof(text), "%" PRIu64, process_start_time(pid, NULL));
	file_replace_at(dirfd, name, text, strlen(text), 0600);
}

void exec_forget(int dirfd, pid_t pid)
{
	char name[40];

	snprintf(name, sizeof(name), FILE_EXEC_PREFIX "%d", (int)pid);
	unlinkat(dirfd, name, 0);
}

pid_t *exec_list(const struct container *c, size_t *n)
{
	int fd = openat(c->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const size_t prefix = strlen(FILE_EXEC_PREFIX);
	pid_t *pids = NULL;
	struct dirent *e;

	*n = 0;
	if (!d && fd >= 0)
		close(fd);
	while (d && (e = readdir(d)) && *n < EXEC_MAX) {
		CLEAN_FREE char *text = NULL;
		int64_t pid;

		if (strncmp(e->d_name, FILE_EXEC_PREFIX, prefix) || !parse_i64(e->d_name + prefix, 1, INT32_MAX, &pid))
			continue;
		text = file_read_at(c->dirfd, e->d_name, 64, NULL);
		if (!text || !process_alive((pid_t)pid, strtoull(text, NULL, 10)))
			continue;
		pids = xrealloc(pids, (*n + 1) * sizeof(*pids));
		pids[(*n)++] = (pid_t)pid;
	}
	if (d)
		closedir(d);
	return pids;
}
