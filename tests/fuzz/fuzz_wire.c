/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions, containers and relays of the agent, driven by a script: hosts that send frames,
 * well-formed or not, at any time, and processes that write, read, report and die at any time. No
 * process is made and nothing of this machine is touched: this file stands in for the agent's
 * modules that would (clone, job, cgroup, machine, sysctl, vm_tmpfs, log).
 *
 * Beside crashes and leaks it finds: frames that the host would refuse, and more output than the
 * host gave credit for.
 */
// link: agent
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/clone.h"
#include "agent/container.h"
#include "agent/job.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/machine.h"
#include "agent/plan.h"
#include "agent/process.h"
#include "agent/report.h"
#include "agent/session.h"
#include "agent/sysctl.h"
#include "agent/vm_tmpfs.h"

#define HOSTS 4
#define CHILDREN 8
#define FIRST_PID 0x70000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* ---- stand-ins ---- */

static struct child {
	pid_t pid; /* 0: none */
	int sync, io[3], cgroup;
} children[CHILDREN];
static pid_t next_pid;

static struct {
	job_done done;
	void *ctx;
} job;

int clone_child(const struct setup *s, int cgroup, int pid_ns, int *pidfd)
{
	(void)pid_ns;
	for (int i = 0; i < CHILDREN; i++) {
		struct child *c = &children[i];

		if (c->pid)
			continue;
		c->pid = next_pid++;
		c->cgroup = cgroup;
		c->sync = fcntl(s->sync, F_DUPFD_CLOEXEC, 3);
		for (int k = 0; k < 3; k++) {
			c->io[k] = s->stdio[k] >= 0 ? fcntl(s->stdio[k], F_DUPFD_CLOEXEC, 3) : -1;
			if (c->io[k] >= 0)
				fcntl(c->io[k], F_SETFL, O_NONBLOCK);
		}
		*pidfd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* signals to it fail */
		return c->pid;
	}
	return -EAGAIN;
}

struct job *job_start(job_fn fn, void *arg, int keep, job_done done, void *ctx, unsigned int timeout_ms)
{
	(void)fn, (void)arg, (void)keep, (void)timeout_ms;
	if (job.done) {
		errno = EAGAIN;
		return NULL;
	}
	job.done = done;
	job.ctx = ctx;
	return (struct job *)&job;
}

void job_cancel(struct job *j)
{
	if (j)
		job.done = NULL;
}

bool job_reaped(pid_t pid, int status)
{
	(void)pid, (void)status;
	return false;
}

static void job_end(uint8_t how)
{
	job_done done = job.done;
	struct fault f = { .err = EIO, .stage = STAGE_SETUP, .text = "job" };
	uint8_t data[200] = { 0 };

	job.done = NULL;
	if (done)
		done(job.ctx, how & 1 ? &f : NULL, data, how & 1 ? 0 : how % sizeof(data));
}

