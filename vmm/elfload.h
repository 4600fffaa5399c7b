/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading an ELF kernel into guest memory.
 */
#ifndef HUSK_VMM_ELFLOAD_H
#define HUSK_VMM_ELFLOAD_H

#include <stdint.h>

#include "memory.h"

#define ELF_SEGMENTS_MAX 32u

struct elf_image {
	uint64_t entry;	     /* physical address of the first instruction, inside a loaded executable segment */
	uint64_t start, end; /* lowest and highest physical address used, end exclusive */
};

/**
 * elf_load() - read the PT_LOAD segments of a 64-bit x86 executable into guest memory
 * @fd:   regular file; read by position, its offset does not matter. Untrusted: every field is checked
 * @mem:  guest memory, fresh (zero): bytes of a segment beyond its file part are left as they are
 * @low:  lowest and
 * @high: highest (exclusive) physical address that a segment may use
 * @img:  result
 * @why:  set to a constant text when the return value is not 0
 *
 * Return: 0, -ENOEXEC when the file is no acceptable kernel, or the -errno of reading it.
 */
int elf_load(int fd, const struct gmem *mem, uint64_t low, uint64_t high, struct elf_image *img, const char **why);

#endif
