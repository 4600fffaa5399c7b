/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vmm/boot.h"
#include "vmm/elfload.h"

#define RAM (64ull << 20)
#define LOW 0x100000ull

static struct gmem mem;

/* An ELF file with two segments: code at 16 MiB, data with a bss behind it. */
struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	uint8_t code[256], data[256];
};

static struct image good(void)
{
	struct image i = {
		.eh = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = 0x1000010,
			.e_phoff = offsetof(struct image, ph),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3,
		},
		.ph = {
			{ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = offsetof(struct image, code),
			  .p_paddr = 0x1000000, .p_filesz = 256, .p_memsz = 256 },
			{ .p_type = PT_NOTE, .p_paddr = UINT64_MAX, .p_filesz = UINT64_MAX, .p_offset = UINT64_MAX },
			{ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = offsetof(struct image, data),
			  .p_paddr = 0x1200000, .p_filesz = 256, .p_memsz = 8192 },
		},
	};

	memset(i.code, 0xc0, sizeof(i.code));
	memset(i.data, 0xda, sizeof(i.data));
	return i;
}

static int load(const struct image *i, size_t len, struct elf_image *out, const char **why)
{
	int fd = memfd_create("elf", MFD_CLOEXEC), ret;

	if (!mem.nregions && gmem_alloc(&mem, RAM))
		return -1;
	if (write(fd, i, len) != (ssize_t)len)
		return -1;
	ret = elf_load(fd, &mem, LOW, RAM, out, why);
	close(fd);
	return ret;
}

TEST(a_good_kernel_is_loaded_where_it_says)
{
	struct image i = good();
	struct elf_image e;
	const char *why;

	REQUIRE(load(&i, sizeof(i), &e, &why) == 0);
	CHECK_EQ(e.entry, 0x1000010);
	CHECK_EQ(e.start, 0x1000000);
	CHECK_EQ(e.end, 0x1202000);
	CHECK_MEM(mem.region[0].host + 0x1000000, i.code, 256);
	CHECK_MEM(mem.region[0].host + 0x1200000, i.data, 256);
	CHECK_EQ(mem.region[0].host[0x1200000 + 256], 0);
	CHECK(!why);
}

#define REFUSED(...)                                               \
	do {                                                       \
		struct image i = good();                           \
		struct elf_image e;                                \
		const char *why = NULL;                            \
		__VA_ARGS__;                                       \
		CHECK_EQ(load(&i, sizeof(i), &e, &why), -ENOEXEC); \
		CHECK(why &&strlen(why) > 10);                     \
	} while (0)

TEST(hostile_headers_are_refused)
{
	REFUSED(i.eh.e_ident[0] = 'M');
	REFUSED(i.eh.e_ident[EI_CLASS] = ELFCLASS32);
	REFUSED(i.eh.e_ident[EI_DATA] = ELFDATA2MSB);
	REFUSED(i.eh.e_machine = EM_AARCH64);
	REFUSED(i.eh.e_type = ET_REL);
	REFUSED(i.eh.e_phentsize = 55);
	REFUSED(i.eh.e_phnum = 0);
	REFUSED(i.eh.e_phnum = 33);
	REFUSED(i.eh.e_phnum = UINT16_MAX);
	REFUSED(i.eh.e_phoff = sizeof(i) - 1);
	REFUSED(i.eh.e_phoff = sizeof(i) - 2 * sizeof(Elf64_Phdr));
	REFUSED(i.eh.e_phoff = UINT64_MAX);
	REFUSED(i.eh.e_phoff = UINT64_MAX - 55);
}

TEST(hostile_segments_are_refused)
{
	uint64_t edge[] = { 0, LOW - 1, RAM - 255, RAM, RAM + 1, 1ull << 32, 1ull << 63, UINT64_MAX - 255, UINT64_MAX };

	for (size_t k = 0; k < sizeof(edge) / sizeof(edge[0]); k++) {
		REFUSED(i.ph[0].p_paddr = edge[k]; i.eh.e_entry = edge[k]);
		REFUSED(i.ph[2].p_paddr = edge[k]);
	}
	REFUSED(i.ph[0].p_filesz = 257);
	REFUSED(i.ph[0].p_filesz = i.ph[0].p_memsz = sizeof(i));
	REFUSED(i.ph[0].p_filesz = i.ph[0].p_memsz = UINT64_MAX);
	REFUSED(i.ph[0].p_offset = sizeof(i) - 255);
	REFUSED(i.ph[0].p_offset = UINT64_MAX);
	REFUSED(i.ph[0].p_offset = UINT64_MAX - 254);
	REFUSED(i.ph[2].p_memsz = UINT64_MAX);
	REFUSED(i.ph[2].p_memsz = RAM - 0x1200000 + 1);
	REFUSED(i.ph[2].p_memsz = 0 - 0x1200000ull);
	REFUSED(i.ph[2].p_paddr = 0x10000ff);
	REFUSED(i.ph[2].p_paddr = 0x1000000 - 8191);
}

TEST(an_entry_outside_the_code_is_refused)
{
	REFUSED(i.eh.e_entry = 0);
	REFUSED(i.eh.e_entry = 0x1000100);
	REFUSED(i.eh.e_entry = 0xffffff);
	REFUSED(i.eh.e_entry = 0x1200000); /* data, not executable */
	REFUSED(i.eh.e_entry = UINT64_MAX);
	REFUSED(i.ph[0].p_type = PT_NULL);
}

TEST(short_files_are_refused)
{
	struct image i = good();
	struct elf_image e;
	const char *why;

	for (size_t len = 0; len < sizeof(i); len += 7) {
		why = NULL;
		CHECK(load(&i, len, &e, &why) < 0);
		CHECK(why != NULL);
	}
}

