/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json in a container's state directory, and the JSON that `husk state` and hooks see. The file is
 * versioned and hashed, and parsed as untrusted input: a torn, foreign or edited file is an error, never a wrong pid.
 */
#ifndef HUSK_OCI_STATE_H
#define HUSK_OCI_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "spec.h"

#define STATE_VERSION 1
#define STATE_ID_MAX 1024 /* bytes of a container id */

enum container_status { STATUS_CREATING, STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED };

struct state {
	const char *id;
	const char *bundle;	 /* absolute */
	const char *rootfs;	 /* absolute */
	const char *oci_version; /* of config.json */
	const char *owner;	 /* user name */
	const char *husk_version;
	const char *boot_id;	      /* /proc/sys/kernel/random/boot_id of the host */
	const char *sandbox_id;	      /* the pod this container belongs to, or NULL */
	const char *vm_id;	      /* container id whose state directory holds vm.sock; own id when it owns the VM */
	enum container_status status; /* as last written; the truth is derived by the runtime */
	int64_t created_ns;	      /* CLOCK_REALTIME */
	pid_t pid;		      /* init proxy; 0: none */
	uint64_t pid_start;	      /* field 22 of /proc/PID/stat */
	pid_t vmm_pid;
	uint64_t vmm_start;
	struct strings cgroups;	  /* host cgroup directories, absolute: to be removed by delete */
	const char *systemd_unit; /* NULL: none */
	bool systemd;		  /* systemd driver */
	struct spec_map annotations;
	struct spec_map extra; /* runtime's own further facts, name -> text */
	struct arena *arena;   /* of state_parse() */
};

/* Write @s as the text of state.json. *out is malloc()ed, ends with a newline and NUL. */
int state_format(const struct state *s, char **out, size_t *len, struct error *err);

/* The reverse; checks version, hash and every member. Release with state_free(). */
int state_parse(const char *text, size_t len, struct state **out, struct error *err);
void state_free(struct state *s);

/* What `husk state` prints: indented JSON and a newline. @pid 0 when stopped. *out is malloc()ed. */
int state_document(const struct state *s, enum container_status status, pid_t pid, char **out, struct error *err);

/* What a hook gets on stdin: the members of the specification only. */
int state_hook_document(const struct state *s, enum container_status status, pid_t pid, char **out, struct error *err);

/* JSON array of state documents, for `husk list --format json`; "[]" when n is 0. */
int state_list_document(const struct state *const *s, const enum container_status *status, const pid_t *pids, size_t n,
			char **out, struct error *err);

const char *status_name(enum container_status s);

/* RFC 3339 with nanoseconds and Z; @out has at least 40 bytes. */
void time_format(int64_t ns, char *out);

#endif
