/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail. Main thread before the guest runs, and each thread once for itself. The guest controls nothing here; the
 * jail is for the day when it controls a thread of this process.
 *
 * Theory of operation. Stages, and why in this order:
 *
 *   1. jail_isolate(), before anything is made. A user namespace that maps every id to itself (started by root) or one
 *      user to himself (started by a user): capabilities in it count for files that the process can reach, and for
 *      nothing else of the host: no devices, no mounts, no kernel settings, no network. The map must be written by a
 *      process outside, so one is forked, and that is cheap only while this one is small. With it, own mount, IPC,
 *      UTS and network namespaces: the network namespace is empty, TAP descriptors are handed in. The pid namespace is
 *      the launcher's to make, since a process cannot change its own: in the runtime's, husk-vmm is alone.
 *   2. The machine is made: /dev/kvm, kernel and initrd, descriptors of shares. Everything with a path happens here.
 *   3. jail_close(). pivot_root onto an empty read-only tmpfs of no size; the old tree is detached. What remains
 *      reachable are the descriptors: shares are roots of detached mounts, so ".." ends at them. Limits; not
 *      dumpable, so that no other process of the same user can look in; bounding set emptied. Capabilities are cut down
 *      to those of the file server, whose threads are started now and inherit them.
 *   4. jail_drop(). The main thread gives up the rest and, started by root, becomes a user id of its own that
 *      owns nothing anywhere. vCPU threads are started now and inherit nothing.
 *   5. jail_thread(), in each thread: Landlock (no file system access at all) but for the file server's threads, then
 *      the seccomp filter of its kind. vCPUs wait at a gate until the main thread, too, is done, so that
 *      the guest's first instruction finds every thread inside.
 *
 * Nothing is undone at the end: the process ends.
 */
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "seccomp.h"
#ifdef HUSK_TEST_BREACH
#include "tests/breach/breach.h"
#endif

#define MAP_MAX 4096u
/*
 * User ids of VMs. Each is UID_BASE plus the number of the VM's user namespace, of which the kernel has 2^28, from
 * NS_INO_BASE on, each for one namespace at a time. The range is one that users, system accounts, container managers
 * and subordinate ids leave alone.
 */
#define UID_BASE 0x70000000u
#define NS_INO_BASE 0xf0000000u
#define UID_RANGE 0x0fffffffu
/* In a user namespace as container managers make them, with ids up to 65535: then two VMs may get the same one. */
#define NARROW_BASE 49152u
#define NARROW_RANGE 16000u

static bool full_map; /* ids other than our own exist in our user namespace */
static uid_t own_id;  /* then: one that no other VM has */

/* ---- ids ---- */

/* The parent's map turned into one that maps every id there to itself. Returns its length, 0 on failure. */
static size_t identity_map(const char *path, char *out, size_t size)
{
	char in[MAP_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, in, sizeof(in) - 1);
	size_t len = 0;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	in[n] = '\0';
	for (char *p = in; *p;) { /* lines of three numbers: first id inside, first id outside, count */
		unsigned long inside = strtoul(p, &p, 10), outside = strtoul(p, &p, 10), count = strtoul(p, &p, 10);
		int w = snprintf(out + len, size - len, "%lu %lu %lu\n", inside, inside, count);

		(void)outside;
		if (*p++ != '\n')
			return 0;
		if (w < 0 || (size_t)w >= size - len)
			return 0;
		len += (size_t)w;
	}
	return len;
}

static bool write_file(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len;
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return ok;
}

/* /proc/PID of this process as the mounted /proc numbers it, which may be that of another pid namespace. */
static bool self_path(char *buf, size_t size, const char *file)
{
	char pid[32];
	ssize_t n = readlink("/proc/self", pid, sizeof(pid) - 1);
	int len;

	if (n <= 0)
		return false;
	pid[n] = '\0';
	len = snprintf(buf, size, "/proc/%s/%s", pid, file);
	return len > 0 && (size_t)len < size;
}

/* In a child outside the new namespace: waits for it to exist, then maps all ids. Returns an exit status. */
static int map_from_outside(int go, const char *uid_path, const char *gid_path)
{
	char uids[MAP_MAX], gids[MAP_MAX];
	size_t ulen = identity_map("/proc/self/uid_map", uids, sizeof(uids));
	size_t glen = identity_map("/proc/self/gid_map", gids, sizeof(gids));
	eventfd_t n;

	if (eventfd_read(go, &n) || n != 1)
		return 1;
	return ulen && glen && write_file(uid_path, uids, ulen) && write_file(gid_path, gids, glen) ? 0 : 1;
}

