/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a plan to a child. The loop runs it. The plan is checked for shape; its values are the
 * host's.
 *
 * Who makes a namespace decides who owns it, so the ways are:
 *   no user namespace       all new ones by clone3; joins, if any, by the child
 *   a new user namespace    by clone3 with all others, which it then owns; with joins, by a helper that joins first
 *   a joined user namespace the child joins it last, then unshares the new ones, which it then owns; a new
 *                           pid namespace needs a process between: the helper again
 * The cgroup and time namespaces are always unshared by the child (setup.c says why). A joined pid
 * namespace is set for the agent's children just around clone3 (process.c).
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cgroup.h"
#include "process.h"
#include "report.h"
#include "setup.h"
#include "sys.h"
#include "sysctl.h"
#include "util.h"
#include "vm_tmpfs.h"

#define LATE_FLAGS (SYS_CLONE_NEWCGROUP | SYS_CLONE_NEWTIME)

static const uint64_t ns_known = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
				 CLONE_NEWNET | SYS_CLONE_NEWCGROUP | SYS_CLONE_NEWTIME;

struct namespaces {
	uint64_t fresh, joined;
	int pid_ns; /* pidfd whose pid namespace is joined, -1: none */
};

static int join_one(struct namespaces *ns, struct setup *s, struct container *c, uint64_t flag, const char *cid,
		    struct fault *f)
{
	struct container *from = container_find(cid, strlen(cid));
	unsigned int i = 0;
	int r;

	if (!from || !from->init || from->state == CONTAINER_STOPPED || from->state == CONTAINER_BUILDING)
		return fault_set(f, STAGE_STATE, ESRCH, "container %s, whose namespace is to be joined, is not running",
				 cid);
	if (!(from->namespaces & flag)) /* it has the VM's own, and so shall this one */
		return 0;
	ns->joined |= flag;
	if (flag == CLONE_NEWPID) {
		ns->pid_ns = from->init->pidfd;
		return 0;
	}
	if (flag == CLONE_NEWUSER) {
		r = idmap_copy(&c->ids, &from->ids);
		if (r)
			return fault_set(f, STAGE_SETUP, r, "id maps of %s", cid);
	}
	while (i < s->njoins && s->join[i].pidfd != from->init->pidfd)
		i++;
	if (i == SETUP_JOINS_MAX)
		return fault_set(f, STAGE_PROTOCOL, E2BIG, "plan: namespaces of too many containers");
	s->njoins = i < s->njoins ? s->njoins : i + 1;
	s->join[i].pidfd = from->init->pidfd;
	s->join[i].flags |= flag;
	return 0;
}

static int read_namespaces(struct namespaces *ns, struct setup *s, struct container *c, const struct plan *p,
			   struct fault *f)
{
	struct plan_iter it;
	struct plan_item i;
	int r = 0;

	plan_iter_init(&it, p);
	while (plan_next(&it, &i)) {
		if (i.op == OP_NAMESPACE) {
			uint64_t flag = ((const struct plan_ns *)i.body)->clone_flag;

			if (!(flag & ns_known) || flag & (flag - 1) || (ns->fresh | ns->joined) & flag)
				return fault_set(f, STAGE_PROTOCOL, EINVAL, "plan: namespace 0x%llx",
						 (unsigned long long)flag);
			if (!*i.str[0])
				ns->fresh |= flag;
			else if (join_one(ns, s, c, flag, i.str[0], f))
				return -1;
		} else if (i.op == OP_IDMAP) {
			r = idmap_add(&c->ids, i.body);
			if (r)
				return fault_set(f, STAGE_PROTOCOL, r, "plan: id map");
		}
	}
	/* the agent's own mounts are never a container's */
	if (!((ns->fresh | ns->joined) & CLONE_NEWNS))
		ns->fresh |= CLONE_NEWNS;
	if (ns->fresh & CLONE_NEWUSER)
		c->ids.active = true;
	else if (!(ns->joined & CLONE_NEWUSER) && (c->ids.n[0] || c->ids.n[1]))
		return fault_set(f, STAGE_PROTOCOL, EINVAL, "plan: id map without a user namespace");
	return 0;
}

/* Distribute the new namespaces over clone3, helper and child. */
static void order_namespaces(const struct namespaces *ns, struct setup *s)
{
	bool user = (ns->fresh | ns->joined) & CLONE_NEWUSER;
	uint64_t early = ns->fresh & ~LATE_FLAGS;

	s->in_user_ns = user;
	s->new_user = ns->fresh & CLONE_NEWUSER;
	s->unshare = ns->fresh & LATE_FLAGS;
	if (!user)
		s->clone_flags = early;
	else if (s->new_user && !s->njoins)
		s->clone_flags = early;
	else if (s->new_user || ns->fresh & CLONE_NEWPID)
		s->second_clone = early;
	else
		s->unshare |= early;
}

/*
 * Network parameters of a network namespace that the container's user namespace does not own: only
 * we may set them.
 */
static int net_sysctls(const struct plan *p, struct fault *f)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), r = proc < 0 ? -errno : 0;
	struct plan_iter it;
	struct plan_item i;

	plan_iter_init(&it, p);
	while (r == 0 && plan_next(&it, &i)) {
		if (i.op != OP_SYSCTL || !sysctl_is_net(i.str[0]))
			continue;
		r = sysctl_write(proc, i.str[0], i.str[1]);
		if (r)
			(void)fault_set(f, STAGE_SETUP, r, "write sysctl key %s", i.str[0]);
	}
	fd_close(&proc);
	return r ? -1 : 0;
}

