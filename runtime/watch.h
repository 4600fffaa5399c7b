/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch helper: tells the guest what the host changes in the container's volumes, for inotify.
 */
#ifndef HUSK_RUNTIME_WATCH_H
#define HUSK_RUNTIME_WATCH_H

#include <sys/types.h>

#include "../oci/error.h"

#define WATCH_SHARES_MAX 64u

struct session;

struct watch_share {
	const char *name; /* under PLAN_SHARES */
	int fd;		  /* O_PATH, of a directory */
};

struct watch_config {
	struct session *session; /* to the agent, nobody else's */
	pid_t vmm;		 /* whose changes are the guest's own */
	int log_fd;
	struct watch_share share[WATCH_SHARES_MAX];
	unsigned int nshares;
};

/**
 * watch_start() - fork the helper
 *
 * It has copies of the descriptors and ends with its parent or with the session. Return: its pid, or -1 with *err.
 */
pid_t watch_start(const struct watch_config *c, struct error *err);

#endif
