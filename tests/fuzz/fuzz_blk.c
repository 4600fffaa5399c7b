/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is guest memory with a queue of block requests in it. Each chain is decoded as the worker does it; what it
 * would transfer must lie in guest memory and on the disk, and is then done by plain system calls.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/blk_internal.h"

#define RAM 0x10000u /* 64 KiB, so that random addresses hit */
#define DISK (64u << 10)
#define QUEUE 32u

static struct gmem mem;
static struct blk *disk[2]; /* writable, read-only */
static struct blk_io *io;
static struct vq q;
static struct vq_chain chain;
static struct blk_request request;

static void set_up(void)
{
	struct blk_worker *w = blk_worker_create(false);
	uint8_t *ram = mmap(NULL, RAM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("disk", MFD_CLOEXEC);

	if (!w || ram == MAP_FAILED || mprotect(ram + RAM, 4096, PROT_NONE) || fd < 0 || ftruncate(fd, DISK))
		abort();
	mem.nregions = 1;
	mem.region[0] = (struct gmem_region){ .gpa = 0, .size = RAM, .host = ram };
	for (int ro = 0; ro < 2; ro++) {
		disk[ro] = (struct blk *)blk_create(&mem, w, dup(fd), ro, "fuzz", 1);
		if (!disk[ro])
			abort();
	}
	io = blk_io_create(BLK_REQUESTS, false);
	if (!io || blk_io_add_file(io, fd) != 0)
		abort();
}

static void check(const struct blk_io_op *op, bool readonly)
{
	const uint8_t *lo = mem.region[0].host, *hi = lo + RAM;
	uint64_t sum = 0;

	if (op->kind == BLK_IO_SYNC)
		return;
	if (op->off > DISK || op->len > DISK - op->off || op->len == 0)
		abort();
	if (readonly && op->kind != BLK_IO_READ)
		abort();
	for (unsigned int i = 0; i < op->niov; i++) {
		const uint8_t *p = op->iov[i].iov_base;

		if (p < lo || p >= hi || op->iov[i].iov_len > (size_t)(hi - p) || op->iov[i].iov_len == 0)
			abort();
		sum += op->iov[i].iov_len;
	}
	if (op->kind != BLK_IO_ALLOCATE && sum != op->len)
		abort();
}

static void serve(struct blk *b)
{
	uint8_t status = 0xee;
	uint64_t bytes;
	bool again;

	memset(&request.op, 0, sizeof(request.op));
	blk_cost(&chain, &bytes);
	switch (blk_decode(b, &chain, &request, &status)) {
	case BLK_BEGUN:
		check(&request.op, b->readonly);
		do {
			blk_io_start(io, &request.op);
			if (blk_io_done(io) != &request.op)
				abort();
			status = blk_result(&request, &again);
		} while (again);
		break;
	case BLK_DONE:
		if (status == 0xee)
			abort();
		break;
	case BLK_BROKEN:
		return;
	}
	*request.status = status;
	vq_push(&q, chain.head, request.data + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!mem.nregions)
		set_up();
	if (size < 4)
		return 0;
	memset(mem.region[0].host, 0, RAM);
	vq_reset(&q);
	q.size = q.size_max = QUEUE;
	q.desc = 0;
	q.driver = QUEUE * 16;
	q.device = QUEUE * 16 + 128;
	if (vq_start(&q, &mem, false))
		abort();
	memcpy(mem.region[0].host, data + 1, size - 1 < RAM ? size - 1 : RAM);
	atomic_store(&disk[0]->writeback, !(data[0] & 2));
	for (unsigned int i = 0; i < 2 * QUEUE && vq_pop(&q, &chain) > 0; i++)
		serve(disk[data[0] & 1]);
	return 0;
}
