/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that the host asked for: the init of a container, and each exec. From clone3 to the
 * EXIT frame.
 */
#ifndef HUSK_AGENT_PROCESS_H
#define HUSK_AGENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fault.h"
#include "loop.h"
#include "relay.h"
#include "setup.h"
#include "wire.h"

struct container;
struct session;

enum process_state {
	PROCESS_BUILDING, /* the child works on the plan */
	PROCESS_CREATED,  /* init only: waits for START */
	PROCESS_STARTING, /* hooks, execve */
	PROCESS_RUNNING,
	PROCESS_DEAD, /* reaped */
};

struct process {
	struct process *next;
	struct container *c; /* NULL once that is gone */
	struct session *s;   /* NULL when the host has closed it */
	enum process_state state;
	bool is_init;
	bool execs; /* execve is next */
	bool exit_sent;
	pid_t pid, helper; /* 0: none (yet) */
	int pidfd;
	struct watch sync;
	struct relay io;
	struct timer patience; /* a failed child may take to end; the host may stall after a death by signal */
	struct wire_exit exit;
	struct fault fault; /* of the child, until it has ended */
	bool failed;
};

/**
 * process_spawn() - start a child for a plan
 * @setup: filled by the caller but for sync and stdio
 * @cgroup: O_DIRECTORY fd to start in
 * @pid_ns: pidfd of a process whose pid namespace to use, or -1
 * @uid, @gid: of the process as the guest's root sees them: owner of its pipes
 *
 * Events come as container_process_*() calls. Return: the process, or NULL with *f.
 */
struct process *process_spawn(struct session *s, struct container *c, struct setup *setup, bool tty, int cgroup,
			      int pid_ns, uint32_t uid, uint32_t gid, struct fault *f);

/* Let a created init run. */
void process_start(struct process *p);

/* Deliver a signal. 0 or -errno (ESRCH: it has ended). */
int process_signal(struct process *p, int signo);

/* The host closed the session: relay no more, and kill it. */
void process_hangup(struct process *p);

/* Everything about its end is known: send EXIT when its output is through. */
void process_finish(struct process *p);

/* The loop reaped a child. False: not one of ours. */
bool process_reaped(pid_t pid, int status, uint64_t user_us, uint64_t system_us);

/* The container is being forgotten. */
void process_orphan_all(struct container *c);

#endif
