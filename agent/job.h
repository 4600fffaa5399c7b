/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may block (file system syncs, driver binds, reading another process's memory) is done
 * in a forked child; its result comes back through a pipe and the loop goes on meanwhile.
 */
#ifndef HUSK_AGENT_JOB_H
#define HUSK_AGENT_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fault.h"

#define JOB_RESULT_MAX (4u << 20)

struct job;

/* In the child. Writes its result to `out`; or returns -1 with *f. */
typedef int (*job_fn)(void *arg, int out, struct fault *f);

/* In the loop: f NULL and the result, or f. data is only valid during the call. */
typedef void (*job_done)(void *ctx, const struct fault *f, const uint8_t *data, size_t len);

/**
 * job_start() - run fn(arg) in a child
 * @keep: a fd that fn uses, or -1; the child has no other of ours
 * @timeout_ms: after that the child is killed and done() called with ETIMEDOUT
 *
 * Return: the job, valid until done() is called or job_cancel(); NULL with errno when it could not
 * be started.
 */
struct job *job_start(job_fn fn, void *arg, int keep, job_done done, void *ctx, unsigned int timeout_ms);

/* The result interests nobody any more: kill the child, done() is not called. */
void job_cancel(struct job *j);

/* The loop reaped a process: was it a job's? */
bool job_reaped(pid_t pid, int status);

#endif
