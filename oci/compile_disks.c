/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks: block devices of the host, and files and devices with a file system on them, which become virtio disks of the
 * VM. Their file systems are read by the guest's kernel alone: an image is not trusted by the host's.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "oci/compile_internal.h"
#include "oci/spec_internal.h"

/* ---- types ---- */

/* File systems on disks that the guest's kernel has. */
static const struct disk_fs {
	const char *type;
	bool readonly;		 /* by nature */
	const char *frozen_data; /* of a disk that must not be written to: no journal is replayed */
} disk_types[] = {
	{ "ext2", false, "" }, { "ext3", false, "noload" }, { "ext4", false, "noload" },
	{ "erofs", true, "" }, { "squashfs", true, "" },
};

static const struct disk_fs *disk_fs_find(const char *type)
{
	for (size_t i = 0; i < sizeof(disk_types) / sizeof(disk_types[0]); i++)
		if (strcmp(disk_types[i].type, type) == 0)
			return &disk_types[i];
	return NULL;
}

bool disk_type_known(const char *type)
{
	return disk_fs_find(type) != NULL;
}

/* ---- rights and limits ---- */

static bool rule_covers(const struct spec_device_rule *r, uint32_t major, uint32_t minor)
{
	return (r->type == 'a' || r->type == 'b') && (r->major < 0 || r->major == major) &&
	       (r->minor < 0 || r->minor == minor);
}

/* BPF_DEVCG_ACC_*: for each access, the last rule that says something about it decides. Making nodes is free. */
static uint32_t device_access(const struct spec_resources *res, uint32_t major, uint32_t minor)
{
	uint32_t access = BPF_DEVCG_ACC_MKNOD;

	for (size_t i = 0; i < res->ndevices; i++) {
		const struct spec_device_rule *r = &res->devices[i];
		uint32_t bits = (r->access & DEV_READ ? BPF_DEVCG_ACC_READ : 0u) |
				(r->access & DEV_WRITE ? BPF_DEVCG_ACC_WRITE : 0u);

		if (!rule_covers(r, major, minor))
			continue;
		access = r->allow ? access | bits : access & ~bits;
	}
	return access;
}

static uint64_t rate_of(const struct spec_throttles *t, const struct host_disk *k)
{
	uint64_t rate = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].major == k->major && t->v[i].minor == k->minor)
			rate = t->v[i].rate;
	return rate;
}

/* ---- making ---- */

/* Number of a new disk in the host plan, or -1 with the error. @what: "mounts[3]" for the message. */
static int disk_new(struct compile *c, const char *what, const char *source, uint32_t major, uint32_t minor)
{
	const struct spec_resources *res = &c->spec->lin.resources;
	struct host_plan *h = c->host;
	struct host_disk *k;

	if (c->in->joins_vm)
		return error_set(c->err, 0,
				 "%s: %.256s would be a disk, and the pod's VM runs already; only the first container "
				 "of a pod can have disks",
				 what, source);
	if (!(c->in->host_serves & HOST_SERVES_DISKS))
		return error_set(c->err, 0, "%s: %.256s: disks are not possible here", what, source);
	if (h->ndisks == HOST_DISKS_MAX)
		return error_set(c->err, 0, "%s: %.256s: more than %u disks", what, source, HOST_DISKS_MAX);
	h->disks = arena_grow(c->arena, h->disks, h->ndisks, sizeof(*h->disks));
	k = &h->disks[h->ndisks];
	*k = (struct host_disk){
		.what = arena_strdup(c->arena, what),
		.source = arena_strdup(c->arena, source),
		.serial = arena_printf(c->arena, "%sd%zu", c->in->share_prefix, h->ndisks),
		.major = major,
		.minor = minor,
	};
	if (major || minor) {
		k->read_bps = rate_of(&res->io.rbps, k);
		k->write_bps = rate_of(&res->io.wbps, k);
		k->read_iops = rate_of(&res->io.riops, k);
		k->write_iops = rate_of(&res->io.wiops, k);
	}
	return (int)h->ndisks++;
}

