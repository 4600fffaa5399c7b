/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostc: run one command in the emulated KVM host that lives in a folder.
 * The other end is hostd; what they say to each other is in hostproto.h.
 *
 * usage: hostc DIR OP [options] [-- CMD ARG...]      (OP: exec, ping, refresh, sync)
 *
 * Each session owns one of the host's ports for its life, held by a lock on
 * DIR/port.N.lock.  Exit status: the command's own (128 + n for signal n); 124
 * at the time limit; 125 when there is no host, or it died, or does not answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "hostproto.h"

#define STATUS_TIMEOUT 124
#define STATUS_NO_HOST 125
#define READY_MS 3000 /* for one port to greet us; then the next one is tried */
#define HELLO_MS 500
#define PING_MS 5000
#define START_MS 20000	   /* for hostd to take the request */
#define STALL_MS 90000	   /* without a sign of life: the host is stuck */
#define KILL_AFTER_MS 3000 /* from SIGTERM to SIGKILL at the time limit */
#define GIVE_UP_MS 10000   /* from SIGKILL to leaving without a status */

struct options {
	const char *dir;
	enum host_op op;
	uint32_t flags;
	int64_t timeout_ms; /* 0: none */
	int64_t wait_ms;    /* for the host to greet us */
	char **env;
	uint32_t envc;
	char **argv;
	uint32_t argc;
};

struct outbuf {
	int fd;
	bool broken; /* nobody reads it any more: drop */
	uint8_t data[HOST_DATA_MAX];
	size_t len;
};

struct client {
	int sock;
	int sigfd;
	uint8_t rx[sizeof(struct host_frame) + HOST_DATA_MAX];
	size_t rxlen;
	struct outbuf out[2]; /* stdout, stderr */
	uint32_t credit;      /* stdin bytes that may be sent */
	bool stdin_open;
	bool started; /* hostd has the request */
	bool done;
	uint32_t status;
	int signals; /* SIGINT, SIGTERM and so on that came so far */
	int64_t kill_at, leave_at;
	bool timed_out;
};

static struct termios tty_saved;
static bool tty_raw;

static void tty_restore(void)
{
	if (tty_raw)
		tcsetattr(0, TCSADRAIN, &tty_saved);
	tty_raw = false;
}

static _Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void fail(const char *fmt, ...)
{
	va_list ap;

	tty_restore();
	fputs("host: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(STATUS_NO_HOST);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sock_write(int sock, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = send(sock, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* the reading side notices the end */
		p += n;
		len -= (size_t)n;
	}
}

static void frame_send(int sock, uint32_t type, const void *data, uint32_t len)
{
	uint8_t tmp[sizeof(struct host_frame) + HOST_DATA_MAX];
	struct host_frame f = { type, len };

	memcpy(tmp, &f, sizeof(f));
	if (len)
		memcpy(tmp + sizeof(f), data, len);
	sock_write(sock, tmp, sizeof(f) + len);
}

/* ---- finding the host ---- */

static uint64_t nonce_make(void)
{
	uint64_t nonce;

	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		nonce = (uint64_t)getpid() << 32 | (uint64_t)now_ms();
	return nonce ? nonce : 1;
}

