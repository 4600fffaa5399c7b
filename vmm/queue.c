/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues (virtio 1.2, 2.7). Whoever owns the queue runs this; the guest controls every byte of the three
 * rings and of indirect tables, and changes them while we read.
 *
 * Theory of operation. The three rings are looked up once, when the driver says DRIVER_OK, and never again: what
 * the guest writes to queue registers later has no effect. From then on each value that the guest can change is
 * read exactly once, into a local; it is checked; and only the local is used. A chain is walked with two bounds
 * at the same time: the number of elements (no loop can be longer than the queue) and the sum of bytes. Heads that the
 * device holds are marked, so that no buffer is served twice at the same time, which is what use-after-free in
 * devices is made of. The first broken rule breaks the queue for good: until the driver resets the device, it
 * gives nothing more.
 *
 * Ordering: the index of the available ring is read with acquire, so the entries before it are the driver's; the
 * index of the used ring is written with release. Around the event fields a full barrier is needed on both sides:
 * "I publish, then look whether you sleep" (2.7.10).
 */
#include "queue.h"

#include <errno.h>
#include <string.h>

#define DESC_SIZE 16u
#define F_NEXT 1u
#define F_WRITE 2u
#define F_INDIRECT 4u

#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY 1u

/* Ring layout: flags, idx, ring[size], event. */
#define AVAIL_IDX 2u
#define AVAIL_RING 4u
#define USED_IDX 2u
#define USED_RING 4u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
_Static_assert(sizeof(struct desc) == DESC_SIZE, "descriptor");

static uint16_t load16(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_RELAXED);
}

static void store16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELAXED);
}

/* Indirect tables have no alignment that we could insist on. */
struct unaligned64 {
	uint64_t v;
} __attribute__((packed, may_alias));

/* One read of each half: the compiler may not read guest memory again after the checks. */
static struct desc load_desc(const uint8_t *p)
{
	const volatile struct unaligned64 *u = (const volatile struct unaligned64 *)(const void *)p;
	uint64_t lo = u[0].v, hi = u[1].v;

	return (struct desc){
		.addr = lo, .len = (uint32_t)hi, .flags = (uint16_t)(hi >> 32), .next = (uint16_t)(hi >> 48)
	};
}

static bool is_broken(const struct vq *q)
{
	return __atomic_load_n(&q->broken, __ATOMIC_RELAXED);
}

static bool is_busy(const struct vq *q, uint16_t head)
{
	return q->busy[head / 64] >> (head % 64) & 1;
}

int vq_start(struct vq *q, const struct gmem *mem, bool event_idx)
{
	uint64_t n = q->size;

	if (n == 0 || n > VQ_SIZE_MAX || n > q->size_max || (n & (n - 1)))
		return -EINVAL;
	if (q->desc % 16 || q->driver % 2 || q->device % 4)
		return -EINVAL;
	/* The event fields belong to the rings whether they are used or not. */
	q->desc_p = gmem_span(mem, q->desc, n * DESC_SIZE);
	q->avail_p = gmem_span(mem, q->driver, AVAIL_RING + n * 2 + 2);
	q->used_p = gmem_span(mem, q->device, USED_RING + n * 8 + 2);
	if (!q->desc_p || !q->avail_p || !q->used_p) {
		q->desc_p = q->avail_p = q->used_p = NULL;
		return -EINVAL;
	}
	q->mem = mem;
	q->event_idx = event_idx;
	q->next_avail = q->next_used = q->signalled_used = 0;
	q->signalled_valid = false;
	q->in_flight = 0;
	memset(q->busy, 0, sizeof(q->busy));
	q->broken = false;
	q->running = true;
	return 0;
}

void vq_reset(struct vq *q)
{
	q->running = q->broken = q->ready = false;
	q->size = 0;
	q->desc = q->driver = q->device = 0;
	q->desc_p = q->avail_p = q->used_p = NULL;
	q->mem = NULL;
	q->in_flight = 0;
	memset(q->busy, 0, sizeof(q->busy));
}

void vq_break(struct vq *q)
{
	__atomic_store_n(&q->broken, true, __ATOMIC_RELAXED);
}

static int break_queue(struct vq *q)
{
	vq_break(q);
	return -EPROTO;
}

/* Adds one buffer to the chain. The order readable, then writable, is checked here (2.7.4.2). */
static int add_element(const struct vq *q, struct vq_chain *c, const struct desc *d)
{
	bool write = d->flags & F_WRITE;
	void *p;

	if (!write && c->nwrite)
		return -EPROTO;
	if (d->len == 0)
		return 0;
	p = gmem_span(q->mem, d->addr, d->len);
	if (!p)
		return -EPROTO;
	if (d->len > UINT32_MAX - c->read_len - c->write_len)
		return -EPROTO;
	c->iov[c->nread + c->nwrite] = (struct iovec){ .iov_base = p, .iov_len = d->len };
	if (write) {
		c->nwrite++;
		c->write_len += d->len;
	} else {
		c->nread++;
		c->read_len += d->len;
	}
	return 0;
}

/*
 * Walks the chain that starts at `head`: descriptors of the ring's table, then of one indirect table at most
 * (2.7.5.3). `budget` counts the elements of both: no chain is longer than the queue.
 */
