/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's cgroup v2 tree: CGROUP/husk holds one directory per container. The agent itself stays
 * in the root, out of reach of every limit. Functions return 0 (or what they say) or -errno.
 */
#ifndef HUSK_AGENT_CGROUP_H
#define HUSK_AGENT_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_NAME_MAX 224u

#define CGROUP_PARENT "husk" /* above all containers */

/**
 * cgroup_init() - use the cgroup v2 file system mounted at `where`
 *
 * Turns all controllers on for the containers, and keeps some of the kernel's processes for the
 * agent.
 */
int cgroup_init(const char *where);

/**
 * cgroup_make() - the directory of a new container
 * @cid, @slot: together they make the name
 * @path: out, its absolute path
 *
 * Return: O_DIRECTORY fd.
 */
int cgroup_make(const char *cid, unsigned int slot, char *path, size_t cap);

/* File names come from plans: only plain names of files in that very directory. */
int cgroup_write(int dir, const char *file, const char *value);

/* Device rules: replaces the program *old (-1: none), which becomes the new one. */
int cgroup_devices(int dir, const void *insns, uint32_t len, int *old);

/* SIGKILL to everything below. */
int cgroup_kill(int dir);

/* A number of a flat keyed file ("cgroup.events" "frozen"), or -errno. */
int64_t cgroup_value(int dir, const char *file, const char *key);

/*
 * Call for each process of the cgroup and its descendants, until each() returns not 0. Its result,
 * or -errno.
 */
int cgroup_each_pid(int dir, int (*each)(pid_t pid, void *arg), void *arg);

/* Remove the directory; -EBUSY while processes are in it, -ENOTEMPTY with children. */
int cgroup_remove(const char *path);

/* The same with all children. May take long. */
int cgroup_remove_tree(const char *path);

/*
 * Give the container's root user the files that a delegated cgroup needs (spec: config-linux,
 * cgroup ownership).
 */
int cgroup_delegate(int dir, uid_t uid, gid_t gid);

/* O_DIRECTORY fd of the cgroup that a process is in. */
int cgroup_of(pid_t pid);

#endif
