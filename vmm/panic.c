/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that panics without a console has told its log, and that lies in the memory that it leaves behind: a buffer
 * in the kernel's static data (kernel-config: LOG_CPU_MAX_BUF_SHIFT) that holds the messages as text, each ended by a
 * newline or a zero. So the reason can be had without a device, a port or an exit while the guest is well.
 *
 * Runs in the thread that saw the guest end. The guest controls every byte: what is found is bounded and made
 * printable.
 */
#include "panic.h"

#include <stdio.h>
#include <string.h>

#include "boot.h"

#define SCAN_MAX (32u << 20) /* bytes; the kernel with its static data is a third of it */
#define MESSAGE_MAX 120u

/* The first message that begins with `start` and goes on with a printable character: how much of it; 0: none. */
static size_t find_message(const uint8_t *at, size_t len, const char *start, const uint8_t **found)
{
	size_t n = strlen(start);
	const uint8_t *end = at + len;

	while ((at = memmem(at, (size_t)(end - at), start, n))) {
		size_t max = (size_t)(end - at) < MESSAGE_MAX ? (size_t)(end - at) : MESSAGE_MAX;
		size_t i = n;

		while (i < max && at[i] >= ' ' && at[i] <= '~')
			i++;
		/*
		 * The kernel takes the level, two bytes, off the front by moving the rest up, which leaves the
		 * last two bytes twice.
		 */
		if (i >= n + 4 && !memcmp(at + i - 2, at + i - 4, 2))
			i -= 2;
		/* the kernel's own format strings lie there, too */
		if (i > n && at[n] != '%') {
			*found = at;
			return i;
		}
		at += n;
	}
	return 0;
}

bool panic_text(const struct gmem *mem, char *text, size_t size)
{
	static const char panic[] = "Kernel panic - not syncing: ";
	static const char rip[] = "RIP: 0010:";
	const struct gmem_region *low = &mem->region[0];
	uint64_t len = low->size > BOOT_KERNEL_MIN ? low->size - BOOT_KERNEL_MIN : 0;
	const uint8_t *at, *found;
	size_t n;
	int used;

	len = len < SCAN_MAX ? len : SCAN_MAX;
	at = gmem_span(mem, BOOT_KERNEL_MIN, len);
	n = at && len ? find_message(at, len, panic, &found) : 0;
	if (!n)
		return false;
	used = snprintf(text, size, "%.*s", (int)(n - (sizeof(panic) - 1)), (const char *)found + sizeof(panic) - 1);
	n = find_message(at, len, rip, &found);
	if (n && used > 0 && (size_t)used < size)
		snprintf(text + used, size - (size_t)used, " (at %.*s)", (int)(n - (sizeof(rip) - 1)),
			 (const char *)found + sizeof(rip) - 1);
	return true;
}
