/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One vsock stream: its life, credit both ways, half-close, the host's socket. Loop thread, under the device's lock.
 * The guest controls its credit fields and data; what it can make us hold is c->alloc bytes, which it was granted.
 */
#include "vsock_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"

#define SEND_IOV 64u
#define TICK_MS 1000u

uint32_t conn_credit(const struct conn *c)
{
	uint32_t in_flight = c->sent - c->peer_fwd;

	return in_flight < c->peer_alloc ? c->peer_alloc - in_flight : 0;
}

void conn_peer(struct conn *c, const struct vsock_hdr *h)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
}

/* Tell the guest about freed room before it has to stop: when it believes that less than half is left. */
static void forwarded(struct conn *c, uint32_t n)
{
	c->forwarded += n;
	if (c->state == CONN_OPEN && c->received - c->forwarded_told > c->alloc / 2 &&
	    c->forwarded != c->forwarded_told)
		conn_queue(c, DUE_CREDIT);
}

/* The host's end reads no more: what comes is dropped, and the guest is told so. */
void conn_deaf(struct conn *c)
{
	c->deaf = true;
	forwarded(c, c->held);
	c->held = 0;
	c->shut_due |= VSOCK_SHUT_RCV;
	if (c->state == CONN_OPEN)
		conn_queue(c, DUE_SHUTDOWN);
}

