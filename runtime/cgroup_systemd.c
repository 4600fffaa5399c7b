/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The systemd cgroup driver: the container's cgroup is a transient scope (or slice) that systemd's manager makes and
 * removes. Limits are given to systemd, which would undo what it does not know, and then written to the files as with
 * the other driver, because systemd has no word for some of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "dbus.h"
#include "log.h"
#include "util.h"

#define JOB_NS (30ull * 1000000000u)
#define STOP_NS (2ull * 1000000000u) /* engines cut a forced delete off after five seconds */
#define UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"
#define NO_SUCH_UNIT "org.freedesktop.systemd1.NoSuchUnit"
#define ANNOTATION "org.systemd.property."

/* The manager of the system, or of the user when not root. */
static int manager_open(struct dbus *d, uint64_t deadline, struct error *err)
{
	const char *dir = secure_getenv("XDG_RUNTIME_DIR");
	CLEAN_FREE char *path = NULL;

	if (geteuid() == 0)
		path = xstrdup("/run/systemd/private");
	else if (dir && *dir == '/')
		path = xasprintf("%s/systemd/private", dir);
	else
		path = xasprintf("/run/user/%u/systemd/private", (unsigned int)geteuid());
	return dbus_open(d, path, deadline, err);
}

/* ---- properties: elements (sv) of an a(sv) ---- */

static void property(struct dbus_body *b, const char *name, const char *signature)
{
	dbus_align(b, 8);
	dbus_put_string(b, name);
	dbus_put_signature(b, signature);
}

static void property_string(struct dbus_body *b, const char *name, const char *value)
{
	property(b, name, "s");
	dbus_put_string(b, value);
}

static void property_bool(struct dbus_body *b, const char *name, bool value)
{
	property(b, name, "b");
	dbus_put_u32(b, value);
}

static void property_u64(struct dbus_body *b, const char *name, uint64_t value)
{
	property(b, name, "t");
	dbus_put_u64(b, value);
}

/* "0-2,5" as systemd takes it: a bit mask, the lowest byte first. */
static void property_mask(struct dbus_body *b, const char *name, const char *list)
{
	uint8_t mask[128] = { 0 };
	size_t used = 0, mark;

	for (const char *s = list; s && *s;) {
		char *end;
		unsigned long from = strtoul(s, &end, 10), to = from;

		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (; from <= to && from < 8 * sizeof(mask); from++) {
			mask[from / 8] |= (uint8_t)(1u << from % 8);
			used = from / 8 + 1 > used ? from / 8 + 1 : used;
		}
		s = *end == ',' ? end + 1 : NULL;
	}
	property(b, name, "ay");
	mark = dbus_array_begin(b, 1);
	for (size_t i = 0; i < used; i++)
		dbus_put_u8(b, mask[i]);
	dbus_array_end(b, mark, 1);
}

static uint64_t bytes_or_all(int64_t v, uint64_t overhead)
{
	if (v < 0)
		return UINT64_MAX;
	return (uint64_t)v + overhead;
}

static void put_memory(struct dbus_body *b, const struct spec_resources *r, uint64_t overhead)
{
	bool v2 = cgroup_host_mode() == CGROUP_V2;

	if (r->memory.limit.set)
		property_u64(b, v2 ? "MemoryMax" : "MemoryLimit", bytes_or_all(r->memory.limit.v, overhead));
	if (v2 && r->memory.reservation.set)
		property_u64(b, "MemoryLow", bytes_or_all(r->memory.reservation.v, 0));
	if (v2 && r->memory.swap.set)
		property_u64(b, "MemorySwapMax",
			     r->memory.swap.v < 0 || r->memory.limit.v < 0
				     ? UINT64_MAX
				     : (uint64_t)(r->memory.swap.v - r->memory.limit.v));
}

