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

/* mountinfo writes blanks, tabs, newlines and backslashes as octal numbers. */
static void unescape(char *s)
{
	char *w = s;

	for (; *s; s++) {
		unsigned int v;

		if (*s == '\\' && sscanf(s + 1, "%3o", &v) == 1 && strspn(s + 1, "01234567") >= 3) {
			*w++ = (char)v;
			s += 3;
		} else {
			*w++ = *s;
		}
	}
	*w = '\0';
}

/* One line: "ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS [TAGS] - TYPE SOURCE SUPEROPTIONS". */
static bool match(char *line, const char *rootfs, struct disk_root *out)
{
	char *save = NULL, *field[6], *tail = strstr(line, " - "), *type, *source, *super;

	if (!tail)
		return false;
	*tail = '\0';
	for (int i = 0; i < 6; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	unescape(field[4]);
	if (strcmp(field[4], rootfs) != 0)
		return false;
	out->root.source = NULL; /* a later mount at the same place covers an earlier one */
	type = strtok_r(tail + 3, " ", &save);
	source = strtok_r(NULL, " ", &save);
	super = strtok_r(NULL, " \n", &save);
	if (!super || strcmp(field[3], "/") != 0 || !disk_type_known(type) ||
	    (strcmp(super, "ro") != 0 && strncmp(super, "ro,", 3) != 0))
		return false;
	unescape(source);
	if (sscanf(field[2], "%u:%u", &out->root.major, &out->root.minor) != 2)
		return false;
	free(out->source);
	free(out->fstype);
	out->root.source = out->source = xstrdup(source);
	out->root.fstype = out->fstype = xstrdup(type);
	return true;
}

bool disk_root_find(const char *rootfs, struct disk_root *out)
{
	CLEAN_FREE char *real = realpath(rootfs, NULL);
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct stat st, below;
	CLEAN_FREE char *line = NULL;
	CLEAN_FREE char *nested = real ? xasprintf("%s/", real) : NULL;
	size_t cap = 0;

	*out = (struct disk_root){ 0 };
	while (f && real && getline(&line, &cap, f) > 0) {
		/* a mount below the root is not on its device */
		char *at = strstr(line, nested);

		if (at && at > line && at[-1] == ' ') {
			disk_root_free(out);
			break;
		}
		match(line, real, out);
	}
	if (f)
		fclose(f);
	if (!real || !out->root.source)
		return false;
	/* what the table says is what is there: the device's own number, and a node that can be opened */
	if (stat(real, &st) == 0 && st.st_dev == makedev(out->root.major, out->root.minor) &&
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
