/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json, and the documents made from it.
 *
 * The file is JSON with a fixed beginning, version and hash, and the hash is of all bytes behind that line: a write
 * that was cut short, or an edit, is found before anything in it is believed. It is no protection against somebody who
 * may write there, who could just as well kill what it names; every member is range-checked all the same.
 */
#include "oci/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oci/json.h"
#include "oci/spec_internal.h"

#define PID_MAX (1 << 22)
#define CGROUPS_MAX 64
#define HEAD_MAX 96
#define HEAD_FORMAT "{\n    \"version\": %d,\n    \"hash\": \"%016" PRIx64 "\",\n"

static const char *const status_names[] = {
	[STATUS_CREATING] = "creating", [STATUS_CREATED] = "created", [STATUS_RUNNING] = "running",
	[STATUS_PAUSED] = "paused",	[STATUS_STOPPED] = "stopped",
};

#define STATUS_COUNT (sizeof(status_names) / sizeof(status_names[0]))

const char *status_name(enum container_status s)
{
	return (size_t)s < STATUS_COUNT ? status_names[s] : "unknown";
}

void time_format(int64_t ns, char *out)
{
	int64_t sec = ns / 1000000000, rest = ns % 1000000000;
	time_t t;
	struct tm tm;
	size_t n;

	if (rest < 0) {
		rest += 1000000000;
		sec--;
	}
	t = (time_t)sec;
	if (!gmtime_r(&t, &tm))
		memset(&tm, 0, sizeof(tm));
	n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%09" PRId64 "Z", rest);
}

static uint64_t hash_bytes(const char *s, size_t len)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3;
	return h;
}

/* ---- writing ---- */

static void write_opt(struct json_writer *w, const char *key, const char *value)
{
	if (value)
		json_write_string(w, key, value);
}

static void write_members(struct json_writer *w, const struct state *s)
{
	json_write_string(w, "id", s->id);
	json_write_string(w, "bundle", s->bundle);
	json_write_string(w, "rootfs", s->rootfs);
	json_write_string(w, "ociVersion", s->oci_version);
	write_opt(w, "owner", s->owner);
	write_opt(w, "huskVersion", s->husk_version);
	write_opt(w, "bootId", s->boot_id);
	write_opt(w, "sandboxId", s->sandbox_id);
	write_opt(w, "vmId", s->vm_id);
	json_write_string(w, "status", status_name(s->status));
	json_write_int(w, "created", s->created_ns);
	json_write_int(w, "pid", s->pid);
	json_write_uint(w, "pidStart", s->pid_start);
	json_write_int(w, "vmmPid", s->vmm_pid);
	json_write_uint(w, "vmmStart", s->vmm_start);
	json_write_strings(w, "cgroups", s->cgroups.v, s->cgroups.n);
	write_opt(w, "systemdUnit", s->systemd_unit);
	json_write_bool(w, "systemd", s->systemd);
	json_write_map(w, "annotations", &s->annotations);
	json_write_map(w, "extra", &s->extra);
}

int state_format(const struct state *s, char **out, size_t *len, struct error *err)
{
	struct json_writer w = { 0 };
	size_t rest_len, head_len;
	char head[HEAD_MAX], *text, *rest;

	(void)err; /* only memory could fail */
	json_write_object(&w, NULL);
	write_members(&w, s);
	json_write_end(&w, '}');
	text = json_write_done(&w, &rest_len);
	/* the opening "{\n" gives way to the head */
	rest = text + 2;
	rest_len -= 2;
	head_len = (size_t)snprintf(head, sizeof(head), HEAD_FORMAT, STATE_VERSION, hash_bytes(rest, rest_len));
	*out = mem_alloc(head_len + rest_len + 1);
	memcpy(*out, head, head_len);
	memcpy(*out + head_len, rest, rest_len + 1);
	*len = head_len + rest_len;
	free(text);
	return 0;
}

/* ---- reading ---- */

