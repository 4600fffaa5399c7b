/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon (virtio 1.2, 5.5): memory given back to the host, on request and, page by page, when it is free.
 */
#ifndef HUSK_VMM_BALLOON_H
#define HUSK_VMM_BALLOON_H

#include <stdint.h>

#include "loop.h"
#include "virtio.h"

struct balloon_stats {
	uint64_t target_bytes, balloon_bytes; /* asked for; what the guest says it gave */
	uint64_t reported_bytes;	      /* sum of all free memory reported so far */
	/* as the guest's kernel last said, 0: never */
	uint64_t guest_free_bytes, guest_available_bytes, guest_total_bytes, guest_cache_bytes;
};

/* The device, or NULL with errno set. Served by the loop thread. */
struct virtio_dev *balloon_create(const struct gmem *mem, struct loop *loop);
void balloon_destroy(struct virtio_dev *d);

/*
 * Ask the guest to give `bytes` back, rounded down to 4 KiB; capped at its RAM. It obeys as far as it can. Loop
 * thread.
 */
void balloon_set_target(struct virtio_dev *d, uint64_t bytes);

/* What is known, and ask the guest for fresh figures for the next call. Loop thread. */
void balloon_stats(struct virtio_dev *d, struct balloon_stats *st);

#endif
