/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest plan: what the host compiles a config.json (or process.json) into, and the agent executes.
 *
 * A plan is struct plan_hdr, then `nops` operations, each struct plan_op and `len` payload bytes, padded with
 * zeros to a multiple of 8. Integers are little-endian. Payloads are the struct named beside the operation, then its
 * strings, each ended by NUL, in the order given; "list" is u32 count, then that many NUL-ended strings. Absolute
 * paths are inside the container's root unless "guest path" is said.
 *
 * Operations are executed strictly in their order: the compiler owns the order, the agent only interprets. The agent
 * checks every length and count and refuses an unknown operation or version.
 */
#ifndef HUSK_AGENT_PLAN_H
#define HUSK_AGENT_PLAN_H

#include <stdint.h>

#define PLAN_MAGIC 0x4e4c5048u /* "HPLN" */
#define PLAN_VERSION 1u
#define PLAN_OPS_MAX 16384u
#define PLAN_SHARES "/run/husk/fs"    /* guest path: the virtio-fs root; a share NAME is PLAN_SHARES/NAME */
#define PLAN_TMPFS "/run/husk/tmpfs"  /* guest path: the VM's shared tmpfs, see OP_VM_TMPFS */
#define PLAN_SOCKETS "/run/husk/sock" /* guest path: sockets of the host, see OP_SOCKET */
#define PLAN_DISKS "/run/husk/disk"   /* guest path: a disk's file system is mounted at PLAN_DISKS/SERIAL */
#define PLAN_PRIVATE "/run/husk/own"  /* the same for shares that only this VM writes: the containers' roots */
#define PLAN_FS_TAG "husk"	      /* virtio-fs tags of the two */
#define PLAN_PRIVATE_TAG "husk-own"
/*
 * A syncfs() by this file system user id asks for the guest's dirty pages to be written to the host, and not for the
 * host's disks to be synced.
 */
#define PLAN_FLUSH_UID 0xfffffffdu
/*
 * The same for changes of the host that the agent repeats for the sake of inotify (vmm/fs_replay.c): files and
 * directories whose names change; files whose data or attributes do.
 */
#define PLAN_REPLAY_UID 0xfffffffcu
#define PLAN_REPLAY_DIR_UID 0xfffffffbu
#define PLAN_TOUCH_UID 0xfffffffau

enum plan_kind { PLAN_CONTAINER = 1, PLAN_PROCESS = 2, PLAN_UPDATE = 3 };

struct plan_hdr {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	uint32_t total; /* bytes of the whole plan, header included */
	uint32_t nops;
};

struct plan_op {
	uint16_t op; /* enum plan_opcode */
	uint16_t zero;
	uint32_t len; /* payload bytes before padding */
};

enum plan_opcode {
	/* Every plan: first operation. */
	OP_CONTAINER = 1, /* strings: cid. CONTAINER: the new id; PROCESS and UPDATE: an existing one */

	/* CONTAINER: environment, done by the agent before the child exists */
	OP_CGROUP_WRITE,   /* strings: file name (no '/'), value. In the container's guest cgroup, made on first use */
	OP_CGROUP_DEVICES, /* bytes: eBPF instructions (struct bpf_insn[]) of type BPF_PROG_TYPE_CGROUP_DEVICE */
	OP_NAMESPACE,	   /* struct plan_ns, string: cid whose namespace to join, or empty for a new one */
	OP_IDMAP,	   /* struct plan_idmap: one line of the new user namespace's uid or gid map */
	OP_TIMEOFFSET,	   /* struct plan_timeoffset */
	OP_VM_TMPFS,	   /* strings: name (no '/'), mount data. A tmpfs at PLAN_TMPFS/name in the agent's own mount
			    * namespace, made on first use and kept as long as the VM: what containers of a pod share */
	OP_SOCKET, /* struct plan_socket, string: name (no '/'). The agent listens at PLAN_SOCKETS/name as long as
			    * the container exists, and hands connections to the host (WIRE_SOCKETS), for which the
			    * first of a container is number 0 */

	OP_DISK, /* struct plan_disk, strings: serial, fstype, data. A disk for this container alone. With an
			    * fstype it is mounted at PLAN_DISKS/serial in the agent's own mount namespace, and
			    * unmounted when the container has ended */

