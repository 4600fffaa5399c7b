/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "vmm/queue.h"

#define RAM (4ull << 20)
#define SIZE 16u
#define DESC 0x1000ull
#define AVAIL 0x2000ull
#define USED 0x3000ull
#define TABLE 0x4000ull /* indirect tables */
#define DATA 0x100000ull

#define F_NEXT 1
#define F_WRITE 2
#define F_INDIRECT 4

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static struct gmem mem;
static struct vq q;
static struct vq_chain chain;
static struct desc *desc;
static uint16_t *avail, *used;

static void *at(uint64_t gpa)
{
	return mem.region[0].host + gpa;
}

static int start(bool event_idx)
{
	if (!mem.nregions && gmem_alloc(&mem, RAM))
		return -1;
	vq_reset(&q);
	memset(at(0), 0, DATA);
	desc = at(DESC);
	avail = at(AVAIL);
	used = at(USED);
	q.size = q.size_max = SIZE;
	q.desc = DESC;
	q.driver = AVAIL;
	q.device = USED;
	return vq_start(&q, &mem, event_idx);
}

static void publish(uint16_t head)
{
	avail[2 + avail[1] % SIZE] = head;
	avail[1]++;
}

TEST(a_chain_is_taken_and_given_back)
{
	char buf[32] = "";

	REQUIRE(start(false) == 0);
	CHECK_EQ(vq_pop(&q, &chain), 0);
	memcpy(at(DATA), "hello ", 6);
	memcpy(at(DATA + 100), "world", 5);
	desc[3] = (struct desc){ DATA, 6, F_NEXT, 7 };
	desc[7] = (struct desc){ DATA + 100, 5, F_NEXT, 1 };
	desc[1] = (struct desc){ DATA + 200, 8, F_WRITE, 0 };
	publish(3);
	REQUIRE(vq_pop(&q, &chain) == 1);
	CHECK_EQ(chain.head, 3);
	CHECK_EQ(chain.nread, 2);
	CHECK_EQ(chain.nwrite, 1);
	CHECK_EQ(chain.read_len, 11);
	CHECK_EQ(chain.write_len, 8);
	CHECK_EQ(chain_read(&chain, 0, buf, sizeof(buf)), 11);
	CHECK_STR(buf, "hello world");
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(chain_read(&chain, 5, buf, 3), 3);
	CHECK_STR(buf, " wo");
	CHECK_EQ(chain_read(&chain, 11, buf, 3), 0);
	CHECK_EQ(chain_read(&chain, SIZE_MAX, buf, 3), 0);
	CHECK_EQ(chain_write(&chain, 2, "abcdefghij", 10), 6);
	CHECK_MEM(at(DATA + 202), "abcdef", 6);
	CHECK_EQ(used[1], 0);
	CHECK_EQ(vq_push(&q, 3, 6), 0);
	CHECK_EQ(used[1], 1);
	CHECK_EQ(used[2], 3);
	CHECK_EQ(used[4], 6);
	CHECK_EQ(vq_pop(&q, &chain), 0);
}

TEST(a_chain_may_end_in_one_indirect_table)
{
	struct desc *t = at(TABLE + 4); /* no alignment is promised */

	REQUIRE(start(false) == 0);
	t = at(TABLE + 4);
	desc[0] = (struct desc){ DATA, 4, F_NEXT, 1 };
	desc[1] = (struct desc){ TABLE + 4, 3 * 16, F_INDIRECT | F_WRITE, 0 };
	memcpy(&t[0], &(struct desc){ DATA + 16, 4, F_NEXT, 2 }, 16);
	memcpy(&t[2], &(struct desc){ DATA + 32, 4, F_WRITE, 0 }, 16);
	publish(0);
	REQUIRE(vq_pop(&q, &chain) == 1);
	CHECK_EQ(chain.nread, 2);
	CHECK_EQ(chain.nwrite, 1);
}

/* Sets up one chain in slot 0.. by `set`, and expects the queue to break. */
#define BREAKS(...)                                    \
	do {                                           \
		REQUIRE(start(false) == 0);            \
		__VA_ARGS__;                           \
		publish(0);                            \
		CHECK_EQ(vq_pop(&q, &chain), -EPROTO); \
		CHECK(q.broken);                       \
		CHECK_EQ(vq_pop(&q, &chain), -EPROTO); \
	} while (0)

TEST(a_loop_of_descriptors_breaks_the_queue)
{
	BREAKS(desc[0] = (struct desc){ DATA, 4, F_NEXT, 0 });
	BREAKS(desc[0] = (struct desc){ DATA, 4, F_NEXT, 1 }; desc[1] = (struct desc){ DATA, 4, F_NEXT, 0 });
	/* also one of empty buffers, which add nothing to the chain */
	BREAKS(desc[0] = (struct desc){ DATA, 0, F_NEXT, 0 });
}

