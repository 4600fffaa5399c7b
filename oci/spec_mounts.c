/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of config.json: options to flags. Which options exist, and what each does, is one table, from which
 * `features` also takes its list. What is no option of mount(2) is data for the file system, or an error for a bind,
 * which has none.
 */
#include "oci/spec_mounts.h"

#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "oci/spec_internal.h"

#define MOUNTS_MAX 4096 /* each is compared with those below it */

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

#define DATA_MAX 4095 /* mount(2) takes one page */

const struct mount_option mount_options[] = {
	{ "async", OPT_CLEAR, MS_SYNCHRONOUS },
	{ "atime", OPT_CLEAR, MS_NOATIME },
	{ "bind", OPT_BIND, 0 },
	{ "defaults", OPT_NOTHING, 0 },
	{ "dev", OPT_CLEAR, MS_NODEV },
	{ "diratime", OPT_CLEAR, MS_NODIRATIME },
	{ "dirsync", OPT_SET, MS_DIRSYNC },
	{ "exec", OPT_CLEAR, MS_NOEXEC },
	{ "idmap", OPT_IDMAP, IDMAP_PLAIN },
	{ "iversion", OPT_SET, MS_I_VERSION },
	{ "lazytime", OPT_SET, MS_LAZYTIME },
	{ "loud", OPT_CLEAR, MS_SILENT },
	{ "mand", OPT_SET, MS_MANDLOCK },
	{ "noatime", OPT_SET, MS_NOATIME },
	{ "nodev", OPT_SET, MS_NODEV },
	{ "nodiratime", OPT_SET, MS_NODIRATIME },
	{ "noexec", OPT_SET, MS_NOEXEC },
	{ "noiversion", OPT_CLEAR, MS_I_VERSION },
	{ "nolazytime", OPT_CLEAR, MS_LAZYTIME },
	{ "nomand", OPT_CLEAR, MS_MANDLOCK },
	{ "norelatime", OPT_CLEAR, MS_RELATIME },
	{ "nostrictatime", OPT_CLEAR, MS_STRICTATIME },
	{ "nosuid", OPT_SET, MS_NOSUID },
	{ "nosymfollow", OPT_SET, MS_NOSYMFOLLOW },
	{ "private", OPT_PROPAGATION, MS_PRIVATE },
	{ "ratime", OPT_REC_SET, MOUNT_ATTR_RELATIME },
	{ "rbind", OPT_RBIND, 0 },
	{ "rdev", OPT_REC_CLEAR, MOUNT_ATTR_NODEV },
	{ "rdiratime", OPT_REC_CLEAR, MOUNT_ATTR_NODIRATIME },
	{ "relatime", OPT_SET, MS_RELATIME },
	{ "remount", OPT_SET, MS_REMOUNT },
	{ "rexec", OPT_REC_CLEAR, MOUNT_ATTR_NOEXEC },
	{ "ridmap", OPT_IDMAP, IDMAP_RECURSIVE },
	{ "rnoatime", OPT_REC_SET, MOUNT_ATTR_NOATIME },
	{ "rnodev", OPT_REC_SET, MOUNT_ATTR_NODEV },
	{ "rnodiratime", OPT_REC_SET, MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", OPT_REC_SET, MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", OPT_REC_SET, MOUNT_ATTR_STRICTATIME },
	{ "rnostrictatime", OPT_REC_SET, MOUNT_ATTR_RELATIME },
	{ "rnosuid", OPT_REC_SET, MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", OPT_REC_SET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "ro", OPT_SET, MS_RDONLY },
	{ "rprivate", OPT_PROPAGATION, MS_PRIVATE | MS_REC },
	{ "rrelatime", OPT_REC_SET, MOUNT_ATTR_RELATIME },
	{ "rro", OPT_REC_SET, MOUNT_ATTR_RDONLY },
	{ "rrw", OPT_REC_CLEAR, MOUNT_ATTR_RDONLY },
	{ "rshared", OPT_PROPAGATION, MS_SHARED | MS_REC },
	{ "rslave", OPT_PROPAGATION, MS_SLAVE | MS_REC },
	{ "rstrictatime", OPT_REC_SET, MOUNT_ATTR_STRICTATIME },
	{ "rsuid", OPT_REC_CLEAR, MOUNT_ATTR_NOSUID },
	{ "rsymfollow", OPT_REC_CLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "runbindable", OPT_PROPAGATION, MS_UNBINDABLE | MS_REC },
	{ "rw", OPT_CLEAR, MS_RDONLY },
	{ "shared", OPT_PROPAGATION, MS_SHARED },
	{ "silent", OPT_SET, MS_SILENT },
	{ "slave", OPT_PROPAGATION, MS_SLAVE },
	{ "strictatime", OPT_SET, MS_STRICTATIME },
	{ "suid", OPT_CLEAR, MS_NOSUID },
	{ "symfollow", OPT_CLEAR, MS_NOSYMFOLLOW },
	{ "sync", OPT_SET, MS_SYNCHRONOUS },
	{ "tmpcopyup", OPT_COPYUP, 0 },
	{ "unbindable", OPT_PROPAGATION, MS_UNBINDABLE },
	{ NULL, OPT_NOTHING, 0 },
};

static const struct mount_option *option_find(const char *name)
{
	for (const struct mount_option *o = mount_options; o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

uint64_t propagation_parse(const char *text)
{
	const struct mount_option *o = option_find(text);

	return o && o->kind == OPT_PROPAGATION ? o->value : UINT64_MAX;
}

/* Access time is one choice of several, not a set of bits. */
static void rec_attr_set(struct spec_mount *m, uint64_t attr, bool on)
{
	bool atime = attr == MOUNT_ATTR_RELATIME || attr == MOUNT_ATTR_NOATIME || attr == MOUNT_ATTR_STRICTATIME;

	if (atime) {
		m->rec_attr_clear |= MOUNT_ATTR__ATIME;
		m->rec_attr_set = (m->rec_attr_set & ~(uint64_t)MOUNT_ATTR__ATIME) | attr;
	} else if (on) {
		m->rec_attr_set |= attr;
		m->rec_attr_clear &= ~attr;
	} else {
		m->rec_attr_clear |= attr;
		m->rec_attr_set &= ~attr;
	}
}

static void option_apply(const struct mount_option *o, struct spec_mount *m)
{
	switch (o->kind) {
	case OPT_SET:
		m->flags |= o->value;
		m->flags_clear &= ~o->value;
		break;
	case OPT_CLEAR:
		m->flags &= ~o->value;
		m->flags_clear |= o->value;
		break;
	case OPT_REC_SET:
	case OPT_REC_CLEAR:
		rec_attr_set(m, o->value, o->kind == OPT_REC_SET);
		break;
	case OPT_PROPAGATION:
		m->propagation = o->value;
		break;
	case OPT_RBIND:
		m->recursive = true;
		m->bind = true;
		break;
	case OPT_BIND:
		m->bind = true;
		break;
	case OPT_COPYUP:
		m->copyup = true;
		break;
	case OPT_IDMAP:
		m->idmap = (enum spec_mount_idmap)o->value;
		break;
	case OPT_NOTHING:
		break;
	}
}

/* Options that mount(2) does not know, joined with commas. */
static int data_join(struct parse *p, const struct json *options, struct spec_mount *m)
{
	size_t len = 0;
	char *data = arena_alloc(p->arena, DATA_MAX + 1, 1);

	m->data = data;
	json_for_each(o, options)
	{
		if (option_find(o->text))
			continue;
		if (m->bind)
			return json_error(p->err, o, "\"%.64s\" is not an option of a bind mount", o->text);
		if (strncmp(o->text, "idmap=", 6) == 0 || strncmp(o->text, "ridmap=", 7) == 0)
			return json_error(p->err, o, "give the mappings as uidMappings and gidMappings of the mount");
		if (strlen(o->text) + 1 > DATA_MAX - len)
			return json_error(p->err, options, "more than %d bytes of options for the file system",
					  DATA_MAX);
		len += (size_t)snprintf(data + len, DATA_MAX + 1 - len, "%s%s", len ? "," : "", o->text);
	}
	return 0;
}

static int parse_options(struct parse *p, const struct json *mount, struct spec_mount *m)
{
	struct json *options = NULL;

	m->data = "";
	if (json_get_array(mount, "options", &options, p->err) < 0)
		return -1;
	json_for_each(o, options)
	{
		const struct mount_option *opt;

		if (json_expect(o, JSON_STRING, p->err) < 0)
			return -1;
		opt = option_find(o->text);
		if (opt)
			option_apply(opt, m);
	}
	return options ? data_join(p, options, m) : 0;
}

static int parse_mount_idmap(struct parse *p, const struct json *mount, struct spec_mount *m)
{
	if (parse_idmaps(p, mount, "uidMappings", &m->uids) < 0 || parse_idmaps(p, mount, "gidMappings", &m->gids) < 0)
		return -1;
	if (!m->uids.n != !m->gids.n)
		return json_error(p->err, mount, "uidMappings and gidMappings must be given together");
	if (m->uids.n && m->idmap == IDMAP_NONE)
		m->idmap = IDMAP_PLAIN;
	if (m->idmap != IDMAP_NONE && !m->bind)
		return json_error(p->err, mount, "only a bind mount can have its ids mapped");
	return 0;
}

static int parse_mount(struct parse *p, const struct json *mount, struct spec_mount *m)
{
	const char *destination = NULL;

	if (json_expect(mount, JSON_OBJECT, p->err) < 0 ||
	    json_need_string(mount, "destination", &destination, p->err) < 0 ||
	    json_get_string(mount, "type", &m->type, p->err) < 0 ||
	    json_get_string(mount, "source", &m->source, p->err) < 0)
		return -1;
	if (m->type && (m->type[0] == '\0' || strcmp(m->type, "none") == 0))
		m->type = NULL;
	if (m->type && strcmp(m->type, "bind") == 0)
		m->bind = true;
	if (parse_options(p, mount, m) < 0 || parse_mount_idmap(p, mount, m) < 0)
		return -1;
	m->destination = path_clean(p->arena, destination);
	if (destination[0] == '\0' || m->destination[1] == '\0' || strlen(m->destination) >= 4096)
		return json_error(p->err, mount, "the destination \"%.64s\" is not a path below the container's root",
				  destination);
	if (m->bind)
		m->type = NULL;
	if (m->flags & MS_REMOUNT)
		m->source = m->source ? m->source : "none";
	else if (!m->bind && !m->type)
		return json_error(p->err, mount, "has neither a type nor the option bind");
	else if (m->bind && (!m->source || m->source[0] == '\0' || strlen(m->source) >= 4096))
		return json_error(p->err, mount, "a bind mount needs the path of its source");
	if (!m->source || m->source[0] == '\0')
		m->source = m->type;
	if (m->copyup && (!m->type || strcmp(m->type, "tmpfs") != 0))
		return json_error(p->err, mount, "tmpcopyup is an option of tmpfs only");
	return 0;
}

int parse_mounts(struct parse *p, const struct json *array, struct spec *out)
{
	if (array->n > MOUNTS_MAX)
		return json_error(p->err, array, "%zu mounts are too many (%d)", array->n, MOUNTS_MAX);
	out->mounts = arena_alloc(p->arena, array->n, sizeof(*out->mounts));
	json_for_each(m, array) if (parse_mount(p, m, &out->mounts[out->nmounts++]) < 0) return -1;
	return 0;
}

/* ---- by annotation ---- */

static int volume_data(struct parse *p, const struct json *a, struct spec_mount *m, const char *option)
{
	if (strlen(m->data) + strlen(option) + 1 > DATA_MAX)
		return json_error(p->err, a, "more than %d bytes of options for the file system", DATA_MAX);
	m->data = arena_printf(p->arena, "%s%s%s", m->data, *m->data ? "," : "", option);
	return 0;
}

static int parse_volume(struct parse *p, const struct json *a, struct spec_mount *m)
{
	char *text = arena_strdup(p->arena, a->text), *save = NULL;

	*m = (struct spec_mount){ .data = "" };
	for (char *o = strtok_r(text, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		const struct mount_option *opt = option_find(o);

		if (strncmp(o, "type=", 5) == 0)
			m->type = o + 5;
		else if (strncmp(o, "source=", 7) == 0)
			m->source = o + 7;
		else if (strncmp(o, "target=", 7) == 0)
			m->destination = path_clean(p->arena, o + 7);
		else if (opt && (opt->kind == OPT_SET || opt->kind == OPT_CLEAR || opt->kind == OPT_NOTHING))
			option_apply(opt, m);
		else if (opt)
			return json_error(p->err, a, "%.32s is not an option of a volume", o);
		else if (volume_data(p, a, m, o) < 0)
			return -1;
	}
	if (!m->type || !*m->type || !m->source || m->source[0] != '/' || strlen(m->source) >= 4096 ||
	    !m->destination || m->destination[1] == '\0' || strlen(m->destination) >= 4096)
		return json_error(p->err, a,
				  "expected type=TYPE,source=/PATH,target=/PATH, and options of mount behind commas");
	return 0;
}

int parse_volumes(struct parse *p, const struct json *annotations, struct spec *out)
{
	struct spec_mount *all;
	size_t n = 0;

	json_for_each(a, annotations) n += strncmp(a->key, VOLUME_PREFIX, strlen(VOLUME_PREFIX)) == 0;
	if (n == 0)
		return 0;
	if (n > MOUNTS_MAX - out->nmounts)
		return json_error(p->err, annotations, "%zu volumes and %zu mounts are too many (%d)", n, out->nmounts,
				  MOUNTS_MAX);
	all = arena_alloc(p->arena, out->nmounts + n, sizeof(*all));
	if (out->nmounts)
		memcpy(all, out->mounts, out->nmounts * sizeof(*all));
	out->mounts = all;
	json_for_each(v, annotations)
	{
		if (strncmp(v->key, VOLUME_PREFIX, strlen(VOLUME_PREFIX)) == 0 &&
		    parse_volume(p, v, &all[out->nmounts++]) < 0)
			return -1;
	}
	return 0;
}
