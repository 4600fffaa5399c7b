/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading and attaching programs of type sk_lookup. Runs in the agent's loop and in the host's network helper; nothing
 * here comes from anybody else.
 */
#include "steer.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

static int sockets_map(const int socks[2])
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 2 };
	int map = bpf(BPF_MAP_CREATE, &attr), r = 0;

	for (uint32_t key = 0; map >= 0 && r == 0 && key < 2; key++) {
		uint32_t value = (uint32_t)socks[key];

		if (socks[key] < 0)
			continue;
		memset(&attr, 0, sizeof(attr));
		attr.map_fd = (uint32_t)map;
		attr.key = (uint64_t)(uintptr_t)&key;
		attr.value = (uint64_t)(uintptr_t)&value;
		r = bpf(BPF_MAP_UPDATE_ELEM, &attr);
	}
	if (r < 0) {
		close(map);
		return r;
	}
	return map;
}

static int program_load(const struct bpf_insn *match, unsigned int n, int map)
{
	const struct bpf_insn head[] = {
		MOVE(R6, R1),
		STEER_NUMBER(0),
	};
	/* clang-format off */
	const struct bpf_insn tail[] = {
		{ .code = BPF_LD | BPF_DW, .dst_reg = R1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map }, /* BPF_IMM is 0 */
		{ .code = 0 },
		MOVE(R2, R10),
		ADD_IMM(R2, -4),
		CALL(BPF_FUNC_map_lookup_elem),
		WHEN_NULL(R0, 7),
		MOVE(R7, R0),
		MOVE(R1, R6),
		MOVE(R2, R7),
		MOVE_IMM(R3, 0),
		CALL(BPF_FUNC_sk_assign),
		MOVE(R1, R7),
		CALL(BPF_FUNC_sk_release),
		MOVE_IMM(R0, SK_PASS),
		{ .code = BPF_JMP | BPF_EXIT },
	};
	/* clang-format on */
	enum { HEAD = sizeof(head) / sizeof(*head), TAIL = sizeof(tail) / sizeof(*tail) };
	struct bpf_insn insns[HEAD + STEER_MATCH_MAX + TAIL];
	unsigned int pass = HEAD + n + TAIL - 2;
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SK_LOOKUP,
		.expected_attach_type = BPF_SK_LOOKUP,
		.insns = (uint64_t)(uintptr_t)insns,
		.insn_cnt = HEAD + n + TAIL,
		.license = (uint64_t)(uintptr_t) "Apache-2.0",
	};

	if (n > STEER_MATCH_MAX)
		return -E2BIG;
	memcpy(insns, head, sizeof(head));
	memcpy(insns + HEAD, match, n * sizeof(*match));
	memcpy(insns + HEAD + n, tail, sizeof(tail));
	for (unsigned int i = HEAD; i < HEAD + n; i++)
		if (insns[i].off == STEER_PASS)
			insns[i].off = (int16_t)(pass - i - 1);
	return bpf(BPF_PROG_LOAD, &attr);
}

int steer_attach(const struct bpf_insn *match, unsigned int n, const int socks[2])
{
	int map = sockets_map(socks), prog, ns, r;
	union bpf_attr attr = { .map_type = 0 };

	if (map < 0)
		return map;
	prog = program_load(match, n, map);
	close(map); /* the program keeps it */
	if (prog < 0)
		return prog;
	ns = ioctl(socks[0], SIOCGSKNS);
	r = ns < 0 ? -errno : 0;
	if (r == 0) {
		attr.link_create.prog_fd = (uint32_t)prog;
		attr.link_create.target_fd = (uint32_t)ns;
		attr.link_create.attach_type = BPF_SK_LOOKUP;
		r = bpf(BPF_LINK_CREATE, &attr);
		close(ns);
	}
	close(prog);
	return r;
}
