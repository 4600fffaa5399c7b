/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock: packets to the guest, into the buffers that it supplies. Loop thread, under the device's lock. The guest
 * controls number, place and size of its buffers, and its credit.
 */
#include "vsock_internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define DATA_MAX (64u << 10)
#define END_MS 8000u /* as Linux waits itself */

static void fill_header(struct vsock_hdr *h, struct conn *c, uint16_t op)
{
	*h = (struct vsock_hdr){
		.src_cid = HOST_CID,
		.dst_cid = VSOCK_GUEST_CID,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.type = VSOCK_STREAM,
		.op = op,
		.buf_alloc = c->alloc,
		.fwd_cnt = c->forwarded,
	};
	c->forwarded_told = c->forwarded;
}

static bool wants_data(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->done && c->readable && !c->eof && !(c->shut_got & VSOCK_SHUT_RCV) &&
	       conn_credit(c);
}

static void on_eof(struct conn *c)
{
	c->readable = false;
	c->eof = true;
	c->shut_due |= VSOCK_SHUT_SEND;
	conn_queue(c, DUE_SHUTDOWN);
}

/* Reads the socket into the buffers behind the header. Returns bytes, 0: none now or no more ever. */
static uint32_t fill_data(struct conn *c, const struct vq_chain *chain)
{
	struct iovec iov[VQ_SIZE_MAX / 8];
	size_t skip = sizeof(struct vsock_hdr), room = 0, credit = conn_credit(c);
	struct msghdr m = { .msg_iov = iov };
	ssize_t n;

	for (unsigned int i = 0; i < chain->nwrite && m.msg_iovlen < sizeof(iov) / sizeof(iov[0]); i++) {
		struct iovec e = chain->iov[chain->nread + i];
		size_t max = (credit < DATA_MAX ? credit : DATA_MAX) - room;

		if (skip >= e.iov_len) {
			skip -= e.iov_len;
			continue;
		}
		e.iov_base = (uint8_t *)e.iov_base + skip;
		e.iov_len -= skip;
		skip = 0;
		if (e.iov_len > max)
			e.iov_len = max;
		if (e.iov_len == 0)
			break;
		room += e.iov_len;
		iov[m.msg_iovlen++] = e;
	}
	do
		n = recvmsg(c->watch.fd, &m, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		c->readable = false;
		return 0;
	}
	if (n <= 0) {
		on_eof(c);
		return 0;
	}
	if ((size_t)n < room)
		c->readable = false; /* most likely empty; if not, epoll says so again */
	c->sent += (uint32_t)n;
	return (uint32_t)n;
}

/* The next packet of this connection into the chain. Returns its length, 0: there is none after all. */
static uint32_t fill_packet(struct conn *c, const struct vq_chain *chain)
{
	struct vsock_hdr h;
	uint32_t n = 0;

	if (c->due & DUE_RST) {
		c->due = 0;
		fill_header(&h, c, VSOCK_OP_RST);
	} else if (c->due & DUE_REQUEST) {
		c->due &= ~DUE_REQUEST;
		fill_header(&h, c, VSOCK_OP_REQUEST);
	} else if (c->due & DUE_CREDIT) {
		c->due &= ~DUE_CREDIT;
		fill_header(&h, c, VSOCK_OP_CREDIT_UPDATE);
	} else if (wants_data(c) && (n = fill_data(c, chain)) > 0) {
		fill_header(&h, c, VSOCK_OP_RW);
		h.len = n;
	} else if (c->due & DUE_SHUTDOWN) {
		c->due &= ~DUE_SHUTDOWN;
		c->shut_sent |= c->shut_due;
		fill_header(&h, c, VSOCK_OP_SHUTDOWN);
		h.flags = c->shut_sent;
		if (c->shut_sent == VSOCK_SHUT_BOTH)
			conn_deadline(c, END_MS);
	} else {
		return 0;
	}
	chain_write(chain, 0, &h, sizeof(h));
	return (uint32_t)sizeof(h) + n;
}

static uint32_t fill_rst(struct vsock *v, const struct vq_chain *chain)
{
	struct rst r = v->rst[v->rst_head];
	struct vsock_hdr h = {
		.src_cid = HOST_CID,
		.dst_cid = VSOCK_GUEST_CID,
		.src_port = r.src_port,
		.dst_port = r.dst_port,
		.type = VSOCK_STREAM,
		.op = VSOCK_OP_RST,
	};

	v->rst_head = (v->rst_head + 1) % RSTS_MAX;
	v->nrst--;
	chain_write(chain, 0, &h, sizeof(h));
	return sizeof(h);
}

/* Drops connections without work from the head of the list. */
static struct conn *next_conn(struct vsock *v)
{
	while (v->head && !v->head->due && !wants_data(v->head)) {
		struct conn *c = v->head;

		conn_unqueue(c);
		conn_watch(c);
	}
	return v->head;
}

void vsock_pump(struct vsock *v)
{
	struct vq *q = &v->dev.vq[Q_RX];
	int budget = BUDGET;
	struct conn *c;

	while (v->active && ((c = next_conn(v)) || v->nrst)) {
		uint32_t len;
		int ret;

		if (budget-- == 0) {
			eventfd_write(q->kick, 1); /* the others first, then again */
			break;
		}
		ret = vq_take(q, &v->chain);
		if (ret == 0)
			break;
		if (ret < 0 || v->chain.write_len <= sizeof(struct vsock_hdr)) {
			virtio_fault(&v->dev, "its receive queue is broken");
			break;
		}
		if (v->nrst || !c) {
			len = fill_rst(v, &v->chain);
			vq_push(q, v->chain.head, len);
			continue;
		}
		len = fill_packet(c, &v->chain);
		if (len == 0) {
			vq_unpop(q, v->chain.head);
			continue;
		}
		vq_push(q, v->chain.head, len);
		/* To the end of the list: no stream keeps the others waiting. */
		conn_unqueue(c);
		if (c->state == CONN_RESET && !c->due && (!c->held || c->deaf))
			conn_free(c);
		else
			conn_queue(c, 0);
	}
	if (v->active)
		virtio_notify(&v->dev, q);
}
