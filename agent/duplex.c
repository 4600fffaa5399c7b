/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two connected stream sockets joined. Whoever is at the ends controls when and what they send; each direction holds
 * one buffer, so a reader that stalls stops its writer, and one event moves a bounded number of bytes.
 */
#include "duplex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 4 /* buffers of one direction in one event, so that no stream starves the loop */

int duplex_init(struct duplex *d, int a, int b)
{
	*d = (struct duplex){ .fd = { a, b } };
	for (int i = 0; i < 2; i++)
		d->half[i].buf = malloc(DUPLEX_ROOM);
	if (d->half[0].buf && d->half[1].buf)
		return 0;
	duplex_close(d);
	return -ENOMEM;
}

void duplex_close(struct duplex *d)
{
	for (int i = 0; i < 2; i++) {
		if (d->fd[i] >= 0)
			close(d->fd[i]);
		d->fd[i] = -1;
		free(d->half[i].buf);
		d->half[i].buf = NULL;
	}
}

void duplex_preload(struct duplex *d, int i, const void *data, size_t len)
{
	if (len > DUPLEX_ROOM)
		len = DUPLEX_ROOM;
	memcpy(d->half[i].buf, data, len);
	d->half[i].len = len;
}

/* 1: something moved, 0: not now, or -errno. */
static int half_read(struct duplex_half *h, int fd)
{
	ssize_t n = recv(fd, h->buf, DUPLEX_ROOM, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
	h->off = 0;
	h->len = (size_t)n;
	h->eof = n == 0;
	return 1;
}

static int half_write(struct duplex_half *h, int fd)
{
	ssize_t n = send(fd, h->buf + h->off, h->len - h->off, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
	h->off += (size_t)n;
	if (h->off == h->len)
		h->off = h->len = 0;
	return 1;
}

static int half_run(struct duplex *d, int i)
{
	struct duplex_half *h = &d->half[i];
	int r = 1;

	for (int round = 0; round < 2 * ROUNDS && r > 0; round++) {
		if (h->len)
			r = half_write(h, d->fd[1 - i]);
		else if (!h->eof)
			r = half_read(h, d->fd[i]);
		else
			break;
	}
	/* outside of the count: no event will come for it any more */
	if (r >= 0 && h->eof && !h->len && !h->shut) {
		h->shut = true;
		/* the other end may be gone altogether: then there is nobody to tell */
		if (shutdown(d->fd[1 - i], SHUT_WR) < 0 && errno != ENOTCONN)
			r = -errno;
	}
	return r < 0 ? r : 0;
}

uint32_t duplex_wants(const struct duplex *d, int i)
{
	const struct duplex_half *in = &d->half[i], *out = &d->half[1 - i];
	uint32_t events = 0;

	if (!in->eof && !in->len)
		events |= EPOLLIN;
	if (out->len)
		events |= EPOLLOUT;
	/* A socket that is shut both ways hangs up for ever: one whose output has ended is not watched for that. */
	return events || out->shut ? events : EPOLLERR;
}

int duplex_event(struct duplex *d, int i, uint32_t events)
{
	int r;

	if ((events & (EPOLLERR | EPOLLHUP)) && !(duplex_wants(d, i) & (EPOLLIN | EPOLLOUT)))
		return -ECONNRESET;
	for (int k = 0; k < 2; k++) {
		r = half_run(d, k);
		if (r < 0)
			return r;
	}
	return d->half[0].shut && d->half[1].shut ? 0 : 1;
}
