/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A husk-vmm and a husk-agent in one, for tests of the runtime without KVM: the test program is its own HUSK_VMM.
 * It speaks vmm/control.h on the listening socket and agent/wire.h on CONNECT, one forked child per connection. The
 * "program" of a process is the first word of its args:
 *
 *	exit N | cat | flood BYTES | wait (until a signal) | hold (exit 0, but stdout stays open until stdin ends)
 *	mute (no answer to CREATE) | missing (no such executable) | oom | lie (more output than was granted)
 */
#ifndef HUSK_TESTS_FAKE_VM_H
#define HUSK_TESTS_FAKE_VM_H

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../agent/plan.h"
#include "../../agent/wire.h"
#include "../../vmm/control.h"

/* Shared by all sessions of the fake VM: signals for the one container. */
struct fake_shared {
	volatile int signo;   /* sent to the init process by somebody */
	volatile int started; /* START came */
	volatile int waiting;
};

struct fake {
	int fd;
	struct fake_shared *sh;
	uint8_t plan[1 << 20];
	size_t plan_len;
	char args[8][256];
	unsigned int nargs;
	uint32_t credit[3];
	uint8_t payload[WIRE_PAYLOAD_MAX];
};

static inline void fake_die(int status)
{
	_exit(status);
}

static inline void fake_put(struct fake *f, uint8_t type, uint8_t chan, const void *data, uint32_t len)
{
	struct wire_hdr h = { .len = len, .type = type, .chan = chan };

	if (send(f->fd, &h, sizeof(h), MSG_NOSIGNAL) != (ssize_t)sizeof(h))
		fake_die(0);
	for (uint32_t off = 0; off < len;) {
		ssize_t n = send(f->fd, (const char *)data + off, len - off, MSG_NOSIGNAL);

		if (n <= 0)
			fake_die(0);
		off += (uint32_t)n;
	}
}

static inline void fake_get(struct fake *f, void *data, size_t len)
{
	for (size_t off = 0; off < len;) {
		ssize_t n = recv(f->fd, (char *)data + off, len - off, 0);

		if (n <= 0)
			fake_die(0); /* the host closed: the process dies */
		off += (size_t)n;
	}
}

static inline void fake_error(struct fake *f, uint32_t stage, uint32_t err, const char *text)
{
	struct wire_error e = { .err = err, .stage = stage };
	uint8_t buf[512];

	memcpy(buf, &e, sizeof(e));
	memcpy(buf + sizeof(e), text, strlen(text));
	fake_put(f, WIRE_ERROR, 0, buf, (uint32_t)(sizeof(e) + strlen(text)));
}

static inline void fake_exit(struct fake *f, uint32_t code, uint32_t sig, uint32_t oom)
{
	struct wire_exit e = { .code = code, .signal = sig, .oom = oom };

	fake_put(f, WIRE_EXIT, 0, &e, sizeof(e));
}

/* The words of OP_ARGS. Trusts the plan: it is the test's own. */
static inline void fake_read_args(struct fake *f)
{
	struct plan_hdr h;
	size_t off = sizeof(h);

	f->nargs = 0;
	memcpy(&h, f->plan, sizeof(h));
	for (uint32_t i = 0; i < h.nops; i++) {
		struct plan_op op;

		memcpy(&op, f->plan + off, sizeof(op));
		if (op.op == OP_ARGS) {
			const char *p = (const char *)f->plan + off + sizeof(op) + 4;
			uint32_t n;

			memcpy(&n, f->plan + off + sizeof(op), 4);
			for (uint32_t k = 0; k < n && k < 8; k++, p += strlen(p) + 1)
				strncpy(f->args[f->nargs++], p, 255);
		}
		off += sizeof(op) + ((op.len + 7) & ~7u);
	}
	f->plan_len = 0;
}

/* Next frame; data of stdin and windows included. */
static inline struct wire_hdr fake_frame(struct fake *f)
{
	struct wire_hdr h;

	fake_get(f, &h, sizeof(h));
	if (h.len > sizeof(f->payload))
		fake_die(3);
	fake_get(f, f->payload, h.len);
	if (h.type == WIRE_WINDOW) {
		uint32_t more;

		memcpy(&more, f->payload, 4);
		f->credit[h.chan] += more;
	}
	return h;
}

