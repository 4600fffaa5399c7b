/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's side of building a container. Single-threaded, blocking; everything it does wrong
 * goes to the agent as one fault. The plan has been checked for shape; the image and, with a shared
 * pid namespace, other processes are hostile.
 *
 * Theory of operation. The agent clones this process into the container's cgroup and into its new
 * namespaces, then:
 *
 *   1. all descriptors but a few are closed: what the agent holds must not be found through /proc/PID/fd;
 *   2. namespaces of others are joined, the user namespace last: rights over the rest come from outside it;
 *   3. what could not be given to clone3 is unshared. The cgroup namespace: its root is the cgroup one is in. The
 *      time namespace: its offsets are written before anyone enters. A user namespace that is joined must own the pid
 *      namespace that is new, or a new one must come after the joins: then the process that joined is only a
 *      helper, and clones the child proper as its sibling;
 *   4. id maps are written by the agent, on request;
 *   5. the plan's operations run in their order. Three moments are placed between them: environment variables are
 *      put together before the first operation on the process itself (/etc/passwd is read as root); the
 *      executable is looked
 *      up after the last one that changes user, capabilities or directory (so before a filter that comes last);
 *   6. a container waits for START, runs its startContainer hooks, and executes.
 */
#include "setup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "creds.h"
#include "launch.h"
#include "mount.h"
#include "net.h"
#include "node.h"
#include "path.h"
#include "report.h"
#include "sys.h"
#include "sysctl.h"
#include "tty.h"
#include "util.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif

struct child {
	const struct setup *s;
	struct fault *f;
	struct mounts m;
	struct launch l;
	int proc;	 /* the agent's /proc, whatever the container mounts; -1 in an exec */
	uint32_t uid;	 /* of the process */
	const char *cwd; /* entered after the change of user; NULL: done */
	bool prepared, looked_up;
};

static int fail(struct child *c, int err, const char *what)
{
	return fault_set(c->f, STAGE_SETUP, err, "%s", what);
}

/* ---- namespaces ---- */

int setup_oom_score(const struct plan *p)
{
	struct plan_item item;

	return plan_find(p, OP_OOM_SCORE, &item) ? ((const struct plan_int *)item.body)->value : 0;
}

/*
 * The agent cannot be chosen by the OOM killer, and children inherit that: take it back first of
 * all.
 */
static int leave_oom_protection(const struct setup *s)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", setup_oom_score(s->plan));
	return file_write_str(AT_FDCWD, "/proc/self/oom_score_adj", text);
}

static int join_all(const struct setup *s, bool user)
{
	for (unsigned int i = 0; i < s->njoins; i++) {
		uint64_t flags = s->join[i].flags & (user ? (uint64_t)CLONE_NEWUSER : ~(uint64_t)CLONE_NEWUSER);

		if (flags && setns(s->join[i].pidfd, (int)flags))
			return -errno;
	}
	return 0;
}

/* Time offsets are set for the children of the process that unshared; then it enters by itself. */
static int new_time_ns(struct child *c, int offsets)
{
	struct plan_iter it;
	struct plan_item item;
	char line[64];
	int fd;

	if (unshare(CLONE_NEWTIME))
		return fail(c, errno, "new time namespace");
	plan_iter_init(&it, c->s->plan);
	while (plan_next(&it, &item)) {
		const struct plan_timeoffset *t = item.body;
		int n;

		if (item.op != OP_TIMEOFFSET)
			continue;
		n = snprintf(line, sizeof(line), "%u %lld %u\n", t->clock, (long long)t->sec, t->nsec);
		if (write(offsets, line, (size_t)n) != n)
			return fail(c, errno, "time offsets");
	}
	fd = openat(c->proc, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME)) {
		int err = errno;

		fd_close(&fd);
		return fail(c, err, "enter the new time namespace");
	}
	close(fd);
	return 0;
}

static int enter_namespaces(struct child *c)
{
	const struct setup *s = c->s;
	uint64_t late = s->unshare & ~(uint64_t)CLONE_NEWTIME;
	int offsets = -1, r;

	/* opened with the ids of the agent: after the change of user they would not be ours */
	if (s->unshare & CLONE_NEWTIME)
		offsets = openat(c->proc, "self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (s->new_user) {
		r = report_send(s->sync, REPORT_MAPS, 0, NULL, -1);
		if (r == 0)
			r = report_wait_go(s->sync);
		if (r)
			return fail(c, r, "id maps");
	}
	if (s->in_user_ns && s->user_root) {
		r = creds_become_root();
		if (r)
			return fail(c, r, "become root of the user namespace");
	}
	if (late && unshare((int)late))
		return fail(c, errno, "new namespaces");
	r = s->unshare & CLONE_NEWTIME ? new_time_ns(c, offsets) : 0;
	fd_close(&offsets);
	if (r == 0 && (s->clone_flags | s->second_clone | s->unshare) & CLONE_NEWNET) {
		r = net_loopback_up();
		if (r)
			return fail(c, r, "bring the loopback interface up");
	}
	return r;
}

