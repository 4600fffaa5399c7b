/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tsc: print the rate of this machine's time stamp counter in kHz; nothing, with status 1, where it is not constant.
 *
 * The emulated host's counter is this machine's. Its kernel would measure it against an emulated timer, and gets it
 * wrong by whole factors when the machine is busy: then its clock runs fast, and every time limit with it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#define ROUNDS 9
#define PAUSE_NS 5000000
#define NARROW_NS 2000 /* a reading that took longer was interrupted */

struct reading {
	int64_t ns;
	uint64_t tsc;
};

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct reading read_both(void)
{
	struct reading r;
	int64_t before, after;

	for (int try = 0; try < 1000; try++) {
		before = now();
		r.tsc = __rdtsc();
		after = now();
		r.ns = before + (after - before) / 2;
		if (after - before < NARROW_NS)
			break;
	}
	return r;
}

static int constant(void)
{
	char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "re");
	int yes = 0;

	while (f && !yes && fgets(line, sizeof(line), f))
		yes = strncmp(line, "flags", 5) == 0 && strstr(line, " constant_tsc") != NULL;
	if (f)
		fclose(f);
	return yes;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	double khz[ROUNDS];

	if (!constant())
		return 1;
	for (int i = 0; i < ROUNDS; i++) {
		struct reading a = read_both(), b;

		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
		b = read_both();
		khz[i] = (double)(b.tsc - a.tsc) * 1e6 / (double)(b.ns - a.ns);
	}
	qsort(khz, ROUNDS, sizeof(khz[0]), compare);
	printf("%.0f\n", khz[ROUNDS / 2]);
	return 0;
}
