/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock (virtio 1.2, 5.10): streams from host sockets to ports of the guest. Loop thread, each callback under
 * the device's lock; activate and reset come from vCPU threads. The guest controls the rings, every packet, and
 * whether it answers at all.
 *
 * Theory of operation. Connections start on the host only: a request of the guest is refused with RST; one to
 * WIRE_READY_PORT also tells that the agent listens. What the guest sends goes straight from its memory to the
 * host's socket; what a slow reader does not take is held, up to the credit that the guest was granted, and nobody
 * can send beyond it. What the host sends is read from its socket straight into the guest's buffers, when there are
 * such and the guest has granted credit; until then it stays in the socket, so the sender is slowed down and
 * nothing is held here. Packets to the guest without data (requests, resets, shutdowns, credit) are not queued either:
 * they are bits of a connection, or one of RSTS_MAX resets for unknown connections; when those are used up, the
 * guest's packets wait until it supplies receive buffers.
 *
 * End of a stream: each direction ends by itself (SHUTDOWN flags against shutdown(2)). When both have ended for the
 * guest we confirm with RST. When the host's socket is closed the guest has END_MS to answer before it gets RST.
 *
 * reset() must stop all use of the queues at once, in another thread than the callbacks: it clears `active` under the
 * lock, which every callback takes first. Sockets are closed by the loop afterwards.
 */
#include "vsock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/wire.h"
#include "vsock_conn.h"

enum { Q_RX = 0, Q_TX = 1, Q_EVENT = 2, NQUEUES = 3 };

#define QUEUE_SIZE 128u
#define HOST_CID 2u
#define RSTS_MAX 64u
#define BUDGET 256 /* packets of one callback */
#define DATA_MAX (64u << 10)
#define CONNECT_MS 10000u /* the agent answers at once, or it is stuck */
#define END_MS 8000u	  /* as Linux waits itself */
#define TICK_MS 1000u
#define PORT_BASE 0x40000000u

struct rst {
	uint32_t src_port, dst_port;
};

struct vsock {
	struct virtio_dev dev;
	struct loop *loop;
	void (*ready)(void *arg);
	void *ready_arg;

	pthread_mutex_t lock; /* everything below */
	bool active, is_ready, given_up;
	bool ready_due;	   /* call ready() */
	bool closing;	   /* close_old() is on its way */
	uint32_t life;	   /* counts resets: connections of an earlier life are closed */
	uint32_t sequence; /* of host ports */
	unsigned int nconns;
	struct conn *conn[VSOCK_CONNS_MAX];
	uint32_t conn_life[VSOCK_CONNS_MAX];
	struct conn *head, *tail; /* something to send */
	struct conn *done;	  /* somebody to tell */
	struct rst rst[RSTS_MAX];
	unsigned int rst_head, nrst;
	bool tx_stalled; /* for want of room for resets */
	struct loop_watch rx_kick, tx_kick, timer;
	bool ticking;
	struct vq_chain chain;
};

struct loop *vsock_loop(const struct vsock *v)
{
	return v->loop;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void set_deadline(struct conn *c, uint32_t ms)
{
	struct vsock *v = c->dev;

	c->deadline = now_ns() + ms * 1000000ull;
	if (!v->ticking) {
		struct itimerspec its = { { TICK_MS / 1000, 0 }, { TICK_MS / 1000, 0 } };

		v->ticking = timerfd_settime(v->timer.fd, 0, &its, NULL) == 0;
	}
}

void vsock_queue_conn(struct conn *c, unsigned int due)
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

static void unqueue_conn(struct conn *c)
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

static void free_conn(struct conn *c)
{
	struct vsock *v = c->dev;

	unqueue_conn(c);
	loop_del(v->loop, &c->watch);
	if (c->watch.fd >= 0)
		close(c->watch.fd);
	free(c->buf);
	v->conn[c->host_port % VSOCK_CONNS_MAX] = NULL;
	v->nconns--;
	free(c);
}

/* `done` is told outside the lock, because it may ask for the next connection. */
static void tell(struct conn *c, int status)
{
	struct vsock *v = c->dev;

	c->done_status = status;
	c->deadline = 0;
	if (status) {
		c->state = CONN_FAILED;
		unqueue_conn(c);
		loop_del(v->loop, &c->watch);
		c->watch.fd = -1; /* the caller's again */
	}
	c->next_done = v->done;
	v->done = c;
}

static void tell_all(struct vsock *v)
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
			free_conn(c);
		pthread_mutex_unlock(&v->lock);
		done(arg, status);
		pthread_mutex_lock(&v->lock);
		/* From here on bytes are relayed. The connection may be gone only by this thread, so it is not. */
		if (!status)
			conn_watch(c);
	}
}

