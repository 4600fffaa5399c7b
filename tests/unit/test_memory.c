/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include "vmm/memory.h"

/* What gmem_span() must say, with arithmetic that cannot wrap. */
static void *reference(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < m->nregions; i++) {
		__uint128_t start = m->region[i].gpa, end = start + m->region[i].size;

		if (gpa >= start && gpa < end && (__uint128_t)gpa + len <= end)
			return m->region[i].host + (gpa - m->region[i].gpa);
	}
	return NULL;
}

TEST(span_agrees_with_wide_arithmetic_at_all_boundary_values)
{
	/* The pointers are never followed. */
	struct gmem m = {
		.nregions = 3,
		.region = {
			{ .gpa = 0, .size = 0xd0000000, .host = (uint8_t *)0x10000000000 },
			{ .gpa = 0x100000000, .size = 0x40000000, .host = (uint8_t *)0x20000000000 },
			{ .gpa = UINT64_MAX - 0xfff, .size = 0x1000, .host = (uint8_t *)0x30000000000 },
		},
	};
	uint64_t edge[] = { 0,		0xd0000000, 0x100000000, 0x140000000, UINT64_MAX - 0xfff,
			    0x40000000, 0x1000,	    1ull << 63,	 UINT64_MAX };
	uint64_t v[256];
	size_t n = 0, wrong = 0;

	for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++)
		for (int d = -3; d <= 3; d++)
			v[n++] = edge[i] + (uint64_t)(int64_t)d;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
			wrong += gmem_span(&m, v[i], v[j]) != reference(&m, v[i], v[j]);
	CHECK_EQ(wrong, 0);
}

TEST(ram_is_aligned_zero_and_of_the_size_asked_for)
{
	struct gmem m;

	REQUIRE(gmem_alloc(&m, 6ull << 20) == 0);
	CHECK_EQ(gmem_size(&m), 6ull << 20);
	CHECK_EQ(m.nregions, 1);
	CHECK_EQ((uintptr_t)m.region[0].host % (2u << 20), 0);
	CHECK_EQ(m.region[0].host[0], 0);
	CHECK_EQ(m.region[0].host[(6u << 20) - 1], 0);
	m.region[0].host[(6u << 20) - 1] = 1;
	gmem_free(&m);
	CHECK_EQ(gmem_size(&m), 0);
}

TEST(ram_above_the_device_hole_is_one_mapping_in_two_regions)
{
	struct gmem m;

	REQUIRE(gmem_alloc(&m, 8ull << 30) == 0);
	CHECK_EQ(m.nregions, 2);
	CHECK_EQ(m.region[0].size, GMEM_HOLE_START);
	CHECK_EQ(m.region[1].gpa, GMEM_HIGH_START);
	CHECK_EQ(gmem_size(&m), 8ull << 30);
	CHECK(!gmem_span(&m, GMEM_HOLE_START, 1));
	CHECK(!gmem_span(&m, GMEM_HOLE_START - 1, 2));
	CHECK(gmem_span(&m, GMEM_HIGH_START, 1));
	gmem_free(&m);
}

TEST(odd_sizes_are_refused)
{
	struct gmem m;

	CHECK_EQ(gmem_alloc(&m, 0), -EINVAL);
	CHECK_EQ(gmem_alloc(&m, 1), -EINVAL);
	CHECK_EQ(gmem_alloc(&m, (2u << 20) + 4096), -EINVAL);
	CHECK_EQ(gmem_alloc(&m, GMEM_SIZE_MAX + (2u << 20)), -EINVAL);
	CHECK_EQ(gmem_alloc(&m, UINT64_MAX & ~((2ull << 20) - 1)), -EINVAL);
	CHECK_EQ(m.nregions, 0);
}
