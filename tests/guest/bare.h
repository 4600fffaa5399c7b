/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest without an operating system needs: entry, exceptions that are survived, a serial console, other CPUs,
 * and a virtio driver that does as it is told, right or wrong. One file is one program; it includes this once.
 *
 * Entered as Linux would be (64-bit mode, rsi: boot data, the first GiB mapped one to one). The console needs --debug.
 */
#ifndef HUSK_TESTS_BARE_H
#define HUSK_TESTS_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MMIO 0xd0000000ul
#define WINDOW 0x1000ul
#define LAPIC 0xfee00000ul
#define PORT_END 0x604
#define PORT_SERIAL 0x3f8

/* ---- processor ---- */

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void w32(uint64_t at, uint32_t v)
{
	*(volatile uint32_t *)at = v;
}

static inline uint32_t r32(uint64_t at)
{
	return *(volatile uint32_t *)at;
}

static inline void pause_a_bit(unsigned int n)
{
	while (n--)
		__asm__ volatile("pause");
}

static inline uint64_t tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static uint64_t seed = 88172645463325252ull;

static inline uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- entry ---- */

int guest_main(const char *cmdline);

static uint8_t boot_stack[65536] __attribute__((aligned(16), used));
static uint64_t device_pd[512] __attribute__((aligned(4096)));
static uint64_t idt[512] __attribute__((aligned(16)));
uint64_t fault_resume; /* where an exception continues; 0: the guest gives up */
uint64_t fault_count;

__asm__(".section .text.start, \"ax\"\n"
	".globl _start\n"
	"_start:\n"
	"	lea boot_stack+65536(%rip), %rsp\n"
	"	mov %rsi, %rdi\n"
	"	call guest_start\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	/* exceptions: with and without an error code on the stack */
	"fault_code:\n"
	"	add $8, %rsp\n"
	"fault_plain:\n"
	"	push %rax\n"
	"	incq fault_count(%rip)\n"
	"	mov fault_resume(%rip), %rax\n"
	"	test %rax, %rax\n"
	"	jz 2f\n"
	"	mov %rax, 8(%rsp)\n"
	"	pop %rax\n"
	"	iretq\n"
	"2:	mov $0x58, %al\n" /* X */
	"	mov $0x3f8, %dx\n"
	"	outb %al, %dx\n"
	"	mov $0x604, %dx\n"
	"	outb %al, %dx\n"
	"	jmp 2b\n"
	".text\n");
extern const uint8_t fault_code[], fault_plain[];

static void say(const char *s)
{
	while (*s)
		out8(PORT_SERIAL, (uint8_t)*s++);
}

static inline void say_hex(uint64_t v)
{
	char b[19] = "0x";

	for (int i = 0; i < 16; i++)
		b[2 + i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
	say(b);
}

static inline void end(void)
{
	for (;;)
		out8(PORT_END, 0);
}

static unsigned int failures;

/* A promise of the VMM; the test program looks for FAIL. */
static inline void expect(bool ok, const char *what)
{
	if (ok)
		return;
	failures++;
	say("FAIL ");
	say(what);
	say("\n");
}

static void set_gate(unsigned int vector, const void *to)
{
	uint64_t a = (uint64_t)to;
	uint16_t cs;

	__asm__("mov %%cs, %0" : "=r"(cs));
	idt[2 * vector] = (a & 0xffff) | (uint64_t)cs << 16 | 0x8e00ull << 32 | (a >> 16 & 0xffff) << 48;
	idt[2 * vector + 1] = a >> 32;
}

__attribute__((used)) static void guest_start(const uint8_t *boot_params)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t cr3, *pdpt;
	uint32_t cmdline;

	/* 3 to 4 GiB: device windows and LAPIC, uncached */
	for (uint64_t i = 0; i < 512; i++)
		device_pd[i] = (0xc0000000ull + (i << 21)) | 0x93;
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	pdpt = (uint64_t *)(*(uint64_t *)cr3 & ~0xfffull);
	pdpt[3] = (uint64_t)device_pd | 3;
	__asm__ volatile("mov %0, %%cr3" ::"r"(cr3));

	for (unsigned int v = 0; v < 256; v++)
		set_gate(v, v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 ? fault_code : fault_plain);
	__asm__ volatile("lidt %0" ::"m"(idtr));

	cmdline = *(const uint32_t *)(boot_params + 0x228);
	guest_main((const char *)(uint64_t)cmdline);
	say(failures ? "end: failed\n" : "end: survived\n");
	end();
}

