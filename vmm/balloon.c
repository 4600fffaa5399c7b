/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon. Loop thread; the configuration space is read and written by vCPU threads.
 * The guest names the pages: each is checked to be RAM, and dropping one twice, or one in use, harms only the
 * guest (it reads zeroes). Statistics are the guest's word and used for nothing but showing them.
 *
 * Queues are numbered as Linux does it: those whose feature was not negotiated are left out.
 */
#include "balloon.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define F_STATS_VQ 1
#define F_DEFLATE_ON_OOM 2
#define F_REPORTING 5

#define PAGE_SHIFT 12
#define PAGE 4096ull
#define QUEUE_SIZE 128u
#define PFNS_MAX 256u /* of one piece of a request; Linux sends so many */
#define BUDGET 32     /* requests of one callback */

enum role { INFLATE, DEFLATE, STATS, REPORTING, ROLES };

struct stat_entry {
	uint16_t tag;
	uint64_t val;
} __attribute__((packed));
#define STATS_MAX 32u

enum stat_tag { S_MEMFREE = 4, S_MEMTOT = 5, S_AVAIL = 6, S_CACHES = 7 };

struct balloon;

struct bq {
	struct balloon *b;
	struct vq *q; /* NULL: not negotiated */
	struct loop_watch kick;
	void (*serve)(struct balloon *b, struct vq *q, const struct vq_chain *c);
};

struct balloon {
	struct virtio_dev dev;
	struct loop *loop;
	struct bq bq[ROLES];
	_Atomic uint32_t target, actual; /* 4 KiB pages, the configuration space */
	uint64_t reported, free, available, total, cache;
	pthread_mutex_t lock; /* the two below: balloon_stats() is no callback of a queue, so reset must not cross it */
	bool stats_held;      /* a statistics buffer of the guest waits for the next question */
	uint16_t stats_head;
	struct vq_chain chain;
};

/* Give host pages back. Splitting a huge page is the host kernel's business. */
static void drop(void *p, uint64_t len)
{
	madvise(p, len, MADV_DONTNEED);
}

/* Adjacent page numbers are dropped together: Linux's balloon takes them in runs, up or down. */
static void serve_inflate(struct balloon *b, struct vq *q, const struct vq_chain *c)
{
	uint32_t pfn[PFNS_MAX];
	size_t off = 0, got;

	while ((got = chain_read(c, off, pfn, sizeof(pfn)) / sizeof(pfn[0])) > 0) {
		uint64_t start = pfn[0], end = start + 1; /* [start, end) */

		off += got * sizeof(pfn[0]);
		for (size_t i = 1; i <= got; i++) {
			void *p;

			if (i < got && pfn[i] == end) {
				end++;
				continue;
			}
			if (i < got && (uint64_t)pfn[i] + 1 == start) {
				start--;
				continue;
			}
			p = gmem_span(b->dev.mem, start << PAGE_SHIFT, (end - start) << PAGE_SHIFT);
			if (p)
				drop(p, (end - start) << PAGE_SHIFT);
			if (i < got) {
				start = pfn[i];
				end = start + 1;
			}
		}
	}
	vq_push(q, c->head, 0);
}

/* The guest uses the pages again: they come back when it touches them. */
static void serve_deflate(struct balloon *b, struct vq *q, const struct vq_chain *c)
{
	(void)b;
	vq_push(q, c->head, 0);
}

