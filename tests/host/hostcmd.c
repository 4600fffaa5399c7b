/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command of the emulated host: its streams, its process group and its
 * cgroup.  Runs in the port server that got the request.
 */
#include "hostcmd.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostproto.h"

#define KILL_GRACE 2 /* seconds from SIGTERM to SIGKILL */

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -errno : 0;
}

/* ---- cgroup of a command ---- */

static void cgroup_make(struct command *c, const char *top, unsigned int port)
{
	static unsigned int seq;

	snprintf(c->cgroup, sizeof(c->cgroup), "%s/exec-%u-%u", top, port, seq++);
	if (mkdir(c->cgroup, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr, "hostd: %s: %s\n", c->cgroup, strerror(errno));
		c->cgroup[0] = 0;
	}
}

static void cgroup_enter(const struct command *c)
{
	char path[300];
	int r;

	if (!c->cgroup[0])
		return;
	snprintf(path, sizeof(path), "%s/cgroup.procs", c->cgroup);
	r = file_write(path, "0");
	if (r < 0)
		fprintf(stderr, "hostd: %s: %s\n", path, strerror(-r));
}

static void cgroup_signal(const char *cgroup, int sig)
{
	char path[300];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fscanf(f, "%d", &pid) == 1)
		if (pid > 1 && pid != getpid())
			kill(pid, sig);
	fclose(f);
}

void command_signal(const struct command *c, int sig)
{
	if (!c->pid)
		return;
	kill(-c->pid, sig);
	if (sig == SIGKILL && c->cgroup[0])
		cgroup_signal(c->cgroup, sig);
}

void command_resize(const struct command *c, unsigned short rows, unsigned short cols)
{
	if (c->pty >= 0)
		ioctl(c->pty, TIOCSWINSZ, &(struct winsize){ .ws_row = rows, .ws_col = cols });
}

void command_close(struct command *c)
{
	fd_close(&c->in);
	fd_close(&c->out);
	fd_close(&c->err);
	fd_close(&c->pty);
}

/* What the helper of command_end() does: SIGTERM was sent; wait, then kill, then remove the group. */
static _Noreturn void command_kill(const struct command *c)
{
	for (int i = 0; i < KILL_GRACE * 10 && kill(-c->pid, 0) == 0; i++)
		usleep(100000);
	kill(-c->pid, SIGKILL);
	/* a fork bomb outruns one pass */
	for (int i = 0; c->cgroup[0] && i < 100; i++) {
		cgroup_signal(c->cgroup, SIGKILL);
		if (rmdir(c->cgroup) == 0 || errno == ENOENT)
			break;
		usleep(20000);
	}
	_exit(0);
}

void command_end(struct command *c)
{
	command_close(c);
	if (c->pid) {
		kill(-c->pid, SIGTERM);
		if (c->cgroup[0])
			cgroup_signal(c->cgroup, SIGTERM);
		/* aside, so that the port is free for the next client meanwhile */
		if (fork() == 0)
			command_kill(c);
	} else if (c->cgroup[0]) {
		rmdir(c->cgroup); /* stays when a daemon lives in it */
	}
	c->pid = 0;
	c->cgroup[0] = 0;
}

/* ---- starting a command ---- */

static _Noreturn void command_exec(const struct command *c, const struct host_start *st, const char *cwd, char **env,
				   char **argv, int in, int out, int err)
{
	struct rlimit nofile = { 65536, 1048576 }, core = { 0, RLIM_INFINITY };
	sigset_t none;

	setsid();
	if (st->flags & HOST_F_TTY)
		ioctl(in, TIOCSCTTY, 0);
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	if (in > 2)
		close(in);
	if (out > 2)
		close(out);
	if (err > 2 && err != out)
		close(err);
	cgroup_enter(c);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setrlimit(RLIMIT_NOFILE, &nofile);
	setrlimit(RLIMIT_CORE, &core);
	umask(022);
	if (chdir(cwd) < 0 && chdir("/") < 0)
		_exit(126);
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("USER", "root", 1);
	setenv("TERM", "xterm", 1);
	setenv("LANG", "C.UTF-8", 1);
	setenv("HUSK_EMULATED_HOST", "1", 1);
	for (; *env; env++)
		putenv(*env);
	execvp(argv[0], argv);
	fprintf(stderr, "host: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* The command's streams: fd[] are its own ends. */
static int streams_make(struct command *c, const struct host_start *st, int fd[3])
{
	int p[2];

	if (st->flags & HOST_F_TTY) {
		struct winsize ws = { .ws_row = st->rows, .ws_col = st->cols };

		if (openpty(&c->pty, &fd[0], NULL, NULL, &ws) < 0)
			return -errno;
		fcntl(c->pty, F_SETFD, FD_CLOEXEC);
		fcntl(c->pty, F_SETFL, O_NONBLOCK);
		fd[1] = fd[2] = fd[0];
		return 0;
	}
	for (int i = 0; i < 3; i++) {
		int *ours = i == 0 ? &c->in : i == 1 ? &c->out : &c->err;

		if (i == 0 && !(st->flags & HOST_F_STDIN)) {
			fd[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			continue;
		}
		if (pipe2(p, O_CLOEXEC) < 0) {
			int err = errno;

			for (int k = 0; k < i; k++)
				close(fd[k]);
			return -err;
		}
		fd[i] = p[i == 0 ? 0 : 1];
		*ours = p[i == 0 ? 1 : 0];
		fcntl(*ours, F_SETFL, O_NONBLOCK);
	}
	return 0;
}

int command_start(struct command *c, const struct host_start *st, const char *top, unsigned int port, const char *cwd,
		  char **env, char **argv)
{
	int fd[3] = { -1, -1, -1 }, r;

	r = streams_make(c, st, fd);
	if (r < 0) {
		command_close(c);
		return r;
	}
	cgroup_make(c, top, port);
	c->pid = fork();
	if (c->pid == 0)
		command_exec(c, st, cwd, env, argv, fd[0], fd[1], fd[2]);
	r = c->pid < 0 ? -errno : 0;
	if (r < 0)
		c->pid = 0;
	close(fd[0]);
	if (fd[1] != fd[0]) {
		close(fd[1]);
		close(fd[2]);
	}
	return r;
}
