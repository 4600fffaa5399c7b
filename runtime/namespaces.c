/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host-side namespaces of a container: empty shells around its proxy.
 */
#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "util.h"

/* Taking the host's interfaces over would cut the host off. */
static bool is_own_network(int fd)
{
	struct stat own, given;

	return stat("/proc/self/ns/net", &own) == 0 && fstat(fd, &given) == 0 && own.st_dev == given.st_dev &&
	       own.st_ino == given.st_ino;
}

int namespaces_open(struct namespaces *ns, const struct spec *spec, struct error *err)
{
	*ns = (struct namespaces){ .new_flags = CLONE_NEWNS };
	for (int i = 0; i < NS_COUNT; i++)
		ns->fd[i] = -1;
	for (int i = 0; i < NS_COUNT; i++) {
		const struct spec_namespace *n = &spec->lin.ns[i];
		int type;

		/* these exist in the guest only; the mount namespace is always our own */
		if (!n->present || i == NS_MOUNT || i == NS_USER || i == NS_TIME)
			continue;
		if (!n->path) {
			ns->new_flags |= spec_ns_kinds[i].clone_flag;
			continue;
		}
		ns->fd[i] = open(n->path, O_RDONLY | O_CLOEXEC);
		if (ns->fd[i] < 0)
			return error_set(err, errno, "%s namespace path %s", spec_ns_kinds[i].name, n->path);
		type = ioctl(ns->fd[i], NS_GET_NSTYPE);
		if (type < 0)
			return error_set(err, 0, "%s namespace path %s: not a namespace", spec_ns_kinds[i].name,
					 n->path);
		if ((unsigned long)type != spec_ns_kinds[i].clone_flag)
			return error_set(err, 0, "%s namespace path %s: a namespace of another type",
					 spec_ns_kinds[i].name, n->path);
		if (i == NS_NETWORK && is_own_network(ns->fd[i]))
			return error_set(
				err, 0,
				"network namespace path %s: the host's own, which a container with its own kernel "
				"cannot share; use a bridge network, or the annotation run.husk.network=none",
				n->path);
	}
	return 0;
}

void namespaces_close(struct namespaces *ns)
{
	for (int i = 0; i < NS_COUNT; i++) {
		if (ns->fd[i] >= 0)
			close(ns->fd[i]);
		ns->fd[i] = -1;
	}
}

pid_t namespaces_clone(const struct namespaces *ns, int cgroup_fd, int *pidfd, struct error *err)
{
	/* the cgroup namespace is made later, from inside the cgroup: its root is where its maker is */
	struct clone_args args = {
		.flags = (ns->new_flags & ~(unsigned long)CLONE_NEWCGROUP) | CLONE_PIDFD,
		.exit_signal = SIGCHLD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
	};
	CLEAN_FD int own_pid = -1;
	pid_t pid;

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	if (ns->fd[NS_PID] >= 0) { /* takes effect for children only */
		own_pid = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
		if (own_pid < 0 || setns(ns->fd[NS_PID], CLONE_NEWPID) < 0)
			return error_set(err, errno, "cannot join the pid namespace");
	}
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		return 0;
	if (pid < 0)
		error_set(err, errno, "cannot make the container's namespaces");
	if (own_pid >= 0)
		setns(own_pid, CLONE_NEWPID);
	return pid;
}

int namespaces_join(const struct namespaces *ns, struct error *err)
{
	for (int i = 0; i < NS_COUNT; i++)
		if (ns->fd[i] >= 0 && i != NS_PID && setns(ns->fd[i], (int)spec_ns_kinds[i].clone_flag) < 0)
			return error_set(err, errno, "cannot join the %s namespace", spec_ns_kinds[i].name);
	return 0;
}

void loopback_up(void)
{
	CLEAN_FD int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo" };

	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &ifr) < 0 || (ifr.ifr_flags & IFF_UP))
		return;
	ifr.ifr_flags |= IFF_UP;
	ioctl(s, SIOCSIFFLAGS, &ifr);
}

int root_pivot(const char *root, struct error *err)
{
	if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(root) < 0)
		return error_set(err, errno, "root file system %s", root);
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		/* the old root lies on top of the new one now */
		if (umount2(".", MNT_DETACH) < 0)
			return error_set(err, errno, "cannot let go of the old root");
	} else if (mount(root, "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0) { /* / is a ramfs */
		return error_set(err, errno, "cannot change the root to %s", root);
	}
	return chdir("/") < 0 ? error_set(err, errno, "chdir /") : 0;
}
