/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that describe husk itself: `husk features` and `husk spec`. */
#ifndef HUSK_OCI_FEATURES_H
#define HUSK_OCI_FEATURES_H

#include <stdbool.h>

#include "oci/error.h"

#define OCI_VERSION_MIN "1.0.0"
#define OCI_VERSION_MAX "1.3.0"

struct features_input {
	const char *version, *commit; /* of husk */
	unsigned host_serves;	      /* HOST_SERVES_* of compile.h: what the runtime really does */
	bool systemd;		      /* the systemd cgroup driver is there */
};

/* JSON of the features document (runtime-spec, features.md). *out is malloc()ed. */
int features_document(const struct features_input *in, char **out, struct error *err);

/* Default config.json of `husk spec`. @rootless adds a user namespace for @uid, @gid. *out is malloc()ed. */
int default_spec_document(bool rootless, unsigned uid, unsigned gid, char **out, struct error *err);

#endif