/* The head's version and hash; false when the file does not begin like one. */
static bool head_read(const char *text, size_t len, long *version, uint64_t *hash)
{
	static const char first[] = "{\n    \"version\": ", second[] = ",\n    \"hash\": \"";
	char copy[HEAD_MAX] = { 0 };
	char *end;

	memcpy(copy, text, len < HEAD_MAX - 1 ? len : HEAD_MAX - 1);
	if (strncmp(copy, first, strlen(first)) != 0)
		return false;
	*version = strtol(copy + strlen(first), &end, 10);
	*hash = strncmp(end, second, strlen(second)) == 0 ? strtoull(end + strlen(second), NULL, 16) : 0;
	return end != copy + strlen(first);
}

static int check_head(const char *text, size_t len, struct error *err)
{
	char head[HEAD_MAX];
	uint64_t hash = 0;
	long version = 0;
	size_t n;

	if (!head_read(text, len, &version, &hash))
		return error_set(err, 0, "state.json: is not a state file, or cut short");
	if (version != STATE_VERSION)
		return error_set(
			err, 0,
			"state.json: version %ld, but this husk writes %d: use the husk that made the container",
			version, STATE_VERSION);
	/* exactly the bytes that would have been written */
	n = (size_t)snprintf(head, sizeof(head), HEAD_FORMAT, STATE_VERSION, hash);
	if (len < n || memcmp(text, head, n) != 0 || hash_bytes(text + n, len - n) != hash)
		return error_set(err, 0, "state.json: damaged: the content does not match its hash");
	return 0;
}

static int get_path(const struct json *root, const char *key, const char **out, struct error *err)
{
	if (json_need_string(root, key, out, err) < 0)
		return -1;
	return path_check(json_member(root, key), *out, err);
}

static int get_pid(const struct json *root, const char *key, pid_t *out, struct error *err)
{
	struct opt_i64 v = { 0 };

	if (json_get_i64(root, key, 0, PID_MAX, &v, err) < 0)
		return -1;
	*out = (pid_t)v.v;
	return 0;
}

static int get_status(const struct json *root, enum container_status *out, struct error *err)
{
	const char *name = NULL;

	if (json_need_string(root, "status", &name, err) < 0)
		return -1;
	for (size_t i = 0; i < STATUS_COUNT; i++)
		if (strcmp(name, status_names[i]) == 0) {
			*out = (enum container_status)i;
			return 0;
		}
	return json_error(err, json_member(root, "status"), "\"%.32s\" is not a status", name);
}

static int get_id(const struct json *root, struct state *s, struct error *err)
{
	if (json_need_string(root, "id", &s->id, err) < 0)
		return -1;
	if (s->id[0] == '\0' || strlen(s->id) > STATE_ID_MAX || strchr(s->id, '/') || strcmp(s->id, ".") == 0 ||
	    strcmp(s->id, "..") == 0)
		return json_error(err, json_member(root, "id"), "is not a container id");
	return 0;
}

static int get_cgroups(struct arena *a, const struct json *root, struct state *s, struct error *err)
{
	struct json *list;

	if (json_get_strings(a, root, "cgroups", &s->cgroups, err) < 0)
		return -1;
	list = json_member(root, "cgroups");
	if (s->cgroups.n > CGROUPS_MAX)
		return json_error(err, list, "%zu directories are too many", s->cgroups.n);
	json_for_each(item, list)
	{
		/* they are removed by delete: none may lead elsewhere */
		if (path_check(item, item->text, err) < 0)
			return -1;
		if (strstr(item->text, "/../") || strcmp(path_clean(a, item->text), item->text) != 0)
			return json_error(err, item, "is not a clean path");
	}
	return 0;
}

