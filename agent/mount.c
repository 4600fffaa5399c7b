/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of a container. Runs in its child, in a mount namespace of its own; the image controls
 * what the target paths lead to.
 *
 * Theory of operation. A mount is an fd from its making to its place, so nothing is looked up
 * twice:
 *
 *   1. take   a bind is a detached clone of its source (open_tree(2)); a file system is mounted on a stage that only
 *             this namespace sees, and opened there;
 *   2. shape  flags are set on that fd (mount_setattr(2));
 *   3. place  the target is resolved inside the root to an O_PATH fd, made if need be, and the mount is moved
 *             onto that fd (move_mount(2)); propagation comes last, because only then is it attached.
 *
 * The agent's own files are reachable until OP_PIVOT. What later operations need of them (the null
 * device for OP_MASK) is cloned before: a clone is not part of the tree that the pivot throws away.
 */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "path.h"
#include "sys.h"
#include "util.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

#define PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

void mounts_init(struct mounts *m, bool has_user_ns, const char *cgroup)
{
	*m = (struct mounts){
		.root = -1,
		.has_user_ns = has_user_ns,
		.cgroup = cgroup,
		.null_file.fd = -1,
		.no_dir.fd = -1,
	};
}

/* ---- take ---- */

static int take_clone(int dir, const char *path, bool recursive)
{
	return sys_open_tree(dir, path,
			     SYS_OPEN_TREE_CLONE | SYS_OPEN_TREE_CLOEXEC | SYS_AT_SYMLINK_NOFOLLOW | SYS_AT_EMPTY_PATH |
				     (recursive ? SYS_AT_RECURSIVE : 0));
}

static int take_new(const char *source, const char *type, uint64_t flags, const char *data)
{
	int fd;

	if (mount(source, MOUNT_STAGE, type, flags & ~(uint64_t)(PROPAGATION | MS_REC | MS_BIND), *data ? data : NULL))
		return -errno;
	fd = sys_open_tree(AT_FDCWD, MOUNT_STAGE, SYS_OPEN_TREE_CLOEXEC);
	if (fd < 0)
		umount2(MOUNT_STAGE, MNT_DETACH);
	return fd;
}

/*
 * What a user namespace may not mount because it does not own the network (sysfs) or pid (proc)
 * namespace it would show, or has no cgroup namespace: the agent's own mount shows the same.
 */
static int take_substitute(const struct mounts *m, const struct plan_mount *pm, const char *type)
{
	if (pm->opts & PLAN_MOUNT_CGROUP)
		return take_clone(AT_FDCWD, m->cgroup, false);
	if (m->has_user_ns && strcmp(type, "sysfs") == 0)
		return take_clone(AT_FDCWD, "/sys", true);
	if (m->has_user_ns && strcmp(type, "proc") == 0)
		return take_clone(AT_FDCWD, "/proc", true);
	return -EPERM;
}

/* ---- shape ---- */

static void attr_of_flags(uint64_t flags, struct sys_mount_attr *a)
{
	static const struct {
		uint64_t ms, attr;
	} map[] = {
		{ MS_RDONLY, SYS_ATTR_RDONLY },		{ MS_NOSUID, SYS_ATTR_NOSUID },
		{ MS_NODEV, SYS_ATTR_NODEV },		{ MS_NOEXEC, SYS_ATTR_NOEXEC },
		{ MS_NODIRATIME, SYS_ATTR_NODIRATIME }, { MS_NOSYMFOLLOW, SYS_ATTR_NOSYMFOLLOW },
	};

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (flags & map[i].ms)
			a->attr_set |= map[i].attr;
	if (flags & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME))
		a->attr_clr |= SYS_ATTR_ATIME;
	if (flags & MS_NOATIME)
		a->attr_set |= SYS_ATTR_NOATIME;
	else if (flags & MS_STRICTATIME)
		a->attr_set |= SYS_ATTR_STRICTATIME;
}

