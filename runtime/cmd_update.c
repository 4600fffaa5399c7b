/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk update: change limits of a running container, in the guest (memory, pids, cpu, devices) and on the host
 * (cpu, cpuset, I/O; memory stays what the VM was made with). Members that are absent stay unchanged.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../oci/compile.h"
#include "cgroup.h"
#include "guest_stats.h"
#include "husk.h"
#include "options.h"
#include "size_parse.h"
#include "util.h"
#include "vm.h"
#include "vm_size.h"
#include "vmm.h"

#define LOCK_MS 10000
#define UPDATE_NS (10ull * 1000000000u)

struct update_options {
	const char *resources;
	const char *blkio_weight, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_idle;
	const char *cpu_rt_period, *cpu_rt_runtime, *cpuset_cpus, *cpuset_mems;
	const char *memory, *memory_reservation, *memory_swap, *pids_limit;
	const char *l3, *mem_bw;
};

static int number(const char *flag, const char *text, int64_t min, int64_t max, bool *set, int64_t *out,
		  struct error *err)
{
	if (!text)
		return 0;
	if (!parse_i64(text, min, max, out))
		return error_set(err, 0, "--%s %s: expected a number from %" PRId64 " to %" PRId64, flag, text, min,
				 max);
	*set = true;
	return 0;
}

static int unsigned_number(const char *flag, const char *text, struct opt_u64 *out, struct error *err)
{
	int64_t v = 0;

	if (number(flag, text, 0, INT64_MAX, &out->set, &v, err) < 0)
		return -1;
	if (text)
		out->v = (uint64_t)v;
	return 0;
}

static int size(const char *flag, const char *text, struct opt_i64 *out, struct error *err)
{
	if (!text)
		return 0;
	if (!size_parse(text, &out->v))
		return error_set(err, 0, "--%s %s: expected bytes, such as 67108864, 64M or -1", flag, text);
	out->set = true;
	return 0;
}

static int from_flags(const struct update_options *o, struct spec_resources *r, struct error *err)
{
	int64_t weight = 0;

	if (o->l3 || o->mem_bw)
		return error_set(err, 0, "cache and memory bandwidth classes cannot be changed while the VM runs");
	if (size("memory", o->memory, &r->memory.limit, err) < 0 ||
	    size("memory-reservation", o->memory_reservation, &r->memory.reservation, err) < 0 ||
	    size("memory-swap", o->memory_swap, &r->memory.swap, err) < 0 ||
	    number("pids-limit", o->pids_limit, -1, INT32_MAX, &r->pids.set, &r->pids.v, err) < 0 ||
	    number("cpu-quota", o->cpu_quota, -1, INT64_MAX, &r->cpu.quota.set, &r->cpu.quota.v, err) < 0 ||
	    number("cpu-idle", o->cpu_idle, 0, 1, &r->cpu.idle.set, &r->cpu.idle.v, err) < 0 ||
	    number("cpu-rt-runtime", o->cpu_rt_runtime, -1, INT64_MAX, &r->cpu.rt_runtime.set, &r->cpu.rt_runtime.v,
		   err) < 0 ||
	    unsigned_number("cpu-period", o->cpu_period, &r->cpu.period, err) < 0 ||
	    unsigned_number("cpu-rt-period", o->cpu_rt_period, &r->cpu.rt_period, err) < 0 ||
	    unsigned_number("cpu-burst", o->cpu_burst, &r->cpu.burst, err) < 0 ||
	    unsigned_number("cpu-share", o->cpu_share, &r->cpu.shares, err) < 0 ||
	    number("blkio-weight", o->blkio_weight, 10, 1000, &r->io.weight.set, &weight, err) < 0)
		return -1;
	r->io.weight.v = (uint32_t)weight;
	r->cpu.cpus = o->cpuset_cpus;
	r->cpu.mems = o->cpuset_mems;
	return 0;
}

static int vm_status(const struct container *c, struct ctl_status *st, struct error *err)
{
	CLEAN_FREE char *path = vm_socket_path(c);
	CLEAN_FD int fd = unix_connect(path);
	int rc = fd < 0 ? fd : ctl_request(fd, CTL_STATUS, 0, NULL, 0, NULL, 0, st, sizeof(*st), mono_ns() + UPDATE_NS);

	if (rc >= 0 && (size_t)rc < sizeof(*st))
		rc = -EPROTO;
	return rc < 0 ? error_set(err, -rc, "cannot ask the VM for its size") : 0;
}

