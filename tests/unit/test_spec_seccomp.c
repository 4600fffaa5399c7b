/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp to BPF: the filter is run by a small interpreter and its verdicts are compared. */
// link: oci
#include "tests/unit/oci_help.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "oci/arena.h"
#include "oci/seccomp.h"

#define X32 0x40000000u
#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))

/* Runs the filter on one call; UINT32_MAX when it does what the kernel would refuse. */
static uint32_t run(const struct sock_filter *f, size_t n, const struct seccomp_data *data)
{
	uint32_t a = 0, mem[16] = { 0 };

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &f[pc];
		bool yes;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k > sizeof(*data) - 4 || i->k % 4)
				return UINT32_MAX;
			memcpy(&a, (const char *)data + i->k, 4);
			continue;
		case BPF_ST:
			mem[i->k % 16] = a;
			continue;
		case BPF_LD | BPF_MEM:
			a = mem[i->k % 16];
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = (a & i->k) != 0;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			printf("# instruction 0x%x\n", i->code);
			return UINT32_MAX;
		}
		pc += yes ? i->jt : i->jf;
	}
	return UINT32_MAX;
}

static struct spec *filter_spec;
static struct sock_filter *filter;
static size_t filter_len;
static struct arena *filter_arena;

static bool compile(struct spec *s)
{
	filter_spec = s;
	if (!s) {
		UNIT_FAIL("%s", help_error.text);
		return false;
	}
	filter_arena = arena_new();
	if (seccomp_compile(s->lin.seccomp, filter_arena, &filter, &filter_len, &help_error) == 0)
		return true;
	UNIT_FAIL("%s", help_error.text);
	return false;
}

static void done(void)
{
	arena_free(filter_arena);
	spec_free(filter_spec);
}

static uint32_t verdict(uint32_t arch, uint32_t nr, uint64_t arg0)
{
	const struct seccomp_data d = { .nr = (int)nr, .arch = arch, .args = { arg0 } };

	return run(filter, filter_len, &d);
}

#define NATIVE(nr) verdict(AUDIT_ARCH_X86_64, nr, 0)
#define PROFILE(members) LINUX("\"seccomp\":{" members "}")

TEST(allowed_calls_pass_and_others_get_the_default)
{
	REQUIRE(compile(
		config(PROFILE("\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":13,\"syscalls\":[{\"names\":"
			       "[\"read\",\"close\",\"io_uring_setup\"],\"action\":\"SCMP_ACT_ALLOW\"}]"))));
	CHECK_EQ(NATIVE(SYS_read), SECCOMP_RET_ALLOW);
	CHECK_EQ(NATIVE(SYS_close), SECCOMP_RET_ALLOW);
	CHECK_EQ(NATIVE(SYS_write), ERRNO(EACCES));
	done();
}

TEST(calls_newer_than_the_profile_give_enosys)
{
	REQUIRE(compile(config(
		PROFILE("\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86\"],\"syscalls\":"
			"[{\"names\":[\"read\",\"openat2\"],\"action\":\"SCMP_ACT_ALLOW\"}]"))));
	CHECK_EQ(NATIVE(SYS_openat2), SECCOMP_RET_ALLOW);
	CHECK_EQ(NATIVE(SYS_openat2 - 1), ERRNO(EPERM));
	CHECK_EQ(NATIVE(SYS_openat2 + 1), ERRNO(ENOSYS));
	CHECK_EQ(NATIVE(1000), ERRNO(ENOSYS));
	/* an architecture that is not named, or that the guest's kernel has not, is killed, whatever the number */
	CHECK_EQ(verdict(AUDIT_ARCH_I386, 3, 0), SECCOMP_RET_KILL_THREAD);
	CHECK_EQ(verdict(AUDIT_ARCH_I386, 438, 0), SECCOMP_RET_KILL_THREAD);
	CHECK_EQ(NATIVE(X32 | 0), SECCOMP_RET_KILL_THREAD);
	CHECK_EQ(NATIVE(X32 | 1000), SECCOMP_RET_KILL_THREAD);
	CHECK_EQ(verdict(AUDIT_ARCH_AARCH64, 1000, 0), SECCOMP_RET_KILL_THREAD);
	done();
}

TEST(permissive_profiles_and_those_that_say_enosys_have_no_preamble)
{
	REQUIRE(compile(
		config(PROFILE("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mount\"],\"action\":"
			       "\"SCMP_ACT_ERRNO\"}]"))));
	CHECK_EQ(NATIVE(SYS_mount), ERRNO(EPERM));
	CHECK_EQ(NATIVE(1000), SECCOMP_RET_ALLOW);
	done();
	REQUIRE(compile(
		config(PROFILE("\"defaultAction\":\"SCMP_ACT_LOG\",\"syscalls\":[{\"names\":[\"mount\"],\"action\":"
			       "\"SCMP_ACT_ALLOW\"}]"))));
	CHECK_EQ(NATIVE(1000), SECCOMP_RET_LOG);
	done();
}

