/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "vmm/seccomp.h"

/* What the kernel would decide: an interpreter of the few instructions that the assembler uses. */
static uint32_t decide(const struct sock_filter *prog, size_t len, const struct seccomp_data *d)
{
	uint32_t acc = 0;

	for (size_t pc = 0; pc < len; pc++) {
		const struct sock_filter *f = &prog[pc];
		bool yes;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&acc, (const uint8_t *)d + f->k, 4);
			continue;
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = acc == f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = acc >= f->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = acc & f->k;
			break;
		default:
			return 0xdead;
		}
		pc += yes ? f->jt : f->jf;
	}
	return 0xbeef;
}

/* What the table says. */
static bool allowed(const struct seccomp_rule *r, size_t n, const struct seccomp_data *d)
{
	if (d->arch != AUDIT_ARCH_X86_64)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t v = d->args[r[i].arg];

		if (r[i].nr != (uint32_t)d->nr)
			continue;
		if (r[i].check == CHECK_NONE)
			return true;
		if (r[i].check == CHECK_NO_BITS)
			return !(v & r[i].value[0]);
		for (unsigned int k = 0; k < r[i].nvalues; k++)
			if (r[i].check == CHECK_IS ? v == r[i].value[k] : (uint32_t)v == (uint32_t)r[i].value[k])
				return true;
		return false;
	}
	return false;
}

TEST(the_programs_decide_as_the_tables_say_for_every_call)
{
	for (int kind = 0; kind < THREAD_KINDS; kind++) {
		struct sock_filter prog[SECCOMP_PROGRAM_MAX];
		const struct seccomp_rule *rules;
		size_t n = seccomp_rules((enum thread_kind)kind, &rules), wrong = 0;
		size_t len = seccomp_assemble(rules, n, prog);
		uint64_t value[64];
		size_t nvalues = 0;

		REQUIRE(n > 0 && len > 0);
		for (size_t i = 0; i < n; i++)
			for (unsigned int k = 0; k < rules[i].nvalues && nvalues + 4 < 64; k++) {
				value[nvalues++] = rules[i].value[k];
				value[nvalues++] = rules[i].value[k] | 1ull << 40;
				value[nvalues++] = ~rules[i].value[k];
			}
		value[nvalues++] = 0;
		for (int64_t nr = -3; nr < 700; nr++)
			for (size_t v = 0; v < nvalues; v++) {
				struct seccomp_data d = { .nr = (int)nr, .arch = AUDIT_ARCH_X86_64 };

				for (int a = 0; a < 6; a++)
					d.args[a] = value[(v + (size_t)a) % nvalues];
				wrong += (decide(prog, len, &d) == SECCOMP_RET_ALLOW) != allowed(rules, n, &d);
				d.nr |= 0x40000000;
				wrong += decide(prog, len, &d) != SECCOMP_RET_KILL_PROCESS;
				d.nr &= ~0x40000000;
				d.arch = AUDIT_ARCH_I386;
				wrong += decide(prog, len, &d) != SECCOMP_RET_KILL_PROCESS;
			}
		CHECK_EQ(wrong, 0);
	}
}

TEST(the_tables_are_short_reasoned_and_without_doubles)
{
	/* fewer than any other monitor of micro-VMs has: 50 for its devices, 27 for its vCPUs */
	static const size_t most[THREAD_KINDS] = {
		[THREAD_LOOP] = 40, [THREAD_VCPU] = 18, [THREAD_FS] = 49, [THREAD_BLK] = 22
	};

	for (int kind = 0; kind < THREAD_KINDS; kind++) {
		const struct seccomp_rule *r;
		size_t n = seccomp_rules((enum thread_kind)kind, &r), rare = 0;

		CHECK(n <= most[kind]);
		for (size_t i = 0; i < n; i++)
			rare += r[i].rare;
		CHECK(rare <= 12);
		for (size_t i = 0; i < n; i++) {
			CHECK(r[i].why && strlen(r[i].why) >= 5);
			for (size_t j = 0; j < i; j++)
				CHECK(r[i].nr != r[j].nr);
		}
	}
}

/* Runs `call` in a child behind the filter of `kind`. Returns the signal that ended it, 0: it went on. */
static int behind(enum thread_kind kind, void (*call)(void))
{
	int st = 0;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seccomp_enter(kind))
			_exit(99);
		call();
		/* no wrapper: a sanitizer's does more than this call */
		syscall(kind == THREAD_LOOP ? SYS_exit_group : SYS_exit, 0);
	}
	waitpid(pid, &st, 0);
	return WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st);
}

#define FORBIDDEN(name, ...)          \
	static void do_##name(void)   \
	{                             \
		syscall(__VA_ARGS__); \
	}
