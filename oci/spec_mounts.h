/* SPDX-License-Identifier: Apache-2.0 */
/* The table of mount options: read by the parser, listed by `features`. */
#ifndef HUSK_OCI_SPEC_MOUNTS_H
#define HUSK_OCI_SPEC_MOUNTS_H

#include <stdint.h>

enum mount_option_kind {
	OPT_NOTHING, /* accepted, does nothing */
	OPT_SET,     /* value: MS_* */
	OPT_CLEAR,   /* value: MS_* */
	OPT_REC_SET, /* value: MOUNT_ATTR_*, on the whole tree */
	OPT_REC_CLEAR,
	OPT_PROPAGATION, /* value: MS_* */
	OPT_BIND,
	OPT_RBIND,
	OPT_COPYUP,
	OPT_IDMAP, /* value: enum spec_mount_idmap */
};

struct mount_option {
	const char *name;
	enum mount_option_kind kind;
	uint64_t value;
};

extern const struct mount_option mount_options[]; /* sorted by name; ends with a NULL name */

#endif