/* Say hello until hostd answers; its answer may follow the remains of an earlier session. */
static bool port_greeted(int sock, int64_t until)
{
	struct host_hello hello = { { HOST_HELLO, sizeof(hello) - sizeof(hello.frame) }, HOST_MAGIC, nonce_make() };
	struct host_hello want = hello;
	uint8_t win[sizeof(want)];
	size_t have = 0;
	int64_t repeat = 0;

	want.frame.type = HOST_READY;
	for (;;) {
		struct pollfd p = { sock, POLLIN, 0 };
		int64_t now = now_ms();
		ssize_t n;

		if (now >= until)
			return false;
		if (now >= repeat) {
			sock_write(sock, &hello, sizeof(hello));
			repeat = now + HELLO_MS;
		}
		if (poll(&p, 1, (int)((repeat < until ? repeat : until) - now)) <= 0)
			continue;
		n = read(sock, win + have, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		have++;
		/* keep the longest end of what came that can still become the answer */
		while (have && memcmp(win, &want, have) != 0)
			memmove(win, win + 1, --have);
		if (have == sizeof(want))
			return true;
	}
}

static int port_connect(int dirfd, unsigned int number)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -errno;
	/* by way of /proc: a folder's name may be longer than a socket's address */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/port.%u", dirfd, number);
	if (connect(sock, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int err = errno;

		close(sock);
		return -err;
	}
	return sock;
}

/* Own a port and return its connection.  Does not return when there is no host. */
static int host_connect(const struct options *o)
{
	int64_t start = now_ms();
	int dirfd = open(o->dir, O_DIRECTORY | O_PATH | O_CLOEXEC);
	bool told = false;

	if (dirfd < 0)
		fail("no host is up (%s: %s); start it with `host up`", o->dir, strerror(errno));
	for (;;) {
		bool busy = false;

		for (unsigned int i = 0; i < HOST_PORTS; i++) {
			char name[32];
			int lock, sock;

			snprintf(name, sizeof(name), "port.%u.lock", i);
			lock = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
			if (lock < 0)
				fail("%s/%s: %s", o->dir, name, strerror(errno));
			if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
				close(lock);
				busy = true;
				continue;
			}
			sock = port_connect(dirfd, i);
			if (sock == -ENOENT || sock == -ECONNREFUSED)
				fail("no host is up in %s; start it with `host up`", o->dir);
			if (sock < 0)
				fail("%s/port.%u: %s", o->dir, i, strerror(-sock));
			/* the lock is kept open until this process ends */
			if (port_greeted(sock, now_ms() + READY_MS))
				return sock;
			close(sock);
			close(lock);
			if (now_ms() - start > o->wait_ms)
				fail("the host in %s does not answer", o->dir);
		}
		if (busy && !told && now_ms() - start > 2000) {
			fprintf(stderr, "host: all %d ports are in use; waiting\n", HOST_PORTS);
			told = true;
		}
		usleep(50000);
	}
}

/* ---- the request ---- */

static uint8_t *string_put(uint8_t *p, const uint8_t *end, const char *s)
{
	size_t n = strlen(s) + 1;

	if (n > (size_t)(end - p))
		fail("the command and its environment are longer than %u bytes", HOST_FRAME_MAX);
	memcpy(p, s, n);
	return p + n;
}

static void start_send(const struct options *o, int sock)
{
	struct host_start st = {
		.op = o->op,
		.flags = o->flags,
		.envc = o->envc,
		.argc = o->argc,
	};
	struct host_frame f = { HOST_START, 0 };
	struct timespec t;
	struct winsize ws;
	uint8_t *msg = malloc(sizeof(f) + HOST_FRAME_MAX), *p, *end;
	char *cwd = getcwd(NULL, 0);

	if (!msg)
		fail("out of memory");
	clock_gettime(CLOCK_REALTIME, &t);
	st.realtime_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	if (ioctl(0, TIOCGWINSZ, &ws) == 0) {
		st.rows = ws.ws_row;
		st.cols = ws.ws_col;
	}
	end = msg + sizeof(f) + HOST_FRAME_MAX;
	p = msg + sizeof(f) + sizeof(st);
	p = string_put(p, end, cwd ? cwd : "/");
	for (uint32_t i = 0; i < o->envc; i++)
		p = string_put(p, end, o->env[i]);
	for (uint32_t i = 0; i < o->argc; i++)
		p = string_put(p, end, o->argv[i]);
	f.len = (uint32_t)(p - msg - (ptrdiff_t)sizeof(f));
	memcpy(msg, &f, sizeof(f));
	memcpy(msg + sizeof(f), &st, sizeof(st));
	sock_write(sock, msg, sizeof(f) + f.len);
	free(msg);
	free(cwd);
}

/* ---- the session ---- */

static void signal_send(struct client *c, uint32_t sig)
{
	frame_send(c->sock, HOST_SIGNAL, &sig, sizeof(sig));
}

static void outbuf_flush(struct client *c, struct outbuf *b)
{
	ssize_t n;

	if (!b->len)
		return;
	/* a pipe that polls writable takes this much without blocking */
	n = b->broken ? (ssize_t)b->len : write(b->fd, b->data, b->len < 4096 ? b->len : 4096);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		b->broken = true;
		if (errno == EPIPE)
			signal_send(c, SIGPIPE);
		n = (ssize_t)b->len;
	}
	memmove(b->data, b->data + n, b->len - (size_t)n);
	b->len -= (size_t)n;
}

