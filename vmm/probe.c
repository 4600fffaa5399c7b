/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe: main thread of a process of its own. Opening /dev/kvm proves nothing, because software backends offer it
 * too: they make VMs, but interpret guest code, slowly, and give up at instructions that their interpreter lacks. So
 * a small guest runs in 64-bit mode: it takes a trap through an IDT, executes a few instructions that interpreters
 * miss, and counts to ten million. It tells each step by a port write; steps whose instruction this CPU does not have
 * are left out.
 *
 * The guest is ours. What may be broken is the host's KVM: time is bounded, by CPU time of this thread, and by the
 * clock for backends that work elsewhere.
 */
#include "probe.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"
#include "cpuid.h"
#include "kvm.h"
#include "memory.h"

#define CODE 0x10000ull
#define STACK 0x20000ull
#define IDT 0x21000ull
#define SCRATCH 0x22000ull /* page for xsave, cmpxchg16b */
#define PAGE_TABLES 0x30000ull
#define RAM (2ull << 20)

#define PORT_STEP 0x10	/* al: the step that begins */
#define PORT_FAULT 0x11 /* al: vector of an unexpected exception */
#define STEP_DONE 99

#define CPU_LIMIT_NS 2000000000ull
#define WALL_LIMIT_NS 6000000000ull
#define LOOP "10000000"

/* Position independent. rdi: scratch page. The trap handler counts in r15. */
__asm__(".pushsection .rodata\n"
	"	.balign 16\n"
	"probe_code:\n"
	"	mov $1, %al\n"
	"	out %al, $0x10\n"
	"	xor %r15d, %r15d\n"
	"	int3\n" /* 1: exception through the IDT, and back */
	"	cmp $1, %r15d\n"
	"	jne 8f\n"
	"	mov $1, %eax\n"
	"	cpuid\n"
	"	mov %ecx, %r14d\n"
	"	bt $23, %r14d\n"
	"	jnc 1f\n"
	"	mov $2, %al\n"
	"	out %al, $0x10\n"
	"	mov $0x0f0f00ff, %edx\n"
	"	popcnt %rdx, %rcx\n" /* 2 */
	"	cmp $16, %rcx\n"
	"	jne 8f\n"
	"1:	bt $13, %r14d\n"
	"	jnc 2f\n"
	"	mov $3, %al\n"
	"	out %al, $0x10\n"
	"	xor %eax, %eax\n"
	"	xor %edx, %edx\n"
	"	mov $7, %ebx\n"
	"	mov $9, %ecx\n"
	"	lock cmpxchg16b (%rdi)\n" /* 3 */
	"	jne 8f\n"
	"	cmpq $9, 8(%rdi)\n"
	"	jne 8f\n"
	"2:	mov $4, %al\n"
	"	out %al, $0x10\n"
	"	fninit\n"
	"	fldpi\n"
	"	fwait\n" /* 4 */
	"	fstp %st(0)\n"
	"	bt $26, %r14d\n"
	"	jnc 3f\n"
	"	mov $5, %al\n"
	"	out %al, $0x10\n"
	"	mov %cr4, %rax\n"
	"	bts $18, %rax\n" /* OSXSAVE */
	"	mov %rax, %cr4\n"
	"	xor %ecx, %ecx\n"
	"	xor %edx, %edx\n"
	"	mov $3, %eax\n"
	"	xsetbv\n"
	"	mov $3, %eax\n"
	"	xsave 64(%rdi)\n" /* 5 */
	"	mov $3, %eax\n"
	"	xrstor 64(%rdi)\n"
	"3:	mov $6, %al\n"
	"	out %al, $0x10\n"
	"	mov $" LOOP ", %ecx\n"
	"4:	dec %ecx\n" /* 6 */
	"	jnz 4b\n"
	"	mov $99, %al\n"
	"	out %al, $0x10\n"
	"8:	mov $0xff, %al\n" /* a wrong result */
	"	out %al, $0x11\n"
	"9:	hlt\n"
	"	jmp 9b\n"
	"	.balign 16\n"
	"probe_trap:\n" /* vector 3 */
	"	inc %r15d\n"
	"	iretq\n"
	"	.balign 16\n"
	"probe_fault:\n" /* any other vector */
	"	mov $0xfe, %al\n"
	"	out %al, $0x11\n"
	"	jmp 9b\n"
	"probe_end:\n"
	"	.balign 4\n"
	"probe_size: .long probe_end - probe_code\n"
	"probe_trap_at: .long probe_trap - probe_code\n"
	"probe_fault_at: .long probe_fault - probe_code\n"
	".popsection\n");
