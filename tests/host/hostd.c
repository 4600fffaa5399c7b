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
 *
 * A port that nobody has open always polls as hung up, so a server waits for a
 * client in a blocking write, and polls only while one is connected.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostcmd.h"
#include "hostproto.h"

#define OUT_MAX (256u << 10) /* bytes on their way to the client before a command has to wait */
#define TTY_DRAIN_MS 100

struct buf {
	uint8_t *data;
	size_t len, cap;
};

enum phase {
	IDLE,	 /* looking for HELLO */
	GREETED, /* READY is sent, START is awaited */
	RUNNING,
	ENDED, /* the command or operation has ended; its last output is on its way */
};

/* A port, and the session on it */
struct server {
	int fd;
	int sigfd; /* SIGCHLD */
	unsigned int number;
	const char *cgroup_top;
	struct buf rx, tx;
	enum phase phase;
	uint64_t nonce;
	struct command cmd;
	uint32_t status;
	struct buf in;	  /* stdin, not yet taken by the command */
	bool in_end;	  /* end of file follows */
	int tty_patience; /* ms that a terminal's last output may still take */
};

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
	if (n)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

static void frame_add(struct server *s, uint32_t type, const void *data, uint32_t len)
{
	struct host_frame f = { type, len };

	buf_add(&s->tx, &f, sizeof(f));
	buf_add(&s->tx, data, len);
}

static void session_end(struct server *s)
{
	command_end(&s->cmd);
	s->in.len = 0;
	s->in_end = false;
	s->phase = IDLE;
}

static void session_refuse(struct server *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void session_refuse(struct server *s, const char *fmt, ...)
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
	session_end(s);
}

/* ---- the request ---- */

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

static void exec_handle(struct server *s, const struct host_start *st, char *p, const char *end)
{
	char **v, *cwd = string_next(&p, end);
	int r;

	if (!cwd || !st->argc || st->envc > HOST_FRAME_MAX / 2 || st->argc > HOST_FRAME_MAX / 2) {
		session_refuse(s, "malformed request");
		return;
	}
	/* env, NULL, argv, NULL */
	v = calloc((size_t)st->envc + st->argc + 2, sizeof(*v));
	if (!v) {
		session_refuse(s, "out of memory");
		return;
	}
	for (uint32_t n = 0; n < st->envc + st->argc; n++) {
		char *t = string_next(&p, end);

		if (!t) {
			free(v);
			session_refuse(s, "malformed request");
			return;
		}
		v[n < st->envc ? n : n + 1] = t;
	}
	r = command_start(&s->cmd, st, s->cgroup_top, s->number, cwd, v, v + st->envc + 1);
	free(v);
	if (r < 0)
		session_refuse(s, "cannot start the command: %s", strerror(-r));
	else
		s->phase = RUNNING;
}

static void start_handle(struct server *s, uint8_t *data, uint32_t len)
{
	struct host_start st;

	if (len < sizeof(st)) {
		session_refuse(s, "malformed request");
		return;
	}
	memcpy(&st, data, sizeof(st));
	frame_add(s, HOST_STARTED, NULL, 0);
	clock_follow(st.realtime_ns);
	s->status = 0;
	s->tty_patience = TTY_DRAIN_MS;
	switch (st.op) {
	case HOST_OP_EXEC:
		exec_handle(s, &st, (char *)data + sizeof(st), (char *)data + len);
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
		session_refuse(s, "unknown operation %u", st.op);
		return;
	}
	s->phase = ENDED;
}

/* ---- frames from the client ---- */

static void hello_handle(struct server *s, const uint8_t *data, uint32_t len)
{
	struct host_hello ready = { { HOST_READY, sizeof(ready) - sizeof(ready.frame) }, HOST_MAGIC, 0 };

	if (len != sizeof(ready) - sizeof(ready.frame))
		return;
	memcpy(&ready.nonce, data + sizeof(ready.magic), sizeof(ready.nonce));
	if (s->phase != IDLE && ready.nonce == s->nonce)
		return; /* repeated by an impatient client */
	session_end(s);
	s->nonce = ready.nonce;
	s->tx.len = 0;
	buf_add(&s->tx, &ready, sizeof(ready));
	s->phase = GREETED;
}

