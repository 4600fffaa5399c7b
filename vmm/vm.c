/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine: devices in slots, kernel command line, and its life from the first vCPU's start to the end.
 * Main thread, which becomes the loop thread.
 */
#include "vm.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/plan.h"
#include "balloon.h"
#include "blk.h"
#include "clock.h"
#include "console.h"
#include "control.h"
#include "ctl.h"
#include "fs.h"
#include "jail.h"
#include "log.h"
#include "mem.h"
#include "rng.h"
#include "serial.h"
#include "vsock.h"

#define DRAIN_MS 1000
#define DAX_BASE (1ull << 38)
#define GROW_STEP_MIN (256ull << 20)
#define LOADER_STACK (64u << 10)

/*
 * What the kernel is told. Figures: instructions from its entry to init, in millions, saved in counting mode.
 */
static const char base_cmdline[] = "panic=-1 "	     /* a panic restarts at once, which ends the VM */
				   "reboot=t "	     /* by triple fault: no keyboard controller to ask */
				   "tsc=reliable "   /* no watchdog that compares it with clocks that we do not have */
				   "no_timer_check " /* no timer chip whose interrupt could be tested */
				   "random.trust_cpu=on " /* RDRAND is believed, beside the seed that we give: 0.7 */
				   "percpu_alloc=page "	  /* no 2 MiB chunk for each CPU: 1.7 */
				   "dummy.numdummies=0 "; /* no interface but those that the container gets */

void vm_end(struct vm *vm, int status, const char *fmt, ...)
{
	va_list ap;

	if (atomic_exchange(&vm->ended, true))
		return;
	vm->end_status = status;
	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(vm->end_text, sizeof(vm->end_text), fmt, ap);
		va_end(ap);
	}
	loop_stop(vm->loop);
}

static void attach(struct vm *vm, struct virtio_dev *d, const char *name)
{
	int slot = d ? mmio_free_slot(&vm->bus) : -errno;
	int ret = slot >= 0 ? mmio_attach(&vm->bus, (unsigned int)slot, d) : slot;

	if (ret)
		log_die("cannot make the %s device: %s", name, strerror(-ret));
}

struct virtio_dev *vm_fs_of(const struct vm *vm, uint32_t flags)
{
	return flags & CTL_SHARE_PRIVATE ? vm->own_fs : vm->fs;
}

static void add_share(struct vm *vm, const struct option_share *s)
{
	char name[OPTIONS_SHARE_NAME_MAX + 1];
	int ret;

	memcpy(name, s->name, s->name_len);
	name[s->name_len] = '\0';
	ret = fs_add_share(vm_fs_of(vm, s->flags), name, s->fd, s->flags);
	if (ret)
		log_die("--share %s: %s", name, strerror(-ret));
}

static void create_console(struct vm *vm, const struct options *o)
{
	int irq;

	if (o->console_fd < 0)
		return;
	vm->sink = sink_create(vm->loop, o->console_fd);
	if (!vm->sink)
		log_die("--console fd:%d: %s", o->console_fd, strerror(errno));
	/* The serial port only carries what comes before virtio: a kernel without a driver for it leaves it alone. */
	irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (irq < 0 || kvm_irqfd(&vm->kvm, BOOT_IRQ_SERIAL, irq, true))
		log_die("cannot make the serial port's interrupt: %s", strerror(errno));
	vm->serial = serial_create(vm->sink, irq);
	if (!vm->serial)
		log_die("cannot make the serial port: out of memory");
	attach(vm, console_create(&vm->mem, vm->loop, vm->sink), "console");
}

static void on_agent_ready(void *arg)
{
	struct vm *vm = arg;

	atomic_store(&vm->t_ready, clock_ns());
	loop_del(vm->loop, &vm->boot_timer);
}

static bool wants_fs(const struct options *o)
{
	return o->agent || o->nshares;
}

static unsigned int count_slots(const struct options *o)
{
	unsigned int n = (wants_fs(o) ? 2u : 0) + (o->agent ? 3u : 0) + (o->mem_max_bytes > o->mem_bytes ? 1u : 0) +
			 (o->console_fd >= 0 ? 1u : 0) + o->ndisks + o->nics;

	if (n > MMIO_SLOTS_MAX)
		log_die("%u devices are too many: %u is the limit; use fewer --disk or --nics", n, MMIO_SLOTS_MAX);
	return n;
}

