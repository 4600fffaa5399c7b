/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one epoll thread serves every device but virtio-fs and the block workers.
 */
#ifndef HUSK_VMM_LOOP_H
#define HUSK_VMM_LOOP_H

#include <stdint.h>

struct loop;

/* Called in the loop thread with the EPOLL* bits that came. */
typedef void (*loop_fn)(void *arg, uint32_t events);

struct loop_watch {
	int fd;
	uint32_t events; /* EPOLL* wanted; 0: not watched now */
	loop_fn fn;
	void *arg;
	uint32_t slot; /* private to loop.c; 0: not added */
};

/* All may be called from any thread; the watch is owned by the caller and must stay in place until loop_del() returned.
 * loop_del() from another thread waits until a running callback of that watch has ended; a watch that was not added is
 * left alone. A watch with events 0 still hears EPOLLHUP and EPOLLERR. 0 or -errno. */
int loop_add(struct loop *l, struct loop_watch *w);
int loop_mod(struct loop *l, struct loop_watch *w, uint32_t events);
void loop_del(struct loop *l, struct loop_watch *w);

/* Run fn(arg) in the loop thread soon. -EAGAIN when too many calls wait. */
int loop_call(struct loop *l, void (*fn)(void *), void *arg);

/* The loop's own life: the thread that calls loop_run() is the loop thread until loop_stop() (any thread), which also
 * counts when it came before. */
struct loop *loop_create(void);
int loop_run(struct loop *l);
void loop_stop(struct loop *l);
void loop_free(struct loop *l);

#endif
