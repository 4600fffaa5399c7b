/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device rules to eBPF.
 *
 * The rules are an ordered list in which a later one overrides an earlier one, for each of read, write and mknod by
 * itself. So the program looks at them from the last to the first and keeps in r1 which of the requested accesses are
 * still undecided: a rule that denies one of them ends with "no", a rule that allows some takes them out, and when none
 * is left the answer is "yes". What no rule decides is denied.
 *
 * 	r0 scratch and verdict	r1 undecided accesses	r2 device type	r3 major  r4 minor
 */
#include "oci/devices_bpf.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define RULE_INSNS_MAX 8
#define DEV_ALL (DEV_READ | DEV_WRITE | DEV_MKNOD)

enum { R0, R1, R2, R3, R4 };

struct program {
	struct bpf_insn *insns;
	size_t n;
};

static void emit(struct program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	p->insns[p->n++] = (struct bpf_insn){ .code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm };
}

static void emit_load(struct program *p, uint8_t dst, size_t offset)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, dst, R1, (int16_t)offset, 0);
}

static void emit_prologue(struct program *p)
{
	/* the context's access_type: type in the low half, access in the high half */
	emit_load(p, R2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit_load(p, R3, offsetof(struct bpf_cgroup_dev_ctx, major));
	emit_load(p, R4, offsetof(struct bpf_cgroup_dev_ctx, minor));
	emit(p, BPF_ALU | BPF_MOV | BPF_X, R1, R2, 0, 0);
	emit(p, BPF_ALU | BPF_RSH | BPF_K, R1, 0, 0, 16);
	emit(p, BPF_ALU | BPF_AND | BPF_K, R2, 0, 0, 0xffff);
}

static void emit_return(struct program *p, int verdict)
{
	emit(p, BPF_ALU | BPF_MOV | BPF_K, R0, 0, 0, verdict);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int32_t access_bits(uint32_t access)
{
	return ((access & DEV_READ) ? BPF_DEVCG_ACC_READ : 0) | ((access & DEV_WRITE) ? BPF_DEVCG_ACC_WRITE : 0) |
	       ((access & DEV_MKNOD) ? BPF_DEVCG_ACC_MKNOD : 0);
}

static void emit_rule(struct program *p, const struct spec_device_rule *r)
{
	size_t skip[4], nskip = 0;
	const int32_t bits = access_bits(r->access);

	/* each test jumps behind the rule when it does not match; the distance is filled in at the end */
	if (r->type != 'a') {
		skip[nskip++] = p->n;
		emit(p, BPF_JMP | BPF_JNE | BPF_K, R2, 0, 0, r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	}
	if (r->major >= 0) {
		skip[nskip++] = p->n;
		emit(p, BPF_JMP | BPF_JNE | BPF_K, R3, 0, 0, (int32_t)r->major);
	}
	if (r->minor >= 0) {
		skip[nskip++] = p->n;
		emit(p, BPF_JMP | BPF_JNE | BPF_K, R4, 0, 0, (int32_t)r->minor);
	}
	if (r->allow) {
		emit(p, BPF_ALU | BPF_AND | BPF_K, R1, 0, 0, ~bits);
		skip[nskip++] = p->n;
		emit(p, BPF_JMP | BPF_JNE | BPF_K, R1, 0, 0, 0);
		emit_return(p, 1);
	} else {
		emit(p, BPF_ALU | BPF_MOV | BPF_X, R0, R1, 0, 0);
		emit(p, BPF_ALU | BPF_AND | BPF_K, R0, 0, 0, bits);
		skip[nskip++] = p->n;
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 0, 0);
		emit_return(p, 0);
	}
	for (size_t i = 0; i < nskip; i++)
		p->insns[skip[i]].off = (int16_t)(p->n - skip[i] - 1);
}

/* Decides every access to every device: nothing before it counts. */
static bool rule_is_total(const struct spec_device_rule *r)
{
	return r->type == 'a' && r->major < 0 && r->minor < 0 && r->access == DEV_ALL;
}

int devices_bpf_compile(const struct spec_device_rule *rules, size_t n, struct arena *a, struct bpf_insn **insns,
			size_t *count)
{
	struct program p = { 0 };
	size_t first = n;
	bool fallback = false;

	*count = 0;
	while (first > 0 && !rule_is_total(&rules[first - 1]))
		first--;
	if (first > 0)
		fallback = rules[first - 1].allow;
	/* an allowing rule changes nothing where everything is allowed already */
	if (fallback) {
		bool denies = false;

		for (size_t i = first; i < n; i++)
			denies |= !rules[i].allow;
		if (!denies)
			return 1;
	}
	if (n - first > DEVICES_INSNS_MAX / RULE_INSNS_MAX - 2)
		return -E2BIG;
	p.insns = arena_alloc(a, (n - first) * RULE_INSNS_MAX + 8, sizeof(*p.insns));
	emit_prologue(&p);
	for (size_t i = n; i > first; i--)
		emit_rule(&p, &rules[i - 1]);
	emit_return(&p, fallback ? 1 : 0);
	*insns = p.insns;
	*count = p.n;
	return 0;
}