	/* CONTAINER: done by the child, in the new namespaces, before the root is changed */
	OP_ROOT = 32, /* struct plan_root, string: guest path of the root's source. Bind it, make it the current root */
	OP_MOUNT,     /* struct plan_mount, strings: source (guest path for binds, else name), target, fstype, data */
	OP_MKNOD,     /* struct plan_mknod, string: path */
	OP_SYMLINK,   /* strings: link text, path. An existing path is left alone */
	OP_PIVOT,     /* pivot_root into the root, detach the old one. struct plan_pivot */
	OP_REMOUNT_ROOT, /* root read-only; after PIVOT */
	OP_MASK,     /* string: path. /dev/null over a file, an empty read-only tmpfs over a directory; missing: skip */
	OP_READONLY, /* string: path. Recursive read-only bind; missing: skip */
	OP_HOSTNAME, /* string */
	OP_DOMAINNAME, /* string */
	OP_SYSCTL,     /* strings: name with dots or slashes, value */
	OP_MKDIR,      /* struct plan_mkdir, string: path. As mkdir -p */
	OP_DISK_NODE,  /* struct plan_mknod, strings: path, serial. A node of that disk, whatever its number is */

	/* CONTAINER and PROCESS: the process, done by the child just before exec */
	OP_TTY = 64,	 /* struct plan_tty: give it a pty; CONTAINER: also bind it to /dev/console */
	OP_CWD,		 /* string; CONTAINER: made when missing (0755 root) */
	OP_USER,	 /* struct plan_user, then ngids u32 */
	OP_RLIMIT,	 /* struct plan_rlimit */
	OP_CAPS,	 /* struct plan_caps */
	OP_NO_NEW_PRIVS, /* empty */
	OP_SECCOMP,	 /* struct plan_seccomp, then struct sock_filter[] */
	OP_OOM_SCORE,	 /* struct plan_int: oom_score_adj */
	OP_SCHED,	 /* struct plan_sched */
	OP_IOPRIO,	 /* struct plan_int: value for ioprio_set */
	OP_PERSONALITY,	 /* struct plan_int */
	OP_ARGS,	 /* list */
	OP_ENV,		 /* list */
	/*
	 * struct plan_int (timeout s, 0: none), string: path, list args, list env, string: state JSON for
	 * stdin
	 */
	OP_HOOK,
	OP_CPU_AFFINITY, /* list of CPU ranges as text, one string: initial affinity of an exec */
};

struct plan_ns {
	uint32_t clone_flag; /* one CLONE_NEW* */
};

struct plan_idmap {
	uint32_t gid; /* 0: uid map, 1: gid map */
	uint32_t container_id, host_id, size;
};

struct plan_timeoffset {
	uint32_t clock; /* CLOCK_MONOTONIC or CLOCK_BOOTTIME */
	uint32_t nsec;
	int64_t sec;
};

struct plan_socket {
	uint32_t mode; /* permission bits */
	uint32_t uid, gid;
	uint32_t zero;
};

struct plan_root {
	uint64_t propagation; /* MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, with or without MS_REC */
};

#define PLAN_MOUNT_BIND 1u     /* source is a guest path; a missing target is made as a file or directory to match */
#define PLAN_MOUNT_COPYUP 2u   /* tmpfs: start with a copy of what the target holds */
#define PLAN_MOUNT_CGROUP 4u   /* fstype is what the guest has: cgroup2 */
#define PLAN_MOUNT_OPTIONAL 8u /* a failure is no error */

struct plan_mount {
	uint64_t flags;	   /* MS_* for mount(2); with BIND, MS_REC for rbind */
	uint64_t attr_set; /* MOUNT_ATTR_* set recursively (rro, rnosuid...) */
	uint64_t attr_clr;
	uint64_t propagation; /* MS_* or 0 */
	uint32_t opts;	      /* PLAN_MOUNT_* */
	uint32_t zero;
};

struct plan_mknod {
	uint32_t mode; /* type and permission bits */
	uint32_t uid, gid;
	uint32_t major, minor;
	uint32_t zero;
};

struct plan_disk {
	uint32_t access; /* BPF_DEVCG_ACC_*: what the container may do with the device itself */
	uint32_t zero;
	uint64_t mount_flags; /* MS_* for mount(2) */
};

struct plan_pivot {
	uint32_t no_pivot; /* 1: MS_MOVE and chroot */
	uint32_t zero;
};

struct plan_mkdir {
	uint32_t mode, uid, gid, zero;
};

struct plan_tty {
	uint16_t rows, cols; /* 0: leave */
	uint32_t zero;
};

struct plan_user {
	uint32_t uid, gid;
	uint32_t umask; /* 0xffffffff: leave 0022 */
	uint32_t ngids; /* <= 65536 */
};

struct plan_rlimit {
	uint32_t resource; /* RLIMIT_* */
	uint32_t zero;
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

struct plan_caps {
	uint64_t bounding, effective, permitted, inheritable, ambient; /* bit n: capability n */
};

struct plan_seccomp {
	uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
	uint32_t count; /* instructions that follow, <= 4096 */
};

struct plan_sched {
	uint32_t policy;
	int32_t nice;
	uint32_t priority;
	uint32_t zero;
	uint64_t flags, runtime, deadline, period;
};

struct plan_int {
	int32_t value;
	uint32_t zero;
};

#endif