TEST(indexes_outside_the_table_break_the_queue)
{
	BREAKS(desc[0] = (struct desc){ DATA, 4, F_NEXT, SIZE });
	BREAKS(desc[0] = (struct desc){ DATA, 4, F_NEXT, UINT16_MAX });
	BREAKS(publish(SIZE));
	BREAKS(publish(UINT16_MAX));
}

TEST(buffers_outside_memory_break_the_queue)
{
	BREAKS(desc[0] = (struct desc){ RAM - 3, 4, 0, 0 });
	BREAKS(desc[0] = (struct desc){ RAM, 1, 0, 0 });
	BREAKS(desc[0] = (struct desc){ UINT64_MAX, 2, 0, 0 });
	BREAKS(desc[0] = (struct desc){ UINT64_MAX - 3, UINT32_MAX, F_WRITE, 0 });
	REQUIRE(start(false) == 0);
	desc[0] = (struct desc){ RAM - 4, 4, 0, 0 };
	publish(0);
	CHECK_EQ(vq_pop(&q, &chain), 1);
}

TEST(a_readable_buffer_after_a_writable_one_breaks_the_queue)
{
	BREAKS(desc[0] = (struct desc){ DATA, 4, F_NEXT | F_WRITE, 1 }; desc[1] = (struct desc){ DATA, 4, 0, 0 });
}

TEST(bad_indirect_tables_break_the_queue)
{
	struct desc *t;

	BREAKS(desc[0] = (struct desc){ TABLE, 0, F_INDIRECT, 0 });
	BREAKS(desc[0] = (struct desc){ TABLE, 15, F_INDIRECT, 0 });
	BREAKS(desc[0] = (struct desc){ TABLE, 17, F_INDIRECT, 0 });
	BREAKS(desc[0] = (struct desc){ TABLE, 16, F_INDIRECT | F_NEXT, 1 });
	BREAKS(desc[0] = (struct desc){ RAM - 8, 16, F_INDIRECT, 0 });
	BREAKS(desc[0] = (struct desc){ UINT64_MAX - 7, 16, F_INDIRECT, 0 });
	/* a table in a table; a loop in it; an index outside it */
	BREAKS(t = at(TABLE); desc[0] = (struct desc){ TABLE, 16, F_INDIRECT, 0 };
	       t[0] = (struct desc){ TABLE, 16, F_INDIRECT, 0 });
	BREAKS(t = at(TABLE); desc[0] = (struct desc){ TABLE, 32, F_INDIRECT, 0 };
	       t[0] = (struct desc){ DATA, 1, F_NEXT, 0 });
	BREAKS(t = at(TABLE); desc[0] = (struct desc){ TABLE, 32, F_INDIRECT, 0 };
	       t[0] = (struct desc){ DATA, 1, F_NEXT, 2 });
}

TEST(a_chain_longer_than_the_queue_breaks_it)
{
	struct desc *t;

	REQUIRE(start(false) == 0);
	t = at(TABLE);
	for (uint16_t i = 0; i < SIZE; i++)
		t[i] = (struct desc){ DATA, 1, i + 1u < SIZE ? F_NEXT : 0, (uint16_t)(i + 1) };
	desc[0] = (struct desc){ TABLE, SIZE * 16, F_INDIRECT, 0 };
	publish(0);
	CHECK_EQ(vq_pop(&q, &chain), 1);
	CHECK_EQ(chain.nread, SIZE);

	BREAKS({
		t = at(TABLE);
		for (uint16_t i = 0; i <= SIZE; i++)
			t[i] = (struct desc){ DATA, 1, i < SIZE ? F_NEXT : 0, (uint16_t)(i + 1) };
		desc[0] = (struct desc){ TABLE, (SIZE + 1) * 16, F_INDIRECT, 0 };
	});
}

