/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NIC slots: which virtio-mmio device, and which interface, a slot number of the host means.
 */
#ifndef HUSK_AGENT_NET_SLOT_H
#define HUSK_AGENT_NET_SLOT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/* FIRST:COUNT of husk.nics=: slot n is device FIRST + n. Without it, slot n is device n. */
void net_slot_layout(uint32_t first, uint32_t count);

/**
 * net_slot_find() - the interface in a slot
 * @bind: give the device its driver if it has none yet (it was plugged after boot)
 * @name: out
 * @what: out, what failed
 *
 * Return: ifindex, or -errno; -ENODEV when the slot is empty.
 */
int net_slot_find(uint32_t slot, bool bind, char name[IF_NAMESIZE], const char **what);

/* Take the driver off, so that the VMM may unplug. 0, also when it has none, or -errno. */
int net_slot_unbind(uint32_t slot);

#endif