static int set_attr(int fd, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive)
{
	struct sys_mount_attr a = { .attr_set = set, .attr_clr = clear, .propagation = propagation };

	if (!set && !clear && !propagation)
		return 0;
	return sys_mount_setattr_fd(fd, recursive ? SYS_AT_RECURSIVE : 0, &a);
}

/*
 * In a user namespace the access time mode of what is cloned is locked. Engines repeat there the mode of the source on
 * the host (Docker with userns-remap). There it holds anyway: the guest's kernel keeps no access times for a share.
 */
static int set_bind_attr(const struct mounts *m, int fd, uint64_t set, uint64_t clear, bool recursive)
{
	int r = set_attr(fd, set, clear, 0, recursive);

	if (r == -EPERM && m->has_user_ns && clear & SYS_ATTR_ATIME)
		r = set_attr(fd, set & ~(uint64_t)SYS_ATTR_ATIME, clear & ~(uint64_t)SYS_ATTR_ATIME, 0, recursive);
	return r;
}

static int shape(const struct mounts *m, int fd, const struct plan_mount *pm)
{
	struct sys_mount_attr a = { 0 };
	int r;

	/* a new file system got its flags from mount(2) */
	if (!(pm->opts & PLAN_MOUNT_BIND))
		return set_attr(fd, pm->attr_set, pm->attr_clr, 0, true);
	attr_of_flags(pm->flags, &a);
	r = set_bind_attr(m, fd, a.attr_set, a.attr_clr, false);
	return r ? r : set_bind_attr(m, fd, pm->attr_set, pm->attr_clr, true);
}

/* ---- place ---- */

static int target_open(struct mounts *m, const char *type, int from, const char *target)
{
	struct stat st = { .st_mode = S_IFDIR };

	/*
	 * a link at /proc or /sys would let the image choose what the later sysctls and masks apply
	 * to
	 */
	if (strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0)
		return path_make_nolinks(m->root, target);
	if (fstat(from, &st))
		return -errno;
	return path_make(m->root, target, S_ISDIR(st.st_mode) ? PATH_DIR : PATH_FILE, 0755);
}

static int place(int fd, int target, uint64_t propagation)
{
	int r = sys_move_mount_fd(fd, target);

	return r ? r : set_attr(fd, 0, 0, propagation & PROPAGATION, propagation & MS_REC);
}

/* A tmpfs that starts as a copy of what it will cover. */
static int copy_up(int fd, int target, const char *data)
{
	int from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), to = -1, r;
	struct stat st = { 0 };

	if (from < 0)
		return -errno;
	to = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = to < 0 || fstat(to, &st) ? -errno : path_copy_tree(from, to);
	/* an explicit mode wins over the covered directory's */
	if (r == 0 && strstr(data, "mode=") && fchmod(to, st.st_mode & 07777))
		r = -errno;
	close(from);
	fd_close(&to);
	return r;
}

/* Option `remount`: change what is mounted there already. */
static int remount(struct mounts *m, const struct plan_mount *pm, const char *target, const char *data)
{
	int fd = path_open(m->root, target, O_PATH), r;

	if (fd < 0)
		return fd;
	if (pm->flags & MS_BIND || pm->opts & PLAN_MOUNT_BIND) {
		struct sys_mount_attr a = { 0 };

		attr_of_flags(pm->flags, &a);
		if (!m->has_user_ns) /* there, flags of inherited mounts are locked */
			a.attr_clr |= SYS_ATTR_RDONLY | SYS_ATTR_NOSUID | SYS_ATTR_NODEV | SYS_ATTR_NOEXEC;
		r = set_bind_attr(m, fd, a.attr_set, a.attr_clr, false);
	} else {
		r = fchdir(fd) || mount(NULL, ".", NULL, pm->flags & ~(uint64_t)(PROPAGATION | MS_REC),
					*data ? data : NULL)
			    ? -errno
			    : 0;
		if (chdir("/") && r == 0)
			r = -errno;
	}
	close(fd);
	return r;
}

