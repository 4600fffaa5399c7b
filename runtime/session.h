/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a session with husk-agent (agent/wire.h), over a connection that the VMM made for us.
 * What the agent sends is hostile: every frame is length-checked here before anybody sees it.
 */
#ifndef HUSK_RUNTIME_SESSION_H
#define HUSK_RUNTIME_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../agent/wire.h"
#include "../oci/error.h"

#define SESSION_OUT_MAX (1u << 20)	   /* queued bytes towards the agent, apart from plans */
#define SESSION_HELD_MAX (3 * WIRE_CREDIT) /* what a process may write before EXEC is answered, with headers */

struct session {
	int fd; /* non-blocking; -1: none */
	bool hello_seen;
	struct wire_hello hello; /* the agent's */
	size_t in_len, in_used;	 /* bytes in `in`; of them, the frame that session_next() gave out last */
	uint8_t *out;		 /* queued, not sent yet */
	size_t out_len, out_off, out_cap;
	bool answering; /* a request waits for its answer: stream frames are put aside */
	uint8_t *held;	/* ... here, for session_next() to give out first */
	size_t held_len, held_off;
	uint8_t in[sizeof(struct wire_hdr) + WIRE_PAYLOAD_MAX];
};

/* A frame as received; payload points into the session and stays valid until the next session_* call. */
struct frame {
	struct wire_hdr h;
	const uint8_t *payload;
};

/* Take over a connected stream (made non-blocking) and queue our HELLO. malloc'ed. */
struct session *session_new(int fd);
void session_free(struct session *s);

/* Queue a frame. 0, or -ENOBUFS when the agent does not read and the queue is full. */
int session_put(struct session *s, uint8_t type, uint8_t chan, const void *payload, size_t len);
/* Queue a plan as PLAN frames. */
void session_put_plan(struct session *s, const void *plan, size_t len);

/* Write what can be written now. 0 (look at session_pending()) or -errno. */
int session_flush(struct session *s);
bool session_pending(const struct session *s);

/* Read what is there now: bytes read, 0 at the end, -EAGAIN when there is nothing, -errno. */
int session_fill(struct session *s);

/* The next complete frame: 1, 0 when there is none yet, -EPROTO when the agent breaks the protocol. Eats HELLO. */
int session_next(struct session *s, struct frame *f);

/**
 * session_wait() - flush, then wait for the next frame
 * @deadline: CLOCK_MONOTONIC ns
 *
 * Return: 0, -ETIMEDOUT, -EPIPE when the agent is gone, -EPROTO, -errno.
 */
int session_wait(struct session *s, struct frame *f, uint64_t deadline);

/**
 * session_request() - send a request (queued frames first) and wait for its OK or ERROR
 * @reply: the OK frame, may be NULL
 *
 * Return: 0, or -1 with *err in the words that engines match (guest_error()), err->code 0 then for timeouts.
 */
int session_request(struct session *s, uint8_t type, const void *payload, size_t len, uint64_t deadline,
		    struct frame *reply, struct error *err);

/* An ERROR frame as an error: "exec: \"x\": executable file not found in $PATH" and so on. Returns -1. */
int guest_error(struct error *err, const struct frame *f);

#endif
