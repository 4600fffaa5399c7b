/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The init proxy: the process that an engine knows as the container.
 */
#ifndef HUSK_RUNTIME_PROXY_H
#define HUSK_RUNTIME_PROXY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../oci/compile.h"
#include "../oci/error.h"
#include "../oci/spec.h"
#include "namespaces.h"
#include "vmm.h"

/* What the command that clones the proxy has prepared. The proxy has its own copy of all memory. */
struct proxy_params {
	const char *id, *bundle, *rootfs;
	const struct spec *spec;
	const struct host_plan *host;
	const struct buf *plan;
	const struct namespaces *ns;
	struct vmm_config vmm;	 /* listen_fd, owner_fd and log_fd are filled by the proxy or the caller */
	bool joins;		 /* the VM runs already and is another container's */
	char *vm_sock;		 /* path that reaches vm.sock before the root is changed */
	char *hook_state;	 /* JSON for createContainer hooks; NULL: without the pid, made by the proxy */
	const char *private_dir; /* for share_open() */
	int dirfd;		 /* the state directory */
	int bundle_fd;
	int sync, sync_peer; /* sync.h; the peer end is the command's */
	int listen_fd;	     /* proxy.sock */
	bool wait_placed;    /* the command moves us into the cgroup and says SYNC_PLACED */
	bool hooks;	     /* say SYNC_READY and wait for SYNC_HOOKED */
	int console;	     /* pty slave, or -1: fds 0, 1, 2 are the container's */
	bool tty;	     /* the process has a terminal */
	bool tee_log;	     /* --debug in the foreground: the guest kernel's log to stderr, too */
	uint64_t t_begin;    /* when the command began, CLOCK_MONOTONIC ns */
};

/* In the cloned child. Never returns. */
void proxy_main(const struct proxy_params *p) __attribute__((noreturn));

/* ---- requests on proxy.sock: one per connection ---- */

#define PROXY_MAGIC 0x58525048u /* "HPRX" */

enum proxy_op {
	PROXY_START = 1, /* scan the network, start the process; answered when it runs */
};

struct proxy_req {
	uint32_t magic;
	uint32_t op;
};

struct proxy_rep {
	uint32_t magic;
	int32_t status; /* 0, or -1 and the text says why */
	uint32_t len;	/* bytes of text, < sizeof(struct error.text) */
	uint32_t code;	/* errno of the error, or 0 */
};

/**
 * proxy_request() - ask the proxy behind the socket @path
 *
 * Return: 0, or -1 with *err in the proxy's words.
 */
int proxy_request(const char *path, enum proxy_op op, uint64_t deadline, struct error *err);

#endif