static int walk(const struct vq *q, struct vq_chain *c, uint16_t head)
{
	const uint8_t *table = q->desc_p;
	uint32_t entries = q->size, index = head, budget = q->size;
	bool indirect = false;

	for (;;) {
		struct desc d;

		if (index >= entries || budget == 0)
			return -EPROTO;
		d = load_desc(table + (size_t)index * DESC_SIZE);

		if (d.flags & F_INDIRECT) {
			if (indirect || (d.flags & F_NEXT) || d.len == 0 || d.len % DESC_SIZE)
				return -EPROTO;
			table = gmem_span(q->mem, d.addr, d.len);
			if (!table)
				return -EPROTO;
			entries = d.len / DESC_SIZE;
			index = 0;
			indirect = true;
			continue;
		}
		if (add_element(q, c, &d))
			return -EPROTO;
		budget--;
		if (!(d.flags & F_NEXT))
			return 0;
		index = d.next;
	}
}

/* In both of its callers: a call more for each request would show. */
static inline __attribute__((always_inline)) int pop(struct vq *q, struct vq_chain *c)
{
	uint16_t avail, head;

	if (!q->running || is_broken(q))
		return is_broken(q) ? -EPROTO : 0;
	avail = __atomic_load_n((const uint16_t *)(const void *)(q->avail_p + AVAIL_IDX), __ATOMIC_ACQUIRE);
	if (avail == q->next_avail)
		return 0;
	if ((uint16_t)(avail - q->next_avail) > q->size)
		return break_queue(q);
	head = load16(q->avail_p + AVAIL_RING + 2u * (q->next_avail & (q->size - 1u)));
	if (head >= q->size || is_busy(q, head))
		return break_queue(q);
	c->head = head;
	c->nread = c->nwrite = 0;
	c->read_len = c->write_len = 0;
	if (walk(q, c, head))
		return break_queue(q);
	q->busy[head / 64] |= 1ull << (head % 64);
	q->in_flight++;
	q->next_avail++;
	return 1;
}

int vq_pop(struct vq *q, struct vq_chain *c)
{
	return pop(q, c);
}

static int release(struct vq *q, uint16_t head)
{
	if (!q->running || head >= q->size || !is_busy(q, head))
		return -EPROTO;
	q->busy[head / 64] &= ~(1ull << (head % 64));
	q->in_flight--;
	return 0;
}

int vq_push(struct vq *q, uint16_t head, uint32_t written)
{
	uint8_t *slot;
	uint32_t id = head;

	if (release(q, head))
		return -EPROTO;
	slot = q->used_p + USED_RING + 8u * (q->next_used & (q->size - 1u));
	memcpy(slot, &id, 4);
	memcpy(slot + 4, &written, 4);
	q->next_used++;
	__atomic_store_n((uint16_t *)(void *)(q->used_p + USED_IDX), q->next_used, __ATOMIC_RELEASE);
	return 0;
}

void vq_unpop(struct vq *q, uint16_t head)
{
	if (release(q, head) == 0)
		q->next_avail--;
}

bool vq_wants_interrupt(struct vq *q)
{
	uint16_t event, pushed, before = q->signalled_used;
	bool valid = q->signalled_valid;

	if (!q->running)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(load16(q->avail_p) & AVAIL_NO_INTERRUPT);
	q->signalled_used = q->next_used;
	q->signalled_valid = true;
	event = load16(q->avail_p + AVAIL_RING + 2u * q->size);
	/* Has the index passed `event` since the last look (2.7.7.2)? All modulo 2^16. */
	pushed = (uint16_t)(q->next_used - before);
	return !valid || (uint16_t)(q->next_used - event - 1) < pushed;
}

bool vq_enable_kick(struct vq *q)
{
	if (!q->running || is_broken(q))
		return false;
	if (q->event_idx)
		store16(q->used_p + USED_RING + 8u * q->size, q->next_avail);
	else
		store16(q->used_p, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load16(q->avail_p + AVAIL_IDX) != q->next_avail;
}

void vq_disable_kick(struct vq *q)
{
	if (!q->running)
		return;
	/* With EVENT_IDX nothing is to do: the event lies behind, so no kick comes until it is set again. */
	if (!q->event_idx)
		store16(q->used_p, USED_NO_NOTIFY);
}

int vq_take(struct vq *q, struct vq_chain *c)
{
	int ret;

	do {
		vq_disable_kick(q);
		ret = pop(q, c);
	} while (ret == 0 && vq_enable_kick(q));
	return ret;
}

/* Copies between buf and the elements iov[0..n), skipping off bytes. */
static size_t copy(const struct iovec *iov, unsigned int n, size_t off, uint8_t *buf, size_t len, bool to_guest)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len;
		uint8_t *p = iov[i].iov_base;

		if (off >= part) {
			off -= part;
			continue;
		}
		p += off;
		part -= off;
		off = 0;
		if (part > len - done)
			part = len - done;
		if (to_guest)
			memcpy(p, buf + done, part);
		else
			memcpy(buf + done, p, part);
		done += part;
	}
	return done;
}

size_t chain_read(const struct vq_chain *c, size_t off, void *buf, size_t len)
{
	return copy(c->iov, c->nread, off, buf, len, false);
}

size_t chain_write(const struct vq_chain *c, size_t off, const void *buf, size_t len)
{
	return copy(c->iov + c->nread, c->nwrite, off, (uint8_t *)(uintptr_t)buf, len, true);
}
