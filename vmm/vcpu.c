/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads: each runs its vCPU in KVM and serves the exits that KVM leaves to us. With the interrupt controllers,
 * queue kicks and register reads in the kernel that is: register writes of devices, the serial port, the end.
 * The guest controls addresses, widths and data of these accesses, their rate, and the CPU's state.
 */
#include "vcpu.h"

#include <errno.h>
#include <limits.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "cpuid.h"
#include "fs.h"
#include "jail.h"
#include "log.h"
#include "panic.h"
#include "serial.h"
#include "vm.h"
#ifdef HUSK_TEST_BREACH
#include "tests/breach/breach.h"
#endif

#define STACK_SIZE (64u << 10)
#define KICK_SIGNAL SIGUSR1

#define CR0_PE (1ull << 0)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)

#define EXCEPTION_NP 11

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18

/* 64-bit mode, paging on, flat segments, interrupts off: the state that the 64-bit boot protocol asks for. */
static int set_start(const struct vcpu *v, const struct boot_regs *boot)
{
	struct kvm_regs regs = { .rip = boot->rip, .rsi = boot->rsi, .rflags = 2 };
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = SELECTOR_DATA, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = SELECTOR_CODE, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s))
		return -errno;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gdt.base = boot->gdt;
	s.gdt.limit = boot->gdt_limit;
	s.cr3 = boot->cr3;
	s.cr4 = CR4_PAE;
	s.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	s.efer = EFER_LME | EFER_LMA;
	if (ioctl(v->fd, KVM_SET_SREGS, &s) || ioctl(v->fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

int vcpus_create(struct vm *vm, unsigned int n, const struct boot_regs *regs, char *text, size_t text_size)
{
	struct vcpus *vs = &vm->vcpus;
	struct kvm_cpuid2 *cpuid = NULL;
	const char *step = "ask KVM for its CPUID";
	int ret = -ENOMEM;

	pthread_mutex_init(&vs->lock, NULL);
	pthread_cond_init(&vs->resume, NULL);
	vs->v = calloc(n, sizeof(*vs->v));
	if (!vs->v)
		goto fail;
	cpuid = cpuid_get(vm->kvm.sys);
	if (!cpuid) {
		ret = -errno;
		goto fail;
	}
	for (unsigned int i = 0; i < n; i++) {
		struct vcpu *v = &vs->v[i];

		step = "create a vCPU";
		v->vm = vm;
		v->id = i;
		v->fd = ioctl(vm->kvm.vm, KVM_CREATE_VCPU, (unsigned long)i);
		if (v->fd < 0) {
			ret = -errno;
			goto fail;
		}
		vs->n = i + 1;
		step = "map a vCPU's shared page";
		v->run = mmap(NULL, vm->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
		if (v->run == MAP_FAILED) {
			v->run = NULL;
			ret = -errno;
			goto fail;
		}
		step = "set a vCPU's CPUID";
		ret = cpuid_apply(cpuid, v->fd, i, n);
		if (ret)
			goto fail;
	}
	step = "set the first vCPU's registers";
	ret = set_start(&vs->v[0], regs);
	if (ret)
		goto fail;
	free(cpuid);
	return 0;
fail:
	snprintf(text, text_size, "cannot %s: %s", step, strerror(-ret));
	free(cpuid);
	return ret;
}

/* The guest's machine restarted: a triple fault, which is also how Linux without ACPI restarts and panics. */
static void guest_restarted(struct vm *vm)
{
	const char *before = atomic_load(&vm->t_ready) ? "" : " before its agent was ready";
	char reason[PANIC_TEXT_MAX];

	if (!vm->agent)
		vm_end(vm, 0, NULL);
	else if (panic_text(&vm->mem, reason, sizeof(reason)))
		vm_end(vm, 2, "the guest kernel panicked%s: %s; --debug shows all its messages", before, reason);
	else if (!*before)
		vm_end(vm, 2, "the guest kernel restarted without a word; --debug shows its messages");
	else
		vm_end(vm, 2,
		       "the guest kernel restarted before its agent was ready: wrong kernel or initrd, or too little "
		       "memory; --debug shows its messages");
}

static void internal_error(struct vcpu *v)
{
	struct kvm_regs regs = { 0 };

	ioctl(v->fd, KVM_GET_REGS, &regs);
	if (v->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		vm_end(v->vm, 2,
		       "KVM could not execute the guest's instruction at 0x%llx: "
		       "it cannot do this one on device memory, "
		       "or this /dev/kvm is a software backend that cannot run Linux (`husk-vmm --probe` tells)",
		       regs.rip);
	else
		vm_end(v->vm, 2, "KVM internal error %u on vCPU %u at 0x%llx", v->run->internal.suberror, v->id,
		       regs.rip);
}

static void serve_io(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	uint64_t bytes = (uint64_t)run->io.size * run->io.count;
	uint8_t *data;

	if (run->io.data_offset > v->vm->kvm.run_size || bytes > v->vm->kvm.run_size - run->io.data_offset)
		return;
	data = (uint8_t *)v->run + run->io.data_offset;
	if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == BOOT_PORT_POWEROFF) {
		vm_end(v->vm, 0, NULL);
		return;
	}
	if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == BOOT_PORT_GROW) {
		loop_call(v->vm->loop, vm_grow, v->vm); /* refused when many wait: it asks again */
		return;
	}
	if (v->vm->serial && run->io.port >= BOOT_PORT_SERIAL && run->io.port < BOOT_PORT_SERIAL + 8) {
		for (uint32_t i = 0; i < run->io.count; i++)
			serial_io(v->vm->serial, run->io.port - BOOT_PORT_SERIAL, run->io.direction == KVM_EXIT_IO_OUT,
				  data + (size_t)i * run->io.size, run->io.size);
		return;
	}
#ifdef HUSK_TEST_BREACH
	if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == BREACH_PORT && bytes == 4) {
		breach_serve(&v->vm->mem, *(const uint32_t *)(const void *)data);
		return;
	}
#endif
	/* Nobody there: writes vanish, reads float high. */
	if (run->io.direction == KVM_EXIT_IO_IN)
		memset(data, 0xff, bytes);
}

static void serve_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint32_t len = run->mmio.len;

	if (len == 0 || len > sizeof(run->mmio.data))
		return;
	if (run->mmio.is_write)
		mmio_write(&v->vm->bus, run->mmio.phys_addr, run->mmio.data, len);
	else
		mmio_read(&v->vm->bus, run->mmio.phys_addr, run->mmio.data, len);
}

