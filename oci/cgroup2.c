/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources to cgroup v2 files, for the guest's cgroup and for the host's. Which side gets what:
 *
 * 	memory.max, memory.low, memory.min	both (the host's max with the VM's own need added)
 * 	memory.high, memory.oom.group, pids, hugetlb	guest
 * 	memory.swap.*, io.*, cpuset.*		host: the guest has no swap, and numbers CPUs and disks on its own
 * 	cpu.*					both: the guest's files are what programs read their limit from
 */
#include "oci/cgroup2.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU_PERIOD_DEFAULT 100000u /* us, the kernel's */

struct sink {
	cgroup2_emit emit;
	void *ctx;
	struct error *err;
	enum cgroup2_side side;
	uint64_t overhead;
};

static int __attribute__((format(printf, 3, 4))) put(const struct sink *s, const char *file, const char *fmt, ...)
{
	char value[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	return s->emit(s->ctx, file, value, s->err);
}

static int put_limit(const struct sink *s, const char *file, int64_t v)
{
	return v < 0 ? put(s, file, "max") : put(s, file, "%" PRId64, v);
}

/* ---- conversions ---- */

uint64_t cgroup2_cpu_weight(uint64_t shares)
{
	double l;

	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

uint64_t cgroup2_io_weight(uint32_t weight)
{
	return 1 + ((uint64_t)weight - 10) * 9999 / 990;
}

/* ---- memory ---- */

/* What contradicts itself is found for either side, before anything is written to one. */
static int check_memory(const struct sink *s, const struct spec_resources *r)
{
	const struct opt_i64 *limit = &r->memory.limit, *swap = &r->memory.swap;

	if (limit->set && limit->v >= 0 && r->memory.reservation.v > limit->v)
		return error_set(s->err, 0, "resources.memory.reservation: is above the limit");
	if (!swap->set || swap->v < 0)
		return 0;
	if (!limit->set || limit->v < 0)
		return error_set(s->err, 0,
				 "resources.memory.swap: is memory and swap together, so it needs a limit of memory");
	if (swap->v < limit->v)
		return error_set(s->err, 0,
				 "resources.memory.swap: %" PRId64 " is memory and swap together, but the limit of "
				 "memory alone is %" PRId64,
				 swap->v, limit->v);
	return 0;
}

/* v1 has the sum of memory and swap, v2 swap alone. */
static int put_swap(const struct sink *s, const struct spec_resources *r)
{
	const struct opt_i64 *limit = &r->memory.limit, *swap = &r->memory.swap;

	if (!swap->set)
		return limit->set && limit->v < 0 ? put(s, "memory.swap.max", "max") : 0;
	return swap->v < 0 ? put(s, "memory.swap.max", "max")
			   : put(s, "memory.swap.max", "%" PRId64, swap->v - limit->v);
}

static int put_memory(const struct sink *s, const struct spec_resources *r)
{
	int64_t limit = r->memory.limit.v;

	if (s->side == CGROUP2_HOST) {
		if (put_swap(s, r) < 0)
			return -1;
		if (limit > 0 && (uint64_t)limit <= INT64_MAX - s->overhead)
			limit += (int64_t)s->overhead;
	}
	if (r->memory.limit.set && put_limit(s, "memory.max", limit) < 0)
		return -1;
	return r->memory.reservation.set ? put_limit(s, "memory.low", r->memory.reservation.v) : 0;
}

/* ---- cpu ---- */

static int check_cpu(const struct sink *s, const struct spec_resources *r)
{
	const __typeof__(r->cpu) *c = &r->cpu;

	if (c->rt_runtime.set || c->rt_period.set)
		return error_set(s->err, 0,
				 "resources.cpu: realtimeRuntime and realtimePeriod are not possible: they are of "
				 "cgroup v1, and the container's kernel has v2");
	if (c->burst.set && c->quota.set && c->quota.v > 0 && c->burst.v > (uint64_t)c->quota.v)
		return error_set(s->err, 0, "resources.cpu.burst: is above the quota");
	return 0;
}

static int put_cpu(const struct sink *s, const struct spec_resources *r)
{
	const __typeof__(r->cpu) *c = &r->cpu;
	uint64_t period = c->period.set ? c->period.v : CPU_PERIOD_DEFAULT;

	if (c->idle.set && put(s, "cpu.idle", "%" PRId64, c->idle.v) < 0)
		return -1;
	/* an idle group has no weight: the kernel refuses to set one */
	if (c->shares.set && !(c->idle.set && c->idle.v == 1) &&
	    put(s, "cpu.weight", "%" PRIu64, cgroup2_cpu_weight(c->shares.v)) < 0)
		return -1;
	if (c->quota.set && c->quota.v > 0) {
		if (put(s, "cpu.max", "%" PRId64 " %" PRIu64, c->quota.v, period) < 0)
			return -1;
	} else if ((c->quota.set || c->period.set) && put(s, "cpu.max", "max %" PRIu64, period) < 0) {
		return -1;
	}
	if (c->burst.set && put(s, "cpu.max.burst", "%" PRIu64, c->burst.v) < 0)
		return -1;
	if (s->side == CGROUP2_GUEST)
		return 0;
	if (c->cpus && put(s, "cpuset.cpus", "%s", c->cpus) < 0)
		return -1;
	return c->mems ? put(s, "cpuset.mems", "%s", c->mems) : 0;
}

/* ---- io: host only ---- */

static int put_throttles(const struct sink *s, const struct spec_throttles *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct spec_throttle *e = &t->v[i];
		int r = e->rate == 0 ? put(s, "io.max", "%u:%u %s=max", e->major, e->minor, name)
				     : put(s, "io.max", "%u:%u %s=%" PRIu64, e->major, e->minor, name, e->rate);

		if (r < 0)
			return -1;
	}
	return 0;
}

static int put_io(const struct sink *s, const struct spec_resources *r)
{
	if (r->io.weight.set && put(s, "io.weight", "%" PRIu64, cgroup2_io_weight(r->io.weight.v)) < 0)
		return -1;
	for (size_t i = 0; i < r->io.nweight_devices; i++) {
		const struct spec_weight_device *w = &r->io.weight_devices[i];

		if (w->weight.set &&
		    put(s, "io.weight", "%u:%u %" PRIu64, w->major, w->minor, cgroup2_io_weight(w->weight.v)) < 0)
			return -1;
	}
	if (put_throttles(s, &r->io.rbps, "rbps") < 0 || put_throttles(s, &r->io.wbps, "wbps") < 0 ||
	    put_throttles(s, &r->io.riops, "riops") < 0 || put_throttles(s, &r->io.wiops, "wiops") < 0)
		return -1;
	return 0;
}

/* ---- pids, hugetlb: guest only ---- */

static int put_pids(const struct sink *s, const struct spec_resources *r)
{
	if (!r->pids.set)
		return 0;
	/* 0 is a legal limit: nothing but the process that is there already, which is what 1 says */
	return put_limit(s, "pids.max", r->pids.v == 0 ? 1 : r->pids.v);
}

/* Engines name every size of the host with 0; the guest has none of the others to use. */
static int check_hugepages(const struct sink *s, const struct spec_resources *r)
{
	for (size_t i = 0; i < r->nhugepages; i++)
		if (strcmp(r->hugepages[i].page_size, "2MB") != 0 && r->hugepages[i].limit != 0)
			return error_set(s->err, 0,
					 "resources.hugepageLimits: pages of %.16s are not possible: the container's "
					 "kernel has those of 2MB",
					 r->hugepages[i].page_size);
	return 0;
}

static int put_hugepages(const struct sink *s, const struct spec_resources *r)
{
	for (size_t i = 0; i < r->nhugepages; i++) {
		const struct spec_hugepage *h = &r->hugepages[i];

		if (strcmp(h->page_size, "2MB") != 0)
			continue;
		if (put(s, "hugetlb.2MB.rsvd.max", "%" PRIu64, h->limit) < 0 ||
		    put(s, "hugetlb.2MB.max", "%" PRIu64, h->limit) < 0)
			return -1;
	}
	return 0;
}

/* ---- unified ---- */

enum { TO_GUEST = 1, TO_HOST = 2 };

/* First match counts. */
static const struct {
	const char *prefix;
	int sides; /* 0: refused */
	const char *why;
} unified_rules[] = {
	{ "memory.swap.", TO_HOST, NULL },
	{ "memory.zswap.", TO_HOST, NULL },
	{ "memory.min", TO_GUEST | TO_HOST, NULL },
	{ "memory.low", TO_GUEST | TO_HOST, NULL },
	{ "memory.", TO_GUEST, NULL },
	{ "pids.", TO_GUEST, NULL },
	{ "hugetlb.2MB.", TO_GUEST, NULL },
	{ "hugetlb.", 0, "the container's kernel has huge pages of 2MB only" },
	{ "cpu.", TO_GUEST | TO_HOST, NULL },
	{ "cpuset.", TO_HOST, NULL },
	{ "io.", TO_HOST, NULL },
	{ "cgroup.max.", TO_GUEST, NULL },
	{ "cgroup.", 0, "the cgroup itself is the runtime's" },
	{ "rdma.", 0, "the container's kernel has no RDMA devices" },
	{ "misc.", 0, "the container's kernel has no such controller" },
	{ "", 0, "there is no such controller" },
};

static size_t unified_rule(const char *key)
{
	size_t k = 0;

	while (strncmp(key, unified_rules[k].prefix, strlen(unified_rules[k].prefix)) != 0)
		k++;
	return k;
}

static int check_unified(const struct sink *s, const struct spec_resources *r)
{
	for (size_t i = 0; i < r->unified.n; i++) {
		const struct spec_pair *u = &r->unified.v[i];
		size_t k = unified_rule(u->key);

		if (unified_rules[k].sides == 0)
			return error_set(s->err, 0, "resources.unified: %s is not possible: %s", u->key,
					 unified_rules[k].why);
	}
	return 0;
}

static int put_unified(const struct sink *s, const struct spec_resources *r)
{
	const int wanted = s->side == CGROUP2_GUEST ? TO_GUEST : TO_HOST;

	for (size_t i = 0; i < r->unified.n; i++) {
		const struct spec_pair *u = &r->unified.v[i];

		if ((unified_rules[unified_rule(u->key)].sides & wanted) &&
		    s->emit(s->ctx, u->key, u->value, s->err) < 0)
			return -1;
	}
	return 0;
}

int cgroup2_settings(const struct spec_resources *r, enum cgroup2_side side, uint64_t overhead, cgroup2_emit emit,
		     void *ctx, struct error *err)
{
	const struct sink s = { emit, ctx, err, side, overhead };

	if (r->nrdma)
		return error_set(err, 0, "resources.rdma: is not possible: the container's kernel has no RDMA devices");
	if (check_cpu(&s, r) < 0 || check_memory(&s, r) < 0 || check_hugepages(&s, r) < 0 || check_unified(&s, r) < 0)
		return -1;
	if (put_cpu(&s, r) < 0 || put_memory(&s, r) < 0)
		return -1;
	if (side == CGROUP2_HOST) {
		if (put_io(&s, r) < 0)
			return -1;
	} else if (put_pids(&s, r) < 0 || put_hugepages(&s, r) < 0) {
		return -1;
	}
	return put_unified(&s, r);
}