/* The guest's side is over. Data that it has sent still goes to the host. */
static void end_conn(struct conn *c)
{
	if (c->done) { /* not told yet that it was open: then it was refused */
		if (c->state == CONN_WAITING || c->state == CONN_CONNECTING)
			tell(c, -ECONNREFUSED);
		return;
	}
	c->state = CONN_RESET;
	c->deadline = 0;
	if (c->held && !c->deaf)
		conn_flush(c);
	if (!c->held && !(c->due & DUE_RST))
		free_conn(c);
}

/* End it from our side: the guest gets RST. */
static void reset_conn(struct conn *c)
{
	c->state = CONN_RESET;
	c->deadline = 0;
	c->due = 0;
	vsock_queue_conn(c, DUE_RST);
	conn_watch(c);
}

static bool add_rst(struct vsock *v, const struct vsock_hdr *h)
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
			set_deadline(c, CONNECT_MS);
			vsock_queue_conn(c, DUE_REQUEST);
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
		vsock_queue_conn(c, DUE_RST);
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
		tell(c, 0);
		return;
	}
	if (h->op == VSOCK_OP_RST) {
		end_conn(c);
		return;
	}
	if (c->state != CONN_OPEN) {
		if (c->state == CONN_CONNECTING) {
			tell(c, -ECONNREFUSED);
			add_rst(c->dev, h);
		}
		return;
	}
	conn_peer(c, h);
	switch (h->op) {
	case VSOCK_OP_RW:
		if (!conn_receive(c, chain, h->len)) {
			reset_conn(c);
			return;
		}
		break;
	case VSOCK_OP_SHUTDOWN:
		on_shutdown(c, h->flags);
		return;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		vsock_queue_conn(c, DUE_CREDIT);
		break;
	default:
		reset_conn(c);
		return;
	}
	if (c->readable)
		vsock_queue_conn(c, 0); /* it may have credit now */
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
			add_rst(v, &h);
		return true;
	}
	if (h.op == VSOCK_OP_REQUEST && h.type == VSOCK_STREAM && h.dst_port == WIRE_READY_PORT)
		on_ready(v);
	c = h.type == VSOCK_STREAM ? find_conn(v, &h) : NULL;
	if (c)
		on_conn_packet(c, &h, chain);
	else if (h.op != VSOCK_OP_RST)
		add_rst(v, &h); /* unknown, or a connection to the host: refused */
	return true;
}

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
	vsock_queue_conn(c, DUE_SHUTDOWN);
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
			set_deadline(c, END_MS);
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

		unqueue_conn(c);
		conn_watch(c);
	}
	return v->head;
}

/* Send what is due, as long as the guest has buffers. */
static void pump(struct vsock *v)
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
		vq_disable_kick(q);
		ret = vq_pop(q, &v->chain);
		if (ret == 0) {
			if (vq_enable_kick(q))
				continue;
			break;
		}
		if (ret < 0 || v->chain.write_len <= sizeof(struct vsock_hdr)) {
			virtio_fault(&v->dev, "its receive queue is broken");
			break;
		}
		if (v->nrst) {
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
		unqueue_conn(c);
		if (c->state == CONN_RESET && !c->due && (!c->held || c->deaf))
			free_conn(c);
		else
			vsock_queue_conn(c, 0);
	}
	if (v->active)
		virtio_notify(&v->dev, q);
}

