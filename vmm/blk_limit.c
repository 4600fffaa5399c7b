/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets. The block worker owns them. The guest controls costs, which are below 2^32 each, and when they come.
 */
#include "blk_limit.h"

#define NS_PER_S 1000000000ull
#define BURST_PARTS 10 /* of a second */

static int64_t burst_of(const struct bucket *b)
{
	uint64_t n = b->rate / BURST_PARTS;

	return n ? (int64_t)n : 1;
}

void bucket_set(struct bucket *b, uint64_t rate, uint64_t now)
{
	b->rate = rate > BUCKET_RATE_MAX ? 0 : rate;
	b->credit = burst_of(b);
	b->last = now;
}

/* Whole units only; the rest of the time stays for the next refill. */
static void refill(struct bucket *b, uint64_t now)
{
	uint64_t past = now - b->last, units;

	if (past > NS_PER_S) { /* rate * past fits into 64 bits for a second */
		uint64_t seconds = past / NS_PER_S;

		b->last += seconds * NS_PER_S;
		past -= seconds * NS_PER_S;
		if (seconds > (uint64_t)INT32_MAX)
			seconds = INT32_MAX;
		if (b->rate && seconds > BUCKET_RATE_MAX / b->rate)
			seconds = BUCKET_RATE_MAX / b->rate + 1;
		b->credit += (int64_t)(b->rate * seconds);
	}
	units = (uint64_t)((unsigned __int128)b->rate * past / NS_PER_S);
	b->credit += (int64_t)units;
	if (units)
		b->last += (uint64_t)((unsigned __int128)units * NS_PER_S / b->rate);
	if (b->credit > burst_of(b))
		b->credit = burst_of(b);
}

uint64_t bucket_wait(struct bucket *b, uint64_t now)
{
	if (!b->rate)
		return 0;
	refill(b, now);
	if (b->credit > 0)
		return 0;
	return (uint64_t)((unsigned __int128)(uint64_t)(1 - b->credit) * NS_PER_S / b->rate) + 1;
}

void bucket_take(struct bucket *b, uint64_t cost)
{
	if (b->rate)
		b->credit -= (int64_t)cost;
}
