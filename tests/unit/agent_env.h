/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's core in a process of its own on this machine: own mount, ipc, uts, net and cgroup
 * namespaces, a busybox root as the "share" `root`, and a UNIX socket where the guest has vsock.
 * Tests talk to it as the host does.
 *
 * Needs root, cgroup v2 somewhere, and a static busybox; agent_start() says why when it cannot.
 */
#ifndef HUSK_TESTS_AGENT_ENV_H
#define HUSK_TESTS_AGENT_ENV_H

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>

#include "agent/boot.h"
#include "agent/cgroup.h"
#include "agent/container.h"
#include "agent/loop.h"
#include "agent/mount.h"
#include "agent/plan.h"
#include "agent/reaper.h"
#include "agent/session.h"
#include "agent/wire.h"

#include "tests/unit/unit.h"

#define ALL_CAPS 0x1ffffffffffull
#define ANSWER_MS 10000

/* ---- plans ---- */

struct pb { /* a plan under construction */
	uint8_t data[65536] __attribute__((aligned(8)));
	uint32_t len;
};

static inline void pb_begin(struct pb *p, uint16_t kind)
{
	struct plan_hdr h = { .magic = PLAN_MAGIC, .version = PLAN_VERSION, .kind = kind, .total = sizeof(h) };

	memset(p, 0, sizeof(*p));
	memcpy(p->data, &h, sizeof(h));
	p->len = sizeof(h);
}

static inline struct plan_hdr *pb_hdr(struct pb *p)
{
	return (struct plan_hdr *)p->data;
}

/* Payload: a body, then what `parts` says: s string, l NULL-ended char **, b pointer and size_t. */
static inline void pb_op(struct pb *p, uint16_t op, const void *body, size_t body_len, const char *parts, ...)
{
	struct plan_op *o = (struct plan_op *)(p->data + p->len);
	uint32_t at = p->len + sizeof(*o);
	va_list ap;

	if (body_len)
		memcpy(p->data + at, body, body_len);
	at += body_len;
	va_start(ap, parts);
	for (; *parts; parts++) {
		if (*parts == 's') {
			const char *s = va_arg(ap, const char *);

			memcpy(p->data + at, s, strlen(s) + 1);
			at += strlen(s) + 1;
		} else if (*parts == 'b') {
			const void *b = va_arg(ap, const void *);
			size_t n = va_arg(ap, size_t);

			memcpy(p->data + at, b, n);
			at += n;
		} else {
			const char **l = va_arg(ap, const char **);
			uint32_t n = 0, count_at = at;

			for (at += 4; l[n]; n++) {
				memcpy(p->data + at, l[n], strlen(l[n]) + 1);
				at += strlen(l[n]) + 1;
			}
			memcpy(p->data + count_at, &n, 4);
		}
	}
	va_end(ap);
	o->op = op;
	o->zero = 0;
	o->len = at - p->len - sizeof(*o);
	p->len = (at + 7) & ~7u;
	pb_hdr(p)->nops++;
	pb_hdr(p)->total = p->len;
}

static inline void pb_ns(struct pb *p, uint32_t flag, const char *cid)
{
	struct plan_ns ns = { .clone_flag = flag };

	pb_op(p, OP_NAMESPACE, &ns, sizeof(ns), "s", cid);
}

static inline void pb_mount(struct pb *p, const char *source, const char *target, const char *type, const char *data,
			    uint64_t flags, uint32_t opts)
{
	struct plan_mount m = { .flags = flags, .opts = opts };

	pb_op(p, OP_MOUNT, &m, sizeof(m), "ssss", source, target, type, data);
}

static inline void pb_node(struct pb *p, const char *path, uint32_t major, uint32_t minor)
{
	struct plan_mknod n = { .mode = S_IFCHR | 0666, .major = major, .minor = minor };

	pb_op(p, OP_MKNOD, &n, sizeof(n), "s", path);
}

static inline void pb_user(struct pb *p, uint32_t uid, uint32_t gid)
{
	struct plan_user u = { .uid = uid, .gid = gid, .umask = UINT32_MAX };

	pb_op(p, OP_USER, &u, sizeof(u), "");
}

