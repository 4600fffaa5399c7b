/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device rules to eBPF: the program is run by a small interpreter, and its verdict compared with what the list of rules
 * says.
 */
// link: oci
#include "tests/unit/unit.h"

#include <linux/bpf.h>

#include "oci/devices_bpf.h"

#define BLOCK BPF_DEVCG_DEV_BLOCK
#define CHAR BPF_DEVCG_DEV_CHAR

/* Runs the program. Returns its verdict, or -1 when the kernel's verifier would not have liked what happens. */
static int run(const struct bpf_insn *insns, size_t n, uint32_t type, uint32_t access, uint32_t major, uint32_t minor)
{
	const struct bpf_cgroup_dev_ctx ctx = { .access_type = access << 16 | type, .major = major, .minor = minor };
	uint64_t r[11] = { [1] = (uint64_t)(uintptr_t)&ctx };
	unsigned set = 1u << 1 | 1u << 10;

	for (size_t pc = 0, steps = 0; pc < n && steps <= n; pc++, steps++) {
		const struct bpf_insn *i = &insns[pc];
		uint64_t src = BPF_SRC(i->code) == BPF_X ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;
		bool jump = false;

		if (BPF_SRC(i->code) == BPF_X && BPF_CLASS(i->code) != BPF_LDX && !(set & 1u << i->src_reg))
			return -1;
		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			if (r[i->src_reg] != (uint64_t)(uintptr_t)&ctx || i->off < 0 || i->off > 8 || i->off % 4)
				return -1;
			r[i->dst_reg] = *(const uint32_t *)((const char *)&ctx + i->off);
			set |= 1u << i->dst_reg;
			continue;
		case BPF_ALU | BPF_MOV | BPF_X:
		case BPF_ALU | BPF_MOV | BPF_K:
			r[i->dst_reg] = (uint32_t)src;
			set |= 1u << i->dst_reg;
			continue;
		case BPF_ALU | BPF_RSH | BPF_K:
			r[i->dst_reg] = (uint32_t)r[i->dst_reg] >> src;
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			r[i->dst_reg] = (uint32_t)(r[i->dst_reg] & src);
			continue;
		case BPF_JMP | BPF_JNE | BPF_K:
			jump = r[i->dst_reg] != src;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			jump = r[i->dst_reg] == src;
			break;
		case BPF_JMP | BPF_EXIT:
			return set & 1 ? (int)r[0] : -1;
		default:
			return -1;
		}
		if (!(set & 1u << i->dst_reg) || i->off < 0)
			return -1;
		if (jump)
			pc += (size_t)i->off;
	}
	return -1; /* ran off the end */
}

/* What the rules say, written down naively: each access bit by the last rule that matches it. */
static int expected(const struct spec_device_rule *rules, size_t n, uint32_t type, uint32_t access, uint32_t major,
		    uint32_t minor)
{
	static const uint32_t bits[3][2] = { { BPF_DEVCG_ACC_READ, DEV_READ },
					     { BPF_DEVCG_ACC_WRITE, DEV_WRITE },
					     { BPF_DEVCG_ACC_MKNOD, DEV_MKNOD } };

	for (int b = 0; b < 3; b++) {
		bool ok = false;

		if (!(access & bits[b][0]))
			continue;
		for (size_t i = 0; i < n; i++) {
			const struct spec_device_rule *r = &rules[i];

			if ((r->type == 'a' || (r->type == 'b') == (type == BLOCK)) && (r->access & bits[b][1]) &&
			    (r->major < 0 || r->major == major) && (r->minor < 0 || r->minor == minor))
				ok = r->allow;
		}
		if (!ok)
			return 0;
	}
	return 1;
}

static int verdict(const struct spec_device_rule *rules, size_t n, uint32_t type, uint32_t access, uint32_t major,
		   uint32_t minor)
{
	struct arena *a = arena_new();
	struct bpf_insn *insns = NULL;
	size_t count;
	int r = devices_bpf_compile(rules, n, a, &insns, &count);

	if (r == 0)
		r = run(insns, count, type, access, major, minor);
	arena_free(a);
	return r;
}

TEST(no_rule_denies_everything)
{
	CHECK_EQ(verdict(NULL, 0, CHAR, BPF_DEVCG_ACC_READ, 1, 3), 0);
}

TEST(allow_all_needs_no_program)
{
	const struct spec_device_rule rules[] = { { false, 'a', -1, -1, 7 }, { true, 'a', -1, -1, 7 } };
	struct arena *a = arena_new();
	struct bpf_insn *insns;
	size_t count;

	CHECK_EQ(devices_bpf_compile(rules, 2, a, &insns, &count), 1);
	CHECK_EQ(count, 0);
	arena_free(a);
}

