/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a plan to a child: which namespaces are new, joined or kept, in which order they must be
 * entered, and with which id maps.
 */
#ifndef HUSK_AGENT_SPAWN_H
#define HUSK_AGENT_SPAWN_H

#include "container.h"
#include "fault.h"
#include "plan_decode.h"

/* The child that builds a container and becomes its init. NULL with *f. */
struct process *spawn_init(struct session *s, struct container *c, const struct plan *p, struct fault *f);

/* The child that becomes one more process of c. NULL with *f. */
struct process *spawn_exec(struct session *s, struct container *c, const struct plan *p, struct fault *f);

/* The child is in its new user namespace: write its maps and let it go on. 0, or -1 with *f. */
int spawn_write_maps(struct process *p, struct container *c, struct fault *f);

#endif
