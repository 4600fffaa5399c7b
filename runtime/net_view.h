/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a network namespace holds, as rtnetlink messages that can be compared and sent on.
 */
#ifndef HUSK_RUNTIME_NET_VIEW_H
#define HUSK_RUNTIME_NET_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../oci/error.h"

struct nl_sock;

#define NET_VIEW_LINKS 16u  /* interfaces that a container can have */
#define NET_VIEW_MSGS 4096u /* addresses, routes and neighbours of all of them */

/* An Ethernet-like interface that carries traffic for the container. */
struct net_link {
	uint32_t ifindex;
	uint32_t mtu;
	uint32_t flags; /* IFF_* */
	char name[16];
	uint8_t mac[6];
	bool no_ipv6; /* its disable_ipv6 is set */
};

/* One RTM_NEW* message, normalised: no sequence numbers, ages, statistics. Equal things are equal bytes. */
struct net_msg {
	uint32_t ifindex;
	uint32_t len;
	uint8_t data[]; /* struct nlmsghdr... */
};

struct net_view {
	struct net_link link[NET_VIEW_LINKS];
	unsigned int nlinks;
	struct net_msg **msg; /* links first, then addresses, neighbours, routes: the order to apply them in */
	size_t nmsgs;
};

/**
 * net_view_read() - read the current network namespace
 * @nl:  NETLINK_ROUTE socket of that namespace
 * @v:   filled; release with net_view_free()
 *
 * Left out: loopback, our own TAPs, fallback tunnels and other interfaces without Ethernet framing, interfaces that are
 * down and have no address, routes that the kernel makes by itself, neighbours that are not permanent.
 * Return: 0, or -1 with *err.
 */
int net_view_read(struct nl_sock *nl, struct net_view *v, struct error *err);
void net_view_free(struct net_view *v);

/* The interface with this index, or NULL. */
const struct net_link *net_view_link(const struct net_view *v, uint32_t ifindex);

/* True when v holds a message equal to m. */
bool net_view_has(const struct net_view *v, const struct net_msg *m);

#endif