static void disk_op(struct compile *c, const struct host_disk *k, uint32_t access, uint64_t flags, const char *type,
		    const char *data)
{
	const struct plan_disk v = { .access = access, .mount_flags = flags };

	plan_op_begin(&c->w, OP_DISK);
	plan_put(&c->w, &v, sizeof(v));
	plan_put_string(&c->w, k->serial);
	plan_put_string(&c->w, type);
	plan_put_string(&c->w, data);
	plan_op_end(&c->w);
}

int disk_add(struct compile *c, const char *what, const char *source, uint32_t major, uint32_t minor, bool readonly)
{
	uint32_t access = device_access(&c->spec->lin.resources, major, minor);
	int n = disk_new(c, what, source, major, minor);

	if (n < 0)
		return -1;
	if (readonly)
		access &= ~(uint32_t)BPF_DEVCG_ACC_WRITE;
	c->host->disks[n].is_device = true;
	c->host->disks[n].readonly = !(access & BPF_DEVCG_ACC_WRITE);
	disk_op(c, &c->host->disks[n], access, 0, "", "");
	return n;
}

void disk_node_op(struct compile *c, int disk, const struct spec_device *d)
{
	const struct plan_mknod v = { .mode = d->mode, .uid = d->uid, .gid = d->gid };

	plan_op_begin(&c->w, OP_DISK_NODE);
	plan_put(&c->w, &v, sizeof(v));
	plan_put_string(&c->w, d->path);
	plan_put_string(&c->w, c->host->disks[disk].serial);
	plan_op_end(&c->w);
}

static const char *disk_path(struct compile *c, int n)
{
	return arena_printf(c->arena, "%s/%s", PLAN_DISKS, c->host->disks[n].serial);
}

/* The file system's own options: "loop" is how the host would do it. */
static const char *data_without_loop(struct compile *c, const char *data)
{
	char *copy = arena_strdup(c->arena, data), *save = NULL;
	const char *out = "";

	for (char *o = strtok_r(copy, ",", &save); o; o = strtok_r(NULL, ",", &save))
		if (strcmp(o, "loop") != 0)
			out = arena_printf(c->arena, "%s%s%s", out, *out ? "," : "", o);
	return out;
}

const char *disk_volume(struct compile *c, const char *what, const struct spec_mount *m, const char *source,
			const struct source_facts *f)
{
	const struct disk_fs *fs = disk_fs_find(m->type);
	uint64_t flags = (m->flags & ~(uint64_t)MS_REMOUNT) | (fs->readonly ? MS_RDONLY : 0);
	const char *data = data_without_loop(c, m->data);
	int n = disk_new(c, what, source, f->major, f->minor);

	if (n < 0)
		return NULL;
	c->host->disks[n].is_device = f->kind == SOURCE_BLOCK;
	c->host->disks[n].readonly = (flags & MS_RDONLY) != 0;
	/* the host opens it without the right to write, so a journal cannot be replayed */
	if (c->host->disks[n].readonly && *fs->frozen_data)
		data = arena_printf(c->arena, "%s%s%s", data, *data ? "," : "", fs->frozen_data);
	disk_op(c, &c->host->disks[n], BPF_DEVCG_ACC_MKNOD, flags, m->type, data);
	return disk_path(c, n);
}

const char *disk_root(struct compile *c, const struct root_disk *r)
{
	const struct disk_fs *fs = disk_fs_find(r->fstype);
	int n = fs ? disk_new(c, "root", r->source, r->major, r->minor) : -1;

	if (n < 0)
		return NULL;
	c->host->disks[n].is_device = true;
	c->host->disks[n].readonly = true;
	disk_op(c, &c->host->disks[n], BPF_DEVCG_ACC_MKNOD, MS_RDONLY, fs->type, fs->frozen_data);
	return disk_path(c, n);
}
