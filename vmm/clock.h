/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of deadlines and time stamps.
 */
#ifndef HUSK_VMM_CLOCK_H
#define HUSK_VMM_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in ns. */
static inline uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