/* ---- operations on the environment ---- */

static int do_sysctl(struct child *c, const char *key, const char *value)
{
	int r;

	if (c->s->net_sysctls_done && sysctl_is_net(key))
		return 0;
	r = c->proc < 0 ? -EINVAL : sysctl_write(c->proc, key, value);
	return r ? fault_set(c->f, STAGE_SETUP, r, "write sysctl key %s", key) : 0;
}

static int environment_op(struct child *c, const struct plan_item *i)
{
	switch (i->op) {
	case OP_ROOT:
		return mount_root(&c->m, i->body, i->str[0], c->f);
	case OP_MOUNT:
		return mount_add(&c->m, i->body, i->str[0], i->str[1], i->str[2], i->str[3], c->f);
	case OP_MKNOD:
		return node_device(&c->m, i->body, i->str[0], c->f);
	case OP_DISK_NODE:
		return node_disk(&c->m, i->body, i->str[0], i->str[1], c->f);
	case OP_SYMLINK:
		return node_symlink(c->m.root, i->str[0], i->str[1], c->f);
	case OP_PIVOT:
		return mount_pivot(&c->m, i->body, c->f);
	case OP_REMOUNT_ROOT:
		return mount_root_readonly(&c->m, c->f);
	case OP_MASK:
		return mount_mask(&c->m, i->str[0], c->f);
	case OP_READONLY:
		return mount_readonly(&c->m, i->str[0], c->f);
	case OP_HOSTNAME:
		return sethostname(i->str[0], strlen(i->str[0])) ? fail(c, errno, "hostname") : 0;
	case OP_DOMAINNAME:
		return setdomainname(i->str[0], strlen(i->str[0])) ? fail(c, errno, "domainname") : 0;
	case OP_SYSCTL:
		return do_sysctl(c, i->str[0], i->str[1]);
	case OP_MKDIR:
		return node_directory(c->m.root, i->body, i->str[0], c->f);
	default: /* CONTAINER, and what the agent has done before this process existed */
		return 0;
	}
}

/* ---- operations on the process ---- */

static int do_tty(struct child *c, const struct plan_tty *t)
{
	int master, slave, r;

	r = tty_open(c->m.root, t->rows, t->cols, c->uid, &master, &slave);
	if (r)
		return fail(c, r, "open a terminal at /dev/pts/ptmx");
	if (!c->s->is_exec)
		r = mount_bind_file(&c->m, slave, "/dev/console");
	if (r) {
		r = fail(c, r, "bind the terminal to /dev/console");
	} else {
		r = report_send(c->s->sync, REPORT_TTY, 0, NULL, master);
		if (r == 0)
			r = tty_adopt(slave);
		if (r)
			r = fail(c, r, "take the terminal");
	}
	close(master);
	if (slave > 2)
		close(slave);
	return r;
}

/*
 * Enter the directory by an fd: no link of /proc leads out of the root (a leaked descriptor as
 * cwd).
 */
static int enter_cwd(struct child *c)
{
	int fd, r;

	if (!c->cwd)
		return 0;
	fd = path_open(c->m.root, c->cwd, O_PATH | O_DIRECTORY);
	if (fd == -ENOSYS || fd == -EPERM) { /* a seccomp filter that does not know openat2 */
		r = chdir(c->cwd) ? -errno : 0;
	} else {
		r = fd < 0 ? fd : fchdir(fd) ? -errno : 0;
		fd_close(&fd);
	}
	if (r)
		return fault_set(c->f, STAGE_CWD, r, "%s", c->cwd);
	c->cwd = NULL;
	return 0;
}

/*
 * A container's is made by root when it is missing, an exec's must be there. Entered by root when
 * possible, else tried again as the user, who may have rights that root lacks.
 */
static int do_cwd(struct child *c, const char *path)
{
	int fd, r;

	if (c->s->plan->kind == PLAN_CONTAINER) {
		fd = path_make(c->m.root, path, PATH_DIR, 0755);
		if (fd < 0)
			return fault_set(c->f, STAGE_CWD, fd, "%s", path);
		close(fd);
	}
	c->cwd = path;
	r = enter_cwd(c);
	return r && (c->f->err == EACCES || c->f->err == EPERM) ? 0 : r;
}