/* Take the guest's packets. */
static void serve_tx(struct vsock *v)
{
	struct vq *q = &v->dev.vq[Q_TX];
	int budget = BUDGET;

	v->tx_stalled = false;
	while (v->active) {
		int ret;

		if (v->nrst == RSTS_MAX) {
			pump(v);
			if (v->nrst == RSTS_MAX) {
				v->tx_stalled = true; /* until it gives receive buffers */
				break;
			}
		}
		if (budget-- == 0) {
			eventfd_write(q->kick, 1);
			break;
		}
		vq_disable_kick(q);
		ret = vq_pop(q, &v->chain);
		if (ret == 0) {
			if (vq_enable_kick(q))
				continue;
			break;
		}
		if (ret < 0 || !on_packet(v, &v->chain)) {
			virtio_fault(&v->dev,
				     ret < 0 ? "its transmit queue is broken" : "it sent a packet without header");
			break;
		}
		vq_push(q, v->chain.head, 0);
		tell_all(v);
	}
	if (v->active)
		virtio_notify(&v->dev, q);
	pump(v);
	tell_all(v);
}

static void on_tx_kick(void *arg, uint32_t events)
{
	struct vsock *v = arg;
	eventfd_t n;

	(void)events;
	eventfd_read(v->tx_kick.fd, &n);
	pthread_mutex_lock(&v->lock);
	serve_tx(v);
	pthread_mutex_unlock(&v->lock);
}

static void on_rx_kick(void *arg, uint32_t events)
{
	struct vsock *v = arg;
	eventfd_t n;

	(void)events;
	eventfd_read(v->rx_kick.fd, &n);
	pthread_mutex_lock(&v->lock);
	pump(v);
	if (v->tx_stalled)
		serve_tx(v);
	pthread_mutex_unlock(&v->lock);
}

/* A host socket became readable, writable, or its other end is gone. */
static void on_socket(void *arg, uint32_t events)
{
	struct conn *c = arg;
	struct vsock *v = c->dev;

	pthread_mutex_lock(&v->lock);
	if (c->state == CONN_WAITING || c->state == CONN_CONNECTING) {
		if (events & (EPOLLHUP | EPOLLERR)) {
			if (c->state == CONN_CONNECTING)
				add_rst(v, &(struct vsock_hdr){ .dst_port = c->host_port, .src_port = c->guest_port });
			tell(c, -ECANCELED);
		}
	} else {
		if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
			conn_flush(c); /* a closed socket shows itself by the error of a write */
		if (c->state == CONN_RESET && !c->due && (!c->held || c->deaf)) {
			free_conn(c);
		} else {
			if ((events & (EPOLLHUP | EPOLLERR)) && !c->deaf)
				conn_deaf(c);
			if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && c->state == CONN_OPEN && !c->eof) {
				c->readable = true;
				vsock_queue_conn(c, 0);
			}
			conn_watch(c);
		}
	}
	pump(v);
	tell_all(v);
	pthread_mutex_unlock(&v->lock);
}

static void on_timer(void *arg, uint32_t events)
{
	struct vsock *v = arg;
	uint64_t now = now_ns();
	bool more = false;
	eventfd_t n;

	(void)events;
	eventfd_read(v->timer.fd, &n);
	pthread_mutex_lock(&v->lock);
	for (unsigned int i = 0; i < VSOCK_CONNS_MAX; i++) {
		struct conn *c = v->conn[i];

		if (!c || !c->deadline)
			continue;
		if (now < c->deadline) {
			more = true;
		} else if (c->state == CONN_CONNECTING) {
			add_rst(v, &(struct vsock_hdr){ .dst_port = c->host_port, .src_port = c->guest_port });
			tell(c, -ETIMEDOUT);
		} else {
			reset_conn(c);
		}
	}
	if (!more) {
		struct itimerspec off = { { 0, 0 }, { 0, 0 } };

		timerfd_settime(v->timer.fd, 0, &off, NULL);
		v->ticking = false;
	}
	pump(v);
	tell_all(v);
	pthread_mutex_unlock(&v->lock);
}