static inline void fake_eofs(struct fake *f)
{
	fake_put(f, WIRE_EOF, WIRE_STDOUT, NULL, 0);
	fake_put(f, WIRE_EOF, WIRE_STDERR, NULL, 0);
}

static inline void fake_flood(struct fake *f, size_t total, int lie)
{
	static uint8_t block[32768];
	size_t sent = 0;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)("0123456789abcde\n"[i % 16]);
	while (sent < total) {
		size_t n = total - sent < sizeof(block) ? total - sent : sizeof(block);

		while (!lie && f->credit[WIRE_STDOUT] < n) {
			struct wire_hdr h = fake_frame(f);

			if (h.type == WIRE_EOF && h.chan == WIRE_STDOUT) { /* SIGPIPE */
				fake_eofs(f);
				fake_exit(f, 0, SIGPIPE, 0);
				return;
			}
		}
		fake_put(f, WIRE_DATA, WIRE_STDOUT, block, (uint32_t)n);
		f->credit[WIRE_STDOUT] -= (uint32_t)n;
		sent += n;
	}
	fake_eofs(f);
	fake_exit(f, 0, 0, 0);
}

static inline void fake_cat(struct fake *f)
{
	for (;;) {
		struct wire_hdr h = fake_frame(f);

		if (h.type == WIRE_EOF && h.chan == WIRE_STDIN)
			break;
		if (h.type == WIRE_DATA) {
			fake_put(f, WIRE_DATA, WIRE_STDOUT, f->payload, h.len);
			fake_put(f, WIRE_WINDOW, WIRE_STDIN, &h.len, 4);
		}
	}
	fake_eofs(f);
	fake_exit(f, 0, 0, 0);
}

/* Until a signal comes, by this session or through the shared page. Returns its number. */
static inline int fake_wait_signal(struct fake *f)
{
	for (;;) {
		struct pollfd p = { .fd = f->fd, .events = POLLIN };

		if (poll(&p, 1, 5) > 0) {
			struct wire_hdr h = fake_frame(f);
			struct wire_signal s;

			if (h.type == WIRE_SIGNAL) {
				memcpy(&s, f->payload, sizeof(s));
				return (int)s.signo;
			}
		}
		if (f->sh->signo)
			return f->sh->signo;
	}
}

static inline void fake_run(struct fake *f)
{
	const char *what = f->args[0];

	f->credit[WIRE_STDOUT] = f->credit[WIRE_STDERR] = WIRE_CREDIT;
	if (!strcmp(what, "exit")) {
		fake_put(f, WIRE_DATA, WIRE_STDERR, "bye\n", 4);
		fake_eofs(f);
		fake_exit(f, (uint32_t)atoi(f->args[1]), 0, 0);
	} else if (!strcmp(what, "cat")) {
		fake_cat(f);
	} else if (!strcmp(what, "flood") || !strcmp(what, "lie")) {
		fake_flood(f, strtoul(f->args[1], NULL, 10), *what == 'l');
	} else if (!strcmp(what, "wait")) {
		int signo;

		f->sh->waiting = 1;
		signo = fake_wait_signal(f);
		fake_eofs(f);
		fake_exit(f, 0, (uint32_t)signo, 0);
	} else if (!strcmp(what, "hold")) {
		fake_exit(f, 0, 0, 0);
		while (fake_frame(f).type != WIRE_EOF)
			;
		fake_put(f, WIRE_DATA, WIRE_STDOUT, "late\n", 5);
		fake_eofs(f);
	} else if (!strcmp(what, "oom")) {
		fake_put(f, WIRE_OOM, 0, "c", 1);
		fake_eofs(f);
		fake_exit(f, 0, SIGKILL, 1);
	}
	for (;;) /* until the host closes */
		fake_frame(f);
}

