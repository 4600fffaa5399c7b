/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linux object of config.json, without resources, seccomp and the mounts.
 */
#include <ctype.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>

#include "oci/spec_internal.h"
#include "oci/spec_limits.h"

bool ifname_valid(const char *name)
{
	if (name[0] == '\0' || strlen(name) >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || isspace((unsigned char)*name))
			return false;
	return true;
}

const struct spec_ns_kind spec_ns_kinds[NS_COUNT] = {
	[NS_PID] = { "pid", CLONE_NEWPID },	     [NS_NETWORK] = { "network", CLONE_NEWNET },
	[NS_MOUNT] = { "mount", CLONE_NEWNS },	     [NS_IPC] = { "ipc", CLONE_NEWIPC },
	[NS_UTS] = { "uts", CLONE_NEWUTS },	     [NS_USER] = { "user", CLONE_NEWUSER },
	[NS_CGROUP] = { "cgroup", CLONE_NEWCGROUP }, [NS_TIME] = { "time", CLONE_NEWTIME },
};

static int parse_namespaces(struct parse *p, const struct json *lin, struct spec_linux *out)
{
	struct json *list = NULL;

	if (json_get_array(lin, "namespaces", &list, p->err) < 0)
		return -1;
	json_for_each(item, list)
	{
		const char *name = NULL, *path = NULL;
		unsigned int type = 0;

		if (json_expect(item, JSON_OBJECT, p->err) < 0 || json_need_string(item, "type", &name, p->err) < 0 ||
		    json_get_string(item, "path", &path, p->err) < 0)
			return -1;
		while (type < NS_COUNT && strcmp(spec_ns_kinds[type].name, name) != 0)
			type++;
		if (type == NS_COUNT)
			return json_error(p->err, item, "\"%.32s\" is not a type of namespace", name);
		if (out->ns[type].present)
			return json_error(p->err, item, "the %s namespace is there twice", name);
		if (path && path[0] == '\0')
			path = NULL;
		if (path && path_check(item, path, p->err) < 0)
			return -1;
		out->ns[type] = (struct spec_namespace){ true, path };
	}
	return 0;
}

int parse_idmaps(struct parse *p, const struct json *obj, const char *key, struct spec_idmaps *out)
{
	struct json *list = NULL;

	if (json_get_array(obj, key, &list, p->err) < 0)
		return -1;
	if (!list)
		return 0;
	if (list->n > IDMAPS_MAX)
		return json_error(p->err, list, "%zu mappings, but the kernel takes at most %d", list->n, IDMAPS_MAX);
	out->v = arena_alloc(p->arena, list->n, sizeof(*out->v));
	json_for_each(item, list)
	{
		struct spec_idmap *m = &out->v[out->n++];

		if (json_expect(item, JSON_OBJECT, p->err) < 0 ||
		    json_need_u32(item, "containerID", &m->container_id, p->err) < 0 ||
		    json_need_u32(item, "hostID", &m->host_id, p->err) < 0 ||
		    json_need_u32(item, "size", &m->size, p->err) < 0)
			return -1;
		if (m->size == 0 || m->size > UINT32_MAX - m->container_id || m->size > UINT32_MAX - m->host_id)
			return json_error(p->err, item, "the range is empty or goes beyond the ids that exist");
	}
	return 0;
}

static int parse_user_ns(struct parse *p, const struct json *lin, struct spec_linux *out)
{
	if (parse_idmaps(p, lin, "uidMappings", &out->uids) < 0 || parse_idmaps(p, lin, "gidMappings", &out->gids) < 0)
		return -1;
	if ((out->uids.n || out->gids.n) && !out->ns[NS_USER].present)
		return json_error(p->err, lin,
				  "uidMappings and gidMappings need a user namespace, which is not listed");
	if (out->ns[NS_USER].present && !out->ns[NS_USER].path && (!out->uids.n || !out->gids.n))
		return json_error(p->err, lin, "a user namespace needs uidMappings and gidMappings");
	return 0;
}

static int parse_time_offset(struct parse *p, const struct json *offsets, const char *key, struct spec_time_offset *out)
{
	struct json *o = NULL;
	struct opt_i64 sec = { 0 }, nsec = { 0 };

	if (json_get_object(offsets, key, &o, p->err) < 0)
		return -1;
	if (!o)
		return 0;
	if (json_get_i64(o, "secs", INT64_MIN, INT64_MAX, &sec, p->err) < 0 ||
	    json_get_i64(o, "nanosecs", 0, 999999999, &nsec, p->err) < 0)
		return -1;
	*out = (struct spec_time_offset){ true, sec.v, (uint32_t)nsec.v };
	return 0;
}

