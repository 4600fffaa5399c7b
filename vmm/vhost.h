/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-net: the host's kernel serves the queues of a network device, and no thread of ours is on the way.
 */
#ifndef HUSK_VMM_VHOST_H
#define HUSK_VMM_VHOST_H

#include <stdint.h>

#include "memory.h"
#include "queue.h"

/**
 * vhost_open() - take an open /dev/vhost-net into use
 * @features: out, the VIRTIO_F_* and VIRTIO_NET_F_* that it knows
 *
 * Loop thread, once. The kernel's work is charged to this process. Return: 0 or -errno.
 */
int vhost_open(int fd, uint64_t *features);

/**
 * vhost_start() - let it serve one pair of queues, which vq_start() has checked
 * @features: negotiated, of those that vhost_open() gave
 * @tap:      TAP queue with headers of the size that the driver uses
 *
 * Kicks and interrupts go by the queues' eventfds. vCPU thread. Return: 0 or -errno, and nothing is served.
 */
int vhost_start(int fd, const struct gmem *mem, uint64_t features, const struct vq *rx, const struct vq *tx, int tap);

/* On return the kernel uses neither queues nor guest memory. */
void vhost_stop(int fd);

#endif
