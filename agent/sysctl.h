/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel parameters.
 */
#ifndef HUSK_AGENT_SYSCTL_H
#define HUSK_AGENT_SYSCTL_H

#include <stdbool.h>

/*
 * Write "net.ipv4.ip_forward" or "net/ipv4/conf/eth0.1/mtu" below the /proc that `proc` is. 0 or
 * -errno.
 */
int sysctl_write(int proc, const char *key, const char *value);

/* Does the key belong to a network namespace? */
bool sysctl_is_net(const char *key);

#endif
