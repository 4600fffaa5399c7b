/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths inside a container's root. The image is hostile: every lookup is one openat2(2) with
 * RESOLVE_IN_ROOT, what is made is made next to an open directory, and no name is resolved twice to
 * reach the same thing.
 *
 * All functions return a new O_PATH fd (O_CLOEXEC) or -errno. `root` is the root's directory;
 * absolute and relative paths both start there.
 */
#ifndef HUSK_AGENT_PATH_H
#define HUSK_AGENT_PATH_H

#include <stdint.h>
#include <sys/types.h>

#define PATH_NAME_MAX 256u

/* What is there; symbolic links are followed inside the root. */
int path_open(int root, const char *path, int flags);

enum path_kind { PATH_DIR, PATH_FILE };

/*
 * What is there, or a directory or empty file made in its place, with the parents that are missing
 * (0755).
 */
int path_make(int root, const char *path, enum path_kind kind, mode_t mode);

/* As path_make() for a directory, but a symbolic link on the way is an error (ELOOP). */
int path_make_nolinks(int root, const char *path);

/* The directory that holds the last name of path (made when missing); the name goes to `name`. */
int path_parent(int root, const char *path, char name[PATH_NAME_MAX]);

/*
 * Copy the tree at `from` into the directory `to`, with owners, modes, times, xattrs. 0 or -errno.
 */
int path_copy_tree(int from, int to);

#endif