extern const uint8_t probe_code[];
extern const uint32_t probe_size, probe_trap_at, probe_fault_at; /* bytes; offsets of the handlers */

#define STEPS 7u
static const char *const step_name[STEPS] = {
	"64-bit mode", "int3", "popcnt", "cmpxchg16b", "fwait", "xsave", "ten million turns of a loop",
};

struct outcome {
	unsigned int step; /* index of step_name, or STEP_DONE */
	uint64_t loop_ns;
	char fault[128]; /* empty: none */
};

static struct kvm_run *run;
static uint64_t cpu_start, wall_start;
static volatile sig_atomic_t expired;

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_alarm(int sig)
{
	(void)sig;
	if (clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_start > CPU_LIMIT_NS ||
	    clock_ns(CLOCK_MONOTONIC) - wall_start > WALL_LIMIT_NS) {
		expired = 1;
		run->immediate_exit = 1;
	}
}

/* Code, page tables (2 MiB one to one), IDT. */
static void fill_memory(uint8_t *ram)
{
	uint64_t *table = (uint64_t *)(void *)(ram + PAGE_TABLES);
	uint8_t *idt = ram + IDT;

	memcpy(ram + CODE, probe_code, probe_size);
	table[0] = (PAGE_TABLES + 0x1000) | 3;
	table[512] = (PAGE_TABLES + 0x2000) | 3;
	table[1024] = 0x83;
	for (unsigned int i = 0; i < 32; i++) {
		uint64_t to = CODE + (i == 3 ? probe_trap_at : probe_fault_at);
		/* 64-bit interrupt gate, selector 0x10 */
		uint64_t gate = (to & 0xffff) | 0x10ull << 16 | 0x8e00ull << 32 | (to >> 16 & 0xffff) << 48;

		memcpy(idt + i * 16, &gate, 8);
	}
}

static int set_registers(int vcpu)
{
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rdi = SCRATCH, .rflags = 2 };
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x10, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_sregs s;
	uint64_t gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };

	_Static_assert(sizeof(gdt) == 32, "selectors 0x10 and 0x18");
	if (ioctl(vcpu, KVM_GET_SREGS, &s))
		return -errno;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gdt.base = BOOT_GDT;
	s.gdt.limit = sizeof(gdt) - 1;
	s.idt.base = IDT;
	s.idt.limit = 32 * 16 - 1;
	s.cr3 = PAGE_TABLES;
	s.cr4 = 1u << 5 | 1u << 9; /* PAE, OSFXSR */
	s.cr0 = 1u << 31 | 1u << 16 | 1u << 5 | 1u << 4 | 1u << 1 | 1u;
	s.efer = 1u << 8 | 1u << 10;
	return ioctl(vcpu, KVM_SET_SREGS, &s) || ioctl(vcpu, KVM_SET_REGS, &regs) ? -errno : 0;
}

