/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest finds when it starts: memory layout, boot data, interrupt table, and the ports that the VMM answers.
 *
 * The agent ends the VM by writing any byte to BOOT_PORT_POWEROFF: husk-vmm then ends with status 0. A restart of
 * the guest kernel (triple fault) is a failure, unless husk-vmm runs without an agent.
 */
#ifndef HUSK_VMM_BOOT_H
#define HUSK_VMM_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

/* Physical addresses. Everything below 1 MiB is used up before the kernel frees it, or reserved in the e820 map. */
#define BOOT_GDT 0x500ull
#define BOOT_PARAMS 0x7000ull	   /* struct boot_params, 4 KiB */
#define BOOT_SETUP_DATA 0x8000ull  /* random seed for the kernel */
#define BOOT_PAGE_TABLES 0x9000ull /* PML4, PDPT, PD: 1 GiB mapped one to one */
#define BOOT_CMDLINE 0x20000ull
#define BOOT_RESERVED 0x9e000ull /* from here to 1 MiB nothing is RAM for the kernel */
#define BOOT_MPTABLE 0x9e000ull
#define BOOT_MPTABLE_END 0x9fc00ull
#define BOOT_MPF 0x9fc00ull /* last KiB of base memory: where the kernel looks for the pointer second */
#define BOOT_KERNEL_MIN 0x100000ull
#define BOOT_KERNEL_MAX 0x40000000ull

#define BOOT_CMDLINE_MAX 2048u /* COMMAND_LINE_SIZE of the kernel, NUL included */
#define BOOT_VCPUS_MAX 64u     /* CONFIG_NR_CPUS of the kernel */

#define BOOT_PORT_GROW 0x605
#define BOOT_PORT_POWEROFF 0x604u
#define BOOT_PORT_SERIAL 0x3f8u /* with --debug only */
#define BOOT_IRQ_SERIAL 4u

#define BOOT_IOAPIC 0xfec00000u
#define BOOT_LAPIC 0xfee00000u
#define BOOT_IOAPIC_PINS 24u

struct boot_image {
	int kernel_fd, initrd_fd; /* initrd_fd -1: none */
	const char *cmdline;
	unsigned int vcpus; /* in the MP table: all that may come online */
};

struct boot_regs {
	uint64_t rip, rsi, cr3;
	uint64_t gdt;
	uint16_t gdt_limit;
};

/**
 * boot_load() - put kernel, initrd and boot data into fresh guest memory
 * @why: set to a constant text when the return value is not 0
 * @which: set to "kernel", "initrd" or "command line" likewise
 *
 * Return: 0 and the start registers in *regs, or -errno.
 */
int boot_load(const struct boot_image *img, const struct gmem *mem, struct boot_regs *regs, const char **which,
	      const char **why);

/**
 * mptable_write() - Intel MP specification 1.4 table: CPUs, one ISA bus, one IO-APIC with identity-mapped pins
 * @vcpus: 1..BOOT_VCPUS_MAX, APIC ids 0..vcpus-1
 *
 * Return: 0 or -ENOMEM when it does not fit between BOOT_MPTABLE and BOOT_MPTABLE_END.
 */
int mptable_write(const struct gmem *mem, unsigned int vcpus);

#endif
