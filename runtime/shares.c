/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what the guest shall see.
 *
 * A share is a detached clone of the source's mount tree (open_tree): nothing is mounted anywhere, the clone's
 * attributes are our own, and it is gone with its last fd. Where the kernel refuses a clone (no privilege, a source
 * that is unbindable), the plain directory is used and the VMM alone enforces read-only.
 */
#include "shares.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "../vmm/control.h"
#include "util.h"

/* 0: nothing is in it, or it cannot be opened. */
static uint64_t device_size(const char *path)
{
	CLEAN_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	uint64_t bytes = 0;

	return fd >= 0 && ioctl(fd, BLKGETSIZE64, &bytes) == 0 ? bytes : 0;
}

int share_facts(void *ctx, const char *path, struct source_facts *out)
{
	CLEAN_FD int fd = open(path, O_PATH | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	(void)ctx;
	*out = (struct source_facts){ 0 };
	if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		out->kind = SOURCE_DIR;
		break;
	case S_IFREG:
		out->kind = SOURCE_FILE;
		break;
	case S_IFSOCK:
		out->kind = SOURCE_SOCKET;
		break;
	case S_IFIFO:
		out->kind = SOURCE_FIFO;
		break;
	case S_IFBLK:
		out->kind = SOURCE_BLOCK;
		break;
	case S_IFCHR:
		out->kind = SOURCE_CHAR;
		break;
	default:
		return -EINVAL;
	}
	out->fs_magic = (uint64_t)fs.f_type;
	out->fs_bytes = (uint64_t)fs.f_blocks * (uint64_t)fs.f_frsize;
	/* ST_* are the same */
	out->mount_flags = (uint64_t)fs.f_flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	out->mode = st.st_mode & 07777;
	out->uid = st.st_uid;
	out->gid = st.st_gid;
	if (out->kind == SOURCE_BLOCK)
		out->device_bytes = device_size(path);
	out->major = major(st.st_rdev);
	out->minor = minor(st.st_rdev);
	return 0;
}

uint32_t share_flags(const struct share *s)
{
	uint32_t flags = 0;

	if ((s->readonly && !s->writable_below) || s->readonly_tree)
		flags |= CTL_SHARE_RO;
	/* a container's own root is written by this VM alone */
	if (s->is_root)
		flags |= CTL_SHARE_PRIVATE;
	if (s->dax)
		flags |= CTL_SHARE_DAX;
	return flags;
}

/* ---- id-mapped shares: a user namespace that carries the maps ---- */

static int idmap_write(pid_t pid, const char *file, const struct spec_idmaps *maps)
{
	CLEAN_FREE char *name = xasprintf("/proc/%d/%s", (int)pid, file);
	CLEAN_FREE char *text = xstrdup("");

	for (size_t i = 0; i < maps->n; i++) {
		char *more =
			xasprintf("%s%u %u %u\n", text, maps->v[i].container_id, maps->v[i].host_id, maps->v[i].size);

		free(text);
		text = more;
	}
	return file_write_at(AT_FDCWD, name, text);
}

