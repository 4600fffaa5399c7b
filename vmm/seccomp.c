/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From tables of allowed system calls to filter programs. Each thread once, before the guest runs.
 *
 * The assembler is small on purpose: architecture, then one comparison per call in the table's order, which is by
 * frequency, and behind a match the comparisons of one argument. Kernels from 5.11 on remember calls that are allowed
 * whatever their arguments are, and do not run the program for them.
 */
#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW SECCOMP_RET_ALLOW
#define KILL SECCOMP_RET_KILL_PROCESS
#define X32_BIT 0x40000000u

#define ARG_LOW(n) ((uint32_t)(offsetof(struct seccomp_data, args) + 8u * (n)))
#define ARG_HIGH(n) (ARG_LOW(n) + 4u)

struct assembler {
	struct sock_filter *prog;
	size_t len;
	bool full;
};

static void emit(struct assembler *a, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	if (a->len == SECCOMP_PROGRAM_MAX) {
		a->full = true;
		return;
	}
	a->prog[a->len++] = (struct sock_filter){ .code = code, .jt = yes, .jf = no, .k = k };
}

static void load(struct assembler *a, uint32_t offset)
{
	emit(a, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void ret(struct assembler *a, uint32_t action)
{
	emit(a, BPF_RET | BPF_K, action, 0, 0);
}

/* Skip `no` instructions unless equal. */
static void skip_unless(struct assembler *a, uint32_t k, uint8_t no)
{
	emit(a, BPF_JMP | BPF_JEQ | BPF_K, k, 0, no);
}

/* The part behind a matching call number. It ends with a return on every way. */
static void emit_check(struct assembler *a, const struct seccomp_rule *r)
{
	switch (r->check) {
	case CHECK_NONE:
		ret(a, ALLOW);
		return;
	case CHECK_NO_BITS:
		load(a, ARG_HIGH(r->arg));
		emit(a, BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(r->value[0] >> 32), 2, 0);
		load(a, ARG_LOW(r->arg));
		emit(a, BPF_JMP | BPF_JSET | BPF_K, (uint32_t)r->value[0], 0, 1);
		ret(a, KILL);
		ret(a, ALLOW);
		return;
	case CHECK_IS32:
		load(a, ARG_LOW(r->arg));
		for (unsigned int i = 0; i < r->nvalues; i++) {
			skip_unless(a, (uint32_t)r->value[i], 1);
			ret(a, ALLOW);
		}
		ret(a, KILL);
		return;
	case CHECK_IS:
		for (unsigned int i = 0; i < r->nvalues; i++) {
			load(a, ARG_HIGH(r->arg));
			skip_unless(a, (uint32_t)(r->value[i] >> 32), 3);
			load(a, ARG_LOW(r->arg));
			skip_unless(a, (uint32_t)r->value[i], 1);
			ret(a, ALLOW);
		}
		ret(a, KILL);
		return;
	}
}

size_t seccomp_assemble(const struct seccomp_rule *rules, size_t n, struct sock_filter *prog)
{
	struct assembler a = { .prog = prog };

	load(&a, offsetof(struct seccomp_data, arch));
	skip_unless(&a, AUDIT_ARCH_X86_64, 2);
	load(&a, offsetof(struct seccomp_data, nr));
	emit(&a, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1); /* the 32-bit pointer calls have numbers of their own */
	ret(&a, KILL);
	for (size_t i = 0; i < n; i++) {
		size_t at = a.len;

		skip_unless(&a, rules[i].nr, 0);
		emit_check(&a, &rules[i]);
		if (a.full || a.len - at - 1 > UINT8_MAX)
			return 0;
		prog[at].jf = (uint8_t)(a.len - at - 1);
	}
	ret(&a, KILL);
	return a.full ? 0 : a.len;
}

int seccomp_enter(enum thread_kind kind)
{
	struct sock_filter prog[SECCOMP_PROGRAM_MAX];
	const struct seccomp_rule *rules;
	size_t n = seccomp_rules(kind, &rules);
	struct sock_fprog fprog = { .filter = prog };

	fprog.len = (unsigned short)seccomp_assemble(rules, n, prog);
	if (fprog.len == 0)
		return -E2BIG;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog))
		return -errno;
	return 0;
}
