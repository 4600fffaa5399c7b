/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include "tests/unit/vring.h"

#define FEATURES (1ull << 5 | 1ull << 40)

static struct {
	struct virtio_dev dev;
	int activated, resets, writes;
	uint32_t value; /* of the configuration space, and write-back */
	int activate_result;
} t;

static void config_read(struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
	(void)d;
	uint32_t c[2] = { t.value, 0x11223344 };

	memcpy(buf, (uint8_t *)c + off, len);
}

static void config_write(struct virtio_dev *d, uint32_t off, const void *buf, uint32_t len)
{
	(void)d;
	t.writes++;
	memcpy((uint8_t *)&t.value + off % 4, buf, len > 4 - off % 4 ? 4 - off % 4 : len);
}

static int activate(struct virtio_dev *d)
{
	(void)d;
	t.activated++;
	return t.activate_result;
}

static void reset(struct virtio_dev *d)
{
	(void)d;
	t.resets++;
}

static const struct virtio_ops ops = {
	.name = "test",
	.id = 42,
	.features = FEATURES,
	.nqueues = 2,
	.queue_max = 64,
	.config_len = 8,
	.config_read = config_read,
	.config_write = config_write,
	.activate = activate,
	.reset = reset,
};

static struct guest g;

static int attach(void)
{
	memset(&t, 0, sizeof(t));
	t.dev.ops = &ops;
	t.dev.nqueues = 2;
	t.value = 7;
	return guest_init(&g) || guest_attach(&g, &t.dev);
}

TEST(an_empty_slot_is_a_placeholder)
{
	REQUIRE(guest_init(&g) == 0);
	CHECK_EQ(guest_read(&g, 0x000), 0x74726976);
	CHECK_EQ(guest_read(&g, 0x004), 2);
	CHECK_EQ(guest_read(&g, 0x008), 0);
	for (uint32_t off = 0; off < 0x1000; off += 4)
		guest_write(&g, off, 0xffffffff); /* nobody minds */
	CHECK_EQ(guest_read(&g, 0x008), 0);
	CHECK_EQ(guest_read(&g, 0x070), 0);
	guest_free(&g);
}

TEST(a_device_shows_itself)
{
	REQUIRE(attach() == 0);
	CHECK_EQ(guest_read(&g, 0x008), 42);
	guest_write(&g, 0x014, 0);
	CHECK_EQ(guest_read(&g, 0x010), 1u << 5 | 1u << VIRTIO_F_EVENT_IDX | 1u << VIRTIO_F_INDIRECT_DESC);
	guest_write(&g, 0x014, 1);
	CHECK_EQ(guest_read(&g, 0x010), 1u << 8 | 1u);
	guest_write(&g, 0x014, 2);
	CHECK_EQ(guest_read(&g, 0x010), 0);
	guest_write(&g, 0x014, UINT32_MAX);
	CHECK_EQ(guest_read(&g, 0x010), 0);
	CHECK_EQ(guest_read(&g, 0x034), 64);
	guest_write(&g, 0x030, 2);
	CHECK_EQ(guest_read(&g, 0x034), 0);
	guest_write(&g, 0x030, UINT32_MAX);
	CHECK_EQ(guest_read(&g, 0x034), 0);
	CHECK_EQ(guest_read(&g, 0x0b0), UINT32_MAX);
	CHECK_EQ(guest_read(&g, 0x0b4), UINT32_MAX);
	CHECK_EQ(guest_read(&g, 0x100), 7);
	CHECK_EQ(guest_read(&g, 0x104), 0x11223344);
	guest_free(&g);
	CHECK_EQ(t.resets, 1); /* the end is a reset */
}

TEST(a_correct_driver_starts_the_device)
{
	REQUIRE(attach() == 0);
	CHECK_EQ(guest_start(&g, 1ull << 5 | 1ull << VIRTIO_F_EVENT_IDX, 0), 15);
	CHECK_EQ(t.activated, 1);
	CHECK(t.dev.vq[0].running && t.dev.vq[1].running && t.dev.vq[0].event_idx);
	CHECK_EQ(t.dev.driver_features, 1ull << 5 | 1ull << VIRTIO_F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1);
	guest_write(&g, 0x070, 0);
	CHECK_EQ(guest_read(&g, 0x070), 0);
	CHECK(!t.dev.vq[0].running);
	CHECK_EQ(guest_read(&g, 0x044), 0);
	CHECK_EQ(guest_start(&g, 0, 8), 15);
	CHECK_EQ(t.activated, 2);
	CHECK_EQ(t.dev.vq[0].size, 8);
	CHECK(!t.dev.vq[0].event_idx);
	guest_free(&g);
}