static void process_owner(const struct container *c, const struct plan *p, uint32_t *uid, uint32_t *gid)
{
	struct plan_item user;
	uint32_t u = 0, g = 0;

	if (plan_find(p, OP_USER, &user)) {
		u = ((const struct plan_user *)user.body)->uid;
		g = ((const struct plan_user *)user.body)->gid;
	}
	*uid = idmap_outside(&c->ids, 0, u);
	*gid = idmap_outside(&c->ids, 1, g);
}

static bool wants_tty(const struct plan *p)
{
	struct plan_item i;

	return plan_find(p, OP_TTY, &i);
}

/*
 * A writable cgroup mount in a container with a user namespace: its root user owns the directory.
 */
static int delegate_cgroup(struct container *c, const struct plan *p, uint64_t fresh, struct fault *f)
{
	struct plan_iter it;
	struct plan_item i;
	bool writable = false;
	int r;

	plan_iter_init(&it, p);
	while (plan_next(&it, &i)) {
		const struct plan_mount *m = i.body;

		if (i.op == OP_MOUNT && m->opts & PLAN_MOUNT_CGROUP && !(m->flags & MS_RDONLY))
			writable = true;
	}
	if (!writable || !(fresh & SYS_CLONE_NEWCGROUP) || idmap_outside(&c->ids, 0, 0) == UINT32_MAX)
		return 0;
	r = cgroup_delegate(c->cgroup, idmap_outside(&c->ids, 0, 0), idmap_outside(&c->ids, 1, 0));
	return r ? fault_set(f, STAGE_SETUP, r, "owner of the cgroup") : 0;
}

struct process *spawn_init(struct session *s, struct container *c, const struct plan *p, struct fault *f)
{
	struct setup setup = { .plan = p, .stdio = { -1, -1, -1 }, .cgroup = c->cgroup_path };
	struct namespaces ns = { .pid_ns = -1 };
	uint32_t uid, gid;

	if (read_namespaces(&ns, &setup, c, p, f))
		return NULL;
	order_namespaces(&ns, &setup);
	setup.user_root = idmap_outside(&c->ids, 0, 0) != UINT32_MAX && idmap_outside(&c->ids, 1, 0) != UINT32_MAX;
	c->namespaces = ns.fresh | ns.joined;
	c->oom_score = setup_oom_score(p);
	if (setup.in_user_ns && !((ns.fresh | ns.joined) & CLONE_NEWNET)) {
		setup.net_sysctls_done = true;
		if (net_sysctls(p, f))
			return NULL;
	}
	if (c->ids.active && delegate_cgroup(c, p, ns.fresh, f))
		return NULL;
	if (vm_tmpfs_make(p, f))
		return NULL;
	process_owner(c, p, &uid, &gid);
	return process_spawn(s, c, &setup, wants_tty(p), c->cgroup, ns.pid_ns, uid, gid, f);
}

struct process *spawn_exec(struct session *s, struct container *c, const struct plan *p, struct fault *f)
{
	struct setup setup = { .plan = p, .is_exec = true, .stdio = { -1, -1, -1 }, .cgroup = c->cgroup_path };
	int pid_ns = c->namespaces & CLONE_NEWPID ? c->init->pidfd : -1, cgroup = -1;
	struct process *proc;
	uint32_t uid, gid;

	setup.join[0].pidfd = c->init->pidfd;
	setup.join[0].flags = c->namespaces & ~(uint64_t)CLONE_NEWPID;
	setup.njoins = 1;
	setup.in_user_ns = c->namespaces & CLONE_NEWUSER;
	setup.user_root = idmap_outside(&c->ids, 0, 0) != UINT32_MAX && idmap_outside(&c->ids, 1, 0) != UINT32_MAX;
	process_owner(c, p, &uid, &gid);
	proc = process_spawn(s, c, &setup, wants_tty(p), c->cgroup, pid_ns, uid, gid, f);
	if (proc || f->err != EBUSY)
		return proc;
	/*
	 * its own directory has children with controllers (systemd, an engine): no processes may be
	 * in it. Go where init is
	 */
	cgroup = cgroup_of(c->init->pid);
	if (cgroup < 0)
		return NULL;
	proc = process_spawn(s, c, &setup, wants_tty(p), cgroup, pid_ns, uid, gid, f);
	close(cgroup);
	return proc;
}

int spawn_write_maps(struct process *p, struct container *c, struct fault *f)
{
	char file[64], score[16];
	int r;

	r = idmap_write(&c->ids, p->pid);
	if (r)
		return fault_set(f, STAGE_SETUP, r, "write the id maps of the user namespace");
	(void)snprintf(file, sizeof(file), "/proc/%d/oom_score_adj", (int)p->pid);
	(void)snprintf(score, sizeof(score), "%d", c->oom_score);
	r = file_write_str(AT_FDCWD, file, score);
	if (r)
		return fault_set(f, STAGE_SETUP, r, "oom_score_adj");
	r = report_go(p->sync.fd);
	return r ? fault_set(f, STAGE_SETUP, r, "let the child go on") : 0;
}