/* Serve what KVM_RUN returned with. False: this vCPU is done. */
static bool serve_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		serve_mmio(v);
		return true;
	case KVM_EXIT_IO:
		serve_io(v);
		return !atomic_load(&v->vm->ended);
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_SHUTDOWN:
		guest_restarted(v->vm);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(v);
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		vm_end(v->vm, 2,
		       "the CPU refused to enter the guest (reason 0x%llx): a KVM or nested virtualisation bug",
		       (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return false;
	default:
		vm_end(v->vm, 2, "vCPU %u stopped for a reason that husk-vmm does not know (KVM exit %u)", v->id,
		       run->exit_reason);
		return false;
	}
}

static void park(struct vcpu *v)
{
	struct vcpus *vs = &v->vm->vcpus;

	pthread_mutex_lock(&vs->lock);
	if (vs->pause) {
		if (++vs->parked == vs->n && vs->paused) {
			/* Never refused: one pause is under way at a time, and the queue is larger. */
			loop_call(v->vm->loop, vs->paused, vs->paused_arg);
			vs->paused = NULL;
		}
		while (vs->pause)
			pthread_cond_wait(&vs->resume, &vs->lock);
		vs->parked--;
		/*
		 * Tell the guest's watchdogs that it did not run meanwhile. Fails when it has no kvmclock: no
		 * matter.
		 */
		ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0);
	}
	pthread_mutex_unlock(&vs->lock);
}

/*
 * A page of a file could not be had for the guest. The process that touched it gets SIGBUS: that is what Linux makes of
 * a "segment not present" exception, which nothing else raises in a 64-bit process; in the kernel the copy that ran
 * into it ends early. False: the exception cannot be given, since another one is on its way.
 */
