/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of this process's mount namespace, as proc(5) lists them.
 */
#ifndef HUSK_RUNTIME_MOUNTINFO_H
#define HUSK_RUNTIME_MOUNTINFO_H

#include <stdbool.h>
#include <stdint.h>

/* One mount. Texts are unescaped and valid until the next one. */
struct mountinfo {
	uint32_t major, minor; /* st_dev of its files */
	char *root;	       /* which part of the file system */
	char *point;	       /* where */
	char *type;
	char *source;
	char *super; /* options of the file system, comma-separated */
};

/* Calls @each for every mount, in the kernel's order, until it returns false. Lines that make no sense are left out. */
void mountinfo_each(bool (*each)(void *ctx, const struct mountinfo *m), void *ctx);

/* Is something mounted below the directory @path (not on it)? Symbolic links are followed. */
bool mountinfo_below(const char *path);

#endif