/*
 * Refused values that a guest of another kernel or size cannot honour are errors: the spec asked
 * for them.
 */
static int process_op(struct child *c, const struct plan_item *i)
{
	const char *what = plan_op_name(i->op);
	int r = 0;

	switch (i->op) {
	case OP_TTY:
		return do_tty(c, i->body);
	case OP_CWD:
		return do_cwd(c, i->str[0]);
	case OP_USER:
		r = creds_user(i->body, i->tail);
		break;
	case OP_RLIMIT:
		r = creds_rlimit(i->body);
		break;
	case OP_CAPS:
		r = creds_caps(i->body);
		break;
	case OP_NO_NEW_PRIVS:
		r = creds_no_new_privs();
		break;
	case OP_SECCOMP:
		r = creds_seccomp(i->body, i->tail);
		break;
	case OP_SCHED:
		r = creds_sched(i->body);
		break;
	case OP_IOPRIO:
		r = creds_ioprio(((const struct plan_int *)i->body)->value);
		break;
	case OP_PERSONALITY:
		r = creds_personality(((const struct plan_int *)i->body)->value);
		break;
	case OP_CPU_AFFINITY:
		r = creds_affinity(i->str[0]);
		break;
	default: /* OOM_SCORE was first of all; ARGS, ENV and HOOK come last */
		break;
	}
	return r ? fail(c, r, what) : 0;
}

static int prepare(struct child *c)
{
	struct plan_item user, args, env;
	bool has_args = plan_find(c->s->plan, OP_ARGS, &args), has_env = plan_find(c->s->plan, OP_ENV, &env);

	if (plan_find(c->s->plan, OP_USER, &user))
		c->uid = ((const struct plan_user *)user.body)->uid;
	c->prepared = true;
	umask(0022);
	/*
	 * from here on the image's paths are followed by plain calls too: nothing of the agent's
	 * may be open
	 */
	fd_close(&c->proc);
	return launch_prepare(&c->l, has_args ? &args.list[0] : NULL, has_env ? &env.list[0] : NULL, c->m.root, c->uid,
			      c->f);
}

/* The number of operations up to and with the last one that decides what the process may reach. */
static uint32_t lookup_point(const struct plan *p)
{
	struct plan_iter it;
	struct plan_item i;
	uint32_t n = 0, point = 0;

	plan_iter_init(&it, p);
	while (plan_next(&it, &i)) {
		n++;
		if (i.op == OP_USER || i.op == OP_CAPS || i.op == OP_CWD)
			point = n;
	}
	return point;
}

static int look_up(struct child *c)
{
	struct plan_item args;

	c->looked_up = true;
	if (enter_cwd(c))
		return -1;
	/* a container without a process can be made; it cannot be started */
	return plan_find(c->s->plan, OP_ARGS, &args) ? launch_lookup(&c->l, c->f) : 0;
}

static int run_operations(struct child *c)
{
	uint32_t point = lookup_point(c->s->plan), n = 0;
	struct plan_iter it;
	struct plan_item i;
	int r = 0;

	plan_iter_init(&it, c->s->plan);
	while (r == 0 && plan_next(&it, &i)) {
		n++;
		if (i.op < OP_TTY) {
			r = environment_op(c, &i);
			continue;
		}
		if (!c->prepared)
			r = prepare(c);
		if (r == 0)
			r = process_op(c, &i);
		if (r == 0 && n == point)
			r = look_up(c);
	}
	if (r == 0 && !c->prepared)
		r = prepare(c);
	if (r == 0 && !c->looked_up)
		r = look_up(c);
	return r;
}

/* ---- the end ---- */

static void on_signal(int signo)
{
	_exit(128 + signo);
}

/*
 * A created container, PID 1 of its namespace, would be deaf: it ends by signals as one that runs
 * would.
 */
static void listen_to_signals(void)
{
	struct sigaction a = { .sa_handler = on_signal };

	for (int s = 1; s < 65; s++) {
		switch (s) {
		case SIGKILL:
		case SIGSTOP:
		case SIGCHLD:
		case SIGCONT:
		case SIGURG:
		case SIGWINCH:
		case SIGTSTP:
		case SIGTTIN:
		case SIGTTOU:
			break;
		default:
			(void)sigaction(s, &a, NULL);
		}
	}
}