TEST(things_that_are_no_files_are_refused)
{
	struct elf_image e;
	const char *why;
	int fd[2];

	REQUIRE(gmem_alloc(&mem, RAM) == 0 && pipe(fd) == 0);
	CHECK_EQ(elf_load(fd[0], &mem, LOW, RAM, &e, &why), -ENOEXEC);
	CHECK_EQ(elf_load(-1, &mem, LOW, RAM, &e, &why), -EBADF);
}

static int boot(const char *cmdline, size_t initrd_size, unsigned int vcpus, struct boot_regs *r, const char **which,
		const char **why)
{
	struct image i = good();
	struct boot_image b = { .kernel_fd = memfd_create("k", 0), .initrd_fd = -1 };

	b.cmdline = cmdline;
	b.vcpus = vcpus;

	if (!mem.nregions && gmem_alloc(&mem, RAM))
		return -1;
	if (write(b.kernel_fd, &i, sizeof(i)) < 0)
		return -1;
	if (initrd_size) {
		b.initrd_fd = memfd_create("i", 0);
		if (ftruncate(b.initrd_fd, (off_t)initrd_size) || pwrite(b.initrd_fd, "init", 4, 0) != 4)
			return -1;
	}
	return boot_load(&b, &mem, r, which, why);
}

TEST(the_boot_data_is_what_the_protocol_says)
{
	const char *which = NULL, *why = NULL;
	struct boot_params *bp;
	struct boot_regs r;
	uint64_t *pml4;

	REQUIRE(boot("quiet x=y", 5000, 2, &r, &which, &why) == 0);
	bp = (void *)(mem.region[0].host + r.rsi);
	CHECK_EQ(r.rip, 0x1000010);
	CHECK_EQ(bp->sentinel, 0);
	CHECK(bp->hdr.type_of_loader != 0);
	CHECK_STR((char *)mem.region[0].host + bp->hdr.cmd_line_ptr, "quiet x=y");
	CHECK_EQ(bp->hdr.ramdisk_size, 5000);
	CHECK_EQ(bp->hdr.ramdisk_image % 4096, 0);
	CHECK_MEM(mem.region[0].host + bp->hdr.ramdisk_image, "init", 4);
	CHECK(bp->hdr.ramdisk_image >= 0x1202000 && bp->hdr.ramdisk_image + 5000 <= RAM);
	CHECK_EQ(bp->e820_entries, 3);
	CHECK_EQ(bp->e820_table[2].addr, 0x100000);
	CHECK_EQ(bp->e820_table[2].addr + bp->e820_table[2].size, RAM);
	CHECK_EQ(((struct setup_data *)(void *)(mem.region[0].host + bp->hdr.setup_data))->len, 32);
	/* 1 GiB one to one */
	pml4 = (void *)(mem.region[0].host + r.cr3);
	CHECK_EQ(pml4[0] & 3, 3);
	CHECK_EQ(pml4[1024], 0x83);
	CHECK_EQ(pml4[1024 + 511], (511ull << 21) | 0x83);
}

TEST(what_does_not_fit_is_refused_with_a_reason)
{
	char line[3000];
	const char *which = NULL, *why = NULL;
	struct boot_regs r;

	memset(line, 'x', sizeof(line));
	line[2047] = '\0';
	CHECK_EQ(boot(line, 0, 1, &r, &which, &why), 0);
	line[2047] = 'x';
	line[2048] = '\0';
	CHECK_EQ(boot(line, 0, 1, &r, &which, &why), -E2BIG);
	CHECK_STR(which, "command line");
	CHECK_EQ(boot("", RAM, 1, &r, &which, &why), -ENOMEM);
	CHECK_STR(which, "initrd");
	CHECK_EQ(boot("", RAM - 0x1202000 + 1, 1, &r, &which, &why), -ENOMEM);
	CHECK_EQ(boot("", RAM - 0x1202000, 1, &r, &which, &why), 0);
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

TEST(the_mp_table_is_complete_and_adds_up)
{
	static const unsigned int counts[] = { 1, 2, 3, 64 };

	REQUIRE(gmem_alloc(&mem, RAM) == 0);
	for (size_t k = 0; k < 4; k++) {
		const uint8_t *mpf = mem.region[0].host + BOOT_MPF, *t, *p, *end;
		unsigned int n[5] = { 0 };
		uint16_t len, entries;

		REQUIRE(mptable_write(&mem, counts[k]) == 0);
		CHECK_MEM(mpf, "_MP_", 4);
		CHECK_EQ(sum(mpf, 16), 0);
		t = mem.region[0].host + BOOT_MPTABLE;
		CHECK_MEM(t, "PCMP", 4);
		memcpy(&len, t + 4, 2);
		memcpy(&entries, t + 34, 2);
		CHECK_EQ(sum(t, len), 0);
		p = t + 44;
		end = t + len;
		for (uint16_t e = 0; e < entries && p < end; e++) {
			REQUIRE(*p <= 4);
			if (*p == 0)
				CHECK_EQ(p[1], n[0]); /* APIC ids in order */
			n[*p]++;
			p += *p == 0 ? 20 : 8;
		}
		CHECK(p == end);
		CHECK_EQ(n[0], counts[k]);
		CHECK_EQ(n[1], 1);
		CHECK_EQ(n[2], 1);
		CHECK_EQ(n[3], BOOT_IOAPIC_PINS);
		CHECK_EQ(n[4], 2);
		CHECK(BOOT_MPTABLE + len <= BOOT_MPTABLE_END);
	}
	CHECK_EQ(mptable_write(&mem, 0), -ENOMEM);
	CHECK_EQ(mptable_write(&mem, 65), -ENOMEM);
}
