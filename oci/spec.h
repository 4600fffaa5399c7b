/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI documents as checked, typed data: config.json (struct spec), process.json of exec (struct spec_process) and
 * the resources document of update (struct spec_resources). Everything here has been range-checked and every
 * enumeration resolved to the kernel's numbers; no member needs to be looked at as text again, except names and paths.
 *
 * Ownership: each parsed document owns one arena, and every pointer inside it points into that arena. Nothing is freed
 * piecewise: spec_free(), process_free(), resources_free() release the whole document. So a shallow copy
 * (`struct spec_process p = *spec->process;`) whose members are then pointed elsewhere is a legal way to build a
 * variant, and a zeroed struct spec_resources is a legal empty one; both only must never be given to the free
 * functions.
 *
 * "unset" of an optional number is .set == false. JSON null counts as absent, as in Go.
 */
#ifndef HUSK_OCI_SPEC_H
#define HUSK_OCI_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define SPEC_FILE_MAX (16u << 20) /* bytes of a document */

struct arena;

struct opt_bool {
	bool set, v;
};
struct opt_i64 {
	bool set;
	int64_t v;
};
struct opt_u64 {
	bool set;
	uint64_t v;
};
struct opt_u32 {
	bool set;
	uint32_t v;
};

struct strings {
	const char **v; /* n strings, then NULL */
	size_t n;
};

struct spec_pair { /* one member of a string map; a map is in the document's order, keys unique */
	const char *key, *value;
};
struct spec_map {
	struct spec_pair *v;
	size_t n;
};

struct spec_idmap {
	uint32_t container_id, host_id, size;
};
struct spec_idmaps {
	struct spec_idmap *v;
	size_t n;
};

/* ---- process ---- */

struct spec_rlimit {
	int resource;	     /* RLIMIT_* */
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

struct spec_user {
	uint32_t uid, gid;
	struct opt_u32 umask;
	uint32_t *gids; /* additionalGids */
	size_t ngids;
};

struct spec_caps {
	bool set; /* false: no capabilities object: no capability at all, as runc */
	uint64_t bounding, effective, permitted, inheritable, ambient; /* bit n: capability n */
};

struct spec_scheduler {
	bool set;
	uint32_t policy; /* SCHED_* */
	int32_t nice;
	uint32_t priority;
	uint64_t flags;			    /* SCHED_FLAG_* */
	uint64_t runtime, deadline, period; /* ns */
};

struct spec_process {
	bool terminal;
	uint16_t rows, cols; /* consoleSize; 0: not given */
	struct spec_user user;
	struct strings args; /* may be empty in a container's config: start refuses then */
	struct strings env;  /* NAME=value */
	const char *cwd;     /* absolute */
	struct spec_caps caps;
	struct spec_rlimit *rlimits;
	size_t nrlimits;
	bool no_new_privileges;
	struct opt_i64 oom_score_adj; /* -1000..1000 */
	const char *apparmor_profile; /* NULL or not empty */
	const char *selinux_label;    /* NULL or not empty: for the VMM on the host */
	struct spec_scheduler scheduler;
	struct opt_u32 ioprio;			       /* as ioprio_set(2) takes it */
	const char *affinity_initial, *affinity_final; /* CPU lists, NULL: none; exec only */