static void create_disks(struct vm *vm, const struct options *o)
{
	unsigned int queues = o->max_cpus < BLK_QUEUES_MAX ? o->max_cpus : BLK_QUEUES_MAX;

	if (!o->ndisks)
		return;
	vm->blk = blk_worker_create(true);
	if (!vm->blk)
		log_die("cannot make the disks' worker: %s", strerror(errno));
	for (unsigned int i = 0; i < o->ndisks; i++) {
		const struct option_disk *s = &o->disk[i];
		struct virtio_dev *d = blk_create(&vm->mem, vm->blk, s->fd, s->flags & CTL_DISK_RO, s->serial, queues);

		if (!d)
			log_die("--disk fd:%d: %s%s", s->fd, strerror(errno),
				errno == EINVAL	  ? " (a regular file or a block device is needed)"
				: errno == EACCES ? " (it is not open for reading and, without :ro, writing)"
						  : "");
		attach(vm, d, "disk");
		vm->disk[vm->ndisks++] = d;
	}
}

/* The bits of a guest physical address, of which the CPU has at least 36. */
static unsigned int address_bits(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0x80000008, &a, &b, &c, &d) && (a & 0xff) >= 36 ? a & 0xff : 36;
}

/*
 * DAX windows lie one after the other above all RAM and whatever may be added to it. A CPU whose addresses end
 * before that, or a KVM without read-only slots, has none: files are read instead.
 */
static void add_window(struct vm *vm, struct virtio_dev *fs, uint64_t size, uint64_t *next)
{
	uint64_t gpa = *next;
	int ret;

	*next = gpa + size;
	if (!fs || !size || !vm->kvm.readonly_mem || *next > 1ull << address_bits())
		return;
	ret = fs_set_window(fs, gpa, size);
	if (!ret)
		ret = kvm_map(&vm->kvm, gpa, size, fs_window(fs), true);
	if (ret)
		log_die("cannot make a DAX window of %llu MiB: %s", (unsigned long long)(size >> 20), strerror(-ret));
}

static void create_fs(struct vm *vm, const struct options *o)
{
	const struct gmem_region *last = &vm->mem.region[vm->mem.nregions - 1];
	uint64_t next = (last->gpa + last->size + DAX_BASE - 1) / DAX_BASE * DAX_BASE;

	vm->fs = fs_create(&vm->mem, 1);
	add_window(vm, vm->fs, o->dax_bytes, &next);
	attach(vm, vm->fs, "file system");
	vm->own_fs = fs_create(&vm->mem, 1);
	if (vm->own_fs)
		fs_set_private(vm->own_fs, PLAN_PRIVATE_TAG);
	add_window(vm, vm->own_fs, o->dax_own_bytes, &next);
	attach(vm, vm->own_fs, "file system");
	for (unsigned int i = 0; i < o->nshares; i++)
		add_share(vm, &o->share[i]);
}

static void create_devices(struct vm *vm, const struct options *o)
{
	int ret = mmio_init(&vm->bus, &vm->kvm, &vm->mem, count_slots(o));

	if (ret)
		log_die("cannot make the device windows: %s", strerror(-ret));
	if (wants_fs(o))
		create_fs(vm, o);
	if (o->agent) {
		vm->vsock = vsock_create(&vm->mem, vm->loop, on_agent_ready, vm);
		attach(vm, vm->vsock, "vsock");
		attach(vm, rng_create(&vm->mem, vm->loop), "random");
		vm->balloon = balloon_create(&vm->mem, vm->loop);
		attach(vm, vm->balloon, "balloon");
	}
	if (vm->mem.hot.size) {
		vm->hot = mem_create(&vm->mem, vm->loop);
		attach(vm, vm->hot, "memory");
	}
	create_console(vm, o);
	create_disks(vm, o);
}

__attribute__((format(printf, 3, 4))) static void append(char *buf, size_t *len, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf + *len, BOOT_CMDLINE_MAX - *len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= BOOT_CMDLINE_MAX - *len)
		log_die("the kernel command line is longer than %u bytes; shorten --cmdline", BOOT_CMDLINE_MAX - 1);
	*len += (size_t)n;
}

static void make_cmdline(const struct vm *vm, const struct options *o, char *buf)
{
	unsigned int slots = count_slots(o);
	size_t len = 0;

	append(buf, &len, "%s", base_cmdline);
	if (o->console_fd >= 0)
		append(buf, &len, "console=hvc0 earlyprintk=ttyS0,115200 ");
	else
		append(buf, &len, "quiet ");
	if (vm->mem.nregions > 1)
		append(buf, &len, "swiotlb=noforce "); /* no device of ours needs 64 MiB of bounce buffers */
	if (o->max_cpus > o->cpus)
		append(buf, &len, "maxcpus=%u ", o->cpus);
	for (unsigned int i = 0; i < slots; i++)
		append(buf, &len, "virtio_mmio.device=4K@0x%llx:%u ",
		       (unsigned long long)(MMIO_BASE + (uint64_t)i * MMIO_WINDOW), MMIO_IRQ_FIRST + i);
	if (o->mem_auto && vm->mem.hot.size)
		append(buf, &len, "husk.grow ");     /* the agent tells when memory is short */
	append(buf, &len, "husk.nics=0:%u ", slots); /* CTL_ADD_NIC tells numbers of the windows */
	/* Last, so that it can overrule ours. */
	append(buf, &len, "%s", o->cmdline);
}

