/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: one anonymous private mapping, seen by the guest below and above the device hole. Made by the main
 * thread before the guest runs; afterwards the table is constant and any thread reads it, but for the blocks that the
 * guest plugs (mem.c). Everything in the memory itself is the guest's.
 */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_SIZE (2ull << 20)
#define HOT_ALIGN (1ull << 30) /* Linux adds memory in blocks of 128 MiB and more */

/* In RAM that came later: every block of the range must be there. */
static void *span_hot(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off = gpa - m->hot.gpa, last;

	if (gpa < m->hot.gpa || off >= m->hot.size || len > m->hot.size - off)
		return NULL;
	last = len ? off + len - 1 : off;
	for (uint64_t b = off / GMEM_BLOCK; b <= last / GMEM_BLOCK; b++)
		if (!gmem_is_plugged(m, b))
			return NULL;
	return m->hot.host + off;
}

void *gmem_span(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < m->nregions; i++) {
		const struct gmem_region *r = &m->region[i];
		uint64_t off = gpa - r->gpa;

		if (gpa >= r->gpa && off < r->size && len <= r->size - off)
			return r->host + off;
	}
	return m->hot.size ? span_hot(m, gpa, len) : NULL;
}

/* Anonymous memory, aligned to huge pages; NULL with errno set. */
static uint8_t *map_ram(uint64_t size)
{
	uint8_t *map, *ram;

	/* Nested paging maps 2 MiB at once only where guest and host addresses agree modulo 2 MiB. A third fewer
	 * instructions until init than with 4 KiB pages. Not populated: clearing all of it costs more than
	 * the faults. */
	map = mmap(NULL, size + HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	ram = (uint8_t *)(((uintptr_t)map + HUGE_SIZE - 1) & ~(uintptr_t)(HUGE_SIZE - 1));
	if (ram > map)
		munmap(map, (size_t)(ram - map));
	if (ram - map < (long)HUGE_SIZE)
		munmap(ram + size, HUGE_SIZE - (size_t)(ram - map));
	if (mprotect(ram, size, PROT_READ | PROT_WRITE)) {
		int err = errno;

		munmap(ram, size);
		errno = err;
		return NULL;
	}
	/* Advice only: a host without huge pages runs the guest, slower. The guest's memory is in no core dump. */
	madvise(ram, size, MADV_HUGEPAGE);
	madvise(ram, size, MADV_DONTDUMP);
	return ram;
}

int gmem_alloc(struct gmem *m, uint64_t size)
{
	uint64_t low = size < GMEM_HOLE_START ? size : GMEM_HOLE_START;
	uint8_t *ram;

	memset(m, 0, sizeof(*m));
	if (size == 0 || size % HUGE_SIZE || size > GMEM_SIZE_MAX)
		return -EINVAL;
	ram = map_ram(size);
	if (!ram)
		return -errno;
	m->region[m->nregions++] = (struct gmem_region){ .gpa = 0, .size = low, .host = ram };
	if (size > low)
		m->region[m->nregions++] =
			(struct gmem_region){ .gpa = GMEM_HIGH_START, .size = size - low, .host = ram + low };
	return 0;
}

static uint64_t first_size(const struct gmem *m)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < m->nregions; i++)
		size += m->region[i].size;
	return size;
}

int gmem_reserve(struct gmem *m, uint64_t size)
{
	const struct gmem_region *last = &m->region[m->nregions - 1];
	uint64_t end = last->gpa + last->size, gpa = end > GMEM_HIGH_START ? end : GMEM_HIGH_START;

	gpa = (gpa + HOT_ALIGN - 1) & ~(HOT_ALIGN - 1);
	if (size == 0 || size % GMEM_BLOCK || size > GMEM_SIZE_MAX - gpa)
		return -EINVAL;
	m->plugged = calloc((size / GMEM_BLOCK + 63) / 64, sizeof(*m->plugged));
	if (!m->plugged)
		return -ENOMEM;
	m->hot = (struct gmem_region){ .gpa = gpa, .size = size, .host = map_ram(size) };
	if (!m->hot.host) {
		int err = errno;

		free(m->plugged);
		m->plugged = NULL;
		m->hot.size = 0;
		return -err;
	}
	return 0;
}

void gmem_set_plugged(struct gmem *m, uint64_t block, bool on)
{
	uint64_t bit = 1ull << (block % 64);

	if (gmem_is_plugged(m, block) == on)
		return;
	if (on) {
		atomic_fetch_or(&m->plugged[block / 64], bit);
		atomic_fetch_add(&m->plugged_bytes, GMEM_BLOCK);
	} else {
		atomic_fetch_and(&m->plugged[block / 64], ~bit);
		atomic_fetch_sub(&m->plugged_bytes, GMEM_BLOCK);
	}
}

int gmem_merge(const struct gmem *m)
{
	if (madvise(m->region[0].host, first_size(m), MADV_MERGEABLE))
		return -errno;
	if (m->hot.size && madvise(m->hot.host, m->hot.size, MADV_MERGEABLE))
		return -errno;
	return 0;
}

void gmem_free(struct gmem *m)
{
	uint64_t size = first_size(m);

	if (size)
		munmap(m->region[0].host, size);
	if (m->hot.size)
		munmap(m->hot.host, m->hot.size);
	free(m->plugged);
	memset(m, 0, sizeof(*m));
}

uint64_t gmem_size(const struct gmem *m)
{
	return first_size(m) + atomic_load_explicit(&m->plugged_bytes, memory_order_relaxed);
}