int cgroup_make(const char *cid, unsigned int slot, char *path, size_t cap)
{
	(void)cid, (void)slot;
	strncpy(path, "/nonexistent", cap);
	return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int cgroup_init(const char *where)
{
	(void)where;
	return 0;
}

int cgroup_write(int dir, const char *file, const char *value)
{
	(void)dir, (void)value;
	return file[0] == 'x' ? -EINVAL : 0;
}

int cgroup_devices(int dir, const void *insns, uint32_t len, int *old)
{
	(void)dir, (void)insns, (void)len, (void)old;
	return 0;
}

int cgroup_kill(int dir)
{
	(void)dir;
	return 0;
}

int64_t cgroup_value(int dir, const char *file, const char *key)
{
	(void)file;
	if (!strcmp(key, "populated"))
		for (int i = 0; i < CHILDREN; i++)
			if (children[i].pid && children[i].cgroup == dir)
				return 1;
	return !strcmp(key, "frozen") ? 1 : 0;
}

int cgroup_each_pid(int dir, int (*each)(pid_t pid, void *arg), void *arg)
{
	(void)dir, (void)each, (void)arg;
	return 0;
}

int cgroup_remove(const char *path)
{
	(void)path;
	return 0;
}

int cgroup_remove_tree(const char *path)
{
	(void)path;
	return 0;
}

int cgroup_delegate(int dir, uid_t uid, gid_t gid)
{
	(void)dir, (void)uid, (void)gid;
	return 0;
}

int cgroup_of(pid_t pid)
{
	(void)pid;
	return -ENOENT;
}

int machine_set_time(int64_t ns)
{
	return ns & 1 ? -EINVAL : 0;
}

int machine_set_cpus(void *args, int out, struct fault *f)
{
	(void)args, (void)out, (void)f;
	return 0;
}

int sysctl_write(int proc, const char *key, const char *value)
{
	(void)proc, (void)key, (void)value;
	return 0;
}

bool sysctl_is_net(const char *key)
{
	return key[0] == 'n';
}

int vm_tmpfs_make(const struct plan *p, struct fault *f)
{
	(void)p, (void)f;
	return 0;
}

void log_line(const char *fmt, ...)
{
	(void)fmt;
}

/* ---- children ---- */

static void child_close(struct child *c)
{
	close(c->sync);
	for (int k = 0; k < 3; k++)
		if (c->io[k] >= 0)
			close(c->io[k]);
	c->pid = 0;
}

static void child_die(struct child *c, int status)
{
	pid_t pid = c->pid;

	if (!pid)
		return;
	child_close(c);
	process_reaped(pid, status, 1, 2);
}

static void child_say(struct child *c, uint8_t what)
{
	struct fault f = { .err = ENOENT, .stage = STAGE_LOOKUP, .text = "no" };
	uint8_t junk[2000] = { 1, 2, 3 };
	int fd;

	switch (what % 8) {
	case 0:
		report_send(c->sync, REPORT_READY, 0, NULL, -1);
		break;
	case 1:
		report_send(c->sync, REPORT_EXEC, 0, NULL, -1);
		break;
	case 2:
		close(c->sync); /* execve */
		c->sync = open("/dev/null", O_RDONLY | O_CLOEXEC);
		break;
	case 3:
		report_send(c->sync, REPORT_FAULT, 0, &f, -1);
		break;
	case 4:
		report_send(c->sync, REPORT_PID, what & 8 ? (uint32_t)FIRST_PID + what : 0, NULL, -1);
		break;
	case 5:
		report_send(c->sync, REPORT_MAPS, 0, NULL, -1);
		break;
	case 6:
		fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0) {
			unlockpt(fd);
			report_send(c->sync, REPORT_TTY, 0, NULL, fd);
			close(fd);
		}
		break;
	default:
		(void)!send(c->sync, junk, 1 + what * 7u, MSG_NOSIGNAL | MSG_DONTWAIT);
		break;
	}
}

/* ---- hosts ---- */

static struct host {
	int fd; /* -1: none */
	uint8_t in[65536 + 8];
	size_t len;
	int64_t credit[2]; /* what the agent may still send; STATS and PS are not counted here */
	bool streams;
} hosts[HOSTS];

