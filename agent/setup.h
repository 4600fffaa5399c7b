/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's side of building a container or one more process in it: namespaces, the plan's
 * operations, exec.
 */
#ifndef HUSK_AGENT_SETUP_H
#define HUSK_AGENT_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "plan_decode.h"

#define SETUP_JOINS_MAX 8u

/* Namespaces of another process to join. */
struct setup_join {
	int pidfd;
	uint64_t flags; /* CLONE_NEW*, not CLONE_NEWPID */
};

/* What the agent has prepared for a child. */
struct setup {
	const struct plan *plan;
	bool is_exec;	    /* PLAN_PROCESS: into an existing container; no START */
	int sync;	    /* report.h */
	int stdio[3];	    /* -1: a tty takes their place */
	const char *cgroup; /* guest path of the container's cgroup */
	int enter_cgroup;   /* fd of a cgroup where clone3 could not put the child: it goes by itself; 0: none */
	struct setup_join join[SETUP_JOINS_MAX];
	unsigned int njoins;
	uint64_t clone_flags;  /* given to clone3 */
	uint64_t second_clone; /* helper: flags of the child proper, made after the joins; 0: no helper */
	uint64_t unshare;      /* after the joins, by the child */
	bool new_user;	       /* wait for id maps */
	bool user_root;	       /* the user namespace maps id 0 */
	bool in_user_ns;
	bool net_sysctls_done; /* by the agent, who owns the network namespace */
};

/* The plan's oom_score_adj; 0 when it has none. */
int setup_oom_score(const struct plan *p);

/* Runs in the child of clone3; never returns. */
void setup_run(const struct setup *s) __attribute__((noreturn));

#endif
