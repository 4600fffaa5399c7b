/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File I/O for the block worker, which alone runs this. The guest controls offsets and lengths, checked against the
 * disk's size by the caller, and what is in the buffers.
 *
 * The ring is narrowed before it is enabled: four operations, on registered files only. What a ring does is no system
 * call, so the thread's filter would not see it. Buffers are not registered: that would pin, and so populate, the
 * guest's whole memory, which otherwise costs only what the guest has touched.
 *
 * A transfer that comes in parts is continued here until it is complete or fails.
 */
#include "blk_io.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct blk_io {
	bool uring;
	struct io_uring ring;
	int file[BLK_IO_FILES];		  /* -1: free */
	struct blk_io_op *done, **last;	  /* plain system calls: what blk_io_done() gives */
	struct blk_io_op *again, **later; /* parts that are to be continued */
};

/* ---- the ring ---- */

/* Two of liburing's calls are missing in its shared library up to 2.3. */
static int ring_register(const struct io_uring *ring, unsigned int what, void *arg, unsigned int n)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, arg, n) ? -errno : 0;
}

static int narrow(struct io_uring *ring)
{
	static const uint8_t ops[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE };
	struct io_uring_restriction r[8] = { 0 };
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(ops); i++) {
		r[n].opcode = IORING_RESTRICTION_SQE_OP;
		r[n++].sqe_op = ops[i];
	}
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	r[n++].sqe_flags = IOSQE_FIXED_FILE;
	r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
	r[n++].register_op = IORING_REGISTER_FILES_UPDATE;
	return ring_register(ring, IORING_REGISTER_RESTRICTIONS, r, n);
}

static int open_ring(struct blk_io *io, unsigned int depth)
{
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	int ret = io_uring_queue_init_params(depth, &io->ring, &p);

	if (ret)
		return ret;
	ret = io_uring_register_files(&io->ring, io->file, BLK_IO_FILES); /* all -1: places for later */
	if (ret == 0)
		ret = narrow(&io->ring);
	if (ret == 0)
		ret = ring_register(&io->ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (ret)
		io_uring_queue_exit(&io->ring);
	return ret;
}

static void submit(struct blk_io *io, struct blk_io_op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
	int file = (int)op->file;

	if (!sqe) { /* not submitted yet: there is room for all that may be in flight */
		io_uring_submit(&io->ring);
		sqe = io_uring_get_sqe(&io->ring);
	}
	if (!sqe) {
		op->next = NULL;
		*io->later = op;
		io->later = &op->next;
		return;
	}
	switch (op->kind) {
	case BLK_IO_READ:
		io_uring_prep_readv2(sqe, file, op->iov, op->niov, op->off, op->mode);
		break;
	case BLK_IO_WRITE:
		io_uring_prep_writev2(sqe, file, op->iov, op->niov, op->off, op->mode);
		break;
	case BLK_IO_SYNC:
		io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
		break;
	case BLK_IO_ALLOCATE:
		io_uring_prep_fallocate(sqe, file, op->mode, (off_t)op->off, (off_t)op->len);
		break;
	}
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, op);
}

/* ---- parts ---- */

/* Takes n bytes off the front of what is to be transferred. */
static void advance(struct blk_io_op *op, uint64_t n)
{
	op->off += n;
	op->len -= n;
	while (op->niov && n >= op->iov->iov_len) {
		n -= op->iov->iov_len;
		op->iov++;
		op->niov--;
	}
	if (op->niov) {
		op->iov->iov_base = (uint8_t *)op->iov->iov_base + n;
		op->iov->iov_len -= n;
	}
}

/* The kernel's answer to one part. True when the operation is complete, op->result says how. */
static bool is_complete(struct blk_io_op *op, int64_t answer)
{
	op->result = 0;
	if (answer == -EINTR || answer == -EAGAIN)
		return false;
	if (answer < 0) {
		op->result = (int)answer;
		return true;
	}
	if (op->kind != BLK_IO_READ && op->kind != BLK_IO_WRITE)
		return true;
	if (answer == 0 && op->len > 0) { /* the file is shorter than the disk */
		op->result = -EIO;
		return true;
	}
	advance(op, (uint64_t)answer < op->len ? (uint64_t)answer : op->len);
	return op->len == 0;
}

