/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets: how much a disk may do per second. Pure: time comes in as a number.
 */
#ifndef HUSK_VMM_BLK_LIMIT_H
#define HUSK_VMM_BLK_LIMIT_H

#include <stdint.h>

#define BUCKET_RATE_MAX (1ull << 40) /* units per second; more is no limit */

/*
 * A request passes when there is credit, and takes all that it costs, if need be as debt. So a request that is
 * larger than the burst passes, too, and the rate holds over time.
 */
struct bucket {
	uint64_t rate;	/* units per second; 0: no limit */
	int64_t credit; /* units */
	uint64_t last;	/* ns, of the last refill */
};

/* Set the rate; credit for a tenth of a second at once. now: ns of a clock that only goes forward. */
void bucket_set(struct bucket *b, uint64_t rate, uint64_t now);

/* Nanoseconds until a request may pass, 0: now. */
uint64_t bucket_wait(struct bucket *b, uint64_t now);

/* A request of this cost passes. */
void bucket_take(struct bucket *b, uint64_t cost);

#endif
