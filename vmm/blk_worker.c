/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that serves all disks of a VM. The guest controls the rings, and with them how much there is to do: no
 * more than BLK_REQUESTS are on their way at a time, and a queue gives up its turn after a while.
 *
 * Theory of operation. The thread waits in epoll for kicks, for the ring of the I/O engine, and for its own wake-up.
 * Kicks are edge-triggered and never read. A round: take chains from the queues that have some, begin their I/O, all
 * in one system call; collect what is done; tell the drivers, once for each queue. What the host has in its page cache
 * is done in the same round.
 *
 * Starting and stopping a disk is asked for under the lock, and done by the thread between two rounds; who asks waits
 * for it. A stop is complete when nothing of the disk is in flight, so guest memory is free afterwards. A file
 * system that hangs holds it up.
 *
 * Order (virtio 1.2, 5.2.6.2): a flush covers the writes that were reported before it was made available. They are in
 * the file then, so no queue has to be drained for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk_internal.h"
#include "clock.h"

#define STACK_SIZE (128u << 10)
#define BUDGET 64u /* chains of one queue in one round */
#define EVENTS 16
#define EVENT_WAKE UINT32_MAX
#define EVENT_RING (UINT32_MAX - 1)

struct blk_worker {
	pthread_t thread;
	bool started, ending;
	bool uring;
	void (*enter)(void *arg);
	void *enter_arg;
	int start_error;
	int epoll, wake;
	pthread_mutex_t lock; /* started, ending, the table, and what struct blk says */
	pthread_cond_t cond;
	struct blk *disk[BLK_DISKS_MAX];

	/* the thread's alone */
	struct blk *live[BLK_DISKS_MAX]; /* those that are not stopped */
	struct blk_io *io;
	struct blk_request *requests, *free;
	struct vq_chain chain;
};

/* ---- requests ---- */

static void finish(struct blk_request *r, uint8_t status)
{
	struct blk *b = r->disk;
	struct vq *q = &b->dev.vq[r->queue];

	/* The status is the last byte written: behind the data, before the used index is published. */
	__atomic_store_n(r->status, status, __ATOMIC_RELEASE);
	vq_push(q, r->head, status == VIRTIO_BLK_S_OK ? r->data + 1 : 1);
	b->dirty |= 1u << r->queue;
}

static void give_back(struct blk_worker *w, struct blk_request *r)
{
	r->disk->in_flight--;
	r->next = w->free;
	w->free = r;
}

static void collect(struct blk_worker *w)
{
	struct blk_io_op *op;

	while ((op = blk_io_done(w->io)) != NULL) {
		struct blk_request *r = (struct blk_request *)op;
		bool again;
		uint8_t status = blk_result(r, &again);

		if (again) {
			blk_io_start(w->io, op);
			continue;
		}
		finish(r, status);
		give_back(w, r);
	}
}

/* May the chain pass? When not, the disk waits until b->not_before. */
static bool passes(struct blk *b, const struct vq_chain *c, uint64_t now)
{
	uint64_t bytes, wait, other;
	int way = blk_cost(c, &bytes);

	if (way < 0)
		return true;
	wait = bucket_wait(&b->bytes[way], now);
	other = bucket_wait(&b->ops_left[way], now);
	if (other > wait)
		wait = other;
	if (wait) {
		b->not_before = now + wait;
		return false;
	}
	bucket_take(&b->bytes[way], bytes);
	bucket_take(&b->ops_left[way], 1);
	return true;
}

static bool is_limited(const struct blk *b)
{
	return b->bytes[0].rate || b->bytes[1].rate || b->ops_left[0].rate || b->ops_left[1].rate;
}

/* Begin one request; true: it is done, or under way. */
static bool begin(struct blk_worker *w, struct blk *b, unsigned int n)
{
	struct blk_request *r = w->free;
	uint8_t status = VIRTIO_BLK_S_IOERR;

	w->free = r->next;
	r->disk = b;
	r->queue = (uint16_t)n;
	r->head = w->chain.head;
	r->op = (struct blk_io_op){ .file = b->file };
	b->in_flight++;
	switch (blk_decode(b, &w->chain, r, &status)) {
	case BLK_BEGUN:
		blk_io_start(w->io, &r->op);
		return true;
	case BLK_DONE:
		finish(r, status);
		break;
	case BLK_BROKEN:
		give_back(w, r);
		return false;
	}
	give_back(w, r);
	return true;
}

/* Take what queue n has. It stays pending when there is more than can be taken now. */
static void serve_queue(struct blk_worker *w, struct blk *b, unsigned int n)
{
	bool limited = is_limited(b);
	uint64_t now = limited ? clock_ns() : 0;
	struct vq *q = &b->dev.vq[n];
	unsigned int budget = BUDGET;
	int got;

	if (limited && now < b->not_before)
		return;
	b->not_before = 0;
	for (;;) {
		if (!w->free || budget-- == 0)
			return;
		got = vq_take(q, &w->chain);
		if (got == 0) {
			b->pending &= ~(1u << n);
			return;
		}
		if (got > 0 && limited && !passes(b, &w->chain, now)) {
			vq_unpop(q, w->chain.head);
			return;
		}
		if (got < 0 || !begin(w, b, n)) {
			b->pending = 0;
			virtio_fault(&b->dev,
				     got < 0 ? "one of its queues is broken" : "a request has no room for its status");
			return;
		}
	}
}

