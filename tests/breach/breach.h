/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hole in the wall, made on purpose: builds with BREACH=1 only, never in the product. The guest names a kind of
 * thread and a system call, and a thread of that kind makes it. So the tests see what somebody who controls that
 * thread could do.
 *
 * A breached build refuses forbidden calls with the error BREACH_REFUSED instead of ending, so that one VM can try all.
 */
#ifndef HUSK_TESTS_BREACH_H
#define HUSK_TESTS_BREACH_H

#include <stdint.h>

#define BREACH_PORT 0x8f0 /* a 32-bit write: guest physical address of a struct breach_call */
#define BREACH_REFUSED 4095

struct breach_call {
	uint32_t kind;	   /* enum thread_kind */
	uint32_t pointers; /* bit n: argument n is a guest physical address, and becomes a pointer */
	int64_t nr;
	uint64_t arg[6];
	int64_t result; /* >= 0, or -errno */
};

#ifndef HUSK_GUEST
#include "vmm/jail.h"
#include "vmm/memory.h"

/* Before jail_thread() in a thread of this kind: makes a second one, with all that this one has at that moment. */
void breach_twin(enum thread_kind kind);

/* In a vCPU's thread: serves a write to BREACH_PORT. */
void breach_serve(const struct gmem *mem, uint64_t gpa);
#endif

#endif
