/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to localhost, whatever the port, steered to one listening socket (agent/steer.h).
 *
 * Runs in the network helper, inside the container's host-side network namespace. Nothing here comes from the guest.
 */
#include "net_lookup.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "../agent/steer.h"
#include "util.h"

/* Addresses in the context are in network byte order, read as words of this (little-endian) machine. */
int net_lookup_attach(int v4, int v6)
{
	const struct bpf_insn match[] = {
		LOAD(R0, R6, CTX(protocol)),
		UNLESS_IMM(R0, IPPROTO_TCP, STEER_PASS),
		LOAD(R0, R6, CTX(family)),
		UNLESS_IMM(R0, AF_INET, 5),
		LOAD(R0, R6, CTX(local_ip4)),
		WHEN_IMM(R0, 0x0b00007f, STEER_PASS), /* 127.0.0.11: Docker's resolver, which is here */
		AND_IMM(R0, 0xff),
		UNLESS_IMM(R0, 127, STEER_PASS),
		JUMP(10), /* to the end */
		UNLESS_IMM(R0, AF_INET6, STEER_PASS),
		LOAD(R0, R6, CTX(local_ip6)),
		UNLESS_IMM(R0, 0, STEER_PASS),
		LOAD(R0, R6, CTX(local_ip6) + 4),
		UNLESS_IMM(R0, 0, STEER_PASS),
		LOAD(R0, R6, CTX(local_ip6) + 8),
		UNLESS_IMM(R0, 0, STEER_PASS),
		LOAD(R0, R6, CTX(local_ip6) + 12),
		UNLESS_IMM(R0, 0x01000000, STEER_PASS),
		STEER_NUMBER(1),
	};
	const int socks[2] = { v4, v6 };

	return steer_attach(match, ARRAY_LEN(match), socks);
}
