/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct start of a Linux kernel by its 64-bit boot protocol (Documentation/x86/boot.rst): no firmware, no real mode.
 * Main thread, before the guest runs. Kernel and initrd files are untrusted; the rest is our own data.
 *
 * The 64-bit entry is used rather than PVH: it spares the kernel a page-table build and a scan of 256 CPUID leaves
 * for Xen, each a VM exit.
 */
#include "boot.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elfload.h"

#define SETUP_RNG_SEED 9 /* Linux 6.0; not in older headers */
#define SEED_BYTES 32u

#define E820_RAM 1u
#define E820_RESERVED 2u

#define PTE_PRESENT 1ull
#define PTE_WRITE 2ull
#define PTE_LARGE 0x80ull

static int load_initrd(int fd, const struct gmem *mem, uint64_t kernel_end, struct boot_params *bp, const char **why)
{
	const struct gmem_region *low = &mem->region[0];
	uint64_t size, room, gpa, done = 0;
	struct stat st;
	uint8_t *dst;

	*why = "cannot be read";
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0) {
		*why = "not a regular file, or empty";
		return -EINVAL;
	}
	size = (uint64_t)st.st_size;
	room = low->size > kernel_end ? low->size - kernel_end : 0;
	if (size > room) {
		*why = "does not fit into the guest's memory; give it more (--mem)";
		return -ENOMEM;
	}
	/* At the top, where the kernel's own early allocations come from: the same huge pages are touched. */
	gpa = (low->size - size) & ~0xfffull;
	dst = gpa >= kernel_end ? gmem_span(mem, gpa, size) : NULL;
	if (!dst) {
		*why = "does not fit into the guest's memory; give it more (--mem)";
		return -ENOMEM;
	}
	while (done < size) {
		ssize_t n = pread(fd, dst + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (uint64_t)n;
	}
	bp->hdr.ramdisk_image = (uint32_t)gpa; /* below the device hole */
	bp->hdr.ramdisk_size = (uint32_t)size;
	return 0;
}

static void add_e820(struct boot_params *bp, uint64_t addr, uint64_t size, uint32_t type)
{
	struct boot_e820_entry *e = &bp->e820_table[bp->e820_entries++];

	e->addr = addr;
	e->size = size;
	e->type = type;
}

/* The kernel mixes this into its pool at once, so that no early reader waits, and wipes it. */
static int write_seed(const struct gmem *mem, struct boot_params *bp)
{
	uint8_t *p = gmem_span(mem, BOOT_SETUP_DATA, sizeof(struct setup_data) + SEED_BYTES);
	struct setup_data sd = { .type = SETUP_RNG_SEED, .len = SEED_BYTES };

	if (!p)
		return -ENOMEM;
	memcpy(p, &sd, sizeof(sd));
	if (getrandom(p + sizeof(sd), SEED_BYTES, 0) != (ssize_t)SEED_BYTES)
		return -EIO;
	bp->hdr.setup_data = BOOT_SETUP_DATA;
	return 0;
}

/* Flat segments at the selectors that the boot protocol names: 0x10 code, 0x18 data. */
static int write_gdt(const struct gmem *mem, struct boot_regs *regs)
{
	static const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	void *p = gmem_span(mem, BOOT_GDT, sizeof(gdt));

	if (!p)
		return -ENOMEM;
	memcpy(p, gdt, sizeof(gdt));
	regs->gdt = BOOT_GDT;
	regs->gdt_limit = sizeof(gdt) - 1;
	return 0;
}

static int write_page_tables(const struct gmem *mem, struct boot_regs *regs)
{
	uint64_t *pml4 = gmem_span(mem, BOOT_PAGE_TABLES, 3 * 4096);
	uint64_t *pdpt, *pd;

	if (!pml4)
		return -ENOMEM;
	pdpt = pml4 + 512;
	pd = pdpt + 512;
	pml4[0] = (BOOT_PAGE_TABLES + 0x1000) | PTE_PRESENT | PTE_WRITE;
	pdpt[0] = (BOOT_PAGE_TABLES + 0x2000) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = i << 21 | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
	regs->cr3 = BOOT_PAGE_TABLES;
	return 0;
}

int boot_load(const struct boot_image *img, const struct gmem *mem, struct boot_regs *regs, const char **which,
	      const char **why)
{
	struct boot_params *bp = gmem_span(mem, BOOT_PARAMS, sizeof(*bp));
	size_t cmdline_len = strlen(img->cmdline);
	const struct gmem_region *low = &mem->region[0];
	struct elf_image elf;
	void *cmdline;
	int ret;

	*which = "kernel";
	*why = "the guest has too little memory";
	memset(regs, 0, sizeof(*regs));
	if (!bp || low->size < BOOT_KERNEL_MIN)
		return -ENOMEM;
	ret = elf_load(img->kernel_fd, mem, BOOT_KERNEL_MIN, low->size < BOOT_KERNEL_MAX ? low->size : BOOT_KERNEL_MAX,
		       &elf, why);
	if (ret)
		return ret;

	bp->hdr.boot_flag = 0xaa55;
	bp->hdr.header = 0x53726448; /* "HdrS" */
	bp->hdr.version = 0x020f;
	bp->hdr.type_of_loader = 0xff; /* unknown; 0 would make the kernel ignore the initrd */
	bp->hdr.loadflags = LOADED_HIGH;

	*which = "initrd";
	if (img->initrd_fd >= 0) {
		ret = load_initrd(img->initrd_fd, mem, elf.end, bp, why);
		if (ret)
			return ret;
	}

	*which = "command line";
	*why = "too long: the kernel takes 2047 bytes";
	if (cmdline_len >= BOOT_CMDLINE_MAX)
		return -E2BIG;
	cmdline = gmem_span(mem, BOOT_CMDLINE, BOOT_CMDLINE_MAX);
	*which = "boot data";
	*why = "the guest has too little memory";
	if (!cmdline)
		return -ENOMEM;
	memcpy(cmdline, img->cmdline, cmdline_len + 1);
	bp->hdr.cmd_line_ptr = BOOT_CMDLINE;
	bp->hdr.cmdline_size = (uint32_t)cmdline_len;

	add_e820(bp, 0, BOOT_RESERVED, E820_RAM);
	add_e820(bp, BOOT_RESERVED, BOOT_KERNEL_MIN - BOOT_RESERVED, E820_RESERVED);
	add_e820(bp, BOOT_KERNEL_MIN, low->size - BOOT_KERNEL_MIN, E820_RAM);
	for (unsigned int i = 1; i < mem->nregions; i++)
		add_e820(bp, mem->region[i].gpa, mem->region[i].size, E820_RAM);

	ret = write_seed(mem, bp);
	if (!ret)
		ret = write_gdt(mem, regs);
	if (!ret)
		ret = write_page_tables(mem, regs);
	if (!ret)
		ret = mptable_write(mem, img->vcpus);
	if (ret)
		return ret;
	regs->rip = elf.entry;
	regs->rsi = BOOT_PARAMS;
	*why = *which = NULL;
	return 0;
}
