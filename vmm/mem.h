/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mem (virtio 1.2, 5.15): RAM that the guest gets while it runs.
 */
#ifndef HUSK_VMM_MEM_H
#define HUSK_VMM_MEM_H

#include <stdint.h>

#include "loop.h"
#include "virtio.h"

/* The device of mem->hot, which must be reserved; or NULL with errno set. Served by the loop thread. */
struct virtio_dev *mem_create(struct gmem *mem, struct loop *loop);
void mem_destroy(struct virtio_dev *d);

/**
 * mem_request() - how much the guest shall have beside its first RAM
 * @bytes: rounded up to whole blocks
 *
 * It plugs or unplugs what it can, soon. Loop thread. 0, or -ENOSPC when that is more than is reserved.
 */
int mem_request(struct virtio_dev *d, uint64_t bytes);

/* As asked for last. Any thread. */
uint64_t mem_requested(const struct virtio_dev *d);

#endif
