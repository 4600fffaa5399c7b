/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net over a TAP device (virtio 1.2, 5.1).
 */
#ifndef HUSK_VMM_NET_H
#define HUSK_VMM_NET_H

#include <stdint.h>

#include "control.h"
#include "loop.h"
#include "virtio.h"

/**
 * net_create() - a network device
 * @mem:   guest memory
 * @loop:  event loop that serves its queues
 * @mac:   6 bytes
 * @mtu:   bytes of the link layer's payload, 68..65535
 * @tap:   one TAP fd per queue pair (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, non-blocking); owned by the device on success
 * @vhost: NULL, or one fd of /dev/vhost-net per queue pair; owned by the device on success. The kernel then serves the
 *	   queues. Where it cannot, this returns NULL, and the device can be made without
 * @pairs: 1..CTL_PAIRS_MAX
 *
 * Return: the device, to be released by net_destroy(), or NULL with errno set.
 */
struct virtio_dev *net_create(const struct gmem *mem, struct loop *loop, const uint8_t mac[6], uint16_t mtu,
			      const int *tap, const int *vhost, unsigned int pairs);

/* After ops->reset(); closes the fds. */
void net_destroy(struct virtio_dev *d);

#endif
