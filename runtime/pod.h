/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods: which VM a new container belongs to, and what it leaves in a VM that goes on without it.
 */
#ifndef HUSK_RUNTIME_POD_H
#define HUSK_RUNTIME_POD_H

#include <stdbool.h>

#include "../oci/compile.h"
#include "container.h"

/* A live container of the same VM, with the identity of its host-side namespaces. */
struct pod_member {
	char *id;
	char *ns[NS_COUNT]; /* "DEV:INO"; NULL: none of its own */
};

struct pod {
	bool joins;
	char *owner;	    /* id of the container whose state directory holds vm.sock */
	char *share_prefix; /* unique in that VM */
	struct pod_member *members;
	size_t nmembers;
	bool pinned_user; /* the config names a pod: a pinned user namespace may be made anew in the guest */
};

/**
 * pod_find() - does this container join a VM that runs already?
 *
 * It does when its config names a sandbox (annotations of CRI, CRI-O, podman) that lives in this state root with
 * the same network namespace, or, without such a name, when it is given the network, IPC or PID namespace of a live
 * husk container. Taking over the network of a container that another runtime runs is refused. 0 or -1 with *err;
 * pod_free() in both cases.
 */
int pod_find(struct pod *p, const char *root, const char *id, const struct spec *spec, struct error *err);
void pod_free(struct pod *p);

/* For compile_input.namespace_owner; ctx is the struct pod. */
int pod_namespace_owner(void *ctx, enum spec_ns_type type, const char *path, const char **cid);

/* "DEV:INO" of a namespace path, for later members of the VM to compare. malloc'ed or NULL. */
char *pod_identity(const char *path);

#define POD_EXTRA_USERNS "userns" /* state.extra: identity of the pinned user namespace */
#define POD_EXTRA_SHARES "shares" /* state.extra: "PREFIX COUNT" of the shares in another's VM */

/* Take a container out of the VM of another one: processes, mounts, shares. Best effort. */
void pod_leave(const struct container *c);

#endif