static inline void pb_caps(struct pb *p, uint64_t set)
{
	struct plan_caps c = { .bounding = set, .effective = set, .permitted = set };

	pb_op(p, OP_CAPS, &c, sizeof(c), "");
}

/* `sh -c script` with a PATH. */
static inline void pb_shell(struct pb *p, const char *script)
{
	const char *args[] = { "/bin/sh", "-c", script, NULL }, *env[] = { "PATH=/bin:/sbin", NULL };

	pb_op(p, OP_ARGS, NULL, 0, "l", args);
	pb_op(p, OP_ENV, NULL, 0, "l", env);
}

/* Everything up to the change of root. */
static inline void pb_environment(struct pb *p, const char *cid)
{
	struct plan_root root = { 0 };

	pb_begin(p, PLAN_CONTAINER);
	pb_op(p, OP_CONTAINER, NULL, 0, "s", cid);
	pb_ns(p, CLONE_NEWPID, "");
	pb_ns(p, CLONE_NEWNS, "");
	pb_ns(p, CLONE_NEWIPC, "");
	pb_ns(p, CLONE_NEWUTS, "");
	pb_ns(p, CLONE_NEWCGROUP, "");
	pb_op(p, OP_ROOT, &root, sizeof(root), "s", PLAN_SHARES "/root");
	pb_mount(p, "proc", "/proc", "proc", "", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
	pb_mount(p, "tmpfs", "/dev", "tmpfs", "mode=755,size=65536k", MS_NOSUID, 0);
	pb_mount(p, "devpts", "/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", MS_NOSUID | MS_NOEXEC,
		 0);
	pb_node(p, "/dev/null", 1, 3);
	pb_node(p, "/dev/zero", 1, 5);
	pb_node(p, "/dev/tty", 5, 0);
	pb_op(p, OP_SYMLINK, NULL, 0, "ss", "pts/ptmx", "/dev/ptmx");
	pb_op(p, OP_SYMLINK, NULL, 0, "ss", "/proc/self/fd", "/dev/fd");
}

static inline void pb_pivot(struct pb *p)
{
	struct plan_pivot pivot = { 0 };

	pb_op(p, OP_PIVOT, &pivot, sizeof(pivot), "");
	pb_op(p, OP_HOSTNAME, NULL, 0, "s", "inside");
}

/* A container that runs a shell script as root. */
static inline void pb_container(struct pb *p, const char *cid, const char *script)
{
	pb_environment(p, cid);
	pb_pivot(p);
	pb_op(p, OP_CWD, NULL, 0, "s", "/");
	pb_user(p, 0, 0);
	pb_caps(p, ALL_CAPS);
	pb_shell(p, script);
}

static inline void pb_exec(struct pb *p, const char *cid, const char *script)
{
	pb_begin(p, PLAN_PROCESS);
	pb_op(p, OP_CONTAINER, NULL, 0, "s", cid);
	pb_op(p, OP_CWD, NULL, 0, "s", "/");
	pb_user(p, 0, 0);
	pb_caps(p, ALL_CAPS);
	pb_shell(p, script);
}

/* ---- the agent ---- */

static struct sockaddr_un agent_addr;
static pid_t agent_pid;
static char agent_cgroup[256];
static char agent_dir[64];

static inline void agent_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("# cannot write %s\n", path);
	close(fd);
}