static int parse_time_offsets(struct parse *p, const struct json *lin, struct spec_linux *out)
{
	struct json *t = NULL;

	if (json_get_object(lin, "timeOffsets", &t, p->err) < 0)
		return -1;
	if (!t)
		return 0;
	json_for_each(m, t) if (strcmp(m->key, "monotonic") != 0 && strcmp(m->key, "boottime") != 0) return json_error(
		p->err, t, "\"%.32s\" is not a clock with an offset: monotonic, boottime", m->key);
	if (parse_time_offset(p, t, "monotonic", &out->monotonic) < 0 ||
	    parse_time_offset(p, t, "boottime", &out->boottime) < 0)
		return -1;
	if ((out->monotonic.set || out->boottime.set) && (!out->ns[NS_TIME].present || out->ns[NS_TIME].path))
		return json_error(p->err, t, "needs a new time namespace, which is not listed");
	return 0;
}

static int parse_device(struct parse *p, const struct json *item, struct spec_device *d)
{
	const char *type = NULL;
	struct opt_i64 major = { 0 }, minor = { 0 };
	struct opt_u32 mode = { true, 0666 }, uid = { 0 }, gid = { 0 };

	if (json_expect(item, JSON_OBJECT, p->err) < 0 || json_need_string(item, "type", &type, p->err) < 0 ||
	    json_need_string(item, "path", &d->path, p->err) < 0 || path_check(item, d->path, p->err) < 0 ||
	    json_get_i64(item, "major", -1, DEV_MAJOR_MAX, &major, p->err) < 0 ||
	    json_get_i64(item, "minor", -1, DEV_MINOR_MAX, &minor, p->err) < 0 ||
	    json_get_u32(item, "fileMode", &mode, p->err) < 0 || json_get_u32(item, "uid", &uid, p->err) < 0 ||
	    json_get_u32(item, "gid", &gid, p->err) < 0)
		return -1;
	d->path = path_clean(p->arena, d->path);
	if (strlen(type) != 1 || !strchr("cubp", type[0]))
		return json_error(p->err, item, "type \"%.16s\" is not one of c, b, u, p", type);
	d->type = type[0] == 'u' ? 'c' : type[0];
	if (d->type != 'p' && (!major.set || !minor.set || major.v < 0 || minor.v < 0))
		return json_error(p->err, item, "%.128s: major and minor are needed", d->path);
	d->major = d->type == 'p' ? 0 : (uint32_t)major.v;
	d->minor = d->type == 'p' ? 0 : (uint32_t)minor.v;
	d->mode = mode.v & 0777; /* engines also send type bits */
	d->uid = uid.v;
	d->gid = gid.v;
	return 0;
}

static int parse_devices(struct parse *p, const struct json *lin, struct spec_linux *out)
{
	struct json *list = NULL;

	if (json_get_array(lin, "devices", &list, p->err) < 0)
		return -1;
	if (!list)
		return 0;
	out->devices = arena_alloc(p->arena, list->n, sizeof(*out->devices));
	json_for_each(item, list) if (parse_device(p, item, &out->devices[out->ndevices++]) < 0) return -1;
	return 0;
}

static int parse_netdevs(struct parse *p, const struct json *lin, struct spec_linux *out)
{
	struct json *map = NULL;

	if (json_get_object(lin, "netDevices", &map, p->err) < 0)
		return -1;
	if (!map)
		return 0;
	out->netdevs = arena_alloc(p->arena, map->n, sizeof(*out->netdevs));
	json_for_each(item, map)
	{
		struct spec_netdev *d = &out->netdevs[out->nnetdevs++];

		d->host_name = d->container_name = item->key;
		if (json_expect(item, JSON_OBJECT, p->err) < 0 ||
		    json_get_string(item, "name", &d->container_name, p->err) < 0)
			return -1;
		if (d->container_name[0] == '\0')
			d->container_name = d->host_name;
		if (!ifname_valid(d->host_name) || !ifname_valid(d->container_name))
			return json_error(p->err, item, "is not an interface name of 1 to 15 bytes");
	}
	if (map->n && !out->ns[NS_NETWORK].present)
		return json_error(p->err, map, "needs a network namespace, which is not listed");
	return 0;
}

static int parse_paths(struct parse *p, const struct json *lin, const char *key, struct strings *out)
{
	struct json *list;

	if (json_get_strings(p->arena, lin, key, out, p->err) < 0)
		return -1;
	list = json_member(lin, key);
	json_for_each(item, list) if (path_check(item, item->text, p->err) < 0) return -1;
	for (size_t i = 0; i < out->n; i++)
		out->v[i] = path_clean(p->arena, out->v[i]);
	return 0;
}

