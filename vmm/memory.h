/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: the one checked way from a guest physical address to a host pointer.
 */
#ifndef HUSK_VMM_MEMORY_H
#define HUSK_VMM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define GMEM_REGIONS_MAX 4

struct gmem_region {
	uint64_t gpa;
	uint64_t size; /* bytes */
	uint8_t *host;
};

/* RAM only: windows such as DAX are never reachable through it. */
struct gmem {
	struct gmem_region region[GMEM_REGIONS_MAX];
	unsigned int nregions;
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

/* Bytes of RAM in all. */
uint64_t gmem_size(const struct gmem *m);

#endif
