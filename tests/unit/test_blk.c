/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/unit/vring.h"
#include "vmm/blk.h"
#include "vmm/blk_limit.h"

#define DISK_SECTORS 4096u /* 2 MiB */
#define HDR 0x100000ull
#define STATUS 0x100100ull
#define DATA 0x200000ull
#define SECTOR 512u
#define BIT(n) (1ull << (n))
#define F_EVENT_IDX BIT(VIRTIO_F_EVENT_IDX)
#define F_INDIRECT BIT(VIRTIO_F_INDIRECT_DESC)
#define F_FLUSH BIT(VIRTIO_BLK_F_FLUSH)

static struct guest g;
static struct blk_worker *worker;
static int disk_fd;

static bool start_on(int fd, bool readonly, unsigned int queues, bool uring, uint64_t features)
{
	struct virtio_dev *d;

	if (guest_init(&g))
		return false;
	disk_fd = fd;
	worker = blk_worker_create(uring);
	if (!worker || blk_worker_start(worker, NULL, NULL))
		return false;
	d = blk_create(&g.mem, worker, fd, readonly, "husk-disk-0", queues);
	return d && guest_attach(&g, d) == 0 && guest_start(&g, features, 64) == 15;
}

static int new_file(void)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	return ftruncate(fd, DISK_SECTORS * SECTOR) ? -1 : fd;
}

static bool start(uint64_t features)
{
	return start_on(new_file(), false, 1, true, features);
}

static void stop(void)
{
	struct virtio_dev *d = g.dev;

	guest_free(&g);
	blk_destroy(d);
	blk_worker_free(worker);
}

static uint8_t *status_of(unsigned int n)
{
	return guest_ptr(&g, STATUS + n);
}

static void put_header(uint64_t at, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };

	memcpy(guest_ptr(&g, at), &h, sizeof(h));
}

/* Queue one request without a kick. */
static uint16_t queue_request(unsigned int q, unsigned int n, uint32_t type, uint64_t sector, uint64_t data,
			      uint32_t len)
{
	uint64_t at[3] = { HDR + n * 0x20000 + q * 64, data, STATUS + n };
	uint32_t l[3] = { 16, len, 1 };
	bool reads = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

	*status_of(n) = 0xee;
	at[0] = HDR + 0x1000 + n * 16;
	put_header(at[0], type, sector);
	if (len == 0) {
		at[1] = at[2];
		l[1] = 1;
		return guest_add(&g, q, at, l, 1, 1);
	}
	return guest_add(&g, q, at, l, reads ? 1 : 2, reads ? 2 : 1);
}

/* One request from kick to status. -1: no answer; else the status; *used is the length. */
static int request(uint32_t type, uint64_t sector, uint64_t data, uint32_t len, int64_t *used)
{
	int64_t n;

	queue_request(0, 0, type, sector, data, len);
	guest_kick(&g, 0);
	n = guest_used(&g, 0, NULL, 5000);
	if (used)
		*used = n;
	return n < 0 ? -1 : *status_of(0);
}

static void fill(uint64_t at, uint8_t seed, size_t n)
{
	uint8_t *p = guest_ptr(&g, at);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

static void round_trip(void)
{
	static uint8_t want[8192];
	int64_t used;

	fill(DATA, 3, sizeof(want));
	memcpy(want, guest_ptr(&g, DATA), sizeof(want));
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 100, DATA, sizeof(want), &used), VIRTIO_BLK_S_OK);
	CHECK_EQ(used, 1);
	memset(guest_ptr(&g, DATA), 0, sizeof(want));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 100, DATA, sizeof(want), &used), VIRTIO_BLK_S_OK);
	CHECK_EQ(used, (int64_t)sizeof(want) + 1);
	CHECK_MEM(guest_ptr(&g, DATA), want, sizeof(want));
	CHECK(guest_interrupted(&g, 2000));
	CHECK_EQ(pread(disk_fd, want, sizeof(want), 100 * SECTOR), (ssize_t)sizeof(want));
	CHECK_MEM(guest_ptr(&g, DATA), want, sizeof(want));
}

TEST(what_is_written_is_read_again_and_is_in_the_file)
{
	REQUIRE(start(F_EVENT_IDX | F_FLUSH));
	round_trip();
	stop();
}