TEST(features_that_were_not_offered_are_refused)
{
	REQUIRE(attach() == 0);
	CHECK_EQ(guest_start(&g, 1ull << 6, 0) & (VIRTIO_S_FEATURES_OK | VIRTIO_S_DRIVER_OK), 0);
	CHECK_EQ(t.activated, 0);
	guest_free(&g);
}

TEST(a_driver_without_version_1_is_refused)
{
	REQUIRE(attach() == 0);
	guest_write(&g, 0x070, 3);
	guest_write(&g, 0x070, 11);
	CHECK_EQ(guest_read(&g, 0x070), 3);
	guest_write(&g, 0x070, 15);
	CHECK_EQ(guest_read(&g, 0x070), 3);
	CHECK_EQ(t.activated, 0);
	guest_free(&g);
}

TEST(nothing_changes_after_driver_ok)
{
	struct vq before;

	REQUIRE(attach() == 0);
	REQUIRE(guest_start(&g, 0, 16) == 15);
	before = t.dev.vq[1];
	guest_write(&g, 0x030, 1);
	for (uint32_t off = 0x038; off <= 0x0a4; off += 4)
		if (off != 0x050 && off != 0x070)
			guest_write(&g, off, 0x7fff0000);
	guest_write(&g, 0x024, 0);
	guest_write(&g, 0x020, 1u << 5);
	guest_write(&g, 0x070, 15);
	CHECK_MEM(&t.dev.vq[1], &before, sizeof(before));
	CHECK_EQ(t.dev.driver_features, 1ull << VIRTIO_F_VERSION_1);
	CHECK_EQ(t.activated, 1);
	guest_write(&g, 0x044, 0);
	CHECK(t.dev.vq[1].running);
	guest_free(&g);
}

TEST(status_bits_are_only_added)
{
	REQUIRE(attach() == 0);
	guest_write(&g, 0x070, 3);
	guest_write(&g, 0x070, 1);
	CHECK_EQ(guest_read(&g, 0x070), 3);
	guest_write(&g, 0x070, 3 | VIRTIO_S_NEEDS_RESET | 0xffffff00);
	CHECK_EQ(guest_read(&g, 0x070), 3);
	guest_write(&g, 0x070, VIRTIO_S_FAILED);
	CHECK_EQ(guest_read(&g, 0x070), 3 | VIRTIO_S_FAILED);
	guest_free(&g);
}

TEST(queues_outside_memory_fault_the_device_only)
{
	REQUIRE(attach() == 0);
	guest_start(&g, 0, 16);
	guest_write(&g, 0x070, 0);
	guest_write(&g, 0x070, 3);
	guest_write(&g, 0x024, 1);
	guest_write(&g, 0x020, 1);
	guest_write(&g, 0x070, 11);
	guest_queue_setup(&g, 0, 16);
	guest_write(&g, 0x084, 0xffffffff);
	guest_write(&g, 0x070, 15);
	CHECK(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET);
	CHECK(guest_read(&g, 0x060) & VIRTIO_ISR_CONFIG);
	CHECK_EQ(t.activated, 1);
	CHECK_EQ(guest_start(&g, 0, 16), 15);
	CHECK_EQ(t.activated, 2);
	guest_free(&g);
}

TEST(a_device_that_cannot_start_asks_for_a_reset)
{
	REQUIRE(attach() == 0);
	t.activate_result = -ENOMEM;
	CHECK(guest_start(&g, 0, 0) & VIRTIO_S_NEEDS_RESET);
	guest_free(&g);
}

