/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small guest for device tests: memory, and the driver's side of virtio-mmio and of split virtqueues, through the
 * same register window that a guest uses. There is no KVM: kicks are written to the eventfds that KVM would write,
 * interrupts are read where KVM would read them.
 */
#ifndef HUSK_TESTS_VRING_H
#define HUSK_TESTS_VRING_H

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vmm/memory.h"
#include "vmm/mmio.h"
#include "vmm/virtio.h"

#define GUEST_RAM (4ull << 20)

struct guest_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
#define D_NEXT 1
#define D_WRITE 2
#define D_INDIRECT 4

/* The driver's half of one queue. Rings at fixed places: queue n from RING_BASE + n * RING_STEP on. */
#define RING_BASE 0x10000ull
#define RING_STEP 0x10000ull
#define RING_AVAIL 0x8000ull
#define RING_USED 0xa000ull

struct guest_queue {
	struct guest_desc *desc;
	uint16_t *avail, *used; /* flags, idx, ring... */
	uint16_t size, next_desc, seen_used;
};

struct guest {
	struct gmem mem;
	struct mmio_bus bus;
	struct virtio_dev *dev;
	struct guest_queue q[VIRTIO_QUEUES_MAX];
};

static inline void *guest_ptr(struct guest *g, uint64_t gpa)
{
	return g->mem.region[0].host + gpa;
}

static inline uint32_t guest_read(struct guest *g, uint32_t reg)
{
	uint32_t v = 0;

	mmio_read(&g->bus, MMIO_BASE + reg, &v, 4);
	return v;
}

static inline void guest_write(struct guest *g, uint32_t reg, uint32_t v)
{
	mmio_write(&g->bus, MMIO_BASE + reg, &v, 4);
}

/* Memory and one empty slot. */
static inline int guest_init(struct guest *g)
{
	int ret;

	memset(g, 0, sizeof(*g));
	ret = gmem_alloc(&g->mem, GUEST_RAM);
	return ret ? ret : mmio_init(&g->bus, NULL, &g->mem, 1);
}

static inline int guest_attach(struct guest *g, struct virtio_dev *d)
{
	g->dev = d;
	return mmio_attach(&g->bus, 0, d);
}

/* Where queue n lies. */
static inline uint64_t guest_ring(unsigned int n)
{
	return RING_BASE + n * RING_STEP;
}

static inline void guest_queue_setup(struct guest *g, unsigned int n, uint16_t size)
{
	struct guest_queue *q = &g->q[n];
	uint64_t base = guest_ring(n);

	memset(guest_ptr(g, base), 0, RING_STEP);
	*q = (struct guest_queue){
		.desc = guest_ptr(g, base),
		.avail = guest_ptr(g, base + RING_AVAIL),
		.used = guest_ptr(g, base + RING_USED),
		.size = size,
	};
	guest_write(g, 0x030, n);
	guest_write(g, 0x038, size);
	guest_write(g, 0x080, (uint32_t)base);
	guest_write(g, 0x084, 0);
	guest_write(g, 0x090, (uint32_t)(base + RING_AVAIL));
	guest_write(g, 0x094, 0);
	guest_write(g, 0x0a0, (uint32_t)(base + RING_USED));
	guest_write(g, 0x0a4, 0);
	guest_write(g, 0x044, 1);
}

/*
 * Reset, negotiate (features besides VERSION_1), set up all queues with `size` entries, DRIVER_OK. Returns the
 * status.
 */
static inline uint32_t guest_start(struct guest *g, uint64_t features, uint16_t size)
{
	features |= 1ull << VIRTIO_F_VERSION_1;
	guest_write(g, 0x070, 0);
	guest_write(g, 0x070, 1);
	guest_write(g, 0x070, 3);
	guest_write(g, 0x024, 0);
	guest_write(g, 0x020, (uint32_t)features);
	guest_write(g, 0x024, 1);
	guest_write(g, 0x020, (uint32_t)(features >> 32));
	guest_write(g, 0x070, 11);
	for (unsigned int i = 0; i < g->dev->nqueues; i++) {
		uint16_t max;

		guest_write(g, 0x030, i);
		max = (uint16_t)guest_read(g, 0x034);
		guest_queue_setup(g, i, size && size < max ? size : max);
	}
	guest_write(g, 0x070, 15);
	return guest_read(g, 0x070);
}

/* Make a chain available whose descriptors are already in the table. */
static inline void guest_publish(struct guest *g, unsigned int n, uint16_t head)
{
	struct guest_queue *q = &g->q[n];
	uint16_t idx = q->avail[1];

	q->avail[2 + idx % q->size] = head;
	__atomic_store_n(&q->avail[1], (uint16_t)(idx + 1), __ATOMIC_RELEASE);
}

static inline void guest_kick(struct guest *g, unsigned int n)
{
	eventfd_write(g->dev->vq[n].kick, 1);
}

/* A chain of `nr` readable and `nw` writable buffers; returns its head. The caller minds the table's size. */
static inline uint16_t guest_add(struct guest *g, unsigned int n, const uint64_t *gpa, const uint32_t *len,
				 unsigned int nr, unsigned int nw)
{
	struct guest_queue *q = &g->q[n];
	uint16_t head = q->next_desc;

	for (unsigned int i = 0; i < nr + nw; i++) {
		uint16_t d = q->next_desc;

		q->next_desc = (uint16_t)((d + 1) % q->size);
		q->desc[d] = (struct guest_desc){
			.addr = gpa[i],
			.len = len[i],
			.flags = (uint16_t)((i + 1 < nr + nw ? D_NEXT : 0) | (i >= nr ? D_WRITE : 0)),
			.next = q->next_desc,
		};
	}
	guest_publish(g, n, head);
	return head;
}

/* One buffer, readable or writable. */
static inline uint16_t guest_add_one(struct guest *g, unsigned int n, uint64_t gpa, uint32_t len, bool writable)
{
	return guest_add(g, n, &gpa, &len, !writable, writable);
}

/* Waits for the next used element. Returns its length, *head its head, or -1 after `ms`. */
static inline int64_t guest_used(struct guest *g, unsigned int n, uint16_t *head, int ms)
{
	struct guest_queue *q = &g->q[n];

	for (int waited = 0;; waited++) {
		if (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) != q->seen_used) {
			uint32_t e[2];

			memcpy(e, (uint8_t *)q->used + 4 + 8 * (q->seen_used % q->size), 8);
			q->seen_used++;
			if (head)
				*head = (uint16_t)e[0];
			return e[1];
		}
		if (waited >= ms)
			return -1;
		poll(NULL, 0, 1);
	}
}

/* An interrupt since the last call? */
static inline bool guest_interrupted(struct guest *g, int ms)
{
	struct pollfd p = { .fd = g->dev->call, .events = POLLIN };
	eventfd_t v;

	return poll(&p, 1, ms) > 0 && eventfd_read(g->dev->call, &v) == 0;
}

static inline void guest_free(struct guest *g)
{
	mmio_free(&g->bus);
	gmem_free(&g->mem);
}

#endif
