/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: the one checked way from a guest physical address to a host pointer.
 */
#ifndef HUSK_VMM_MEMORY_H
#define HUSK_VMM_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GMEM_REGIONS_MAX 4

struct gmem_region {
	uint64_t gpa;
	uint64_t size; /* bytes */
	uint8_t *host;
};

#define GMEM_BLOCK (2ull << 20) /* of RAM that comes and goes */

/* RAM only: windows such as DAX are never reachable through it. */
struct gmem {
	struct gmem_region region[GMEM_REGIONS_MAX];
	unsigned int nregions;
	/* Reserved for RAM that the guest gets later (mem.c), size 0: none. Only plugged blocks are RAM. */
	struct gmem_region hot;
	_Atomic uint64_t *plugged; /* a bit for each block */
	_Atomic uint64_t plugged_bytes;
};

/**
 * gmem_span() - host pointer to guest memory
 * @m:   guest memory
 * @gpa: guest physical address, any value
 * @len: bytes, any value
 *
 * Return: a pointer valid for exactly @len bytes, or NULL when any byte of the range is outside one region.
 * The guest may change the bytes at any time: copy first, validate the copy, use the copy.
 */
void *gmem_span(const struct gmem *m, uint64_t gpa, uint64_t len);

/* RAM lies at [0, GMEM_HOLE_START) and, what does not fit there, from GMEM_HIGH_START. */
#define GMEM_HOLE_START 0xd0000000ull
#define GMEM_HIGH_START 0x100000000ull
#define GMEM_SIZE_MAX (1ull << 40)

/**
 * gmem_alloc() - map guest RAM and describe it in *m
 * @size: bytes, a multiple of 2 MiB, at most GMEM_SIZE_MAX
 *
 * Anonymous, private, zero, not populated. Return: 0 or -errno, *m then describes nothing.
 */
int gmem_alloc(struct gmem *m, uint64_t size);
void gmem_free(struct gmem *m);

/**
 * gmem_reserve() - room for RAM that the guest gets later
 * @size: bytes, a multiple of GMEM_BLOCK
 *
 * Behind the RAM that is there. Return: 0 or -errno.
 */
int gmem_reserve(struct gmem *m, uint64_t size);

static inline bool gmem_is_plugged(const struct gmem *m, uint64_t block)
{
	return atomic_load_explicit(&m->plugged[block / 64], memory_order_relaxed) >> (block % 64) & 1;
}

/* One thread. */
void gmem_set_plugged(struct gmem *m, uint64_t block, bool on);

/* Offer equal pages to the host's KSM. 0 or -errno. */
int gmem_merge(const struct gmem *m);

/* Bytes of RAM in all. */
uint64_t gmem_size(const struct gmem *m);

#endif
