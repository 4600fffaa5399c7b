/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues (virtio 1.2, 2.7), device side.
 *
 * A queue is used by one thread at a time. It is written against guest memory and two eventfds, so that an
 * in-process device and a vhost-user back end drive the same code.
 */
#ifndef HUSK_VMM_QUEUE_H
#define HUSK_VMM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "memory.h"

#define VQ_SIZE_MAX 1024u
#define VQ_IOV_MAX 1024u /* elements of one chain, indirect ones included */

struct vq {
	/* set by the transport before DRIVER_OK, frozen by vq_start() */
	uint16_t size; /* power of two, <= size_max */
	uint16_t size_max;
	uint64_t desc, driver, device; /* GPAs of descriptor table, avail ring, used ring */
	bool ready;

	/* run time; private to queue.c */
	const struct gmem *mem;
	bool running, broken, event_idx;
	uint8_t *desc_p, *avail_p, *used_p;
	uint16_t next_avail, next_used, signalled_used;
	bool signalled_valid;
	uint16_t in_flight;
	uint64_t busy[VQ_SIZE_MAX / 64]; /* heads that the device holds */

	int kick; /* eventfd, not blocking: the driver notified (ioeventfd) */
	int call; /* eventfd: raise the device's interrupt (irqfd); the same as virtio_dev.call */
};

/* A chain: readable elements first, then writable ones (virtio 1.2, 2.7.4.2). */
struct vq_chain {
	uint16_t head;
	uint16_t nread, nwrite;
	uint64_t read_len, write_len; /* bytes in all */
	struct iovec iov[VQ_IOV_MAX]; /* iov[0..nread) readable, then nwrite writable */
};

/* Validate addresses against memory, sizes, alignment; freeze; 0 or -EINVAL. */
int vq_start(struct vq *q, const struct gmem *mem, bool event_idx);
void vq_reset(struct vq *q);

/* Stop the queue until the driver resets the device: vq_pop() gives -EPROTO. Any thread. */
void vq_break(struct vq *q);

/**
 * vq_pop() - take the next available chain
 *
 * Return: 1 with *c filled; 0 when there is none; -EPROTO when the driver broke the rules (loop, out of range, head in
 * flight, writable before readable, more than 2^32 bytes): the queue is then broken and the device must call
 * virtio_fault().
 */
int vq_pop(struct vq *q, struct vq_chain *c);

/* Give the chain back, `written` bytes of its writable part filled. -EPROTO if head isn't in flight. */
int vq_push(struct vq *q, uint16_t head, uint32_t written);

/* Undo the last vq_pop() (the chain could not be served yet). */
void vq_unpop(struct vq *q, uint16_t head);

/* True when the driver wants an interrupt for what was pushed since the last call (EVENT_IDX or flags). */
bool vq_wants_interrupt(struct vq *q);

/* Ask for (or refuse) kicks. vq_enable_kick() returns true when chains became available meanwhile: poll again. */
bool vq_enable_kick(struct vq *q);
void vq_disable_kick(struct vq *q);

/* vq_pop() as most devices need it: no kicks come while there are chains; after 0 the next one brings a kick. */
int vq_take(struct vq *q, struct vq_chain *c);

/*
 * Copy between a chain's elements and a buffer, starting `off` bytes into the readable (writable) part; returns
 * bytes copied (short at its end).
 */
size_t chain_read(const struct vq_chain *c, size_t off, void *buf, size_t len);
size_t chain_write(const struct vq_chain *c, size_t off, const void *buf, size_t len);

#endif