static int add(struct mounts *m, const struct plan_mount *pm, const char *source, const char *target, const char *type,
	       const char *data)
{
	int fd, to, r;

	if (pm->flags & MS_REMOUNT)
		return remount(m, pm, target, data);
	if (pm->opts & PLAN_MOUNT_BIND)
		fd = take_clone(AT_FDCWD, source, pm->flags & MS_REC);
	else
		fd = take_new(source, type, pm->flags, data);
	if (fd == -EPERM && !(pm->opts & PLAN_MOUNT_BIND)) {
		struct sys_mount_attr a = { 0 };

		fd = take_substitute(m, pm, type);
		attr_of_flags(pm->flags, &a);
		r = fd < 0 ? fd : set_attr(fd, a.attr_set, a.attr_clr, 0, false);
		if (r) {
			fd_close(&fd);
			return r;
		}
	}
	if (fd < 0)
		return fd;
	r = shape(m, fd, pm);
	to = r ? r : target_open(m, pm->opts & PLAN_MOUNT_BIND ? "" : type, fd, target);
	if (to >= 0) {
		r = pm->opts & PLAN_MOUNT_COPYUP ? copy_up(fd, to, data) : 0;
		if (r == 0)
			r = place(fd, to, pm->propagation);
		close(to);
	} else {
		r = to;
	}
	close(fd);
	if (r && !(pm->opts & PLAN_MOUNT_BIND))
		umount2(MOUNT_STAGE, MNT_DETACH);
	return r;
}

int mount_add(struct mounts *m, const struct plan_mount *pm, const char *source, const char *target, const char *type,
	      const char *data, struct fault *f)
{
	int r = m->pivoted ? -EINVAL : add(m, pm, source, target, type, data);

	if (r == 0 || (pm->opts & PLAN_MOUNT_OPTIONAL))
		return 0;
	return fault_set(f, STAGE_SETUP, r, "error mounting \"%s\" to rootfs at \"%s\"", source, target);
}

/* ---- the root ---- */

int mount_root(struct mounts *m, const struct plan_root *root, const char *source, struct fault *f)
{
	int fd = take_clone(AT_FDCWD, source, true), to, r;

	if (fd < 0)
		return fault_set(f, STAGE_SETUP, fd, "root file system \"%s\"", source);
	to = open(MOUNT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = to < 0 ? -errno : place(fd, to, 0);
	fd_close(&to);
	if (r) {
		close(fd);
		return fault_set(f, STAGE_SETUP, r, "attach the root file system");
	}
	fd_close(&m->root);
	m->root = fd;
	m->propagation = root->propagation;
	return 0;
}

/* An empty file system, read-only, not attached anywhere. */
static int empty_dir(void)
{
	int fs = (int)sys_result(syscall(SYS_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */)), fd;

	if (fs < 0)
		return fs;
	fd = (int)sys_result(syscall(SYS_fsconfig, fs, 1 /* FSCONFIG_SET_STRING */, "nr_inodes", "2", 0));
	if (fd == 0)
		fd = (int)sys_result(syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0));
	if (fd == 0)
		fd = (int)sys_result(syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, SYS_ATTR_RDONLY));
	close(fs);
	return fd;
}

/* Take what OP_MASK needs while the agent's /dev can still be reached. */
static int masks_take(struct mounts *m)
{
	if (m->null_file.fd >= 0)
		return 0;
	if (m->pivoted)
		return -ENOENT;
	m->null_file.fd = take_clone(AT_FDCWD, "/dev/null", false);
	return m->null_file.fd < 0 ? m->null_file.fd : 0;
}

