/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the host for more memory before the containers have used up what there is.
 */
#ifndef HUSK_AGENT_GROW_H
#define HUSK_AGENT_GROW_H

/* After the cgroups and the loop exist. 0 or -errno; without it, the guest stays as large as it is. */
int grow_init(const char *cgroup);

#endif
