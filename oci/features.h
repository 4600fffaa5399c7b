/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that describe husk itself: `husk features` and `husk spec`. */
#ifndef HUSK_OCI_FEATURES_H
#define HUSK_OCI_FEATURES_H

#include <stdbool.h>

#include "error.h"

#define OCI_VERSION_MIN "1.0.0"
#define OCI_VERSION_MAX "1.3.0"

/* JSON of the features document. @version and @commit of husk go to its annotations. *out is malloc()ed. */
int features_document(const char *version, const char *commit, char **out, struct error *err);

/* Default config.json of `husk spec`. @rootless adds a user namespace for @uid, @gid. *out is malloc()ed. */
int default_spec_document(bool rootless, unsigned uid, unsigned gid, char **out, struct error *err);

#endif