static inline int agent_copy(const char *from, const char *to, mode_t mode)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, mode);
	char buf[65536];
	ssize_t n = -1;

	while (in >= 0 && out >= 0 && (n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			break;
	close(in);
	close(out);
	return n ? -1 : 0;
}

static inline const char *agent_cgroup2(void)
{
	static const char *const where[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	for (size_t i = 0; i < 2; i++)
		if (statfs(where[i], &fs) == 0 && (unsigned long)fs.f_type == CGROUP2_SUPER_MAGIC)
			return where[i];
	return NULL;
}

static inline void agent_root(const char *root)
{
	static const char *const dirs[] = { "bin", "dev", "proc", "sys", "etc", "tmp", "home", "home/user", "data" };
	static const char *const applets[] = { "sh",   "cat",	   "echo",     "id",	 "sleep",  "ls",    "kill",
					       "ps",   "stty",	   "true",     "false",	 "dd",	   "mount", "grep",
					       "head", "readlink", "hostname", "test",	 "tty",	   "touch", "yes",
					       "wc",   "tr",	   "mkdir",    "setsid", "sed",	   "stat",  "printf",
					       "env",  "seq",	   "chmod",    "rmdir",	 "sysctl", "cut" };
	char path[256], target[256];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, dirs[i]);
		mkdir(path, 0755);
	}
	snprintf(path, sizeof(path), "%s/tmp", root);
	chmod(path, 01777);
	snprintf(path, sizeof(path), "%s/bin/busybox", root);
	agent_copy("/bin/busybox", path, 0755);
	for (size_t i = 0; i < sizeof(applets) / sizeof(applets[0]); i++) {
		snprintf(target, sizeof(target), "%s/bin/%s", root, applets[i]);
		if (symlink("busybox", target))
			printf("# %s\n", target);
	}
	snprintf(path, sizeof(path), "%s/etc/passwd", root);
	agent_write(path, "root:x:0:0:root:/root:/bin/sh\nbroken\nuser:x:1000:1000::/home/user:/bin/sh\n");
	snprintf(path, sizeof(path), "%s/bin/notexec", root);
	agent_write(path, "#!/bin/sh\n");
	snprintf(path, sizeof(path), "%s/bin/badscript", root);
	agent_write(path, "#!/no/such/interpreter\n");
	chmod(path, 0755);
}

static inline void agent_accept(void *arg, uint32_t events)
{
	struct watch *w = arg;
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0)
		session_add(fd);
}

static volatile sig_atomic_t agent_stop;

static inline void agent_on_term(int signo)
{
	(void)signo;
	agent_stop = 1;
}

/* Only returns by exit(): leak checkers then look at what the agent kept. */
static inline void agent_main(int listener)
{
	struct watch w = { .fd = listener, .fn = agent_accept, .arg = &w };
	const char *cg2 = agent_cgroup2();
	struct sigaction term = { .sa_handler = agent_on_term };
	char text[512];
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGTERM, &term, NULL);
	/* its cgroup is the root of a cgroup namespace, as in a guest */
	snprintf(text, sizeof(text), "%s/cgroup.procs", agent_cgroup);
	agent_write(text, "0");
	if (!cg2 || unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("tmpfs", "/run", "tmpfs", 0, "mode=755") ||
	    mkdir("/run/cgroup", 0755) || mount("cgroup2", "/run/cgroup", "cgroup2", 0, NULL) || boot_dirs()) {
		printf("# agent: set-up: %s\n", strerror(errno));
		exit(3);
	}
	mkdir(PLAN_SHARES "/root", 0755);
	agent_root(PLAN_SHARES "/root");
	fcntl(listener, F_SETFL, O_NONBLOCK);
	r = loop_init();
	if (r == 0)
		r = reaper_init();
	if (r == 0)
		r = container_init();
	if (r == 0)
		r = cgroup_init("/run/cgroup");
	if (r == 0)
		r = watch_set(&w, EPOLLIN);
	while (r >= 0 && (!agent_stop || session_count() || container_count()))
		r = loop_once(agent_stop ? 20 : 1000);
	exit(r < 0 ? 4 : 0);
}

/* NULL, or why not. */
static inline const char *agent_start(void)
{
	const char *cg2 = agent_cgroup2();
	int fd;

	if (geteuid() != 0)
		return "needs root";
	if (!cg2 || access("/bin/busybox", X_OK))
		return "needs cgroup v2 and busybox";
	snprintf(agent_cgroup, sizeof(agent_cgroup), "%s/husk-unit-%d", cg2, (int)getpid());
	snprintf(agent_dir, sizeof(agent_dir), "/tmp/husk-unit-%d", (int)getpid());
	if (mkdir(agent_cgroup, 0755) || mkdir(agent_dir, 0700))
		return "cannot make a cgroup";
	agent_addr.sun_family = AF_UNIX;
	snprintf(agent_addr.sun_path, sizeof(agent_addr.sun_path), "%s/agent", agent_dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&agent_addr, sizeof(agent_addr)) || listen(fd, 64))
		return "cannot listen";
	fflush(stdout);
	agent_pid = fork();
	if (agent_pid == 0)
		agent_main(fd);
	close(fd);
	return NULL;
}