	struct strings warnings; /* what is ignored on purpose; only of process_parse() (else in the spec) */
	struct arena *arena;	 /* only of process_parse() */
};

/* ---- mounts ---- */

enum spec_mount_idmap { IDMAP_NONE, IDMAP_PLAIN, IDMAP_RECURSIVE };

struct spec_mount {
	const char *destination; /* absolute (a relative one is taken from /), cleaned: no "." "..", no double '/' */
	const char *type;	 /* file system; NULL for a bind */
	const char *source;	 /* bind: absolute host path. Else a name, never NULL */
	bool bind;
	bool recursive;	       /* rbind */
	bool copyup;	       /* tmpcopyup */
	uint64_t flags;	       /* MS_* set; without MS_BIND, MS_REC, propagation */
	uint64_t flags_clear;  /* MS_* that an option cleared (rw, suid, dev, exec...) */
	uint64_t rec_attr_set; /* MOUNT_ATTR_* for the whole tree (rro, rnosuid...) */
	uint64_t rec_attr_clear;
	uint64_t propagation; /* MS_SHARED..., with or without MS_REC; 0: none given */
	const char *data;     /* options for the file system, "" when none */
	enum spec_mount_idmap idmap;
	struct spec_idmaps uids, gids;
};

/* ---- linux ---- */

enum spec_ns_type { NS_PID, NS_NETWORK, NS_MOUNT, NS_IPC, NS_UTS, NS_USER, NS_CGROUP, NS_TIME, NS_COUNT };

/* What config.json and the kernel call each type. */
extern const struct spec_ns_kind {
	const char *name;
	uint32_t clone_flag;
} spec_ns_kinds[NS_COUNT];

struct spec_namespace {
	bool present;	  /* listed in linux.namespaces */
	const char *path; /* NULL: a new one */
};

struct spec_device {
	char type; /* 'c', 'b' or 'p'; 'u' is turned into 'c' */
	const char *path;
	uint32_t major, minor;
	uint32_t mode; /* permission bits */
	uint32_t uid, gid;
};

#define DEV_READ 1u
#define DEV_WRITE 2u
#define DEV_MKNOD 4u

struct spec_device_rule {
	bool allow;
	char type;	      /* 'a', 'b' or 'c' */
	int64_t major, minor; /* -1: any */
	uint32_t access;      /* DEV_* */
};

struct spec_weight_device {
	uint32_t major, minor;
	struct opt_u32 weight, leaf_weight;
};

struct spec_throttle {
	uint32_t major, minor;
	uint64_t rate; /* bytes or operations per second; 0: none */
};

struct spec_throttles {
	struct spec_throttle *v;
	size_t n;
};

struct spec_hugepage {
	const char *page_size; /* "2MB" */
	uint64_t limit;	       /* bytes */
};

struct spec_rdma {
	const char *device;
	struct opt_u32 handles, objects;
};

struct spec_netprio {
	const char *name;
	uint32_t priority;
};

struct spec_resources {
	struct { /* bytes; -1: unlimited. 0 is turned into unset */
		struct opt_i64 limit, reservation, swap /* memory + swap */, kernel, kernel_tcp;
		struct opt_u64 swappiness;
		struct opt_bool disable_oom_killer, use_hierarchy, check_before_update;
	} memory;
	struct { /* 0 is turned into unset, except idle */
		struct opt_u64 shares, burst, period, rt_period;
		struct opt_i64 quota, rt_runtime, idle;
		const char *cpus, *mems; /* NULL: unset */
	} cpu;
	struct opt_i64 pids; /* < 0: unlimited */
	struct {
		struct opt_u32 weight, leaf_weight; /* 10..1000 */
		struct spec_weight_device *weight_devices;
		size_t nweight_devices;
		struct spec_throttles rbps, wbps, riops, wiops;
	} io;
	struct spec_hugepage *hugepages;
	size_t nhugepages;
	struct opt_u32 net_classid;
	struct spec_netprio *netprios;
	size_t nnetprios;
	struct spec_rdma *rdma;
	size_t nrdma;
	struct spec_map unified;
	bool devices_set; /* a devices list was there */
	struct spec_device_rule *devices;
	size_t ndevices;

	struct strings warnings; /* only of resources_parse() */
	struct arena *arena;	 /* only of resources_parse() */
};

struct spec_seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;
	int op; /* enum scmp_compare */
};

struct spec_seccomp_rule {
	struct strings names;
	uint32_t action; /* SCMP_ACT_*, errno included */
	struct spec_seccomp_arg *args;
	size_t nargs;
};

struct spec_seccomp {
	uint32_t default_action; /* SCMP_ACT_* */
	uint32_t *archs;	 /* SCMP_ARCH_*, the native one first */
	size_t narchs;
	uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
	struct spec_seccomp_rule *rules;
	size_t nrules;
};

struct spec_rdt {
	bool set;
	const char *clos_id;	 /* NULL: the container's id */
	struct strings schemata; /* l3CacheSchema, memBwSchema, schemata: in the order to write */
	bool monitoring;	 /* enableMonitoring */
};

struct spec_mempolicy {
	bool set;
	int mode;	     /* MPOL_* */
	uint32_t mode_flags; /* MPOL_F_* */
	const char *nodes;   /* list such as "0-1,3", "" for none */
};

struct spec_netdev {
	const char *host_name;	    /* interface in the runtime's network namespace */
	const char *container_name; /* never NULL */
};

struct spec_time_offset {
	bool set;
	int64_t sec;
	uint32_t nsec;
};

struct spec_linux {
	struct spec_namespace ns[NS_COUNT];
	struct spec_idmaps uids, gids;
	struct spec_time_offset monotonic, boottime;
	struct spec_device *devices;
	size_t ndevices;
	struct spec_netdev *netdevs;
	size_t nnetdevs;
	const char *cgroups_path; /* NULL: none given */
	struct spec_resources resources;
	uint64_t rootfs_propagation;  /* MS_* | MS_REC, 0: none given */
	struct spec_seccomp *seccomp; /* NULL: none */
	struct strings masked_paths, readonly_paths;
	const char *mount_label; /* NULL or not empty */
	struct spec_rdt rdt;
	struct spec_mempolicy mempolicy;
	struct opt_u32 personality; /* PER_LINUX, PER_LINUX32 */
	struct spec_map sysctl;
};

