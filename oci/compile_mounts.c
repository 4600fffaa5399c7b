/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's file systems.
 *
 * Each mount of config.json is first classified by what it can be in a VM: some kinds need work before the root exists.
 *
 * 	FS	a file system of the guest's kernel: proc, tmpfs, devpts...
 * 	SHARE	a host path: virtio-fs, then a bind in the guest
 * 	HOSTFS	a file system that only the host can mount (overlay, nfs...): the host mounts it, then a SHARE
 * 	GUEST	a path that both kernels have, each its own: /proc, /sys, /dev/null...: a bind of the guest's
 * 	SHM	the engine's tmpfs for /dev/shm: one tmpfs of the guest, the same for all containers that name it
 * 	DISK	a block device
 * 	SOCKET	a UNIX socket: the agent listens in its place, and the host connects to the real one
 *
 * What cannot work across two kernels (fifos, foreign devices) is refused by name.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "oci/compile_internal.h"
#include "oci/spec_internal.h"

#define BIND_FLAGS                                                                                                  \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME | \
	 256 /* MS_NOSYMFOLLOW */)

#define INHERITED_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

enum kind { KIND_FS, KIND_SHARE, KIND_HOSTFS, KIND_GUEST, KIND_SHM, KIND_DISK, KIND_SOCKET };

struct item {
	enum kind kind;
	const char *source; /* SHARE: absolute host path; GUEST, SHM: guest path */
	const char *shm_name;
	const char *sock_name;
	struct plan_socket sock;
	uint64_t shm_bytes;
	uint64_t flags; /* SHARE: what the source's own mount forbids, a bind of it forbids, too */
	bool is_file;
	int disk; /* DISK: its number */
};