/* All sessions are closed: nothing may be left. */
static inline void agent_end(void)
{
	char husk[300];
	int st = -1;

	kill(agent_pid, SIGTERM);
	if (waitpid(agent_pid, &st, 0) != agent_pid || !WIFEXITED(st) || WEXITSTATUS(st))
		UNIT_FAIL("the agent ended with wait status 0x%x", st);
	snprintf(husk, sizeof(husk), "%s/husk", agent_cgroup);
	if (rmdir(husk) || rmdir(agent_cgroup))
		UNIT_FAIL("a cgroup is left: %s", strerror(errno));
	unlink(agent_addr.sun_path);
	rmdir(agent_dir);
}

/* TEST with an agent: skipped where none can be had. */
#define AGENT_TEST(name)                                \
	static void name##_body(void);                  \
	TEST(name)                                      \
	{                                               \
		const char *why = agent_start();        \
		if (why) {                              \
			printf("# skipped: %s\n", why); \
			return;                         \
		}                                       \
		name##_body();                          \
		agent_end();                            \
	}                                               \
	static void name##_body(void)

/* ---- the host's end ---- */

struct host {
	int fd;
	uint8_t in[sizeof(struct wire_hdr) + WIRE_PAYLOAD_MAX];
	size_t len, used;
	struct wire_hdr h; /* the last frame */
	const uint8_t *payload;
	char out[2][65536]; /* DATA so far, NUL-ended */
	size_t out_len[2], out_total[2];
	bool eof[2], exited;
	struct wire_exit exit;
	bool no_window; /* do not give credit back */
};

static inline void host_frame(struct host *s, uint8_t type, uint8_t chan, const void *payload, size_t len)
{
	uint8_t buf[sizeof(struct wire_hdr) + WIRE_PAYLOAD_MAX];
	struct wire_hdr h = { .len = (uint32_t)len, .type = type, .chan = chan };
	size_t off = 0;

	memcpy(buf, &h, sizeof(h));
	if (len)
		memcpy(buf + sizeof(h), payload, len);
	while (off < sizeof(h) + len) {
		ssize_t n = send(s->fd, buf + off, sizeof(h) + len - off, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		off += (size_t)n;
	}
}

static inline struct host *host_connect_silent(void)
{
	struct host *s = calloc(1, sizeof(*s));

	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(s->fd, (struct sockaddr *)&agent_addr, sizeof(agent_addr)))
		UNIT_FAIL("connect: %s", strerror(errno));
	return s;
}

static inline struct host *host_connect(void)
{
	struct host *s = host_connect_silent();
	struct wire_hello hello = { .version = WIRE_VERSION };

	host_frame(s, WIRE_HELLO, 0, &hello, sizeof(hello));
	return s;
}

static inline void host_close(struct host *s)
{
	close(s->fd);
	free(s);
}

/* The next frame: 1; 0 at the end; -1 when none comes in time. */
static inline int host_next_within(struct host *s, int ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	memmove(s->in, s->in + s->used, s->len - s->used);
	s->len -= s->used;
	s->used = 0;
	for (;;) {
		ssize_t n;

		if (s->len >= sizeof(s->h)) {
			memcpy(&s->h, s->in, sizeof(s->h));
			if (s->h.len > WIRE_PAYLOAD_MAX)
				return 0;
			if (s->len - sizeof(s->h) >= s->h.len) {
				s->payload = s->in + sizeof(s->h);
				s->used = sizeof(s->h) + s->h.len;
				return 1;
			}
		}
		if (poll(&p, 1, ms) == 0)
			return -1;
		n = recv(s->fd, s->in + s->len, sizeof(s->in) - s->len, 0);
		if (n <= 0)
			return 0;
		s->len += (size_t)n;
	}
}

