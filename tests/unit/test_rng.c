/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include "tests/unit/runner.h"
#include "tests/unit/vring.h"
#include "vmm/rng.h"

static struct guest g;

static bool start(void)
{
	struct virtio_dev *d;

	if (guest_init(&g))
		return false;
	loop = loop_create();
	d = rng_create(&g.mem, loop);
	if (!d || guest_attach(&g, d) || guest_start(&g, 1ull << VIRTIO_F_EVENT_IDX, 8) != 15)
		return false;
	return runner_start();
}

static void stop(void)
{
	struct virtio_dev *d = g.dev;

	runner_stop();
	guest_free(&g);
	rng_destroy(d);
	loop_free(loop);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n--)
		if (*p++)
			return false;
	return true;
}

TEST(buffers_are_filled_with_random_bytes)
{
	uint64_t at[2] = { 0x100000, 0x110000 };
	uint32_t len[2] = { 16, 48 };

	REQUIRE(start());
	guest_add(&g, 0, at, len, 0, 2);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), 64);
	CHECK(!all_zero(guest_ptr(&g, at[0]), 16));
	CHECK(!all_zero(guest_ptr(&g, at[1]), 48));
	CHECK(all_zero(guest_ptr(&g, at[1] + 48), 1000));
	CHECK(guest_interrupted(&g, 2000));
	stop();
}

TEST(one_request_gets_a_bounded_number_of_bytes)
{
	uint64_t at[2] = { 0x100000, 0x200000 };
	uint32_t len[2] = { 50000, 0x100000 };

	REQUIRE(start());
	guest_add(&g, 0, at, len, 0, 2);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), RNG_REQUEST_MAX);
	CHECK(all_zero(guest_ptr(&g, at[1] + RNG_REQUEST_MAX - 50000), 4096));
	stop();
}

TEST(a_request_without_room_is_given_back_empty)
{
	REQUIRE(start());
	guest_add_one(&g, 0, 0x100000, 64, false);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), 0);
	CHECK(all_zero(guest_ptr(&g, 0x100000), 64));
	stop();
}

TEST(many_requests_are_all_served)
{
	REQUIRE(start());
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 8; i++)
			guest_add_one(&g, 0, 0x100000, 64, true);
		guest_kick(&g, 0);
		for (int i = 0; i < 8; i++)
			REQUIRE(guest_used(&g, 0, NULL, 2000) == 64);
	}
	stop();
}

TEST(a_broken_queue_stops_the_device_until_it_is_reset)
{
	REQUIRE(start());
	guest_add_one(&g, 0, GUEST_RAM - 4, 8, true);
	guest_kick(&g, 0);
	for (int i = 0; i < 2000 && !(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET); i++)
		usleep(1000);
	CHECK(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET);
	REQUIRE(guest_start(&g, 0, 8) == 15);
	guest_add_one(&g, 0, 0x100000, 8, true);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), 8);
	stop();
}