TEST(the_sum_of_bytes_stays_below_4_gib)
{
	/* The memory is never touched: a region of 8 GiB that is only reserved. */
	struct gmem big;
	static struct vq b;
	struct desc *d;
	uint16_t *a;

	REQUIRE(gmem_alloc(&big, 8ull << 30) == 0);
	b.size = b.size_max = SIZE;
	b.desc = DESC;
	b.driver = AVAIL;
	b.device = USED;
	REQUIRE(vq_start(&b, &big, false) == 0);
	d = (void *)(big.region[0].host + DESC);
	a = (void *)(big.region[0].host + AVAIL);
	d[0] = (struct desc){ 0, 0x80000000, F_NEXT, 1 };
	d[1] = (struct desc){ 0x100000000, 0x7fffffff, F_WRITE, 0 };
	a[1] = 1;
	CHECK_EQ(vq_pop(&b, &chain), 1);
	d[2] = (struct desc){ 0, 0x80000000, F_NEXT, 3 };
	d[3] = (struct desc){ 0x100000000, 0x80000000, F_WRITE, 0 };
	a[3] = 2;
	a[1] = 2;
	CHECK_EQ(vq_pop(&b, &chain), -EPROTO);
	gmem_free(&big);
}

TEST(a_head_that_is_in_flight_is_not_given_out_again)
{
	BREAKS(desc[0] = (struct desc){ DATA, 4, 0, 0 }; publish(0); CHECK_EQ(vq_pop(&q, &chain), 1));
	REQUIRE(start(false) == 0);
	desc[0] = (struct desc){ DATA, 4, 0, 0 };
	publish(0);
	CHECK_EQ(vq_pop(&q, &chain), 1);
	CHECK_EQ(vq_push(&q, 0, 0), 0);
	publish(0);
	CHECK_EQ(vq_pop(&q, &chain), 1);
}

static atomic_bool flipping;

/* A guest that changes descriptors all the time: good values and bad ones, half of one and half of the other. */
static void *flip(void *arg)
{
	static const struct desc value[] = {
		{ DATA, 64, 0, 0 },	 { RAM - 8, 64, 0, 0 },	       { UINT64_MAX - 3, UINT32_MAX, F_NEXT, 1 },
		{ DATA, 16, F_NEXT, 1 }, { TABLE, 32, F_INDIRECT, 0 }, { DATA, 64, F_WRITE, UINT16_MAX },
	};
	volatile struct desc *d = arg;
	unsigned int i = 0;

	while (atomic_load_explicit(&flipping, memory_order_relaxed)) {
		const struct desc *v = &value[i++ % (sizeof(value) / sizeof(value[0]))];

		d->addr = v->addr;
		d->len = v->len;
		d->flags = v->flags;
		d->next = v->next;
		d[1].addr = v->addr;
	}
	return NULL;
}

TEST(descriptors_that_change_while_they_are_read_never_lead_outside)
{
	const uint8_t *ram;
	unsigned int taken = 0, outside = 0;
	pthread_t thread;

	REQUIRE(start(false) == 0);
	ram = mem.region[0].host;
	atomic_store(&flipping, true);
	REQUIRE(pthread_create(&thread, NULL, flip, desc) == 0);
	for (int i = 0; i < 200000; i++) {
		if (avail[1] == q.next_avail)
			publish(0);
		if (vq_pop(&q, &chain) != 1) { /* what was read was bad: the queue is broken, as it should be */
			vq_reset(&q);
			q.size = q.size_max = SIZE;
			q.desc = DESC;
			q.driver = AVAIL;
			q.device = USED;
			avail[1] = used[1] = 0;
			REQUIRE(vq_start(&q, &mem, false) == 0);
			continue;
		}
		taken++;
		for (unsigned int k = 0; k < (unsigned int)chain.nread + chain.nwrite; k++) {
			uint64_t off = (uint64_t)((const uint8_t *)chain.iov[k].iov_base - ram);

			outside += off >= RAM || chain.iov[k].iov_len > RAM - off;
		}
		CHECK_EQ(vq_push(&q, chain.head, 0), 0);
	}
	atomic_store(&flipping, false);
	pthread_join(thread, NULL);
	CHECK(taken > 0);
	CHECK_EQ(outside, 0);
}

TEST(only_heads_in_flight_can_be_pushed)
{
	REQUIRE(start(false) == 0);
	CHECK_EQ(vq_push(&q, 0, 0), -EPROTO);
	CHECK_EQ(vq_push(&q, SIZE, 0), -EPROTO);
	CHECK_EQ(vq_push(&q, UINT16_MAX, 0), -EPROTO);
	CHECK_EQ(used[1], 0);
}

TEST(more_available_chains_than_the_queue_holds_break_it)
{
	BREAKS(avail[1] = SIZE);
	BREAKS(avail[1] = UINT16_MAX - 1);
}

TEST(unpop_gives_the_same_chain_again)
{
	REQUIRE(start(false) == 0);
	desc[5] = (struct desc){ DATA, 4, 0, 0 };
	publish(5);
	REQUIRE(vq_pop(&q, &chain) == 1);
	vq_unpop(&q, 5);
	CHECK_EQ(q.in_flight, 0);
	REQUIRE(vq_pop(&q, &chain) == 1);
	CHECK_EQ(chain.head, 5);
}