TEST(plain_system_calls_do_the_same_as_io_uring)
{
	REQUIRE(start_on(new_file(), false, 1, false, F_FLUSH));
	round_trip();
	CHECK_EQ(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	stop();
}

TEST(buffers_may_be_cut_anywhere)
{
	/* header and data share a buffer, data and status share another */
	uint64_t out[3] = { HDR, HDR + 7, HDR + 16 + 100 }, in[4] = { HDR, DATA, DATA + 5, DATA + 300 };
	uint32_t outlen[3] = { 7, 109, 412 }, inlen[4] = { 16, 5, 295, 213 };
	uint64_t status = STATUS;
	uint64_t all[4];
	uint32_t lens[4];

	REQUIRE(start(F_FLUSH));
	put_header(HDR, VIRTIO_BLK_T_OUT, 9);
	fill(HDR + 16, 1, SECTOR);
	memcpy(all, out, sizeof(out));
	memcpy(lens, outlen, sizeof(outlen));
	all[3] = status;
	lens[3] = 1;
	guest_add(&g, 0, all, lens, 3, 1);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), 1);
	CHECK_EQ(*status_of(0), VIRTIO_BLK_S_OK);

	fill(DATA, 1, SECTOR);
	put_header(HDR, VIRTIO_BLK_T_IN, 9);
	memset(guest_ptr(&g, DATA), 0xaa, 1024);
	guest_add(&g, 0, in, inlen, 1, 3);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), 513);
	CHECK_EQ(*(uint8_t *)guest_ptr(&g, DATA + 512), VIRTIO_BLK_S_OK);
	fill(DATA + 4096, 1, SECTOR);
	CHECK_MEM(guest_ptr(&g, DATA), guest_ptr(&g, DATA + 4096), SECTOR);
	CHECK_EQ(*(uint8_t *)guest_ptr(&g, DATA + 513), 0xaa);
	stop();
}

TEST(what_is_not_on_the_disk_is_an_error)
{
	REQUIRE(start(F_FLUSH));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS - 1, DATA, SECTOR, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS - 1, DATA, 2 * SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, UINT64_MAX, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, UINT64_MAX / SECTOR, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, (1ull << 55) - 1, DATA, 2 * SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(lseek(disk_fd, 0, SEEK_END), DISK_SECTORS * SECTOR);
	stop();
}

TEST(odd_lengths_and_unknown_requests_are_refused)
{
	REQUIRE(start(F_FLUSH));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, DATA, 511, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 0, DATA, 513, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(77, 0, DATA, 512, NULL), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 0, 0, NULL), VIRTIO_BLK_S_OK);
	stop();
}

TEST(a_read_only_disk_is_not_written_to)
{
	int fd = new_file();
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	REQUIRE(start_on(open(path, O_RDONLY | O_CLOEXEC), true, 1, true, BIT(VIRTIO_BLK_F_RO) | F_FLUSH));
	guest_write(&g, 0x014, 0);
	CHECK(guest_read(&g, 0x010) & BIT(VIRTIO_BLK_F_RO));
	CHECK(!(guest_read(&g, 0x010) & (BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))));
	fill(DATA, 1, SECTOR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 0, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, DATA, 16, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, DATA, SECTOR, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(((uint8_t *)guest_ptr(&g, DATA))[1], 0);
	stop();
	close(fd);
}

TEST(a_file_that_is_not_open_for_writing_is_no_writable_disk)
{
	int fd = new_file(), ro;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(guest_init(&g) == 0);
	worker = blk_worker_create(true);
	CHECK(!blk_create(&g.mem, worker, ro, false, "", 1) && errno == EACCES);
	CHECK(!blk_create(&g.mem, worker, 0x7fff, false, "", 1) && errno == EBADF);
	CHECK(!blk_create(&g.mem, worker, worker ? eventfd(0, 0) : -1, false, "", 1) && errno == EINVAL);
	CHECK(!blk_create(&g.mem, worker, fd, false, "a serial that is too long", 1) && errno == EINVAL);
	blk_worker_free(worker);
	guest_free(&g);
}