static bool give_bus_error(struct vcpu *v)
{
	struct kvm_vcpu_events ev;

	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev) || ev.exception.injected || ev.exception.pending ||
	    ev.interrupt.injected || ev.nmi.injected)
		return false;
	ev.exception.injected = 1;
	ev.exception.nr = EXCEPTION_NP;
	ev.exception.has_error_code = 1;
	ev.exception.error_code = 0;
	return ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev) == 0;
}

static bool is_dax_fault(struct vm *vm)
{
	return fs_dax_broken(vm->fs) || fs_dax_broken(vm->own_fs);
}

static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;
	struct vcpus *vs = &v->vm->vcpus;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", v->id);
	pthread_setname_np(pthread_self(), name);
	if (v->vm->jailed)
		jail_thread(THREAD_VCPU);
	park(v); /* the gate: until vcpus_resume() */
	if (v->id == 0)
		atomic_store(&v->vm->t_entry, clock_ns());

	for (;;) {
		if (__atomic_load_n(&vs->pause, __ATOMIC_RELAXED))
			park(v);
		int ret = ioctl(v->fd, KVM_RUN, 0);

		atomic_store_explicit(&v->exits, atomic_load_explicit(&v->exits, memory_order_relaxed) + 1,
				      memory_order_relaxed);
		if (ret == 0) {
			if (!serve_exit(v))
				break;
		} else if (errno == EINTR) {
			__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		} else if (errno == EFAULT && is_dax_fault(v->vm) && give_bus_error(v)) {
			continue;
		} else if (errno != EAGAIN) { /* EAGAIN: a vCPU that waits for its start */
			int err = errno;

			vm_end(v->vm, 2, "vCPU %u cannot run: %s%s", v->id, strerror(err),
			       err == EFAULT || err == ENOMEM ? " (the host could not give it memory)" : "");
			break;
		}
	}
	return NULL;
}

/* Makes KVM_RUN return: at once by immediate_exit when it has not begun, by the signal when it has. */
static void kick_all(struct vcpus *vs)
{
	for (unsigned int i = 0; i < vs->n; i++) {
		if (!vs->v[i].started)
			continue;
		__atomic_store_n(&vs->v[i].run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(vs->v[i].thread, KICK_SIGNAL);
	}
}

static void on_kick(int sig)
{
	(void)sig;
}

int vcpus_start(struct vm *vm)
{
	struct sigaction sa = { .sa_handler = on_kick };
	pthread_attr_t attr;
	int ret = 0;

	vm->vcpus.pause = true;
	sigemptyset(&sa.sa_mask);
	sigaction(KICK_SIGNAL, &sa, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (unsigned int i = 0; i < vm->vcpus.n && !ret; i++) {
		struct vcpu *v = &vm->vcpus.v[i];

		ret = -pthread_create(&v->thread, &attr, run_vcpu, v);
		v->started = ret == 0;
	}
	pthread_attr_destroy(&attr);
	return ret;
}

int vcpus_pause(struct vm *vm, void (*done)(void *arg), void *arg)
{
	struct vcpus *vs = &vm->vcpus;
	int ret = 0;

	pthread_mutex_lock(&vs->lock);
	if (vs->pause) {
		ret = -EALREADY;
	} else {
		vs->paused = done;
		vs->paused_arg = arg;
		__atomic_store_n(&vs->pause, true, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&vs->lock);
	if (!ret)
		kick_all(vs);
	return ret;
}

int vcpus_resume(struct vm *vm)
{
	struct vcpus *vs = &vm->vcpus;
	int ret = 0;

	pthread_mutex_lock(&vs->lock);
	if (!vs->pause)
		ret = -EALREADY;
	else if (vs->paused)
		ret = -EBUSY; /* still on its way to standing still */
	else
		__atomic_store_n(&vs->pause, false, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&vs->resume);
	pthread_mutex_unlock(&vs->lock);
	return ret;
}

bool vcpus_paused(struct vm *vm)
{
	bool paused;

	pthread_mutex_lock(&vm->vcpus.lock);
	paused = vm->vcpus.pause;
	pthread_mutex_unlock(&vm->vcpus.lock);
	return paused;
}

uint64_t vcpus_exits(const struct vm *vm)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < vm->vcpus.n; i++)
		sum += atomic_load_explicit(&vm->vcpus.v[i].exits, memory_order_relaxed);
	return sum;
}
