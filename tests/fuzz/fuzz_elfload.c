/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is a kernel file. Whatever it says: no access outside guest memory, and an accepted entry lies inside.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/boot.h"
#include "vmm/elfload.h"

#define RAM (32ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gmem mem;
	static int fd = -1;
	struct elf_image img;
	const char *why;

	if (fd < 0) {
		fd = memfd_create("kernel", MFD_CLOEXEC);
		if (fd < 0 || gmem_alloc(&mem, RAM))
			abort();
	}
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if (elf_load(fd, &mem, BOOT_KERNEL_MIN, RAM, &img, &why)) {
		if (!why)
			abort();
		return 0;
	}
	if (why || img.start < BOOT_KERNEL_MIN || img.end > RAM || img.entry < img.start || img.entry >= img.end)
		abort();
	return 0;
}
