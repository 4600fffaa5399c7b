/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the steps of a container's life happened: a small text file in the state directory.
 */
#ifndef HUSK_RUNTIME_TIMELINE_H
#define HUSK_RUNTIME_TIMELINE_H

#include <stdint.h>
#include <stdio.h>

enum timeline_step {
	STEP_CREATE,  /* the command began */
	STEP_PROXY,   /* the proxy runs in its namespaces */
	STEP_VMM,     /* husk-vmm is executed */
	STEP_KERNEL,  /* first KVM_RUN */
	STEP_AGENT,   /* the agent listens */
	STEP_CREATED, /* the container is built */
	STEP_STARTED, /* its process runs */
	STEP_EXITED,  /* its process has ended */
	STEP_COUNT
};

struct timeline {
	uint64_t ns[STEP_COUNT]; /* CLOCK_MONOTONIC; 0: not reached */
};

/* Lines "NAME NANOSECONDS". Errors are ignored: the container matters more. */
void timeline_write(int dirfd, const char *name, const struct timeline *t);

/* Read it back; unknown lines are skipped. 0 or -errno. */
int timeline_read(int dirfd, const char *name, struct timeline *t);

/* For people: milliseconds since the first step. */
void timeline_print(FILE *out, const struct timeline *t);

#endif