/* Runs the guest until it is done or in trouble. */
static void run_guest(int vcpu, struct outcome *o)
{
	const uint8_t *data = (const uint8_t *)run;
	uint64_t began = clock_ns(CLOCK_MONOTONIC);

	while (o->step != STEP_DONE && !o->fault[0]) {
		int ret = ioctl(vcpu, KVM_RUN, 0);

		if (expired) {
			snprintf(o->fault, sizeof(o->fault), "it was not done in time");
		} else if (ret && errno != EINTR && errno != EAGAIN) {
			snprintf(o->fault, sizeof(o->fault), "KVM_RUN failed: %s", strerror(errno));
		} else if (ret == 0 && run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_STEP) {
			uint64_t now = clock_ns(CLOCK_MONOTONIC);
			unsigned int step = data[run->io.data_offset];

			o->loop_ns = now - began;
			began = now;
			if (step < STEPS || step == STEP_DONE)
				o->step = step;
			else
				snprintf(o->fault, sizeof(o->fault), "it reported nonsense");
		} else if (ret == 0 && run->exit_reason == KVM_EXIT_IO) {
			snprintf(o->fault, sizeof(o->fault), "%s",
				 data[run->io.data_offset] == 0xff ? "it gave a wrong result"
								   : "it raised an exception");
		} else if (ret == 0 && run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
			snprintf(o->fault, sizeof(o->fault), "KVM reported an internal error %u (emulation failed)",
				 run->internal.suberror);
		} else if (ret == 0 && run->exit_reason != KVM_EXIT_INTR) {
			snprintf(o->fault, sizeof(o->fault), "KVM stopped with exit %u", run->exit_reason);
		}
	}
}

/* Everything after the VM exists. 0, or -errno with text. */
static int probe_vm(struct kvm *k, struct gmem *mem, struct outcome *o, char *text, size_t size)
{
	struct itimerval tick = { { 0, 50000 }, { 0, 50000 } };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct kvm_cpuid2 *cpuid;
	int vcpu, ret;

	ret = gmem_alloc(mem, RAM);
	if (!ret)
		ret = kvm_map_ram(k, mem);
	if (ret) {
		snprintf(text, size, "cannot give memory to a VM: %s", strerror(-ret));
		return ret;
	}
	fill_memory(mem->region[0].host);
	memcpy(mem->region[0].host + BOOT_GDT, (const uint64_t[]){ 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff }, 32);

	vcpu = ioctl(k->vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0) {
		snprintf(text, size, "KVM cannot make a vCPU: %s", strerror(errno));
		return -EIO;
	}
	run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	cpuid = cpuid_get(k->sys);
	if (run == MAP_FAILED || !cpuid || cpuid_apply(cpuid, vcpu, 0, 1) || set_registers(vcpu)) {
		snprintf(text, size, "KVM refuses a 64-bit vCPU: %s", strerror(errno));
		ret = -EIO;
	} else {
		cpu_start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		wall_start = clock_ns(CLOCK_MONOTONIC);
		sigaction(SIGALRM, &sa, NULL);
		setitimer(ITIMER_REAL, &tick, NULL);
		run_guest(vcpu, o);
		setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	}
	free(cpuid);
	close(vcpu);
	return ret;
}

int probe_run(void)
{
	struct outcome o = { 0 };
	struct gmem mem = { 0 };
	char text[512];
	struct kvm k;
	int ret = kvm_open(&k, text, sizeof(text));

	if (!ret) {
		ret = kvm_create(&k, text, sizeof(text));
		if (!ret)
			ret = probe_vm(&k, &mem, &o, text, sizeof(text));
		kvm_close(&k);
	}
	if (ret) {
		printf("/dev/kvm cannot be used: %s\n", text);
		return 1;
	}
	if (o.step < STEPS) {
		printf("/dev/kvm cannot be used: it looks like a software backend that cannot run Linux (a test guest "
		       "stopped at %s: %s); use a host with hardware virtualisation\n",
		       step_name[o.step], o.fault);
		return 1;
	}
	printf("/dev/kvm can be used (%s: %u ms)\n", step_name[6], (unsigned int)(o.loop_ns / 1000000));
	return 0;
}