static void frame_handle(struct server *s, const struct host_frame *f, uint8_t *data)
{
	uint32_t sig;
	uint16_t size[2];

	switch (f->type) {
	case HOST_HELLO:
		hello_handle(s, data, f->len);
		break;
	case HOST_START:
		if (s->phase == GREETED)
			start_handle(s, data, f->len);
		break;
	case HOST_STDIN:
		if (f->len)
			buf_add(&s->in, data, f->len);
		else
			s->in_end = true;
		break;
	case HOST_SIGNAL:
		if (f->len != sizeof(sig))
			break;
		memcpy(&sig, data, sizeof(sig));
		if (sig <= (uint32_t)SIGRTMAX)
			command_signal(&s->cmd, (int)sig);
		break;
	case HOST_WINCH:
		if (f->len != sizeof(size))
			break;
		memcpy(size, data, sizeof(size));
		command_resize(&s->cmd, size[0], size[1]);
		break;
	case HOST_PING:
		frame_add(s, HOST_PONG, NULL, 0);
		break;
	}
}

/* Bytes to skip until a HELLO, or what may become one, is at the front. */
static size_t hello_seek(const struct buf *b)
{
	struct host_hello h = { { HOST_HELLO, sizeof(h) - sizeof(h.frame) }, HOST_MAGIC, 0 };

	for (size_t i = 0; i < b->len; i++) {
		size_t n = b->len - i < HOST_HELLO_FIXED ? b->len - i : HOST_HELLO_FIXED;

		if (memcmp(b->data + i, &h, n) == 0)
			return i;
	}
	return b->len;
}

static void frames_take(struct server *s)
{
	for (;;) {
		struct host_frame f;

		if (s->phase == IDLE)
			buf_drop(&s->rx, hello_seek(&s->rx));
		if (s->rx.len < sizeof(f))
			return;
		memcpy(&f, s->rx.data, sizeof(f));
		if (f.len > (f.type == HOST_START ? HOST_FRAME_MAX : HOST_DATA_MAX) || s->in.len > HOST_STDIN_WINDOW) {
			/* another client talks in the middle of a dead one's frame */
			session_end(s);
			buf_drop(&s->rx, 1);
			continue;
		}
		if (s->rx.len - sizeof(f) < f.len)
			return;
		frame_handle(s, &f, s->rx.data + sizeof(f));
		buf_drop(&s->rx, sizeof(f) + f.len);
	}
}

/* ---- the command's streams ---- */

static void credit_add(struct server *s, size_t n)
{
	uint32_t credit = (uint32_t)n;

	buf_drop(&s->in, n);
	frame_add(s, HOST_CREDIT, &credit, sizeof(credit));
}

static void stdin_feed(struct server *s)
{
	int *fd = s->cmd.pty >= 0 ? &s->cmd.pty : &s->cmd.in;

	if (s->in.len) {
		ssize_t n = *fd < 0 ? (ssize_t)s->in.len : write(*fd, s->in.data, s->in.len);

		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			/* nobody reads any more: take it all, so that the client goes on */
			n = (ssize_t)s->in.len;
			if (fd == &s->cmd.in) {
				close(*fd);
				*fd = -1;
			}
		}
		if (n > 0)
			credit_add(s, (size_t)n);
	}
	if (s->in_end && !s->in.len) {
		if (s->cmd.pty >= 0) {
			if (write(s->cmd.pty, "\004", 1) < 0 && errno == EAGAIN)
				return;
		} else if (s->cmd.in >= 0) {
			close(s->cmd.in);
			s->cmd.in = -1;
		}
		s->in_end = false;
	}
}

/* Take what a stream has.  Returns true when there was something. */
static bool stream_read(struct server *s, int *fd, uint32_t type)
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
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(*fd); /* EIO: a terminal that nobody has open any more */
		*fd = -1;
	}
	return false;
}

static bool streams_read(struct server *s)
{
	bool any = stream_read(s, &s->cmd.pty, HOST_STDOUT);

	any |= stream_read(s, &s->cmd.out, HOST_STDOUT);
	any |= stream_read(s, &s->cmd.err, HOST_STDERR);
	return any;
}

/*
 * After the command's end all that it wrote is in the pipes, so read until they
 * are empty, not until they are closed: a daemon may hold them.  A terminal
 * delivers a little later; it has some patience unless everybody has closed it.
 */
static bool session_drained(struct server *s)
{
	if (streams_read(s) || s->tx.len > OUT_MAX)
		return false;
	return s->cmd.pty < 0 || s->tty_patience <= 0;
}

static void session_progress(struct server *s)
{
	if (s->phase == RUNNING) {
		stdin_feed(s);
		streams_read(s);
	} else if (s->phase == ENDED && session_drained(s)) {
		frame_add(s, HOST_EXIT, &s->status, sizeof(s->status));
		session_end(s);
	}
}

static void children_reap(struct server *s)
{
	int st;
	pid_t pid;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		if (pid != s->cmd.pid)
			continue;
		s->status = WIFSIGNALED(st) ? 128u + (uint32_t)WTERMSIG(st) : (uint32_t)WEXITSTATUS(st);
		s->cmd.pid = 0;
		s->phase = ENDED;
	}
}

/* ---- the port ---- */

