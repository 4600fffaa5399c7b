/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of husk-vmm: AF_UNIX SOCK_STREAM, listening, made by the runtime and inherited as --listen.
 * Only the user that owns the VMM process may connect (SO_PEERCRED). A client sends one struct ctl_req (with `len`
 * payload bytes, and file descriptors by SCM_RIGHTS on its first byte), and gets one struct ctl_rep with `len` payload
 * bytes; then the next request. After a successful CTL_CONNECT the connection is a plain byte stream to the guest's
 * vsock port, half-close included. A CTL_CONNECT that arrives before the agent listens is answered when it does,
 * with -ETIMEDOUT when it does not within the boot time limit.
 */
#ifndef HUSK_VMM_CONTROL_H
#define HUSK_VMM_CONTROL_H

#include <stdint.h>

#define CTL_MAGIC 0x4b535548u /* "HUSK" */
#define CTL_PAYLOAD_MAX 4096u
#define CTL_FDS_MAX 32u
#define CTL_PAIRS_MAX 8u /* queue pairs of a NIC */

enum ctl_op {
	CTL_CONNECT = 1, /* arg: vsock port of the guest */
	CTL_STATUS,	 /* -> struct ctl_status */
	CTL_ADD_SHARE,	 /* payload: NAME NUL, arg: CTL_SHARE_*; one O_PATH fd of a directory or file */
	CTL_DEL_SHARE,	 /* payload: NAME NUL */
	/*
	 * payload: struct ctl_nic, then one tap fd per queue pair (and as many vhost-net fds when arg is 1) ->
	 * u32 slot
	 */
	CTL_ADD_NIC,
	CTL_DEL_NIC,   /* arg: slot */
	CTL_PAUSE = 9, /* stop the vCPUs; 7 and 8 were never served */
	CTL_RESUME,
	CTL_BALLOON,	 /* arg: target MiB of balloon */
	CTL_SHUTDOWN,	 /* end the VM now; the reply may be missing */
	CTL_RESIZE_DISK, /* arg: number of the --disk, from 0: its file has another size now */
	CTL_MEMORY,	 /* arg: MiB of RAM in all that the guest shall have; no less than at its start */
	CTL_LIMIT_DISK,	 /* arg: number of the --disk; payload: struct ctl_disk_limits */
};

#define CTL_SHARE_RO 1u	     /* enforced by the VMM */
#define CTL_SHARE_PRIVATE 2u /* only this VM writes: long timeouts and write-back cache allowed */
#define CTL_SHARE_DAX 4u     /* with RO: large files are mapped from the host's page cache, when there is a window */
#define CTL_DISK_RO 1u

struct ctl_req {
	uint32_t magic;
	uint32_t op;
	uint32_t arg;
	uint32_t len; /* payload bytes, <= CTL_PAYLOAD_MAX */
};

struct ctl_rep {
	uint32_t magic;
	int32_t status; /* 0 or -errno */
	uint32_t len;	/* payload bytes */
	uint32_t zero;
};

/* Per second, 0: no limit. */
struct ctl_disk_limits {
	uint64_t read_bps, write_bps, read_iops, write_iops;
};

struct ctl_nic {
	uint8_t mac[6];
	uint16_t mtu;
	uint32_t queue_pairs; /* 1..CTL_PAIRS_MAX */
	uint32_t zero;
};

/* All times CLOCK_MONOTONIC ns of the host, 0 when not reached. */
struct ctl_status {
	uint64_t t_start, t_entry, t_ready;
	uint64_t exits;	    /* KVM_RUN returns, all vCPUs */
	uint64_t ram_bytes; /* guest RAM configured */
	uint64_t balloon_bytes;
	uint32_t vcpus;
	uint32_t paused;
	uint64_t reported_bytes; /* free memory that the guest has given back so far, summed up */
	/* As the guest's kernel said at the last CTL_STATUS, 0: it never did. */
	uint64_t guest_free_bytes, guest_available_bytes;
};

#endif
