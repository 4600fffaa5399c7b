/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock: packets from the guest. Loop thread, under the device's lock. The guest controls every byte of them; a header
 * is copied once, and what goes beyond a connection's credit ends it.
 */
#include "vsock_internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "agent/wire.h"

bool vsock_add_rst(struct vsock *v, const struct vsock_hdr *h)
{
	if (v->nrst == RSTS_MAX)
		return false;
	v->rst[(v->rst_head + v->nrst++) % RSTS_MAX] = (struct rst){ h->dst_port, h->src_port };
	return true;
}

static void on_ready(struct vsock *v)
{
	if (v->is_ready)
		return;
	v->is_ready = true;
	v->ready_due = v->ready != NULL;
	for (unsigned int i = 0; i < VSOCK_CONNS_MAX; i++) {
		struct conn *c = v->conn[i];

		if (c && c->state == CONN_WAITING) {
			c->state = CONN_CONNECTING;
			conn_deadline(c, CONNECT_MS);
			conn_queue(c, DUE_REQUEST);
		}
	}
}

static void on_shutdown(struct conn *c, uint32_t flags)
{
	c->shut_got |= flags & VSOCK_SHUT_BOTH;
	if (c->shut_got == VSOCK_SHUT_BOTH) {
		/* Confirmed at once; held bytes and the end of stream follow to the host's socket. */
		c->state = CONN_RESET;
		c->deadline = 0;
		c->due = 0;
		conn_queue(c, DUE_RST);
	}
	if (c->shut_got & VSOCK_SHUT_RCV)
		shutdown(c->watch.fd, SHUT_RD);
	conn_flush(c);
}

static struct conn *find_conn(struct vsock *v, const struct vsock_hdr *h)
{
	struct conn *c = v->conn[h->dst_port % VSOCK_CONNS_MAX];

	return c && c->host_port == h->dst_port && c->guest_port == h->src_port ? c : NULL;
}

static void on_conn_packet(struct conn *c, const struct vsock_hdr *h, const struct vq_chain *chain)
{
	if (c->state == CONN_CONNECTING && h->op == VSOCK_OP_RESPONSE) {
		conn_peer(c, h);
		c->state = CONN_OPEN;
		conn_tell(c, 0);
		return;
	}
	if (h->op == VSOCK_OP_RST) {
		conn_end(c);
		return;
	}
	if (c->state != CONN_OPEN) {
		if (c->state == CONN_CONNECTING) {
			conn_tell(c, -ECONNREFUSED);
			vsock_add_rst(c->dev, h);
		}
		return;
	}
	conn_peer(c, h);
	switch (h->op) {
	case VSOCK_OP_RW:
		if (!conn_receive(c, chain, h->len)) {
			conn_reset(c);
			return;
		}
		break;
	case VSOCK_OP_SHUTDOWN:
		on_shutdown(c, h->flags);
		return;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		conn_queue(c, DUE_CREDIT);
		break;
	default:
		conn_reset(c);
		return;
	}
	if (c->readable)
		conn_queue(c, 0); /* it may have credit now */
	conn_watch(c);
}

/* One packet of the guest. False: the header does not fit its buffers. */
static bool on_packet(struct vsock *v, const struct vq_chain *chain)
{
	struct vsock_hdr h;
	struct conn *c;

	if (chain_read(chain, 0, &h, sizeof(h)) != sizeof(h) || h.len > chain->read_len - sizeof(h))
		return false;
	if (h.src_cid != VSOCK_GUEST_CID || h.dst_cid != HOST_CID) {
		if (h.op != VSOCK_OP_RST)
			vsock_add_rst(v, &h);
		return true;
	}
	if (h.op == VSOCK_OP_REQUEST && h.type == VSOCK_STREAM && h.dst_port == WIRE_READY_PORT)
		on_ready(v);
	c = h.type == VSOCK_STREAM ? find_conn(v, &h) : NULL;
	if (c)
		on_conn_packet(c, &h, chain);
	else if (h.op != VSOCK_OP_RST)
		vsock_add_rst(v, &h); /* unknown, or a connection to the host: refused */
	return true;
}

void vsock_serve(struct vsock *v)
{
	struct vq *q = &v->dev.vq[Q_TX];
	int budget = BUDGET;

	v->tx_stalled = false;
	while (v->active) {
		int ret;

		if (v->nrst == RSTS_MAX) {
			vsock_pump(v);
			if (v->nrst == RSTS_MAX) {
				v->tx_stalled = true; /* until it gives receive buffers */
				break;
			}
		}
		if (budget-- == 0) {
			eventfd_write(q->kick, 1);
			break;
		}
		ret = vq_take(q, &v->chain);
		if (ret == 0)
			break;
		if (ret < 0 || !on_packet(v, &v->chain)) {
			virtio_fault(&v->dev,
				     ret < 0 ? "its transmit queue is broken" : "it sent a packet without header");
			break;
		}
		vq_push(q, v->chain.head, 0);
		vsock_tell(v);
	}
	if (v->active)
		virtio_notify(&v->dev, q);
	vsock_pump(v);
	vsock_tell(v);
}
