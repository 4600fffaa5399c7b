/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan compiler: a checked spec becomes a guest plan (flat bytes, agent/plan.h) and a host plan (what the runtime
 * must do on this side). Pure: touches no file, process or socket; what it must know of the host it asks by callback.
 *
 * Who enforces what: memory, pids, hugetlb and device limits, users, capabilities, seccomp, mounts: the guest. CPU
 * bandwidth and weight: both. cpusets, block I/O, swap, resctrl, NUMA policy: the host. docs/config.md has the table.
 */
#ifndef HUSK_OCI_COMPILE_H
#define HUSK_OCI_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "spec.h"

enum source_kind { SOURCE_DIR, SOURCE_FILE, SOURCE_SOCKET, SOURCE_FIFO, SOURCE_BLOCK, SOURCE_CHAR };

struct source_facts {
	enum source_kind kind;	 /* symbolic links followed */
	uint64_t fs_magic;	 /* statfs f_type */
	uint64_t fs_bytes;	 /* statfs f_blocks * f_frsize */
	uint32_t major, minor;	 /* st_rdev of a device */
	uint32_t mode, uid, gid; /* permission bits and owner */
	uint64_t mount_flags;	 /* MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC of the mount it lies on */
	uint64_t device_bytes;	 /* size of a block device */
};

/* What the runtime does on the host's side; a config that needs something else is refused by the compiler. */
#define HOST_SERVES_DISKS 1u	  /* host_plan.disks */
#define HOST_SERVES_IDMAP 2u	  /* share.idmap */
#define HOST_SERVES_FSTYPE 4u	  /* share.fstype */
#define HOST_SERVES_RDT 8u	  /* spec.lin.rdt */
#define HOST_SERVES_MEMPOLICY 16u /* spec.lin.mempolicy, by set_mempolicy(2) in the VMM's process */
#define HOST_SERVES_NETDEVS 32u	  /* spec.lin.netdevs */
#define HOST_SERVES_SOCKETS 64u	  /* host_plan.sockets */

/* A root file system that lies on a block device which nobody writes to: the guest mounts it itself. */
struct root_disk {
	const char *source; /* host path of the device */
	const char *fstype;
	uint32_t major, minor;
};

struct compile_input {
	const char *cid;
	const char *bundle;	  /* absolute */
	const char *share_prefix; /* share names are PREFIX0, PREFIX1... */
	bool joins_vm;		  /* a further container of a pod VM: namespaces with a path join `sandbox_cid` */
	const char *sandbox_cid;
	unsigned host_serves;		   /* HOST_SERVES_* */
	const struct root_disk *root_disk; /* NULL: the root is shared */
	const char *state_json;		   /* for startContainer hooks' stdin, may be NULL */

	/* Facts about a bind's source. Returns 0 or a negative errno. NULL: every source is taken for a directory. */
	int (*stat_source)(void *ctx, const char *path, struct source_facts *out);
	/* Is something mounted below this directory? NULL: nothing is. */
	bool (*has_submounts)(const char *path);
	/*
	 * Which container of this VM owns the namespace @path? Its id in *cid to join it, "" to make a new one of that
	 * kind (a pinned namespace that nobody of this VM has used yet). Returns 0, or -1 when it is foreign to this
	 * VM. NULL: sandbox_cid when joins_vm; else foreign, or new when the annotations name a sandbox.
	 */
	int (*namespace_owner)(void *ctx, enum spec_ns_type type, const char *path, const char **cid);
	void *ctx;
};

/*
 * One thing of the host that the guest must see through virtio-fs. When fstype is set, the host must first mount
 * (source, fstype, fs_flags, fs_data) in a private place and share the mount's root.
 */