TEST(queues_with_bad_addresses_or_sizes_do_not_start)
{
	struct {
		uint64_t desc, driver, device;
		uint16_t size;
	} bad[] = {
		{ DESC, AVAIL, USED, 0 },
		{ DESC, AVAIL, USED, 3 },
		{ DESC, AVAIL, USED, 2 * SIZE },
		{ DESC + 8, AVAIL, USED, SIZE },
		{ DESC, AVAIL + 1, USED, SIZE },
		{ DESC, AVAIL, USED + 2, SIZE },
		{ RAM - 16, AVAIL, USED, SIZE },
		{ DESC, RAM - 2, USED, SIZE },
		{ DESC, AVAIL, RAM - 4, SIZE },
		{ UINT64_MAX - 15, AVAIL, USED, SIZE },
		{ DESC, UINT64_MAX - 1, USED, SIZE },
		{ DESC, AVAIL, UINT64_MAX - 3, SIZE },
		/* the event field at the end counts, too */
		{ DESC, RAM - 4 - 2 * SIZE, USED, SIZE },
		{ DESC, AVAIL, RAM - 4 - 8 * SIZE, SIZE },
	};

	REQUIRE(start(false) == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vq_reset(&q);
		q.size = bad[i].size;
		q.desc = bad[i].desc;
		q.driver = bad[i].driver;
		q.device = bad[i].device;
		CHECK_EQ(vq_start(&q, &mem, true), -EINVAL);
		CHECK(!q.running);
		CHECK_EQ(vq_pop(&q, &chain), 0);
	}
	/* exactly at the end of memory it does */
	vq_reset(&q);
	q.size = SIZE;
	q.desc = RAM - 16 * SIZE;
	q.driver = RAM - 6 - 2 * SIZE;
	q.device = (RAM - 6 - 8 * SIZE) & ~3ull;
	CHECK_EQ(vq_start(&q, &mem, true), 0);
}

TEST(interrupts_without_event_idx_follow_the_flag)
{
	REQUIRE(start(false) == 0);
	CHECK(vq_wants_interrupt(&q));
	avail[0] = 1;
	CHECK(!vq_wants_interrupt(&q));
}

/* The reference of 2.7.7.2: between old (exclusive) and new (inclusive) lies event + 1. */
static bool crossed(uint16_t event, uint16_t old, uint16_t new)
{
	for (uint16_t i = old; i != new; i++)
		if (i == event)
			return true;
	return false;
}

TEST(interrupts_with_event_idx_come_when_the_event_is_passed)
{
	uint16_t edge[] = { 0, 1, 2, 15, 16, 0x7fff, 0x8000, 0xfff0, 0xfffe, 0xffff };
	int wrong = 0;

	REQUIRE(start(true) == 0);
	for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++)
		for (uint16_t pushed = 0; pushed <= SIZE; pushed++)
			for (int d = -20; d <= 20; d++) {
				uint16_t event = (uint16_t)(edge[i] + d);

				q.signalled_valid = true;
				q.signalled_used = edge[i];
				q.next_used = (uint16_t)(edge[i] + pushed);
				avail[2 + SIZE] = event;
				wrong += vq_wants_interrupt(&q) != crossed(event, edge[i], q.next_used);
				CHECK_EQ(q.signalled_used, q.next_used);
			}
	CHECK_EQ(wrong, 0);
	q.signalled_valid = false;
	CHECK(vq_wants_interrupt(&q)); /* the first time nothing is known */
}

TEST(enabling_kicks_tells_of_chains_that_came_meanwhile)
{
	for (int event_idx = 0; event_idx <= 1; event_idx++) {
		REQUIRE(start(event_idx) == 0);
		vq_disable_kick(&q);
		if (!event_idx)
			CHECK_EQ(used[0], 1);
		CHECK(!vq_enable_kick(&q));
		CHECK_EQ(used[0], 0);
		desc[0] = (struct desc){ DATA, 4, 0, 0 };
		publish(0);
		CHECK(vq_enable_kick(&q));
		CHECK_EQ(vq_pop(&q, &chain), 1);
		CHECK(!vq_enable_kick(&q));
		if (event_idx)
			CHECK_EQ(*(uint16_t *)at(USED + 4 + 8 * SIZE), 1);
	}
}

