/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.cgroupsPath: a path for the cgroupfs driver, "slice:prefix:name" for systemd's. It comes from config.json, so
 * no part of it may lead out of the cgroup hierarchy.
 */
#include <stdio.h>
#include <string.h>

#include "oci/cgroup2.h"

static int copy_part(char *out, size_t size, const char *s, size_t len, const char *text, struct error *err)
{
	if (len >= size || memchr(s, '/', len) || (len == 2 && memcmp(s, "..", 2) == 0))
		return error_set(err, 0, "linux.cgroupsPath: \"%.128s\": a part is too long or has a '/'", text);
	memcpy(out, s, len);
	out[len] = '\0';
	return 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);

	return a >= b && strcmp(s + a - b, end) == 0;
}

/* "a-b.slice" lies in "a.slice": "/a.slice/a-b.slice". "-.slice" is the root. */
static int slice_expand(const char *slice, char *out, size_t size, struct error *err)
{
	size_t len = strlen(slice), stem = len - strlen(".slice"), n = 0;

	out[0] = '\0';
	if (!ends_with(slice, ".slice") || stem == 0)
		return error_set(err, 0, "linux.cgroupsPath: \"%.128s\" is not the name of a systemd slice", slice);
	if (strcmp(slice, "-.slice") == 0)
		return 0;
	for (size_t i = 1; i <= stem; i++) {
		int w;

		if (i < stem && slice[i] != '-')
			continue;
		if (slice[i - 1] == '-')
			return error_set(err, 0, "linux.cgroupsPath: \"%.128s\" is not the name of a systemd slice",
					 slice);
		w = snprintf(out + n, size - n, "/%.*s.slice", (int)i, slice);
		if (w < 0 || (size_t)w >= size - n)
			return error_set(err, 0, "linux.cgroupsPath: \"%.128s\" is too long", slice);
		n += (size_t)w;
	}
	return 0;
}

static int systemd_parse(const char *text, const char *id, bool rootless, struct cgroup_path *out, struct error *err)
{
	const char *first = text ? strchr(text, ':') : NULL, *second = first ? strchr(first + 1, ':') : NULL;
	char base[sizeof(out->path) / 2];

	if (!text) {
		if (copy_part(out->name, sizeof(out->name), id, strlen(id), id, err) < 0)
			return -1;
		strcpy(out->prefix, "husk");
	} else if (!second || strchr(second + 1, ':') || second[1] == '\0') {
		return error_set(err, 0,
				 "linux.cgroupsPath: expected \"slice:prefix:name\" for systemd cgroups, got "
				 "\"%.128s\"",
				 text);
	} else if (copy_part(out->slice, sizeof(out->slice), text, (size_t)(first - text), text, err) < 0 ||
		   copy_part(out->prefix, sizeof(out->prefix), first + 1, (size_t)(second - first - 1), text, err) <
			   0 ||
		   copy_part(out->name, sizeof(out->name), second + 1, strlen(second + 1), text, err) < 0) {
		return -1;
	}
	if (out->slice[0] == '\0')
		strcpy(out->slice, rootless ? "user.slice" : "system.slice");
	if (ends_with(out->name, ".slice"))
		snprintf(out->unit, sizeof(out->unit), "%s", out->name);
	else
		snprintf(out->unit, sizeof(out->unit), "%s%s%s.scope", out->prefix, out->prefix[0] ? "-" : "",
			 out->name);
	if (slice_expand(out->slice, base, sizeof(base), err) < 0)
		return -1;
	if (ends_with(out->name, ".slice"))
		return slice_expand(out->name, out->path, sizeof(out->path), err);
	snprintf(out->path, sizeof(out->path), "%s/%s", base, out->unit);
	return 0;
}

int cgroup_path_parse(const char *text, bool systemd, const char *id, bool rootless, struct cgroup_path *out,
		      struct error *err)
{
	size_t len = 0, part;

	memset(out, 0, sizeof(*out));
	if (systemd)
		return systemd_parse(text, id, rootless, out, err);
	if (!text) {
		snprintf(out->path, sizeof(out->path), "/husk/%s", id);
		return 0;
	}
	if (strlen(text) >= sizeof(out->path) - 1)
		return error_set(err, 0, "linux.cgroupsPath: longer than %zu bytes", sizeof(out->path) - 2);
	for (const char *s = text; *s; s += part) {
		s += strspn(s, "/");
		part = strcspn(s, "/");
		if (part == 0 || (part == 1 && s[0] == '.'))
			continue;
		if (part == 2 && s[0] == '.' && s[1] == '.')
			return error_set(err, 0, "linux.cgroupsPath: \"%.128s\" has a \"..\" in it", text);
		out->path[len++] = '/';
		memcpy(out->path + len, s, part);
		len += part;
	}
	if (len == 0)
		return error_set(err, 0, "linux.cgroupsPath: \"%.128s\" is the root of the hierarchy", text);
	return 0;
}