static void default_signals(void)
{
	/* The kernel's own call and form: C libraries keep 32 and up for themselves. All zeros is SIG_DFL. */
	const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} dfl = { .handler = NULL };
	sigset_t none;

	for (int s = 1; s < 65; s++)
		if (s != SIGKILL && s != SIGSTOP)
			(void)syscall(SYS_rt_sigaction, s, &dfl, NULL, sizeof(dfl.mask));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int wait_for_start(struct child *c)
{
	struct plan_iter it;
	struct plan_item i;
	int r;

	listen_to_signals();
	r = report_send(c->s->sync, REPORT_READY, 0, NULL, -1);
	if (r == 0)
		r = report_wait_go(c->s->sync);
	if (r)
		return fail(c, r, "wait for start");
	if (!c->l.argv[0])
		return launch_lookup(&c->l, c->f);
	plan_iter_init(&it, c->s->plan);
	while (plan_next(&it, &i))
		if (i.op == OP_HOOK && launch_hook(&i, c->f))
			return -1;
	return 0;
}

static int take_stdio(const struct setup *s)
{
	for (int fd = 0; fd < 3; fd++)
		if (s->stdio[fd] >= 0 && dup2(s->stdio[fd], fd) < 0)
			return -errno;
	return 0;
}

static int child_main(struct child *c)
{
	const struct setup *s = c->s;
	int r;

	if (join_all(s, false) || join_all(s, true))
		return fail(c, errno, "join the container's namespaces");
	if (enter_namespaces(c))
		return -1;
	r = take_stdio(s);
	if (r == 0 && setsid() < 0 && errno != EPERM)
		r = -errno;
	if (r)
		return fail(c, r, "standard streams");
	creds_keyring(s->plan->cid);
	umask(0); /* modes are as the plan says; OP_USER sets the process's own */
	mounts_init(&c->m, s->in_user_ns, s->cgroup);
	c->m.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	c->m.pivoted = s->is_exec;
	if (c->m.root < 0)
		return fail(c, errno, "open /");
	if (run_operations(c) || (!s->is_exec && wait_for_start(c)))
		return -1;
	if (report_send(s->sync, REPORT_EXEC, 0, NULL, -1))
		return fail(c, EPIPE, "report");
	return launch_exec(&c->l, c->f);
}

/* Between the agent and the child proper, when a user namespace must be entered first. */
static int helper_main(struct child *c)
{
	static struct setup proper; /* stays while the child proper returns up the stack */
	struct sys_clone_args a = { .flags = c->s->second_clone | SYS_CLONE_PARENT };
	int r;

	if (join_all(c->s, false) || join_all(c->s, true))
		return fail(c, errno, "join the container's namespaces");
	proper = *c->s;
	proper.njoins = 0;
	r = sys_clone3(&a);
	if (r < 0)
		return fail(c, r, "new namespaces");
	if (r == 0) {
		c->s = &proper;
		r = report_wait_go(proper.sync);
		return r ? fail(c, r, "wait for the agent") : child_main(c);
	}
	if (report_send(proper.sync, REPORT_PID, (uint32_t)r, NULL, -1))
		_exit(1);
	_exit(0);
}

static void close_others(const struct setup *s)
{
	int keep[4 + SETUP_JOINS_MAX];
	size_t n = 0;

	keep[n++] = s->sync;
	for (int i = 0; i < 3; i++)
		keep[n++] = s->stdio[i];
	for (unsigned int i = 0; i < s->njoins; i++)
		keep[n++] = s->join[i].pidfd;
	fds_close_except(keep, n);
}

void setup_run(const struct setup *s)
{
	static struct fault f; /* 1 KiB; there is one child per process */
	struct child c = { .s = s, .f = &f, .proc = -1 };
	int r;

	default_signals();
	r = s->enter_cgroup ? file_write_str(s->enter_cgroup, "cgroup.procs", "0") : 0;
	close_others(s);
	/* with a new user namespace the agent does it, who has the right to */
	if (r == 0 && !(s->clone_flags & CLONE_NEWUSER))
		r = leave_oom_protection(s);
	if (r == 0 && !s->is_exec) {
		c.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = c.proc < 0 ? -errno : 0;
	}
	if (r)
		(void)fail(&c, r, "cgroup, /proc");
	else if (s->second_clone)
		(void)helper_main(&c);
	else
		(void)child_main(&c);
	(void)report_send(s->sync, REPORT_FAULT, 0, &f, -1);
	/* as a shell would say it, for a container that was created but cannot be started */
	_exit(f.stage != STAGE_LOOKUP && f.stage != STAGE_EXEC ? 1 : f.err == ENOENT ? 127 : 126);
}
