/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launching husk-vmm, and the client of its control socket (vmm/control.h).
 */
#ifndef HUSK_RUNTIME_VMM_H
#define HUSK_RUNTIME_VMM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../oci/error.h"
#include "../vmm/control.h"
#include "session.h"

/* The files of a VM, open. */
struct vmm_files {
	char *vmm; /* absolute path of husk-vmm */
	char *kernel, *initrd;
	int kernel_fd, initrd_fd;
	uint32_t boot_timeout_ms; /* $HUSK_BOOT_TIMEOUT, for containers that do not say; 0: it is not set */
};

/**
 * vmm_find() - locate husk-vmm, the guest kernel and the initramfs by absolute path
 *
 * Each by its environment variable (HUSK_VMM, HUSK_KERNEL, HUSK_INITRAMFS), next to the husk binary (a build tree), or
 * in the installed places beside its bin directory. Reads HUSK_BOOT_TIMEOUT, too.
 * 0 or -1 with *err; vmm_files_free() in both cases.
 */
int vmm_find(struct vmm_files *f, struct error *err);
void vmm_files_free(struct vmm_files *f);

#define VMM_PROBE_LINE 512

/**
 * vmm_probe() - ask husk-vmm whether KVM can run a guest here; it makes a small VM to find out
 * @line: VMM_PROBE_LINE bytes: what it said, one line without its end: what, why, how to mend it
 *
 * Return: 1 usable, -1 not, 0 when it could not be asked.
 */
int vmm_probe(const struct vmm_files *files, char *line);

/* What becomes a --disk. */
struct vmm_disk {
	int fd; /* the caller's */
	bool readonly;
	const char *serial;
};

#define VMM_DISKS_MAX 8u

struct vmm_config {
	const struct vmm_files *files;
	int listen_fd;		   /* listening control socket */
	int owner_fd;		   /* hangs up when the VM shall end */
	int log_fd;		   /* its stdout and stderr */
	uint32_t mem_mib, max_mib; /* at the start; what it may grow to, 0: not at all */
	bool grows;		   /* when the guest asks */
	bool ksm;
	uint32_t cpus;
	uint32_t dax_own_mib, dax_mib; /* 0: no such window */
	uint32_t boot_timeout_ms;      /* 0: its default */
	bool debug;		       /* guest kernel log to log_fd */
	const struct vmm_disk *disks;
	unsigned int ndisks; /* <= VMM_DISKS_MAX */
};

/* Start husk-vmm as a child that dies with us. Returns its pid, or -1 with *err. */
pid_t vmm_spawn(const struct vmm_config *cfg, struct error *err);

/* Make the listening socket @path (short enough, see container_socket_path()). fd, or -1 with *err. */
int unix_listen(const char *path, struct error *err);
/* Connect to a unix stream socket; a long path is taken through its directory. fd or -errno. */
int unix_connect(const char *path);

/**
 * ctl_request() - one request on a control connection
 * @fds, @nfds: descriptors sent along
 * @reply:	reply payload, at most @cap bytes; may be NULL
 * @deadline:	CLOCK_MONOTONIC ns
 *
 * Return: reply bytes (>= 0), or -errno: the VMM's own, -ETIMEDOUT, -EPIPE when it is gone.
 */
int ctl_request(int fd, uint32_t op, uint32_t arg, const void *payload, uint32_t len, const int *fds, unsigned int nfds,
		void *reply, uint32_t cap, uint64_t deadline);

/* The two halves of ctl_request(), for callers that wait in their own way. */
int ctl_send(int fd, uint32_t op, uint32_t arg, const void *payload, uint32_t len, const int *fds, unsigned int nfds);
int ctl_answer(int fd, void *reply, uint32_t cap, uint64_t deadline);

/* Connect to the agent through the control socket at @path: a new session, or NULL with *err. */
struct session *agent_connect(const char *path, uint64_t deadline, struct error *err);
/* The same from a process that holds the VM's state directory open, whatever its root is now; it is in / then. */
struct session *agent_connect_at(int state_dir, uint64_t deadline, struct error *err);

#endif