TEST(the_serial_is_told_and_nothing_beyond_it)
{
	int64_t used;

	REQUIRE(start(F_FLUSH));
	memset(guest_ptr(&g, DATA), 0xaa, 32);
	CHECK_EQ(request(VIRTIO_BLK_T_GET_ID, 0, DATA, 20, &used), VIRTIO_BLK_S_OK);
	CHECK_STR((char *)guest_ptr(&g, DATA), "husk-disk-0");
	CHECK_EQ(*(uint8_t *)guest_ptr(&g, DATA + 20), 0xaa);
	memset(guest_ptr(&g, DATA), 0xaa, 32);
	CHECK_EQ(request(VIRTIO_BLK_T_GET_ID, 0, DATA, 4, NULL), VIRTIO_BLK_S_OK);
	CHECK_MEM(guest_ptr(&g, DATA), "husk\xaa", 5);
	stop();
}

static void zero_range(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags, int want)
{
	struct virtio_blk_discard_write_zeroes v = { .sector = sector, .num_sectors = count, .flags = flags };

	memcpy(guest_ptr(&g, DATA), &v, sizeof(v));
	CHECK_EQ(request(type, 0, DATA, sizeof(v), NULL), want);
}

TEST(discarded_and_zeroed_ranges_read_as_zeroes)
{
	static const uint8_t zero[SECTOR];
	uint8_t buf[SECTOR];

	REQUIRE(start(F_FLUSH));
	fill(DATA, 5, 64 * SECTOR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 0, DATA, 64 * SECTOR, NULL), VIRTIO_BLK_S_OK);
	zero_range(VIRTIO_BLK_T_DISCARD, 8, 8, 0, VIRTIO_BLK_S_OK);
	zero_range(VIRTIO_BLK_T_WRITE_ZEROES, 24, 8, 0, VIRTIO_BLK_S_OK);
	zero_range(VIRTIO_BLK_T_WRITE_ZEROES, 40, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, VIRTIO_BLK_S_OK);
	for (unsigned int s = 0; s < 64; s++) {
		bool is_zero = s / 8 == 1 || s / 8 == 3 || s / 8 == 5;

		CHECK_EQ(pread(disk_fd, buf, SECTOR, s * SECTOR), SECTOR);
		CHECK_EQ(memcmp(buf, zero, SECTOR) == 0, is_zero);
	}
	CHECK_EQ(lseek(disk_fd, 0, SEEK_END), DISK_SECTORS * SECTOR);
	stop();
}

TEST(ranges_outside_the_disk_and_unknown_flags_are_refused)
{
	REQUIRE(start(F_FLUSH));
	zero_range(VIRTIO_BLK_T_DISCARD, DISK_SECTORS - 1, 2, 0, VIRTIO_BLK_S_IOERR);
	zero_range(VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0, VIRTIO_BLK_S_IOERR);
	zero_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, UINT32_MAX, 0, VIRTIO_BLK_S_IOERR);
	zero_range(VIRTIO_BLK_T_DISCARD, 0, 1, 1, VIRTIO_BLK_S_UNSUPP);
	zero_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2, VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, DATA, 32, NULL), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, DATA, 8, NULL), VIRTIO_BLK_S_UNSUPP);
	stop();
}

TEST(a_file_that_was_cut_short_is_an_error_not_a_hang)
{
	REQUIRE(start(F_FLUSH));
	REQUIRE(ftruncate(disk_fd, 10 * SECTOR) == 0);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 8, DATA, 2 * SECTOR, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 9, DATA, 2 * SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 100, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	stop();
}

TEST(a_write_that_the_host_refuses_is_an_error)
{
	int fd = memfd_create("disk", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	REQUIRE(ftruncate(fd, DISK_SECTORS * SECTOR) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
	REQUIRE(start_on(fd, false, 1, true, F_FLUSH));
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 0, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, DATA, SECTOR, NULL), VIRTIO_BLK_S_OK);
	stop();
}

TEST(a_new_size_is_told_and_counts)
{
	uint64_t sectors;

	REQUIRE(start(F_FLUSH));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	while (guest_interrupted(&g, 0))
		;
	REQUIRE(ftruncate(disk_fd, 2 * DISK_SECTORS * SECTOR) == 0);
	CHECK_EQ(blk_resize(g.dev), 0);
	CHECK(guest_interrupted(&g, 2000));
	sectors = guest_read(&g, 0x100) | (uint64_t)guest_read(&g, 0x104) << 32;
	CHECK_EQ(sectors, 2 * DISK_SECTORS);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS, DATA, SECTOR, NULL), VIRTIO_BLK_S_OK);
	REQUIRE(ftruncate(disk_fd, DISK_SECTORS * SECTOR) == 0);
	CHECK_EQ(blk_resize(g.dev), 0);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS, DATA, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	stop();
}

