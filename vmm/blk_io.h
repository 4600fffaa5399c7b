/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous file I/O for the block worker: io_uring, or plain system calls where the host has switched it off.
 */
#ifndef HUSK_VMM_BLK_IO_H
#define HUSK_VMM_BLK_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLK_IO_FILES 8u /* registered at the same time */

enum blk_io_kind {
	BLK_IO_READ,
	BLK_IO_WRITE,
	BLK_IO_SYNC,	 /* fdatasync */
	BLK_IO_ALLOCATE, /* fallocate(mode) of [off, off + len) */
};

/* One operation; the caller's, untouched until blk_io_done() gives it back. */
struct blk_io_op {
	enum blk_io_kind kind;
	unsigned int file; /* as blk_io_add_file() gave it */
	int mode;	   /* ALLOCATE: FALLOC_FL_*; READ, WRITE: RWF_* */
	struct iovec *iov; /* READ, WRITE; changed when a transfer comes in parts */
	unsigned int niov;
	uint64_t off, len; /* bytes; of READ and WRITE what is still to do */
	int result;	   /* 0 when all was done, else -errno; -EIO also at the end of the file */
	struct blk_io_op *next;
};

struct blk_io;

/**
 * blk_io_create() - make an engine
 * @depth: operations in flight at most; the caller sees to it
 * @uring: false: plain system calls, also taken where the kernel refuses io_uring
 *
 * By the thread that will use it, before its system calls are filtered. NULL with errno set.
 */
struct blk_io *blk_io_create(unsigned int depth, bool uring);
void blk_io_free(struct blk_io *io);

/* Readable when there may be something done; -1: blk_io_start() does all at once. */
int blk_io_fd(const struct blk_io *io);

/* Number for ops, or -errno. The descriptor stays the caller's and open until blk_io_del_file(). */
int blk_io_add_file(struct blk_io *io, int fd);
/* Nothing of the file is in flight. */
void blk_io_del_file(struct blk_io *io, unsigned int file);

/* Begin, at the latest with blk_io_flush(). */
void blk_io_start(struct blk_io *io, struct blk_io_op *op);

/* False: the kernel is short of memory, try again soon. */
bool blk_io_flush(struct blk_io *io);

/* The next one that is done, or NULL. */
struct blk_io_op *blk_io_done(struct blk_io *io);

#endif
