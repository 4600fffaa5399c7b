/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a command and the proxy that it has just cloned, over a SOCK_SEQPACKET pair. When the command
 * dies before SYNC_COMMIT, the pair hangs up and the proxy undoes itself.
 */
#ifndef HUSK_RUNTIME_SYNC_H
#define HUSK_RUNTIME_SYNC_H

#include <stdint.h>

#include "../oci/error.h"

enum sync_type {
	/* command -> proxy */
	SYNC_PLACED = 1, /* you are in your cgroup: go on */
	SYNC_HOOKED,	 /* prestart and createRuntime hooks are done */
	SYNC_START,	 /* start the process (run); answered by SYNC_STARTED or SYNC_ERROR */
	SYNC_COMMIT,	 /* from now on you live on your own */
	/* proxy -> command */
	SYNC_READY,   /* namespaces exist */
	SYNC_CREATED, /* the container waits for its start */
	SYNC_STARTED,
	SYNC_ERROR, /* text; value SYNC_PROBE: the VM failed, ask husk-vmm --probe why */
};

#define SYNC_PROBE 1u

struct sync_msg {
	uint32_t type;
	uint32_t value;
	char text[sizeof(((struct error *)0)->text)]; /* only as much as is used is sent */
};

/* 0 or -errno. */
int sync_send(int fd, enum sync_type type, uint32_t value, const char *text);

/* The next message; 0, or -EPIPE when the other end is gone, -EINTR, -errno. */
int sync_recv(int fd, struct sync_msg *m);

#endif