/* Take a frame of the stream kind in. False: it is something else. */
static inline bool host_stream(struct host *s)
{
	int i = s->h.chan == WIRE_STDERR;

	if (s->h.type == WIRE_HELLO)
		return true;
	if (s->h.type == WIRE_DATA) {
		size_t room = sizeof(s->out[i]) - 1 - s->out_len[i], n = s->h.len < room ? s->h.len : room;

		memcpy(s->out[i] + s->out_len[i], s->payload, n);
		s->out_len[i] += n;
		s->out_total[i] += s->h.len;
		if (!s->no_window)
			host_frame(s, WIRE_WINDOW, s->h.chan, &s->h.len, 4);
		return true;
	}
	if (s->h.type == WIRE_EOF) {
		if (s->h.chan != WIRE_STDIN)
			s->eof[i] = true;
		return true;
	}
	if (s->h.type == WIRE_EXIT) {
		memcpy(&s->exit, s->payload, sizeof(s->exit));
		s->exited = true;
		return true;
	}
	return s->h.type == WIRE_WINDOW || s->h.type == WIRE_OOM;
}

/* The type of the answer: OK or ERROR; 0 when the session ended; -1 on time-out. */
static inline int host_answer(struct host *s)
{
	int r;

	while ((r = host_next_within(s, ANSWER_MS)) > 0) {
		if (s->h.type == WIRE_OK || s->h.type == WIRE_ERROR)
			return s->h.type;
		host_stream(s);
	}
	return r;
}

static inline bool host_ok(struct host *s)
{
	int r = host_answer(s);

	if (r == WIRE_ERROR) {
		struct wire_error e;

		memcpy(&e, s->payload, sizeof(e));
		printf("# ERROR stage %u errno %u (%s): %.*s\n", e.stage, e.err, strerror((int)e.err),
		       (int)(s->h.len - sizeof(e)), (const char *)s->payload + sizeof(e));
	} else if (r != WIRE_OK) {
		printf("# answer %d\n", r);
	}
	return r == WIRE_OK;
}

/* The answer is an ERROR of that stage and errno (0: any); its text is left in *text. */
static inline bool host_error(struct host *s, uint32_t stage, uint32_t err, char text[1100])
{
	struct wire_error e = { 0 };
	int r = host_answer(s);

	text[0] = '\0';
	if (r != WIRE_ERROR) {
		printf("# answer %d instead of an error\n", r);
		return false;
	}
	memcpy(&e, s->payload, sizeof(e));
	snprintf(text, 1100, "%.*s", (int)(s->h.len - sizeof(e)), (const char *)s->payload + sizeof(e));
	if (e.stage == stage && (!err || e.err == err))
		return true;
	printf("# error stage %u errno %u: %s\n", e.stage, e.err, text);
	return false;
}

static inline void host_plan(struct host *s, const struct pb *p, uint8_t request)
{
	host_frame(s, WIRE_PLAN, 0, p->data, p->len);
	host_frame(s, request, 0, NULL, 0);
}

static inline bool host_request(struct host *s, uint8_t type, const char *cid)
{
	host_frame(s, type, 0, cid, strlen(cid));
	return host_ok(s);
}

static inline void host_signal(struct host *s, uint32_t signo, uint32_t all, const char *cid)
{
	uint8_t buf[512];
	struct wire_signal sig = { .signo = signo, .all = all };

	memcpy(buf, &sig, sizeof(sig));
	memcpy(buf + sizeof(sig), cid, strlen(cid));
	host_frame(s, WIRE_SIGNAL, 0, buf, sizeof(sig) + strlen(cid));
}

/* Relay until EXIT. False when it does not come. */
static inline bool host_run(struct host *s)
{
	while (!s->exited)
		if (host_next_within(s, ANSWER_MS) <= 0 || !host_stream(s))
			return false;
	return true;
}

/* Relay until the channel's output contains the text. */
static inline bool host_expect(struct host *s, int chan, const char *text)
{
	while (!strstr(s->out[chan], text))
		if (host_next_within(s, ANSWER_MS) <= 0 || !host_stream(s))
			return false;
	return true;
}

/* Create and start what the plan says on a session of its own; NULL when it fails. */
static inline struct host *host_start(const struct pb *p, const char *cid)
{
	struct host *s = host_connect();

	host_plan(s, p, WIRE_CREATE);
	if (host_ok(s) && host_request(s, WIRE_START, cid))
		return s;
	UNIT_FAIL("%s was not started", cid);
	host_close(s);
	return NULL;
}

#endif