static bool has_capability(unsigned int cap)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	return syscall(SYS_capget, &hdr, data) == 0 && (data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap));
}

static void explain_unshare(int err)
{
	log_die("cannot make the jail's namespaces: %s%s", strerror(err),
		err == EPERM || err == ENOSPC || err == EUSERS
			? "; user namespaces are switched off or used up here: see sysctl user.max_user_namespaces, "
			  "kernel.unprivileged_userns_clone and, on some systems, "
			  "kernel.apparmor_restrict_unprivileged_userns"
			: "");
}

/* Two VMs with one user id could signal and trace each other; with ids of their own they are strangers. */
static uid_t unique_id(void)
{
	char path[64];
	struct stat st;

	if (!self_path(path, sizeof(path), "ns/user") || stat(path, &st))
		log_die("cannot make the jail: the number of its user namespace: %s", strerror(errno));
	/* a kernel that numbers otherwise would only make it likely that no two are the same */
	return UID_BASE + (uid_t)((st.st_ino - NS_INO_BASE) % UID_RANGE);
}

#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET)

/* Started with the right to map all ids. */
static void isolate_privileged(void)
{
	char uid_path[64], gid_path[64];
	int go = eventfd(0, EFD_CLOEXEC), status;
	pid_t child;

	if (go < 0 || !self_path(uid_path, sizeof(uid_path), "uid_map") ||
	    !self_path(gid_path, sizeof(gid_path), "gid_map"))
		log_die("cannot make the jail: %s (is /proc mounted?)", strerror(errno));
	child = fork();
	if (child < 0)
		log_die("cannot make the jail: fork: %s", strerror(errno));
	if (child == 0)
		_exit(map_from_outside(go, uid_path, gid_path));

	status = unshare(NAMESPACES) ? errno : 0;
	eventfd_write(go, status ? 2 : 1);
	close(go);
	if (status) {
		waitpid(child, NULL, 0);
		explain_unshare(status);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		log_die("cannot make the jail: its user ids cannot be mapped; is /proc mounted, and writable?");
	full_map = true;
	own_id = unique_id();
}

/* Started by a user: one id, mapped to itself. The file server then serves what this user may reach, as this user. */
static void isolate_user(void)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(NAMESPACES))
		explain_unshare(errno);
	snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	if (!write_file("/proc/self/uid_map", map, strlen(map)))
		log_die("cannot make the jail: uid_map: %s", strerror(errno));
	snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	if (!write_file("/proc/self/setgroups", "deny", 4) || !write_file("/proc/self/gid_map", map, strlen(map)))
		log_die("cannot make the jail: gid_map: %s", strerror(errno));
}

void jail_detach(int fd)
{
	int tree =
		(int)syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return;
	if (dup3(tree, fd, O_CLOEXEC) < 0)
		log_die("cannot make the jail: descriptor of a share: %s", strerror(errno));
	close(tree);
}

void jail_isolate(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		log_die("cannot make the jail: no_new_privs: %s", strerror(errno));
	if (has_capability(CAP_SETUID) && has_capability(CAP_SETGID))
		isolate_privileged();
	else
		isolate_user();
}

/* ---- file system, limits, capabilities ---- */

/*
 * The empty root needs a directory to be mounted on, any will do. It has one inode and no room, and is read-only.
 */
