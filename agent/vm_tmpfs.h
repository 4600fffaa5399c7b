/* SPDX-License-Identifier: Apache-2.0 */
/* The VM's shared tmpfs: operation OP_VM_TMPFS of a container's plan. */
#ifndef HUSK_AGENT_VM_TMPFS_H
#define HUSK_AGENT_VM_TMPFS_H

#include "fault.h"

struct plan;

/* Make those of a checked plan that do not exist yet. 0, or -1 with *f. */
int vm_tmpfs_make(const struct plan *p, struct fault *f);

#endif
