/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From arguments and environment to a running program: HOME, the executable lookup, startContainer
 * hooks, execve. Called by the child, inside the container's root.
 */
#ifndef HUSK_AGENT_LAUNCH_H
#define HUSK_AGENT_LAUNCH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "fault.h"
#include "plan_decode.h"

struct launch {
	const char **argv, **envp; /* NULL-ended; strings point into the plan */
	char home[PATH_MAX];	   /* "HOME=..." when the environment lacks it */
	char file[PATH_MAX];	   /* what execve gets, after launch_lookup() */
};

/**
 * launch_prepare() - build argv and envp
 * @env: may be NULL
 * @root: the container's root, for /etc/passwd
 * @uid: of the process
 *
 * Return: 0, or -1 with *f.
 */
int launch_prepare(struct launch *l, const struct plan_list *args, const struct plan_list *env, int root, uint32_t uid,
		   struct fault *f);

/*
 * Find the executable with the credentials, directory and PATH of the process. 0, or -1 with *f
 * (STAGE_LOOKUP).
 */
int launch_lookup(struct launch *l, struct fault *f);

/* Run one OP_HOOK and wait for it. 0, or -1 with *f (STAGE_HOOK). */
int launch_hook(const struct plan_item *hook, struct fault *f);

/* Only returns when execve failed: -1 with *f (STAGE_EXEC). */
int launch_exec(struct launch *l, struct fault *f);

#endif
