/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosttsc: prints the rate of this machine's time stamp counter in kHz. An emulated guest sees the same counter, but
 * its own calibration against an emulated timer fails on a busy machine; comparing with the clock here does not.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct pair {
	uint64_t ticks, nanoseconds;
};

/* Reads both clocks; of several tries the one with the least time between them. */
static struct pair pair_read(void)
{
	struct pair best = { 0 };
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 100; i++) {
		struct timespec now;
		uint64_t before = __rdtsc(), after;

		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		after = __rdtsc();
		if (after - before >= least)
			continue;
		least = after - before;
		best.ticks = before + least / 2;
		best.nanoseconds = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	}
	return best;
}

int main(void)
{
	struct timespec pause = { 0, 50000000 };
	struct pair begin = pair_read(), end;

	nanosleep(&pause, NULL);
	end = pair_read();
	if (end.nanoseconds <= begin.nanoseconds || end.ticks <= begin.ticks)
		return 1;
	printf("%llu\n",
	       (unsigned long long)((end.ticks - begin.ticks) * 1000000 / (end.nanoseconds - begin.nanoseconds)));
	return 0;
}