static int parse_members(struct arena *a, const struct json *root, struct state *s, struct error *err)
{
	struct opt_i64 created = { 0 };
	struct opt_u64 pid_start = { 0 }, vmm_start = { 0 };

	if (get_id(root, s, err) < 0 || get_path(root, "bundle", &s->bundle, err) < 0 ||
	    get_path(root, "rootfs", &s->rootfs, err) < 0 ||
	    json_need_string(root, "ociVersion", &s->oci_version, err) < 0 ||
	    json_get_string(root, "owner", &s->owner, err) < 0 ||
	    json_get_string(root, "huskVersion", &s->husk_version, err) < 0 ||
	    json_get_string(root, "bootId", &s->boot_id, err) < 0 ||
	    json_get_string(root, "sandboxId", &s->sandbox_id, err) < 0 ||
	    json_get_string(root, "vmId", &s->vm_id, err) < 0 || get_status(root, &s->status, err) < 0 ||
	    json_get_i64(root, "created", 0, INT64_MAX, &created, err) < 0 || get_pid(root, "pid", &s->pid, err) < 0 ||
	    json_get_u64(root, "pidStart", &pid_start, err) < 0 || get_pid(root, "vmmPid", &s->vmm_pid, err) < 0 ||
	    json_get_u64(root, "vmmStart", &vmm_start, err) < 0 || get_cgroups(a, root, s, err) < 0 ||
	    json_get_string(root, "systemdUnit", &s->systemd_unit, err) < 0 ||
	    json_get_bool(root, "systemd", &s->systemd, err) < 0 ||
	    json_get_map(a, root, "annotations", &s->annotations, err) < 0 ||
	    json_get_map(a, root, "extra", &s->extra, err) < 0)
		return -1;
	s->created_ns = created.v;
	s->pid_start = pid_start.v;
	s->vmm_start = vmm_start.v;
	return 0;
}

int state_parse(const char *text, size_t len, struct state **out, struct error *err)
{
	struct arena *a;
	struct state *s;
	struct json *root;

	if (check_head(text, len, err) < 0)
		return -1;
	a = arena_new();
	s = arena_alloc(a, 1, sizeof(*s));
	s->arena = a;
	if (json_parse(a, "state.json", text, len, &root, err) < 0 || parse_members(a, root, s, err) < 0) {
		arena_free(a);
		return -1;
	}
	*out = s;
	return 0;
}

void state_free(struct state *s)
{
	if (s)
		arena_free(s->arena);
}

/* ---- documents ---- */

static void write_document(struct json_writer *w, const struct state *s, enum container_status status, pid_t pid)
{
	char created[40];

	time_format(s->created_ns, created);
	json_write_object(w, NULL);
	json_write_string(w, "ociVersion", s->oci_version);
	json_write_string(w, "id", s->id);
	json_write_int(w, "pid", pid);
	json_write_string(w, "status", status_name(status));
	json_write_string(w, "bundle", s->bundle);
	json_write_string(w, "rootfs", s->rootfs);
	json_write_string(w, "created", created);
	if (s->annotations.n)
		json_write_map(w, "annotations", &s->annotations);
	json_write_string(w, "owner", s->owner ? s->owner : "");
	json_write_end(w, '}');
}

int state_document(const struct state *s, enum container_status status, pid_t pid, char **out, struct error *err)
{
	struct json_writer w = { 0 };

	(void)err; /* only memory could fail */
	write_document(&w, s, status, pid);
	*out = json_write_done(&w, NULL);
	return 0;
}

int state_hook_document(const struct state *s, enum container_status status, pid_t pid, char **out, struct error *err)
{
	struct json_writer w = { .flat = true };

	(void)err;
	json_write_object(&w, NULL);
	json_write_string(&w, "ociVersion", s->oci_version);
	json_write_string(&w, "id", s->id);
	json_write_string(&w, "status", status_name(status));
	json_write_int(&w, "pid", pid);
	json_write_string(&w, "bundle", s->bundle);
	if (s->annotations.n)
		json_write_map(&w, "annotations", &s->annotations);
	json_write_end(&w, '}');
	*out = json_write_done(&w, NULL);
	return 0;
}

int state_list_document(const struct state *const *s, const enum container_status *status, const pid_t *pids, size_t n,
			char **out, struct error *err)
{
	struct json_writer w = { 0 };

	(void)err;
	json_write_array(&w, NULL);
	for (size_t i = 0; i < n; i++)
		write_document(&w, s[i], status[i], pids[i]);
	json_write_end(&w, ']');
	*out = json_write_done(&w, NULL);
	return 0;
}
