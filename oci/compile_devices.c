/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.devices. A device node is a door into a kernel, and the container has another one than the host: a character
 * device is possible when the guest has the same driver, a block device becomes a virtio disk, anything else is
 * refused. Privileged containers come with a list of all the host's devices, most of which nobody there wants: what
 * the guest lacks is skipped for them.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/compile_internal.h"

#define MANY_DEVICES 20 /* more than these that cannot be given: nobody named them one by one */

/* ---- what the guest kernel has ---- */

static const struct {
	uint32_t major, minor;
	const char *guest_path; /* NULL: made by the container's own mounts */
} guest_chars[] = {
	{ 1, 3, "/dev/null" },
	{ 1, 5, "/dev/zero" },
	{ 1, 7, "/dev/full" },
	{ 1, 8, "/dev/random" },
	{ 1, 9, "/dev/urandom" },
	{ 1, 11, "/dev/kmsg" },
	{ 5, 0, "/dev/tty" },
	{ 5, 1, NULL },
	{ 5, 2, NULL },
	{ 10, 183, "/dev/hwrng" },
	{ 10, 200, "/dev/net/tun" },
	{ 10, 229, "/dev/fuse" },
	{ 10, 237, "/dev/loop-control" },
};

#define LOOP_MAJOR 7
#define PTS_MAJOR_FIRST 136
#define PTS_MAJOR_LAST 143

const char *guest_device(char type, uint32_t major, uint32_t minor)
{
	for (size_t i = 0; type == 'c' && i < sizeof(guest_chars) / sizeof(guest_chars[0]); i++)
		if (guest_chars[i].major == major && guest_chars[i].minor == minor)
			return guest_chars[i].guest_path;
	return NULL;
}

/* A loop device with a file behind it is the host's disk; one without is asked for to set it up, in the guest. */
static bool host_loop_is_set_up(const struct compile *c, uint32_t minor)
{
	const char *path = arena_printf(c->arena, "/dev/loop%u", minor);
	struct source_facts f = { .kind = SOURCE_DIR };

	return c->in->stat_source && c->in->stat_source(c->in->ctx, path, &f) == 0 && f.kind == SOURCE_BLOCK &&
	       f.device_bytes > 0;
}

static bool guest_has(const struct compile *c, const struct spec_device *d)
{
	if (d->type == 'p')
		return true;
	if (d->type == 'b')
		return d->major == LOOP_MAJOR && !host_loop_is_set_up(c, d->minor);
	for (size_t i = 0; i < sizeof(guest_chars) / sizeof(guest_chars[0]); i++)
		if (guest_chars[i].major == d->major && guest_chars[i].minor == d->minor)
			return true;
	return d->major >= PTS_MAJOR_FIRST && d->major <= PTS_MAJOR_LAST;
}

/* The container's own mounts make these, whatever the list says. */
static bool is_managed(const char *path)
{
	return strcmp(path, "/dev/ptmx") == 0 || strcmp(path, "/dev/console") == 0 ||
	       strncmp(path, "/dev/pts/", 9) == 0;
}

/* ---- operations ---- */

static void mknod_op(struct plan_writer *w, const struct spec_device *d)
{
	const uint32_t type = d->type == 'p' ? S_IFIFO : d->type == 'b' ? S_IFBLK : S_IFCHR;
	const struct plan_mknod v = {
		.mode = type | d->mode,
		.uid = d->uid,
		.gid = d->gid,
		.major = d->major,
		.minor = d->minor,
	};

	plan_op_begin(w, OP_MKNOD);
	plan_put(w, &v, sizeof(v));
	plan_put_string(w, d->path);
	plan_op_end(w);
}

static void device_op(struct compile *c, const struct spec_device *d)
{
	const char *own = guest_device(d->type, d->major, d->minor);

	/* a fifo is a fifo on the host, too */
	if (own && path_is_shared(c, d->path))
		device_bind_op(c, own, d->path);
	else
		mknod_op(&c->w, d);
}

/* The last of all rules for all devices allows everything: that is what engines make of "privileged". */
static bool is_privileged(const struct spec_resources *r)
{
	bool all = false;

	for (size_t i = 0; i < r->ndevices; i++)
		if (r->devices[i].type == 'a' && r->devices[i].major < 0 && r->devices[i].minor < 0)
			all = r->devices[i].allow;
	return all;
}

static int device_refuse(struct compile *c, size_t index, const struct spec_device *d)
{
	char what[48];

	snprintf(what, sizeof(what), "linux.devices[%zu]", index);
	if (d->type == 'b') {
		int disk = disk_add(c, what, d->path, d->major, d->minor, false);

		if (disk >= 0)
			disk_node_op(c, disk, d);
		return disk < 0 ? -1 : 0;
	}
	return error_set(
		c->err, 0,
		"%s: %.256s (character device %u:%u) needs a driver of the host's kernel, and the container has "
		"its own, with null, zero, full, random, urandom, tty, kmsg, fuse, net/tun, loop-control and "
		"hwrng; leave this device out",
		what, d->path, d->major, d->minor);
}

static int listed_ops(struct compile *c)
{
	const struct spec_linux *lin = &c->spec->lin;
	size_t lacking = 0;
	bool skip;

	for (size_t i = 0; i < lin->ndevices; i++)
		lacking += !guest_has(c, &lin->devices[i]) && !is_managed(lin->devices[i].path);
	skip = lacking > MANY_DEVICES || is_privileged(&lin->resources);
	if (lacking && skip)
		compile_warn(
			c,
			"linux.devices: %zu devices of the host are skipped: the container's kernel has no drivers "
			"for them",
			lacking);
	for (size_t i = 0; i < lin->ndevices; i++) {
		const struct spec_device *d = &lin->devices[i];

		if (is_managed(d->path))
			continue;
		if (guest_has(c, d))
			device_op(c, d);
		else if (!skip && device_refuse(c, i, d) < 0)
			return -1;
	}
	return 0;
}

static bool is_listed(const struct spec_linux *lin, const char *path)
{
	for (size_t i = 0; i < lin->ndevices; i++)
		if (strcmp(lin->devices[i].path, path) == 0)
			return true;
	return false;
}

int devices_ops(struct compile *c)
{
	static const struct spec_device defaults[] = {
		{ 'c', "/dev/null", 1, 3, 0666, 0, 0 }, { 'c', "/dev/random", 1, 8, 0666, 0, 0 },
		{ 'c', "/dev/full", 1, 7, 0666, 0, 0 }, { 'c', "/dev/tty", 5, 0, 0666, 0, 0 },
		{ 'c', "/dev/zero", 1, 5, 0666, 0, 0 }, { 'c', "/dev/urandom", 1, 9, 0666, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (!is_listed(&c->spec->lin, defaults[i].path))
			mknod_op(&c->w, &defaults[i]);
	return listed_ops(c);
}