static void tell_driver(struct blk *b)
{
	for (unsigned int n = 0; b->dirty; n++) {
		if (b->dirty >> n & 1)
			virtio_notify(&b->dev, &b->dev.vq[n]);
		b->dirty &= ~(1u << n);
	}
}

/* ---- disks come and go ---- */

static void watch(const struct blk_worker *w, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event ev = { .events = events, .data.u32 = what };

	epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void set_limits(struct blk *b)
{
	uint64_t now = clock_ns();

	bucket_set(&b->bytes[0], b->limits.read_bps, now);
	bucket_set(&b->bytes[1], b->limits.write_bps, now);
	bucket_set(&b->ops_left[0], b->limits.read_iops, now);
	bucket_set(&b->ops_left[1], b->limits.write_iops, now);
	b->not_before = 0;
	b->limits_changed = false;
}

static void begin_disk(struct blk_worker *w, struct blk *b)
{
	int file = blk_io_add_file(w->io, b->fd);

	if (file < 0) { /* whoever waits sees that it does not run */
		b->wanted = false;
		return;
	}
	b->file = (unsigned int)file;
	b->pending = b->dirty = 0;
	for (unsigned int n = 0; n < b->dev.nqueues; n++) {
		if (!b->dev.vq[n].running)
			continue;
		watch(w, b->dev.vq[n].kick, EPOLLIN | EPOLLET, b->index * BLK_QUEUES_MAX + n);
		b->pending |= 1u << n;
	}
	w->live[b->index] = b;
	b->state = BLK_RUNNING;
}

static void end_disk(struct blk_worker *w, struct blk *b)
{
	if (b->state == BLK_RUNNING) {
		for (unsigned int n = 0; n < b->dev.nqueues; n++)
			if (b->dev.vq[n].running)
				epoll_ctl(w->epoll, EPOLL_CTL_DEL, b->dev.vq[n].kick, NULL);
		b->pending = 0;
		b->state = BLK_DRAINING;
	}
	if (b->in_flight == 0) {
		blk_io_del_file(w->io, b->file);
		w->live[b->index] = NULL;
		b->state = BLK_STOPPED;
	}
}

/* Do what was asked for. False: the end. */
static bool obey(struct blk_worker *w)
{
	bool go_on;

	pthread_mutex_lock(&w->lock);
	for (unsigned int i = 0; i < BLK_DISKS_MAX; i++) {
		struct blk *b = w->disk[i];

		if (!b)
			continue;
		if (b->limits_changed)
			set_limits(b);
		if (b->wanted && b->state == BLK_STOPPED)
			begin_disk(w, b);
		else if (!b->wanted && b->state != BLK_STOPPED)
			end_disk(w, b);
	}
	go_on = !w->ending;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

/* ---- the thread ---- */

/* Serve all disks once. Returns how long to sleep: ms, -1 until something happens. */
static int serve_all(struct blk_worker *w, uint32_t ready)
{
	uint64_t wake_at = UINT64_MAX, now;
	bool soon = false;

	for (unsigned int i = 0; i < BLK_DISKS_MAX; i++) {
		struct blk *b = w->live[i];

		if (!b || b->state != BLK_RUNNING)
			continue;
		b->pending |= ready >> (i * BLK_QUEUES_MAX) & ((1u << BLK_QUEUES_MAX) - 1);
		for (unsigned int n = 0; n < b->dev.nqueues; n++)
			if (b->pending >> n & 1)
				serve_queue(w, b, n);
	}
	blk_io_flush(w->io);
	collect(w);
	for (unsigned int i = 0; i < BLK_DISKS_MAX; i++) {
		struct blk *b = w->live[i];

		if (!b)
			continue;
		tell_driver(b);
		if (b->pending && b->not_before)
			wake_at = b->not_before < wake_at ? b->not_before : wake_at;
		else if (b->pending && w->free)
			soon = true;
	}
	if (!blk_io_flush(w->io) && !soon)
		return 1;
	if (soon || wake_at == UINT64_MAX)
		return soon ? 0 : -1;
	now = clock_ns();
	return wake_at <= now ? 0 : (int)((wake_at - now) / 1000000 + 1);
}

/* A disk that shall stop has nothing in flight any more. */
static bool has_drained(const struct blk_worker *w)
{
	for (unsigned int i = 0; i < BLK_DISKS_MAX; i++)
		if (w->live[i] && w->live[i]->state == BLK_DRAINING && w->live[i]->in_flight == 0)
			return true;
	return false;
}

static void work(struct blk_worker *w)
{
	struct epoll_event ev[EVENTS];
	uint32_t ready = 0;
	bool asked = true;

	for (;;) {
		int timeout, n;
		eventfd_t v;

		if (asked && !obey(w))
			return;
		timeout = serve_all(w, ready);
		ready = 0;
		asked = has_drained(w);
		if (asked)
			continue;
		n = epoll_wait(w->epoll, ev, EVENTS, timeout);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u32 < BLK_DISKS_MAX * BLK_QUEUES_MAX)
				ready |= 1u << ev[i].data.u32;
			else if (ev[i].data.u32 == EVENT_WAKE)
				asked = eventfd_read(w->wake, &v) == 0;
		}
	}
}