static inline void fake_session(int fd, struct fake_shared *sh)
{
	static struct fake fake;
	struct fake *f = &fake;
	struct wire_hello hello = { .version = WIRE_VERSION };
	uint32_t pid = 42;

	*f = (struct fake){ .fd = fd, .sh = sh };
	fake_put(f, WIRE_HELLO, 0, &hello, sizeof(hello));
	for (;;) {
		struct wire_hdr h = fake_frame(f);
		struct wire_signal s;

		switch (h.type) {
		case WIRE_PLAN:
			if (h.len > sizeof(f->plan) - f->plan_len)
				fake_die(3);
			memcpy(f->plan + f->plan_len, f->payload, h.len);
			f->plan_len += h.len;
			break;
		case WIRE_CREATE:
			fake_read_args(f);
			if (!strcmp(f->args[0], "mute"))
				break;
			if (!strcmp(f->args[0], "missing")) {
				fake_error(f, STAGE_LOOKUP, 2, f->args[0]);
				break;
			}
			fake_put(f, WIRE_OK, 0, &pid, 4);
			break;
		case WIRE_START:
			sh->started = 1;
			fake_put(f, WIRE_OK, 0, NULL, 0);
			fake_run(f);
			break;
		case WIRE_EXEC:
			fake_read_args(f);
			if (!strcmp(f->args[0], "missing")) {
				fake_error(f, STAGE_LOOKUP, 2, f->args[0]);
				break;
			}
			fake_put(f, WIRE_OK, 0, &pid, 4);
			fake_run(f);
			break;
		case WIRE_SIGNAL:
			memcpy(&s, f->payload, sizeof(s));
			if (h.len == sizeof(s)) { /* to this session's own process, which has not been started */
				fake_exit(f, 0, s.signo, 0);
				break;
			}
			sh->signo = (int)s.signo;
			fake_put(f, WIRE_OK, 0, NULL, 0);
			break;
		case WIRE_PAUSE:
		case WIRE_RESUME:
		case WIRE_UPDATE:
		case WIRE_SETTIME:
		case WIRE_CPUS:
		case WIRE_DESTROY:
			f->plan_len = 0;
			fake_put(f, WIRE_OK, 0, NULL, 0);
			break;
		default:
			break;
		}
	}
}

static inline void fake_control(int fd, struct fake_shared *sh)
{
	struct fake f = { .fd = fd };

	for (;;) {
		struct ctl_req req;
		struct ctl_rep rep = { .magic = CTL_MAGIC };
		struct ctl_status st = { .ram_bytes = 512u << 20, .vcpus = 1 };
		char skip[CTL_PAYLOAD_MAX];

		fake_get(&f, &req, sizeof(req));
		if (req.len > sizeof(skip))
			fake_die(3);
		fake_get(&f, skip, req.len);
		rep.len = req.op == CTL_STATUS ? sizeof(st) : 0;
		if (send(fd, &rep, sizeof(rep), MSG_NOSIGNAL) < 0 ||
		    (rep.len && send(fd, &st, rep.len, MSG_NOSIGNAL) < 0))
			fake_die(0);
		if (req.op == CTL_CONNECT)
			fake_session(fd, sh);
	}
}

/* husk-vmm ... --listen fd:N --owner fd:N: serve until the owner hangs up. */
static inline void fake_vmm(int listen_fd, int owner_fd)
{
	struct fake_shared *sh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		struct pollfd p[2] = { { .fd = listen_fd, .events = POLLIN }, { .fd = owner_fd } };

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			fake_die(0);
		if (p[0].revents) {
			int fd = accept(listen_fd, NULL, NULL);

			if (fork() == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				close(listen_fd);
				close(owner_fd);
				fake_control(fd, sh);
			}
			close(fd);
		}
	}
}

/* Runs before main(): this program, started as a VMM, is one. HUSK_FAKE_FAIL in its place cannot reach it (empty
 * environment), so a VM that does not start is asked for by the kernel's path, see test_container.c. */
__attribute__((constructor)) static void fake_vmm_maybe(int argc, char **argv)
{
	int listen_fd = -1, owner_fd = -1;

	if (argc < 2 || strcmp(argv[1], "--kernel"))
		return;
	for (int i = 1; i + 1 < argc; i++) {
		if (!strcmp(argv[i], "--listen"))
			listen_fd = atoi(argv[i + 1] + 3);
		if (!strcmp(argv[i], "--owner"))
			owner_fd = atoi(argv[i + 1] + 3);
	}
	fake_vmm(listen_fd, owner_fd);
	_exit(0);
}

#endif
