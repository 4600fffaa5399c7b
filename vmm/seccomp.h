/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System call filters, one per kind of thread.
 */
#ifndef HUSK_VMM_SECCOMP_H
#define HUSK_VMM_SECCOMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jail.h"

struct sock_filter;

/* A condition on one argument, which is compared with up to SECCOMP_VALUES_MAX values. */
enum seccomp_check {
	CHECK_NONE = 0,
	CHECK_IS,      /* the argument, 64 bits, is one of the values */
	CHECK_IS32,    /* its low 32 bits are: where the kernel looks at no more */
	CHECK_NO_BITS, /* it has no bit in common with value[0] */
};

#define SECCOMP_VALUES_MAX 16u

/* One allowed call. */
struct seccomp_rule {
	uint32_t nr;
	const char *name;
	const char *why;
	bool rare;	      /* needed in cases that the tests cannot bring about reliably; `why` tells which */
	uint16_t rare_values; /* the same of single values, as bits */
	enum seccomp_check check;
	uint8_t arg;
	uint8_t nvalues;
	uint64_t value[SECCOMP_VALUES_MAX];
};

/* The calls that a kind of thread may make, each once. Returns their number. */
size_t seccomp_rules(enum thread_kind kind, const struct seccomp_rule **rules);

#define SECCOMP_PROGRAM_MAX 512u
#define SECCOMP_RULES_MAX 96u

/**
 * seccomp_assemble() - the filter program of some rules: what they do not allow ends the process with SIGSYS
 * @prog: room for SECCOMP_PROGRAM_MAX instructions
 *
 * Return: instructions, or 0 when they do not fit.
 */
size_t seccomp_assemble(const struct seccomp_rule *rules, size_t n, struct sock_filter *prog);

/* Put the filter of `kind` on the calling thread. Needs no_new_privs. 0 or -errno. */
int seccomp_enter(enum thread_kind kind);

#endif
