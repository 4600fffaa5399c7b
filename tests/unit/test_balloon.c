/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include "tests/unit/runner.h"
#include "tests/unit/vring.h"
#include "vmm/balloon.h"

#define F_STATS 2ull
#define F_REPORTING 32ull
#define LIST 0x100000ull /* page numbers to inflate */
#define PAGES 0x200000ull

static struct guest g;

static bool start(uint64_t features)
{
	struct virtio_dev *d;

	if (guest_init(&g))
		return false;
	loop = loop_create();
	d = balloon_create(&g.mem, loop);
	if (!d || guest_attach(&g, d) || guest_start(&g, features, 16) != 15)
		return false;
	return runner_start();
}

static void stop(void)
{
	struct virtio_dev *d = g.dev;

	runner_stop();
	guest_free(&g);
	balloon_destroy(d);
	loop_free(loop);
}

/* Pages [0, n) at PAGES get a mark. */
static void mark(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		*(uint8_t *)guest_ptr(&g, PAGES + i * 4096ull) = 0x77;
}

static bool marked(unsigned int i)
{
	return *(uint8_t *)guest_ptr(&g, PAGES + i * 4096ull) == 0x77;
}

static void inflate(const uint32_t *pfn, unsigned int n)
{
	memcpy(guest_ptr(&g, LIST), pfn, n * 4);
	guest_add_one(&g, 0, LIST, n * 4, false);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), 0);
}

TEST(exactly_the_pages_that_are_named_go_back)
{
	uint32_t base = PAGES >> 12;
	/* up, alone, down, twice */
	uint32_t pfn[] = { base + 1, base + 2, base + 3, base + 7, base + 12, base + 11, base + 10, base + 7 };
	bool gone[16] = { [1] = true, [2] = true, [3] = true, [7] = true, [10] = true, [11] = true, [12] = true };

	REQUIRE(start(0));
	mark(16);
	inflate(pfn, 8);
	for (unsigned int i = 0; i < 16; i++)
		CHECK_EQ(marked(i), !gone[i]);
	stop();
}

TEST(pages_that_are_no_ram_are_left_alone)
{
	uint32_t end = GUEST_RAM >> 12;
	uint32_t pfn[] = { end, end + 1, 0xd0000, 0xfffff, 0x100000, UINT32_MAX, UINT32_MAX - 1, 0 };

	REQUIRE(start(0));
	mark(4);
	inflate(pfn, 7);
	CHECK(marked(0) && marked(3));
	/* a run that begins in RAM and ends outside is refused as a whole */
	inflate((const uint32_t[]){ end - 1, end, end + 1 }, 3);
	CHECK_EQ(guest_read(&g, 0x070), 15);
	stop();
}

TEST(long_lists_are_read_to_their_end)
{
	static uint32_t pfn[1000];

	REQUIRE(start(0));
	mark(512);
	for (unsigned int i = 0; i < 1000; i++)
		pfn[i] = (uint32_t)(PAGES >> 12) + i % 511;
	inflate(pfn, 1000);
	for (unsigned int i = 0; i < 511; i++)
		CHECK(!marked(i));
	CHECK(marked(511));
	stop();
}

TEST(deflated_pages_are_just_acknowledged)
{
	REQUIRE(start(0));
	mark(1);
	guest_add_one(&g, 1, LIST, 4, false);
	guest_kick(&g, 1);
	CHECK_EQ(guest_used(&g, 1, NULL, 2000), 0);
	CHECK(marked(0));
	stop();
}

TEST(free_pages_that_are_reported_go_back)
{
	uint64_t at[3] = { PAGES, PAGES + 8 * 4096, PAGES + 12 * 4096 + 100 };
	uint32_t len[3] = { 4 * 4096, 4096, 4096 };
	struct balloon_stats st;

	REQUIRE(start(F_STATS | F_REPORTING));
	mark(16);
	guest_add(&g, 3, at, len, 0, 3);
	guest_kick(&g, 3);
	CHECK(guest_used(&g, 3, NULL, 2000) >= 0);
	for (unsigned int i = 0; i < 16; i++)
		CHECK_EQ(marked(i), !(i < 4 || i == 8)); /* parts of pages stay */
	balloon_stats(g.dev, &st);
	CHECK_EQ(st.reported_bytes, 5 * 4096);
	stop();
}

TEST(queues_are_numbered_by_what_was_negotiated)
{
	REQUIRE(start(F_REPORTING)); /* no statistics: reporting is queue 2 */
	mark(4);
	guest_add_one(&g, 2, PAGES, 2 * 4096, true);
	guest_kick(&g, 2);
	CHECK(guest_used(&g, 2, NULL, 2000) >= 0);
	CHECK(!marked(0) && !marked(1) && marked(2));
	stop();
}

TEST(statistics_are_kept_and_asked_for_again)
{
	uint8_t s[20] = { 4, 0 };
	uint64_t v = 123456;
	struct balloon_stats st;

	REQUIRE(start(F_STATS));
	memcpy(s + 2, &v, 8);
	s[10] = 99; /* a tag that nobody knows */
	memcpy(guest_ptr(&g, LIST), s, sizeof(s));
	guest_add_one(&g, 2, LIST, sizeof(s), false);
	guest_kick(&g, 2);
	CHECK_EQ(guest_used(&g, 2, NULL, 50), -1); /* held until somebody asks */
	balloon_stats(g.dev, &st);
	CHECK_EQ(st.guest_free_bytes, 123456);
	CHECK_EQ(guest_used(&g, 2, NULL, 2000), 0);
	balloon_stats(g.dev, &st);
	CHECK_EQ(guest_used(&g, 2, NULL, 50), -1);
	stop();
}

TEST(the_target_is_shown_and_capped_and_the_answer_is_bounded)
{
	struct balloon_stats st;

	REQUIRE(start(0));
	balloon_set_target(g.dev, 1u << 20);
	CHECK_EQ(guest_read(&g, 0x100), 256);
	CHECK(guest_read(&g, 0x060) & VIRTIO_ISR_CONFIG);
	balloon_set_target(g.dev, UINT64_MAX);
	CHECK_EQ(guest_read(&g, 0x100), GUEST_RAM >> 12);
	guest_write(&g, 0x104, UINT32_MAX);
	balloon_stats(g.dev, &st);
	CHECK_EQ(st.balloon_bytes, GUEST_RAM);
	guest_write(&g, 0x100, 5); /* the target is ours */
	CHECK_EQ(guest_read(&g, 0x100), GUEST_RAM >> 12);
	stop();
}