TEST(the_write_cache_can_be_switched_by_a_driver_that_negotiated_it)
{
	uint64_t at = MMIO_BASE + 0x100 + offsetof(struct virtio_blk_config, wce);
	uint8_t v = 0;

	REQUIRE(start(F_FLUSH));
	mmio_write(&g.bus, at, &v, 1);
	mmio_read(&g.bus, at, &v, 1);
	CHECK_EQ(v, 1);
	REQUIRE(guest_start(&g, F_FLUSH | BIT(VIRTIO_BLK_F_CONFIG_WCE), 64) == 15);
	v = 0;
	mmio_write(&g.bus, at, &v, 1);
	mmio_read(&g.bus, at, &v, 1);
	CHECK_EQ(v, 0);
	round_trip();
	REQUIRE(guest_start(&g, 0, 64) == 15); /* without FLUSH every write is durable at once */
	mmio_read(&g.bus, at, &v, 1);
	CHECK_EQ(v, 0);
	round_trip();
	stop();
}

TEST(many_requests_on_several_queues_are_each_answered_once)
{
	bool seen[64];

	REQUIRE(start_on(new_file(), false, 4, true, F_EVENT_IDX | F_FLUSH | BIT(VIRTIO_BLK_F_MQ)));
	for (int round = 0; round < 100; round++) {
		unsigned int q = (unsigned int)round % 4;
		uint16_t head[20];

		memset(seen, 0, sizeof(seen));
		for (unsigned int i = 0; i < 20; i++)
			head[i] = queue_request(q, i, i % 3 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, i * 16,
						DATA + i * 8192, 8192);
		guest_kick(&g, q);
		for (unsigned int i = 0; i < 20; i++) {
			uint16_t h = 0;

			REQUIRE(guest_used(&g, q, &h, 5000) >= 1);
			REQUIRE(h < 64 && !seen[h]);
			seen[h] = true;
		}
		for (unsigned int i = 0; i < 20; i++)
			REQUIRE(seen[head[i]] && *status_of(i) == VIRTIO_BLK_S_OK);
		guest_write(&g, 0x030, q);
	}
	stop();
}

TEST(a_reset_in_the_middle_leaves_no_access_to_guest_memory)
{
	REQUIRE(start(F_FLUSH));
	for (int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < 16; i++)
			queue_request(0, i, VIRTIO_BLK_T_IN, i, DATA, 65536);
		guest_kick(&g, 0);
		if (round % 2)
			usleep(200);
		guest_write(&g, 0x070, 0);
		memset(guest_ptr(&g, DATA), 0x55, 65536);
		memset(guest_ptr(&g, STATUS), 0x55, 16);
		usleep(500);
		for (unsigned int i = 0; i < 65536; i++)
			REQUIRE(((uint8_t *)guest_ptr(&g, DATA))[i] == 0x55);
		REQUIRE(*status_of(3) == 0x55);
		REQUIRE(guest_start(&g, F_FLUSH, 64) == 15);
	}
	round_trip();
	stop();
}

static bool is_stopped(void)
{
	for (int i = 0; i < 2000 && !(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET); i++)
		usleep(1000);
	return guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET;
}

TEST(a_request_without_a_status_byte_stops_the_device_until_its_reset)
{
	REQUIRE(start(F_FLUSH));
	put_header(HDR, VIRTIO_BLK_T_FLUSH, 0);
	guest_add_one(&g, 0, HDR, 16, false);
	guest_kick(&g, 0);
	CHECK(is_stopped());
	REQUIRE(guest_start(&g, F_FLUSH, 64) == 15);
	round_trip();
	guest_add_one(&g, 0, 0, 0, false); /* no buffer at all */
	guest_kick(&g, 0);
	CHECK(is_stopped());
	REQUIRE(guest_start(&g, F_FLUSH, 64) == 15);
	guest_add_one(&g, 0, GUEST_RAM - 4, 8, true);
	guest_kick(&g, 0);
	CHECK(is_stopped());
	REQUIRE(guest_start(&g, F_FLUSH, 64) == 15);
	round_trip();
	stop();
}