void vm_grow(void *arg)
{
	struct vm *vm = arg;
	uint64_t have, step, size = vm->mem.hot.size;

	/* One step at a time: what was asked for last is there, or the guest cannot take it. */
	if (!vm->hot || !vm->mem_auto || mem_requested(vm->hot) > atomic_load(&vm->mem.plugged_bytes))
		return;
	have = mem_requested(vm->hot);
	step = gmem_size(&vm->mem) / 2;
	if (step < GROW_STEP_MIN)
		step = GROW_STEP_MIN;
	step -= step % GROW_STEP_MIN;
	mem_request(vm->hot, step < size - have ? have + step : size);
}

static void on_owner(void *arg, uint32_t events)
{
	struct vm *vm = arg;

	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		vm_end(vm, 0, NULL);
}

static void on_boot_timeout(void *arg, uint32_t events)
{
	struct vm *vm = arg;

	(void)events;
	loop_del(vm->loop, &vm->boot_timer);
	if (vm->vsock)
		vsock_give_up(vm->vsock); /* whoever waits gets an answer */
	vm_end(vm, 2,
	       "the guest's agent was not ready after %u ms: the host is overloaded, /dev/kvm is a software backend "
	       "(`husk-vmm --probe` tells), or the guest does not boot (--debug shows its messages)",
	       vm->boot_timeout_ms);
}

static void create_watches(struct vm *vm, const struct options *o)
{
	int ret = 0;

	if (o->owner_fd >= 0) {
		vm->owner = (struct loop_watch){ .fd = o->owner_fd, .events = EPOLLRDHUP, .fn = on_owner, .arg = vm };
		ret = loop_add(vm->loop, &vm->owner);
		if (ret)
			log_die("--owner fd:%d: %s (a connected socket or a pipe is needed)", o->owner_fd,
				strerror(-ret));
	}
	if (o->listen_fd >= 0) {
		vm->ctl = ctl_create(vm->loop, o->listen_fd, geteuid(), vm_request, vm);
		if (!vm->ctl)
			log_die("--listen fd:%d: %s (a listening unix socket is needed)", o->listen_fd,
				strerror(errno));
	}
	if (o->agent) {
		struct itimerspec its = { .it_value = { o->boot_timeout_ms / 1000,
							(o->boot_timeout_ms % 1000) * 1000000l } };
		int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

		vm->boot_timer = (struct loop_watch){ .fd = fd, .events = EPOLLIN, .fn = on_boot_timeout, .arg = vm };
		if (fd < 0 || timerfd_settime(fd, 0, &its, NULL) || loop_add(vm->loop, &vm->boot_timer))
			log_die("cannot make the boot timer: %s", strerror(errno));
	}
}

/*
 * Making a VM is mostly waiting, for kernel threads and grace periods; loading a kernel is mostly copying. So they are
 * done at the same time, by two threads that share nothing but the guest's memory.
 */
struct loader {
	pthread_t thread;
	const struct gmem *mem;
	struct boot_image image;
	char cmdline[BOOT_CMDLINE_MAX];
	struct boot_regs regs;
	const char *which, *why;
	int ret;
};

static void *load(void *arg)
{
	struct loader *l = arg;

	l->ret = boot_load(&l->image, l->mem, &l->regs, &l->which, &l->why);
	return NULL;
}

static void start_loader(struct loader *l, const struct vm *vm, const struct options *o)
{
	pthread_attr_t attr;
	int ret;

	l->mem = &vm->mem;
	make_cmdline(vm, o, l->cmdline);
	l->image = (struct boot_image){
		.kernel_fd = o->kernel_fd, .initrd_fd = o->initrd_fd, .cmdline = l->cmdline, .vcpus = o->max_cpus
	};
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, LOADER_STACK);
	ret = pthread_create(&l->thread, &attr, load, l);
	pthread_attr_destroy(&attr);
	if (ret)
		log_die("cannot start a thread: %s", strerror(ret));
}