/* A user namespace with these maps; only its fd lives on. -errno on failure. */
static int idmap_userns(const struct spec_idmaps *uids, const struct spec_idmaps *gids)
{
	CLEAN_FREE char *name = NULL;
	int fd, rc;
	pid_t pid;

	/* no stack of its own: a fork whose child only waits to be killed */
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return -errno;
	if (!pid)
		for (;;)
			pause();
	rc = idmap_write(pid, "uid_map", uids);
	if (!rc)
		rc = idmap_write(pid, "gid_map", gids);
	name = xasprintf("/proc/%d/ns/user", (int)pid);
	fd = rc ? rc : open(name, O_RDONLY | O_CLOEXEC);
	if (!rc && fd < 0)
		fd = -errno;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

static int share_idmap(int fd, const struct share *s, struct error *err)
{
	CLEAN_FD int userns = idmap_userns(&s->uids, &s->gids);
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	unsigned int flags = AT_EMPTY_PATH | (s->idmap == IDMAP_RECURSIVE ? AT_RECURSIVE : 0);

	if (userns < 0)
		return error_set(err, -userns, "mount %s: cannot make the id mapping", s->source);
	attr.userns_fd = (uint64_t)userns;
	if (syscall(SYS_mount_setattr, fd, "", flags, &attr, sizeof(attr)) < 0)
		return error_set(err, errno, "mount %s: the host cannot map the ids of this file system", s->source);
	return 0;
}

/* ---- opening ---- */

static int share_attributes(int fd, const struct share *s, struct error *err)
{
	/* no device of the host is ever reached through a share */
	struct mount_attr tree = { .attr_set = MOUNT_ATTR_NODEV };
	struct mount_attr top = { .attr_set = MOUNT_ATTR_RDONLY };

	if (s->readonly_tree)
		tree.attr_set |= MOUNT_ATTR_RDONLY;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &tree, sizeof(tree)) < 0)
		return error_set(err, errno, "mount %s: cannot set its attributes", s->source);
	if (s->readonly && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &top, sizeof(top)) < 0)
		return error_set(err, errno, "mount %s: cannot make it read-only", s->source);
	return 0;
}

int share_open(const struct share *s, const char *private_dir, struct error *err)
{
	unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (s->recursive ? AT_RECURSIVE : 0);
	const char *path = s->source;
	CLEAN_FD int fd = -1;

	if (s->fstype) {
		if (mount(s->source, private_dir, s->fstype, s->fs_flags, s->fs_data) < 0)
			return error_set(err, errno, "mount %s (type %s)", s->source, s->fstype);
		path = private_dir;
	}
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, flags);
	if (s->fstype)
		umount2(private_dir, MNT_DETACH);
	if (fd < 0 && (errno == EPERM || errno == EINVAL || errno == ENOSYS) && !s->fstype && s->idmap == IDMAP_NONE) {
		fd = open(path, O_PATH | O_CLOEXEC);
		if (fd < 0)
			return error_set(err, errno, "mount source %s", path);
		return take_fd(&fd);
	}
	if (fd < 0)
		return error_set(err, errno, s->is_root ? "root file system %s" : "mount source %s", path);
	if (share_attributes(fd, s, err) < 0)
		return -1;
	if (s->idmap != IDMAP_NONE && share_idmap(fd, s, err) < 0)
		return -1;
	return take_fd(&fd);
}

/* ---- mount points ---- */

static int open_beneath(int root, const char *path, uint64_t flags, uint64_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = mode,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* mkdir -p inside the root; each step starts from the root again, so links cannot lead out. */
static void mountpoint_make(int root, const struct mountpoint *m)
{
	CLEAN_FREE char *path = xstrdup(m->path);
	CLEAN_FD int parent = open_beneath(root, "/", O_PATH | O_DIRECTORY, 0);
	char *p = path;

	for (;;) {
		char *name = p + strspn(p, "/"), *end = name + strcspn(name, "/");
		bool last = !end[strspn(end, "/")];
		char c = *end;
		int next;

		if (!*name || parent < 0)
			return;
		*end = '\0';
		next = open_beneath(root, path, O_PATH | (last ? 0 : O_DIRECTORY), 0);
		if (next < 0 && errno == ENOENT) {
			if (last && m->is_file) {
				int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
						0644);

				if (fd >= 0)
					close(fd);
				return;
			}
			if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
				return;
			next = open_beneath(root, path, O_PATH | O_DIRECTORY, 0);
		}
		close(parent);
		parent = next;
		*end = c;
		p = end;
		if (last)
			return;
	}
}

void mountpoints_make(const char *root, const struct host_plan *plan)
{
	CLEAN_FD int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < plan->nmountpoints; i++)
		mountpoint_make(fd, &plan->mountpoints[i]);
}