/* What it returns after the last chain is what a device sleeps on: the driver has to see that it is to kick. */
TEST(taking_refuses_kicks_while_there_are_chains_and_asks_for_them_after_the_last)
{
	for (int event_idx = 0; event_idx <= 1; event_idx++) {
		uint16_t *event;

		REQUIRE(start(event_idx) == 0);
		event = at(USED + 4 + 8 * SIZE);
		desc[0] = (struct desc){ DATA, 4, 0, 0 };
		desc[1] = (struct desc){ DATA, 4, 0, 0 };
		publish(0);
		publish(1);
		CHECK_EQ(vq_take(&q, &chain), 1);
		CHECK_EQ(vq_take(&q, &chain), 1);
		CHECK_EQ(chain.head, 1);
		CHECK_EQ(used[0], !event_idx);
		CHECK_EQ(*event, 0);
		CHECK_EQ(vq_take(&q, &chain), 0);
		CHECK_EQ(used[0], 0);
		CHECK_EQ(*event, event_idx ? 2 : 0);
		vq_break(&q);
		CHECK_EQ(vq_take(&q, &chain), -EPROTO);
	}
}

TEST(a_broken_queue_gives_nothing_until_reset)
{
	REQUIRE(start(false) == 0);
	desc[0] = (struct desc){ DATA, 4, 0, 0 };
	publish(0);
	vq_break(&q);
	CHECK_EQ(vq_pop(&q, &chain), -EPROTO);
	CHECK(!vq_enable_kick(&q));
	REQUIRE(start(false) == 0);
	CHECK_EQ(vq_pop(&q, &chain), 0);
}

/*
 * The model: a driver that makes random correct chains, direct and indirect, any number in flight, the device giving
 * them back in random order with random lengths; the expected elements are kept aside. Indexes wrap many times.
 */
struct expected {
	unsigned int nread, nwrite;
	uint64_t gpa[SIZE];
	uint32_t len[SIZE];
};

TEST(random_traffic_agrees_with_the_model)
{
	static struct expected model[SIZE];
	bool taken[SIZE] = { false }, in_use[SIZE] = { false };
	uint16_t order[SIZE], seen_used = 0;
	unsigned int norder = 0, popped = 0;
	uint32_t given[SIZE];

	srandom(42);
	REQUIRE(start(true) == 0);
	for (int round = 0; round < 600000; round++) {
		int what = (int)(random() % 3);

		if (what == 0) { /* driver: a chain with indirect elements; the head is any free descriptor */
			uint16_t head = (uint16_t)(random() % SIZE);
			unsigned int n = 1 + (unsigned int)random() % SIZE, nr = (unsigned int)random() % (n + 1);
			struct desc *t = at(TABLE + head * 0x400ull);

			if (in_use[head])
				continue;
			in_use[head] = true;
			model[head] = (struct expected){ .nread = nr, .nwrite = n - nr };
			for (unsigned int i = 0; i < n; i++) {
				uint64_t gpa = DATA + (uint64_t)random() % 0x100000;
				uint32_t len = 1 + (uint32_t)random() % 5000;

				model[head].gpa[i] = gpa;
				model[head].len[i] = len;
				t[i] = (struct desc){ gpa, len,
						      (uint16_t)((i + 1 < n ? F_NEXT : 0) | (i >= nr ? F_WRITE : 0)),
						      (uint16_t)(i + 1) };
			}
			if (n == 1)
				desc[head] = t[0];
			else
				desc[head] = (struct desc){ TABLE + head * 0x400ull, n * 16, F_INDIRECT, 0 };
			publish(head);
			order[norder++ % SIZE] = head;
		} else if (what == 1) { /* device: take the next */
			int ret = vq_pop(&q, &chain);
			const struct expected *e;
			uint16_t want;

			if (popped == norder) {
				REQUIRE(ret == 0);
				continue;
			}
			REQUIRE(ret == 1);
			want = order[popped++ % SIZE];
			e = &model[want];
			REQUIRE(chain.head == want && chain.nread == e->nread && chain.nwrite == e->nwrite);
			for (unsigned int i = 0; i < e->nread + e->nwrite; i++)
				REQUIRE(chain.iov[i].iov_base == at(e->gpa[i]) && chain.iov[i].iov_len == e->len[i]);
			taken[want] = true;
		} else { /* device: give one back; driver: see it */
			uint16_t head = (uint16_t)(random() % SIZE);
			uint32_t *e;

			if (!taken[head])
				continue;
			given[head] = (uint32_t)random();
			REQUIRE(vq_push(&q, head, given[head]) == 0);
			e = (uint32_t *)(void *)((uint8_t *)used + 4) + 2 * (seen_used++ % SIZE);
			REQUIRE(used[1] == seen_used && e[0] == head && e[1] == given[head]);
			taken[head] = in_use[head] = false;
		}
	}
	CHECK(popped > 70000);
}
