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
#include "vsock_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"

#define QUEUE_SIZE 128u
#define PORT_BASE 0x40000000u

static void on_tx_kick(void *arg, uint32_t events)
{
	struct vsock *v = arg;
	eventfd_t n;

	(void)events;
	eventfd_read(v->tx_kick.fd, &n);
	pthread_mutex_lock(&v->lock);
	vsock_serve(v);
	pthread_mutex_unlock(&v->lock);
}

static void on_rx_kick(void *arg, uint32_t events)
{
	struct vsock *v = arg;
	eventfd_t n;

	(void)events;
	eventfd_read(v->rx_kick.fd, &n);
	pthread_mutex_lock(&v->lock);
	vsock_pump(v);
	if (v->tx_stalled)
		vsock_serve(v);
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
				vsock_add_rst(v, &(struct vsock_hdr){ .dst_port = c->host_port,
								      .src_port = c->guest_port });
			conn_tell(c, -ECANCELED);
		}
	} else {
		if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
			conn_flush(c); /* a closed socket shows itself by the error of a write */
		if (c->state == CONN_RESET && !c->due && (!c->held || c->deaf)) {
			conn_free(c);
		} else {
			if ((events & (EPOLLHUP | EPOLLERR)) && !c->deaf)
				conn_deaf(c);
			if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && c->state == CONN_OPEN && !c->eof) {
				c->readable = true;
				conn_queue(c, 0);
			}
			conn_watch(c);
		}
	}
	vsock_pump(v);
	vsock_tell(v);
	pthread_mutex_unlock(&v->lock);
}

static void on_timer(void *arg, uint32_t events)
{
	struct vsock *v = arg;
	uint64_t now = clock_ns();
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
			vsock_add_rst(v, &(struct vsock_hdr){ .dst_port = c->host_port, .src_port = c->guest_port });
			conn_tell(c, -ETIMEDOUT);
		} else {
			conn_reset(c);
		}
	}
	if (!more) {
		struct itimerspec off = { { 0, 0 }, { 0, 0 } };

		timerfd_settime(v->timer.fd, 0, &off, NULL);
		v->ticking = false;
	}
	vsock_pump(v);
	vsock_tell(v);
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
		conn_deadline(c, CONNECT_MS);
		conn_queue(c, DUE_REQUEST);
	}
	conn_watch(c);
	vsock_pump(v);
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
			conn_tell(v->conn[i], -ETIMEDOUT);
	}
	vsock_tell(v);
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
			conn_tell(c, -ECONNRESET);
		} else if (!c->done) {
			c->due = 0;
			conn_unqueue(c);
			conn_end(c);
		}
	}
	vsock_tell(v);
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
	uint64_t end = clock_ns() + (uint64_t)ms * 1000000u;

	pthread_mutex_lock(&v->lock);
	if (v->active)
		vsock_serve(v);
	for (unsigned int i = 0; i < VSOCK_CONNS_MAX; i++) {
		struct conn *c = v->conn[i];

		while (c && c->held && !c->deaf && c->watch.fd >= 0) {
			struct pollfd p = { .fd = c->watch.fd, .events = POLLOUT };
			uint64_t now = clock_ns();

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
			conn_free(v->conn[i]);
	}
	close(v->timer.fd);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
