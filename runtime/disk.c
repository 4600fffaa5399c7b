/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks on the host. In the proxy, before the VMM starts; paths come from config.json and are the operator's.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "mountinfo.h"
#include "util.h"

/* ---- opening ---- */

static bool is_device(const char *path, const struct host_disk *d)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == makedev(d->major, d->minor);
}

/* Where the host has the node of a device: the asked path, udev's link, the kernel's name. NULL: nowhere. */
static char *device_path(const struct host_disk *d)
{
	char *path = xstrdup(d->source);
	CLEAN_FREE char *text = NULL;
	CLEAN_FREE char *uevent = NULL;
	char *name;

	if (is_device(path, d))
		return path;
	free(path);
	path = xasprintf("/dev/block/%u:%u", d->major, d->minor);
	if (is_device(path, d))
		return path;
	free(path);
	uevent = xasprintf("/sys/dev/block/%u:%u/uevent", d->major, d->minor);
	text = file_read_at(AT_FDCWD, uevent, 4096, NULL);
	name = text ? strstr(text, "DEVNAME=") : NULL;
	if (!name)
		return NULL;
	name += strlen("DEVNAME=");
	name[strcspn(name, "\n")] = '\0';
	path = xasprintf("/dev/%s", name);
	if (is_device(path, d))
		return path;
	free(path);
	return NULL;
}

static int open_device(const struct host_disk *d, struct error *err)
{
	CLEAN_FREE char *path = device_path(d);
	struct stat st;
	CLEAN_FD int fd = -1;

	if (!path)
		return error_set(err, 0, "%s: the host has no node of block device %u:%u below /dev", d->what, d->major,
				 d->minor);
	fd = open(path, (d->readonly ? O_RDONLY : O_RDWR | O_EXCL) | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return error_set(err, EBUSY,
				 "%s: %s is mounted on the host or in use by somebody else, and two kernels that write "
				 "to it would destroy it; unmount it, or give it read-only",
				 d->what, path);
	if (fd < 0)
		return error_set(err, errno, "%s: %s", d->what, path);
	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != makedev(d->major, d->minor))
		return error_set(err, ENODEV, "%s: %s is another device now", d->what, path);
	return take_fd(&fd);
}

static int open_image(const struct host_disk *d, struct error *err)
{
	CLEAN_FD int fd = open(d->source, (d->readonly ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return error_set(err, errno, "%s: image %s", d->what, d->source);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, 0, "%s: image %s is not a regular file", d->what, d->source);
	if (flock(fd, (d->readonly ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? error_set(err, EBUSY,
					   "%s: image %s is used by another container; one that writes must be alone, "
					   "so use it read-only in all of them",
					   d->what, d->source)
			       : error_set(err, errno, "%s: lock image %s", d->what, d->source);
	return take_fd(&fd);
}

int disk_open(const struct host_disk *d, struct error *err)
{
	return d->is_device ? open_device(d, err) : open_image(d, err);
}

bool disk_limits(const struct host_disk *d, struct ctl_disk_limits *out)
{
	*out = (struct ctl_disk_limits){
		.read_bps = d->read_bps,
		.write_bps = d->write_bps,
		.read_iops = d->read_iops,
		.write_iops = d->write_iops,
	};
	return d->read_bps || d->write_bps || d->read_iops || d->write_iops;
}

/* ---- the root ---- */

struct root_search {
	const char *path;
	size_t len;
	struct disk_root *out;
	bool nested; /* a mount below the root is not on its device */
};

static bool match(void *ctx, const struct mountinfo *m)
{
	struct root_search *s = ctx;

	if (strncmp(m->point, s->path, s->len) != 0)
		return true;
	if (m->point[s->len] == '/') {
		s->nested = true;
		return false;
	}
	if (m->point[s->len])
		return true;
	disk_root_free(s->out); /* a later mount at the same place covers an earlier one */
	if (strcmp(m->root, "/") != 0 || !disk_type_known(m->type) ||
	    (strcmp(m->super, "ro") != 0 && strncmp(m->super, "ro,", 3) != 0))
		return true;
	s->out->root.major = m->major;
	s->out->root.minor = m->minor;
	s->out->root.source = s->out->source = xstrdup(m->source);
	s->out->root.fstype = s->out->fstype = xstrdup(m->type);
	return true;
}

bool disk_root_find(const char *rootfs, struct disk_root *out)
{
	CLEAN_FREE char *real = realpath(rootfs, NULL);
	struct root_search s = { .path = real, .len = real ? strlen(real) : 0, .out = out };
	struct stat st, below;

	*out = (struct disk_root){ 0 };
	/* overlay, tmpfs and their like have numbers without a device: the table need not be read */
	if (!real || stat(real, &st) < 0 || major(st.st_dev) == 0)
		return false;
	mountinfo_each(match, &s);
	/* what the table says is what is there: the device's own number, and a node that can be opened */
	if (!s.nested && out->root.source && st.st_dev == makedev(out->root.major, out->root.minor) &&
	    stat(out->root.source, &below) == 0 && S_ISBLK(below.st_mode) && below.st_rdev == st.st_dev)
		return true;
	disk_root_free(out);
	return false;
}

void disk_root_free(struct disk_root *r)
{
	free(r->source);
	free(r->fstype);
	*r = (struct disk_root){ 0 };
}
