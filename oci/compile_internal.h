/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler's files share. Each *_ops() appends operations to c->w; 0, or -1 with *c->err filled. */
#ifndef HUSK_OCI_COMPILE_INTERNAL_H
#define HUSK_OCI_COMPILE_INTERNAL_H

#include "oci/arena.h"
#include "oci/compile.h"
#include "oci/plan_write.h"

struct compile {
	const struct spec *spec;
	const struct compile_input *in;
	struct host_plan *host;
	struct strings warnings;
	struct arena *arena; /* the host plan's */
	struct item *items;  /* of compile_mounts.c: the classified mounts */
	struct plan_writer w;
	struct error *err;
};

void compile_warn(struct compile *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Root, mounts, devices, symbolic links, pivot, in the order in which runc does them. Fills the host's shares. */
int rootfs_ops(struct compile *c);

/* Limits, device program. */
int cgroup_ops(struct compile *c);

/* linux.devices: what the guest has gets a node, block devices go to host->disks, the rest is refused or skipped. */
int devices_ops(struct compile *c);

/* Does @path lie on a file system of the host's, where the guest can make no device nodes? */
bool path_is_shared(const struct compile *c, const char *path);

/* Bind the guest's own device node to @path, whose mount point the host may have to make. */
void device_bind_op(struct compile *c, const char *guest_path, const char *path);

/* Guest path of a character device that every guest has, or NULL. */
const char *guest_device(char type, uint32_t major, uint32_t minor);

/*
 * compile_disks.c. A block device of the host: its number in the host plan, or -1 with *c->err. @what: "mounts[3]" for
 * the message.
 */
int disk_add(struct compile *c, const char *what, const char *source, uint32_t major, uint32_t minor, bool readonly);

/* The node of that disk: path, permissions and owner are d's. */
void disk_node_op(struct compile *c, int disk, const struct spec_device *d);

/* A file system on a file or device: the guest path of its root, or NULL with *c->err. m->type is known. */
const char *disk_volume(struct compile *c, const char *what, const struct spec_mount *m, const char *source,
			const struct source_facts *f);
const char *disk_root(struct compile *c, const struct root_disk *r);

/*
 * The process. @container gives what @p leaves unset; NULL or the spec that @p is of. @exec: a further process.
 * Scratch memory comes from @a.
 */
int process_ops(struct plan_writer *w, const struct spec_process *p, const struct spec *container, bool exec,
		struct arena *a, struct error *err);

#endif
