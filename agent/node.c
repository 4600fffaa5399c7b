/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes, links and directories of a container's root, made by its child. The image controls
 * what is there already.
 */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "disk.h"
#include "path.h"
#include "util.h"

/* In a user namespace nodes cannot be made: bind the agent's node of that number. */
static int bind_device(struct mounts *m, const struct plan_mknod *n, const char *path)
{
	char file[64], text[512], dev[256] = "/dev/", *name;
	struct stat st;
	int fd, r;

	(void)snprintf(file, sizeof(file), "/sys/dev/%s/%u:%u/uevent", S_ISBLK(n->mode) ? "block" : "char", n->major,
		       n->minor);
	if (file_read(AT_FDCWD, file, text, sizeof(text)) < 0)
		return -ENODEV;
	name = strstr(text, "DEVNAME=");
	if (!name)
		return -ENODEV;
	name += strlen("DEVNAME=");
	name[strcspn(name, "\n")] = '\0';
	(void)snprintf(dev + 5, sizeof(dev) - 5, "%s", name);
	fd = open(dev, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) ? -errno : st.st_rdev != makedev(n->major, n->minor) ? -ENODEV : 0;
	if (r == 0)
		r = mount_bind_file(m, fd, path);
	close(fd);
	return r;
}

/* A node that is there already must be the same device. */
static int check_node(int dir, const char *name, const struct plan_mknod *n)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if ((st.st_mode & S_IFMT) != (n->mode & S_IFMT))
		return -EEXIST;
	return S_ISFIFO(n->mode) || st.st_rdev == makedev(n->major, n->minor) ? 0 : -EEXIST;
}

int node_device(struct mounts *m, const struct plan_mknod *n, const char *path, struct fault *f)
{
	char name[PATH_NAME_MAX];
	int dir, r;

	if (!S_ISCHR(n->mode) && !S_ISBLK(n->mode) && !S_ISFIFO(n->mode))
		return fault_set(f, STAGE_PROTOCOL, EINVAL, "device %s: mode 0%o", path, n->mode);
	dir = path_parent(m->root, path, name);
	r = dir < 0 ? dir : mknodat(dir, name, n->mode, makedev(n->major, n->minor)) ? -errno : 0;
	if (r == -EEXIST)
		r = check_node(dir, name, n);
	if (r == 0 && fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW))
		r = -errno;
	if (r == 0 && fchmodat(dir, name, n->mode & 07777, 0))
		r = -errno;
	fd_close(&dir);
	if (r == -EPERM && (m->has_user_ns || S_ISBLK(n->mode))) /* a share takes no block devices, either */
		r = bind_device(m, n, path);
	return r ? fault_set(f, STAGE_SETUP, r, "device %s (%u:%u)", path, n->major, n->minor) : 0;
}

int node_disk(struct mounts *m, const struct plan_mknod *n, const char *path, const char *serial, struct fault *f)
{
	struct plan_mknod v = *n;
	dev_t dev;
	int r = disk_device(serial, &dev);

	if (r)
		return fault_set(f, STAGE_SETUP, r, "device %s: disk %s", path, serial);
	v.mode = S_IFBLK | (n->mode & 07777);
	v.major = major(dev);
	v.minor = minor(dev);
	return node_device(m, &v, path, f);
}

int node_symlink(int root, const char *text, const char *path, struct fault *f)
{
	char name[PATH_NAME_MAX];
	int dir = path_parent(root, path, name);
	int r = dir < 0 ? dir : symlinkat(text, dir, name) ? -errno : 0;

	fd_close(&dir);
	return r && r != -EEXIST ? fault_set(f, STAGE_SETUP, r, "symbolic link %s", path) : 0;
}

int node_directory(int root, const struct plan_mkdir *d, const char *path, struct fault *f)
{
	int fd = path_open(root, path, O_PATH | O_DIRECTORY), r = 0, real;

	if (fd == -ENOENT) {
		fd = path_make(root, path, PATH_DIR, d->mode & 07777);
		real = fd < 0 ? fd : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (real < 0 || fchown(real, d->uid, d->gid) || fchmod(real, d->mode & 07777))
			r = -errno;
		if (real >= 0)
			close(real);
	}
	if (fd < 0)
		r = fd;
	fd_close(&fd);
	return r ? fault_set(f, STAGE_SETUP, r, "directory %s", path) : 0;
}