static void put_cpu(struct dbus_body *b, const struct spec_resources *r)
{
	uint64_t period = r->cpu.period.set ? r->cpu.period.v : 100000;
	bool v2 = cgroup_host_mode() == CGROUP_V2;

	if (r->cpu.shares.set)
		property_u64(b, v2 ? "CPUWeight" : "CPUShares",
			     v2 ? cgroup2_cpu_weight(r->cpu.shares.v) : r->cpu.shares.v);
	if (r->cpu.period.set)
		property_u64(b, "CPUQuotaPeriodUSec", period);
	if (r->cpu.quota.set) {
		uint64_t per_second = UINT64_MAX;

		if (r->cpu.quota.v > 0 && period) { /* systemd wants whole hundredths of a CPU: rounded up */
			per_second = (uint64_t)r->cpu.quota.v * 1000000 / period;
			per_second = (per_second + 9999) / 10000 * 10000;
		}
		property_u64(b, "CPUQuotaPerSecUSec", per_second);
	}
	if (v2 && r->cpu.cpus)
		property_mask(b, "AllowedCPUs", r->cpu.cpus);
	if (v2 && r->cpu.mems)
		property_mask(b, "AllowedMemoryNodes", r->cpu.mems);
}

/* An annotation "org.systemd.property.NAME": 'text', true, false, or a number with its type in front (uint64 5). */
static int put_annotation(struct dbus_body *b, const char *name, const char *value, struct error *err)
{
	static const struct {
		const char *word, *signature;
	} types[] = { { "uint64 ", "t" }, { "int64 ", "x" }, { "uint32 ", "u" }, { "int32 ", "i" }, { "", "i" } };
	size_t len = strlen(value);

	if (len >= 2 && (*value == '\'' || *value == '"') && value[len - 1] == *value) {
		CLEAN_FREE char *text = strndup(value + 1, len - 2);

		property_string(b, name, text ? text : "");
		return 0;
	}
	if (!strcmp(value, "true") || !strcmp(value, "false")) {
		property_bool(b, name, *value == 't');
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t n = strlen(types[i].word);
		int64_t v;

		if (strncmp(value, types[i].word, n) || !parse_i64(value + n, INT64_MIN, INT64_MAX, &v))
			continue;
		property(b, name, types[i].signature);
		if (*types[i].signature == 't' || *types[i].signature == 'x')
			dbus_put_u64(b, (uint64_t)v);
		else
			dbus_put_u32(b, (uint32_t)v);
		return 0;
	}
	return error_set(err, 0,
			 "annotation " ANNOTATION "%s: cannot read \"%s\" (a quoted text, true, false, or a number)",
			 name, value);
}

static int put_annotations(struct dbus_body *b, const struct spec_map *annotations, struct error *err)
{
	const size_t n = strlen(ANNOTATION);

	for (size_t i = 0; i < annotations->n; i++)
		if (!strncmp(annotations->v[i].key, ANNOTATION, n) && annotations->v[i].key[n] &&
		    put_annotation(b, annotations->v[i].key + n, annotations->v[i].value, err) < 0)
			return -1;
	return 0;
}

/* ---- units ---- */

static int unit_body(struct dbus_body *b, const struct cgroup_systemd *s, struct error *err)
{
	const size_t n = strlen(s->unit);
	bool slice = n > 6 && !strcmp(s->unit + n - 6, ".slice");
	CLEAN_FREE char *about = xasprintf("husk container %s", s->id);
	size_t mark, inner;

	dbus_put_string(b, s->unit);
	dbus_put_string(b, "replace");
	mark = dbus_array_begin(b, 8);
	property_string(b, "Description", about);
	if (slice) {
		property(b, "Wants", "as");
		inner = dbus_array_begin(b, 4);
		dbus_put_string(b, s->slice);
		dbus_array_end(b, inner, 4);
	} else {
		property_string(b, "Slice", s->slice);
		property_bool(b, "Delegate", true);
		property(b, "PIDs", "au");
		inner = dbus_array_begin(b, 4);
		dbus_put_u32(b, (uint32_t)s->pid);
		dbus_array_end(b, inner, 4);
	}
	property_bool(b, "MemoryAccounting", true);
	property_bool(b, "CPUAccounting", true);
	property_bool(b, cgroup_host_mode() == CGROUP_V2 ? "IOAccounting" : "BlockIOAccounting", true);
	property_bool(b, "TasksAccounting", true);
	property_bool(b, "DefaultDependencies", false);
	/* the VMM's threads are tasks; the container's limit is kept in the guest, systemd's default must not hit */
	property_u64(b, "TasksMax", UINT64_MAX);
	put_memory(b, s->resources, s->overhead);
	put_cpu(b, s->resources);
	if (put_annotations(b, s->annotations, err) < 0)
		return -1;
	dbus_array_end(b, mark, 8);
	dbus_array_end(b, dbus_array_begin(b, 8), 8); /* aux: no other units */
	return 0;
}

