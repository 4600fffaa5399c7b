/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames (wire.h) of one connection: splitting what arrives, queueing what leaves. No system calls
 * but write(2).
 */
#ifndef HUSK_AGENT_FRAME_H
#define HUSK_AGENT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

#define FRAME_MAX (sizeof(struct wire_hdr) + WIRE_PAYLOAD_MAX)

struct frame {
	struct wire_hdr h;
	const uint8_t *payload;
};

/*
 * The first frame in `buf`. Bytes it takes, 0 when it is not complete yet, -EPROTO when its header
 * breaks a rule for frames of the host.
 */
int frame_split(const uint8_t *buf, size_t len, struct frame *f);

/* Bytes that wait for a descriptor to take them. */
struct outq {
	uint8_t *buf;
	size_t off, len, cap; /* buf[off..len) waits */
};

/* Append a frame whose payload comes in two parts (b may be NULL). 0 or -ENOMEM. */
int outq_frame(struct outq *q, uint8_t type, uint8_t chan, const void *a, size_t alen, const void *b, size_t blen);

/* Append bytes as they are. 0 or -ENOMEM. */
int outq_bytes(struct outq *q, const void *data, size_t len);

/*
 * Write what the (non-blocking) fd takes now. Bytes written or -errno; outq_pending() tells what is
 * left.
 */
ssize_t outq_write(struct outq *q, int fd);

static inline size_t outq_pending(const struct outq *q)
{
	return q->len - q->off;
}

void outq_free(struct outq *q);

#endif
