/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is what a guest puts into the rings of a queue, and what the device does meanwhile. Guest memory is small
 * and ends at an inaccessible page; every buffer that the queue gives out is touched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/queue.h"

#define RAM 0x8000u /* 32 KiB, so that random addresses hit */

static struct vq q;
static struct vq_chain chain;

static void touch(const struct gmem *mem)
{
	const uint8_t *lo = mem->region[0].host, *hi = lo + RAM;
	uint64_t r = 0, w = 0;

	if (chain.nread + chain.nwrite > q.size)
		abort();
	for (unsigned int i = 0; i < chain.nread + chain.nwrite; i++) {
		const uint8_t *p = chain.iov[i].iov_base;

		if (p < lo || p >= hi || chain.iov[i].iov_len > (size_t)(hi - p) || chain.iov[i].iov_len == 0)
			abort();
		if (i < chain.nread)
			r += chain.iov[i].iov_len;
		else
			w += chain.iov[i].iov_len;
	}
	if (r != chain.read_len || w != chain.write_len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gmem mem;
	uint16_t held[VQ_SIZE_MAX];
	unsigned int nheld = 0;
	uint8_t *ram;
	bool event_idx;

	if (!mem.nregions) {
		ram = mmap(NULL, RAM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (ram == MAP_FAILED || mprotect(ram + RAM, 4096, PROT_NONE))
			abort();
		mem.nregions = 1;
		mem.region[0] = (struct gmem_region){ .gpa = 0, .size = RAM, .host = ram };
	}
	if (size < 16)
		return 0;
	ram = mem.region[0].host;
	memset(ram, 0, RAM);
	vq_reset(&q);
	q.size_max = 256;
	q.size = (uint16_t)(1u << (data[0] % 9));
	q.desc = (uint64_t)(data[1] & 0x7f) << 8;
	q.driver = (uint64_t)(data[2] & 0x7f) << 8;
	q.device = (uint64_t)(data[3] & 0x7f) << 8;
	event_idx = data[0] & 0x80;
	data += 4;
	size -= 4;
	memcpy(ram, data, size < RAM ? size : RAM);
	if (vq_start(&q, &mem, event_idx))
		return 0;
	/* The rest of the input, read again as a script: the guest writes, the device pops, pushes, looks. */
	for (size_t i = 0; i + 4 <= size && i < 2048; i += 4) {
		uint16_t at = (uint16_t)(data[i + 1] | data[i + 2] << 8);
		uint8_t buf[64];

		switch (data[i] % 8) {
		case 0:
			ram[at % RAM] = data[i + 3];
			break;
		case 1: /* one more chain is available */
			(*(uint16_t *)(void *)(ram + q.driver + 2))++;
			break;
		case 2:
		case 3:
			if (vq_pop(&q, &chain) == 1) {
				touch(&mem);
				for (unsigned int k = 0; k < nheld; k++)
					if (held[k] == chain.head)
						abort();
				if (nheld == q.size)
					abort();
				held[nheld++] = chain.head;
				chain_read(&chain, data[i + 3], buf, sizeof(buf));
				chain_write(&chain, data[i + 3], buf, sizeof(buf));
			}
			break;
		case 4:
			if (nheld) {
				if (vq_push(&q, held[--nheld], at))
					abort();
			} else if (vq_push(&q, at, 0) != -EPROTO) {
				abort();
			}
			break;
		case 5:
			vq_wants_interrupt(&q);
			break;
		case 6:
			vq_disable_kick(&q);
			vq_enable_kick(&q);
			break;
		case 7:
			if (nheld)
				vq_unpop(&q, held[--nheld]);
			break;
		}
		if (q.in_flight != nheld)
			abort();
	}
	return 0;
}
