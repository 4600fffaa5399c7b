/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostd: process 1 of the emulated KVM host.  It reaps, and keeps one port
 * server per virtio-serial port, which runs the commands that `hostc` asks for.
 *
 * usage: hostd CGROUP-DIR
 *
 * CGROUP-DIR is the top of the cgroup hierarchy in which each command gets a
 * group of its own (exec-PORT-N), a child of the top, so that a command can make
 * siblings with every controller.  A command's whole group is ended when its
 * client goes away; what a command leaves behind in the background when it ends
 * by itself (a daemon, say) goes on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostproto.h"

#define OUT_MAX (256u << 10) /* bytes on their way to the client before a command has to wait */
#define KILL_GRACE 2	     /* seconds from SIGTERM to SIGKILL */

struct buf {
	uint8_t *data;
	size_t len, cap;
};

struct session {
	int port;	       /* the virtio-serial port */
	int in, out, err;      /* our ends of the command's streams; -1: closed */
	int pty;	       /* our end of its terminal, or -1; then in and out are -1 */
	pid_t pid;	       /* the command, leader of its session and group; 0: ended */
	struct buf rx, tx;     /* the port's bytes */
	struct buf stdin_data; /* received, not yet taken by the command */
	bool stdin_end;	       /* end of file follows stdin_data */
	bool started;	       /* the request has come */
	bool exited;	       /* the command (or operation) has ended with this status: */
	uint32_t status;
	bool finished; /* the last frame is queued: only the client's closing is awaited */
	int drain_ms;  /* what a terminal's last output may still take */
	char cgroup[256];
};

