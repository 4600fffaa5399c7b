/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink requests over libnl, with the kernel's own errno.
 */
#ifndef HUSK_RUNTIME_NETLINK_H
#define HUSK_RUNTIME_NETLINK_H

#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stddef.h>
#include <stdint.h>

/* A NETLINK_ROUTE socket in the current network namespace, or NULL with errno. Release with nl_socket_free(). */
struct nl_sock *netlink_open(void);

/* An empty request of one type with its fixed header (copied); ends the program when there is no memory. */
struct nl_msg *netlink_request(uint16_t type, uint16_t flags, const void *fixed, size_t len);

/* Send a request (released here) and wait for its acknowledgement. 0 or -errno. */
int netlink_talk(struct nl_sock *nl, struct nl_msg *msg);

/*
 * Send a dump request (released here); fn is called for each message, and ends the dump by a negative return. 0
 * or -errno.
 */
int netlink_dump(struct nl_sock *nl, struct nl_msg *msg, int (*fn)(const struct nlmsghdr *nlh, void *arg), void *arg);

#endif
