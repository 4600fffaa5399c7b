/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rng (virtio 1.2, 5.4): the host's random bytes.
 */
#ifndef HUSK_VMM_RNG_H
#define HUSK_VMM_RNG_H

#include "loop.h"
#include "virtio.h"

#define RNG_REQUEST_MAX (64u << 10) /* bytes given for one request; the driver asks again when it wants more */

/* The device, or NULL with errno set. Served by the loop thread. */
struct virtio_dev *rng_create(const struct gmem *mem, struct loop *loop);
void rng_destroy(struct virtio_dev *d);

#endif
