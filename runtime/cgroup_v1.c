/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup v1: one directory in each hierarchy, and the files of host-side limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "mountinfo.h"
#include "util.h"

struct hierarchies {
	char **out;
	unsigned int n;
};

static bool add_hierarchy(void *ctx, const struct mountinfo *m)
{
	struct hierarchies *h = ctx;

	if (strcmp(m->type, "cgroup") != 0)
		return true;
	for (unsigned int i = 0; i < h->n; i++)
		if (!strcmp(h->out[i], m->point))
			return true;
	h->out[h->n++] = xstrdup(m->point);
	return h->n < CGROUP_HIERARCHIES;
}

unsigned int cgroup_v1_mounts(char **out)
{
	struct hierarchies h = { .out = out };

	mountinfo_each(add_hierarchy, &h);
	return h.n;
}

/* A new cpuset is empty, and an empty one takes no process. */
static void cpuset_inherit(const char *dir, const char *file)
{
	CLEAN_FREE char *own = xasprintf("%s/%s", dir, file);
	CLEAN_FREE char *above = xasprintf("%s/../%s", dir, file);
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, own, 4096, NULL);
	CLEAN_FREE char *value = NULL;

	if (!text || (*text && *text != '\n'))
		return;
	value = file_read_at(AT_FDCWD, above, 4096, NULL);
	if (value)
		file_write_at(AT_FDCWD, own, value);
}

int cgroup_v1_mkdir(const char *mount, const char *path, bool *made)
{
	CLEAN_FREE char *dir = xasprintf("%s%s", mount, path);
	char *p = dir + strlen(mount);

	*made = false;
	while (*p == '/') {
		char *end = p + 1 + strcspn(p + 1, "/");
		char c = *end;

		*end = '\0';
		if (mkdir(dir, 0755) == 0)
			*made = true;
		else if (errno != EEXIST)
			return -errno;
		else
			*made = false;
		cpuset_inherit(dir, "cpuset.cpus");
		cpuset_inherit(dir, "cpuset.mems");
		*end = c;
		p = end;
	}
	return 0;
}

/* Write to the hierarchy that has this file. A limit whose controller is not there is an error. */
static int v1_set(const struct cgroup *cg, const char *file, const char *value, struct error *err)
{
	int rc = -ENOENT;

	for (unsigned int i = 0; i < cg->ndirs && rc == -ENOENT; i++) {
		CLEAN_FREE char *name = xasprintf("%s/%s", cg->dirs[i], file);

		rc = file_write_at(AT_FDCWD, name, value);
		if (rc < 0 && rc != -ENOENT)
			error_set(err, -rc, "cannot write \"%s\" to %s", value, name);
	}
	if (rc == -ENOENT)
		error_set(err, 0, "cannot set %s = %s: no cgroup v1 hierarchy has that file", file, value);
	return rc < 0 ? -1 : 0;
}

static int v1_number(const struct cgroup *cg, const char *file, int64_t value, struct error *err)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	return v1_set(cg, file, text, err);
}

static int64_t with_overhead(int64_t limit, uint64_t overhead)
{
	if (limit < 0)
		return -1;
	return limit > INT64_MAX - (int64_t)overhead ? INT64_MAX : limit + (int64_t)overhead;
}

static int v1_memory(const struct cgroup *cg, const struct spec_resources *r, uint64_t overhead, struct error *err)
{
	static const char limit_file[] = "memory.limit_in_bytes", swap_file[] = "memory.memsw.limit_in_bytes";
	int64_t limit = with_overhead(r->memory.limit.v, overhead), swap = with_overhead(r->memory.swap.v, overhead);
	bool swap_first = false;

	if (r->memory.limit.set && r->memory.swap.set) {
		/* the kernel keeps limit <= memory+swap at every step: when it grows, the sum goes first */
		struct error ignored;

		swap_first = v1_number(cg, limit_file, limit, &ignored) < 0;
		if (swap_first && v1_number(cg, swap_file, swap, err) < 0)
			return -1;
	}
	if (r->memory.limit.set && v1_number(cg, limit_file, limit, err) < 0)
		return -1;
	if (r->memory.swap.set && !swap_first && v1_number(cg, swap_file, swap, err) < 0)
		return -1;
	if (r->memory.reservation.set && v1_number(cg, "memory.soft_limit_in_bytes", r->memory.reservation.v, err) < 0)
		return -1;
	if (r->memory.swappiness.set && v1_number(cg, "memory.swappiness", (int64_t)r->memory.swappiness.v, err) < 0)
		return -1;
	return 0;
}

