/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that arrive for one address, steered to a socket that is bound to another: BPF programs of type sk_lookup,
 * which the kernel asks before it looks for a listener. Unlike a NAT rule this needs no netfilter modules and no
 * connection tracking, occupies no port, cannot be seen or flushed by anybody's rules, and ends with its descriptor.
 */
#ifndef HUSK_AGENT_STEER_H
#define HUSK_AGENT_STEER_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

#define STEER_MATCH_MAX 64u
#define STEER_PASS INT16_MAX /* offset of a jump: not ours, look for a listener as ever */

enum { R0, R1, R2, R3, R6 = 6, R7, R10 = 10 };

#define CTX(field) ((int16_t)offsetof(struct bpf_sk_lookup, field))
#define LOAD(dst, src, at)                                                                         \
	{                                                                                          \
		.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = (dst), .src_reg = (src), .off = (at) \
	}
#define STORE_IMM(dst, at, v)                                                               \
	{                                                                                   \
		.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = (dst), .off = (at), .imm = (v) \
	}
#define MOVE(dst, src)                                                                  \
	{                                                                               \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src) \
	}
#define MOVE_IMM(dst, v)                                                          \
	{                                                                         \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), .imm = (v) \
	}
#define ADD_IMM(dst, v)                                                           \
	{                                                                         \
		.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (dst), .imm = (v) \
	}
#define AND_IMM(dst, v)                                                           \
	{                                                                         \
		.code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = (dst), .imm = (v) \
	}
#define CALL(fn)                                        \
	{                                               \
		.code = BPF_JMP | BPF_CALL, .imm = (fn) \
	}
/* jumps: over this many instructions, or STEER_PASS */
#define UNLESS_IMM(dst, v, n)                                                                 \
	{                                                                                     \
		.code = BPF_JMP32 | BPF_JNE | BPF_K, .dst_reg = (dst), .imm = (v), .off = (n) \
	}
#define WHEN_IMM(dst, v, n)                                                                   \
	{                                                                                     \
		.code = BPF_JMP32 | BPF_JEQ | BPF_K, .dst_reg = (dst), .imm = (v), .off = (n) \
	}
#define WHEN_NULL(dst, n)                                                                 \
	{                                                                                 \
		.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = (dst), .imm = 0, .off = (n) \
	}
#define JUMP(n)                                      \
	{                                            \
		.code = BPF_JMP | BPF_JA, .off = (n) \
	}

/* Before the match: R6 holds the context, and number 0 is stored. */
#define STEER_NUMBER(v) STORE_IMM(R10, -4, v)

/**
 * steer_attach() - in the network namespace of the first socket, from now on
 * @match: decides by the context (R6): falls through for packets to steer, with the number of the socket stored; uses
 *	   R0 only
 * @socks: listening TCP or bound UDP sockets; the second may be -1
 *
 * Return: a descriptor whose close ends it, or -errno (-EPERM, -EINVAL: this kernel does not do it).
 */
int steer_attach(const struct bpf_insn *match, unsigned int n, const int socks[2]);

#endif