/* Runs one statement of assembly that may fault; true when it did. */
#define FAULTS(...)                                                                                           \
	({                                                                                                    \
		uint64_t before_ = fault_count;                                                               \
		__asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, fault_resume(%%rip)" ::: "rax", "memory"); \
		__VA_ARGS__;                                                                                  \
		__asm__ volatile("1:" ::: "memory");                                                          \
		fault_resume = 0;                                                                             \
		fault_count != before_;                                                                       \
	})

static inline bool rdmsr_faults(uint32_t msr, uint64_t *v)
{
	uint32_t lo = 0, hi = 0;
	uint64_t before = fault_count;

	__asm__ volatile("lea 1f(%%rip), %%r8; mov %%r8, fault_resume(%%rip); rdmsr; 1:"
			 : "+a"(lo), "+d"(hi)
			 : "c"(msr)
			 : "r8", "memory");
	fault_resume = 0;
	*v = (uint64_t)hi << 32 | lo;
	return fault_count != before;
}

static inline bool wrmsr_faults(uint32_t msr, uint64_t v)
{
	uint64_t before = fault_count;

	__asm__ volatile("lea 1f(%%rip), %%r8; mov %%r8, fault_resume(%%rip); wrmsr; 1:" ::"a"((uint32_t)v),
			 "d"((uint32_t)(v >> 32)), "c"(msr)
			 : "r8", "memory");
	fault_resume = 0;
	return fault_count != before;
}

/* ---- other processors ---- */

/*
 * Real-mode code at 0x8000: to 64-bit mode with the boot processor's tables, then to ap_main with a stack of its
 * own.
 */
__asm__(".section .rodata\n"
	".globl trampoline, trampoline_end, trampoline_cr3, trampoline_stack, trampoline_entry\n"
	".code16\n"
	"trampoline:\n"
	"	cli\n"
	"	xor %ax, %ax\n"
	"	mov %ax, %ds\n"
	"	lgdtl 0x8000 + t_gdtr - trampoline\n"
	"	mov $0x20, %eax\n"
	"	mov %eax, %cr4\n"
	"	mov 0x8000 + trampoline_cr3 - trampoline, %eax\n"
	"	mov %eax, %cr3\n"
	"	mov $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	or $0x100, %eax\n"
	"	wrmsr\n"
	"	mov $0x80000011, %eax\n"
	"	mov %eax, %cr0\n"
	"	ljmpl $0x10, $(0x8000 + t64 - trampoline)\n"
	".code64\n"
	"t64:	mov $0x18, %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov %eax, %ss\n"
	"	mov 0x8000 + trampoline_stack - trampoline, %rsp\n"
	"	mov 0x8000 + trampoline_entry - trampoline, %rax\n"
	"	jmp *%rax\n"
	"	.balign 16\n"
	"t_gdt:	.quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
	"t_gdtr: .word 31\n"
	"	.long 0x8000 + t_gdt - trampoline\n"
	"	.balign 8\n"
	"trampoline_cr3: .quad 0\n"
	"trampoline_stack: .quad 0\n"
	"trampoline_entry: .quad 0\n"
	"trampoline_end:\n"
	".text\n");
extern const uint8_t trampoline[], trampoline_end[], trampoline_cr3[], trampoline_stack[], trampoline_entry[];

static uint8_t ap_stacks[8][16384] __attribute__((aligned(16)));
static void (*ap_work)(void);
static volatile uint32_t aps_running;

__attribute__((used, noreturn)) static void ap_main(void)
{
	__atomic_add_fetch(&aps_running, 1, __ATOMIC_SEQ_CST);
	ap_work();
	for (;;)
		__asm__ volatile("hlt");
}

/* Starts processors 1..n-1 on `work`. Returns how many came up. */
static inline uint32_t start_aps(unsigned int n, void (*work)(void))
{
	volatile uint8_t *at = (volatile uint8_t *)0x8000;
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	ap_work = work;
	// cppcheck-suppress comparePointers; all is one piece of assembly
	for (size_t i = 0; i < (size_t)(trampoline_end - trampoline); i++)
		at[i] = trampoline[i];
	// cppcheck-suppress comparePointers; all is one piece of assembly
	*(volatile uint64_t *)(0x8000 + (trampoline_cr3 - trampoline)) = cr3;
	// cppcheck-suppress comparePointers; all is one piece of assembly
	*(volatile uint64_t *)(0x8000 + (trampoline_entry - trampoline)) = (uint64_t)ap_main;
	for (unsigned int cpu = 1; cpu < n && cpu < 8; cpu++) {
		// cppcheck-suppress comparePointers; all is one piece of assembly
		*(volatile uint64_t *)(0x8000 + (trampoline_stack - trampoline)) =
			(uint64_t)(ap_stacks[cpu] + 16384 - 8);
		w32(LAPIC + 0xf0, 0x1ff);
		w32(LAPIC + 0x310, cpu << 24);
		w32(LAPIC + 0x300, 0x4500); /* INIT */
		pause_a_bit(10000);
		w32(LAPIC + 0x310, cpu << 24);
		w32(LAPIC + 0x300, 0x4608); /* start at page 8 */
		for (int wait = 0; wait < 2000 && aps_running < cpu; wait++)
			pause_a_bit(10000);
	}
	return aps_running;
}

/* ---- virtio-mmio ---- */

#define QMAX 4
#define QSIZE 8 /* what the smallest device has */
#define F_NEXT 1
#define F_WRITE 2
#define F_INDIRECT 4

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct queue {
	struct desc desc[1024];
	uint16_t avail[1024 + 4]; /* flags, idx, ring, event */
	uint16_t used[4 * 1024 + 8] __attribute__((aligned(8)));
} __attribute__((aligned(4096)));

static struct queue queues[QMAX];

/* Window of the device with this id; 0: none. */
static inline uint64_t find_device(uint32_t id)
{
	for (uint64_t w = MMIO; w < MMIO + 19 * WINDOW; w += WINDOW) {
		if (r32(w) == 0x74726976 && r32(w + 8) == id)
			return w;
	}
	return 0;
}

static inline void dev_begin(uint64_t w, uint32_t features)
{
	w32(w + 0x70, 0);
	w32(w + 0x70, 3);
	w32(w + 0x24, 0);
	w32(w + 0x20, features);
	w32(w + 0x24, 1);
	w32(w + 0x20, 1);
	w32(w + 0x70, 11);
}

static inline void dev_queue(uint64_t w, uint32_t n, uint32_t size, uint64_t desc, uint64_t avail, uint64_t used)
{
	w32(w + 0x30, n);
	w32(w + 0x38, size);
	w32(w + 0x80, (uint32_t)desc);
	w32(w + 0x84, (uint32_t)(desc >> 32));
	w32(w + 0x90, (uint32_t)avail);
	w32(w + 0x94, (uint32_t)(avail >> 32));
	w32(w + 0xa0, (uint32_t)used);
	w32(w + 0xa4, (uint32_t)(used >> 32));
	w32(w + 0x44, 1);
}

static inline uint32_t dev_ok(uint64_t w)
{
	w32(w + 0x70, 15);
	return r32(w + 0x70);
}

static inline void clear(void *p, size_t n)
{
	volatile uint8_t *b = p;

	while (n--)
		*b++ = 0;
}

/* A correct start with `n` queues of QSIZE. */
static inline uint32_t dev_start(uint64_t w, unsigned int n)
{
	dev_begin(w, 0);
	clear(queues, sizeof(queues[0]) * n);
	for (unsigned int i = 0; i < n; i++)
		dev_queue(w, i, QSIZE, (uint64_t)queues[i].desc, (uint64_t)queues[i].avail, (uint64_t)queues[i].used);
	return dev_ok(w);
}

static inline void offer(unsigned int q, uint16_t head)
{
	volatile uint16_t *a = queues[q].avail;

	a[2 + a[1] % QSIZE] = head;
	__asm__ volatile("" ::: "memory");
	a[1]++;
}

static inline void kick(uint64_t w, uint32_t q)
{
	w32(w + 0x50, q);
}

/* Waits until the device has used `n` buffers or is broken. True: used. */
static inline bool wait_used(uint64_t w, unsigned int q, uint16_t n)
{
	volatile uint16_t *u = queues[q].used;
	uint64_t until = tsc() + 20000000000ull;

	while (tsc() < until) {
		if (u[1] == n)
			return true;
		if (r32(w + 0x70) & 0x40)
			return false;
		pause_a_bit(1000);
	}
	return false;
}

static inline bool wait_broken(uint64_t w)
{
	uint64_t until = tsc() + 20000000000ull;

	while (tsc() < until) {
		if (r32(w + 0x70) & 0x40)
			return true;
		pause_a_bit(1000);
	}
	return false;
}

#endif