/* ---- hooks ---- */

struct spec_hook {
	const char *path; /* absolute */
	struct strings args, env;
	int timeout; /* seconds, 0: none */
};

enum spec_hook_kind {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
	HOOK_COUNT
};

struct spec_hooks {
	struct spec_hook *v;
	size_t n;
};

/* ---- husk's own annotations, run.husk.* (docs/config.md), and the vm object ---- */

enum husk_net { HUSK_NET_AUTO, HUSK_NET_NONE };
enum husk_dax { HUSK_DAX_AUTO, HUSK_DAX_NONE, HUSK_DAX_ALL };

struct spec_husk {
	struct opt_u32 memory;	     /* run.husk.memory, MiB: guest RAM instead of what the limit implies */
	struct opt_u32 vcpus;	     /* run.husk.vcpus */
	struct opt_bool debug;	     /* run.husk.debug: guest kernel log to the VM's log */
	struct opt_bool ksm;	     /* run.husk.ksm: equal pages may be shared between VMs */
	struct opt_bool inotify;     /* run.husk.inotify: changes of the host in volumes are events in the guest */
	enum husk_net network;	     /* run.husk.network = auto | none */
	struct opt_u32 net_queues;   /* run.husk.net_queues: queue pairs of each interface */
	enum husk_dax dax;	     /* run.husk.dax = auto (a read-only root) | none | all (what is read-only) */
	struct opt_u32 boot_timeout; /* run.husk.boot_timeout, ms */
};

struct spec_vm { /* the config's vm object: checked, and ignored with a warning */
	bool set;
	const char *hypervisor_path;
	struct strings hypervisor_params;
	const char *kernel_path, *initrd_path; /* absolute host paths, NULL: not given */
	struct strings kernel_params;
	const char *image_path, *image_format;
};

/* ---- pod membership, from the annotations of containerd's CRI, CRI-O and podman ---- */

enum spec_pod_role { POD_NONE, POD_SANDBOX, POD_CONTAINER };

struct spec_pod {
	enum spec_pod_role role; /* POD_NONE: no container-type annotation */
	const char *sandbox_id;	 /* NULL: none named. May be set with POD_NONE (podman) */
	/* totals of the pod that the engine announces on the sandbox; for sizing */
	struct opt_i64 sandbox_memory, sandbox_quota;
	struct opt_u64 sandbox_period, sandbox_shares;
};

struct spec {
	const char *oci_version;
	const char *root_path; /* as written: relative to the bundle or absolute */
	bool root_readonly;
	struct spec_process *process;	   /* NULL: absent: create may go on, start must refuse */
	const char *hostname, *domainname; /* NULL: not given */
	struct spec_mount *mounts;
	size_t nmounts;
	struct spec_hooks hooks[HOOK_COUNT];
	struct spec_map annotations;
	struct spec_linux lin; /* "linux" is a macro of the gnu dialect */
	struct spec_vm vm;
	struct spec_husk husk;
	struct spec_pod pod;
	struct strings warnings; /* ignored on purpose, one line each */
	struct arena *arena;
};

/**
 * spec_parse() - check a config.json
 * @text, @len:	the document, need not end with NUL
 * @out:	the spec, to be released with spec_free()
 *
 * Messages name the member: "config.json: process.args[1]: expected a string, found a number".
 * Returns 0, or -1 with *err filled.
 */
int spec_parse(const char *text, size_t len, struct spec **out, struct error *err);

/* The same from a file. A missing file is ENOENT in err->code. At most SPEC_FILE_MAX bytes, regular files only. */
int spec_load_file(const char *path, struct spec **out, struct error *err);
int spec_load_at(int dirfd, const char *name, struct spec **out, struct error *err);
void spec_free(struct spec *spec);

/* process.json of `exec --process FILE`. args must not be empty. */
int process_parse(const char *text, size_t len, struct spec_process **out, struct error *err);
int process_load_file(const char *path, struct spec_process **out, struct error *err);
void process_free(struct spec_process *p);

/* resources document of `update --resources`; @fd is read to its end (a file or a pipe, at most SPEC_FILE_MAX). */
int resources_parse(const char *text, size_t len, struct spec_resources **out, struct error *err);
int resources_load_fd(int fd, struct spec_resources **out, struct error *err);
int resources_load_file(const char *path, struct spec_resources **out, struct error *err);
void resources_free(struct spec_resources *r);

/* The value of an annotation, or NULL. */
const char *spec_annotation(const struct spec *spec, const char *key);

#endif
