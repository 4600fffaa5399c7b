/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the host to TCP ports on the guest's loopback (WIRE_FORWARD).
 */
#ifndef HUSK_AGENT_FORWARD_H
#define HUSK_AGENT_FORWARD_H

#include "wire.h"

struct session;

#define FORWARDS_MAX 128u

/* A session's request. Answered later; on success the session's connection is taken over. */
void forward_begin(struct session *s, const struct wire_forward *q);

/* For tests: how many there are. */
unsigned int forward_count(void);

#endif
