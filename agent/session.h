/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the host (wire.h): one request at a time each, many at once.
 */
#ifndef HUSK_AGENT_SESSION_H
#define HUSK_AGENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"

#define SESSIONS_MAX 512u

struct session;
struct process;
struct container;

/*
 * Stamps for the HELLO of every session: pid 1 entered, mounts done, listening (CLOCK_MONOTONIC
 * ns).
 */
extern uint64_t session_boot_ns[3];

/*
 * Take a connected, non-blocking stream socket over and greet. 0, or -errno and the fd is closed.
 */
int session_add(int fd);

/* ---- for those who work on a request ---- */

/* Answer the request at hand and take the next one. */
void session_ok(struct session *s, const void *payload, size_t len);
void session_fail(struct session *s, const struct fault *f);

/* Any other frame. Never fails for the caller: a session that cannot send ends by itself, later. */
void session_frame(struct session *s, uint8_t type, uint8_t chan, const void *payload, size_t len);

/* A DATA frame; the payload stands in `frame` behind room for the header. */
void session_data(struct session *s, uint8_t chan, uint8_t *frame, size_t len);

/*
 * The host does not take what was sent before: send no more data now; relay_resume() will be
 * called.
 */
bool session_congested(const struct session *s);

/* The process of this session: CREATE and EXEC set it, NULL when it is gone. */
void session_set_process(struct session *s, struct process *p);

/*
 * The request is answered by a later call; its work may be given up by cancel(arg) when the host
 * closes.
 */
void session_defer(struct session *s, void (*cancel)(void *arg), void *arg);

/*
 * Answer the deferred request with OK and give the connection away: from now on it is the caller's,
 * and the session frees itself. The fd, or -EPROTO when the host said more than it may; then the
 * session ends.
 */
int session_detach(struct session *s);

/* A container has an event for sessions that WAIT for it, or ends its waiting (type 0). */
void session_notify(const struct container *c, uint8_t type, const void *payload, size_t len);

/* For tests: how many sessions there are. */
unsigned int session_count(void);

#endif