TEST(wrong_queue_sizes_are_refused)
{
	uint32_t bad[] = { 0, 3, 65, 128, 65535, 65536, 65536 + 64, UINT32_MAX };

	REQUIRE(attach() == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		guest_write(&g, 0x070, 0);
		guest_write(&g, 0x070, 3);
		guest_write(&g, 0x024, 1);
		guest_write(&g, 0x020, 1);
		guest_write(&g, 0x070, 11);
		guest_queue_setup(&g, 0, 16);
		guest_write(&g, 0x038, bad[i]);
		guest_write(&g, 0x070, 15);
		CHECK(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET);
	}
	CHECK_EQ(t.activated, 0);
	guest_free(&g);
}

TEST(a_queue_that_is_not_ready_stays_off)
{
	REQUIRE(attach() == 0);
	guest_write(&g, 0x070, 3);
	guest_write(&g, 0x024, 1);
	guest_write(&g, 0x020, 1);
	guest_write(&g, 0x070, 11);
	guest_queue_setup(&g, 1, 16);
	guest_write(&g, 0x070, 15);
	CHECK_EQ(guest_read(&g, 0x070), 15);
	CHECK(!t.dev.vq[0].running);
	CHECK(t.dev.vq[1].running);
	guest_free(&g);
}

TEST(only_aligned_32_bit_register_writes_count)
{
	uint8_t wide[8] = { 3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };

	REQUIRE(attach() == 0);
	mmio_write(&g.bus, MMIO_BASE + 0x070, wide, 1);
	mmio_write(&g.bus, MMIO_BASE + 0x070, wide, 2);
	mmio_write(&g.bus, MMIO_BASE + 0x070, wide, 8);
	mmio_write(&g.bus, MMIO_BASE + 0x071, wide, 4);
	mmio_write(&g.bus, MMIO_BASE + 0x06e, wide, 4);
	CHECK_EQ(guest_read(&g, 0x070), 0);
	mmio_write(&g.bus, MMIO_BASE + 0x070, wide, 4);
	CHECK_EQ(guest_read(&g, 0x070), 3);
	guest_free(&g);
}

TEST(accesses_outside_the_windows_read_as_ones_and_vanish)
{
	uint64_t at[] = { 0,	      MMIO_BASE - 1,  MMIO_BASE + 0x1000, MMIO_BASE + 0xffe,
			  UINT64_MAX, UINT64_MAX - 3, 1ull << 63 };

	REQUIRE(attach() == 0);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint8_t b[4] = { 1, 2, 3, 4 };

		mmio_write(&g.bus, at[i], b, 4);
		mmio_read(&g.bus, at[i], b, 4);
		CHECK_MEM(b, "\xff\xff\xff\xff", 4);
	}
	guest_free(&g);
}

TEST(configuration_is_bounded)
{
	uint8_t b[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };

	REQUIRE(attach() == 0);
	mmio_write(&g.bus, MMIO_BASE + 0x100 + 8, b, 1);
	mmio_write(&g.bus, MMIO_BASE + 0x100 + 7, b, 2);
	mmio_write(&g.bus, MMIO_BASE + 0x100 + 5, b, 4);
	mmio_write(&g.bus, MMIO_BASE + 0x100 + 1, b, 8);
	mmio_write(&g.bus, MMIO_BASE + 0xff8, b, 8);
	CHECK_EQ(t.writes, 0);
	mmio_write(&g.bus, MMIO_BASE + 0x100, b, 4);
	CHECK_EQ(t.writes, 1);
	CHECK_EQ(guest_read(&g, 0x100), 0x09090909); /* what was written can be read */
	guest_free(&g);
}

TEST(a_changed_configuration_has_a_new_generation_and_interrupts)
{
	uint32_t before;

	REQUIRE(attach() == 0);
	REQUIRE(guest_start(&g, 0, 0) == 15);
	before = guest_read(&g, 0x0fc);
	t.value = 99;
	virtio_config_changed(&t.dev);
	CHECK(guest_read(&g, 0x0fc) != before);
	CHECK_EQ(guest_read(&g, 0x100), 99);
	CHECK(guest_read(&g, 0x060) & VIRTIO_ISR_CONFIG);
	CHECK(guest_interrupted(&g, 0));
	guest_write(&g, 0x064, 3);
	CHECK_EQ(guest_read(&g, 0x060), VIRTIO_ISR_USED);
	guest_free(&g);
}