TEST(x32_calls_give_enosys_where_the_profile_names_x32)
{
	REQUIRE(compile(
		config(PROFILE("\"defaultAction\":\"SCMP_ACT_KILL_PROCESS\",\"architectures\":[\"SCMP_ARCH_X32\"],"
			       "\"syscalls\":[{\"names\":[\"read\",\"openat2\"],\"action\":\"SCMP_ACT_ALLOW\"}]"))));
	CHECK_EQ(NATIVE(SYS_write), SECCOMP_RET_KILL_PROCESS);
	CHECK_EQ(NATIVE(X32 | SYS_read), ERRNO(ENOSYS));
	CHECK_EQ(NATIVE(X32 | 900), ERRNO(ENOSYS));
	done();
	REQUIRE(compile(config(PROFILE("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X32\"]"))));
	CHECK_EQ(NATIVE(SYS_write), SECCOMP_RET_ALLOW);
	CHECK_EQ(NATIVE(1000), SECCOMP_RET_ALLOW);
	CHECK_EQ(NATIVE(X32 | SYS_read), ERRNO(ENOSYS));
	done();
}

TEST(conditions_on_different_arguments_must_all_hold)
{
	const struct seccomp_data yes = { .nr = SYS_socket, .arch = AUDIT_ARCH_X86_64, .args = { 16, 3 } };
	const struct seccomp_data no = { .nr = SYS_socket, .arch = AUDIT_ARCH_X86_64, .args = { 16, 2 } };

	REQUIRE(compile(
		config(PROFILE("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"socket\"],\"action\":"
			       "\"SCMP_ACT_ERRNO\",\"errnoRet\":97,\"args\":[{\"index\":0,\"value\":16,\"op\":"
			       "\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":3,\"op\":\"SCMP_CMP_EQ\"}]}]"))));
	CHECK_EQ(run(filter, filter_len, &yes), ERRNO(97));
	CHECK_EQ(run(filter, filter_len, &no), SECCOMP_RET_ALLOW);
	done();
}

TEST(conditions_on_one_argument_are_alternatives)
{
	REQUIRE(compile(
		config(PROFILE("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"personality\"],"
			       "\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,\"value\":5,\"op\":"
			       "\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":7,\"op\":\"SCMP_CMP_EQ\"}]}]"))));
	CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_personality, 5), ERRNO(EPERM));
	CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_personality, 7), ERRNO(EPERM));
	CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_personality, 6), SECCOMP_RET_ALLOW);
	done();
}

TEST(every_operator_compares_64_bits)
{
	static const struct {
		const char *op;
		uint64_t value, two, hit, miss;
	} cases[] = {
		{ "SCMP_CMP_NE", 1, 0, UINT64_C(1) << 32 | 1, 1 },
		{ "SCMP_CMP_LT", UINT64_C(1) << 32, 0, 0xffffffff, UINT64_C(1) << 32 },
		{ "SCMP_CMP_LE", 9, 0, 9, UINT64_C(1) << 32 },
		{ "SCMP_CMP_EQ", UINT64_C(5) << 32, 0, UINT64_C(5) << 32, 5 },
		{ "SCMP_CMP_GE", UINT64_C(5) << 32, 0, UINT64_C(5) << 32, 6 },
		{ "SCMP_CMP_GT", 5, 0, UINT64_C(1) << 32, 5 },
		{ "SCMP_CMP_MASKED_EQ", 0xff00, 0x100, 0x1ab, 0x2ab },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1024];

		snprintf(text, sizeof(text),
			 PROFILE("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"kill\"],\"action\":"
				 "\"SCMP_ACT_TRAP\",\"args\":[{\"index\":0,\"op\":\"%s\",\"value\":%" PRIu64
				 ",\"valueTwo\":%" PRIu64 "}]}]"),
			 cases[i].op, cases[i].value, cases[i].two);
		REQUIRE(compile(config(text)));
		CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_kill, cases[i].hit), SECCOMP_RET_TRAP);
		CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_kill, cases[i].miss), SECCOMP_RET_ALLOW);
		done();
	}
}

TEST(unknown_calls_and_rules_that_repeat_the_default_are_left_out)
{
	REQUIRE(compile(config(
		PROFILE("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"nosuchcall\",\"mount\"],"
			"\"action\":\"SCMP_ACT_KILL\"},{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}]"))));
	CHECK_EQ(NATIVE(SYS_mount), SECCOMP_RET_KILL_THREAD);
	CHECK_EQ(NATIVE(SYS_read), SECCOMP_RET_ALLOW);
	done();
}

TEST(the_profile_of_docker_does_what_it_says)
{
	REQUIRE(compile(config_file("docker")));
	CHECK_EQ(NATIVE(SYS_openat), SECCOMP_RET_ALLOW);
	CHECK_EQ(NATIVE(SYS_clone3), ERRNO(ENOSYS));
	CHECK_EQ(NATIVE(SYS_mount), ERRNO(EPERM));
	CHECK_EQ(NATIVE(SYS_reboot), ERRNO(EPERM));
	CHECK_EQ(NATIVE(460), ERRNO(ENOSYS));
	CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_personality, 0xffffffff), SECCOMP_RET_ALLOW);
	CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_personality, 1), ERRNO(EPERM));
	/* CLONE_NEWUSER */
	CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_clone, 0x10000000), ERRNO(EPERM));
	CHECK_EQ(verdict(AUDIT_ARCH_X86_64, SYS_clone, 17), SECCOMP_RET_ALLOW);
	CHECK(filter_len < 1500);
	done();
}

TEST(the_kernel_takes_the_filter)
{
	struct sock_fprog prog;

	REQUIRE(compile(config_file("docker")));
	prog = (struct sock_fprog){ (unsigned short)filter_len, filter };
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
	CHECK_EQ(syscall(460), -1);
	CHECK_EQ(errno, ENOSYS);
	CHECK_EQ(syscall(SYS_mount, "", "", "", 0, ""), -1);
	CHECK_EQ(errno, EPERM);
	done();
}
