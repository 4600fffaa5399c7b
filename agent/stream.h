/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's connection that has become a plain byte stream to a socket of the guest.
 */
#ifndef HUSK_AGENT_STREAM_H
#define HUSK_AGENT_STREAM_H

struct session;

/**
 * stream_begin() - answer the session's request with OK, and join its connection with a socket
 * @fd: connected, non-blocking; taken over in any case
 * @over: called once, when both directions have ended or joining failed
 */
void stream_begin(struct session *s, int fd, void (*over)(void));

#endif