/* ---- plain system calls ---- */

static int64_t call_once(const struct blk_io *io, const struct blk_io_op *op)
{
	int fd = io->file[op->file];
	int64_t n = -1;

	switch (op->kind) {
	case BLK_IO_READ:
		n = preadv2(fd, op->iov, (int)op->niov, (off_t)op->off, op->mode);
		break;
	case BLK_IO_WRITE:
		n = pwritev2(fd, op->iov, (int)op->niov, (off_t)op->off, op->mode);
		break;
	case BLK_IO_SYNC:
		n = fdatasync(fd);
		break;
	case BLK_IO_ALLOCATE:
		n = fallocate(fd, op->mode, (off_t)op->off, (off_t)op->len);
		break;
	}
	return n < 0 ? -errno : n;
}

/* ---- interface ---- */

struct blk_io *blk_io_create(unsigned int depth, bool uring)
{
	struct blk_io *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	io->last = &io->done;
	io->later = &io->again;
	for (unsigned int i = 0; i < BLK_IO_FILES; i++)
		io->file[i] = -1;
	io->uring = uring && open_ring(io, depth) == 0;
	return io;
}

void blk_io_free(struct blk_io *io)
{
	if (io && io->uring)
		io_uring_queue_exit(&io->ring);
	free(io);
}

int blk_io_fd(const struct blk_io *io)
{
	return io->uring ? io->ring.ring_fd : -1;
}

static int update_file(struct blk_io *io, unsigned int file, int fd)
{
	int ret = io->uring ? io_uring_register_files_update(&io->ring, file, &fd, 1) : 1;

	if (ret == 1)
		io->file[file] = fd;
	return ret == 1 ? 0 : ret < 0 ? ret : -EINVAL;
}

int blk_io_add_file(struct blk_io *io, int fd)
{
	for (unsigned int i = 0; i < BLK_IO_FILES; i++) {
		int ret;

		if (io->file[i] >= 0)
			continue;
		ret = update_file(io, i, fd);
		return ret ? ret : (int)i;
	}
	return -ENFILE;
}

void blk_io_del_file(struct blk_io *io, unsigned int file)
{
	if (update_file(io, file, -1)) /* the ring keeps the file open; its place is not used again */
		io->file[file] = INT32_MAX;
}

void blk_io_start(struct blk_io *io, struct blk_io_op *op)
{
	if (io->uring) {
		submit(io, op);
		return;
	}
	while (!is_complete(op, call_once(io, op)))
		;
	op->next = NULL;
	*io->last = op;
	io->last = &op->next;
}

bool blk_io_flush(struct blk_io *io)
{
	struct blk_io_op *op = io->again;
	int ret;

	if (!io->uring)
		return true;
	io->again = NULL;
	io->later = &io->again;
	while (op) {
		struct blk_io_op *next = op->next;

		submit(io, op);
		op = next;
	}
	if (!io_uring_sq_ready(&io->ring))
		return !io->again;
	ret = io_uring_submit(&io->ring);
	return ret >= 0 && !io_uring_sq_ready(&io->ring) && !io->again;
}

struct blk_io_op *blk_io_done(struct blk_io *io)
{
	struct blk_io_op *op = io->done;
	struct io_uring_cqe *cqe;

	if (op) {
		io->done = op->next;
		if (!io->done)
			io->last = &io->done;
		return op;
	}
	while (io->uring && io_uring_peek_cqe(&io->ring, &cqe) == 0) {
		int64_t answer = cqe->res;

		op = io_uring_cqe_get_data(cqe);
		io_uring_cqe_seen(&io->ring, cqe);
		if (is_complete(op, answer))
			return op;
		op->next = NULL;
		*io->later = op;
		io->later = &op->next;
	}
	return NULL;
}
