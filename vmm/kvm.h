/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM descriptors of one VM, and what this host's KVM can do.
 */
#ifndef HUSK_VMM_KVM_H
#define HUSK_VMM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

struct kvm {
	int sys, vm;		/* /dev/kvm, the VM */
	size_t run_size;	/* bytes of a vCPU's shared page(s) */
	unsigned int vcpus_max; /* what KVM allows */
	bool readonly_mem;	/* KVM_MEM_READONLY works */
	bool plain_registers;	/* device registers without read-only slot and ioeventfd, for measuring */
	bool kvmclock_ctrl;
	uint32_t slots; /* memory slots in use */
};

/**
 * kvm_open() - open /dev/kvm and check what husk needs
 * @text: when it fails, one line: what, why, how to mend it
 *
 * Return: 0 or -errno. *k holds one descriptor then, to be closed by kvm_close().
 */
int kvm_open(struct kvm *k, char *text, size_t text_size);

/**
 * kvm_create() - make the VM: address space, interrupt controllers, no timer chip
 *
 * Return: 0 or -errno with text as kvm_open().
 */
int kvm_create(struct kvm *k, char *text, size_t text_size);
void kvm_close(struct kvm *k);

/* Show `host` to the guest at `gpa`; both and size multiples of 4 KiB. 0 or -errno. Main or loop thread. */
int kvm_map(struct kvm *k, uint64_t gpa, uint64_t size, void *host, bool readonly);

/* Show all RAM. */
int kvm_map_ram(struct kvm *k, const struct gmem *mem);

/* Writes of `value` (`len` bytes) to `gpa` add 1 to eventfd `fd`, without an exit to us. len 0: any write. */
int kvm_ioeventfd(const struct kvm *k, uint64_t gpa, uint32_t len, uint64_t value, int fd, bool on);

/* Eventfd `fd` raises interrupt line `gsi` (edge). */
int kvm_irqfd(const struct kvm *k, uint32_t gsi, int fd, bool on);

#endif
