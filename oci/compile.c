/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan compiler's frame: namespaces, names, sysctls, hooks, and the host plan's numbers. Which operation comes
 * where is decided here and nowhere else; the order is runc's.
 */
#include "oci/compile.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oci/compile_internal.h"
#include "oci/spec_internal.h"

#define WARNINGS_MAX 64
#define CPU_PERIOD_DEFAULT 100000u
#define VCPUS_MAX 254u

void compile_warn(struct compile *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (c->warnings.n >= WARNINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *s = text; *s; s++)
		if (iscntrl((unsigned char)*s))
			*s = ' ';
	strings_add(c->arena, &c->warnings, arena_strdup(c->arena, text));
}

/* ---- namespaces ---- */

static void namespace_op(struct compile *c, enum spec_ns_type type, const char *cid)
{
	const struct plan_ns v = { .clone_flag = spec_ns_kinds[type].clone_flag };

	plan_op_begin(&c->w, OP_NAMESPACE);
	plan_put(&c->w, &v, sizeof(v));
	plan_put_string(&c->w, cid);
	plan_op_end(&c->w);
}

/* Who owns the namespace @path in this VM: *cid, "" for a new one; -1 when it is not of this VM. */
static int namespace_owner(struct compile *c, enum spec_ns_type type, const char *path, const char **cid)
{
	const struct spec *spec = c->spec;

	if (c->in->namespace_owner)
		return c->in->namespace_owner(c->in->ctx, type, path, cid);
	if (c->in->joins_vm) {
		*cid = c->in->sandbox_cid;
		return 0;
	}
	/* pinned by the engine for a pod of which this is the first container; or ids that make the same again */
	if (!spec->pod.sandbox_id && !(type == NS_USER && spec->lin.uids.n && spec->lin.gids.n))
		return -1;
	*cid = "";
	return 0;
}

static int namespace_with_path(struct compile *c, enum spec_ns_type type, const char *path)
{
	const char *cid = NULL;

	if (type == NS_MOUNT || type == NS_TIME)
		return error_set(
			c->err, 0,
			"linux.namespaces: joining the %s namespace %.256s is not possible: it is of the host's "
			"kernel, and the container has its own",
			spec_ns_kinds[type].name, path);
	if (namespace_owner(c, type, path, &cid) < 0 || !cid)
		return error_set(c->err, 0,
				 "linux.namespaces: the %s namespace %.256s belongs to no container of the same VM; "
				 "containers share namespaces within a pod only",
				 spec_ns_kinds[type].name, path);
	if (type == NS_USER && cid[0] == '\0' && (!c->spec->lin.uids.n || !c->spec->lin.gids.n))
		return error_set(c->err, 0,
				 "linux.namespaces: the user namespace %.256s needs uidMappings and "
				 "gidMappings, because it is made again in the container's kernel",
				 path);
	namespace_op(c, type, cid);
	return 0;
}

static void idmap_ops(struct compile *c, const struct spec_idmaps *maps, uint32_t gid)
{
	for (size_t i = 0; i < maps->n; i++) {
		const struct plan_idmap v = {
			.gid = gid,
			.container_id = maps->v[i].container_id,
			.host_id = maps->v[i].host_id,
			.size = maps->v[i].size,
		};

		plan_op_data(&c->w, OP_IDMAP, &v, sizeof(v));
	}
}

static void timeoffset_op(struct compile *c, uint32_t clock, const struct spec_time_offset *o)
{
	const struct plan_timeoffset v = { .clock = clock, .sec = o->sec, .nsec = o->nsec };

	if (o->set)
		plan_op_data(&c->w, OP_TIMEOFFSET, &v, sizeof(v));
}

/*
 * The network is the VM's: its one network namespace holds the interfaces, so the guest makes none. On the host's side
 * there is always one of its own.
 */
static int network_plan(struct compile *c)
{
	const struct spec_namespace *net = &c->spec->lin.ns[NS_NETWORK];
	struct host_plan *h = c->host;

	if (c->spec->husk.network == HUSK_NET_NONE) {
		h->net = HOST_NET_NONE;
		return 0;
	}
	if (!net->present)
		return error_set(
			c->err, 0,
			"linux.namespaces: no network namespace is listed, which means the host's network "
			"(--network host): not possible because the container has its own kernel; use a bridge "
			"network, or the annotation run.husk.network=none for a container without network");
	h->net = net->path ? HOST_NET_PATH : HOST_NET_NEW;
	h->net_path = net->path;
	return 0;
}

