/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of a container, made by its child in the new mount namespace (plan.h, operations 32
 * and on).
 */
#ifndef HUSK_AGENT_MOUNT_H
#define HUSK_AGENT_MOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"
#include "plan.h"

/*
 * The agent's own folder. boot_dirs() makes it and the places in it where mounts stand before they
 * are moved.
 */
#define MOUNT_RUN "/run/husk"
#define MOUNT_STAGE MOUNT_RUN "/mnt"
#define MOUNT_ROOT MOUNT_RUN "/root"

/* A mount that stands in several places. */
struct mount_cover {
	int fd; /* -1: not made yet */
	bool placed;
};

struct mounts {
	int root;			      /* O_PATH: the root under construction, the container's root later */
	bool pivoted;			      /* the agent's files are out of reach */
	bool has_user_ns;		      /* the kernel refuses some file systems: bind the agent's instead */
	uint64_t propagation;		      /* of the root, set once it is the root */
	const char *cgroup;		      /* guest path of the container's cgroup directory */
	struct mount_cover null_file, no_dir; /* for OP_MASK: a null device, an empty directory */
};

void mounts_init(struct mounts *m, bool has_user_ns, const char *cgroup);

/* Each: 0, or -1 with *f. Paths are as plan.h says. */
int mount_root(struct mounts *m, const struct plan_root *r, const char *source, struct fault *f);
int mount_add(struct mounts *m, const struct plan_mount *pm, const char *source, const char *target, const char *type,
	      const char *data, struct fault *f);
int mount_pivot(struct mounts *m, const struct plan_pivot *p, struct fault *f);
int mount_root_readonly(struct mounts *m, struct fault *f);
int mount_mask(struct mounts *m, const char *path, struct fault *f);
int mount_readonly(struct mounts *m, const char *path, struct fault *f);

/* Bind what `fd` is over `target`, made as an empty file when missing. 0 or -errno. */
int mount_bind_file(struct mounts *m, int fd, const char *target);

#endif
