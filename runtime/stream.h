/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the host's programs that become byte streams to the guest: each asks the agent in a session of its
 * own, whose connection is the stream from then on (WIRE_FORWARD, WIRE_ANSWER).
 */
#ifndef HUSK_RUNTIME_STREAM_H
#define HUSK_RUNTIME_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "evloop.h"
#include "session.h"

struct stream;

/* Streams of one kind, in one loop. The caller fills it in, and keeps it until streams_end(). */
struct streams {
	struct evloop *loop;
	struct session *(*connect)(void *arg); /* a new session with the agent, or NULL */
	void (*changed)(void *arg);	       /* their number has; may be NULL */
	void *arg;
	struct stream *list;
	unsigned int n;
};

/**
 * stream_new() - ask the agent for the other end of @client
 * @client: connected socket, taken over in any case. When the agent refuses, it is closed by a reset
 * @type, @payload: the request
 */
void stream_new(struct streams *t, int client, uint8_t type, const void *payload, size_t len);

void streams_end(struct streams *t);

#endif
