/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNIX sockets of the host that a container has as mounts: the socket helper connects to them for the guest.
 */
#ifndef HUSK_RUNTIME_HOSTSOCK_H
#define HUSK_RUNTIME_HOSTSOCK_H

#include <sys/types.h>

#include "../oci/compile.h"
#include "../oci/error.h"

#define HOSTSOCK_STREAMS_MAX 128u /* connections of one container at a time */

/* What the helper works with. It has copies after hostsock_start(). */
struct hostsock_config {
	const char *id; /* of the container */
	const struct host_plan *host;
	const char *vm_sock; /* path of the VM's control socket */
	int log_fd;	     /* where it says what nobody waits for */
};

/* The helper's end that its parent holds. */
struct hostsock {
	pid_t pid;
	int sock; /* -1: not started */
};

/**
 * hostsock_start() - open the sockets and fork the helper
 *
 * Called while the host's paths can still be reached. It ends when the parent dies. Return: 0, or -1 with *err.
 */
int hostsock_start(struct hostsock *h, const struct hostsock_config *c, struct error *err);

/* The container is built in the guest: serve it. Waits for the agent's answer. 0, or -1 with *err. */
int hostsock_serve(struct hostsock *h, struct error *err);

#endif