static int namespace_ops(struct compile *c)
{
	const struct spec_linux *lin = &c->spec->lin;
	bool new_user = lin->ns[NS_USER].present;

	if (network_plan(c) < 0)
		return -1;
	for (int t = 0; t < NS_COUNT; t++) {
		const struct spec_namespace *ns = &lin->ns[t];

		if (t == NS_NETWORK)
			continue;
		if (ns->path) {
			if (namespace_with_path(c, (enum spec_ns_type)t, ns->path) < 0)
				return -1;
		} else if (ns->present || t == NS_MOUNT) { /* the mounts are always the container's own */
			namespace_op(c, (enum spec_ns_type)t, "");
		} else if (t == NS_PID || t == NS_IPC || t == NS_UTS) {
			compile_warn(
				c,
				"linux.namespaces: no %s namespace is listed: the container gets the VM's, not the "
				"host's",
				spec_ns_kinds[t].name);
		}
	}
	/* a joined one has its maps */
	if (new_user && lin->ns[NS_USER].path) {
		const char *cid = NULL;

		new_user = namespace_owner(c, NS_USER, lin->ns[NS_USER].path, &cid) == 0 && cid && cid[0] == '\0';
	}
	if (new_user) {
		idmap_ops(c, &lin->uids, 0);
		idmap_ops(c, &lin->gids, 1);
	}
	timeoffset_op(c, CLOCK_MONOTONIC, &lin->monotonic);
	timeoffset_op(c, CLOCK_BOOTTIME, &lin->boottime);
	return 0;
}

/* ---- names, sysctls, covered paths, hooks ---- */

static void string_ops(struct plan_writer *w, enum plan_opcode op, const struct strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		plan_op_strings(w, op, list->v[i], NULL);
}

static int sysctl_ops(struct compile *c)
{
	const struct spec_map *sysctl = &c->spec->lin.sysctl;

	for (size_t i = 0; i < sysctl->n; i++) {
		const char *name = sysctl->v[i].key;
		bool is_hostname = strcmp(name, "kernel.hostname") == 0 || strcmp(name, "kernel/hostname") == 0;
		bool is_domain = strcmp(name, "kernel.domainname") == 0 || strcmp(name, "kernel/domainname") == 0;

		/* as runc: two ways to say it that may contradict each other */
		if (is_domain && c->spec->domainname && strcmp(c->spec->domainname, sysctl->v[i].value) != 0)
			return error_set(c->err, 0, "linux.sysctl: kernel.domainname contradicts domainname");
		if (is_hostname)
			return error_set(c->err, 0, "linux.sysctl: kernel.hostname is not allowed: use hostname");
		plan_op_strings(&c->w, OP_SYSCTL, name, sysctl->v[i].value);
	}
	return 0;
}

static void hook_ops(struct compile *c)
{
	const struct spec_hooks *hooks = &c->spec->hooks[HOOK_START_CONTAINER];

	for (size_t i = 0; i < hooks->n; i++) {
		const struct spec_hook *h = &hooks->v[i];
		const struct plan_int timeout = { .value = h->timeout };

		plan_op_begin(&c->w, OP_HOOK);
		plan_put(&c->w, &timeout, sizeof(timeout));
		plan_put_string(&c->w, h->path);
		plan_put_list(&c->w, &h->args);
		plan_put_list(&c->w, &h->env);
		plan_put_string(&c->w, c->in->state_json ? c->in->state_json : "");
		plan_op_end(&c->w);
	}
}

/* ---- the host plan ---- */

/* ceil(quota / period), at most the CPUs of the cpuset; 0: nothing said. */
static uint32_t vcpus_wished(const struct spec *spec)
{
	const __typeof__(spec->lin.resources.cpu) *cpu = &spec->lin.resources.cpu;
	uint64_t quota = cpu->quota.set && cpu->quota.v > 0 ? (uint64_t)cpu->quota.v : 0;
	uint64_t period = cpu->period.set ? cpu->period.v : CPU_PERIOD_DEFAULT;
	uint64_t n, set = 0;

	if (!quota && spec->pod.sandbox_quota.set) {
		quota = (uint64_t)spec->pod.sandbox_quota.v;
		period = spec->pod.sandbox_period.set ? spec->pod.sandbox_period.v : CPU_PERIOD_DEFAULT;
	}
	if (spec->husk.vcpus.set)
		return spec->husk.vcpus.v;
	n = quota / period + (quota % period != 0);
	if (cpu->cpus)
		set = (uint64_t)cpulist_count(cpu->cpus);
	if (set && (n == 0 || n > set))
		n = set;
	return (uint32_t)(n > VCPUS_MAX ? VCPUS_MAX : n);
}

