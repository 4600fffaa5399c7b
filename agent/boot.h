/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PID 1 does before the loop: the guest's file systems, limits, command line; and how it ends
 * the VM.
 */
#ifndef HUSK_AGENT_BOOT_H
#define HUSK_AGENT_BOOT_H

#include <stdbool.h>

#include "wire.h"

#define BOOT_CGROUP "/sys/fs/cgroup" /* cgroup v2 */

/* The mark of boot benchmarks: must be the first thing that main() does. */
static inline void boot_mark(void)
{
#if defined(__x86_64__)
	unsigned int a = WIRE_MARK_LEAF, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
#endif
}

/* Root, /proc, /sys, /dev, cgroups. Does not return when the guest would be of no use. */
void boot_mounts(void);

/* The folders in MOUNT_RUN that containers are built with. 0 or -errno. */
int boot_dirs(void);

/* Limits of the kernel and of the processes to come, the loopback interface, the host's shares. */
void boot_settings(void);

/* Does the kernel command line hold the word? With '=' at its end: the value is copied. */
bool boot_word(const char *word, char *value, unsigned long cap);

/* The guest cannot go on: say why on the console and restart, which the VMM takes for a failure. */
void boot_fatal(int err, const char *what) __attribute__((noreturn));

/* End the VM without a failure. */
void boot_poweroff(void) __attribute__((noreturn));

#endif
