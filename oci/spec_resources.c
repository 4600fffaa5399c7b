/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources of config.json, which is also the whole document of update. Zero means unset wherever engines send
 * zero for "no limit given" (memory, CPU, weights).
 */
#include <ctype.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "oci/spec_internal.h"
#include "oci/spec_limits.h"

static void unset_zero_i64(struct opt_i64 *v)
{
	if (v->v == 0)
		v->set = false;
}

static void unset_zero_u64(struct opt_u64 *v)
{
	if (v->v == 0)
		v->set = false;
}

static int parse_memory(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	struct json *m = NULL;
	__typeof__(out->memory) *mem = &out->memory;
	struct {
		const char *key;
		struct opt_i64 *v;
	} sizes[] = {
		{ "limit", &mem->limit },   { "reservation", &mem->reservation }, { "swap", &mem->swap },
		{ "kernel", &mem->kernel }, { "kernelTCP", &mem->kernel_tcp },
	};

	if (json_get_object(resources, "memory", &m, p->err) < 0)
		return -1;
	if (!m)
		return 0;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (json_get_i64(m, sizes[i].key, -1, INT64_MAX, sizes[i].v, p->err) < 0)
			return -1;
		unset_zero_i64(sizes[i].v);
	}
	if (json_get_u64(m, "swappiness", &mem->swappiness, p->err) < 0 ||
	    json_get_opt_bool(m, "disableOOMKiller", &mem->disable_oom_killer, p->err) < 0 ||
	    json_get_opt_bool(m, "useHierarchy", &mem->use_hierarchy, p->err) < 0 ||
	    json_get_opt_bool(m, "checkBeforeUpdate", &mem->check_before_update, p->err) < 0)
		return -1;
	if (mem->swappiness.set && mem->swappiness.v > 100)
		return json_error(p->err, json_member(m, "swappiness"), "%llu is not from 0 to 100",
				  (unsigned long long)mem->swappiness.v);
	if (mem->kernel.set || mem->kernel_tcp.set)
		parse_warn(p, "%s: kernel and kernelTCP are ignored: cgroup v2 counts kernel memory in the limit",
			   json_path(p->arena, m));
	if (mem->disable_oom_killer.v)
		parse_warn(p, "%s: disableOOMKiller is ignored: cgroup v2 has no such switch", json_path(p->arena, m));
	return 0;
}

static int parse_cpu(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	struct json *c = NULL;
	__typeof__(out->cpu) *cpu = &out->cpu;

	if (json_get_object(resources, "cpu", &c, p->err) < 0)
		return -1;
	if (!c)
		return 0;
	if (json_get_u64(c, "shares", &cpu->shares, p->err) < 0 ||
	    json_get_i64(c, "quota", -1, INT64_MAX, &cpu->quota, p->err) < 0 ||
	    json_get_u64(c, "burst", &cpu->burst, p->err) < 0 || json_get_u64(c, "period", &cpu->period, p->err) < 0 ||
	    json_get_i64(c, "realtimeRuntime", INT64_MIN, INT64_MAX, &cpu->rt_runtime, p->err) < 0 ||
	    json_get_u64(c, "realtimePeriod", &cpu->rt_period, p->err) < 0 ||
	    json_get_i64(c, "idle", 0, 1, &cpu->idle, p->err) < 0 ||
	    json_get_string(c, "cpus", &cpu->cpus, p->err) < 0 || json_get_string(c, "mems", &cpu->mems, p->err) < 0)
		return -1;
	unset_zero_u64(&cpu->shares);
	unset_zero_u64(&cpu->burst);
	unset_zero_u64(&cpu->period);
	unset_zero_u64(&cpu->rt_period);
	unset_zero_i64(&cpu->quota);
	unset_zero_i64(&cpu->rt_runtime);
	if (cpu->cpus && cpu->cpus[0] == '\0')
		cpu->cpus = NULL;
	if (cpu->mems && cpu->mems[0] == '\0')
		cpu->mems = NULL;
	if (cpu->cpus && cpulist_count(cpu->cpus) < 1)
		return json_error(p->err, json_member(c, "cpus"), "\"%.64s\" is not a list of CPUs such as \"0-3,7\"",
				  cpu->cpus);
	if (cpu->mems && cpulist_count(cpu->mems) < 1)
		return json_error(p->err, json_member(c, "mems"), "\"%.64s\" is not a list of nodes such as \"0,1\"",
				  cpu->mems);
	return 0;
}

static int parse_dev_number(const struct json *node, const char *key, uint32_t max, uint32_t *out, struct error *err)
{
	struct opt_i64 v = { 0 };

	if (!json_member(node, key))
		return json_error(err, node, "%s is missing", key);
	if (json_get_i64(node, key, 0, max, &v, err) < 0)
		return -1;
	*out = (uint32_t)v.v;
	return 0;
}

