/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host-side namespaces of a container: empty shells around its proxy, so that /proc/PID/ns/ and
 * /proc/PID/root answer as engines expect.
 */
#ifndef HUSK_RUNTIME_NAMESPACES_H
#define HUSK_RUNTIME_NAMESPACES_H

#include <stdbool.h>
#include <sys/types.h>

#include "../oci/spec.h"

/* Namespaces given by path, opened and checked. */
struct namespaces {
	int fd[NS_COUNT];	 /* -1: none */
	unsigned long new_flags; /* CLONE_NEW* to make */
};

/**
 * namespaces_open() - what the proxy of this spec gets
 * @net: false: no network namespace at all is wanted (nothing is configured in it)
 *
 * A path of the wrong type is an error. User namespaces stay the host's: ids are mapped in the guest. 0 or -1 with
 * *err; namespaces_close() in both cases.
 */
int namespaces_open(struct namespaces *ns, const struct spec *spec, struct error *err);
void namespaces_close(struct namespaces *ns);

/**
 * namespaces_clone() - fork the proxy
 * @cgroup_fd: cgroup v2 directory to be born in, or -1
 * @pidfd:     of the child
 *
 * Return: as fork(); -1 with *err.
 */
pid_t namespaces_clone(const struct namespaces *ns, int cgroup_fd, int *pidfd, struct error *err);

/* In the child: join those given by path. 0 or -1 with *err. */
int namespaces_join(const struct namespaces *ns, struct error *err);

/* Bring up the loopback interface of the current network namespace; harmless when it is up. */
void loopback_up(void);

/* Make @root the root of the current (private) mount namespace and let go of everything else. 0 or -1 with *err. */
int root_pivot(const char *root, struct error *err);

#endif