int vsock_connect(struct virtio_dev *d, uint32_t port, int fd, vsock_done done, void *arg)
{
	struct vsock *v = (struct vsock *)d;
	unsigned int i;
	struct conn *c;
	int ret = -EAGAIN;

	pthread_mutex_lock(&v->lock);
	if (v->given_up && !v->is_ready) {
		ret = -ETIMEDOUT;
		goto out;
	}
	if (v->nconns == VSOCK_CONNS_MAX)
		goto out;
	do
		i = v->sequence++ % VSOCK_CONNS_MAX;
	while (v->conn[i]);
	c = calloc(1, sizeof(*c));
	if (!c) {
		ret = -ENOMEM;
		goto out;
	}
	c->dev = v;
	/* Ports are not reused soon: the sequence number counts on, 20 bits of it above the index. */
	c->host_port = PORT_BASE | ((v->sequence - 1) & 0x3fffffff);
	c->guest_port = port;
	c->done = done;
	c->done_arg = arg;
	c->alloc = v->nconns < VSOCK_LARGE_MAX ? VSOCK_BUFFER_LARGE : VSOCK_BUFFER_SMALL;
	c->watch = (struct loop_watch){ .fd = fd, .fn = on_socket, .arg = c };
	c->state = CONN_WAITING;
	v->conn[i] = c;
	v->conn_life[i] = v->life;
	v->nconns++;
	if (v->is_ready) {
		c->state = CONN_CONNECTING;
		set_deadline(c, CONNECT_MS);
		vsock_queue_conn(c, DUE_REQUEST);
	}
	conn_watch(c);
	pump(v);
	ret = 0;
out:
	pthread_mutex_unlock(&v->lock);
	return ret;
}

void vsock_give_up(struct virtio_dev *d)
{
	struct vsock *v = (struct vsock *)d;

	pthread_mutex_lock(&v->lock);
	v->given_up = true;
	for (unsigned int i = 0; i < VSOCK_CONNS_MAX; i++) {
		if (v->conn[i] && v->conn[i]->state == CONN_WAITING)
			tell(v->conn[i], -ETIMEDOUT);
	}
	tell_all(v);
	pthread_mutex_unlock(&v->lock);
}

unsigned int vsock_connections(struct virtio_dev *d)
{
	struct vsock *v = (struct vsock *)d;
	unsigned int n;

	pthread_mutex_lock(&v->lock);
	n = v->nconns;
	pthread_mutex_unlock(&v->lock);
	return n;
}

/* Closes the connections of lives before the current one. Loop thread, after a reset. */
static void close_old(void *arg)
{
	struct vsock *v = arg;

	pthread_mutex_lock(&v->lock);
	v->closing = false;
	for (unsigned int i = 0; i < VSOCK_CONNS_MAX; i++) {
		struct conn *c = v->conn[i];

		if (!c || v->conn_life[i] == v->life || c->state == CONN_WAITING || c->state == CONN_FAILED)
			continue;
		if (c->state == CONN_CONNECTING) {
			tell(c, -ECONNRESET);
		} else if (!c->done) {
			c->due = 0;
			unqueue_conn(c);
			end_conn(c);
		}
	}
	tell_all(v);
	pthread_mutex_unlock(&v->lock);
}

