/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of husk-vmm in a thread of its own, for tests of what runs in it. The test makes `loop` before and
 * frees it afterwards: devices and watches come and go in between.
 */
#ifndef HUSK_TESTS_RUNNER_H
#define HUSK_TESTS_RUNNER_H

#include <pthread.h>
#include <stdbool.h>

#include "vmm/loop.h"

static struct loop *loop;
static pthread_t runner_thread;

static void *runner_main(void *arg)
{
	(void)arg;
	loop_run(loop);
	return NULL;
}

static inline bool runner_start(void)
{
	return pthread_create(&runner_thread, NULL, runner_main, NULL) == 0;
}

/* No callback runs any more. */
static inline void runner_stop(void)
{
	loop_stop(loop);
	pthread_join(runner_thread, NULL);
}

#endif
