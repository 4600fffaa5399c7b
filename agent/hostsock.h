/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the host in the guest (OP_SOCKET, WIRE_SOCKETS).
 */
#ifndef HUSK_AGENT_HOSTSOCK_H
#define HUSK_AGENT_HOSTSOCK_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"

struct container;
struct plan;
struct session;

#define HOSTSOCKS_MAX 64u  /* in one VM */
#define HOSTCALLS_MAX 128u /* connections, those that wait included */

/* Listen where a checked plan says. 0, or -1 with *f; then hostsock_forget() is due, as at the container's end. */
int hostsock_make(const struct container *c, const struct plan *p, struct fault *f);
void hostsock_forget(const struct container *c);

/* Requests of sessions: WIRE_SOCKETS, answered here. WIRE_ANSWER: the session's connection becomes the stream. */
void hostsock_serve(struct session *s, const struct container *c);
void hostsock_answer(struct session *s, uint32_t id);
void hostsock_refuse(struct session *s, uint32_t id);

/* A session ends: what it served is not served any more. */
void hostsock_hangup(const struct session *s);

#endif
