/* SPDX-License-Identifier: Apache-2.0 */
/* Changes that the host made in coherent shares, repeated so that inotify tells of them. */
#ifndef HUSK_AGENT_CHANGES_H
#define HUSK_AGENT_CHANGES_H

#include <stddef.h>
#include <stdint.h>

struct session;

/* Take a WIRE_CHANGES request; it is answered when all are done. */
void changes_begin(struct session *s, const uint8_t *data, size_t len);

#endif