/* Returns false when a stream's buffer has to be emptied first. */
static bool frame_handle(struct client *c, const struct host_frame *f, const uint8_t *data)
{
	struct outbuf *b;
	uint32_t v = 0;

	if (f->len == sizeof(v))
		memcpy(&v, data, sizeof(v));
	switch (f->type) {
	case HOST_STDOUT:
	case HOST_STDERR:
		b = &c->out[f->type - HOST_STDOUT];
		if (b->len)
			return false;
		memcpy(b->data, data, f->len);
		b->len = f->len;
		return true;
	case HOST_STARTED:
		c->started = true;
		return true;
	case HOST_CREDIT:
		c->credit += v;
		return true;
	case HOST_EXIT:
		c->status = v;
		c->done = true;
		return true;
	case HOST_ERROR:
		fprintf(stderr, "host: %.*s\n", (int)f->len, (const char *)data);
		c->status = STATUS_NO_HOST;
		c->done = true;
		return true;
	default:
		return true;
	}
}

static void frames_take(struct client *c)
{
	size_t off = 0;

	while (!c->done && c->rxlen - off >= sizeof(struct host_frame)) {
		struct host_frame f;

		memcpy(&f, c->rx + off, sizeof(f));
		if (f.len > HOST_DATA_MAX)
			fail("the host sent nonsense");
		if (c->rxlen - off - sizeof(f) < f.len || !frame_handle(c, &f, c->rx + off + sizeof(f)))
			break;
		off += sizeof(f) + f.len;
	}
	memmove(c->rx, c->rx + off, c->rxlen - off);
	c->rxlen -= off;
}

static void stdin_take(struct client *c)
{
	uint8_t tmp[HOST_DATA_MAX];
	ssize_t n = read(0, tmp, c->credit < sizeof(tmp) ? c->credit : sizeof(tmp));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		c->stdin_open = false;
		n = 0;
	}
	frame_send(c->sock, HOST_STDIN, tmp, (uint32_t)n);
	c->credit -= (uint32_t)n;
}

