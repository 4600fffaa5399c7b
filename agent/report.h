/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child that builds a container or a process tells the agent, over a SOCK_SEQPACKET pair.
 * The agent answers with single bytes ("go"). A process of the container that may trace the child
 * could write here too: every message is checked as hostile.
 */
#ifndef HUSK_AGENT_REPORT_H
#define HUSK_AGENT_REPORT_H

#include <stdint.h>

#include "fault.h"

enum report_kind {
	REPORT_PID = 1, /* from the helper: value is the pid of the child proper, which waits for go */
	REPORT_MAPS,	/* in the new user namespace: write its id maps, then go */
	REPORT_TTY,	/* a pty master comes with this message */
	REPORT_READY,	/* environment built, executable found; waits for go to start */
	REPORT_EXEC,	/* execve is next: end of file after this is success */
	REPORT_FAULT,	/* failed; the child ends */
};

struct report {
	uint32_t kind;
	uint32_t value;
	struct fault fault; /* REPORT_FAULT only; otherwise not sent */
};

/* Child: 0 or -errno. fd -1: none. */
int report_send(int sync, enum report_kind kind, uint32_t value, const struct fault *fault, int fd);
/* Child: wait for go. 0, or -errno when the agent gave up. */
int report_wait_go(int sync);

/* Agent: 1 and *r (*fd >= 0 when one came), 0 at the end, -EAGAIN, -EPROTO. Never blocks. */
int report_receive(int sync, struct report *r, int *fd);
/* Agent: let the child go on. 0 or -errno. */
int report_go(int sync);

#endif
