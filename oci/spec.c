/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json as a whole: version, root, names, hooks, and the entry points that read a document from text or file.
 * The document is under the control of whoever calls the runtime: bounded, checked, and never trusted to be regular.
 */
#include "oci/spec.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/features.h"
#include "oci/spec_internal.h"

#define WARNINGS_MAX 64
#define CPU_MAX 8191

/* ---- helpers of all parsers ---- */

const struct name_value *name_find(const struct name_value *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

void parse_warn(struct parse *p, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (p->warnings->n > WARNINGS_MAX)
		return;
	if (p->warnings->n == WARNINGS_MAX) {
		strings_add(p->arena, p->warnings, "further warnings are left out");
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	strings_add(p->arena, p->warnings, arena_strdup(p->arena, text));
}

const char *path_clean(struct arena *a, const char *path)
{
	char *out = arena_alloc(a, strlen(path) + 2, 1);
	size_t len = 0, part;

	for (; *path; path += part) {
		path += strspn(path, "/");
		part = strcspn(path, "/");
		if (part == 0 || (part == 1 && path[0] == '.'))
			continue;
		if (part == 2 && path[0] == '.' && path[1] == '.') {
			while (len > 0 && out[--len] != '/')
				;
			out[len] = '\0';
			continue;
		}
		out[len++] = '/';
		memcpy(out + len, path, part);
		len += part;
		out[len] = '\0';
	}
	if (len == 0)
		strcpy(out, "/");
	return out;
}

int path_check(const struct json *node, const char *path, struct error *err)
{
	if (path[0] != '/')
		return json_error(err, node, "\"%.128s\" is not an absolute path", path);
	if (strlen(path) >= PATH_MAX)
		return json_error(err, node, "the path is longer than %d bytes", PATH_MAX - 1);
	return 0;
}

static bool list_number(const char **s, long *out)
{
	char *end;

	if (!isdigit((unsigned char)**s))
		return false;
	errno = 0;
	*out = strtol(*s, &end, 10);
	*s = end;
	return errno == 0 && *out <= CPU_MAX;
}

int cpulist_count(const char *s)
{
	bool seen[CPU_MAX + 1] = { false };
	long from, to;
	int n = 0;

	for (;;) {
		s += strspn(s, " \n");
		if (!list_number(&s, &from))
			return -1;
		to = from;
		if (*s == '-') {
			s++;
			if (!list_number(&s, &to) || to < from)
				return -1;
		}
		for (long i = from; i <= to; i++) {
			n += !seen[i];
			seen[i] = true;
		}
		s += strspn(s, " \n");
		if (*s == '\0')
			return n;
		if (*s++ != ',')
			return -1;
	}
}

/* ---- config.json ---- */

/* Up to three digits; moves *s behind them. */
static bool version_part(const char **s, unsigned *out)
{
	size_t digits = strspn(*s, "0123456789");

	if (digits == 0 || digits > 3)
		return false;
	*out = (unsigned)strtoul(*s, NULL, 10);
	*s += digits;
	return true;
}

/* "MAJOR.MINOR.PATCH", with or without "-suffix" or "+build". */
static bool version_read(const char *s, unsigned *major, unsigned *minor)
{
	unsigned patch;

	if (strlen(s) > 64 || !version_part(&s, major) || *s++ != '.' || !version_part(&s, minor) || *s++ != '.' ||
	    !version_part(&s, &patch))
		return false;
	return *s == '\0' || *s == '-' || *s == '+';
}

static int parse_version(struct parse *p, const struct json *root, struct spec *out)
{
	struct json *node = json_member(root, "ociVersion");
	unsigned major = 0, minor = 0;

	if (json_need_string(root, "ociVersion", &out->oci_version, p->err) < 0)
		return -1;
	if (!version_read(out->oci_version, &major, &minor))
		return json_error(p->err, node, "\"%.64s\" is not a semantic version such as 1.0.2", out->oci_version);
	if (major != 1)
		return json_error(p->err, node,
				  "version %.64s of the specification is not supported; husk knows %s to %s",
				  out->oci_version, OCI_VERSION_MIN, OCI_VERSION_MAX);
	if (minor > 3)
		parse_warn(p, "ociVersion %.64s is newer than %s: what it added is ignored", out->oci_version,
			   OCI_VERSION_MAX);
	return 0;
}

static int parse_root(struct parse *p, const struct json *root, struct spec *out)
{
	struct json *r = NULL;

	if (json_get_object(root, "root", &r, p->err) < 0)
		return -1;
	if (!r)
		return json_error(p->err, root, "root is missing");
	if (json_need_string(r, "path", &out->root_path, p->err) < 0 ||
	    json_get_bool(r, "readonly", &out->root_readonly, p->err) < 0)
		return -1;
	if (out->root_path[0] == '\0' || strlen(out->root_path) >= PATH_MAX)
		return json_error(p->err, r, "path is empty or too long");
	return 0;
}

static int parse_name(struct parse *p, const struct json *root, const char *key, const char **out)
{
	if (json_get_string(root, key, out, p->err) < 0)
		return -1;
	if (*out && (*out)[0] == '\0')
		*out = NULL;
	if (*out && strlen(*out) > 64)
		return json_error(p->err, json_member(root, key), "longer than 64 bytes, the kernel's limit");
	return 0;
}

static int parse_hook(struct parse *p, const struct json *item, struct spec_hook *h)
{
	struct opt_i64 timeout = { 0 };

	if (json_expect(item, JSON_OBJECT, p->err) < 0 || json_need_string(item, "path", &h->path, p->err) < 0 ||
	    path_check(item, h->path, p->err) < 0 || json_get_strings(p->arena, item, "args", &h->args, p->err) < 0 ||
	    json_get_strings(p->arena, item, "env", &h->env, p->err) < 0 ||
	    json_get_i64(item, "timeout", 1, INT_MAX, &timeout, p->err) < 0)
		return -1;
	h->timeout = (int)timeout.v;
	return 0;
}

static int parse_hooks(struct parse *p, const struct json *root, struct spec *out)
{
	static const char *const kinds[HOOK_COUNT] = {
		[HOOK_PRESTART] = "prestart",
		[HOOK_CREATE_RUNTIME] = "createRuntime",
		[HOOK_CREATE_CONTAINER] = "createContainer",
		[HOOK_START_CONTAINER] = "startContainer",
		[HOOK_POSTSTART] = "poststart",
		[HOOK_POSTSTOP] = "poststop",
	};
	struct json *hooks = NULL;

	if (json_get_object(root, "hooks", &hooks, p->err) < 0)
		return -1;
	for (int k = 0; hooks && k < HOOK_COUNT; k++) {
		struct json *list = NULL;

		if (json_get_array(hooks, kinds[k], &list, p->err) < 0)
			return -1;
		if (!list)
			continue;
		out->hooks[k].v = arena_alloc(p->arena, list->n, sizeof(struct spec_hook));
		json_for_each(item, list) if (parse_hook(p, item, &out->hooks[k].v[out->hooks[k].n++]) < 0) return -1;
	}
	return 0;
}

static int parse_names(struct parse *p, const struct json *root, struct spec *out)
{
	if (parse_name(p, root, "hostname", &out->hostname) < 0 ||
	    parse_name(p, root, "domainname", &out->domainname) < 0)
		return -1;
	if ((out->hostname || out->domainname) && !out->lin.ns[NS_UTS].present)
		return json_error(p->err, root, "hostname and domainname need a uts namespace, which is not listed");
	return 0;
}

static int parse_config(struct parse *p, const struct json *root, struct spec *out)
{
	struct json *process = NULL, *mounts = NULL, *lin = NULL, *vm = NULL;

	if (parse_version(p, root, out) < 0 || parse_root(p, root, out) < 0 ||
	    json_get_object(root, "process", &process, p->err) < 0 ||
	    json_get_array(root, "mounts", &mounts, p->err) < 0 || json_get_object(root, "linux", &lin, p->err) < 0 ||
	    json_get_object(root, "vm", &vm, p->err) < 0 ||
	    json_get_map(p->arena, root, "annotations", &out->annotations, p->err) < 0 ||
	    parse_husk(p, json_member(root, "annotations"), out) < 0)
		return -1;
	if (process) {
		out->process = arena_alloc(p->arena, 1, sizeof(*out->process));
		if (parse_process(p, process, out->process) < 0)
			return -1;
	}
	if ((mounts && parse_mounts(p, mounts, out) < 0) ||
	    parse_volumes(p, json_member(root, "annotations"), out) < 0 || (lin && parse_linux(p, lin, out) < 0) ||
	    (vm && parse_vm(p, vm, &out->vm) < 0))
		return -1;
	return parse_names(p, root, out) < 0 ? -1 : parse_hooks(p, root, out);
}

int spec_parse(const char *text, size_t len, struct spec **out, struct error *err)
{
	struct arena *a = arena_new();
	struct spec *spec = arena_alloc(a, 1, sizeof(*spec));
	struct parse p = { a, err, &spec->warnings };
	struct json *root;

	spec->arena = a;
	if (json_parse(a, "config.json", text, len, &root, err) < 0 || parse_config(&p, root, spec) < 0) {
		arena_free(a);
		return -1;
	}
	*out = spec;
	return 0;
}

void spec_free(struct spec *spec)
{
	if (spec)
		arena_free(spec->arena);
}

const char *spec_annotation(const struct spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->annotations.n; i++)
		if (strcmp(spec->annotations.v[i].key, key) == 0)
			return spec->annotations.v[i].value;
	return NULL;
}

/* ---- process.json, resources ---- */

int process_parse(const char *text, size_t len, struct spec_process **out, struct error *err)
{
	struct arena *a = arena_new();
	struct spec_process *process = arena_alloc(a, 1, sizeof(*process));
	struct parse p = { a, err, &process->warnings };
	struct json *root;

	process->arena = a;
	if (json_parse(a, "process", text, len, &root, err) < 0 || parse_process(&p, root, process) < 0) {
		arena_free(a);
		return -1;
	}
	*out = process;
	return 0;
}

void process_free(struct spec_process *process)
{
	if (process)
		arena_free(process->arena);
}

int resources_parse(const char *text, size_t len, struct spec_resources **out, struct error *err)
{
	struct arena *a = arena_new();
	struct spec_resources *resources = arena_alloc(a, 1, sizeof(*resources));
	struct parse p = { a, err, &resources->warnings };
	struct json *root;

	resources->arena = a;
	if (json_parse(a, "resources", text, len, &root, err) < 0 || parse_resources(&p, root, resources) < 0) {
		arena_free(a);
		return -1;
	}
	*out = resources;
	return 0;
}

void resources_free(struct spec_resources *resources)
{
	if (resources)
		arena_free(resources->arena);
}

/* ---- files ---- */

/* Read @fd to its end into malloc()ed memory. */
static int read_all(int fd, const char *name, char **out, size_t *len, struct error *err)
{
	size_t cap = 16384, n = 0;
	char *text = mem_alloc(cap);
	ssize_t r;

	for (;;) {
		r = read(fd, text + n, cap - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
		if (n > SPEC_FILE_MAX) {
			free(text);
			return error_set(err, EFBIG, "%s: larger than %u MiB", name, SPEC_FILE_MAX >> 20);
		}
		if (n == cap)
			text = mem_realloc(text, cap *= 2);
	}
	if (r < 0) {
		error_set(err, errno, "read %s", name);
		free(text);
		return -1;
	}
	*out = text;
	*len = n;
	return 0;
}

/* Only a regular file: a fifo or device in its place would block or never end. */
static int read_file(int dirfd, const char *name, char **out, size_t *len, struct error *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0)
		return error_set(err, errno, "open %s", name);
	if (fstat(fd, &st) < 0)
		r = error_set(err, errno, "stat %s", name);
	else if (!S_ISREG(st.st_mode))
		r = error_set(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s is not a regular file", name);
	else
		r = read_all(fd, name, out, len, err);
	close(fd);
	return r;
}

int spec_load_at(int dirfd, const char *name, struct spec **out, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	int r;

	if (read_file(dirfd, name, &text, &len, err) < 0)
		return -1;
	r = spec_parse(text, len, out, err);
	free(text);
	return r;
}

int spec_load_file(const char *path, struct spec **out, struct error *err)
{
	return spec_load_at(AT_FDCWD, path, out, err);
}

int process_load_file(const char *path, struct spec_process **out, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	int r;

	if (read_file(AT_FDCWD, path, &text, &len, err) < 0)
		return -1;
	r = process_parse(text, len, out, err);
	free(text);
	return r;
}

int resources_load_fd(int fd, struct spec_resources **out, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	int r;

	if (read_all(fd, "resources", &text, &len, err) < 0)
		return -1;
	r = resources_parse(text, len, out, err);
	free(text);
	return r;
}

int resources_load_file(const char *path, struct spec_resources **out, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	int r;

	if (read_file(AT_FDCWD, path, &text, &len, err) < 0)
		return -1;
	r = resources_parse(text, len, out, err);
	free(text);
	return r;
}
