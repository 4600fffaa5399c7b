/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From tables of allowed system calls to filter programs. Each thread once, before the guest runs.
 *
 * The assembler is small on purpose: architecture, then a binary search for the call's number, and behind a match the
 * comparisons of one argument. The search is not so much for speed at run time, since kernels from 5.11 on remember
 * calls that are allowed whatever their arguments are: to know them, they interpret the program for each possible call
 * when it is installed, and that was the jail's greatest cost with comparisons one after the other.
 */
#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW SECCOMP_RET_ALLOW
#ifdef HUSK_TEST_BREACH
#include "tests/breach/breach.h"
#define KILL (SECCOMP_RET_ERRNO | BREACH_REFUSED)
#else
#define KILL SECCOMP_RET_KILL_PROCESS
#endif
#define X32_BIT 0x40000000u
#define LEAF 3u

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

/* The part behind a matching call number with a condition. It ends with a return on every way. */
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

/* A few rules one after the other; what none of them names is forbidden. */
static void emit_leaf(struct assembler *a, const struct seccomp_rule *const *rule, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = a->len;

		skip_unless(a, rule[i]->nr, 0);
		emit_check(a, rule[i]);
		if (a->len - at - 1 > UINT8_MAX)
			a->full = true;
		if (!a->full)
			a->prog[at].jf = (uint8_t)(a->len - at - 1);
	}
	ret(a, KILL);
}

/* Halves the rules, which are sorted by number, until few are left. Jumps to the right half may be long. */
static void emit_tree(struct assembler *a, const struct seccomp_rule *const *rule, size_t n)
{
	size_t half = n / 2, at;

	if (n <= LEAF) {
		emit_leaf(a, rule, n);
		return;
	}
	emit(a, BPF_JMP | BPF_JGE | BPF_K, rule[half]->nr, 0, 1);
	at = a->len;
	emit(a, BPF_JMP | BPF_JA, 0, 0, 0);
	emit_tree(a, rule, half);
	if (!a->full)
		a->prog[at].k = (uint32_t)(a->len - at - 1);
	emit_tree(a, rule + half, n - half);
}

size_t seccomp_assemble(const struct seccomp_rule *rules, size_t n, struct sock_filter *prog)
{
	const struct seccomp_rule *sorted[SECCOMP_RULES_MAX] = { NULL };
	struct assembler a = { .prog = prog };

	if (n > SECCOMP_RULES_MAX)
		return 0;
	for (size_t i = 0; i < n; i++) { /* insertion: the tables are short */
		size_t j = i;

		for (; j > 0 && sorted[j - 1]->nr > rules[i].nr; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = &rules[i];
	}
	load(&a, offsetof(struct seccomp_data, arch));
	skip_unless(&a, AUDIT_ARCH_X86_64, 2);
	load(&a, offsetof(struct seccomp_data, nr));
	emit(&a, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0,
	     1); /* the calls with 32-bit pointers have numbers of their own */
	ret(&a, KILL);
	emit_tree(&a, sorted, n);
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