static int parse_weight(struct parse *p, const struct json *node, const char *key, struct opt_u32 *out)
{
	if (json_get_u32(node, key, out, p->err) < 0)
		return -1;
	if (out->v == 0)
		out->set = false;
	if (out->set && (out->v < 10 || out->v > 1000))
		return json_error(p->err, json_member(node, key), "%u is not a weight from 10 to 1000", out->v);
	return 0;
}

static int parse_throttles(struct parse *p, const struct json *io, const char *key, struct spec_throttles *out)
{
	struct json *list = NULL;

	if (json_get_array(io, key, &list, p->err) < 0)
		return -1;
	if (!list)
		return 0;
	out->v = arena_alloc(p->arena, list->n, sizeof(*out->v));
	json_for_each(item, list)
	{
		struct spec_throttle *t = &out->v[out->n++];

		if (json_expect(item, JSON_OBJECT, p->err) < 0 ||
		    parse_dev_number(item, "major", DEV_MAJOR_MAX, &t->major, p->err) < 0 ||
		    parse_dev_number(item, "minor", DEV_MINOR_MAX, &t->minor, p->err) < 0 ||
		    json_need_u64(item, "rate", &t->rate, p->err) < 0)
			return -1;
	}
	return 0;
}

static int parse_weight_devices(struct parse *p, const struct json *io, struct spec_resources *out)
{
	struct json *list = NULL;

	if (json_get_array(io, "weightDevice", &list, p->err) < 0)
		return -1;
	if (!list)
		return 0;
	out->io.weight_devices = arena_alloc(p->arena, list->n, sizeof(*out->io.weight_devices));
	json_for_each(item, list)
	{
		struct spec_weight_device *w = &out->io.weight_devices[out->io.nweight_devices++];

		if (json_expect(item, JSON_OBJECT, p->err) < 0 ||
		    parse_dev_number(item, "major", DEV_MAJOR_MAX, &w->major, p->err) < 0 ||
		    parse_dev_number(item, "minor", DEV_MINOR_MAX, &w->minor, p->err) < 0 ||
		    parse_weight(p, item, "weight", &w->weight) < 0 ||
		    parse_weight(p, item, "leafWeight", &w->leaf_weight) < 0)
			return -1;
		if (!w->weight.set && !w->leaf_weight.set)
			return json_error(p->err, item, "has neither weight nor leafWeight");
	}
	return 0;
}

static int parse_io(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	struct json *io = NULL;

	if (json_get_object(resources, "blockIO", &io, p->err) < 0)
		return -1;
	if (!io)
		return 0;
	if (parse_weight(p, io, "weight", &out->io.weight) < 0 ||
	    parse_weight(p, io, "leafWeight", &out->io.leaf_weight) < 0 || parse_weight_devices(p, io, out) < 0 ||
	    parse_throttles(p, io, "throttleReadBpsDevice", &out->io.rbps) < 0 ||
	    parse_throttles(p, io, "throttleWriteBpsDevice", &out->io.wbps) < 0 ||
	    parse_throttles(p, io, "throttleReadIOPSDevice", &out->io.riops) < 0 ||
	    parse_throttles(p, io, "throttleWriteIOPSDevice", &out->io.wiops) < 0)
		return -1;
	return 0;
}

static bool page_size_valid(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	return digits > 0 && digits < 10 && s[0] != '0' &&
	       (strcmp(s + digits, "KB") == 0 || strcmp(s + digits, "MB") == 0 || strcmp(s + digits, "GB") == 0);
}

static int parse_hugepages(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	struct json *list = NULL;

	if (json_get_array(resources, "hugepageLimits", &list, p->err) < 0)
		return -1;
	if (!list)
		return 0;
	out->hugepages = arena_alloc(p->arena, list->n, sizeof(*out->hugepages));
	json_for_each(item, list)
	{
		struct spec_hugepage *h = &out->hugepages[out->nhugepages++];

		if (json_expect(item, JSON_OBJECT, p->err) < 0 ||
		    json_need_string(item, "pageSize", &h->page_size, p->err) < 0 ||
		    json_need_u64(item, "limit", &h->limit, p->err) < 0)
			return -1;
		if (!page_size_valid(h->page_size))
			return json_error(p->err, item, "pageSize \"%.32s\" is not of the form 2MB", h->page_size);
	}
	return 0;
}

static int parse_network(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	struct json *net = NULL, *list = NULL;

	if (json_get_object(resources, "network", &net, p->err) < 0)
		return -1;
	if (!net)
		return 0;
	if (json_get_u32(net, "classID", &out->net_classid, p->err) < 0 ||
	    json_get_array(net, "priorities", &list, p->err) < 0)
		return -1;
	if (!list)
		return 0;
	out->netprios = arena_alloc(p->arena, list->n, sizeof(*out->netprios));
	json_for_each(item, list)
	{
		struct spec_netprio *n = &out->netprios[out->nnetprios++];

		if (json_expect(item, JSON_OBJECT, p->err) < 0 ||
		    json_need_string(item, "name", &n->name, p->err) < 0 ||
		    json_need_u32(item, "priority", &n->priority, p->err) < 0)
			return -1;
		if (!ifname_valid(n->name))
			return json_error(p->err, item, "\"%.32s\" is not an interface name", n->name);
	}
	return 0;
}

