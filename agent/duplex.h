/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two connected stream sockets, each one's input being the other's output, half-close included. No loop of its own:
 * agent and host bring theirs.
 */
#ifndef HUSK_AGENT_DUPLEX_H
#define HUSK_AGENT_DUPLEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DUPLEX_ROOM 65536u /* bytes held in each direction */

struct duplex_half {
	uint8_t *buf; /* [off, len) is read and not yet written */
	size_t off, len;
	bool eof;  /* nothing more comes */
	bool shut; /* and the other side knows */
};

/* half[i] carries from fd[i] to fd[1 - i]. */
struct duplex {
	int fd[2];
	struct duplex_half half[2];
};

/* Take over two non-blocking sockets, in any case. 0 or -ENOMEM, and they are closed. */
int duplex_init(struct duplex *d, int a, int b);
/* Both sockets and the memory. */
void duplex_close(struct duplex *d);

/* Bytes that came from fd[i] before, at most DUPLEX_ROOM. Once, before the first event. */
void duplex_preload(struct duplex *d, int i, const void *data, size_t len);

/* EPOLL* that fd[i] has to be watched for; 0: none. */
uint32_t duplex_wants(const struct duplex *d, int i);

/**
 * duplex_event() - move what can be moved
 * @i, @events: what the loop saw on fd[i]; 0 events to begin
 *
 * Return: 1 to go on, 0 when both directions have ended, or -errno; then duplex_close() is due.
 */
int duplex_event(struct duplex *d, int i, uint32_t events);

#endif
