/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver that an engine keeps at 127.0.0.11 of the container's network namespace, carried into the guest.
 */
#ifndef HUSK_RUNTIME_NET_DNS_H
#define HUSK_RUNTIME_NET_DNS_H

#include <stdbool.h>

#include "evloop.h"
#include "session.h"

#define NET_DNS_QUERIES 128u /* in flight */

/* Is there a resolver in the current network namespace? */
bool net_dns_present(void);

struct net_dns;

/**
 * net_dns_start() - relay the guest's queries
 * @s: a session of its own; taken over in any case
 *
 * Return: NULL with *err.
 */
struct net_dns *net_dns_start(struct evloop *loop, struct session *s, struct error *err);
void net_dns_stop(struct net_dns *d);

/* False: the session has ended; net_dns_stop() is due. */
bool net_dns_alive(const struct net_dns *d);

#endif