/* Dots or slashes between the parts; a slash in a name with dots is a dot ("net.ipv4.conf.eth0/100.forwarding"). */
static bool sysctl_valid(const char *name)
{
	char last = '.';

	if (strlen(name) > 255)
		return false;
	for (; *name; name++) {
		bool separator = *name == '.' || *name == '/';

		if (separator && (last == '.' || last == '/'))
			return false;
		if (!separator && !isalnum((unsigned char)*name) && !strchr("_-:@", *name))
			return false;
		last = *name;
	}
	return last != '.' && last != '/';
}

static int parse_sysctl(struct parse *p, const struct json *lin, struct spec_linux *out)
{
	if (json_get_map(p->arena, lin, "sysctl", &out->sysctl, p->err) < 0)
		return -1;
	for (size_t i = 0; i < out->sysctl.n; i++)
		if (!sysctl_valid(out->sysctl.v[i].key))
			return json_error(p->err, json_member(lin, "sysctl"), "\"%.64s\" is not the name of a sysctl",
					  out->sysctl.v[i].key);
	return 0;
}

static int parse_personality(struct parse *p, const struct json *lin, struct spec_linux *out)
{
	struct json *o = NULL, *flags = NULL;
	const char *domain = NULL;

	if (json_get_object(lin, "personality", &o, p->err) < 0)
		return -1;
	if (!o)
		return 0;
	if (json_need_string(o, "domain", &domain, p->err) < 0 || json_get_array(o, "flags", &flags, p->err) < 0)
		return -1;
	if (flags && flags->n)
		return json_error(p->err, flags, "no personality flags exist");
	if (strcmp(domain, "LINUX") == 0)
		out->personality = (struct opt_u32){ true, PER_LINUX };
	else if (strcmp(domain, "LINUX32") == 0)
		out->personality = (struct opt_u32){ true, PER_LINUX32 };
	else
		return json_error(p->err, o, "domain \"%.32s\" is neither LINUX nor LINUX32", domain);
	return 0;
}

static int parse_scalars(struct parse *p, const struct json *lin, struct spec_linux *out)
{
	const char *propagation = NULL;

	if (json_get_string(lin, "cgroupsPath", &out->cgroups_path, p->err) < 0 ||
	    json_get_string(lin, "mountLabel", &out->mount_label, p->err) < 0 ||
	    json_get_string(lin, "rootfsPropagation", &propagation, p->err) < 0)
		return -1;
	if (out->cgroups_path && out->cgroups_path[0] == '\0')
		out->cgroups_path = NULL;
	if (out->mount_label && out->mount_label[0] == '\0')
		out->mount_label = NULL;
	if (out->mount_label)
		parse_warn(p, "linux.mountLabel is ignored: the container's kernel has no SELinux");
	if (propagation && propagation[0]) {
		out->rootfs_propagation = propagation_parse(propagation);
		if (out->rootfs_propagation == UINT64_MAX)
			return json_error(p->err, json_member(lin, "rootfsPropagation"),
					  "\"%.32s\" is not shared, slave, private or unbindable", propagation);
	}
	return 0;
}

int parse_linux(struct parse *p, const struct json *lin, struct spec *spec)
{
	struct spec_linux *out = &spec->lin;
	struct json *resources = NULL, *seccomp = NULL, *rdt = NULL, *policy = NULL;

	if (parse_namespaces(p, lin, out) < 0 || parse_user_ns(p, lin, out) < 0 ||
	    parse_time_offsets(p, lin, out) < 0 || parse_devices(p, lin, out) < 0 || parse_netdevs(p, lin, out) < 0 ||
	    parse_scalars(p, lin, out) < 0 || parse_paths(p, lin, "maskedPaths", &out->masked_paths) < 0 ||
	    parse_paths(p, lin, "readonlyPaths", &out->readonly_paths) < 0 || parse_sysctl(p, lin, out) < 0 ||
	    parse_personality(p, lin, out) < 0)
		return -1;
	if (json_get_object(lin, "resources", &resources, p->err) < 0 ||
	    json_get_object(lin, "seccomp", &seccomp, p->err) < 0 ||
	    json_get_object(lin, "intelRdt", &rdt, p->err) < 0 ||
	    json_get_object(lin, "memoryPolicy", &policy, p->err) < 0)
		return -1;
	if ((resources && parse_resources(p, resources, &out->resources) < 0) ||
	    (seccomp && parse_seccomp(p, seccomp, &out->seccomp) < 0) || (rdt && parse_rdt(p, rdt, &out->rdt) < 0) ||
	    (policy && parse_mempolicy(p, policy, &out->mempolicy) < 0))
		return -1;
	return 0;
}