TEST(a_later_rule_beats_an_earlier_one)
{
	const struct spec_device_rule rules[] = {
		{ true, 'a', -1, -1, 7 },
		{ false, 'c', 10, 229, 7 },
		{ true, 'c', 10, 229, DEV_READ },
	};

	CHECK_EQ(verdict(rules, 3, CHAR, BPF_DEVCG_ACC_READ, 10, 229), 1);
	CHECK_EQ(verdict(rules, 3, CHAR, BPF_DEVCG_ACC_WRITE, 10, 229), 0);
	CHECK_EQ(verdict(rules, 3, CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 10, 229), 0);
	CHECK_EQ(verdict(rules, 3, BLOCK, BPF_DEVCG_ACC_WRITE, 10, 229), 1);
}

TEST(accesses_granted_by_different_rules_add_up)
{
	const struct spec_device_rule rules[] = { { true, 'b', 8, -1, DEV_READ }, { true, 'b', -1, 0, DEV_WRITE } };

	CHECK_EQ(verdict(rules, 2, BLOCK, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 8, 0), 1);
	CHECK_EQ(verdict(rules, 2, BLOCK, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 8, 1), 0);
}

TEST(the_program_agrees_with_the_rules_for_random_lists)
{
	unsigned seed = 1;

	for (int round = 0; round < 3000; round++) {
		struct spec_device_rule rules[12];
		size_t n = (size_t)rand_r(&seed) % 12;

		for (size_t i = 0; i < n; i++)
			rules[i] = (struct spec_device_rule){
				.allow = rand_r(&seed) % 2,
				.type = "abc"[rand_r(&seed) % 3],
				.major = rand_r(&seed) % 4 - 1,
				.minor = rand_r(&seed) % 4 - 1,
				.access = (uint32_t)rand_r(&seed) % 8,
			};
		for (int k = 0; k < 20; k++) {
			uint32_t type = rand_r(&seed) % 2 ? BLOCK : CHAR, access = (uint32_t)rand_r(&seed) % 7 + 1;
			uint32_t major = (uint32_t)rand_r(&seed) % 3, minor = (uint32_t)rand_r(&seed) % 3;
			int got = verdict(rules, n, type, access, major, minor);

			CHECK_EQ(got, expected(rules, n, type, access, major, minor));
		}
	}
}

TEST(too_many_rules_are_refused_and_the_most_fit)
{
	size_t max = DEVICES_INSNS_MAX / 8 - 2, count;
	struct spec_device_rule *rules = calloc(max + 1, sizeof(*rules));
	struct arena *a = arena_new();
	struct bpf_insn *insns;

	for (size_t i = 0; i <= max; i++)
		rules[i] = (struct spec_device_rule){ true, 'c', (int64_t)(i % 4096), (int64_t)i, 7 };
	CHECK_EQ(devices_bpf_compile(rules, max + 1, a, &insns, &count), -E2BIG);
	CHECK_EQ(devices_bpf_compile(rules, max, a, &insns, &count), 0);
	CHECK(count <= DEVICES_INSNS_MAX);
	CHECK_EQ(run(insns, count, CHAR, BPF_DEVCG_ACC_READ, 0, 0), 1);
	CHECK_EQ(run(insns, count, CHAR, BPF_DEVCG_ACC_READ, 9, 8), 0);
	arena_free(a);
	free(rules);
}

/* Where the machine lets us, its own kernel reads the program, too. */
TEST(the_kernels_verifier_takes_the_program)
{
	const struct spec_device_rule rules[] = {
		{ false, 'a', -1, -1, 7 },	{ true, 'c', -1, -1, DEV_MKNOD }, { true, 'c', 1, 3, 7 },
		{ true, 'a', -1, 9, DEV_READ }, { false, 'b', 8, -1, DEV_WRITE },
	};
	struct arena *a = arena_new();
	struct bpf_insn *insns;
	char log[4096] = "";
	union bpf_attr attr = { 0 };
	size_t count;
	long fd;

	CHECK_EQ(devices_bpf_compile(rules, 5, a, &insns, &count), 0);
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = (uint32_t)count;
	attr.license = (uintptr_t) "Apache-2.0";
	attr.log_buf = (uintptr_t)log;
	attr.log_size = sizeof(log);
	attr.log_level = 1;
	fd = syscall(321 /* bpf */, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0 && (errno == EPERM || errno == ENOSYS))
		printf("# this machine does not let programs be loaded\n");
	else if (fd < 0)
		UNIT_FAIL("%s: %s", strerror(errno), log);
	else
		close((int)fd);
	arena_free(a);
}
