/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What blk.c (the device), blk_request.c (what a request means) and blk_worker.c (the thread) share.
 */
#ifndef HUSK_VMM_BLK_INTERNAL_H
#define HUSK_VMM_BLK_INTERNAL_H

#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdatomic.h>

#include "blk.h"
#include "blk_io.h"
#include "blk_limit.h"

#define BLK_QUEUE_SIZE 256u
#define BLK_SEGMENTS (BLK_QUEUE_SIZE - 2) /* header and status take two */
#define BLK_REQUESTS 128u		  /* in flight, all disks together */
#define BLK_SECTOR 512u
#define BLK_RANGE_MAX (1u << 22) /* sectors of one discard: 2 GiB */

/* A request in flight. */
struct blk_request {
	struct blk_io_op op; /* first: the engine gives it back */
	struct blk *disk;
	uint16_t queue, head;
	uint32_t type;	 /* VIRTIO_BLK_T_* */
	uint32_t data;	 /* bytes of guest memory written when all goes well, without the status */
	uint8_t *status; /* in guest memory */
	struct blk_request *next;
	struct iovec iov[BLK_QUEUE_SIZE];
};

enum blk_state { BLK_STOPPED, BLK_RUNNING, BLK_DRAINING };

struct blk {
	struct virtio_dev dev; /* first: ops get a virtio_dev */
	struct virtio_ops ops; /* a copy: features and queues differ */
	struct blk_worker *worker;
	unsigned int index; /* place in the worker's table */
	int fd;
	bool readonly, is_device;
	char serial[BLK_SERIAL_MAX + 1];
	struct virtio_blk_config config; /* all but capacity and writeback */
	_Atomic uint64_t sectors;
	_Atomic bool writeback; /* false: a write is done when it is on the disk */

	/* under the worker's lock */
	bool wanted; /* the driver runs it */
	enum blk_state state;
	struct blk_limits limits;
	bool limits_changed;

	/* the worker's alone */
	unsigned int file; /* of the engine, while not stopped */
	unsigned int in_flight;
	uint32_t pending, dirty;	     /* queues with chains to look at; that the driver is to be told of */
	uint64_t not_before;		     /* ns: a limit is reached until then */
	struct bucket bytes[2], ops_left[2]; /* read, write */
};

/* blk_request.c */

enum blk_verdict {
	BLK_BEGUN,  /* r->op is filled: start it */
	BLK_DONE,   /* the status is in *status */
	BLK_BROKEN, /* no place for a status: the driver broke the rules */
};

/* Decode a chain into r, all but its disk, queue and head. The worker's thread. */
enum blk_verdict blk_decode(struct blk *b, const struct vq_chain *c, struct blk_request *r, uint8_t *status);

/* VIRTIO_BLK_S_* of a finished operation; when the request is to be done in another way, r->op is changed and *again
 * set. */
uint8_t blk_result(struct blk_request *r, bool *again);

/* Bytes that the request transfers, and the bucket of its direction (0 read, 1 write), or -1: no limit applies. */
int blk_cost(const struct vq_chain *c, uint64_t *bytes);

/* blk_worker.c: the device's side. Start and stop are complete when they return. */
int blk_worker_add(struct blk_worker *w, struct blk *b);
void blk_worker_del(struct blk *b);
int blk_worker_run(struct blk *b, bool run);
void blk_worker_limits(struct blk *b, const struct blk_limits *l);

#endif