static void port_read(struct server *s)
{
	uint8_t tmp[HOST_DATA_MAX];
	ssize_t n = read(s->fd, tmp, sizeof(tmp));

	if (n > 0)
		buf_add(&s->rx, tmp, (size_t)n);
}

static void port_write(struct server *s)
{
	ssize_t n;

	if (!s->tx.len)
		return;
	n = write(s->fd, s->tx.data, s->tx.len);
	if (n > 0)
		buf_drop(&s->tx, (size_t)n);
}

/*
 * The kernel learns of a hang-up later than of data: what it reports may be the
 * end of an earlier connection while the next client has been greeted already.
 * So it counts only when it lasts; the next client's HELLO ends a dead session
 * at once anyway.
 */
static bool port_hung_up(const struct server *s)
{
	for (int i = 0; i < 10; i++) {
		struct pollfd p = { s->fd, 0, 0 };

		if (poll(&p, 1, 0) == 0)
			return false;
		usleep(10000);
	}
	return true;
}

/* Until nobody is connected any more. */
static void port_poll(struct server *s)
{
	for (;;) {
		bool room = s->tx.len <= OUT_MAX, feed = s->in.len || s->in_end;
		struct command *c = &s->cmd;
		struct pollfd p[] = {
			{ s->fd, (short)(POLLIN | (s->tx.len ? POLLOUT : 0)), 0 },
			{ s->sigfd, POLLIN, 0 },
			{ feed ? c->in : -1, POLLOUT, 0 },
			{ room ? c->out : -1, POLLIN, 0 },
			{ room ? c->err : -1, POLLIN, 0 },
			{ room ? c->pty : -1, (short)(POLLIN | (feed ? POLLOUT : 0)), 0 },
		};
		struct signalfd_siginfo si;
		int n = poll(p, sizeof(p) / sizeof(p[0]), s->phase == ENDED && room ? 10 : -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n == 0)
			s->tty_patience -= 10;
		if (p[0].revents & POLLIN)
			port_read(s);
		if (p[0].revents & (POLLHUP | POLLERR) && port_hung_up(s))
			return;
		frames_take(s);
		if (p[1].revents && read(s->sigfd, &si, sizeof(si)) > 0)
			children_reap(s);
		session_progress(s);
		port_write(s);
	}
}

static _Noreturn void port_serve(struct server *s, const char *dev)
{
	static const struct host_hello nobody = { { HOST_READY, sizeof(nobody) - sizeof(nobody.frame) },
						  HOST_MAGIC,
						  0 };
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->fd = open(dev, O_RDWR | O_CLOEXEC);
	if (s->fd < 0 || s->sigfd < 0) {
		say("%s: %s", dev, strerror(errno));
		sleep(1);
		_exit(1);
	}
	for (;;) {
		ssize_t n;

		fcntl(s->fd, F_SETFL, 0);
		n = write(s->fd, &nobody, sizeof(nobody)); /* blocks until somebody connects */
		fcntl(s->fd, F_SETFL, O_NONBLOCK);
		if (n < 0 && errno != EINTR) {
			say("%s: %s", dev, strerror(errno));
			_exit(1);
		}
		port_poll(s);
		session_end(s);
		s->rx.len = s->tx.len = 0;
		children_reap(s);
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

static pid_t port_spawn(unsigned int number, const char *cgroup_top)
{
	struct server s = { .number = number, .cgroup_top = cgroup_top, .cmd = COMMAND_NONE };
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
	if (pid == 0)
		port_serve(&s, dev);
	return pid;
}

/*
 * A VM that never runs, for as long as the host is up. With the first VM and after the last one KVM has the kernel
 * patch its own code (static keys of preempt notifiers and local APICs), and an emulated CPU that executes the place at
 * that moment may keep what stood there in between for good: both CPUs were seen to take the same int3 for ever.
 */
static void kvm_hold(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0ul);

	if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0ul) < 0 || ioctl(vm, KVM_CREATE_VCPU, 0ul) < 0)
		fprintf(stderr, "hostd: no VM to hold: %s\n", strerror(errno));
	/* the descriptors stay open */
}

int main(int argc, char **argv)
{
	pid_t server[HOST_PORTS];

	if (argc != 2) {
		fprintf(stderr, "usage: hostd CGROUP-DIR\n");
		return 2;
	}
	for (unsigned int i = 0; i < HOST_PORTS; i++)
		server[i] = port_spawn(i, argv[1]);
	kvm_hold();
	for (;;) {
		pid_t pid = wait(NULL);

		if (pid < 0)
			sleep(1);
		for (unsigned int i = 0; i < HOST_PORTS; i++)
			if (pid > 0 && pid == server[i])
				server[i] = port_spawn(i, argv[1]);
	}
}
