/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network helper: keeps the guest's interfaces like those of the container's host-side network namespace.
 */
#ifndef HUSK_RUNTIME_NET_H
#define HUSK_RUNTIME_NET_H

#include <sys/types.h>

#include "../oci/error.h"

/* What the helper works with. It has copies after net_start(); the caller may close its own. */
struct session;

struct net_config {
	int ctl;		 /* control connection to the VMM (vmm/control.h) */
	struct session *session; /* to the agent, nobody else's */
	int dev_net;		 /* directory fd of the host's /dev/net */
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

void net_stop(struct net *n);

#endif