/* The free pages are the chain's writable buffers themselves; the guest does not touch them until they are returned. */
static void serve_reporting(struct balloon *b, struct vq *q, const struct vq_chain *c)
{
	for (unsigned int i = 0; i < c->nwrite; i++) {
		uintptr_t start = (uintptr_t)c->iov[c->nread + i].iov_base;
		uintptr_t end = start + c->iov[c->nread + i].iov_len;

		start = (start + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
		end &= ~(uintptr_t)(PAGE - 1);
		if (start < end) {
			drop((void *)start, end - start);
			b->reported += end - start;
		}
	}
	vq_push(q, c->head, 0);
}

/* The answer to the last question; the buffer is kept for the next one (5.5.6.3). */
static void serve_stats(struct balloon *b, struct vq *q, const struct vq_chain *c)
{
	struct stat_entry e;

	for (unsigned int i = 0; i < STATS_MAX; i++) {
		if (chain_read(c, i * sizeof(e), &e, sizeof(e)) != sizeof(e))
			break;
		switch (e.tag) {
		case S_MEMFREE:
			b->free = e.val;
			break;
		case S_MEMTOT:
			b->total = e.val;
			break;
		case S_AVAIL:
			b->available = e.val;
			break;
		case S_CACHES:
			b->cache = e.val;
			break;
		}
	}
	pthread_mutex_lock(&b->lock);
	if (b->stats_held) /* it has only one; an odd driver gets the older back */
		vq_push(q, b->stats_head, 0);
	b->stats_held = true;
	b->stats_head = c->head;
	pthread_mutex_unlock(&b->lock);
}

static void on_kick(void *arg, uint32_t events)
{
	struct bq *bq = arg;
	struct balloon *b = bq->b;
	struct vq *q = bq->q;
	int left = BUDGET;
	eventfd_t n;
	int ret;

	(void)events;
	eventfd_read(q->kick, &n);
	while ((ret = vq_take(q, &b->chain)) > 0) {
		bq->serve(b, q, &b->chain);
		if (--left == 0) {
			eventfd_write(q->kick, 1);
			break;
		}
	}
	if (ret < 0)
		virtio_fault(&b->dev, "one of its queues is broken");
	else
		virtio_notify(&b->dev, q);
}

static int balloon_activate(struct virtio_dev *d)
{
	static void (*const serve[ROLES])(struct balloon *, struct vq *,
					  const struct vq_chain *) = { serve_inflate, serve_deflate, serve_stats,
								       serve_reporting };
	struct balloon *b = (struct balloon *)d;
	uint32_t index = 0;
	int ret = 0;

	for (unsigned int role = 0; role < ROLES && !ret; role++) {
		struct bq *bq = &b->bq[role];

		bq->q = NULL;
		if (role == STATS && !(d->driver_features >> F_STATS_VQ & 1))
			continue;
		if (role == REPORTING && !(d->driver_features >> F_REPORTING & 1))
			continue;
		if (!d->vq[index].running) {
			index++;
			continue;
		}
		bq->b = b;
		bq->q = &d->vq[index++];
		bq->serve = serve[role];
		bq->kick = (struct loop_watch){ .fd = bq->q->kick, .events = EPOLLIN, .fn = on_kick, .arg = bq };
		ret = loop_add(b->loop, &bq->kick);
	}
	return ret;
}

static void balloon_reset(struct virtio_dev *d)
{
	struct balloon *b = (struct balloon *)d;

	for (unsigned int role = 0; role < ROLES; role++)
		loop_del(b->loop, &b->bq[role].kick);
	pthread_mutex_lock(&b->lock);
	b->stats_held = false;
	pthread_mutex_unlock(&b->lock);
	atomic_store(&b->actual, 0);
}

struct balloon_config { /* 5.5.4 */
	uint32_t num_pages, actual;
};

static void balloon_config_read(struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
	struct balloon *b = (struct balloon *)d;
	struct balloon_config c = { .num_pages = atomic_load(&b->target), .actual = atomic_load(&b->actual) };

	memcpy(buf, (uint8_t *)&c + off, len);
}

static void balloon_config_write(struct virtio_dev *d, uint32_t off, const void *buf, uint32_t len)
{
	struct balloon *b = (struct balloon *)d;
	uint32_t v;

	if (off != offsetof(struct balloon_config, actual) || len != sizeof(v))
		return;
	memcpy(&v, buf, sizeof(v));
	atomic_store(&b->actual, v);
}

static const struct virtio_ops balloon_ops = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.features = 1ull << F_STATS_VQ | 1ull << F_DEFLATE_ON_OOM | 1ull << F_REPORTING,
	.nqueues = ROLES,
	.queue_max = QUEUE_SIZE,
	.config_len = sizeof(struct balloon_config),
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.activate = balloon_activate,
	.reset = balloon_reset,
};

struct virtio_dev *balloon_create(const struct gmem *mem, struct loop *loop)
{
	struct balloon *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->dev.ops = &balloon_ops;
	b->dev.mem = mem;
	b->dev.nqueues = balloon_ops.nqueues;
	b->loop = loop;
	pthread_mutex_init(&b->lock, NULL);
	return &b->dev;
}

void balloon_destroy(struct virtio_dev *d)
{
	struct balloon *b = (struct balloon *)d;

	if (b)
		pthread_mutex_destroy(&b->lock);
	free(b);
}

void balloon_set_target(struct virtio_dev *d, uint64_t bytes)
{
	struct balloon *b = (struct balloon *)d;
	uint64_t max = gmem_size(d->mem);

	if (bytes > max)
		bytes = max;
	atomic_store(&b->target, (uint32_t)(bytes >> PAGE_SHIFT));
	virtio_config_changed(d);
}

void balloon_stats(struct virtio_dev *d, struct balloon_stats *st)
{
	struct balloon *b = (struct balloon *)d;
	uint64_t given = (uint64_t)atomic_load(&b->actual) << PAGE_SHIFT, max = gmem_size(d->mem);

	*st = (struct balloon_stats){
		.target_bytes = (uint64_t)atomic_load(&b->target) << PAGE_SHIFT,
		.balloon_bytes = given < max ? given : max,
		.reported_bytes = b->reported,
		.guest_free_bytes = b->free,
		.guest_available_bytes = b->available,
		.guest_total_bytes = b->total,
		.guest_cache_bytes = b->cache,
	};
	pthread_mutex_lock(&b->lock);
	if (b->stats_held) {
		b->stats_held = false;
		if (vq_push(b->bq[STATS].q, b->stats_head, 0) == 0)
			virtio_notify(d, b->bq[STATS].q);
	}
	pthread_mutex_unlock(&b->lock);
}
