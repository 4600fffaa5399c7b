/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF loader: main thread, before the guest runs. The file may come from anybody: headers are copied once,
 * checked, then used; segments are read straight into guest memory through the one checked accessor.
 */
#include "elfload.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads exactly len bytes at off; -EIO when the file ends early. */
static int read_at(int fd, void *buf, uint64_t len, uint64_t off)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static const char *header_fault(const Elf64_Ehdr *eh, uint64_t size)
{
	uint64_t table = (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr);

	if (memcmp(eh->e_ident, ELFMAG, SELFMAG))
		return "not an ELF file (an uncompressed vmlinux is needed, not a bzImage)";
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_X86_64)
		return "not an ELF file for x86-64";
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return "not an executable ELF file";
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phnum > ELF_SEGMENTS_MAX)
		return "ELF program header table has a wrong size";
	if (eh->e_phoff > size || table > size - eh->e_phoff)
		return "ELF program header table is outside the file";
	return NULL;
}

static const char *segment_fault(const Elf64_Phdr *ph, uint64_t size, uint64_t low, uint64_t high)
{
	if (ph->p_filesz > ph->p_memsz)
		return "ELF segment is longer in the file than in memory";
	if (ph->p_offset > size || ph->p_filesz > size - ph->p_offset)
		return "ELF segment is outside the file";
	if (ph->p_paddr < low || ph->p_paddr > high || ph->p_memsz > high - ph->p_paddr)
		return "ELF segment does not fit into the guest's memory";
	return NULL;
}

static bool overlaps(const Elf64_Phdr *a, const Elf64_Phdr *b)
{
	/* Neither sum can wrap: segment_fault() has seen both. */
	return a->p_paddr < b->p_paddr + b->p_memsz && b->p_paddr < a->p_paddr + a->p_memsz;
}

int elf_load(int fd, const struct gmem *mem, uint64_t low, uint64_t high, struct elf_image *img, const char **why)
{
	Elf64_Phdr ph[ELF_SEGMENTS_MAX] = { 0 };
	Elf64_Ehdr eh;
	struct stat st;
	uint64_t size;
	bool entry_ok = false;
	int ret;

	*why = "cannot be read";
	*img = (struct elf_image){ .start = UINT64_MAX };
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(eh)) {
		*why = "not a regular file, or shorter than an ELF header";
		return -ENOEXEC;
	}
	size = (uint64_t)st.st_size;

	ret = read_at(fd, &eh, sizeof(eh), 0);
	if (ret)
		return ret;
	*why = header_fault(&eh, size);
	if (*why)
		return -ENOEXEC;
	*why = "cannot be read";
	ret = read_at(fd, ph, eh.e_phnum * sizeof(ph[0]), eh.e_phoff);
	if (ret)
		return ret;

	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		void *dst;

		if (ph[i].p_type != PT_LOAD || ph[i].p_memsz == 0)
			continue;
		*why = segment_fault(&ph[i], size, low, high);
		if (*why)
			return -ENOEXEC;
		for (unsigned int j = 0; j < i; j++) {
			if (ph[j].p_type == PT_LOAD && ph[j].p_memsz && overlaps(&ph[i], &ph[j])) {
				*why = "ELF segments overlap";
				return -ENOEXEC;
			}
		}
		dst = gmem_span(mem, ph[i].p_paddr, ph[i].p_memsz);
		if (!dst) {
			*why = "ELF segment does not fit into the guest's memory";
			return -ENOEXEC;
		}
		*why = "cannot be read";
		ret = read_at(fd, dst, ph[i].p_filesz, ph[i].p_offset);
		if (ret)
			return ret;
		if (ph[i].p_paddr < img->start)
			img->start = ph[i].p_paddr;
		if (ph[i].p_paddr + ph[i].p_memsz > img->end)
			img->end = ph[i].p_paddr + ph[i].p_memsz;
		if ((ph[i].p_flags & PF_X) && eh.e_entry >= ph[i].p_paddr && eh.e_entry - ph[i].p_paddr < ph[i].p_memsz)
			entry_ok = true;
	}
	if (!entry_ok) {
		*why = "ELF entry point is outside its executable segments";
		return -ENOEXEC;
	}
	img->entry = eh.e_entry;
	*why = NULL;
	return 0;
}
