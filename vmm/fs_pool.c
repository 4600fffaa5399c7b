/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of objects with generations (theory of operation in fs_pool.h). Any thread; the guest controls ids and, by
 * what it asks for, how many objects there are, up to the cap.
 *
 * Objects come in slabs of POOL_SLAB. The lowest slab with room is used first, and a slab that becomes empty gives its
 * memory back, so a table shrinks after a storm.
 */
#include "fs_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u

static size_t slab_bytes(const struct fs_pool *p)
{
	return ((size_t)p->item * POOL_SLAB + PAGE - 1) & ~(size_t)(PAGE - 1);
}

int fs_pool_init(struct fs_pool *p, size_t item, uint32_t cap)
{
	uint32_t slabs = (cap + POOL_SLAB - 1) / POOL_SLAB;
	size_t bytes = slabs * sizeof(*p->slab);

	memset(p, 0, sizeof(*p));
	p->item = (uint32_t)((item + 15) & ~(size_t)15);
	p->cap = slabs * POOL_SLAB;
	/* mapped, not allocated: only the part that is used costs memory */
	p->slab = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->slab == MAP_FAILED) {
		p->slab = NULL;
		return -ENOMEM;
	}
	pthread_mutex_init(&p->lock, NULL);
	return 0;
}

void fs_pool_free(struct fs_pool *p)
{
	if (!p->slab)
		return;
	for (uint32_t s = 0; s < p->high; s++)
		if (p->slab[s].mem)
			munmap(p->slab[s].mem, slab_bytes(p));
	munmap(p->slab, p->cap / POOL_SLAB * sizeof(*p->slab));
	pthread_mutex_destroy(&p->lock);
	p->slab = NULL;
}

/* The life word and the free-list link of object i of a slab. */
static _Atomic uint64_t *life_of(const struct fs_pool *p, uint8_t *mem, uint32_t i)
{
	return (_Atomic uint64_t *)(void *)(mem + (size_t)i * p->item);
}

static uint16_t *link_of(const struct fs_pool *p, uint8_t *mem, uint32_t i)
{
	return (uint16_t *)(void *)(mem + (size_t)i * p->item + sizeof(uint64_t));
}

/* Index of an object with room for it in the lowest slab, or POOL_SLAB * slabs. Lock held. */
static uint32_t take_index(struct fs_pool *p)
{
	for (uint32_t s = p->hint; s < p->cap / POOL_SLAB; s++) {
		struct fs_slab *slab = &p->slab[s];
		uint32_t i;

		p->hint = s;
		if (slab->used == POOL_SLAB)
			continue;
		if (!slab->mem) {
			void *mem =
				mmap(NULL, slab_bytes(p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (mem == MAP_FAILED)
				return p->cap;
			atomic_store_explicit(&slab->mem, mem, memory_order_release);
		}
		if (s >= p->high)
			atomic_store_explicit(&p->high, s + 1, memory_order_release);
		if (slab->free) {
			i = slab->free - 1u;
			slab->free = *link_of(p, slab->mem, i);
		} else {
			i = slab->fresh++;
		}
		slab->used++;
		return s * POOL_SLAB + i;
	}
	return p->cap;
}

void *fs_pool_new(struct fs_pool *p, uint64_t *id)
{
	_Atomic uint64_t *life = NULL;
	uint32_t index;

	pthread_mutex_lock(&p->lock);
	index = take_index(p);
	if (index < p->cap) {
		if (++p->generation == 0)
			p->generation = 1;
		*id = (uint64_t)p->generation << 32 | index;
		life = fs_pool_at(p, *id);
		memset((uint8_t *)life + sizeof(*life), 0, p->item - sizeof(*life));
		atomic_store_explicit(life, (uint64_t)p->generation << 32 | LIFE_LIVE | LIFE_BUSY,
				      memory_order_release);
		atomic_fetch_add_explicit(&p->used, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&p->lock);
	return life;
}

void fs_pool_release(struct fs_pool *p, uint64_t id)
{
	uint32_t s = (uint32_t)id / POOL_SLAB, i = (uint32_t)id % POOL_SLAB;
	struct fs_slab *slab = &p->slab[s];

	pthread_mutex_lock(&p->lock);
	atomic_store_explicit(life_of(p, slab->mem, i), 0, memory_order_release);
	if (--slab->used) {
		*link_of(p, slab->mem, i) = slab->free;
		slab->free = (uint16_t)(i + 1);
	} else {
		slab->free = slab->fresh = 0;
		if (s > 0)
			madvise(slab->mem, slab_bytes(p), MADV_DONTNEED);
	}
	if (s < p->hint)
		p->hint = s;
	atomic_fetch_sub_explicit(&p->used, 1, memory_order_relaxed);
	pthread_mutex_unlock(&p->lock);
}

void *fs_pool_at(const struct fs_pool *p, uint64_t id)
{
	uint32_t index = (uint32_t)id;
	uint8_t *mem;

	if (index >= p->cap)
		return NULL;
	mem = atomic_load_explicit(&p->slab[index / POOL_SLAB].mem, memory_order_acquire);
	return mem ? mem + (size_t)(index % POOL_SLAB) * p->item : NULL;
}

void *fs_pool_get(const struct fs_pool *p, uint64_t id)
{
	_Atomic uint64_t *life = fs_pool_at(p, id);

	return life && life_get(life, (uint32_t)(id >> 32), LIFE_LIVE) ? life : NULL;
}

bool life_get(_Atomic uint64_t *life, uint32_t generation, uint32_t need)
{
	uint64_t l = atomic_load_explicit(life, memory_order_acquire);

	for (;;) {
		if (l >> 32 != generation || generation == 0 || (l & need) != need)
			return false;
		if (l & LIFE_BUSY) {
			sched_yield();
			l = atomic_load_explicit(life, memory_order_acquire);
			continue;
		}
		if ((l & LIFE_USERS) == LIFE_USERS)
			return false;
		if (atomic_compare_exchange_weak_explicit(life, &l, l + 1, memory_order_acq_rel, memory_order_acquire))
			return true;
	}
}

bool life_lock(_Atomic uint64_t *life, uint32_t generation, uint32_t need, uint32_t without)
{
	uint64_t l = atomic_load_explicit(life, memory_order_acquire);

	without |= LIFE_BUSY | LIFE_USERS;
	do {
		if (l >> 32 != generation || generation == 0 || (l & need) != need || (l & without))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(life, &l, l | LIFE_BUSY, memory_order_acq_rel,
							memory_order_acquire));
	return true;
}
