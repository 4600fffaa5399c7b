/* SPDX-License-Identifier: Apache-2.0 */
/* What proxy.c and proxy_build.c share. */
#ifndef HUSK_RUNTIME_PROXY_INTERNAL_H
#define HUSK_RUNTIME_PROXY_INTERNAL_H

#include "evloop.h"
#include "hostsock.h"
#include "net.h"
#include "oom_tell.h"
#include "proxy.h"
#include "pump.h"
#include "timeline.h"
#include "watch.h"

struct proxy {
	const struct proxy_params *p;
	struct evloop loop;
	struct watch sig_w, sync_w, listen_w, log_w, links_w;
	int sig_fd;
	int sync;   /* to the command that cloned us; -1 when it is gone */
	int fds[3]; /* the container's stdin, stdout, stderr */

	pid_t vmm; /* 0: none, or dead */
	int vmm_status;
	int owner;    /* the VM ends when the last copy of this is closed */
	int ctl;      /* control connection */
	int log_pipe; /* the VMM's stdout and stderr */
	int log_fd;   /* file in the state directory */
	size_t log_len;
	int tee;	/* where the log goes, too; or -1 */
	int dev_net;	/* directory /dev/net of the host */
	int net_sysctl; /* directory /proc/sys/net/ipv4 of the namespace, or -1 */

	struct session *s;
	struct pump pump;
	struct net net;
	struct hostsock hostsock;
	struct oom_tell oom_tell;
	struct watch_config watch;
	struct timeline timeline;

	int starter; /* connection that waits for the start, or -1: the sync pair */
	bool starting, started, oom;
};

/* Part 1 of the proxy's life. Returns when the container is built and the command has said SYNC_COMMIT. */
void proxy_build(struct proxy *x);

/* Bring the guest's network to the state of the namespace. 0 or -1 with *err. */
int proxy_network(struct proxy *x, struct error *err);

/* Wait up to half a second for the VMM to end, and get the last line that it wrote; empty: none. */
void proxy_vm_words(struct proxy *x, char *line, size_t cap);

void proxy_log_drain(struct proxy *x);
void proxy_reap(struct proxy *x);
void proxy_stop_vmm(struct proxy *x);

#endif
