/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to localhost of the host-side network namespace, carried to the guest's.
 */
#ifndef HUSK_RUNTIME_NET_FORWARD_H
#define HUSK_RUNTIME_NET_FORWARD_H

#include "evloop.h"
#include "session.h"

#define NET_FORWARDS_MAX 128u /* at a time; more wait in the listening socket's queue */

struct net_forward;

/**
 * net_forward_start() - listen for TCP connections to localhost, any port, in the current network namespace
 * @connect: a new session with the agent, or NULL; called for each connection
 *
 * Return: NULL with errno when this host's kernel cannot do it.
 */
struct net_forward *net_forward_start(struct evloop *loop, struct session *(*connect)(void *arg), void *arg);

#endif