/* Bring as many vCPUs on line as the new quota can use. */
static int update_vcpus(struct session *s, const struct spec_resources *r, uint32_t have, uint64_t deadline,
			struct error *err)
{
	uint64_t period = r->cpu.period.set ? r->cpu.period.v : 100000;
	uint32_t n = have;

	if (!r->cpu.quota.set || !period)
		return 0;
	if (r->cpu.quota.v > 0) {
		uint64_t want = ((uint64_t)r->cpu.quota.v - 1) / period + 1;

		n = want < have ? (uint32_t)want : have;
	}
	return session_request(s, WIRE_CPUS, &n, sizeof(n), deadline, NULL, err);
}

/*
 * memory.checkBeforeUpdate, of this document or else of config.json: a limit below what is in use is refused, where the
 * guest's kernel would reclaim and then kill. As in runc, a use that grows meanwhile is not seen.
 */
static int check_use(const struct container *c, struct session *s, const struct spec_resources *r, uint64_t deadline,
		     struct error *err)
{
	struct opt_bool wanted = r->memory.check_before_update;
	struct guest_stats *g;
	uint64_t used;

	if (!r->memory.limit.set || r->memory.limit.v <= 0)
		return 0;
	if (!wanted.set) {
		struct spec *spec = NULL;

		if (container_spec(c, &spec, err) < 0)
			return -1;
		wanted = spec->lin.resources.memory.check_before_update;
		spec_free(spec);
	}
	if (!wanted.set || !wanted.v)
		return 0;
	g = guest_stats_read(s, c->id, deadline, err);
	if (!g)
		return -1;
	used = guest_stats_number(g, "memory.current");
	guest_stats_free(g);
	if ((uint64_t)r->memory.limit.v > used)
		return 0;
	return error_set(err, 0,
			 "memory limit of %" PRId64 " bytes refused (checkBeforeUpdate): %" PRIu64
			 " bytes are in use; free some, or take a larger limit",
			 r->memory.limit.v, used);
}

/* The host's share of new limits: the limit is the VM's RAM and what surrounds it, whatever the container may use. */
static int apply_on_host(const struct container *c, const struct spec_resources *r, uint64_t overhead,
			 struct error *err)
{
	struct spec_resources host;
	struct cgroup cg;
	int rc;

	resources_for_host(r, &host);
	if (c->state->systemd_unit && cgroup_systemd_set(c->state->systemd_unit, &host, overhead, err) < 0)
		return -1;
	cgroup_from_dirs(&cg, &c->state->cgroups);
	rc = cgroup_apply(&cg, &host, overhead, err);
	cgroup_free(&cg);
	return rc;
}

/* More RAM for the VM, so that a larger limit means something. First the host's limit: pages need their own. */
static int grow(const struct container *c, const struct spec_resources *r, uint64_t limit, struct ctl_status *st,
		struct error *err)
{
	uint64_t mib = ((limit - 1) >> 20) + 1 + VM_GUEST_EXTRA_MIB, had = st->ram_bytes;
	CLEAN_FREE char *path = vm_socket_path(c);
	CLEAN_FD int fd = -1;
	int rc;

	st->ram_bytes = mib << 20;
	if (apply_on_host(c, r, st->ram_bytes + ((uint64_t)VM_HOST_EXTRA_MIB << 20) - limit, err) < 0)
		return -1;
	fd = unix_connect(path);
	rc = fd < 0 ? fd : ctl_request(fd, CTL_MEMORY, (uint32_t)mib, NULL, 0, NULL, 0, NULL, 0, mono_ns() + UPDATE_NS);
	if (rc == -ENOSPC)
		return error_set(err, 0,
				 "memory limit of %" PRIu64 " MiB: the VM has %" PRIu64
				 " MiB and cannot grow so far; set the annotation run.husk.memory at create",
				 limit >> 20, had >> 20);
	return rc < 0 ? error_set(err, -rc, "cannot give the VM more memory") : 0;
}

