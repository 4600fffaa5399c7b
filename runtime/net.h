/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network helper: keeps the guest's interfaces like those of the container's host-side network namespace.
 */
#ifndef HUSK_RUNTIME_NET_H
#define HUSK_RUNTIME_NET_H

#include <stdbool.h>
#include <sys/types.h>

#include "../oci/error.h"

struct session;

/* What the helper works with. It has copies after net_start(); the caller may close its own. */
struct net_config {
	int ctl;		 /* control connection to the VMM (vmm/control.h) */
	struct session *session; /* to the agent, nobody else's */
	int dev_net;		 /* directory fd of the host's /dev/net */
	int sysctl;		 /* directory fd of /proc/sys/net/ipv4 as this namespace sees it, or -1 */
	int state_dir;		 /* the container's state directory: VM socket, log */
	unsigned int pairs;	 /* queue pairs of each interface, 1..CTL_PAIRS_MAX */
	bool follow;		 /* the container runs already: begin at once, errors go to the log */
};

struct net {
	pid_t pid; /* child of the caller */
	int sock;  /* requests; -1: not started */
};

/**
 * net_start() - fork the helper, inside the container's network namespace
 *
 * It ends when n->sock is closed or its parent dies. Return: 0, or -1 with *err.
 */
int net_start(struct net *n, const struct net_config *c, struct error *err);

/**
 * net_sync() - bring the guest to the namespace's present state, and wait for it
 *
 * Called at `start`, when the engine has configured the namespace. Later changes follow by themselves.
 * Return: 0, or -1 with *err (the reason in words for the user).
 */
int net_sync(struct net *n, struct error *err);

/**
 * net_stop() - end the helper
 * @tidy: take our filters off the engine's interfaces first: the namespace outlives the container
 */
void net_stop(struct net *n, bool tidy);

/* Has the current network namespace an interface that a container would use? */
bool net_has_links(void);

/* A non-blocking netlink socket that becomes readable when interfaces of the current namespace change, or -errno. */
int net_links_watch(void);

#endif