struct share {
	char *name;	      /* file name under PLAN_SHARES, of a root under PLAN_PRIVATE; unique in the VM */
	char *source;	      /* absolute host path, as config.json says; with fstype: what mount(2) takes */
	bool readonly;	      /* the top mount */
	bool readonly_tree;   /* rro: all submounts too */
	bool writable_below;  /* readonly, but with submounts that are not: the host's mount alone enforces it */
	bool recursive;	      /* rbind: submounts too */
	bool is_root;	      /* the container's rootfs */
	bool is_file;	      /* not a directory */
	bool dax;	      /* the guest maps its files from the host's page cache */
	uint64_t propagation; /* MS_SLAVE...: what the mount asked for, 0: nothing */
	enum spec_mount_idmap idmap;
	struct spec_idmaps uids, gids; /* of the idmapped bind to make; point into the spec */
	char *fstype, *fs_data;	       /* NULL for a bind */
	uint64_t fs_flags;
	int mount_index; /* config.json's mounts[n], -1 for the root */
};

/* A mount point, or the process's cwd, that must exist in the rootfs; matters when the root's share is read-only. */
struct mountpoint {
	char *path; /* inside the rootfs: to be made with RESOLVE_IN_ROOT */
	bool is_file;
};

#define HOST_DISKS_MAX 8u /* of one VM */

/* To become a virtio disk: a block device of linux.devices or of a bind, or what a file system lies on. */
struct host_disk {
	char *what;   /* "mounts[3]", for messages */
	char *source; /* absolute host path; of linux.devices the path in the container: the numbers tell the device */
	char *serial; /* by which the guest finds it */
	uint32_t major, minor; /* of the device; 0, 0: a file */
	bool is_device;
	bool readonly;
	uint64_t read_bps, write_bps, read_iops, write_iops; /* linux.resources.blockIO; 0: no limit */
};

struct host_socket {  /* bind of a UNIX socket: connections to it come by WIRE_CALL; numbered as they stand here */
	char *source; /* absolute host path */
};

enum host_net { HOST_NET_NONE, HOST_NET_NEW, HOST_NET_PATH };

struct host_plan {
	struct share *shares;
	size_t nshares;
	struct mountpoint *mountpoints;
	size_t nmountpoints;
	struct host_disk *disks;
	size_t ndisks;
	struct host_socket *sockets;
	size_t nsockets;
	enum host_net net;		 /* NONE: no NIC at all (annotation run.husk.network) */
	const char *net_path;		 /* HOST_NET_PATH; points into the spec */
	uint64_t memory_limit;		 /* bytes, the container's or the announced one of its pod; 0: none */
	uint32_t vcpus;			 /* wished: ceil(quota/period), bounded by the cpuset's size; 0: no wish */
	struct spec_resources resources; /* what the host's cgroup enforces; pointers into the spec. See cgroup2.h */
	uint32_t warnings;		 /* count of warn[] */
	char **warn; /* what is ignored on purpose, one line each; the spec's own warnings come first */
	struct arena *arena;
};

struct buf {
	uint8_t *data;
	size_t len, cap;
};

/* Does the guest's kernel have this file system of disks? */
bool disk_type_known(const char *type);

/**
 * compile_container() - the plans of a container
 * @plan:	out, bytes of kind PLAN_CONTAINER; release with buf_free()
 * @host:	out; release with host_plan_free(). Some members point into @spec, which must outlive it
 *
 * A spec without process compiles (create is legal); start must refuse it.
 * Returns 0, or -1 with *err filled, in which case both outputs are empty.
 */
int compile_container(const struct spec *spec, const struct compile_input *in, struct buf *plan, struct host_plan *host,
		      struct error *err);

/* Plan of one further process (exec) of container @cid. @container may be NULL; it tells the default seccomp filter. */
int compile_process(const struct spec_process *process, const struct spec *container, const char *cid, struct buf *plan,
		    struct error *err);

/* Plan of changed limits. Members that are unset stay unchanged. The host's part: resources_for_host(). */
int compile_update(const struct spec_resources *resources, const char *cid, struct buf *plan, struct error *err);

/* The members of @all that the host's cgroup enforces; shallow: points into @all's document. */
void resources_for_host(const struct spec_resources *all, struct spec_resources *host);

void buf_free(struct buf *b);
void host_plan_free(struct host_plan *h);

#endif
