/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OOM kill in the guest, told to engines in the one way they listen to: the kernel's own counter of the container's
 * cgroup on the host.
 */
#ifndef HUSK_RUNTIME_OOM_TELL_H
#define HUSK_RUNTIME_OOM_TELL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OOM_LIMITS 2 /* of memory, and of swap */

/* A limit's file and that of what it limits; what stands in the former before and meanwhile. */
struct oom_limit {
	int limit_fd, use_fd;
	char was[32], lowered[32];
};

struct oom_tell {
	int dir;     /* the container's cgroup that limits memory; -1: nothing can be told */
	int own_adj; /* oom_score_adj of this process and of the VMM */
	int vmm_adj;
	bool v1;
	pid_t victim; /* 0: none */
	uint64_t last_ns;
	struct oom_limit limit[OOM_LIMITS];
	char vmm_score[16];
};

/* While this process sees the host's /proc and cgroups, and is in its own. Without privilege nothing will be told. */
void oom_tell_open(struct oom_tell *o);

/* The VMM is our only child. */
void oom_tell_vmm(struct oom_tell *o);

/* Have the kernel count a kill. At most one in a second. */
void oom_tell_now(struct oom_tell *o);

/* A child has ended. True: it was ours, and the limits are as before. */
bool oom_tell_reaped(struct oom_tell *o, pid_t pid);

/* Wait until what has begun is over, some seconds at most: the news must come before the container's end. */
void oom_tell_finish(struct oom_tell *o);

#endif
