/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what the guest shall see: each share becomes an O_PATH fd of a private clone of its mount tree.
 */
#ifndef HUSK_RUNTIME_SHARES_H
#define HUSK_RUNTIME_SHARES_H

#include <stdint.h>

#include "../oci/compile.h"

/* For compile_input.stat_source: facts about a bind's source. 0 or -errno. */
int share_facts(void *ctx, const char *path, struct source_facts *out);

/**
 * share_open() - the fd to hand to the VMM
 * @private_dir: an empty directory in a mount namespace of ours, where file systems that are to be mounted first go
 *
 * Read-only, id mappings and "no devices" are set on the clone, so the host's kernel enforces them
 * whatever the VMM does. Return: fd (O_PATH), or -1 with *err.
 */
int share_open(const struct share *s, const char *private_dir, struct error *err);

/* CTL_SHARE_* of a share. */
uint32_t share_flags(const struct share *s);

/*
 * Make the mount points of a root that the guest will see read-only. Only below @root, symbolic links resolved
 * inside it. What cannot be made is left: the guest reports it.
 */
void mountpoints_make(const char *root, const struct host_plan *plan);

#endif