/* What the guest may grow by costs address space only. */
static void reserve_memory(struct vm *vm, const struct options *o)
{
	uint64_t more = o->mem_max_bytes - o->mem_bytes;
	int ret = more ? gmem_reserve(&vm->mem, more) : 0;

	if (ret) /* a host that does not overcommit */
		log_line("the guest will not grow: %llu MiB of address space cannot be reserved: %s",
			 (unsigned long long)(more >> 20), strerror(-ret));
	if ((o->dax_bytes || o->dax_own_bytes) && vm->mem.hot.gpa + vm->mem.hot.size > DAX_BASE)
		log_die("--mem-max: %llu MiB leave no room for --dax; lower it",
			(unsigned long long)(o->mem_max_bytes >> 20));
	ret = o->merge ? gmem_merge(&vm->mem) : 0;
	if (ret)
		log_die("--ksm: %s (this host's kernel has no KSM)", strerror(-ret));
	vm->mem_auto = o->mem_auto;
}

void vm_create(struct vm *vm, const struct options *o)
{
	struct loader loader;
	char text[512];
	int ret;

	vm->agent = o->agent;
	vm->jailed = o->jail;
	if (vm->jailed) {
		for (unsigned int i = 0; i < o->nshares; i++)
			jail_detach(o->share[i].fd);
		jail_isolate();
	}
	vm->boot_timeout_ms = o->boot_timeout_ms;
	if (kvm_open(&vm->kvm, text, sizeof(text)))
		log_die("%s", text);
	if (o->max_cpus > vm->kvm.vcpus_max)
		log_die("%u vCPUs are more than this host's KVM allows (%u)", o->max_cpus, vm->kvm.vcpus_max);
	ret = wants_fs(o) ? fs_prepare() : 0; /* while there is one thread */
	if (ret)
		log_die("cannot prepare the file server: %s (is /proc mounted?)", strerror(-ret));
	ret = gmem_alloc(&vm->mem, o->mem_bytes);
	if (ret)
		log_die("cannot reserve %llu MiB for the guest: %s; lower --mem or raise this process's limits",
			(unsigned long long)(o->mem_bytes >> 20), strerror(-ret));
	reserve_memory(vm, o);
	start_loader(&loader, vm, o);
	vm->kvm.plain_registers = o->plain_registers;
	if (kvm_create(&vm->kvm, text, sizeof(text)))
		log_die("%s", text);
	ret = kvm_map_ram(&vm->kvm, &vm->mem);
	if (ret)
		log_die("KVM refuses the guest's memory: %s", strerror(-ret));
	vm->loop = loop_create();
	if (!vm->loop)
		log_die("cannot make the event loop: %s", strerror(errno));
	create_devices(vm, o);
	create_watches(vm, o);
	pthread_join(loader.thread, NULL);
	if (loader.ret)
		log_die("%s: %s (%s)", loader.which, loader.why, strerror(-loader.ret));
	if (vcpus_create(vm, o->max_cpus, &loader.regs, text, sizeof(text)))
		log_die("%s", text);
}

static void enter_fs_thread(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "fs");
	jail_thread(THREAD_FS);
}

static void enter_blk_thread(void *arg)
{
	(void)arg;
	jail_thread(THREAD_BLK);
}

/* Threads start with what privileges they shall have: the file server's first, the vCPUs' when all are gone. */
static void start_threads(struct vm *vm)
{
	int ret;

	if (vm->jailed)
		jail_close();
	ret = vm->fs ? fs_start(vm->fs, vm->jailed ? enter_fs_thread : NULL, NULL) : 0;
	if (!ret && vm->own_fs)
		ret = fs_start(vm->own_fs, vm->jailed ? enter_fs_thread : NULL, NULL);
	if (ret)
		log_die("cannot start the file server: %s", strerror(-ret));
	if (vm->jailed)
		jail_drop();
	ret = vm->blk ? blk_worker_start(vm->blk, vm->jailed ? enter_blk_thread : NULL, NULL) : 0;
	if (ret)
		log_die("cannot start the disks' worker: %s", strerror(-ret));
	ret = vcpus_start(vm);
	if (ret)
		log_die("cannot start a vCPU thread: %s", strerror(-ret));
	if (vm->jailed)
		jail_thread(THREAD_LOOP);
}

int vm_run(struct vm *vm)
{
	int ret;

	start_threads(vm);
	vcpus_resume(vm);
	ret = loop_run(vm->loop);
	if (ret)
		vm_end(vm, 2, "the event loop failed: %s", strerror(-ret));

	if (vm->vsock)
		vsock_drain(vm->vsock, DRAIN_MS);
	sink_free(vm->sink);
	if (vm->end_text[0])
		log_line("%s", vm->end_text);
	return vm->end_status;
}
