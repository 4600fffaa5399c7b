/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits and device rules of the guest's cgroup, and which of the limits are the host's.
 */
#include <string.h>

#include "oci/cgroup2.h"
#include "oci/compile_internal.h"
#include "oci/devices_bpf.h"

static int write_emit(void *ctx, const char *file, const char *value, struct error *err)
{
	(void)err;
	plan_op_strings(ctx, OP_CGROUP_WRITE, file, value);
	return 0;
}

static int cgroup_writes(struct plan_writer *w, const struct spec_resources *r, struct error *err)
{
	return cgroup2_settings(r, CGROUP2_GUEST, 0, write_emit, w, err);
}

/*
 * What every container may use whatever its list says, as runc has it: making nodes, the standard devices, its
 * terminals. /dev/net/tun and others come from the list.
 */
static const struct spec_device_rule default_rules[] = {
	{ true, 'c', -1, -1, DEV_MKNOD },
	{ true, 'b', -1, -1, DEV_MKNOD },
	{ true, 'c', 1, 3, DEV_READ | DEV_WRITE | DEV_MKNOD },	  /* null */
	{ true, 'c', 1, 5, DEV_READ | DEV_WRITE | DEV_MKNOD },	  /* zero */
	{ true, 'c', 1, 7, DEV_READ | DEV_WRITE | DEV_MKNOD },	  /* full */
	{ true, 'c', 1, 8, DEV_READ | DEV_WRITE | DEV_MKNOD },	  /* random */
	{ true, 'c', 1, 9, DEV_READ | DEV_WRITE | DEV_MKNOD },	  /* urandom */
	{ true, 'c', 5, 0, DEV_READ | DEV_WRITE | DEV_MKNOD },	  /* tty */
	{ true, 'c', 5, 2, DEV_READ | DEV_WRITE | DEV_MKNOD },	  /* ptmx */
	{ true, 'c', 136, -1, DEV_READ | DEV_WRITE | DEV_MKNOD }, /* pts */
};

#define NDEFAULT (sizeof(default_rules) / sizeof(default_rules[0]))

static int devices_op(struct plan_writer *w, const struct spec_resources *r, struct arena *a, struct error *err)
{
	struct spec_device_rule *rules = arena_alloc(a, r->ndevices + NDEFAULT, sizeof(*rules));
	struct bpf_insn *insns;
	size_t count;
	int ret;

	if (r->ndevices)
		memcpy(rules, r->devices, r->ndevices * sizeof(*rules));
	memcpy(rules + r->ndevices, default_rules, sizeof(default_rules));
	ret = devices_bpf_compile(rules, r->ndevices + NDEFAULT, a, &insns, &count);
	if (ret < 0)
		return error_set(err, -ret, "linux.resources.devices: %zu rules", r->ndevices);
	if (ret == 0)
		plan_op_data(w, OP_CGROUP_DEVICES, insns, count * sizeof(*insns));
	return 0;
}

int cgroup_ops(struct compile *c)
{
	if (cgroup_writes(&c->w, &c->spec->lin.resources, c->err) < 0)
		return -1;
	return devices_op(&c->w, &c->spec->lin.resources, c->arena, c->err);
}

void resources_for_host(const struct spec_resources *all, struct spec_resources *host)
{
	*host = *all;
	memset(&host->pids, 0, sizeof(host->pids));
	host->hugepages = NULL;
	host->nhugepages = 0;
	host->devices_set = false;
	host->devices = NULL;
	host->ndevices = 0;
	memset(&host->warnings, 0, sizeof(host->warnings));
	host->arena = NULL;
}

int compile_update(const struct spec_resources *resources, const char *cid, struct buf *plan, struct error *err)
{
	struct plan_writer w;

	/* device rules stay: engines send an incomplete list along with each update, and runc skips it, too */
	memset(plan, 0, sizeof(*plan));
	plan_begin(&w, PLAN_UPDATE, cid);
	if (cgroup_writes(&w, resources, err) < 0) {
		plan_discard(&w);
		return -1;
	}
	return plan_finish(&w, plan, err);
}
