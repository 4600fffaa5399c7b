/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP devices and the traffic-control redirect that joins one to an engine's interface.
 */
#ifndef HUSK_RUNTIME_NET_TC_H
#define HUSK_RUNTIME_NET_TC_H

#include <stdint.h>

#include "../oci/error.h"

struct nl_sock;

/* Ports of the host-side namespace's own sockets, where it has any (Docker's resolver asks its upstream from there):
 * frames to them stay with the host's stack, and the guest never uses them as local ports. */
#define NET_HOST_PORT_MIN 64000u /* above what Linux gives out by default, so that guests seldom notice */
#define NET_HOST_PORT_MAX 64511u

/* Our TAPs are called vethhuskN: monitoring tools leave out names that start with "veth". */
#define NET_TAP_PREFIX "vethhusk"

/**
 * tap_create() - a TAP in the current network namespace, up, without addresses of its own
 * @nl:      NETLINK_ROUTE socket in the same namespace
 * @dev_net: directory fd of the host's /dev/net
 * @unit:    number in its name
 * @mtu:     bytes
 * @pairs:   queue pairs; fds[0..pairs) receive one fd each, non-blocking, close-on-exec, owned by the caller
 * @ifindex: its index
 *
 * The interface disappears when its last fd is closed. Return: 0, or -1 with *err.
 */
int tap_create(struct nl_sock *nl, int dev_net, unsigned int unit, uint32_t mtu, unsigned int pairs, int *fds,
	       uint32_t *ifindex, struct error *err);

/*
 * Send what arrives on one interface out of the other, both ways. Takes the place of an earlier join of `link`.
 * 0 or -1.
 */
int tc_join(struct nl_sock *nl, uint32_t link, uint32_t tap, struct error *err);

/* Besides, let the host's side of `link` have its own ports, and see ARP and neighbour discovery, too. 0 or -1. */
int tc_share(struct nl_sock *nl, uint32_t link, uint32_t tap, struct error *err);

/* Take our filters off an engine's interface. One that is gone, or has none, is all right. */
void tc_leave(struct nl_sock *nl, uint32_t link);

/* Set an interface's MTU, or bring it up. 0 or -1. */
int link_set_mtu(struct nl_sock *nl, uint32_t ifindex, uint32_t mtu, struct error *err);

#endif
