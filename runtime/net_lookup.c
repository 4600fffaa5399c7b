/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to localhost, whatever the port, steered to one listening socket: a BPF program of type sk_lookup, which
 * the kernel asks when a connection arrives and before it looks for a listener. Unlike a NAT rule it needs no netfilter
 * modules and no connection tracking, cannot be seen or flushed by the engine's own rules, and ends with
 * its descriptor.
 *
 * Runs in the network helper, inside the container's host-side network namespace. Nothing here comes from the guest.
 */
#include "net_lookup.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "util.h"

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

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
/* jumps: over this many instructions */
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

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* Listening sockets by family: 0 IPv4, 1 IPv6. */
static int sockets_map(int v4, int v6)
{
	const int fds[] = { v4, v6 };
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 2 };
	CLEAN_FD int map = bpf(BPF_MAP_CREATE, &attr);

	if (map < 0)
		return -errno;
	for (uint32_t key = 0; key < ARRAY_LEN(fds); key++) {
		uint32_t value = (uint32_t)fds[key];

		if (fds[key] < 0)
			continue;
		memset(&attr, 0, sizeof(attr));
		attr.map_fd = (uint32_t)map;
		attr.key = (uint64_t)(uintptr_t)&key;
		attr.value = (uint64_t)(uintptr_t)&value;
		if (bpf(BPF_MAP_UPDATE_ELEM, &attr) < 0)
			return -errno;
	}
	return take_fd(&map);
}

/* Addresses in the context are in network byte order, read as words of this (little-endian) machine. */
static int program_load(int map)
{
	/* clang-format off */
	const struct bpf_insn insns[] = {
		/*  0 */ MOVE(R6, R1),
		/*  1 */ STORE_IMM(R10, -4, 0),
		/*  2 */ LOAD(R0, R6, CTX(protocol)),
		/*  3 */ UNLESS_IMM(R0, IPPROTO_TCP, 30),
		/*  4 */ LOAD(R0, R6, CTX(family)),
		/*  5 */ UNLESS_IMM(R0, AF_INET, 5),
		/*  6 */ LOAD(R0, R6, CTX(local_ip4)),
		/*  7 */ WHEN_IMM(R0, 0x0b00007f, 26), /* 127.0.0.11: Docker's resolver, which is here */
		/*  8 */ AND_IMM(R0, 0xff),
		/*  9 */ UNLESS_IMM(R0, 127, 24),
		/* 10 */ JUMP(10),
		/* 11 */ UNLESS_IMM(R0, AF_INET6, 22),
		/* 12 */ LOAD(R0, R6, CTX(local_ip6)),
		/* 13 */ UNLESS_IMM(R0, 0, 20),
		/* 14 */ LOAD(R0, R6, CTX(local_ip6) + 4),
		/* 15 */ UNLESS_IMM(R0, 0, 18),
		/* 16 */ LOAD(R0, R6, CTX(local_ip6) + 8),
		/* 17 */ UNLESS_IMM(R0, 0, 16),
		/* 18 */ LOAD(R0, R6, CTX(local_ip6) + 12),
		/* 19 */ UNLESS_IMM(R0, 0x01000000, 14),
		/* 20 */ STORE_IMM(R10, -4, 1),
		/* 21 */ { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = R1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		/* 22 */ { .code = 0 },
		/* 23 */ MOVE(R2, R10),
		/* 24 */ ADD_IMM(R2, -4),
		/* 25 */ CALL(BPF_FUNC_map_lookup_elem),
		/* 26 */ WHEN_NULL(R0, 7),
		/* 27 */ MOVE(R7, R0),
		/* 28 */ MOVE(R1, R6),
		/* 29 */ MOVE(R2, R7),
		/* 30 */ MOVE_IMM(R3, 0),
		/* 31 */ CALL(BPF_FUNC_sk_assign),
		/* 32 */ MOVE(R1, R7),
		/* 33 */ CALL(BPF_FUNC_sk_release),
		/* 34 */ MOVE_IMM(R0, SK_PASS),
		/* 35 */ { .code = BPF_JMP | BPF_EXIT },
	};
	/* clang-format on */
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SK_LOOKUP,
		.expected_attach_type = BPF_SK_LOOKUP,
		.insns = (uint64_t)(uintptr_t)insns,
		.insn_cnt = ARRAY_LEN(insns),
		.license = (uint64_t)(uintptr_t) "Apache-2.0",
	};
	int fd = bpf(BPF_PROG_LOAD, &attr);

	return fd < 0 ? -errno : fd;
}

int net_lookup_attach(int v4, int v6)
{
	CLEAN_FD int map = -1, prog = -1, ns = -1;
	union bpf_attr attr = { .map_type = 0 };
	int link;

	map = sockets_map(v4, v6);
	if (map < 0)
		return map;
	prog = program_load(map);
	if (prog < 0)
		return prog;
	ns = ioctl(v4, SIOCGSKNS);
	if (ns < 0)
		return -errno;
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.target_fd = (uint32_t)ns;
	attr.link_create.attach_type = BPF_SK_LOOKUP;
	link = bpf(BPF_LINK_CREATE, &attr);
	return link < 0 ? -errno : link;
}
