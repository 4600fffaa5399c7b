/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack: writes a vmlinux with only what a loader needs.
 *
 *	pack IN OUT
 *
 * The linker aligns the parts of the kernel's text to 2 MiB and fills the gaps, so that a third of the file is filler
 * that every VM start would copy into guest memory. This keeps the ELF header, the loadable segments and the notes
 * (PVH entry), and leaves out sections, symbols, and every long run of filler pages:
 *
 *   - pages of zeros become the part of the segment before them that is in memory but not in the file (p_memsz), which
 *     a loader presents as zeros: the memory image stays the same;
 *   - pages of 0xcc (int3, the linker's filler between functions) are covered by no segment: they are never executed,
 *     and the kernel frees or ignores them.
 *
 * Data in the file starts at page boundaries, so that it can be mapped as well as read.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096UL
#define MIN_RUN 16UL	 /* pages of filler worth a segment of their own */
#define MAX_SEGMENTS 16U /* a loader may have a small table */

enum filler { DATA, ZERO, TRAP };

struct kernel {
	const unsigned char *bytes;
	uint64_t size;
	Elf64_Ehdr header;
	Elf64_Phdr out[MAX_SEGMENTS];
	uint64_t from[MAX_SEGMENTS]; /* offset in the input of each output segment */
	unsigned int count;
	uint64_t end; /* where the next segment goes in the output file */
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	fputs("pack: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static enum filler page_kind(const unsigned char *page)
{
	unsigned char first = page[0];

	if ((first != 0 && first != 0xcc) || memcmp(page, page + 1, PAGE - 1))
		return DATA;
	return first ? TRAP : ZERO;
}

static Elf64_Phdr *segment_add(struct kernel *kernel, const Elf64_Phdr *like, uint64_t skip)
{
	Elf64_Phdr *segment;

	if (kernel->count == MAX_SEGMENTS)
		die("more than %u segments", MAX_SEGMENTS);
	kernel->from[kernel->count] = like->p_offset + skip;
	segment = &kernel->out[kernel->count++];
	*segment = *like;
	segment->p_vaddr += skip;
	segment->p_paddr += skip;
	segment->p_filesz = segment->p_memsz = 0;
	segment->p_align = PAGE;
	return segment;
}

/* Splits one loadable segment at its long runs of filler. */
static void segment_split(struct kernel *kernel, const Elf64_Phdr *load)
{
	uint64_t pages = load->p_filesz / PAGE, page = 0, run;
	const unsigned char *bytes = kernel->bytes + load->p_offset;
	Elf64_Phdr *current = NULL;

	if ((load->p_offset | load->p_vaddr | load->p_paddr) % PAGE)
		die("a segment does not start at a page");
	while (page < pages) {
		enum filler kind = page_kind(bytes + page * PAGE);

		for (run = 1; page + run < pages && page_kind(bytes + (page + run) * PAGE) == kind; run++)
			;
		if (kind == TRAP && run >= MIN_RUN) {
			current = NULL;
		} else if (kind == ZERO && run >= MIN_RUN && current) {
			current->p_memsz += run * PAGE;
			/* What follows is a segment of its own, behind this one's zeros. */
			current = NULL;
		} else {
			if (!current)
				current = segment_add(kernel, load, page * PAGE);
			current->p_filesz += run * PAGE;
			current->p_memsz += run * PAGE;
		}
		page += run;
	}
	/* The last part of a page, and the memory behind the file's part. */
	if (!current)
		current = segment_add(kernel, load, pages * PAGE);
	current->p_filesz += load->p_filesz % PAGE;
	current->p_memsz += load->p_filesz % PAGE + (load->p_memsz - load->p_filesz);
}

static void segments_place(struct kernel *kernel)
{
	kernel->end = PAGE;
	for (unsigned int i = 0; i < kernel->count; i++) {
		kernel->out[i].p_offset = kernel->end;
		kernel->end = (kernel->end + kernel->out[i].p_filesz + PAGE - 1) & ~(PAGE - 1);
	}
}

/* Notes lie within a loadable segment: find where they went. */
static void note_add(struct kernel *kernel, const Elf64_Phdr *note)
{
	for (unsigned int i = 0; i < kernel->count; i++) {
		const Elf64_Phdr *load = &kernel->out[i];

		if (load->p_type == PT_LOAD && note->p_offset >= kernel->from[i] &&
		    note->p_offset - kernel->from[i] < load->p_filesz &&
		    note->p_filesz <= load->p_filesz - (note->p_offset - kernel->from[i])) {
			uint64_t offset = load->p_offset + (note->p_offset - kernel->from[i]);
			Elf64_Phdr *segment = segment_add(kernel, note, 0);

			segment->p_offset = offset;
			segment->p_filesz = segment->p_memsz = note->p_filesz;
			segment->p_align = note->p_align;
			return;
		}
	}
	die("the notes are in no loadable segment");
}

static Elf64_Phdr program_header(const struct kernel *kernel, unsigned int index)
{
	Elf64_Phdr header;

	memcpy(&header, kernel->bytes + kernel->header.e_phoff + index * sizeof(header), sizeof(header));
	if (header.p_offset > kernel->size || header.p_filesz > kernel->size - header.p_offset ||
	    header.p_memsz < header.p_filesz)
		die("program header %u reaches out of the file", index);
	return header;
}

static void kernel_read(struct kernel *kernel, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const Elf64_Ehdr *header = &kernel->header;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die("cannot open %s: %s", path, strerror(errno));
	kernel->size = (uint64_t)st.st_size;
	if (kernel->size < sizeof(*header))
		die("%s is too short", path);
	kernel->bytes = mmap(NULL, kernel->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (kernel->bytes == MAP_FAILED)
		die("cannot map %s: %s", path, strerror(errno));
	close(fd);
	memcpy(&kernel->header, kernel->bytes, sizeof(*header));
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_machine != EM_X86_64 || header->e_type != ET_EXEC)
		die("%s is not an ELF executable for x86-64", path);
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > kernel->size ||
	    header->e_phnum > (kernel->size - header->e_phoff) / sizeof(Elf64_Phdr))
		die("%s has no valid program headers", path);
}

static bool put(int fd, const void *data, uint64_t size, uint64_t offset)
{
	const unsigned char *bytes = data;

	while (size) {
		ssize_t done = pwrite(fd, bytes, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes += done;
		size -= (uint64_t)done;
		offset += (uint64_t)done;
	}
	return true;
}

static void kernel_write(struct kernel *kernel, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool fine = fd >= 0;

	kernel->header.e_phoff = sizeof(kernel->header);
	kernel->header.e_phnum = (Elf64_Half)kernel->count;
	kernel->header.e_shoff = 0;
	kernel->header.e_shnum = kernel->header.e_shentsize = kernel->header.e_shstrndx = 0;
	fine = fine && put(fd, &kernel->header, sizeof(kernel->header), 0) &&
	       put(fd, kernel->out, kernel->count * sizeof(kernel->out[0]), sizeof(kernel->header));
	for (unsigned int i = 0; fine && i < kernel->count; i++)
		if (kernel->out[i].p_type == PT_LOAD)
			fine = put(fd, kernel->bytes + kernel->from[i], kernel->out[i].p_filesz,
				   kernel->out[i].p_offset);
	if (!fine || close(fd) < 0)
		die("cannot write %s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
	static struct kernel kernel;

	if (argc != 3) {
		fputs("Usage: pack IN OUT\n", stderr);
		return 2;
	}
	kernel_read(&kernel, argv[1]);
	for (unsigned int i = 0; i < kernel.header.e_phnum; i++) {
		Elf64_Phdr header = program_header(&kernel, i);

		if (header.p_type == PT_LOAD)
			segment_split(&kernel, &header);
	}
	segments_place(&kernel);
	for (unsigned int i = 0; i < kernel.header.e_phnum; i++) {
		Elf64_Phdr header = program_header(&kernel, i);

		if (header.p_type == PT_NOTE)
			note_add(&kernel, &header);
	}
	if (!kernel.count)
		die("%s has no loadable segment", argv[1]);
	kernel_write(&kernel, argv[2]);
	return 0;
}