static int apply(struct container *c, const struct spec_resources *r, struct error *err)
{
	uint64_t deadline = mono_ns() + UPDATE_NS, extra = (uint64_t)VM_HOST_EXTRA_MIB << 20, limit;
	struct ctl_status st = { 0 };
	struct session *s;
	struct buf plan = { 0 };
	int rc;

	if (vm_status(c, &st, err) < 0)
		return -1;
	limit = r->memory.limit.set && r->memory.limit.v > 0 ? (uint64_t)r->memory.limit.v : 0;
	if (limit > st.ram_bytes && grow(c, r, limit, &st, err) < 0)
		return -1;
	if (compile_update(r, c->id, &plan, err) < 0)
		return -1;
	s = vm_session(c, deadline, err);
	if (!s) {
		buf_free(&plan);
		return -1;
	}
	rc = check_use(c, s, r, deadline, err);
	if (!rc) {
		session_put_plan(s, plan.data, plan.len);
		rc = session_request(s, WIRE_UPDATE, NULL, 0, deadline, NULL, err);
	}
	if (!rc)
		rc = update_vcpus(s, r, st.vcpus, deadline, err);
	session_free(s);
	buf_free(&plan);
	if (rc < 0)
		return -1;

	return apply_on_host(c, r, st.ram_bytes + extra - limit, err);
}

static int update(const struct globals *g, const struct update_options *o, const char *id, struct error *err)
{
	struct spec_resources flags = { 0 }, *file = NULL;
	struct container c;
	int rc;

	rc = container_open(&c, g->root, id, false, err);
	if (!rc)
		rc = container_lock(&c, LOCK_MS, err);
	if (!rc && container_status(&c) == STATUS_STOPPED)
		rc = error_set(err, 0, "container not running");
	if (!rc && o->resources)
		rc = strcmp(o->resources, "-") ? resources_load_file(o->resources, &file, err)
					       : resources_load_fd(0, &file, err);
	else if (!rc)
		rc = from_flags(o, &flags, err);
	if (!rc)
		rc = apply(&c, file ? file : &flags, err);
	resources_free(file);
	container_close(&c);
	return rc;
}

int cmd_update(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options] ID";
	struct update_options o = { 0 };
	const struct option table[] = {
		{ "resources", 'r', OPT_STRING, &o.resources, "FILE",
		  "JSON of linux.resources; - for stdin; instead of the others" },
		{ "memory", 0, OPT_STRING, &o.memory, "BYTES", "memory limit" },
		{ "memory-reservation", 0, OPT_STRING, &o.memory_reservation, "BYTES", "soft limit" },
		{ "memory-swap", 0, OPT_STRING, &o.memory_swap, "BYTES", "memory and swap together; -1: unlimited" },
		{ "pids-limit", 0, OPT_STRING, &o.pids_limit, "N", "processes; -1: unlimited" },
		{ "cpu-period", 0, OPT_STRING, &o.cpu_period, "US", "CFS period" },
		{ "cpu-quota", 0, OPT_STRING, &o.cpu_quota, "US", "CPU time in each period; -1: unlimited" },
		{ "cpu-burst", 0, OPT_STRING, &o.cpu_burst, "US", "unused quota that may be kept" },
		{ "cpu-share", 0, OPT_STRING, &o.cpu_share, "N", "weight, 2..262144" },
		{ "cpu-idle", 0, OPT_STRING, &o.cpu_idle, "N", "1: SCHED_IDLE" },
		{ "cpu-rt-period", 0, OPT_STRING, &o.cpu_rt_period, "US", "realtime period" },
		{ "cpu-rt-runtime", 0, OPT_STRING, &o.cpu_rt_runtime, "US", "realtime CPU time in each period" },
		{ "cpuset-cpus", 0, OPT_STRING, &o.cpuset_cpus, "LIST", "CPUs of the host" },
		{ "cpuset-mems", 0, OPT_STRING, &o.cpuset_mems, "LIST", "memory nodes of the host" },
		{ "blkio-weight", 0, OPT_STRING, &o.blkio_weight, "N", "10..1000" },
		{ "kernel-memory", 0, OPT_STRING, NULL, NULL, NULL },
		{ "kernel-memory-tcp", 0, OPT_STRING, NULL, NULL, NULL },
		{ "l3-cache-schema", 0, OPT_STRING, &o.l3, NULL, NULL },
		{ "mem-bw-schema", 0, OPT_STRING, &o.mem_bw, NULL, NULL },
		{ 0 },
	};
	int first;

	first = verb_options(table, usage, "Change a container's resource limits.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	return update(g, &o, argv[first], err);
}
