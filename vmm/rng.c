/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rng. Loop thread. The guest controls how much it asks for: one request gets at most RNG_REQUEST_MAX bytes and
 * one callback serves a few requests, so that the other devices of this VM have their turn.
 */
#include "rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#define QUEUE_SIZE 8u
#define REQUESTS_PER_KICK 16

struct rng {
	struct virtio_dev dev;
	struct loop *loop;
	struct loop_watch kick;
	struct vq_chain chain;
};

/* Fills the chain; returns bytes. */
static uint32_t fill(const struct vq_chain *c)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < c->nwrite && done < RNG_REQUEST_MAX; i++) {
		uint8_t *p = c->iov[c->nread + i].iov_base;
		size_t len = c->iov[c->nread + i].iov_len;

		if (len > RNG_REQUEST_MAX - done)
			len = RNG_REQUEST_MAX - done;
		while (len > 0) {
			ssize_t n = getrandom(p, len, 0);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return done;
			p += n;
			len -= (size_t)n;
			done += (uint32_t)n;
		}
	}
	return done;
}

static void on_kick(void *arg, uint32_t events)
{
	struct rng *r = arg;
	struct vq *q = &r->dev.vq[0];
	int left = REQUESTS_PER_KICK;
	eventfd_t n;
	int ret;

	(void)events;
	eventfd_read(q->kick, &n);
	while ((ret = vq_take(q, &r->chain)) > 0) {
		vq_push(q, r->chain.head, fill(&r->chain));
		if (--left == 0) {
			eventfd_write(q->kick, 1);
			break;
		}
	}
	if (ret < 0)
		virtio_fault(&r->dev, "its queue is broken");
	else
		virtio_notify(&r->dev, q);
}

static int rng_activate(struct virtio_dev *d)
{
	struct rng *r = (struct rng *)d;

	if (!d->vq[0].running)
		return 0;
	r->kick.fd = d->vq[0].kick;
	return loop_add(r->loop, &r->kick);
}

static void rng_reset(struct virtio_dev *d)
{
	struct rng *r = (struct rng *)d;

	loop_del(r->loop, &r->kick);
}

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.nqueues = 1,
	.queue_max = QUEUE_SIZE,
	.activate = rng_activate,
	.reset = rng_reset,
};

struct virtio_dev *rng_create(const struct gmem *mem, struct loop *loop)
{
	struct rng *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->dev.ops = &rng_ops;
	r->dev.mem = mem;
	r->dev.nqueues = rng_ops.nqueues;
	r->loop = loop;
	r->kick = (struct loop_watch){ .events = EPOLLIN, .fn = on_kick, .arg = r };
	return &r->dev;
}

void rng_destroy(struct virtio_dev *d)
{
	free(d);
}