static void signal_take(struct client *c)
{
	struct signalfd_siginfo si;

	if (read(c->sigfd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGWINCH) {
		struct winsize ws;

		if (ioctl(0, TIOCGWINSZ, &ws) == 0)
			frame_send(c->sock, HOST_WINCH, (uint16_t[]){ ws.ws_row, ws.ws_col }, 4);
		return;
	}
	c->signals++;
	if (c->signals > 2)
		fail("left the command behind, to be killed by the host");
	signal_send(c, c->signals == 2 ? SIGKILL : si.ssi_signo);
}

static void limits_check(struct client *c, int64_t now)
{
	if (c->kill_at && now >= c->kill_at) {
		signal_send(c, c->timed_out ? SIGKILL : SIGTERM);
		c->leave_at = c->timed_out ? now + GIVE_UP_MS : 0;
		c->kill_at = c->timed_out ? 0 : now + KILL_AFTER_MS;
		c->timed_out = true;
	}
	if (c->leave_at && now >= c->leave_at) {
		tty_restore();
		fprintf(stderr, "host: the command did not end after SIGKILL\n");
		exit(STATUS_TIMEOUT);
	}
}

static bool out_pending(const struct client *c)
{
	return c->out[0].len || c->out[1].len;
}

static void session_run(struct client *c)
{
	int64_t heard = now_ms(), pinged = heard, begun = heard;

	while (!c->done || out_pending(c)) {
		bool room = c->rxlen < sizeof(c->rx) && !c->done;
		struct pollfd p[] = {
			{ room ? c->sock : -1, POLLIN, 0 },
			{ c->sigfd, POLLIN, 0 },
			{ c->stdin_open && c->credit && !c->done ? 0 : -1, POLLIN, 0 },
			{ c->out[0].len ? c->out[0].fd : -1, POLLOUT, 0 },
			{ c->out[1].len ? c->out[1].fd : -1, POLLOUT, 0 },
		};
		int64_t now;

		poll(p, sizeof(p) / sizeof(p[0]), c->kill_at || c->leave_at ? 200 : 1000);
		now = now_ms();
		if (p[0].revents) {
			ssize_t n = read(c->sock, c->rx + c->rxlen, sizeof(c->rx) - c->rxlen);

			if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
				fail("the host died while the command ran");
			if (n > 0)
				c->rxlen += (size_t)n;
			heard = now;
		}
		if (p[1].revents)
			signal_take(c);
		if (p[2].revents)
			stdin_take(c);
		if (p[3].revents)
			outbuf_flush(c, &c->out[0]);
		if (p[4].revents)
			outbuf_flush(c, &c->out[1]);
		frames_take(c);
		limits_check(c, now);
		if (!room || out_pending(c))
			heard = now; /* it is we who do not read */
		if (!c->started && now - begun > START_MS)
			fail("the host did not take the command in %d s", START_MS / 1000);
		if (now - heard > STALL_MS)
			fail("the host has given no sign of life for %d s", STALL_MS / 1000);
		if (!c->done && now - heard > PING_MS && now - pinged > PING_MS) {
			frame_send(c->sock, HOST_PING, NULL, 0);
			pinged = now;
		}
	}
}

static void tty_setup(void)
{
	struct termios t;

	if (tcgetattr(0, &tty_saved) < 0)
		return;
	t = tty_saved;
	cfmakeraw(&t);
	tty_raw = tcsetattr(0, TCSADRAIN, &t) == 0;
}

static void usage(void)
{
	fprintf(stderr, "usage: hostc DIR exec|ping|refresh|sync [--timeout S] [--wait S] [--env K=V]\n"
			"             [--tty] [--no-stdin] [-- CMD ARG...]\n");
	exit(2);
}

static void options_parse(struct options *o, int argc, char **argv)
{
	static const char *const ops[] = { "exec", "refresh", "sync", "ping" };
	int i = 3;

	if (argc < 3)
		usage();
	o->dir = argv[1];
	for (unsigned int k = 0; k < sizeof(ops) / sizeof(ops[0]); k++)
		if (strcmp(argv[2], ops[k]) == 0)
			o->op = HOST_OP_EXEC + k;
	o->env = calloc((size_t)argc, sizeof(*o->env));
	if (!o->op || !o->env)
		usage();
	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--tty") == 0)
			o->flags |= HOST_F_TTY;
		else if (strcmp(argv[i], "--no-stdin") == 0)
			o->flags &= ~HOST_F_STDIN;
		else if (i + 1 == argc)
			usage();
		else if (strcmp(argv[i], "--env") == 0)
			o->env[o->envc++] = argv[++i];
		else if (strcmp(argv[i], "--timeout") == 0)
			o->timeout_ms = (int64_t)(strtod(argv[++i], NULL) * 1000);
		else if (strcmp(argv[i], "--wait") == 0)
			o->wait_ms = (int64_t)(strtod(argv[++i], NULL) * 1000);
		else
			usage();
	}
	if (i < argc)
		i++;
	o->argv = argv + i;
	o->argc = (uint32_t)(argc - i);
	if (o->op == HOST_OP_EXEC && !o->argc)
		usage();
}

int main(int argc, char **argv)
{
	static struct client c;
	struct options o = { .flags = HOST_F_STDIN, .wait_ms = 30000 };
	sigset_t set;

	options_parse(&o, argc, argv);
	if (fcntl(0, F_GETFD) < 0)
		o.flags &= ~HOST_F_STDIN;
	signal(SIGPIPE, SIG_IGN);
	c.sock = host_connect(&o);
	sigemptyset(&set);
	for (size_t i = 0; i < 5; i++)
		sigaddset(&set, (int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH }[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	c.sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	c.out[0].fd = 1;
	c.out[1].fd = 2;
	c.stdin_open = o.op == HOST_OP_EXEC && o.flags & HOST_F_STDIN;
	c.credit = HOST_STDIN_WINDOW;
	if (o.timeout_ms)
		c.kill_at = now_ms() + o.timeout_ms;
	if (o.flags & HOST_F_TTY)
		tty_setup();
	start_send(&o, c.sock);
	session_run(&c);
	tty_restore();
	if (c.timed_out) {
		fprintf(stderr, "host: the command reached its time limit of %.0f s\n", (double)o.timeout_ms / 1000);
		return STATUS_TIMEOUT;
	}
	return (int)c.status;
}
