/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that a libc may lack, and their constants. Each returns its result, or -errno. The
 * structures are the kernel's (include/uapi/linux/{sched,mount,openat2}.h); own names keep them
 * apart from libc headers that declare some of them.
 */
#ifndef HUSK_AGENT_SYS_H
#define HUSK_AGENT_SYS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* openat2(2) */
#define SYS_RESOLVE_NO_MAGICLINKS 0x02u
#define SYS_RESOLVE_NO_SYMLINKS 0x04u
#define SYS_RESOLVE_IN_ROOT 0x10u

/* open_tree(2), move_mount(2), mount_setattr(2) */
#define SYS_OPEN_TREE_CLONE 1u
#define SYS_OPEN_TREE_CLOEXEC 02000000u
#define SYS_MOVE_MOUNT_F_EMPTY_PATH 0x04u
#define SYS_MOVE_MOUNT_T_EMPTY_PATH 0x40u
#define SYS_AT_EMPTY_PATH 0x1000u
#define SYS_AT_RECURSIVE 0x8000u
#define SYS_AT_SYMLINK_NOFOLLOW 0x100u

#define SYS_ATTR_RDONLY 0x01u
#define SYS_ATTR_NOSUID 0x02u
#define SYS_ATTR_NODEV 0x04u
#define SYS_ATTR_NOEXEC 0x08u
#define SYS_ATTR_ATIME 0x70u /* the field; relatime is 0 in it */
#define SYS_ATTR_NOATIME 0x10u
#define SYS_ATTR_STRICTATIME 0x20u
#define SYS_ATTR_NODIRATIME 0x80u
#define SYS_ATTR_NOSYMFOLLOW 0x200000u

/* clone3(2); CLONE_NEW* come from <sched.h> */
#define SYS_CLONE_PIDFD 0x1000ull
#define SYS_CLONE_PARENT 0x8000ull
#define SYS_CLONE_NEWTIME 0x80ull
#define SYS_CLONE_NEWCGROUP 0x02000000ull
#define SYS_CLONE_INTO_CGROUP 0x200000000ull

#ifndef SYS_clone3
#error "needs kernel headers of Linux 5.12 or later"
#endif

struct sys_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
		cgroup;
};

struct sys_open_how {
	uint64_t flags, mode, resolve;
};

struct sys_mount_attr {
	uint64_t attr_set, attr_clr, propagation, userns_fd;
};

static inline long sys_result(long r)
{
	return r < 0 ? -errno : r;
}

/* A fork with namespaces, a pidfd and a cgroup; child: 0. The child has its own copy of memory. */
static inline int sys_clone3(const struct sys_clone_args *a)
{
	return (int)sys_result(syscall(SYS_clone3, a, sizeof(*a)));
}

static inline int sys_openat2(int dir, const char *path, int flags, unsigned int mode, uint64_t resolve)
{
	struct sys_open_how how = { .flags = (uint64_t)(unsigned int)flags, .mode = mode, .resolve = resolve };

	return (int)sys_result(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

static inline int sys_open_tree(int dir, const char *path, unsigned int flags)
{
	return (int)sys_result(syscall(SYS_open_tree, dir, path, flags));
}

/* Attach the mount that `from` is to what the O_PATH fd `to` is. */
static inline int sys_move_mount_fd(int from, int to)
{
	return (int)sys_result(
		syscall(SYS_move_mount, from, "", to, "", SYS_MOVE_MOUNT_F_EMPTY_PATH | SYS_MOVE_MOUNT_T_EMPTY_PATH));
}

static inline int sys_mount_setattr_fd(int fd, unsigned int flags, const struct sys_mount_attr *a)
{
	return (int)sys_result(syscall(SYS_mount_setattr, fd, "", flags | SYS_AT_EMPTY_PATH, a, sizeof(*a)));
}

static inline int sys_pivot_root(const char *new_root, const char *put_old)
{
	return (int)sys_result(syscall(SYS_pivot_root, new_root, put_old));
}

static inline int sys_pidfd_send_signal(int pidfd, int signo)
{
	return (int)sys_result(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0));
}

static inline int sys_close_range(unsigned int first, unsigned int last)
{
	return (int)sys_result(syscall(SYS_close_range, first, last, 0));
}

#endif
