/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The id maps of a user namespace.
 */
#ifndef HUSK_AGENT_IDMAP_H
#define HUSK_AGENT_IDMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

#define IDMAP_LINES 340u /* the kernel's limit per map */

struct idmap {
	bool active; /* a user namespace of its own */
	unsigned int n[2];
	struct plan_idmap *line[2]; /* [0] uids, [1] gids */
};

/* 0, -EINVAL for a line that wraps, -E2BIG, -ENOMEM. */
int idmap_add(struct idmap *m, const struct plan_idmap *line);
int idmap_copy(struct idmap *to, const struct idmap *from);
void idmap_free(struct idmap *m);

/* The id outside of the namespace; UINT32_MAX when it is not mapped. kind 0: uid, 1: gid. */
uint32_t idmap_outside(const struct idmap *m, int kind, uint32_t id);

/* Write both maps of a process in its new user namespace. 0 or -errno. */
int idmap_write(const struct idmap *m, pid_t pid);

#endif