static int refuse(struct compile *c, size_t index, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int refuse(struct compile *c, size_t index, const char *fmt, ...)
{
	char why[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return error_set(c->err, 0, "mounts[%zu] (%.256s): %s", index, c->spec->mounts[index].destination, why);
}

/* Is @path @dir itself or below it? Both cleaned. */
static bool path_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1) /* "/" */
		return true;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* ---- classification ---- */

/* Types that the guest's kernel mounts by itself. */
static bool is_guest_fs(const char *type)
{
	static const char *const types[] = {
		"bpf",	  "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl",	   "hugetlbfs",
		"mqueue", "proc",   "pstore",  "ramfs",	   "sysfs",   "tmpfs",	"tracefs",  "binfmt_misc", "securityfs",
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

/*
 * Where a file system that is a view into a kernel lies in the guest, too: NULL when @magic is no such one.
 */
static const char *kernel_fs_home(uint64_t magic)
{
	switch (magic) {
	case PROC_SUPER_MAGIC:
	case BINFMTFS_MAGIC:
		return "/proc";
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case BPF_FS_MAGIC:
	case PSTOREFS_MAGIC:
	case EFIVARFS_MAGIC:
	case 0x62656570: /* configfs */
		return "/sys";
	case DEVPTS_SUPER_MAGIC:
	case 0x19800202: /* mqueue */
		return "/dev";
	default:
		return NULL;
	}
}

/* A bind of the host's /proc, /sys or /dev would show another kernel than the one the container talks to. */
static int classify_kernel_fs(struct compile *c, size_t index, const char *home, struct item *it)
{
	if (!path_within(it->source, home))
		return refuse(c, index, "%.256s is a view into the host's kernel; the container has its own",
			      it->source);
	compile_warn(c, "mounts[%zu]: %.256s is the guest's own, not the host's", index, it->source);
	it->kind = KIND_GUEST;
	return 0;
}

static int classify_device(struct compile *c, size_t index, const struct source_facts *f, struct item *it)
{
	const struct spec_mount *m = &c->spec->mounts[index];
	const char *guest;

	if (f->kind == SOURCE_BLOCK) {
		char what[48];

		snprintf(what, sizeof(what), "mounts[%zu]", index);
		it->kind = KIND_DISK;
		it->disk = disk_add(c, what, it->source, f->major, f->minor, m->flags & MS_RDONLY);
		return it->disk < 0 ? -1 : 0;
	}
	guest = guest_device('c', f->major, f->minor);
	if (!guest)
		return refuse(c, index, "%.256s is a device (%u:%u) of the host's kernel; the container has its own",
			      it->source, f->major, f->minor);
	it->kind = KIND_GUEST;
	it->source = guest;
	return 0;
}

static uint64_t hash_text(const char *s)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

static void classify_shm(struct compile *c, const struct source_facts *f, struct item *it)
{
	it->shm_name = arena_printf(c->arena, "shm-%016" PRIx64, hash_text(it->source));
	it->shm_bytes = f->fs_bytes;
	it->source = arena_printf(c->arena, "%s/%s", PLAN_TMPFS, it->shm_name);
	it->kind = KIND_SHM;
}

static int classify_socket(struct compile *c, size_t index, const struct source_facts *f, struct item *it)
{
	struct host_plan *h = c->host;

	if (!(c->in->host_serves & HOST_SERVES_SOCKETS))
		return refuse(
			c, index,
			"%.256s is a socket: who listens to it is on the host's kernel, the container has its own; "
			"use a network address instead",
			it->source);
	it->kind = KIND_SOCKET;
	it->sock_name = arena_printf(c->arena, "%sk%zu", c->in->share_prefix, h->nsockets);
	it->sock = (struct plan_socket){ .mode = f->mode, .uid = f->uid, .gid = f->gid };
	h->sockets = arena_grow(c->arena, h->sockets, h->nsockets, sizeof(*h->sockets));
	h->sockets[h->nsockets++].source = arena_strdup(c->arena, it->source);
	it->source = arena_printf(c->arena, "%s/%s", PLAN_SOCKETS, it->sock_name);
	return 0;
}

static int classify_bind(struct compile *c, size_t index, struct item *it)
{
	const struct spec_mount *m = &c->spec->mounts[index];
	struct source_facts f = { .kind = SOURCE_DIR };
	const char *home;
	int r;

	it->kind = KIND_SHARE;
	it->source = m->source[0] == '/' ? m->source : arena_printf(c->arena, "%s/%s", c->in->bundle, m->source);
	it->source = path_clean(c->arena, it->source);
	r = c->in->stat_source ? c->in->stat_source(c->in->ctx, it->source, &f) : 0;
	if (r < 0)
		return error_set(c->err, -r, "mounts[%zu] (%.256s): source \"%.256s\"", index, m->destination,
				 it->source);
	it->is_file = f.kind != SOURCE_DIR;
	it->flags = f.mount_flags & ~m->flags_clear & INHERITED_FLAGS;
	switch (f.kind) {
	case SOURCE_BLOCK:
	case SOURCE_CHAR:
		return classify_device(c, index, &f, it);
	case SOURCE_SOCKET:
		return classify_socket(c, index, &f, it);
	case SOURCE_FIFO:
		return refuse(c, index, "%.256s is a fifo: it cannot connect processes of two kernels", it->source);
	case SOURCE_DIR:
	case SOURCE_FILE:
		break;
	}
	home = kernel_fs_home(f.fs_magic);
	if (home)
		return classify_kernel_fs(c, index, home, it);
	if (f.fs_magic == HUGETLBFS_MAGIC)
		return refuse(c, index,
			      "%.256s is the host's huge pages; use a mount of type hugetlbfs, which is the guest's",
			      it->source);
	if (f.fs_magic == NSFS_MAGIC)
		return refuse(c, index, "%.256s is a namespace of the host's kernel", it->source);
	if (f.fs_magic == TMPFS_MAGIC && f.kind == SOURCE_DIR && strcmp(m->destination, "/dev/shm") == 0)
		classify_shm(c, &f, it);
	else if (f.kind == SOURCE_DIR && path_within(it->source, "/dev") && !path_within(it->source, "/dev/shm"))
		return strcmp(it->source, "/dev") == 0
			       ? classify_kernel_fs(c, index, "/dev", it)
			       : refuse(c, index, "%.256s holds device nodes of the host's kernel", it->source);
	return 0;
}

/* What runc lets be mounted over single files of /proc (its answer to CVE-2019-16884 and -19921). */
static bool proc_file_allowed(const char *path)
{
	static const char *const files[] = {
		"/proc/cpuinfo",
		"/proc/diskstats",
		"/proc/meminfo",
		"/proc/stat",
		"/proc/swaps",
		"/proc/uptime",
		"/proc/loadavg",
		"/proc/slabinfo",
		"/proc/net/dev",
		"/proc/sys/kernel/ns_last_pid",
		"/proc/sys/crypto/fips_enabled",
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(files[i], path) == 0)
			return true;
	return false;
}

static int check_over_proc(struct compile *c, size_t index, const struct item *it)
{
	const struct spec_mount *m = &c->spec->mounts[index];
	bool is_proc = (m->type && strcmp(m->type, "proc") == 0) ||
		       (it->kind == KIND_GUEST && path_within(it->source, "/proc"));

	if (!path_within(m->destination, "/proc") || (m->flags & MS_REMOUNT))
		return 0;
	if (strcmp(m->destination, "/proc") == 0)
		return is_proc ? 0 : refuse(c, index, "only a proc file system can be mounted at /proc");
	if (is_proc || (m->type && strcmp(m->type, "tmpfs") == 0) || proc_file_allowed(m->destination))
		return 0;
	return refuse(c, index, "cannot be mounted because it is inside /proc");
}

/* A file system of the guest's kernel on a file or device of the host's. Anything else is left to the host. */
static int classify_volume(struct compile *c, size_t index, struct item *it)
{
	const struct spec_mount *m = &c->spec->mounts[index];
	const char *source = m->source[0] == '/' ? m->source
						 : arena_printf(c->arena, "%s/%s", c->in->bundle, m->source);
	struct source_facts f = { .kind = SOURCE_DIR };
	char what[48];
	int r;

	source = path_clean(c->arena, source);
	r = c->in->stat_source ? c->in->stat_source(c->in->ctx, source, &f) : 0;
	if (r < 0 && disk_type_known(m->type))
		return error_set(c->err, -r, "mounts[%zu] (%.256s): source \"%.256s\"", index, m->destination, source);
	if (r < 0 || (f.kind != SOURCE_FILE && f.kind != SOURCE_BLOCK))
		return 0;
	if (!disk_type_known(m->type))
		return f.kind == SOURCE_BLOCK
			       ? 0
			       : refuse(c, index,
					"an image with a file system of type %.32s cannot be mounted: the container's "
					"kernel has ext2, ext3, ext4, erofs and squashfs",
					m->type);
	snprintf(what, sizeof(what), "mounts[%zu]", index);
	it->kind = KIND_GUEST;
	it->source = disk_volume(c, what, m, source, &f);
	return it->source ? 0 : -1;
}

static int classify(struct compile *c, size_t index, struct item *it)
{
	const struct spec_mount *m = &c->spec->mounts[index];

	it->kind = KIND_FS;
	if (m->flags & MS_REMOUNT)
		return 0;
	if (m->bind) {
		if (classify_bind(c, index, it) < 0)
			return -1;
	} else if (!is_guest_fs(m->type)) {
		it->kind = KIND_HOSTFS;
		if (classify_volume(c, index, it) < 0)
			return -1;
		if (it->kind == KIND_HOSTFS && !(c->in->host_serves & HOST_SERVES_FSTYPE))
			return refuse(c, index,
				      "a file system of type %.32s cannot be mounted for a container; mount it "
				      "on the host and use a bind mount",
				      m->type);
	}
	return check_over_proc(c, index, it);
}

/* ---- the host's part ---- */

static struct share *share_new(struct compile *c, const char *source, int mount_index)
{
	struct host_plan *h = c->host;
	struct share *s;

	h->shares = arena_grow(c->arena, h->shares, h->nshares, sizeof(*h->shares));
	s = &h->shares[h->nshares];
	s->name = arena_printf(c->arena, "%s%zu", c->in->share_prefix, h->nshares);
	s->source = arena_strdup(c->arena, source);
	s->mount_index = mount_index;
	h->nshares++;
	return s;
}

static int share_idmap(struct compile *c, size_t index, struct share *s)
{
	const struct spec_mount *m = &c->spec->mounts[index];

	if (m->idmap == IDMAP_NONE)
		return 0;
	s->idmap = m->idmap;
	s->uids = m->uids.n ? m->uids : c->spec->lin.uids;
	s->gids = m->gids.n ? m->gids : c->spec->lin.gids;
	if (!s->uids.n || !s->gids.n)
		return refuse(c, index,
			      "the option idmap needs mappings: none are given, and there is no user namespace "
			      "to take them from");
	if (!(c->in->host_serves & HOST_SERVES_IDMAP))
		return refuse(c, index, "mapping the ids of a mount is not possible here");
	return 0;
}

/* Must exist before anything can be mounted there. Below another mount it is the guest's to make. */
static void mountpoint_add(struct compile *c, const char *path, size_t nmounts, bool is_file)
{
	struct host_plan *h = c->host;

	if (strcmp(path, "/") == 0)
		return;
	for (size_t i = 0; i < nmounts; i++)
		if (strcmp(c->spec->mounts[i].destination, path) != 0 &&
		    path_within(path, c->spec->mounts[i].destination))
			return;
	h->mountpoints = arena_grow(c->arena, h->mountpoints, h->nmountpoints, sizeof(*h->mountpoints));
	h->mountpoints[h->nmountpoints++] = (struct mountpoint){ arena_strdup(c->arena, path), is_file };
}

/* ---- the guest's part ---- */

static void mount_op(struct plan_writer *w, const struct plan_mount *pm, const char *source, const char *target,
		     const char *fstype, const char *data)
{
	plan_op_begin(w, OP_MOUNT);
	plan_put(w, pm, sizeof(*pm));
	plan_put_string(w, source);
	plan_put_string(w, target);
	plan_put_string(w, fstype);
	plan_put_string(w, data);
	plan_op_end(w);
}

static void bind_op(struct compile *c, const struct spec_mount *m, const char *guest_path, uint64_t flags,
		    uint64_t without, bool recursive)
{
	const struct plan_mount pm = {
		.flags = (((m->flags & BIND_FLAGS) | flags) & ~without) | MS_BIND | (recursive ? MS_REC : 0),
		.attr_set = m->rec_attr_set,
		.attr_clr = m->rec_attr_clear,
		.propagation = m->propagation,
		.opts = PLAN_MOUNT_BIND,
	};

	mount_op(&c->w, &pm, guest_path, m->destination, "", "");
}

static void fs_op(struct compile *c, const struct spec_mount *m)
{
	bool cgroup = m->type && (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0);
	struct plan_mount pm = {
		.flags = m->flags | (m->bind && (m->flags & MS_REMOUNT) ? MS_BIND : 0),
		.attr_set = m->rec_attr_set,
		.attr_clr = m->rec_attr_clear,
		.propagation = m->propagation,
		.opts = (cgroup ? PLAN_MOUNT_CGROUP : 0) | (m->copyup ? PLAN_MOUNT_COPYUP : 0),
	};

	/* nodes are still to be made in it; it becomes read-only afterwards */
	if (strcmp(m->destination, "/dev") == 0 && !(m->flags & MS_REMOUNT))
		pm.flags &= ~(uint64_t)MS_RDONLY;
	mount_op(&c->w, &pm, cgroup ? "cgroup2" : m->source, m->destination,
		 cgroup	   ? "cgroup2"
		 : m->type ? m->type
			   : "",
		 cgroup ? "" : m->data);
}

static int share_op(struct compile *c, size_t index, const struct item *it)
{
	const struct spec_mount *m = &c->spec->mounts[index];
	struct share *s = share_new(c, it->kind == KIND_HOSTFS ? m->source : it->source, (int)index);

	s->readonly = (m->flags & MS_RDONLY) != 0;
	s->readonly_tree = (m->rec_attr_set & MOUNT_ATTR_RDONLY) != 0;
	s->recursive = m->recursive;
	/* the guest's kernel lets submounts inherit the flag of the mount that it finds them in */
	s->writable_below = s->readonly && !s->readonly_tree && s->recursive && !it->is_file && c->in->has_submounts &&
			    c->in->has_submounts(s->source);
	s->is_file = it->is_file;
	s->propagation = m->propagation;
	s->dax = c->spec->husk.dax == HUSK_DAX_ALL && (s->readonly || s->readonly_tree) && !s->writable_below;
	if (it->kind == KIND_HOSTFS) {
		s->fstype = arena_strdup(c->arena, m->type);
		s->fs_data = arena_strdup(c->arena, m->data);
		s->fs_flags = m->flags;
	}
	if (m->propagation & MS_SHARED)
		compile_warn(c, "mounts[%zu] (%.256s): what the container mounts below it does not appear on the host",
			     index, m->destination);
	if (share_idmap(c, index, s) < 0)
		return -1;
	bind_op(c, m, arena_printf(c->arena, "%s/%s", PLAN_SHARES, s->name), it->flags,
		s->writable_below ? MS_RDONLY : 0, m->recursive);
	return 0;
}

static int mount_emit(struct compile *c, size_t index, const struct item *it)
{
	const struct spec_mount *m = &c->spec->mounts[index];

	switch (it->kind) {
	case KIND_FS:
		fs_op(c, m);
		break;
	case KIND_SHARE:
	case KIND_HOSTFS:
		if (share_op(c, index, it) < 0)
			return -1;
		break;
	case KIND_GUEST:
	case KIND_SHM:
	case KIND_SOCKET:
		bind_op(c, m, it->source, 0, 0, m->recursive || it->kind == KIND_GUEST);
		break;
	case KIND_DISK:
		disk_node_op(c, it->disk, &(struct spec_device){ .path = m->destination, .mode = 0660 });
		return 0;
	}
	if (!(m->flags & MS_REMOUNT))
		mountpoint_add(c, m->destination, index, it->is_file);
	return 0;
}

/* ---- /dev ---- */

bool path_is_shared(const struct compile *c, const char *path)
{
	const struct spec *spec = c->spec;

	/* the last mount that covers it decides */
	for (size_t i = spec->nmounts; i-- > 0;)
		if (!(spec->mounts[i].flags & MS_REMOUNT) && path_within(path, spec->mounts[i].destination))
			return c->items[i].kind == KIND_SHARE || c->items[i].kind == KIND_HOSTFS;
	return !path_within(path, "/dev"); /* which always has a mount */
}

void device_bind_op(struct compile *c, const char *guest_path, const char *path)
{
	const struct plan_mount pm = { .flags = MS_BIND, .opts = PLAN_MOUNT_BIND };

	mount_op(&c->w, &pm, guest_path, path, "", "");
	mountpoint_add(c, path, c->spec->nmounts, true);
}

static const struct spec_mount *dev_mount(const struct spec *spec)
{
	for (size_t i = 0; i < spec->nmounts; i++)
		if (strcmp(spec->mounts[i].destination, "/dev") == 0)
			return &spec->mounts[i];
	return NULL;
}

/* An image's own /dev is on the host, where the container cannot make device nodes: it gets a tmpfs. */
static void dev_tmpfs_op(struct compile *c)
{
	const struct plan_mount pm = { .flags = MS_NOSUID | MS_STRICTATIME };

	mount_op(&c->w, &pm, "tmpfs", "/dev", "tmpfs", "mode=755,size=65536k");
	mountpoint_add(c, "/dev", 0, false);
}

static void dev_links_ops(struct compile *c)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },	      { "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" }, { "/proc/self/fd/2", "/dev/stderr" },
		{ "pts/ptmx", "/dev/ptmx" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		plan_op_strings(&c->w, OP_SYMLINK, links[i][0], links[i][1]);
}

static void dev_readonly_ops(struct compile *c, const struct spec_mount *dev)
{
	const struct plan_mount console = { .flags = MS_BIND, .opts = PLAN_MOUNT_BIND };
	const struct plan_mount pm = { .flags = (dev->flags & BIND_FLAGS) | MS_REMOUNT | MS_BIND };

	/* the terminal is bound to a file that cannot be made later */
	if (c->spec->process && c->spec->process->terminal)
		mount_op(&c->w, &console, "/dev/null", "/dev/console", "", "");
	mount_op(&c->w, &pm, "none", "/dev", "", "");
}

/* ---- the whole ---- */

static int root_op(struct compile *c)
{
	const struct spec *spec = c->spec;
	struct plan_root root = { .propagation = 0 }; /* as the mounts themselves ask */
	const char *source = spec->root_path;
	struct share *s;

	if (c->in->root_disk) {
		root.propagation = spec->lin.rootfs_propagation;
		source = disk_root(c, c->in->root_disk);
		if (!source)
			return -1;
		plan_op_begin(&c->w, OP_ROOT);
		plan_put(&c->w, &root, sizeof(root));
		plan_put_string(&c->w, source);
		plan_op_end(&c->w);
		return 0;
	}
	if (source[0] != '/')
		source = arena_printf(c->arena, "%s/%s", c->in->bundle, source);
	s = share_new(c, path_clean(c->arena, source), -1);
	s->is_root = true;
	s->recursive = true;
	s->readonly = spec->root_readonly;
	s->propagation = spec->lin.rootfs_propagation;
	s->dax = s->readonly && spec->husk.dax != HUSK_DAX_NONE;
	if (spec->lin.rootfs_propagation)
		root.propagation = spec->lin.rootfs_propagation;
	plan_op_begin(&c->w, OP_ROOT);
	plan_put(&c->w, &root, sizeof(root));
	plan_put_string(&c->w, arena_printf(c->arena, "%s/%s", PLAN_PRIVATE, s->name));
	plan_op_end(&c->w);
	return 0;
}

static void shm_ops(struct compile *c)
{
	for (size_t i = 0; i < c->spec->nmounts; i++) {
		const struct item *it = &c->items[i];
		const char *data = "mode=1777";

		if (it->kind != KIND_SHM)
			continue;
		if (it->shm_bytes)
			data = arena_printf(c->arena, "mode=1777,size=%" PRIu64, it->shm_bytes);
		plan_op_strings(&c->w, OP_VM_TMPFS, it->shm_name, data);
	}
}

static void socket_ops(struct compile *c)
{
	for (size_t i = 0; i < c->spec->nmounts; i++) {
		const struct item *it = &c->items[i];

		if (it->kind != KIND_SOCKET)
			continue;
		plan_op_begin(&c->w, OP_SOCKET);
		plan_put(&c->w, &it->sock, sizeof(it->sock));
		plan_put_string(&c->w, it->sock_name);
		plan_op_end(&c->w);
	}
}

int rootfs_ops(struct compile *c)
{
	const struct spec *spec = c->spec;
	const struct spec_mount *dev = dev_mount(spec);
	const struct plan_pivot pivot = { 0 };

	c->items = arena_alloc(c->arena, spec->nmounts, sizeof(*c->items));
	for (size_t i = 0; i < spec->nmounts; i++)
		if (classify(c, i, &c->items[i]) < 0)
			return -1;
	shm_ops(c);
	socket_ops(c);
	if (root_op(c) < 0)
		return -1;
	if (!dev)
		dev_tmpfs_op(c);
	for (size_t i = 0; i < spec->nmounts; i++)
		if (mount_emit(c, i, &c->items[i]) < 0)
			return -1;
	if (spec->process)
		mountpoint_add(c, path_clean(c->arena, spec->process->cwd), spec->nmounts, false);
	if (!dev || !dev->bind) { /* a bound /dev is used as it is */
		if (devices_ops(c) < 0)
			return -1;
		dev_links_ops(c);
		if (dev && (dev->flags & MS_RDONLY))
			dev_readonly_ops(c, dev);
	}
	plan_op_data(&c->w, OP_PIVOT, &pivot, sizeof(pivot));
	if (spec->root_readonly)
		plan_op_data(&c->w, OP_REMOUNT_ROOT, NULL, 0);
	return 0;
}
