/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers on disk: <root>/<id>/ with state.json and what belongs to it (docs/architecture.md, "State directory").
 */
#ifndef HUSK_RUNTIME_CONTAINER_H
#define HUSK_RUNTIME_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "../oci/spec.h"
#include "../oci/state.h"

/* Names in the state directory. */
#define FILE_STATE "state.json"
#define FILE_CONFIG "config.json"
#define FILE_LOCK "lock"
#define FILE_PROXY_SOCK "proxy.sock"
#define FILE_VM_SOCK "vm.sock"
#define FILE_LOG "log"
#define FILE_TIMELINE "timeline"
#define FILE_STARTED "started" /* made by the proxy once the process runs */
#define FILE_PAUSED "paused"
#define FILE_EXEC_PREFIX "exec." /* exec.PID holds the start time of a live exec proxy */

struct container {
	char *id;
	char *root;	     /* state root */
	char *dir;	     /* <root>/<id> */
	int dirfd;	     /* -1 until opened */
	int lockfd;	     /* -1: not locked */
	struct state *state; /* parsed file; owned */
	bool alive;	     /* the proxy of state->pid runs */
};

/* An id that may become a directory name: [A-Za-z0-9_+.-]+, not "." or "..". 0 or -1 with *err. */
int container_id_check(const char *id, struct error *err);

/**
 * container_open() - find a container
 * @root: state root
 *
 * Unknown or foreign directories: "container "ID" does not exist" (err->code ENOENT). A directory that husk
 * made but whose state file is not there yet (create was killed) is opened with state NULL when @partial.
 * Return: 0 or -1 with *err. Release with container_close() in every case.
 */
int container_open(struct container *c, const char *root, const char *id, bool partial, struct error *err);
void container_close(struct container *c);

/* Take the container's lock, waiting at most @ms; then read the state again. 0 or -1 with *err. */
int container_lock(struct container *c, unsigned int ms, struct error *err);
void container_unlock(struct container *c);

/* Make <root>/<id>, locked. A duplicate is "container with given ID already exists". 0 or -1 with *err. */
int container_make(struct container *c, const char *root, const char *id, struct error *err);

/* Write state.json. 0 or -1 with *err. */
int container_save(struct container *c, const struct state *s, struct error *err);

/* What the container is now: from the files, the proxy's pid with start time, and the host's boot id. */
enum container_status container_status(const struct container *c);

/* A fact that the runtime keeps in the state, or NULL. */
const char *state_extra(const struct state *s, const char *key);

/* The proxy's pid while it is alive, else 0. */
pid_t container_pid(const struct container *c);

/* Load the spec as it was at create. 0 or -1 with *err. */
int container_spec(const struct container *c, struct spec **out, struct error *err);

/* Remove the state directory and what is in it. 0 or -1 with *err. */
int container_remove(struct container *c, struct error *err);

/* A sockaddr path for a socket in the directory, short enough however long the root is: "/proc/self/fd/N/NAME". */
char *container_socket_path(const struct container *c, const char *name);

/* Ids in a state root (husk's own only), sorted. *out is malloc'ed, as are its n strings. 0 or -1 with *err. */
int container_list(const char *root, char ***out, size_t *n, struct error *err);

/* Boot id of this host, static storage. */
const char *host_boot_id(void);

/* Is process @pid, started at @start, still running (zombies do not run)? */
bool process_alive(pid_t pid, uint64_t start);

#endif