/* Bytes taken by the socket; 0 when it is full or gone. */
static uint32_t send_some(struct conn *c, const struct iovec *iov, unsigned int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	ssize_t w;

	do
		w = sendmsg(c->watch.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (w < 0 && errno == EINTR);
	if (w < 0 && errno != EAGAIN && errno != ENOBUFS)
		conn_deaf(c);
	return w > 0 ? (uint32_t)w : 0;
}

/* Straight from guest memory to the socket, skipping the header. Returns bytes sent. */
static uint32_t send_direct(struct conn *c, const struct vq_chain *chain, uint32_t len)
{
	struct iovec iov[SEND_IOV];
	size_t skip = sizeof(struct vsock_hdr);
	uint32_t left = len, n = 0;

	for (unsigned int i = 0; i < chain->nread && n < SEND_IOV && left; i++) {
		size_t part = chain->iov[i].iov_len;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		part -= skip;
		if (part > left)
			part = left;
		iov[n++] = (struct iovec){ .iov_base = (uint8_t *)chain->iov[i].iov_base + skip, .iov_len = part };
		skip = 0;
		left -= (uint32_t)part;
	}
	return n ? send_some(c, iov, n) : 0;
}

/* Copies len bytes of the chain, from data offset off on, behind the held ones. The room has been checked. */
static bool hold(struct conn *c, const struct vq_chain *chain, uint32_t off, uint32_t len)
{
	uint32_t tail, first;

	if (!c->buf)
		c->buf = malloc(c->alloc);
	if (!c->buf)
		return false;
	tail = (c->head + c->held) % c->alloc;
	first = len < c->alloc - tail ? len : c->alloc - tail;
	chain_read(chain, sizeof(struct vsock_hdr) + off, c->buf + tail, first);
	chain_read(chain, sizeof(struct vsock_hdr) + off + first, c->buf, len - first);
	c->held += len;
	return true;
}

bool conn_receive(struct conn *c, const struct vq_chain *chain, uint32_t len)
{
	uint32_t sent = 0;

	if (c->shut_got & VSOCK_SHUT_SEND)
		return false;
	/* It may have sent what it was granted and not a byte more. */
	if (len > c->alloc - (c->received - c->forwarded))
		return false;
	c->received += len;
	if (c->held == 0 && !c->deaf) {
		sent = send_direct(c, chain, len);
		forwarded(c, sent);
	}
	if (c->deaf) {
		forwarded(c, len - sent);
	} else if (sent < len) {
		if (!hold(c, chain, sent, len - sent))
			return false;
		conn_watch(c);
	}
	return true;
}

void conn_flush(struct conn *c)
{
	while (c->held && !c->deaf) {
		uint32_t first = c->held < c->alloc - c->head ? c->held : c->alloc - c->head;
		struct iovec iov[2] = {
			{ .iov_base = c->buf + c->head, .iov_len = first },
			{ .iov_base = c->buf, .iov_len = c->held - first },
		};
		uint32_t n = send_some(c, iov, c->held > first ? 2 : 1);

		if (c->deaf || n == 0)
			break;
		c->head = (c->head + n) % c->alloc;
		c->held -= n;
		forwarded(c, n);
	}
	if (c->held == 0) {
		free(c->buf); /* a reader that was slow once need not stay expensive */
		c->buf = NULL;
		c->head = 0;
		if ((c->shut_got & VSOCK_SHUT_SEND) || c->state == CONN_RESET)
			shutdown(c->watch.fd, SHUT_WR);
	}
	conn_watch(c);
}

void conn_watch(struct conn *c)
{
	struct loop *loop = c->dev->loop;
	/* With events 0 a hang-up is still heard. */
	bool watched = c->state == CONN_WAITING || c->state == CONN_CONNECTING;
	uint32_t events = 0;

	if (c->watch.fd < 0)
		return;
	if (c->held && !c->deaf)
		events |= EPOLLOUT;
	if (c->state == CONN_OPEN && !c->eof && !c->readable && !(c->shut_got & VSOCK_SHUT_RCV) && conn_credit(c))
		events |= EPOLLIN;
	if (!watched && events == 0) {
		/* Not watched when there is nothing to do: a socket that hung up would wake the loop for ever. */
		loop_del(loop, &c->watch);
	} else if (c->watch.slot) {
		loop_mod(loop, &c->watch, events);
	} else {
		c->watch.events = events;
		if (loop_add(loop, &c->watch)) { /* no memory: the stream cannot go on */
			c->eof = true;
			c->shut_due |= VSOCK_SHUT_SEND;
			conn_deaf(c);
		}
	}
}

void conn_deadline(struct conn *c, uint32_t ms)
{
	struct vsock *v = c->dev;

	c->deadline = clock_ns() + ms * 1000000ull;
	if (!v->ticking) {
		struct itimerspec its = { { TICK_MS / 1000, 0 }, { TICK_MS / 1000, 0 } };

		v->ticking = timerfd_settime(v->timer.fd, 0, &its, NULL) == 0;
	}
}

void conn_queue(struct conn *c, unsigned int due)
{
	struct vsock *v = c->dev;

	c->due |= due;
	if (c->queued)
		return;
	c->queued = true;
	c->next = NULL;
	if (v->tail)
		v->tail->next = c;
	else
		v->head = c;
	v->tail = c;
}

void conn_unqueue(struct conn *c)
{
	struct vsock *v = c->dev;
	struct conn **p, *before = NULL;

	if (!c->queued)
		return;
	for (p = &v->head; *p != c; p = &(*p)->next)
		before = *p;
	*p = c->next;
	if (v->tail == c)
		v->tail = before;
	c->queued = false;
}

void conn_free(struct conn *c)
{
	struct vsock *v = c->dev;

	conn_unqueue(c);
	loop_del(v->loop, &c->watch);
	if (c->watch.fd >= 0)
		close(c->watch.fd);
	free(c->buf);
	v->conn[c->host_port % VSOCK_CONNS_MAX] = NULL;
	v->nconns--;
	free(c);
}

/* `done` is told outside the lock, because it may ask for the next connection. */
void conn_tell(struct conn *c, int status)
{
	struct vsock *v = c->dev;

	c->done_status = status;
	c->deadline = 0;
	if (status) {
		c->state = CONN_FAILED;
		conn_unqueue(c);
		loop_del(v->loop, &c->watch);
		c->watch.fd = -1; /* the caller's again */
	}
	c->next_done = v->done;
	v->done = c;
}

void vsock_tell(struct vsock *v)
{
	while (v->done || v->ready_due) {
		struct conn *c = v->done;

		if (v->ready_due) {
			v->ready_due = false;
			pthread_mutex_unlock(&v->lock);
			v->ready(v->ready_arg);
			pthread_mutex_lock(&v->lock);
			continue;
		}
		v->done = c->next_done;
		vsock_done done = c->done;
		void *arg = c->done_arg;
		int status = c->done_status;

		c->done = NULL;
		if (status)
			conn_free(c);
		pthread_mutex_unlock(&v->lock);
		done(arg, status);
		pthread_mutex_lock(&v->lock);
		/* From here on bytes are relayed. The connection may be gone only by this thread, so it is not. */
		if (!status)
			conn_watch(c);
	}
}

void conn_end(struct conn *c)
{
	if (c->done) { /* not told yet that it was open: then it was refused */
		if (c->state == CONN_WAITING || c->state == CONN_CONNECTING)
			conn_tell(c, -ECONNREFUSED);
		return;
	}
	c->state = CONN_RESET;
	c->deadline = 0;
	if (c->held && !c->deaf)
		conn_flush(c);
	if (!c->held && !(c->due & DUE_RST))
		conn_free(c);
}

void conn_reset(struct conn *c)
{
	c->state = CONN_RESET;
	c->deadline = 0;
	c->due = 0;
	conn_queue(c, DUE_RST);
	conn_watch(c);
}
