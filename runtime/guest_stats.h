/* SPDX-License-Identifier: Apache-2.0 */
/* A container's statistics as its guest counts them: the files of its cgroup there. */
#ifndef HUSK_RUNTIME_GUEST_STATS_H
#define HUSK_RUNTIME_GUEST_STATS_H

#include <stdint.h>

#include "container.h"
#include "session.h"

struct guest_stats; /* file name -> text */

/* Ask the agent. NULL with *err. Release with guest_stats_free(). */
struct guest_stats *guest_stats_read(struct session *s, const char *cid, uint64_t deadline, struct error *err);
void guest_stats_free(struct guest_stats *g);

/* A file's text, or NULL when the guest has none of that name. */
const char *guest_stats_text(const struct guest_stats *g, const char *name);

/* A file that holds one number; "max" is UINT64_MAX, a missing one 0. */
uint64_t guest_stats_number(const struct guest_stats *g, const char *name);

/* The value behind a key in a file of "KEY VALUE" lines, or 0. */
uint64_t guest_stats_key(const struct guest_stats *g, const char *name, const char *key);

/* One member of `husk events`: {"type":"stats",...} on one line, newline included. malloc'ed. */
char *guest_stats_document(const struct guest_stats *g, const char *id);

#endif