static int set_up(struct blk_worker *w)
{
	w->io = blk_io_create(BLK_REQUESTS, w->uring);
	if (!w->io)
		return -errno;
	w->requests = mmap(NULL, BLK_REQUESTS * sizeof(*w->requests), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->requests == MAP_FAILED) {
		w->requests = NULL;
		return -errno;
	}
	/* last in, first out: a disk that is little used touches little of this */
	for (unsigned int i = BLK_REQUESTS; i-- > 0;) {
		w->requests[i].next = w->free;
		w->free = &w->requests[i];
	}
	watch(w, w->wake, EPOLLIN, EVENT_WAKE);
	if (blk_io_fd(w->io) >= 0)
		watch(w, blk_io_fd(w->io), EPOLLIN, EVENT_RING);
	if (w->enter)
		w->enter(w->enter_arg);
	return 0;
}

static void *thread_main(void *arg)
{
	struct blk_worker *w = arg;
	int err = set_up(w);

	pthread_mutex_lock(&w->lock);
	w->start_error = err;
	w->started = true;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
	if (!err)
		work(w);
	if (w->io)
		blk_io_free(w->io);
	if (w->requests)
		munmap(w->requests, BLK_REQUESTS * sizeof(*w->requests));
	return NULL;
}

struct blk_worker *blk_worker_create(bool uring)
{
	struct blk_worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->uring = uring;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll < 0 || w->wake < 0) {
		int err = errno;

		blk_worker_free(w);
		errno = err;
		return NULL;
	}
	return w;
}

int blk_worker_start(struct blk_worker *w, void (*enter)(void *arg), void *arg)
{
	pthread_attr_t attr;
	int err;

	w->enter = enter;
	w->enter_arg = arg;
	pthread_attr_init(&attr);
#ifndef __SANITIZE_ADDRESS__
	pthread_attr_setstacksize(&attr, STACK_SIZE);
#endif
	err = -pthread_create(&w->thread, &attr, thread_main, w);
	pthread_attr_destroy(&attr);
	if (err)
		return err;
	pthread_mutex_lock(&w->lock);
	while (!w->started)
		pthread_cond_wait(&w->cond, &w->lock);
	if (w->start_error) {
		pthread_join(w->thread, NULL);
		w->started = false;
	}
	pthread_mutex_unlock(&w->lock);
	return w->start_error;
}

void blk_worker_free(struct blk_worker *w)
{
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		w->ending = true;
		pthread_mutex_unlock(&w->lock);
		eventfd_write(w->wake, 1);
		pthread_join(w->thread, NULL);
	}
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->wake >= 0)
		close(w->wake);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->cond);
	free(w);
}

/* ---- the device's side ---- */

int blk_worker_add(struct blk_worker *w, struct blk *b)
{
	int ret = -ENOSPC;

	pthread_mutex_lock(&w->lock);
	for (unsigned int i = 0; i < BLK_DISKS_MAX && ret; i++) {
		if (w->disk[i])
			continue;
		w->disk[i] = b;
		b->index = i;
		ret = 0;
	}
	pthread_mutex_unlock(&w->lock);
	return ret;
}

int blk_worker_run(struct blk *b, bool run)
{
	struct blk_worker *w = b->worker;
	int ret = 0;

	pthread_mutex_lock(&w->lock);
	if (run && !w->started)
		ret = -ENODEV;
	b->wanted = run && ret == 0;
	if (b->wanted || b->state != BLK_STOPPED) {
		eventfd_write(w->wake, 1);
		while (b->wanted ? b->state != BLK_RUNNING : b->state != BLK_STOPPED)
			pthread_cond_wait(&w->cond, &w->lock);
		if (run && b->state != BLK_RUNNING)
			ret = -EIO;
	}
	pthread_mutex_unlock(&w->lock);
	return ret;
}

void blk_worker_del(struct blk *b)
{
	blk_worker_run(b, false);
	pthread_mutex_lock(&b->worker->lock);
	b->worker->disk[b->index] = NULL;
	pthread_mutex_unlock(&b->worker->lock);
}

void blk_worker_limits(struct blk *b, const struct blk_limits *l)
{
	pthread_mutex_lock(&b->worker->lock);
	b->limits = *l;
	b->limits_changed = true;
	pthread_mutex_unlock(&b->worker->lock);
	eventfd_write(b->worker->wake, 1);
}
