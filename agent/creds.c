/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials and limits of a container process. Runs in its child; raw system calls, because a
 * child of clone3(2) must not rely on libc's idea of its threads.
 *
 * Order. The plan's compiler decides it. Two orders work: a filter without no-new-privs first,
 * while CAP_SYS_ADMIN is there, then user and capabilities; or user, capabilities, no-new-privs,
 * filter last.
 */
#include "creds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys.h"
#include "util.h"

#define IOPRIO_PROCESS 1

struct sched_attr_v0 {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

int creds_become_root(void)
{
	/* the order leaves no moment with new ids and old groups */
	if (syscall(SYS_setresgid, 0, 0, 0) || syscall(SYS_setresuid, 0, 0, 0) || syscall(SYS_setgroups, 0, NULL))
		return -errno;
	return 0;
}

int creds_user(const struct plan_user *u, const uint32_t *gids)
{
	umask(u->umask == UINT32_MAX ? 0022 : u->umask & 0777);
	/* the switch away from root would drop all capabilities that creds_caps() is to set */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		return -errno;
	if (syscall(SYS_setgroups, (size_t)u->ngids, gids) || syscall(SYS_setresgid, u->gid, u->gid, u->gid) ||
	    syscall(SYS_setresuid, u->uid, u->uid, u->uid))
		return -errno;
	return 0;
}

static int caps_write(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	for (unsigned int i = 0; i < 2; i++) {
		d[i].effective = (uint32_t)(effective >> (32 * i));
		d[i].permitted = (uint32_t)(permitted >> (32 * i));
		d[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	return syscall(SYS_capset, &h, d) ? -errno : 0;
}

static int caps_read(uint64_t *permitted, uint64_t *inheritable)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return -errno;
	*permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	*inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
	return 0;
}

int creds_caps(const struct plan_caps *c)
{
	uint64_t permitted = 0, inheritable = 0, want;
	int r;

	/* the permitted set survived the change of user; make it effective, for PR_CAPBSET_DROP */
	r = caps_read(&permitted, &inheritable);
	if (r == 0)
		r = caps_write(permitted, permitted, inheritable);
	for (int cap = 0; r == 0 && cap < 64; cap++) {
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (has < 0) /* beyond the kernel's last one */
			break;
		if (has && !(c->bounding >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			r = -errno;
	}
	if (r)
		return r;
	/*
	 * what is not to be had here (an unknown one, or one that the caller lost) cannot be given:
	 * as runc, go on without
	 */
	want = c->permitted & permitted;
	r = caps_write(c->effective & want, want, c->inheritable & (inheritable | (permitted & c->bounding)));
	if (r)
		return r;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	for (int cap = 0; cap < 64; cap++)
		if (c->ambient & want & c->inheritable & 1ull << cap)
			(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	return 0;
}

int creds_rlimit(const struct plan_rlimit *p)
{
	struct {
		uint64_t cur, max;
	} r = { p->soft, p->hard };

	return syscall(SYS_prlimit64, 0, p->resource, &r, NULL) ? -errno : 0;
}

int creds_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

int creds_seccomp(const struct plan_seccomp *s, const void *filter)
{
	struct sock_fprog prog = { .len = (unsigned short)s->count, .filter = (struct sock_filter *)filter };
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, s->flags, &prog);

	if (r > 0) { /* the fd of a listener: nobody here would answer it */
		close((int)r);
		return -EOPNOTSUPP;
	}
	return r ? -errno : 0;
}

int creds_sched(const struct plan_sched *s)
{
	struct sched_attr_v0 a = {
		.size = sizeof(a),
		.policy = s->policy,
		.flags = s->flags,
		.nice = s->nice,
		.priority = s->priority,
		.runtime = s->runtime,
		.deadline = s->deadline,
		.period = s->period,
	};

	return syscall(SYS_sched_setattr, 0, &a, 0) ? -errno : 0;
}

int creds_ioprio(int value)
{
	return syscall(SYS_ioprio_set, IOPRIO_PROCESS, 0, value) ? -errno : 0;
}

int creds_personality(int value)
{
	return personality((unsigned long)(unsigned int)value) < 0 ? -errno : 0;
}

static void affinity_add(unsigned int cpu, void *arg)
{
	CPU_SET(cpu, (cpu_set_t *)arg);
}

int creds_affinity(const char *cpus)
{
	cpu_set_t set, here;
	int r;

	CPU_ZERO(&set);
	r = list_parse(cpus, CPU_SETSIZE, affinity_add, &set);
	if (r)
		return r;
	if (sched_getaffinity(0, sizeof(here), &here))
		return -errno;
	CPU_AND(&set, &set, &here);
	if (!CPU_COUNT(&set))
		return 0;
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

void creds_keyring(const char *cid)
{
	char name[WIRE_CID_MAX + 8];

	/* without keys in the kernel, or with the quota used up, there is nothing to keep apart */
	(void)snprintf(name, sizeof(name), "_ses.%s", cid);
	(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);
}
