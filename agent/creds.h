/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process may do: user, groups, capabilities, limits, seccomp, scheduling. Called by the
 * child, in the plan's order, on itself. Each returns 0 or -errno.
 */
#ifndef HUSK_AGENT_CREDS_H
#define HUSK_AGENT_CREDS_H

#include <stdint.h>

#include "plan.h"
#include "wire.h"

/* Become root of the user namespace, where the map has one. */
int creds_become_root(void);

/* Groups, ids, umask. Keeps the permitted capabilities for creds_caps(). */
int creds_user(const struct plan_user *u, const uint32_t *gids);

/*
 * Bounding, then effective, permitted, inheritable, ambient. Capabilities that this kernel does not
 * know are left out.
 */
int creds_caps(const struct plan_caps *c);

int creds_rlimit(const struct plan_rlimit *r);
int creds_no_new_privs(void);

/* filter: s->count instructions of struct sock_filter. */
int creds_seccomp(const struct plan_seccomp *s, const void *filter);

int creds_sched(const struct plan_sched *s);
int creds_ioprio(int value);
int creds_personality(int value);

/* Run on the CPUs of the list that exist here; none of them: unchanged. */
int creds_affinity(const char *cpus);

/* A session keyring of the container's own, so that containers of one VM do not share keys. */
void creds_keyring(const char *cid);

#endif
