/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include "vmm/boot.h"
#include "vmm/panic.h"

#define RAM (4ull << 20)

static void say(const struct gmem *m, uint64_t gpa, const char *text)
{
	memcpy(gmem_span(m, gpa, strlen(text)), text, strlen(text));
}

TEST(the_reason_is_the_message_of_the_log_not_the_kernels_format_string)
{
	struct gmem m;
	char text[PANIC_TEXT_MAX];

	REQUIRE(gmem_alloc(&m, RAM) == 0);
	say(&m, BOOT_KERNEL_MIN + 64, "0Kernel panic - not syncing: %s\n");
	CHECK(!panic_text(&m, text, sizeof(text)));
	say(&m, BOOT_KERNEL_MIN + 4096,
	    "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b0b\n\x01\x01rest");
	REQUIRE(panic_text(&m, text, sizeof(text)));
	CHECK_STR(text, "Attempted to kill init! exitcode=0x0000000b");
	say(&m, BOOT_KERNEL_MIN + 512, "RIP: 0010:0xffffffff8123456767\n");
	REQUIRE(panic_text(&m, text, sizeof(text)));
	CHECK_STR(text, "Attempted to kill init! exitcode=0x0000000b (at 0xffffffff81234567)");
	gmem_free(&m);
}

TEST(a_message_at_the_end_of_memory_or_without_an_end_is_cut_and_nothing_is_read_beyond)
{
	struct gmem m;
	char text[PANIC_TEXT_MAX], small[8];
	const char panic[] = "Kernel panic - not syncing: X";

	REQUIRE(gmem_alloc(&m, RAM) == 0);
	for (size_t cut = 0; cut < sizeof(panic) - 1; cut++) {
		memset(gmem_span(&m, RAM - 64, 64), 0, 64);
		memcpy(gmem_span(&m, RAM - (sizeof(panic) - 1 - cut), sizeof(panic) - 1 - cut), panic,
		       sizeof(panic) - 1 - cut);
		CHECK_EQ(panic_text(&m, text, sizeof(text)), cut == 0);
	}
	memset(gmem_span(&m, BOOT_KERNEL_MIN, 65536), 'A', 65536);
	say(&m, BOOT_KERNEL_MIN + 100, "Kernel panic - not syncing: ");
	say(&m, BOOT_KERNEL_MIN + 1000, "RIP: 0010:");
	REQUIRE(panic_text(&m, text, sizeof(text)));
	CHECK(strlen(text) < PANIC_TEXT_MAX);
	for (const char *p = text; *p; p++)
		CHECK(*p >= ' ' && *p <= '~');
	CHECK(panic_text(&m, small, sizeof(small)));
	CHECK_EQ(strlen(small), sizeof(small) - 1);
	gmem_free(&m);
}

TEST(memory_of_any_size_without_a_panic_says_nothing)
{
	char text[PANIC_TEXT_MAX];

	for (uint64_t size = 2ull << 20; size <= 64ull << 20; size *= 2) {
		struct gmem m;

		REQUIRE(gmem_alloc(&m, size) == 0);
		CHECK(!panic_text(&m, text, sizeof(text)));
		gmem_free(&m);
	}
}
