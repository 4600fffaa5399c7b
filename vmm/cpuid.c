/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID of the guest: the host's CPU as KVM can virtualise it, KVM's own leaves kept (kvmclock, steal time, PV
 * spinlocks), nested virtualisation and performance counters hidden. Main thread, before the guest runs.
 */
#include "cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define ENTRIES_FIRST 128u
#define ENTRIES_MAX 512u

struct kvm_cpuid2 *cpuid_get(int sys)
{
	int deadline = ioctl(sys, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER);
	struct kvm_cpuid2 *c = NULL;

	for (uint32_t n = ENTRIES_FIRST; n <= ENTRIES_MAX; n *= 2) {
		free(c);
		c = calloc(1, sizeof(*c) + n * sizeof(c->entries[0]));
		if (!c)
			return NULL;
		c->nent = n;
		if (ioctl(sys, KVM_GET_SUPPORTED_CPUID, c) == 0)
			break;
		if (errno != E2BIG || n == ENTRIES_MAX) {
			int err = errno;

			free(c);
			errno = err;
			return NULL;
		}
	}

	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		switch (e->function) {
		case 0x1:
			e->ecx &= ~(1u << 2 | 1u << 3 | 1u << 4 | 1u << 5); /* DTES64, MONITOR, DS-CPL, VMX */
			e->ecx &= ~(1u << 15);				    /* PDCM: performance MSRs */
			e->ecx |= 1u << 31;				    /* hypervisor present */
			/*
			 * KVM leaves this bit to us. Without it the guest calibrates its LAPIC timer for 240 M
			 * instructions.
			 */
			if (deadline > 0)
				e->ecx |= 1u << 24;
			e->edx &= ~(1u << 21); /* DS: branch and sample records */
			break;
		case 0x7:
			if (e->index == 0) {
				e->ebx &= ~(1u << 2);  /* SGX */
				e->ecx &= ~(1u << 30); /* SGX launch control */
				e->edx &= ~(1u << 19); /* architectural LBR */
			}
			break;
		case 0xa:	 /* performance counters: the guest would probe their MSRs, each an exit */
		case 0x12:	 /* SGX */
		case 0x8000000a: /* SVM */
		case 0x8000001f: /* SEV */
		case 0x80000022: /* AMD performance counters */
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		case 0x80000001:
			e->ecx &= ~(1u << 2);			     /* SVM */
			e->ecx &= ~(1u << 23 | 1u << 24);	     /* AMD core and northbridge counters */
			e->ecx &= ~(1u << 10 | 1u << 12 | 1u << 28); /* IBS, SKINIT, L3 counters */
			break;
		}
	}
	return c;
}

/* Bits that number n things. */
static unsigned int order(unsigned int n)
{
	return n > 1 ? 32u - (unsigned int)__builtin_clz(n - 1) : 0;
}

static void set_topology(struct kvm_cpuid_entry2 *e, unsigned int id, unsigned int n)
{
	unsigned int core_bits = order(n);

	switch (e->function) {
	case 0x1:
		e->ebx = (e->ebx & 0x0000ffffu) | id << 24 | n << 16;
		if (n > 1)
			e->edx |= 1u << 28; /* HTT: the count in EBX is valid */
		else
			e->edx &= ~(1u << 28);
		break;
	case 0x4:
		/*
		 * Bits 25:14 threads that share the cache, 31:26 cores of the package, both minus one. Level 3
		 * is shared.
		 */
		e->eax &= 0x3fffu;
		if ((e->eax >> 5 & 7) == 3)
			e->eax |= (n - 1) << 14;
		if (e->eax & 0x1f)
			e->eax |= (n - 1) << 26;
		break;
	case 0xb:
	case 0x1f:
		e->edx = id;
		e->ecx = e->index & 0xffu;
		e->eax = e->ebx = 0;
		if (e->index == 0) { /* threads of a core */
			e->eax = 0;
			e->ebx = 1;
			e->ecx |= 1u << 8;
		} else if (e->index == 1) { /* cores of the package */
			e->eax = core_bits;
			e->ebx = n;
			e->ecx |= 2u << 8;
		}
		break;
	case 0x80000008:
		e->ecx = (e->ecx & ~0xf0ffu) | core_bits << 12 | (n - 1);
		break;
	case 0x8000001d:
		e->eax &= 0x3fffu;
		if ((e->eax >> 5 & 7) == 3)
			e->eax |= (n - 1) << 14;
		break;
	case 0x8000001e:
		e->eax = id;
		e->ebx = id; /* core id; one thread per core */
		e->ecx = 0;  /* node 0, one node */
		break;
	}
}

int cpuid_apply(struct kvm_cpuid2 *c, int vcpu_fd, unsigned int id, unsigned int n)
{
	for (uint32_t i = 0; i < c->nent; i++)
		set_topology(&c->entries[i], id, n);
	return ioctl(vcpu_fd, KVM_SET_CPUID2, c) ? -errno : 0;
}