static void leave_file_system(void)
{
	static const char *const place[] = { "/proc", "/sys", "/dev", "/tmp", "/run" };
	const char *dir = NULL;

	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]) && !dir; i++) {
		if (mount("husk", place[i], "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "size=4k,nr_inodes=1,mode=0") == 0)
			dir = place[i];
	}
	if (!dir)
		log_die("cannot make the jail: mount an empty root: %s", strerror(errno));
	if (chdir(dir) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		log_die("cannot make the jail: change to an empty root: %s", strerror(errno));
}

static void set_limit(int resource, rlim_t value)
{
	struct rlimit old, new = { value, value };

	if (getrlimit(resource, &old) == 0 && old.rlim_max < value)
		new.rlim_cur = new.rlim_max = old.rlim_max;
	if (setrlimit(resource, &new))
		log_die("cannot make the jail: limit %d: %s", resource, strerror(errno));
}

/* What the file server's threads keep; the reasons are in fs_cred.c. */
static const unsigned int fs_caps[] = {
	CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,	CAP_FSETID,
	CAP_SETUID, CAP_SETGID,	      CAP_MKNOD,	   CAP_SETFCAP,
};

static void set_capabilities(const unsigned int *keep, size_t n)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	for (size_t i = 0; i < n; i++) {
		data[CAP_TO_INDEX(keep[i])].effective |= CAP_TO_MASK(keep[i]);
		data[CAP_TO_INDEX(keep[i])].permitted |= CAP_TO_MASK(keep[i]);
	}
	if (syscall(SYS_capset, &hdr, data))
		log_die("cannot make the jail: capabilities: %s", strerror(errno));
}

void jail_close(void)
{
	leave_file_system();

	/* Nothing that a jailed thread does needs these. Descriptors are bounded by what the file server asked for. */
	set_limit(RLIMIT_CORE, 0);
	set_limit(RLIMIT_MEMLOCK, 0);
	set_limit(RLIMIT_MSGQUEUE, 0);
	set_limit(RLIMIT_NICE, 0);
	set_limit(RLIMIT_RTPRIO, 0);

	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EINVAL) /* EINVAL: unknown to this kernel */
			log_die("cannot make the jail: bounding set: %s", strerror(errno));
	}
	/* User id 0 gives nothing, and changing ids neither gives nor takes: the file server changes them all day. */
	if (prctl(PR_SET_SECUREBITS,
		  SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
			  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
		  0, 0, 0))
		log_die("cannot make the jail: secure bits: %s", strerror(errno));
	set_capabilities(fs_caps, full_map ? sizeof(fs_caps) / sizeof(fs_caps[0]) : 0);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		log_die("cannot make the jail: dumpable: %s", strerror(errno));
}

/* The kernel's calls, for this thread alone: the C library would change the file server's threads, too. */
static int become(unsigned long id)
{
	return syscall(SYS_setgroups, 0, NULL) || syscall(SYS_setresgid, id, id, id) ||
			       syscall(SYS_setresuid, id, id, id)
		       ? -errno
		       : 0;
}

void jail_drop(void)
{
	if (full_map) {
		int ret = become(own_id);

		if (ret == -EINVAL) /* no such id in this namespace */
			ret = become(NARROW_BASE + own_id % NARROW_RANGE);
		if (ret)
			log_die("cannot make the jail: change the user id: %s%s", strerror(-ret),
				ret == -EINVAL ? "; the user namespace that husk runs in has too few ids" : "");
	}
	set_capabilities(NULL, 0);
	/* Changing ids made it dumpable or not by the system's setting. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		log_die("cannot make the jail: dumpable: %s", strerror(errno));
}

/* ---- threads ---- */

/* All file system rights that this kernel's Landlock knows, by its version. */
static uint64_t landlock_rights(long abi)
{
	uint64_t rights = (1ull << 13) - 1; /* version 1 */

	if (abi >= 2)
		rights |= 1ull << 13; /* refer */
	if (abi >= 3)
		rights |= 1ull << 14; /* truncate */
	if (abi >= 5)
		rights |= 1ull << 15; /* ioctl on devices */
	return rights;
}

/*
 * A ruleset that allows nothing. The file server cannot be held to its shares this way: any ruleset forbids renaming
 * from one directory to another, but beneath a directory for which a rule says LANDLOCK_ACCESS_FS_REFER. Shares are
 * roots of detached mounts, which lie beneath no common one, and are added while it runs, when no rule can be. Its
 * root directory holds it. Kernels without Landlock go without.
 */
static void enter_landlock(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = { 0 };
	int fd;

	if (abi < 1)
		return;
	attr.handled_access_fs = landlock_rights(abi);
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0))
		log_die("cannot make the jail: Landlock: %s", strerror(errno));
	close(fd);
}

void jail_thread(enum thread_kind kind)
{
	int ret;

#ifdef HUSK_TEST_BREACH
	breach_twin(kind);
#endif
	if (kind != THREAD_FS)
		enter_landlock();
	ret = seccomp_enter(kind);
	if (ret)
		log_die("cannot make the jail: seccomp: %s", strerror(-ret));
}
