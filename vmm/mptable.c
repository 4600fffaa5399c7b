/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of CPUs and interrupts (Intel MultiProcessor Specification 1.4). It replaces ACPI: the kernel needs no
 * interpreter and the guest no firmware. Main thread, before the guest runs; constant data.
 */
#include <errno.h>
#include <string.h>

#include "boot.h"

#define MP_SPEC 4u /* revision 1.4 */
#define APIC_VERSION 0x14u

enum mp_entry { MP_CPU = 0, MP_BUS = 1, MP_IOAPIC = 2, MP_INT = 3, MP_LOCAL_INT = 4 };
enum mp_int { INT_VECTORED = 0, INT_NMI = 1, INT_EXTINT = 3 };

#define CPU_ENABLED 1u
#define CPU_BSP 2u
#define DST_ALL 0xffu

struct mp_pointer { /* section 4.1 */
	char signature[4];
	uint32_t table;
	uint8_t length, spec, checksum, feature[5];
};
_Static_assert(sizeof(struct mp_pointer) == 16, "MP floating pointer");

struct mp_header { /* section 4.2 */
	char signature[4];
	uint16_t length;
	uint8_t spec, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t lapic;
	uint16_t ext_length;
	uint8_t ext_checksum, zero;
};
_Static_assert(sizeof(struct mp_header) == 44, "MP header");

struct mp_cpu { /* section 4.3.1 */
	uint8_t type, id, version, flags;
	uint32_t signature, features, zero[2];
};

struct mp_bus { /* section 4.3.2 */
	uint8_t type, id;
	char name[6];
};

struct mp_ioapic { /* section 4.3.3 */
	uint8_t type, id, version, flags;
	uint32_t addr;
};

struct mp_intsrc { /* sections 4.3.4 and 4.3.5 */
	uint8_t type, kind;
	uint16_t flags; /* 0: polarity and trigger as the bus has it: ISA is edge, active high */
	uint8_t bus, irq, dst, pin;
};
_Static_assert(sizeof(struct mp_cpu) == 20 && sizeof(struct mp_bus) == 8 && sizeof(struct mp_ioapic) == 8 &&
		       sizeof(struct mp_intsrc) == 8,
	       "MP entries");

struct writer {
	uint8_t *p;
	size_t len, room;
	uint16_t entries;
};

static void put(struct writer *w, const void *entry, size_t len)
{
	if (len > w->room - w->len) {
		w->room = 0;
		w->len = 0;
		w->p = NULL;
	}
	if (!w->p)
		return;
	memcpy(w->p + w->len, entry, len);
	w->len += len;
	w->entries++;
}

static uint8_t checksum(const void *p, size_t len)
{
	const uint8_t *b = p;
	unsigned int sum = 0;

	while (len--)
		sum += *b++;
	return (uint8_t)(0u - sum);
}

int mptable_write(const struct gmem *mem, unsigned int vcpus)
{
	uint8_t *base = gmem_span(mem, BOOT_MPTABLE, BOOT_MPTABLE_END - BOOT_MPTABLE);
	uint8_t *mpf = gmem_span(mem, BOOT_MPF, sizeof(struct mp_pointer));
	struct mp_pointer ptr = { .signature = "_MP_", .table = BOOT_MPTABLE, .length = 1, .spec = MP_SPEC };
	struct mp_header head = { .signature = "PCMP", .spec = MP_SPEC, .oem = "HUSK    ", .lapic = BOOT_LAPIC };
	struct writer w = { .p = base, .len = sizeof(head), .room = BOOT_MPTABLE_END - BOOT_MPTABLE };
	uint8_t ioapic_id = (uint8_t)vcpus; /* the first APIC id that no CPU has */

	if (!base || !mpf || vcpus == 0 || vcpus > BOOT_VCPUS_MAX)
		return -ENOMEM;
	memcpy(head.product, "HUSK MICROVM", sizeof(head.product));

	for (unsigned int i = 0; i < vcpus; i++) {
		struct mp_cpu cpu = { .type = MP_CPU, .id = (uint8_t)i, .version = APIC_VERSION, .flags = CPU_ENABLED };

		if (i == 0)
			cpu.flags |= CPU_BSP;
		put(&w, &cpu, sizeof(cpu));
	}
	put(&w, &(struct mp_bus){ .type = MP_BUS, .id = 0, .name = { 'I', 'S', 'A', ' ', ' ', ' ' } },
	    sizeof(struct mp_bus));
	put(&w,
	    &(struct mp_ioapic){ .type = MP_IOAPIC, .id = ioapic_id, .version = 0x11, .flags = 1, .addr = BOOT_IOAPIC },
	    sizeof(struct mp_ioapic));
	for (unsigned int i = 0; i < BOOT_IOAPIC_PINS; i++) {
		struct mp_intsrc src = {
			.type = MP_INT, .kind = INT_VECTORED, .irq = (uint8_t)i, .dst = ioapic_id, .pin = (uint8_t)i
		};

		put(&w, &src, sizeof(src));
	}
	put(&w, &(struct mp_intsrc){ .type = MP_LOCAL_INT, .kind = INT_EXTINT, .dst = 0, .pin = 0 },
	    sizeof(struct mp_intsrc));
	put(&w, &(struct mp_intsrc){ .type = MP_LOCAL_INT, .kind = INT_NMI, .dst = DST_ALL, .pin = 1 },
	    sizeof(struct mp_intsrc));
	if (!w.p)
		return -ENOMEM;

	head.length = (uint16_t)w.len;
	head.entries = w.entries;
	memcpy(base, &head, sizeof(head));
	head.checksum = checksum(base, w.len);
	memcpy(base, &head, sizeof(head));
	ptr.checksum = checksum(&ptr, sizeof(ptr));
	memcpy(mpf, &ptr, sizeof(ptr));
	return 0;
}