static int unit_call(struct dbus *d, const char *member, const char *unit, const char *mode, char *job, char *name,
		     uint64_t deadline, struct error *err)
{
	struct dbus_body b = { 0 };
	int rc;

	dbus_put_string(&b, unit);
	if (mode)
		dbus_put_string(&b, mode);
	rc = dbus_call(d, member, mode ? "ss" : "s", &b, job, name, deadline, err);
	dbus_body_free(&b);
	return rc;
}

int cgroup_systemd_start(const struct cgroup_systemd *s, struct error *err)
{
	uint64_t deadline = mono_ns() + JOB_NS;
	char job[DBUS_NAME] = "", name[DBUS_NAME] = "";
	struct dbus_body b = { 0 };
	struct error ignored;
	struct dbus d;
	int rc = manager_open(&d, deadline, err);

	if (!rc)
		rc = unit_body(&b, s, err);
	if (!rc)
		rc = dbus_call(&d, "StartTransientUnit", "ssa(sv)a(sa(sv))", &b, job, name, deadline, err);
	if (rc < 0 && !strcmp(name, UNIT_EXISTS)) {
		/* one that failed before and was never forgotten */
		unit_call(&d, "ResetFailedUnit", s->unit, NULL, NULL, NULL, deadline, &ignored);
		rc = dbus_call(&d, "StartTransientUnit", "ssa(sv)a(sa(sv))", &b, job, name, deadline, err);
	}
	if (!rc)
		rc = dbus_wait_job(&d, job, deadline, err);
	dbus_body_free(&b);
	dbus_close(&d);
	return rc < 0 ? error_wrap(err, "unit %s", s->unit) : 0;
}

int cgroup_systemd_set(const char *unit, const struct spec_resources *r, uint64_t overhead, struct error *err)
{
	uint64_t deadline = mono_ns() + JOB_NS;
	struct dbus_body b = { 0 };
	struct dbus d;
	size_t mark;
	int rc;

	dbus_put_string(&b, unit);
	dbus_put_u32(&b, true); /* until the next boot */
	mark = dbus_array_begin(&b, 8);
	put_memory(&b, r, overhead);
	put_cpu(&b, r);
	dbus_array_end(&b, mark, 8);
	rc = manager_open(&d, deadline, err);
	if (!rc)
		rc = dbus_call(&d, "SetUnitProperties", "sba(sv)", &b, NULL, NULL, deadline, err);
	dbus_body_free(&b);
	dbus_close(&d);
	return rc < 0 ? error_wrap(err, "unit %s", unit) : 0;
}

void cgroup_systemd_stop(const char *unit, const char *dir)
{
	uint64_t deadline = mono_ns() + STOP_NS;
	char job[DBUS_NAME] = "", name[DBUS_NAME] = "";
	struct error err;
	struct dbus d;
	int rc;

	/* a scope without processes goes by itself, usually at once */
	for (int i = 0; dir && i < 30; i++) {
		if (access(dir, F_OK) < 0)
			return;
		sleep_ms(10);
	}
	rc = manager_open(&d, deadline, &err);
	if (!rc)
		rc = unit_call(&d, "StopUnit", unit, "replace", job, name, deadline, &err);
	if (!rc)
		rc = dbus_wait_job(&d, job, deadline, &err);
	if (!rc)
		unit_call(&d, "ResetFailedUnit", unit, NULL, NULL, NULL, deadline, &err);
	else if (strcmp(name, NO_SUCH_UNIT))
		log_warn("unit %s: %s", unit, err.text);
	dbus_close(&d);
}