/* The limit, also when it is given as a v2 file; else what the engine announces for the whole pod. */
static uint64_t memory_limit(const struct spec *spec)
{
	const struct spec_resources *r = &spec->lin.resources;
	uint64_t limit = r->memory.limit.set && r->memory.limit.v > 0 ? (uint64_t)r->memory.limit.v : 0;

	for (size_t i = 0; i < r->unified.n; i++)
		if (strcmp(r->unified.v[i].key, "memory.max") == 0 && isdigit((unsigned char)r->unified.v[i].value[0]))
			limit = strtoull(r->unified.v[i].value, NULL, 10);
	if (!limit && spec->pod.sandbox_memory.set)
		limit = (uint64_t)spec->pod.sandbox_memory.v;
	return limit;
}

/* What the host must do and cannot is refused before anything is made. */
static int host_check(struct compile *c)
{
	const struct spec_linux *lin = &c->spec->lin;

	if (lin->rdt.set && !(c->in->host_serves & HOST_SERVES_RDT))
		return error_set(c->err, 0, "linux.intelRdt: is not possible on this host");
	if (lin->mempolicy.set && !(c->in->host_serves & HOST_SERVES_MEMPOLICY))
		return error_set(c->err, 0, "linux.memoryPolicy: is not possible on this host");
	if (lin->nnetdevs && !(c->in->host_serves & HOST_SERVES_NETDEVS))
		return error_set(c->err, 0,
				 "linux.netDevices: moving the host's interfaces is not possible here; use a "
				 "network of the engine");
	if (lin->nnetdevs && c->host->net == HOST_NET_NONE)
		return error_set(c->err, 0, "linux.netDevices: contradicts the annotation run.husk.network=none");
	return 0;
}

static void host_warnings(struct compile *c)
{
	const struct strings *first = &c->spec->warnings;
	size_t n = first->n + c->warnings.n;

	c->host->warn = arena_alloc(c->arena, n, sizeof(*c->host->warn));
	for (size_t i = 0; i < n; i++)
		c->host->warn[i] = arena_strdup(c->arena, i < first->n ? first->v[i] : c->warnings.v[i - first->n]);
	c->host->warnings = (uint32_t)n;
}

/* ---- the whole ---- */

static int container_ops(struct compile *c)
{
	const struct spec *spec = c->spec;

	if (cgroup_ops(c) < 0 || namespace_ops(c) < 0 || host_check(c) < 0 || rootfs_ops(c) < 0)
		return -1;
	if (spec->hostname)
		plan_op_strings(&c->w, OP_HOSTNAME, spec->hostname, NULL);
	if (spec->domainname)
		plan_op_strings(&c->w, OP_DOMAINNAME, spec->domainname, NULL);
	if (sysctl_ops(c) < 0)
		return -1;
	string_ops(&c->w, OP_READONLY, &spec->lin.readonly_paths);
	string_ops(&c->w, OP_MASK, &spec->lin.masked_paths);
	if (!spec->process)
		return 0;
	if (process_ops(&c->w, spec->process, spec, false, c->arena, c->err) < 0)
		return -1;
	hook_ops(c);
	return 0;
}

int compile_container(const struct spec *spec, const struct compile_input *in, struct buf *plan, struct host_plan *host,
		      struct error *err)
{
	struct compile c = { .spec = spec, .in = in, .host = host, .err = err };
	int r;

	memset(plan, 0, sizeof(*plan));
	memset(host, 0, sizeof(*host));
	c.arena = host->arena = arena_new();
	plan_begin(&c.w, PLAN_CONTAINER, in->cid);
	host->memory_limit = memory_limit(spec);
	host->vcpus = vcpus_wished(spec);
	resources_for_host(&spec->lin.resources, &host->resources);
	r = container_ops(&c);
	if (r == 0) {
		host_warnings(&c);
		r = plan_finish(&c.w, plan, err);
	} else {
		plan_discard(&c.w);
	}
	if (r < 0)
		host_plan_free(host);
	return r;
}

void host_plan_free(struct host_plan *h)
{
	arena_free(h->arena);
	memset(h, 0, sizeof(*h));
}
