/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of objects that the guest names by 64-bit ids: inodes, open files, locks.
 *
 * Theory of operation. An id is a generation (upper half, never 0) and an index. Each object begins with a life
 * word that says everything about its being used, so that taking an object by id is one compare-and-swap without a
 * lock, and an id whose object is gone is recognised whatever lives there now:
 *
 *	generation:32 | BUSY:1 | LIVE:1 | users:30
 *
 * LIVE: the guest may name it. users: threads that work with it, and objects that point to it. BUSY: one thread has it
 * for itself, which it gets only while there are no users; others wait the few instructions that this takes.
 * An object whose word is 0 is free. Memory of the table is never unmapped, at most given back and then reads as
 * zeros, so looking at a stale index is safe.
 */
#ifndef HUSK_VMM_FS_POOL_H
#define HUSK_VMM_FS_POOL_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIFE_BUSY (1u << 31)
#define LIFE_LIVE (1u << 30)
#define LIFE_USERS (LIFE_LIVE - 1)

#define POOL_SLAB 256u /* objects in one mapping */

struct fs_slab {
	_Atomic(uint8_t *) mem;
	uint16_t used, fresh, free; /* in use; first never used; head of the free list + 1 */
};

struct fs_pool {
	pthread_mutex_t lock; /* everything but the life words */
	uint32_t item, cap;   /* bytes of an object; objects at most, a multiple of POOL_SLAB */
	uint32_t generation;
	_Atomic uint32_t used, high; /* objects in use; slabs ever used */
	struct fs_slab *slab;	     /* cap / POOL_SLAB */
	uint32_t hint;		     /* no slab below has room */
};

/* item: bytes of an object, whose first member is its life word; cap is rounded up. 0 or -ENOMEM. */
int fs_pool_init(struct fs_pool *p, size_t item, uint32_t cap);
void fs_pool_free(struct fs_pool *p);

/* A zeroed object, LIVE and BUSY, and its id; NULL when the table is full or memory is short. */
void *fs_pool_new(struct fs_pool *p, uint64_t *id);

/* Give back an object that the caller holds BUSY. */
void fs_pool_release(struct fs_pool *p, uint64_t id);

/* The object at the id's index, whoever it is; NULL when the index was never used. */
void *fs_pool_at(const struct fs_pool *p, uint64_t id);

/* Take the object named id: one user more. NULL when it isn't LIVE or another one. */
void *fs_pool_get(const struct fs_pool *p, uint64_t id);

/* All indexes that may be in use are below this. */
static inline uint32_t fs_pool_end(const struct fs_pool *p)
{
	return atomic_load_explicit(&p->high, memory_order_acquire) * POOL_SLAB;
}

static inline uint64_t life_id(uint64_t life, uint32_t index)
{
	return (life & ~(uint64_t)UINT32_MAX) | index;
}

/* Take an object that is known to be in use (LIVE or not), of this generation. */
bool life_get(_Atomic uint64_t *life, uint32_t generation, uint32_t need);

/* One user less. Returns the lower half of the word as it is now. */
static inline uint32_t life_put(_Atomic uint64_t *life)
{
	return (uint32_t)(atomic_fetch_sub_explicit(life, 1, memory_order_acq_rel) - 1);
}

/* Have the object alone: succeeds only when it has no user, all bits of `need` and none of `without`. */
bool life_lock(_Atomic uint64_t *life, uint32_t generation, uint32_t need, uint32_t without);

static inline void life_unlock(_Atomic uint64_t *life)
{
	atomic_fetch_and_explicit(life, ~(uint64_t)LIFE_BUSY, memory_order_release);
}

#endif
