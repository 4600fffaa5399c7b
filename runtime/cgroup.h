/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's cgroup on the host: proxies, VMM and its threads live in it, so that the engines' statistics,
 * limits and OOM events mean something. cgroup v2, v1 and hybrid.
 */
#ifndef HUSK_RUNTIME_CGROUP_H
#define HUSK_RUNTIME_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../oci/cgroup2.h"
#include "../oci/spec.h"

enum cgroup_mode {
	CGROUP_NONE, /* --cgroup-manager=disabled, or nothing is mounted */
	CGROUP_V1,   /* v1 controllers; a hybrid's unified tree has none and is left alone */
	CGROUP_V2,
};

#define CGROUP_ROOT "/sys/fs/cgroup" /* of v2; v1 hierarchies are looked for */
#define CGROUP_HIERARCHIES 24

struct cgroup {
	enum cgroup_mode mode;
	char *dirs[CGROUP_HIERARCHIES]; /* the container's directory in each hierarchy; v2: one */
	bool made[CGROUP_HIERARCHIES];
	unsigned int ndirs;
};

/* What the host has. Looks once. */
enum cgroup_mode cgroup_host_mode(void);

/**
 * cgroup_create() - make the container's cgroup
 * @path:     from cgroup_path_parse()
 * @rootless: a cgroup that may not be made is no error
 * @occupied: it has been made for us and holds our process already
 *
 * A cgroup that is there already must be empty and not frozen. 0 or -1 with *err; cgroup_free() in both cases.
 */
int cgroup_create(struct cgroup *cg, const struct cgroup_path *path, bool rootless, bool occupied, struct error *err);

/* The directories that cgroup_create() would make, for a state that is written before: nothing is touched. */
void cgroup_plan(struct cgroup *cg, const struct cgroup_path *path);

/* Remove the directories that are there and empty; whatever lives in the others is not ours. */
void cgroup_remove_unused(const struct cgroup *cg);

/* Take the directories from a saved state. */
void cgroup_from_dirs(struct cgroup *cg, const struct strings *dirs);

/* Limits of the host's side. @overhead: bytes that the VM takes beyond the container's memory limit. 0 or -1. */
int cgroup_apply(const struct cgroup *cg, const struct spec_resources *r, uint64_t overhead, struct error *err);

/* Move a process into it. 0 or -1. */
int cgroup_add(const struct cgroup *cg, pid_t pid, struct error *err);

/* v2: fd of the directory for clone3(CLONE_INTO_CGROUP), else -1. */
int cgroup_open_v2(const struct cgroup *cg);

/* SIGKILL to every process in it and below. */
void cgroup_kill(const struct cgroup *cg);

/* Remove the directories, waiting a moment for processes to be gone. 0 or -1 with *err (EBUSY). */
int cgroup_remove(const struct cgroup *cg, struct error *err);

void cgroup_free(struct cgroup *cg);

/* v1 files of the same resources (cgroup_v1.c). */
int cgroup_v1_apply(const struct cgroup *cg, const struct spec_resources *r, uint64_t overhead, struct error *err);
/* Find the v1 hierarchies: mount points into out[], at most CGROUP_HIERARCHIES. */
unsigned int cgroup_v1_mounts(char **out);
/* mkdir -p for v1: cpuset directories get their parent's cpus and mems. 0 or -errno. */
int cgroup_v1_mkdir(const char *mount, const char *path, bool *made);

/* ---- systemd driver (cgroup_systemd.c) ---- */

struct cgroup_systemd {
	const char *unit, *slice; /* struct cgroup_path */
	const char *id;		  /* of the container, for the description */
	pid_t pid;		  /* first process of the scope */
	const struct spec_resources *resources;
	uint64_t overhead;
	const struct spec_map *annotations; /* org.systemd.property.NAME: further properties */
};

/* Make the unit with its first process and wait for it. 0 or -1 with *err. */
int cgroup_systemd_start(const struct cgroup_systemd *s, struct error *err);
/* Change its limits. 0 or -1 with *err. */
int cgroup_systemd_set(const char *unit, const struct spec_resources *r, uint64_t overhead, struct error *err);
/* Stop and forget it; one that is gone already is fine. @dir: its cgroup directory, or NULL. */
void cgroup_systemd_stop(const char *unit, const char *dir);

#endif
