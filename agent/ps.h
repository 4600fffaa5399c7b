/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process list of a cgroup.
 */
#ifndef HUSK_AGENT_PS_H
#define HUSK_AGENT_PS_H

#include <stdbool.h>

#include "fault.h"

struct ps_args {
	int cgroup;	 /* O_DIRECTORY fd */
	bool own_pid_ns; /* ns_pid is a number in a namespace below ours */
};

/* job_fn: writes struct wire_ps records, each followed by its command line, to `out`. */
int ps_collect(void *args, int out, struct fault *f);

#endif