static int vsock_activate(struct virtio_dev *d)
{
	struct vsock *v = (struct vsock *)d;
	int ret;

	if (!d->vq[Q_RX].running || !d->vq[Q_TX].running)
		return -EINVAL;
	v->rx_kick.fd = d->vq[Q_RX].kick;
	v->tx_kick.fd = d->vq[Q_TX].kick;
	pthread_mutex_lock(&v->lock);
	v->active = true;
	pthread_mutex_unlock(&v->lock);
	ret = loop_add(v->loop, &v->rx_kick);
	if (!ret)
		ret = loop_add(v->loop, &v->tx_kick);
	/* Requests may wait already. */
	eventfd_write(v->rx_kick.fd, 1);
	return ret;
}

static void vsock_reset(struct virtio_dev *d)
{
	struct vsock *v = (struct vsock *)d;
	bool was;

	pthread_mutex_lock(&v->lock);
	was = v->active;
	v->active = false;
	v->tx_stalled = false;
	v->nrst = 0;
	if (was) {
		v->life++;
		/*
		 * One call at a time: a guest that resets all day fills no queue. Full otherwise: the next reset
		 * does it.
		 */
		if (!v->closing)
			v->closing = loop_call(v->loop, close_old, v) == 0;
	}
	pthread_mutex_unlock(&v->lock);
	loop_del(v->loop, &v->rx_kick);
	loop_del(v->loop, &v->tx_kick);
}

static void vsock_config_read(struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
	uint64_t cid = VSOCK_GUEST_CID;

	(void)d;
	memcpy(buf, (uint8_t *)&cid + off, len);
}

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.nqueues = NQUEUES,
	.queue_max = QUEUE_SIZE,
	.config_len = sizeof(uint64_t),
	.config_read = vsock_config_read,
	.activate = vsock_activate,
	.reset = vsock_reset,
};

struct virtio_dev *vsock_create(const struct gmem *mem, struct loop *loop, void (*ready)(void *arg), void *arg)
{
	struct vsock *v = calloc(1, sizeof(*v));
	int ret;

	if (!v)
		return NULL;
	pthread_mutex_init(&v->lock, NULL);
	v->dev.ops = &vsock_ops;
	v->dev.mem = mem;
	v->dev.nqueues = NQUEUES;
	v->loop = loop;
	v->ready = ready;
	v->ready_arg = arg;
	v->rx_kick = (struct loop_watch){ .fd = -1, .events = EPOLLIN, .fn = on_rx_kick, .arg = v };
	v->tx_kick = (struct loop_watch){ .fd = -1, .events = EPOLLIN, .fn = on_tx_kick, .arg = v };
	v->timer = (struct loop_watch){ .events = EPOLLIN, .fn = on_timer, .arg = v };
	v->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	ret = v->timer.fd < 0 ? -errno : loop_add(loop, &v->timer);
	if (ret) {
		if (v->timer.fd >= 0)
			close(v->timer.fd);
		free(v);
		errno = -ret;
		return NULL;
	}
	return &v->dev;
}

void vsock_drain(struct virtio_dev *d, int ms)
{
	struct vsock *v = (struct vsock *)d;
	uint64_t end = now_ns() + (uint64_t)ms * 1000000u;

	pthread_mutex_lock(&v->lock);
	if (v->active)
		serve_tx(v);
	for (unsigned int i = 0; i < VSOCK_CONNS_MAX; i++) {
		struct conn *c = v->conn[i];

		while (c && c->held && !c->deaf && c->watch.fd >= 0) {
			struct pollfd p = { .fd = c->watch.fd, .events = POLLOUT };
			uint64_t now = now_ns();

			if (now >= end || poll(&p, 1, (int)((end - now) / 1000000u)) <= 0)
				break;
			conn_flush(c);
		}
	}
	pthread_mutex_unlock(&v->lock);
}

void vsock_destroy(struct virtio_dev *d)
{
	struct vsock *v = (struct vsock *)d;

	loop_del(v->loop, &v->timer);
	for (unsigned int i = 0; i < VSOCK_CONNS_MAX; i++) {
		if (v->conn[i])
			free_conn(v->conn[i]);
	}
	close(v->timer.fd);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