TEST(used_buffers_are_always_pending_once_the_driver_runs)
{
	REQUIRE(attach() == 0);
	CHECK_EQ(guest_read(&g, 0x060), 0);
	REQUIRE(guest_start(&g, 0, 0) == 15);
	CHECK_EQ(guest_read(&g, 0x060), VIRTIO_ISR_USED);
	virtio_notify(&t.dev, &t.dev.vq[0]);
	CHECK(guest_interrupted(&g, 0));
	guest_write(&g, 0x064, 1);
	CHECK_EQ(guest_read(&g, 0x060), VIRTIO_ISR_USED);
	guest_write(&g, 0x070, 0);
	CHECK_EQ(guest_read(&g, 0x060), 0);
	guest_free(&g);
}

TEST(a_notify_that_exits_is_a_kick)
{
	eventfd_t n;

	REQUIRE(attach() == 0);
	guest_write(&g, 0x050, 0);
	CHECK(eventfd_read(t.dev.vq[0].kick, &n) < 0); /* not before DRIVER_OK */
	REQUIRE(guest_start(&g, 0, 0) == 15);
	guest_write(&g, 0x050, 1);
	CHECK(eventfd_read(t.dev.vq[1].kick, &n) == 0);
	CHECK(eventfd_read(t.dev.vq[0].kick, &n) < 0);
	guest_write(&g, 0x050, 2);
	guest_write(&g, 0x050, UINT32_MAX);
	guest_free(&g);
}

TEST(kicks_from_before_driver_ok_are_kept)
{
	eventfd_t n;

	REQUIRE(attach() == 0);
	guest_kick(&g, 0);
	REQUIRE(guest_start(&g, 0, 0) == 15);
	CHECK(eventfd_read(t.dev.vq[0].kick, &n) == 0);
	guest_free(&g);
}

TEST(a_fault_stops_all_queues_and_is_told_once)
{
	static struct vq_chain c;

	REQUIRE(attach() == 0);
	REQUIRE(guest_start(&g, 0, 0) == 15);
	virtio_fault(&t.dev, "test");
	virtio_fault(&t.dev, "test again");
	CHECK(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET);
	CHECK_EQ(vq_pop(&t.dev.vq[0], &c), -EPROTO);
	CHECK_EQ(vq_pop(&t.dev.vq[1], &c), -EPROTO);
	guest_write(&g, 0x070, 0xf);
	CHECK(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET); /* the driver cannot clear it */
	CHECK_EQ(guest_start(&g, 0, 0), 15);
	CHECK_EQ(vq_pop(&t.dev.vq[0], &c), 0);
	guest_free(&g);
}

TEST(devices_come_and_go)
{
	REQUIRE(attach() == 0);
	CHECK_EQ(mmio_free_slot(&g.bus), -ENOSPC);
	CHECK_EQ(mmio_attach(&g.bus, 0, &t.dev), -EBUSY);
	CHECK_EQ(mmio_attach(&g.bus, 1, &t.dev), -EINVAL);
	REQUIRE(guest_start(&g, 0, 0) == 15);
	CHECK(mmio_detach(&g.bus, 0) == &t.dev);
	CHECK_EQ(t.resets, 2);
	CHECK_EQ(guest_read(&g, 0x008), 0);
	CHECK(mmio_detach(&g.bus, 0) == NULL);
	CHECK_EQ(mmio_free_slot(&g.bus), 0);
	CHECK_EQ(mmio_attach(&g.bus, 0, &t.dev), 0);
	CHECK_EQ(guest_read(&g, 0x008), 42);
	CHECK_EQ(guest_start(&g, 0, 0), 15);
	guest_free(&g);
}

TEST(every_register_survives_every_value)
{
	static const uint32_t value[] = { 0,  1,    2,	    3,	     7,		 11,	     15,
					  64, 0x80, 0xffff, 0x10000, 0x7fffffff, 0x80000000, UINT32_MAX };

	REQUIRE(attach() == 0);
	srandom(7);
	for (int i = 0; i < 200000; i++) {
		uint32_t off = (uint32_t)random() % 0x120 & ~3u, v = value[(size_t)random() % (sizeof(value) / 4)];

		guest_write(&g, off, v);
		if (random() % 16 == 0)
			guest_start(&g, 0, (uint16_t)(random() % 65));
	}
	CHECK_EQ(guest_read(&g, 0x000), 0x74726976);
	guest_free(&g);
}