/* The kernel compares quota / period with the parent's at every step: both may fit, but with the quota first only. */
static int v1_cpu_quota(const struct cgroup *cg, const struct spec_resources *r, struct error *err)
{
	bool period = r->cpu.period.set, quota = r->cpu.quota.set;
	struct error ignored;

	if (period && v1_number(cg, "cpu.cfs_period_us", (int64_t)r->cpu.period.v, quota ? &ignored : err) == 0)
		period = false;
	else if (period && !quota)
		return -1;
	if (quota && v1_number(cg, "cpu.cfs_quota_us", r->cpu.quota.v, err) < 0)
		return -1;
	return period ? v1_number(cg, "cpu.cfs_period_us", (int64_t)r->cpu.period.v, err) : 0;
}

static int v1_cpu(const struct cgroup *cg, const struct spec_resources *r, struct error *err)
{
	if (r->cpu.shares.set && v1_number(cg, "cpu.shares", (int64_t)r->cpu.shares.v, err) < 0)
		return -1;
	if (v1_cpu_quota(cg, r, err) < 0)
		return -1;
	if (r->cpu.burst.set && v1_number(cg, "cpu.cfs_burst_us", (int64_t)r->cpu.burst.v, err) < 0)
		return -1;
	if (r->cpu.cpus && v1_set(cg, "cpuset.cpus", r->cpu.cpus, err) < 0)
		return -1;
	if (r->cpu.mems && v1_set(cg, "cpuset.mems", r->cpu.mems, err) < 0)
		return -1;
	return 0;
}

static int v1_throttles(const struct cgroup *cg, const char *file, const struct spec_throttles *t, struct error *err)
{
	for (size_t i = 0; i < t->n; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%u:%u %" PRIu64, t->v[i].major, t->v[i].minor, t->v[i].rate);
		if (v1_set(cg, file, text, err) < 0)
			return -1;
	}
	return 0;
}

static int v1_io(const struct cgroup *cg, const struct spec_resources *r, struct error *err)
{
	struct error ignored;

	/* cfq's file, or bfq's where that scheduler took its place */
	if (r->io.weight.set && v1_number(cg, "blkio.weight", r->io.weight.v, &ignored) < 0 &&
	    v1_number(cg, "blkio.bfq.weight", r->io.weight.v, err) < 0)
		return -1;
	if (v1_throttles(cg, "blkio.throttle.read_bps_device", &r->io.rbps, err) < 0 ||
	    v1_throttles(cg, "blkio.throttle.write_bps_device", &r->io.wbps, err) < 0 ||
	    v1_throttles(cg, "blkio.throttle.read_iops_device", &r->io.riops, err) < 0 ||
	    v1_throttles(cg, "blkio.throttle.write_iops_device", &r->io.wiops, err) < 0)
		return -1;
	return 0;
}

int cgroup_v1_apply(const struct cgroup *cg, const struct spec_resources *r, uint64_t overhead, struct error *err)
{
	if (v1_memory(cg, r, overhead, err) < 0 || v1_cpu(cg, r, err) < 0 || v1_io(cg, r, err) < 0)
		return -1;
	if (r->net_classid.set && v1_number(cg, "net_cls.classid", r->net_classid.v, err) < 0)
		return -1;
	for (size_t i = 0; i < r->nnetprios; i++) {
		CLEAN_FREE char *text = xasprintf("%s %u", r->netprios[i].name, r->netprios[i].priority);

		if (v1_set(cg, "net_prio.ifpriomap", text, err) < 0)
			return -1;
	}
	return 0;
}
