/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's network interfaces: rtnetlink messages of the host, replayed.
 */
#ifndef HUSK_AGENT_NET_H
#define HUSK_AGENT_NET_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"

#define NET_SLOTS_MAX 64u

/* Loopback up in the current network namespace. 0 or -errno. */
int net_loopback_up(void);

struct net_args {
	uint32_t slot;
	const uint8_t *msgs; /* nlmsghdr... */
	size_t len;
	/* Instead of the slot's: for tests on an interface that is there. 0: none. */
	int ifindex;
};

/*
 * job_fn: apply the messages to the interface of the slot. Writes struct net_result to `out` on
 * success.
 */
int net_apply(void *args, int out, struct fault *f);

/* What the loop has to remember of a job: which interface of the host a slot stands for. */
struct net_result {
	uint32_t slot, host_ifindex;
};
void net_remember(const struct net_result *r);

#endif