int mount_pivot(struct mounts *m, const struct plan_pivot *p, struct fault *f)
{
	int old, r = masks_take(m);

	if (r)
		return fault_set(f, STAGE_SETUP, r, "clone /dev/null");
	if (m->root < 0)
		return fault_set(f, STAGE_PROTOCOL, EINVAL, "plan: PIVOT without ROOT");
	if (p->no_pivot) {
		int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

		r = top < 0 ? -errno : sys_move_mount_fd(m->root, top);
		fd_close(&top);
		if (r == 0 && (fchdir(m->root) || chroot(".") || chdir("/")))
			r = -errno;
		if (r)
			return fault_set(f, STAGE_SETUP, r, "move the root file system to /");
	} else {
		/*
		 * the old root lands on top of the new one and is taken off at once: no directory
		 * is needed for it
		 */
		old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = old < 0 || fchdir(m->root) ? -errno : sys_pivot_root(".", ".");
		if (r == 0 && (fchdir(old) || umount2(".", MNT_DETACH) || chdir("/")))
			r = -errno;
		fd_close(&old);
		if (r)
			return fault_set(f, STAGE_SETUP, r, "pivot_root");
	}
	m->pivoted = true;
	r = set_attr(m->root, 0, 0, m->propagation & PROPAGATION, m->propagation & MS_REC);
	return r ? fault_set(f, STAGE_SETUP, r, "propagation of the root file system") : 0;
}

int mount_root_readonly(struct mounts *m, struct fault *f)
{
	int r = m->root < 0 ? -EINVAL : set_attr(m->root, SYS_ATTR_RDONLY, 0, 0, false);

	return r ? fault_set(f, STAGE_SETUP, r, "make the root file system read-only") : 0;
}

/* ---- covers ---- */

/* Paths of the spec's lists that the guest does not have are passed over. */
static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

/*
 * The first cover is the mount itself; later ones are clones of it where it stands, as only a
 * placed mount has clones.
 */
static int cover(struct mount_cover *c, int target)
{
	int fd, r;

	if (!c->placed) {
		r = sys_move_mount_fd(c->fd, target);
		c->placed = r == 0;
		return r;
	}
	fd = take_clone(c->fd, "", false);
	if (fd < 0)
		return fd;
	r = sys_move_mount_fd(fd, target);
	close(fd);
	return r;
}

int mount_mask(struct mounts *m, const char *path, struct fault *f)
{
	int target = path_open(m->root, path, O_PATH), r;
	struct stat st;

	if (is_absent(target))
		return 0;
	r = target < 0 ? target : fstat(target, &st) ? -errno : masks_take(m);
	if (r == 0 && S_ISDIR(st.st_mode)) {
		if (m->no_dir.fd < 0)
			m->no_dir.fd = empty_dir();
		r = m->no_dir.fd < 0 ? m->no_dir.fd : cover(&m->no_dir, target);
	} else if (r == 0) {
		r = cover(&m->null_file, target);
	}
	fd_close(&target);
	return r ? fault_set(f, STAGE_SETUP, r, "mask path \"%s\"", path) : 0;
}

int mount_readonly(struct mounts *m, const char *path, struct fault *f)
{
	int target = path_open(m->root, path, O_PATH), fd = -1, r;

	if (is_absent(target))
		return 0;
	r = target;
	if (r >= 0)
		r = fd = take_clone(target, "", true);
	if (r >= 0)
		r = set_attr(fd, SYS_ATTR_RDONLY, 0, 0, true);
	if (r >= 0)
		r = sys_move_mount_fd(fd, target);
	fd_close(&fd);
	fd_close(&target);
	return r < 0 ? fault_set(f, STAGE_SETUP, r, "readonly path \"%s\"", path) : 0;
}

int mount_bind_file(struct mounts *m, int fd, const char *target)
{
	int mnt = take_clone(fd, "", false), to, r;

	if (mnt < 0)
		return mnt;
	to = path_make(m->root, target, PATH_FILE, 0644);
	r = to < 0 ? to : sys_move_mount_fd(mnt, to);
	close(mnt);
	fd_close(&to);
	return r;
}