static const char *cgroup_top;
static unsigned int port_number; /* of this port server */

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
	va_list ap;

	fputs("hostd: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void buf_add(struct buf *b, const void *data, size_t len)
{
	if (len > b->cap - b->len) {
		size_t cap = b->cap ? b->cap : 4096;

		while (len > cap - b->len)
			cap *= 2;
		b->data = realloc(b->data, cap);
		if (!b->data) {
			say("out of memory");
			_exit(1);
		}
		b->cap = cap;
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void buf_drop(struct buf *b, size_t n)
{
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

static void frame_add(struct session *s, uint32_t type, const void *data, uint32_t len)
{
	struct host_frame f = { type, len };

	buf_add(&s->tx, &f, sizeof(f));
	buf_add(&s->tx, data, len);
}

static void error_add(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void error_add(struct session *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	frame_add(s, HOST_ERROR, text, (uint32_t)n);
	s->finished = true;
}

static int file_write(const char *path, const char *text)
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

static void cgroup_make(struct session *s, unsigned int seq)
{
	snprintf(s->cgroup, sizeof(s->cgroup), "%s/exec-%u-%u", cgroup_top, port_number, seq);
	if (mkdir(s->cgroup, 0755) < 0 && errno != EEXIST) {
		say("%s: %s", s->cgroup, strerror(errno));
		s->cgroup[0] = 0;
	}
}

static void cgroup_enter(const struct session *s)
{
	char path[300];
	int r;

	if (!s->cgroup[0])
		return;
	snprintf(path, sizeof(path), "%s/cgroup.procs", s->cgroup);
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

/*
 * End what is left of a command whose client has gone.  Runs aside, so that the
 * port is free for the next one meanwhile.
 */
static void command_end(struct session *s)
{
	pid_t pid;

	if (!s->pid)
		return;
	kill(-s->pid, SIGTERM);
	if (s->cgroup[0])
		cgroup_signal(s->cgroup, SIGTERM);
	pid = fork();
	if (pid)
		return;
	fd_close(&s->port);
	for (int i = 0; i < KILL_GRACE * 10 && kill(-s->pid, 0) == 0; i++)
		usleep(100000);
	kill(-s->pid, SIGKILL);
	/* a fork bomb outruns one pass */
	for (int i = 0; s->cgroup[0] && i < 50; i++) {
		cgroup_signal(s->cgroup, SIGKILL);
		if (rmdir(s->cgroup) == 0 || errno == ENOENT)
			break;
		usleep(20000);
	}
	_exit(0);
}

/* ---- starting a command ---- */

/* The next of the NUL-terminated strings in [*p, end), or NULL when there is none. */
static char *string_next(char **p, const char *end)
{
	char *s = *p, *nul = memchr(s, 0, (size_t)(end - s));

	if (!nul)
		return NULL;
	*p = nul + 1;
	return s;
}

static void clock_follow(int64_t realtime_ns)
{
	struct timespec now, want = { realtime_ns / 1000000000, realtime_ns % 1000000000 };
	int64_t off;

	clock_gettime(CLOCK_REALTIME, &now);
	off = (int64_t)(want.tv_sec - now.tv_sec) * 1000 + (want.tv_nsec - now.tv_nsec) / 1000000;
	if (off > 500 || off < -500)
		clock_settime(CLOCK_REALTIME, &want);
}

static _Noreturn void command_exec(const struct session *s, const struct host_start *st, char *cwd, char **env,
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
	cgroup_enter(s);
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
static int streams_make(struct session *s, const struct host_start *st, int fd[3])
{
	int p[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };

	if (st->flags & HOST_F_TTY) {
		struct winsize ws = { .ws_row = st->rows, .ws_col = st->cols };

		if (openpty(&s->pty, &fd[0], NULL, NULL, &ws) < 0)
			return -errno;
		fcntl(s->pty, F_SETFD, FD_CLOEXEC);
		fcntl(s->pty, F_SETFL, O_NONBLOCK);
		fd[1] = fd[2] = fd[0];
		return 0;
	}
	if (st->flags & HOST_F_STDIN) {
		if (pipe2(p[0], O_CLOEXEC) < 0)
			return -errno;
	} else {
		p[0][0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	if (pipe2(p[1], O_CLOEXEC) < 0 || pipe2(p[2], O_CLOEXEC) < 0)
		return -errno; /* the session ends, and its process with it */
	s->in = p[0][1];
	s->out = p[1][0];
	s->err = p[2][0];
	if (s->in >= 0)
		fcntl(s->in, F_SETFL, O_NONBLOCK);
	fcntl(s->out, F_SETFL, O_NONBLOCK);
	fcntl(s->err, F_SETFL, O_NONBLOCK);
	fd[0] = p[0][0];
	fd[1] = p[1][1];
	fd[2] = p[2][1];
	return 0;
}

static void command_start(struct session *s, const struct host_start *st, char *p, const char *end)
{
	static unsigned int seq;
	char **v, *cwd;
	int fd[3] = { -1, -1, -1 }, r;
	uint32_t n = 0;

	cwd = string_next(&p, end);
	if (!cwd || !st->argc || st->envc > 4096 || st->argc > HOST_FRAME_MAX / 2) {
		error_add(s, "malformed request");
		return;
	}
	v = calloc((size_t)st->envc + st->argc + 2, sizeof(*v));
	if (!v) {
		error_add(s, "out of memory");
		return;
	}
	for (; n < st->envc + st->argc; n++) {
		char *t = string_next(&p, end);

		if (!t) {
			error_add(s, "malformed request");
			goto out;
		}
		v[n < st->envc ? n : n + 1] = t;
	}
	cgroup_make(s, seq++);
	r = streams_make(s, st, fd);
	if (r < 0) {
		error_add(s, "cannot make the command's streams: %s", strerror(-r));
		goto out;
	}
	s->pid = fork();
	if (s->pid == 0)
		command_exec(s, st, cwd, v, v + st->envc + 1, fd[0], fd[1], fd[2]);
	if (s->pid < 0) {
		s->pid = 0;
		error_add(s, "fork: %s", strerror(errno));
	}
	close(fd[0]);
	if (fd[1] != fd[0]) {
		close(fd[1]);
		close(fd[2]);
	}
out:
	free(v);
}

static void start_handle(struct session *s, uint64_t nonce, uint8_t *data, uint32_t len)
{
	struct host_start st;

	if (len < sizeof(st)) {
		error_add(s, "malformed request");
		return;
	}
	memcpy(&st, data, sizeof(st));
	if (st.nonce != nonce) {
		error_add(s, "request of another session");
		return;
	}
	clock_follow(st.realtime_ns);
	switch (st.op) {
	case HOST_OP_EXEC:
		command_start(s, &st, (char *)data + sizeof(st), (char *)data + len);
		return;
	case HOST_OP_REFRESH:
		sync();
		file_write("/proc/sys/vm/drop_caches", "3");
		break;
	case HOST_OP_SYNC:
		sync();
		break;
	case HOST_OP_PING:
		break;
	default:
		error_add(s, "unknown operation %u", st.op);
		return;
	}
	s->exited = true;
}

/* ---- a running session ---- */

static void frame_handle(struct session *s, const struct host_frame *f, const uint8_t *data)
{
	uint32_t sig;
	uint16_t size[2];

	switch (f->type) {
	case HOST_STDIN:
		if (f->len)
			buf_add(&s->stdin_data, data, f->len);
		else
			s->stdin_end = true;
		break;
	case HOST_SIGNAL:
		if (f->len != sizeof(sig))
			break;
		memcpy(&sig, data, sizeof(sig));
		if (s->pid && sig < 65) {
			kill(-s->pid, (int)sig);
			if (sig == SIGKILL && s->cgroup[0])
				cgroup_signal(s->cgroup, SIGKILL);
		}
		break;
	case HOST_WINCH:
		if (f->len != sizeof(size) || s->pty < 0)
			break;
		memcpy(size, data, sizeof(size));
		ioctl(s->pty, TIOCSWINSZ, &(struct winsize){ .ws_row = size[0], .ws_col = size[1] });
		break;
	case HOST_PING:
		frame_add(s, HOST_PONG, NULL, 0);
		break;
	}
}

/* Returns false when the client has gone or talks nonsense. */
static bool port_read(struct session *s, uint64_t nonce)
{
	uint8_t tmp[16384];
	ssize_t n = read(s->port, tmp, sizeof(tmp));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		return false;
	if (n > 0)
		buf_add(&s->rx, tmp, (size_t)n);
	for (;;) {
		struct host_frame f;

		if (s->rx.len < sizeof(f))
			return true;
		memcpy(&f, s->rx.data, sizeof(f));
		if (f.len > (f.type == HOST_START ? HOST_FRAME_MAX : HOST_DATA_MAX))
			return false;
		if (s->rx.len - sizeof(f) < f.len)
			return true;
		if (!s->started) {
			if (f.type != HOST_START)
				return false;
			s->started = true;
			start_handle(s, nonce, s->rx.data + sizeof(f), f.len);
		} else {
			frame_handle(s, &f, s->rx.data + sizeof(f));
		}
		buf_drop(&s->rx, sizeof(f) + f.len);
		if (s->stdin_data.len > HOST_STDIN_WINDOW)
			return false;
	}
}

static void stdin_feed(struct session *s)
{
	int fd = s->pty >= 0 ? s->pty : s->in;

	if (fd >= 0 && s->stdin_data.len) {
		ssize_t n = write(fd, s->stdin_data.data, s->stdin_data.len);

		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			/* nobody reads any more: take it all, so that the client goes on */
			n = (ssize_t)s->stdin_data.len;
			fd_close(&s->in);
		}
		if (n > 0) {
			uint32_t credit = (uint32_t)n;

			buf_drop(&s->stdin_data, (size_t)n);
			frame_add(s, HOST_CREDIT, &credit, sizeof(credit));
		}
	} else if (s->stdin_data.len) {
		uint32_t credit = (uint32_t)s->stdin_data.len;

		s->stdin_data.len = 0;
		frame_add(s, HOST_CREDIT, &credit, sizeof(credit));
	}
	if (s->stdin_end && !s->stdin_data.len) {
		if (s->pty >= 0 && fd >= 0 && write(s->pty, "\004", 1) < 0)
			return;
		s->stdin_end = false;
		fd_close(&s->in);
	}
}

/* Take what a stream has.  Returns true when there was something. */
static bool stream_read(struct session *s, int *fd, uint32_t type)
{
	uint8_t tmp[HOST_DATA_MAX];
	ssize_t n;

	if (*fd < 0 || s->tx.len > OUT_MAX)
		return false;
	n = read(*fd, tmp, sizeof(tmp));
	if (n > 0) {
		frame_add(s, type, tmp, (uint32_t)n);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		fd_close(fd); /* EIO: a terminal that nobody has open any more */
	return false;
}

static void children_reap(struct session *s)
{
	int st;
	pid_t pid;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		if (pid != s->pid)
			continue;
		s->status = WIFSIGNALED(st) ? 128u + (uint32_t)WTERMSIG(st) : (uint32_t)WEXITSTATUS(st);
		s->pid = 0;
		s->exited = true;
	}
}

static void streams_close(struct session *s)
{
	fd_close(&s->in);
	fd_close(&s->out);
	fd_close(&s->err);
	fd_close(&s->pty);
}

/*
 * After the command's end all that it wrote is in the pipes, so read until they
 * are empty, not until they are closed: a daemon may hold them.  A terminal
 * delivers a little later; it has drain_ms unless everybody has closed it.
 */
static bool session_drained(struct session *s)
{
	bool more = stream_read(s, &s->pty, HOST_STDOUT);

	more |= stream_read(s, &s->out, HOST_STDOUT);
	more |= stream_read(s, &s->err, HOST_STDERR);
	if (more || s->tx.len > OUT_MAX)
		return false;
	return s->pty < 0 || s->drain_ms <= 0;
}

static void session_progress(struct session *s)
{
	if (s->finished)
		return;
	stdin_feed(s);
	if (!s->exited) {
		stream_read(s, &s->pty, HOST_STDOUT);
		stream_read(s, &s->out, HOST_STDOUT);
		stream_read(s, &s->err, HOST_STDERR);
	} else if (session_drained(s)) {
		frame_add(s, HOST_EXIT, &s->status, sizeof(s->status));
		s->finished = true;
		streams_close(s);
	}
}

/* Until the client has gone. */
static void session_loop(struct session *s, uint64_t nonce, int sigfd)
{
	for (;;) {
		bool room = s->tx.len <= OUT_MAX, feed = s->stdin_data.len || s->stdin_end;
		bool drain = s->exited && !s->finished;
		struct pollfd p[] = {
			{ s->port, (short)(POLLIN | (s->tx.len ? POLLOUT : 0)), 0 },
			{ sigfd, POLLIN, 0 },
			{ feed ? s->in : -1, POLLOUT, 0 },
			{ room ? s->out : -1, POLLIN, 0 },
			{ room ? s->err : -1, POLLIN, 0 },
			{ room ? s->pty : -1, (short)(POLLIN | (feed ? POLLOUT : 0)), 0 },
		};
		struct signalfd_siginfo si;
		int n = poll(p, sizeof(p) / sizeof(p[0]), drain && room ? 10 : -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n == 0)
			s->drain_ms -= 10;
		if (p[0].revents & (POLLHUP | POLLERR))
			return;
		if (p[0].revents & POLLIN && !port_read(s, nonce))
			return;
		if (p[1].revents && read(sigfd, &si, sizeof(si)) > 0)
			children_reap(s);
		session_progress(s);
		if (s->tx.len) {
			ssize_t w = write(s->port, s->tx.data, s->tx.len);

			if (w > 0)
				buf_drop(&s->tx, (size_t)w);
			else if (w < 0 && errno != EAGAIN && errno != EINTR)
				return;
		}
	}
}

/* One session on the port.  Returns when its client has gone. */
static void session_run(const char *dev, int sigfd)
{
	struct session s = { .in = -1, .out = -1, .err = -1, .pty = -1, .drain_ms = 100 };
	struct host_ready ready;
	ssize_t n;

	s.port = open(dev, O_RDWR | O_CLOEXEC);
	if (s.port < 0) {
		say("%s: %s", dev, strerror(errno));
		sleep(1);
		return;
	}
	memcpy(ready.magic, HOST_MAGIC, sizeof(ready.magic));
	if (getrandom(&ready.nonce, sizeof(ready.nonce), 0) < 0)
		ready.nonce = (uint64_t)getpid() << 32 | (uint64_t)time(NULL);
	/* blocks until somebody connects */
	do
		n = write(s.port, &ready, sizeof(ready));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(ready)) {
		fcntl(s.port, F_SETFL, O_NONBLOCK);
		session_loop(&s, ready.nonce, sigfd);
	}
	command_end(&s);
	if (!s.pid && s.cgroup[0])
		rmdir(s.cgroup); /* stays when a daemon lives in it */
	fd_close(&s.port);
	streams_close(&s);
	free(s.rx.data);
	free(s.tx.data);
	free(s.stdin_data.data);
}

static _Noreturn void port_serve(const char *dev)
{
	struct session none = { .pid = 0 };
	sigset_t set;
	int sigfd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	for (;;) {
		children_reap(&none);
		session_run(dev, sigfd);
	}
}

/* ---- process 1 ---- */

/* Find the device of the exec port with this number. */
static bool port_find(unsigned int number, char *dev, size_t size)
{
	char want[64], have[64], path[300];
	DIR *d = opendir("/sys/class/virtio-ports");
	struct dirent *e;
	bool found = false;

	snprintf(want, sizeof(want), HOST_PORT_PREFIX "%u\n", number);
	while (d && !found && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		found = fgets(have, sizeof(have), f) && strcmp(have, want) == 0;
		fclose(f);
		if (found)
			snprintf(dev, size, "/dev/%s", e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static pid_t port_spawn(unsigned int number)
{
	char dev[280];
	pid_t pid;

	/* the ports appear one by one while the kernel and QEMU shake hands */
	for (int i = 0; !port_find(number, dev, sizeof(dev)); i++) {
		if (i == 500) {
			say("no port %u", number);
			return -1;
		}
		usleep(10000);
	}
	pid = fork();
	if (pid == 0) {
		port_number = number;
		port_serve(dev);
	}
	return pid;
}

int main(int argc, char **argv)
{
	pid_t server[HOST_PORTS];

	if (argc != 2) {
		fprintf(stderr, "usage: hostd CGROUP-DIR\n");
		return 2;
	}
	cgroup_top = argv[1];
	for (unsigned int i = 0; i < HOST_PORTS; i++)
		server[i] = port_spawn(i);
	for (;;) {
		pid_t pid = wait(NULL);

		if (pid < 0)
			sleep(1);
		for (unsigned int i = 0; i < HOST_PORTS; i++)
			if (pid > 0 && pid == server[i])
				server[i] = port_spawn(i);
	}
}
