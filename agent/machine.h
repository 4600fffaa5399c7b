/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about the VM as a whole: its clock and its CPUs.
 */
#ifndef HUSK_AGENT_MACHINE_H
#define HUSK_AGENT_MACHINE_H

#include <stdint.h>

#include "fault.h"

/* Step the wall clock to ns since 1970. 0 or -errno. */
int machine_set_time(int64_t ns);

/* job_fn; args: uint32_t, how many CPUs shall be online. */
int machine_set_cpus(void *args, int out, struct fault *f);

#endif