TEST(a_header_that_is_too_short_is_an_error)
{
	uint64_t at[2] = { HDR, STATUS };
	uint32_t len[2] = { 15, 1 };

	REQUIRE(start(F_FLUSH));
	put_header(HDR, VIRTIO_BLK_T_FLUSH, 0);
	guest_add(&g, 0, at, len, 1, 1);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), 1);
	CHECK_EQ(*status_of(0), VIRTIO_BLK_S_IOERR);
	stop();
}

TEST(disks_of_one_worker_do_not_disturb_each_other)
{
	struct virtio_dev *other;

	REQUIRE(start(F_FLUSH));
	for (unsigned int i = 1; i < BLK_DISKS_MAX; i++)
		REQUIRE((other = blk_create(&g.mem, worker, new_file(), false, "", 1)) != NULL);
	CHECK(!blk_create(&g.mem, worker, new_file(), false, "", 1) && errno == ENOSPC);
	blk_destroy(other);
	round_trip();
	CHECK((other = blk_create(&g.mem, worker, new_file(), false, "", 1)) != NULL);
	round_trip();
	exit(unit_failures ? 1 : 0);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

TEST(limits_hold_and_can_be_changed)
{
	const struct blk_limits slow = { .read_iops = 50 }, fast = { 0 };
	uint64_t begin, took;

	REQUIRE(start(F_FLUSH));
	blk_limit(g.dev, &slow);
	begin = now_ms();
	for (int i = 0; i < 25; i++)
		REQUIRE(request(VIRTIO_BLK_T_IN, 0, DATA, SECTOR, NULL) == VIRTIO_BLK_S_OK);
	took = now_ms() - begin;
	CHECK(took >= 300 && took < 3000); /* 5 at once, 20 at 50 in a second */
	begin = now_ms();
	for (int i = 0; i < 25; i++)
		REQUIRE(request(VIRTIO_BLK_T_OUT, 0, DATA, SECTOR, NULL) == VIRTIO_BLK_S_OK);
	CHECK(now_ms() - begin < 300);
	blk_limit(g.dev, &fast);
	begin = now_ms();
	for (int i = 0; i < 50; i++)
		REQUIRE(request(VIRTIO_BLK_T_IN, 0, DATA, SECTOR, NULL) == VIRTIO_BLK_S_OK);
	CHECK(now_ms() - begin < 500);
	stop();
}

#define S 1000000000ull

/* How many requests of `cost` pass in `seconds`, asked as often as the bucket says. */
static uint64_t passed(uint64_t rate, uint64_t cost, uint64_t seconds)
{
	uint64_t now = 5 * S, end = now + seconds * S, n = 0;
	struct bucket b;

	bucket_set(&b, rate, now);
	while (now < end) {
		uint64_t wait = bucket_wait(&b, now);

		if (wait) {
			now += wait;
			continue;
		}
		bucket_take(&b, cost);
		n++;
	}
	return n;
}

TEST(buckets_keep_their_rate_over_time)
{
	struct bucket b;

	CHECK(passed(100, 1, 10) >= 1000 && passed(100, 1, 10) <= 1015);
	CHECK(passed(1, 1, 60) >= 60 && passed(1, 1, 60) <= 62);
	CHECK(passed(1000000, 4096, 10) >= 2441 && passed(1000000, 4096, 10) <= 2480);
	CHECK(passed(1000, 1 << 20, 10) == 1); /* larger than the burst: it passes, others wait for long */
	CHECK(passed(3, 1, 100) >= 300 && passed(3, 1, 100) <= 302);
	bucket_set(&b, 0, 0);
	CHECK_EQ(bucket_wait(&b, 1), 0);
	/* long pauses and large numbers do not overflow into more than a burst */
	bucket_set(&b, BUCKET_RATE_MAX, 0);
	CHECK_EQ(bucket_wait(&b, UINT64_MAX / 2), 0);
	bucket_take(&b, BUCKET_RATE_MAX);
	CHECK(bucket_wait(&b, UINT64_MAX / 2) > S / 2);
	bucket_set(&b, UINT64_MAX, 0);
	CHECK_EQ(bucket_wait(&b, 1), 0);
}
