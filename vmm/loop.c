/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one thread, one epoll set. Watches belong to their callers; the kernel holds pointers to them.
 * The guest controls how often descriptors become ready, nothing else.
 *
 * Removal is the hard part: a watch may be freed as soon as loop_del() returned, while the loop still has events
 * for it in its hands, or runs its callback in another thread. So events carry no pointer but the number and the
 * generation of an entry in a table, which is looked up under the lock when the event's turn comes; and removal from
 * another thread waits until the callback has ended.
 */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 32
#define WATCHES_MAX 2048u /* 1024 vsock streams, the control clients, the devices' queues */
#define CALLS_MAX 256u	  /* pending loop_call()s; each caller has at most a few */

struct call {
	void (*fn)(void *);
	void *arg;
};

struct entry {
	struct loop_watch *watch; /* NULL: free */
	uint32_t generation;	  /* counts the uses of this entry */
	uint32_t next_free;
};

struct loop {
	int epoll;
	struct loop_watch wake;
	bool stop;

	pthread_mutex_t lock; /* everything below */
	pthread_t thread;     /* the loop's, once it is */
	bool running;
	pthread_cond_t idle;		 /* `current` changed */
	struct entry table[WATCHES_MAX]; /* entry 0 is not used: a watch with slot 0 is not added */
	uint32_t used, free;		 /* entries ever used; first of the free list, 0: none */
	struct loop_watch *current;	 /* its callback runs now */
	struct call calls[CALLS_MAX];
	unsigned int call_head, call_count;
};

/* Under the lock. */
static bool in_loop_thread(const struct loop *l)
{
	return l->running && pthread_equal(pthread_self(), l->thread);
}

static void wake(struct loop *l)
{
	eventfd_write(l->wake.fd, 1);
}

static void run_calls(void *arg, uint32_t events)
{
	struct loop *l = arg;
	eventfd_t n;

	(void)events;
	eventfd_read(l->wake.fd, &n);
	pthread_mutex_lock(&l->lock);
	/*
	 * Only those that are there now: a call that calls again waits for the next round, so watches get their
	 * turn.
	 */
	for (unsigned int left = l->call_count; left > 0; left--) {
		struct call c = l->calls[l->call_head];

		l->call_head = (l->call_head + 1) % CALLS_MAX;
		l->call_count--;
		pthread_mutex_unlock(&l->lock);
		c.fn(c.arg);
		pthread_mutex_lock(&l->lock);
	}
	if (l->call_count)
		wake(l);
	pthread_mutex_unlock(&l->lock);
}

struct loop *loop_create(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->idle, NULL);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake = (struct loop_watch){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = EPOLLIN, .fn = run_calls, .arg = l
	};
	if (l->epoll < 0 || l->wake.fd < 0 || loop_add(l, &l->wake)) {
		loop_free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->wake.fd >= 0)
		close(l->wake.fd);
	if (l->epoll >= 0)
		close(l->epoll);
	pthread_cond_destroy(&l->idle);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static uint64_t key_of(const struct loop *l, uint32_t slot)
{
	return (uint64_t)l->table[slot].generation << 32 | slot;
}

int loop_add(struct loop *l, struct loop_watch *w)
{
	struct epoll_event e = { .events = w->events };
	uint32_t slot;
	int ret = 0;

	pthread_mutex_lock(&l->lock);
	slot = l->free;
	if (slot) {
		l->free = l->table[slot].next_free;
	} else if (l->used + 1 < WATCHES_MAX) {
		slot = ++l->used;
	} else {
		ret = -EMFILE;
		goto out;
	}
	l->table[slot].generation++;
	l->table[slot].watch = w;
	e.data.u64 = key_of(l, slot);
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->fd, &e)) {
		ret = -errno;
		l->table[slot].watch = NULL;
		l->table[slot].next_free = l->free;
		l->free = slot;
		goto out;
	}
	w->slot = slot;
out:
	pthread_mutex_unlock(&l->lock);
	return ret;
}

int loop_mod(struct loop *l, struct loop_watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events };
	int ret = 0;

	pthread_mutex_lock(&l->lock);
	if (!w->slot) {
		ret = -ENOENT;
	} else if (events != w->events) {
		e.data.u64 = key_of(l, w->slot);
		if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &e))
			ret = -errno;
		else
			w->events = events;
	}
	pthread_mutex_unlock(&l->lock);
	return ret;
}

void loop_del(struct loop *l, struct loop_watch *w)
{
	pthread_mutex_lock(&l->lock);
	if (w->slot) {
		struct entry *e = &l->table[w->slot];

		epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
		e->watch = NULL;
		e->next_free = l->free;
		l->free = w->slot;
		w->slot = 0;
	}
	if (!in_loop_thread(l)) {
		while (l->current == w)
			pthread_cond_wait(&l->idle, &l->lock);
	}
	pthread_mutex_unlock(&l->lock);
}

int loop_call(struct loop *l, void (*fn)(void *), void *arg)
{
	int ret = 0;

	pthread_mutex_lock(&l->lock);
	if (l->call_count < CALLS_MAX) {
		l->calls[(l->call_head + l->call_count) % CALLS_MAX] = (struct call){ fn, arg };
		l->call_count++;
	} else {
		ret = -EAGAIN;
	}
	pthread_mutex_unlock(&l->lock);
	if (!ret)
		wake(l);
	return ret;
}

void loop_stop(struct loop *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	wake(l);
}

/* One event; the callback may remove any watch, itself included. */
static void dispatch(struct loop *l, uint64_t key, uint32_t events)
{
	uint32_t slot = (uint32_t)key;
	struct loop_watch *w = NULL;
	loop_fn fn;
	void *arg;

	pthread_mutex_lock(&l->lock);
	if (slot < WATCHES_MAX && key_of(l, slot) == key)
		w = l->table[slot].watch;
	if (!w) { /* removed since the event was fetched */
		pthread_mutex_unlock(&l->lock);
		return;
	}
	fn = w->fn;
	arg = w->arg;
	l->current = w;
	pthread_mutex_unlock(&l->lock);

	fn(arg, events);

	pthread_mutex_lock(&l->lock);
	l->current = NULL;
	pthread_cond_broadcast(&l->idle);
	pthread_mutex_unlock(&l->lock);
}

int loop_run(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->thread = pthread_self();
	l->running = true;
	pthread_mutex_unlock(&l->lock);
	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
		struct epoll_event got[BATCH];
		int n = epoll_wait(l->epoll, got, BATCH, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++)
			dispatch(l, got[i].data.u64, got[i].events);
	}
	__atomic_store_n(&l->stop, false, __ATOMIC_RELEASE);
	return 0;
}