FORBIDDEN(open, SYS_open, "/", O_RDONLY)
FORBIDDEN(openat, SYS_openat, AT_FDCWD, "/", O_RDONLY)
FORBIDDEN(creat, SYS_creat, "/", 0600)
FORBIDDEN(tgkill, SYS_tgkill, 1, 1, SIGKILL)
FORBIDDEN(personality, SYS_personality, 0x0400000)
FORBIDDEN(pkey_mprotect, SYS_pkey_mprotect, NULL, 0, PROT_EXEC, -1)
FORBIDDEN(memfd_create, SYS_memfd_create, "x", 0)
FORBIDDEN(open_tree, SYS_open_tree, AT_FDCWD, "/", 0)
FORBIDDEN(pidfd_getfd, SYS_pidfd_getfd, 0, 0, 0)
FORBIDDEN(execveat, SYS_execveat, 0, "", NULL, NULL, AT_EMPTY_PATH)
FORBIDDEN(tun_set_iff, SYS_ioctl, 0, TUNSETIFF, NULL)
FORBIDDEN(execve, SYS_execve, "/bin/true", NULL, NULL)
FORBIDDEN(socket, SYS_socket, AF_INET, SOCK_STREAM, 0)
FORBIDDEN(connect, SYS_connect, 0, NULL, 0)
FORBIDDEN(fork, SYS_fork)
FORBIDDEN(clone, SYS_clone, 0, 0, 0, 0, 0)
FORBIDDEN(clone3, SYS_clone3, NULL, 0)
FORBIDDEN(ptrace, SYS_ptrace, 0, 0, 0, 0)
FORBIDDEN(kill, SYS_kill, 0, 0)
FORBIDDEN(mprotect_exec, SYS_mprotect, NULL, 0, PROT_READ | PROT_EXEC)
FORBIDDEN(mmap_exec, SYS_mmap, NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
FORBIDDEN(mount, SYS_mount, "", "", "", 0, NULL)
FORBIDDEN(unshare, SYS_unshare, CLONE_NEWUSER)
FORBIDDEN(setns, SYS_setns, 0, 0)
FORBIDDEN(bpf, SYS_bpf, 0, NULL, 0)
FORBIDDEN(keyctl, SYS_keyctl, 0, 0, 0, 0, 0)
FORBIDDEN(io_uring, SYS_io_uring_setup, 1, NULL)
FORBIDDEN(userfaultfd, SYS_userfaultfd, 0)
FORBIDDEN(perf, SYS_perf_event_open, NULL, 0, 0, 0, 0)
FORBIDDEN(process_vm_writev, SYS_process_vm_writev, 0, NULL, 0, NULL, 0, 0)
FORBIDDEN(ioctl_tiocsti, SYS_ioctl, 0, 0x5412, "x")
FORBIDDEN(ioctl_create_vm, SYS_ioctl, 0, KVM_CREATE_VM, 0)
FORBIDDEN(set_memory, SYS_ioctl, 0, KVM_SET_USER_MEMORY_REGION, NULL)
FORBIDDEN(name_to_handle, SYS_open_by_handle_at, 0, NULL, 0)
FORBIDDEN(setresuid, SYS_setresuid, 0, 0, 0)
FORBIDDEN(chroot, SYS_chroot, "/")
FORBIDDEN(prctl, SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
FORBIDDEN(unknown, 600)

TEST(forbidden_calls_end_every_kind_of_thread)
{
	void (*const call[])(void) = {
		do_open,	  do_execve,	      do_socket,	do_connect,	   do_fork,
		do_clone,	  do_clone3,	      do_ptrace,	do_kill,	   do_mprotect_exec,
		do_mmap_exec,	  do_mount,	      do_unshare,	do_setns,	   do_bpf,
		do_keyctl,	  do_io_uring,	      do_userfaultfd,	do_perf,	   do_process_vm_writev,
		do_ioctl_tiocsti, do_ioctl_create_vm, do_set_memory,	do_name_to_handle, do_setresuid,
		do_chroot,	  do_prctl,	      do_unknown,	do_openat,	   do_creat,
		do_tgkill,	  do_personality,     do_pkey_mprotect, do_memfd_create,   do_open_tree,
		do_pidfd_getfd,	  do_execveat,	      do_tun_set_iff,
	};

	for (int kind = 0; kind < THREAD_KINDS; kind++)
		for (size_t i = 0; i < sizeof(call) / sizeof(call[0]); i++)
			CHECK_EQ(behind((enum thread_kind)kind, call[i]), SIGSYS);
}

static void do_openat2(void)
{
	uint64_t how[3] = { O_PATH };

	syscall(SYS_openat2, AT_FDCWD, "/", how, sizeof(how));
}

static void do_futex(void)
{
	int word = 0;

	syscall(SYS_futex, &word, 1, 1, NULL, NULL, 0);
}

TEST(only_the_file_server_opens_files)
{
	CHECK_EQ(behind(THREAD_VCPU, do_openat2), SIGSYS);
	CHECK_EQ(behind(THREAD_LOOP, do_openat2), SIGSYS);
	CHECK_EQ(behind(THREAD_FS, do_openat2), 0);
	CHECK_EQ(behind(THREAD_VCPU, do_futex), 0);
	CHECK_EQ(behind(THREAD_LOOP, do_futex), 0);
	CHECK_EQ(behind(THREAD_FS, do_futex), 0);
}

TEST(rules_that_do_not_fit_are_refused)
{
	static struct seccomp_rule many[SECCOMP_RULES_MAX + 1];
	static struct sock_filter prog[SECCOMP_PROGRAM_MAX];

	for (uint32_t i = 0; i <= SECCOMP_RULES_MAX; i++)
		many[i] = (struct seccomp_rule){ .nr = 5000 - i, .check = CHECK_IS, .nvalues = SECCOMP_VALUES_MAX };
	CHECK_EQ(seccomp_assemble(many, SECCOMP_RULES_MAX + 1, prog), 0);
	CHECK_EQ(seccomp_assemble(many, SECCOMP_RULES_MAX, prog), 0);
	CHECK(seccomp_assemble(many, 5, prog) > 0);
}
