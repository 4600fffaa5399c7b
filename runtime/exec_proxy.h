/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that stands for one exec'ed process: it relays its stdio and ends with its status.
 */
#ifndef HUSK_RUNTIME_EXEC_PROXY_H
#define HUSK_RUNTIME_EXEC_PROXY_H

#include <stdbool.h>

#include "container.h"
#include "session.h"

struct exec_params {
	struct session *s; /* the process runs already */
	int console;	   /* pty slave, or -1: fds 0, 1, 2 */
	bool tty;
	bool detached; /* a process of its own; else we are the foreground command itself */
	const struct strings *args;
	int dirfd; /* the state directory, for exec.PID */
};

/**
 * exec_relay() - relay until the process has ended
 *
 * All signals that are to be passed on must be blocked already. Return: its exit status (128 + signal; 137 when the
 * VM went away). When background processes still hold its output, a child of ours goes on with that.
 */
int exec_relay(const struct exec_params *p);

/* Announce or take back a live exec proxy in the state directory. */
void exec_record(int dirfd, pid_t pid);
void exec_forget(int dirfd, pid_t pid);

/* Pids of the live exec proxies of a container; malloc'ed. */
pid_t *exec_list(const struct container *c, size_t *n);

#endif