static int parse_rdma(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	struct json *map = NULL;

	if (json_get_object(resources, "rdma", &map, p->err) < 0)
		return -1;
	if (!map)
		return 0;
	out->rdma = arena_alloc(p->arena, map->n, sizeof(*out->rdma));
	json_for_each(item, map)
	{
		struct spec_rdma *r = &out->rdma[out->nrdma++];

		r->device = item->key;
		if (json_expect(item, JSON_OBJECT, p->err) < 0 ||
		    json_get_u32(item, "hcaHandles", &r->handles, p->err) < 0 ||
		    json_get_u32(item, "hcaObjects", &r->objects, p->err) < 0)
			return -1;
		if (!r->handles.set && !r->objects.set)
			return json_error(p->err, item, "has neither hcaHandles nor hcaObjects");
	}
	return 0;
}

/* "memory.high": a controller's name, a dot, and no way out of the cgroup's directory. */
static bool cgroup_file_valid(const char *name)
{
	if (!islower((unsigned char)name[0]) || !strchr(name, '.') || strlen(name) > 64)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '.' && *name != '_' && *name != '-')
			return false;
	return true;
}

static int parse_unified(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	if (json_get_map(p->arena, resources, "unified", &out->unified, p->err) < 0)
		return -1;
	for (size_t i = 0; i < out->unified.n; i++)
		if (!cgroup_file_valid(out->unified.v[i].key))
			return json_error(p->err, json_member(resources, "unified"),
					  "\"%.64s\" is not the name of a cgroup file", out->unified.v[i].key);
	return 0;
}

static int parse_access(const struct json *rule, const char *text, uint32_t *out, struct error *err)
{
	for (const char *c = text; *c; c++) {
		if (*c == 'r')
			*out |= DEV_READ;
		else if (*c == 'w')
			*out |= DEV_WRITE;
		else if (*c == 'm')
			*out |= DEV_MKNOD;
		else
			return json_error(err, rule, "access \"%.16s\" is not made of r, w and m", text);
	}
	return 0;
}

static int parse_device_rule(struct parse *p, const struct json *rule, struct spec_device_rule *out)
{
	const char *type = "a", *access = "rwm";
	struct opt_i64 major = { true, -1 }, minor = { true, -1 };

	if (json_expect(rule, JSON_OBJECT, p->err) < 0 || json_get_bool(rule, "allow", &out->allow, p->err) < 0 ||
	    json_get_string(rule, "type", &type, p->err) < 0 || json_get_string(rule, "access", &access, p->err) < 0 ||
	    json_get_i64(rule, "major", -1, DEV_MAJOR_MAX, &major, p->err) < 0 ||
	    json_get_i64(rule, "minor", -1, DEV_MINOR_MAX, &minor, p->err) < 0)
		return -1;
	if (type[0] == '\0')
		type = "a";
	if (strlen(type) != 1 || !strchr("abc", type[0]))
		return json_error(p->err, rule, "type \"%.16s\" is not one of a, b, c", type);
	if (access[0] == '\0')
		access = "rwm";
	if (parse_access(rule, access, &out->access, p->err) < 0)
		return -1;
	out->type = type[0];
	out->major = major.v;
	out->minor = minor.v;
	return 0;
}

static int parse_device_rules(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	struct json *list = NULL;

	if (json_get_array(resources, "devices", &list, p->err) < 0)
		return -1;
	if (!list)
		return 0;
	out->devices_set = true;
	out->devices = arena_alloc(p->arena, list->n, sizeof(*out->devices));
	json_for_each(rule, list) if (parse_device_rule(p, rule, &out->devices[out->ndevices++]) < 0) return -1;
	return 0;
}

static int parse_pids(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	struct json *pids = NULL;

	if (json_get_object(resources, "pids", &pids, p->err) < 0)
		return -1;
	return pids ? json_get_i64(pids, "limit", INT64_MIN, INT64_MAX, &out->pids, p->err) : 0;
}

int parse_resources(struct parse *p, const struct json *resources, struct spec_resources *out)
{
	if (parse_memory(p, resources, out) < 0 || parse_cpu(p, resources, out) < 0 ||
	    parse_pids(p, resources, out) < 0 || parse_io(p, resources, out) < 0 ||
	    parse_hugepages(p, resources, out) < 0 || parse_network(p, resources, out) < 0 ||
	    parse_rdma(p, resources, out) < 0 || parse_unified(p, resources, out) < 0 ||
	    parse_device_rules(p, resources, out) < 0)
		return -1;
	return 0;
}
