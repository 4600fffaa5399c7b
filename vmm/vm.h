/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine: what its parts share, and how it ends.
 */
#ifndef HUSK_VMM_VM_H
#define HUSK_VMM_VM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot.h"
#include "kvm.h"
#include "loop.h"
#include "memory.h"
#include "mmio.h"
#include "vcpu.h"

struct serial;

struct vm {
	struct kvm kvm;
	struct gmem mem;
	struct loop *loop;
	struct mmio_bus bus;
	struct vcpus vcpus;
	struct serial *serial; /* NULL: none */

	bool agent; /* an agent will say when it is ready */

	/* CLOCK_MONOTONIC ns, 0: not reached */
	uint64_t t_start;
	_Atomic uint64_t t_entry, t_ready;

	/* the end: the first thread that says so decides */
	atomic_bool ended;
	int end_status;
	char end_text[256]; /* empty: nothing to say */
};

/* CLOCK_MONOTONIC, ns. */
uint64_t vm_now(void);

/**
 * vm_end() - end the VM: the loop stops, and husk-vmm exits
 * @status: exit status of husk-vmm (docs/architecture.md)
 * @fmt:    NULL, or one line for the operator
 *
 * Any thread, any number of times; the first call counts.
 */
void vm_end(struct vm *vm, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
