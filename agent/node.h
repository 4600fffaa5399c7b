/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes, links and directories of a container's root (plan.h: MKNOD, SYMLINK, MKDIR).
 */
#ifndef HUSK_AGENT_NODE_H
#define HUSK_AGENT_NODE_H

#include "fault.h"
#include "mount.h"
#include "plan.h"

/* Each: 0, or -1 with *f. Parents that are missing are made. */
int node_device(struct mounts *m, const struct plan_mknod *n, const char *path, struct fault *f);
/* As node_device(), of the disk with this serial; of n, only permissions and owner count. */
int node_disk(struct mounts *m, const struct plan_mknod *n, const char *path, const char *serial, struct fault *f);
int node_symlink(int root, const char *text, const char *path, struct fault *f);
int node_directory(int root, const struct plan_mkdir *d, const char *path, struct fault *f);

#endif
