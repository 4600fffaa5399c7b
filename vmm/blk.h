/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk (virtio 1.2, 5.2): raw disks in files and block devices, all served by one worker thread.
 */
#ifndef HUSK_VMM_BLK_H
#define HUSK_VMM_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"
#include "virtio.h"

#define BLK_DISKS_MAX 8u
#define BLK_QUEUES_MAX 4u
#define BLK_SERIAL_MAX 20u

/* Per second; 0: no limit. */
struct blk_limits {
	uint64_t read_bps, write_bps, read_iops, write_iops;
};

struct blk_worker;

/**
 * blk_worker_create() - the worker, without its thread
 * @uring: false: plain system calls instead of io_uring, which are also taken where the kernel refuses io_uring
 *
 * Return: NULL with errno set.
 */
struct blk_worker *blk_worker_create(bool uring);

/**
 * blk_worker_start() - start the thread
 * @enter: called in it when it has all that it needs a free hand for, to close the jail; may be NULL
 *
 * Before the first driver starts a disk. Return: 0 or -errno.
 */
int blk_worker_start(struct blk_worker *w, void (*enter)(void *arg), void *arg);

/* End the thread, free the worker. Its disks are destroyed before. */
void blk_worker_free(struct blk_worker *w);

/**
 * blk_create() - a disk
 * @fd:	    a regular file or block device, open for reading and, unless @readonly, for writing; owned by the disk on
 *	    success
 * @serial: at most BLK_SERIAL_MAX bytes; what the guest knows it by
 * @queues: 1..BLK_QUEUES_MAX
 *
 * Return: the device, or NULL with errno set: EINVAL (no file or device), ENOSPC (BLK_DISKS_MAX), EACCES (not open
 * for this).
 */
struct virtio_dev *blk_create(const struct gmem *mem, struct blk_worker *w, int fd, bool readonly, const char *serial,
			      unsigned int queues);

/* Not while a transport may still use it. */
void blk_destroy(struct virtio_dev *d);

/* Look at the size of the file again and tell the guest. 0 or -errno. Any thread. */
int blk_resize(struct virtio_dev *d);

/* Change the limits. Any thread. */
void blk_limit(struct virtio_dev *d, const struct blk_limits *l);

#endif
