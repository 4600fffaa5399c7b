/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a session. The host controls what arrives: a header's type, channel and length are
 * checked together before its payload is awaited.
 */
#include "frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTQ_KEEP 16384u /* an idle queue keeps no more */

/*
 * Lengths that each request may have; { 0, 0 } entries of the enum's gaps are refused by `known`.
 */
static bool header_ok(const struct wire_hdr *h)
{
	uint32_t min = 0, max = 0;

	if (h->zero)
		return false;
	switch (h->type) {
	case WIRE_HELLO:
		min = max = sizeof(struct wire_hello);
		break;
	case WIRE_DATA:
		return h->chan == WIRE_STDIN && h->len <= WIRE_PAYLOAD_MAX;
	case WIRE_EOF:
		return h->chan <= WIRE_STDERR && h->len == 0;
	case WIRE_WINDOW:
		return (h->chan == WIRE_STDOUT || h->chan == WIRE_STDERR) && h->len == sizeof(uint32_t);
	case WIRE_DNS:
		return h->chan <= 1 && h->len >= sizeof(uint32_t) && h->len <= sizeof(uint32_t) + WIRE_DNS_MAX;
	case WIRE_PLAN:
		max = WIRE_PAYLOAD_MAX;
		break;
	case WIRE_CREATE:
	case WIRE_EXEC:
	case WIRE_UPDATE:
		break;
	case WIRE_SIGNAL:
		min = sizeof(struct wire_signal);
		max = min + WIRE_CID_MAX;
		break;
	case WIRE_RESIZE:
		min = max = sizeof(struct wire_winsize);
		break;
	case WIRE_START:
	case WIRE_PS:
	case WIRE_PAUSE:
	case WIRE_RESUME:
	case WIRE_STATS:
	case WIRE_WAIT:
	case WIRE_DESTROY:
	case WIRE_SOCKETS:
		min = 1;
		max = WIRE_CID_MAX;
		break;
	case WIRE_NET:
		min = sizeof(uint32_t);
		max = WIRE_PAYLOAD_MAX;
		break;
	case WIRE_CHANGES:
		min = sizeof(struct wire_change);
		max = WIRE_PAYLOAD_MAX;
		break;
	case WIRE_RESOLVER:
		min = max = sizeof(struct wire_resolver);
		break;
	case WIRE_FORWARD:
		min = max = sizeof(struct wire_forward);
		break;
	case WIRE_SETTIME:
		min = max = sizeof(int64_t);
		break;
	case WIRE_CPUS:
	case WIRE_ANSWER:
	case WIRE_REFUSE:
		min = max = sizeof(uint32_t);
		break;
	default:
		return false;
	}
	return h->chan == 0 && h->len >= min && h->len <= max;
}

int frame_split(const uint8_t *buf, size_t len, struct frame *f)
{
	if (len < sizeof(f->h))
		return 0;
	memcpy(&f->h, buf, sizeof(f->h));
	if (!header_ok(&f->h))
		return -EPROTO;
	if (len - sizeof(f->h) < f->h.len)
		return 0;
	f->payload = buf + sizeof(f->h);
	return (int)(sizeof(f->h) + f->h.len);
}

/* Room for `more` bytes at the end. */
static int outq_room(struct outq *q, size_t more)
{
	size_t cap;
	uint8_t *p;

	if (q->off == q->len)
		q->off = q->len = 0;
	if (q->off && q->cap - q->len < more) {
		memmove(q->buf, q->buf + q->off, q->len - q->off);
		q->len -= q->off;
		q->off = 0;
	}
	if (q->cap - q->len >= more)
		return 0;
	cap = (q->len + more + 4095) & ~(size_t)4095;
	p = realloc(q->buf, cap);
	if (!p)
		return -ENOMEM;
	q->buf = p;
	q->cap = cap;
	return 0;
}

int outq_bytes(struct outq *q, const void *data, size_t len)
{
	int r = outq_room(q, len);

	if (r == 0 && len) {
		memcpy(q->buf + q->len, data, len);
		q->len += len;
	}
	return r;
}

int outq_frame(struct outq *q, uint8_t type, uint8_t chan, const void *a, size_t alen, const void *b, size_t blen)
{
	struct wire_hdr h = { .len = (uint32_t)(alen + blen), .type = type, .chan = chan };
	int r = outq_room(q, sizeof(h) + alen + blen);

	if (r)
		return r;
	outq_bytes(q, &h, sizeof(h));
	outq_bytes(q, a, alen);
	outq_bytes(q, b, blen);
	return 0;
}

ssize_t outq_write(struct outq *q, int fd)
{
	size_t before = q->off;
	ssize_t done;

	while (q->off < q->len) {
		ssize_t n = write(fd, q->buf + q->off, q->len - q->off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return (ssize_t)(q->off - before);
		if (n < 0)
			return -errno;
		q->off += (size_t)n;
	}
	done = (ssize_t)(q->off - before);
	q->off = q->len = 0;
	if (q->cap > OUTQ_KEEP) {
		free(q->buf);
		q->buf = NULL;
		q->cap = 0;
	}
	return done;
}

void outq_free(struct outq *q)
{
	free(q->buf);
	memset(q, 0, sizeof(*q));
}