static void host_open(struct host *h)
{
	int pair[2];

	if (h->fd >= 0) {
		close(h->fd);
		h->fd = -1;
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		abort();
	h->fd = pair[0];
	h->len = 0;
	h->streams = false;
	h->credit[0] = h->credit[1] = WIRE_CREDIT;
	session_add(pair[1]);
}

static void host_send(struct host *h, const void *data, size_t len)
{
	if (h->fd >= 0)
		(void)!send(h->fd, data, len, MSG_NOSIGNAL);
}

static void host_frame(struct host *h, uint8_t type, uint8_t chan, const void *payload, uint32_t len)
{
	struct wire_hdr hdr = { .len = len, .type = type, .chan = chan };
	uint32_t more;

	if (type == WIRE_WINDOW && len == 4 && (chan == 1 || chan == 2)) {
		memcpy(&more, payload, 4);
		h->credit[chan - 1] += more;
	}
	if (type == WIRE_STATS || type == WIRE_PS)
		h->credit[0] += 1 << 20;
	host_send(h, &hdr, sizeof(hdr));
	host_send(h, payload, len);
}

static void host_check(struct host *h, const struct wire_hdr *f)
{
	bool ok = !f->zero && f->len <= WIRE_PAYLOAD_MAX;

	switch (f->type) {
	case WIRE_HELLO:
		ok = ok && f->len == sizeof(struct wire_hello);
		break;
	case WIRE_DATA:
		ok = ok && (f->chan == WIRE_STDOUT || f->chan == WIRE_STDERR);
		if (ok && (h->credit[f->chan - 1] -= f->len) < 0)
			abort();
		break;
	case WIRE_EOF:
		ok = ok && f->chan <= WIRE_STDERR && !f->len;
		break;
	case WIRE_WINDOW:
		ok = ok && f->chan == WIRE_STDIN && f->len == 4;
		break;
	case WIRE_OK:
	case WIRE_OOM:
		break;
	case WIRE_ERROR:
		ok = ok && f->len >= sizeof(struct wire_error) && f->len <= sizeof(struct wire_error) + WIRE_TEXT_MAX;
		break;
	case WIRE_EXIT:
		ok = ok && f->len == sizeof(struct wire_exit);
		break;
	default:
		ok = false;
	}
	if (!ok)
		abort();
}

static void host_read(struct host *h)
{
	ssize_t n;

	while (h->fd >= 0 && (n = recv(h->fd, h->in + h->len, sizeof(h->in) - h->len, 0)) > 0) {
		size_t off = 0;
		struct wire_hdr f;

		h->len += (size_t)n;
		while (h->len - off >= sizeof(f)) {
			memcpy(&f, h->in + off, sizeof(f));
			if (f.len > WIRE_PAYLOAD_MAX)
				abort();
			if (h->len - off - sizeof(f) < f.len)
				break;
			host_check(h, &f);
			off += sizeof(f) + f.len;
		}
		h->len -= off;
		memmove(h->in, h->in + off, h->len);
	}
}

/* ---- plans ---- */

struct pb {
	uint8_t data[1024] __attribute__((aligned(8)));
	uint32_t len;
};

static void pb_op(struct pb *p, uint16_t op, const void *payload, uint32_t len)
{
	struct plan_op o = { .op = op, .len = len };

	memcpy(p->data + p->len, &o, sizeof(o));
	memcpy(p->data + p->len + sizeof(o), payload, len);
	p->len += (uint32_t)sizeof(o) + ((len + 7) & ~7u);
	((struct plan_hdr *)p->data)->nops++;
	((struct plan_hdr *)p->data)->total = p->len;
}

static void host_plan(struct host *h, uint8_t how, uint8_t request)
{
	static const uint32_t flags[] = { CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS };
	struct pb p = { .len = sizeof(struct plan_hdr) };
	struct plan_hdr *hdr = (struct plan_hdr *)p.data;
	char cid[2] = { (char)('a' + how % 3), 0 };
	struct plan_idmap map = { .size = 10 };
	struct plan_tty tty = { 0 };
	uint8_t ns[8] = { 0 };

	hdr->magic = PLAN_MAGIC;
	hdr->version = PLAN_VERSION;
	hdr->kind = request == WIRE_CREATE ? PLAN_CONTAINER : request == WIRE_EXEC ? PLAN_PROCESS : PLAN_UPDATE;
	pb_op(&p, OP_CONTAINER, cid, 2);
	if (request == WIRE_CREATE) {
		for (unsigned int i = 0; i < 5; i++) {
			if (!(how >> i & 1))
				continue;
			memcpy(ns, &flags[i], 4);
			ns[4] = how & 64 ? 'a' : 0;
			pb_op(&p, OP_NAMESPACE, ns, how & 64 ? 6 : 5);
		}
		pb_op(&p, OP_CGROUP_WRITE, how == 255 ? "x\0v" : "f\0v", 4);
		if (how & 2)
			pb_op(&p, OP_IDMAP, &map, sizeof(map));
	}
	if (request != WIRE_UPDATE && how & 32)
		pb_op(&p, OP_TTY, &tty, sizeof(tty));
	host_frame(h, WIRE_PLAN, 0, p.data, p.len);
	host_frame(h, request, 0, NULL, 0);
}

/* ---- the script ---- */

struct script {
	const uint8_t *p;
	size_t left;
};

static uint8_t byte(struct script *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->p++;
}

static void turn(int n)
{
	while (n-- > 0 && loop_once(0) > 0)
		;
}

static void step(struct script *s)
{
	static uint8_t block[70000];
	uint8_t op = byte(s), who = byte(s), arg = byte(s);
	struct host *h = &hosts[who % HOSTS];
	struct child *c = &children[who % CHILDREN];
	struct wire_hello hello = { .version = WIRE_VERSION };
	struct wire_winsize ws = { 0 };
	uint8_t sig[9] = { arg };
	uint32_t window = (uint32_t)arg << (who % 24);
	size_t n;

	switch (op % 20) {
	case 0:
		host_open(h);
		break;
	case 1:
		host_frame(h, WIRE_HELLO, 0, &hello, sizeof(hello));
		break;
	case 2: /* raw bytes */
		n = arg < s->left ? arg : s->left;
		host_send(h, s->p, n);
		h->credit[0] = h->credit[1] = INT64_MAX / 2; /* whatever it said */
		s->p += n;
		s->left -= n;
		break;
	case 3:
		host_plan(h, arg, WIRE_CREATE);
		break;
	case 4:
		host_plan(h, arg, WIRE_EXEC);
		break;
	case 5:
		host_plan(h, arg, WIRE_UPDATE);
		break;
	case 6: { /* requests by id */
		static const uint8_t types[] = { WIRE_START, WIRE_PS,	   WIRE_PAUSE, WIRE_RESUME,
						 WIRE_STATS, WIRE_DESTROY, WIRE_WAIT,  WIRE_NET };
		char cid[4] = { (char)('a' + arg % 3), 0, 0, 0 };

		host_frame(h, types[arg / 3 % 8], 0, cid, types[arg / 3 % 8] == WIRE_NET ? 4 : 1);
		break;
	}
	case 7:
		host_frame(h, WIRE_DATA, WIRE_STDIN, block, (uint32_t)arg * 256);
		break;
	case 8:
		host_frame(h, WIRE_EOF, arg % 3, NULL, 0);
		break;
	case 9:
		host_frame(h, WIRE_WINDOW, 1 + arg % 2, &window, 4);
		break;
	case 10:
		sig[8] = 'a' + who % 3;
		host_frame(h, WIRE_SIGNAL, 0, sig, who & 64 ? 9 : 8);
		break;
	case 11:
		host_frame(h, WIRE_RESIZE, 0, &ws, sizeof(ws));
		break;
	case 12:
		host_read(h);
		break;
	case 13:
		if (c->pid)
			child_say(c, arg);
		break;
	case 14: /* output */
		if (c->pid && c->io[1 + arg % 2] >= 0)
			(void)!write(c->io[1 + arg % 2], block, (size_t)arg * 300);
		break;
	case 15: /* input, or the end of a stream */
		if (!c->pid || c->io[arg % 3] < 0)
			break;
		if (arg & 64) {
			close(c->io[arg % 3]);
			c->io[arg % 3] = -1;
		} else if (arg % 3 == 0) {
			(void)!read(c->io[0], block, sizeof(block));
		}
		break;
	case 16:
		child_die(c, arg & 1 ? 9 : arg << 8);
		break;
	case 17:
		job_end(arg);
		break;
	default:
		turn(1 + arg % 16);
		break;
	}
}

/* Whatever happened: when hosts and processes are gone, so is everything in the agent. */
static void finish(void)
{
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < HOSTS; i++) {
			host_read(&hosts[i]);
			if (hosts[i].fd >= 0)
				close(hosts[i].fd);
			hosts[i].fd = -1;
		}
		turn(400);
		for (int i = 0; i < CHILDREN; i++)
			child_die(&children[i], 9);
		job_end(0);
		turn(400);
	}
	if (session_count() || container_count())
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool started;
	struct script s = { data, len };

	if (!started) {
		signal(SIGPIPE, SIG_IGN);
		/* forwards and resolvers are real: in a network of their own */
		if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET)) {
			perror("fuzz_wire: a network namespace of its own");
			_exit(1);
		}
		if (loop_init() || container_init())
			abort();
		for (int i = 0; i < HOSTS; i++)
			hosts[i].fd = -1;
		started = true;
	}
	next_pid = FIRST_PID;
	for (int i = 0; s.left && i < 400; i++)
		step(&s);
	finish();
	return 0;
}
