/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mmio transport (virtio 1.2, 4.2, version 2). vCPU threads serve register writes under the slot's lock; device
 * threads publish status and configuration changes. The guest controls every register it can write, at any time and
 * from several vCPUs.
 *
 * Theory of operation. Each window is a page that the guest reads directly: a read-only memory slot, so a register
 * read is a memory read and costs no exit. Writes are not possible there, so KVM hands them to us. Whatever a register
 * shall read as is stored in the page when it changes. Two registers would change with every interrupt:
 *
 *   InterruptStatus  reads "buffers used" always once the driver runs. The driver then looks at its queues, which it
 *                    does anyway; a driver must cope with finding none. So we need not set and clear the bit.
 *   InterruptACK     with the value 1 has therefore nothing to do. An ioeventfd that nobody reads swallows it in the
 *                    kernel. Other values come to us and clear the configuration bit.
 *
 * An interrupt thus costs the guest no exit to this process, where the plain register model needs two. Queue kicks
 * go by ioeventfd, interrupts by irqfd.
 *
 * Where KVM has no read-only slots, reads exit and are served from the same page.
 *
 * Driver life (3.1.1): status bits are only ever added; features are frozen at FEATURES_OK, queues at DRIVER_OK, where
 * they are looked up once (queue.c). Writing 0 resets: the device stops using memory before the write returns.
 */
#include "mmio.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"

enum reg {
	R_MAGIC = 0x000,
	R_VERSION = 0x004,
	R_DEVICE_ID = 0x008,
	R_VENDOR_ID = 0x00c,
	R_DEVICE_FEATURES = 0x010,
	R_DEVICE_FEATURES_SEL = 0x014,
	R_DRIVER_FEATURES = 0x020,
	R_DRIVER_FEATURES_SEL = 0x024,
	R_QUEUE_SEL = 0x030,
	R_QUEUE_NUM_MAX = 0x034,
	R_QUEUE_NUM = 0x038,
	R_QUEUE_READY = 0x044,
	R_QUEUE_NOTIFY = 0x050,
	R_INTERRUPT_STATUS = 0x060,
	R_INTERRUPT_ACK = 0x064,
	R_STATUS = 0x070,
	R_QUEUE_DESC_LOW = 0x080,
	R_QUEUE_DESC_HIGH = 0x084,
	R_QUEUE_DRIVER_LOW = 0x090,
	R_QUEUE_DRIVER_HIGH = 0x094,
	R_QUEUE_DEVICE_LOW = 0x0a0,
	R_QUEUE_DEVICE_HIGH = 0x0a4,
	R_SHM_SEL = 0x0ac,
	R_SHM_LEN_LOW = 0x0b0,
	R_SHM_LEN_HIGH = 0x0b4,
	R_SHM_BASE_LOW = 0x0b8,
	R_SHM_BASE_HIGH = 0x0bc,
	R_CONFIG_GENERATION = 0x0fc,
	R_CONFIG = 0x100,
};

#define MAGIC 0x74726976u  /* "virt" */
#define VENDOR 0x4b535548u /* "HUSK" */

#define TRANSPORT_FEATURES (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_EVENT_IDX | 1ull << VIRTIO_F_INDIRECT_DESC)

static void set_reg(struct mmio_slot *s, uint32_t off, uint32_t value)
{
	__atomic_store_n((uint32_t *)(void *)(s->regs + off), value, __ATOMIC_RELEASE);
}

static uint64_t offered(const struct virtio_dev *d)
{
	return d->ops->features | TRANSPORT_FEATURES;
}

/* Registers whose value depends on a selector. */
static void show_features(struct mmio_slot *s)
{
	uint64_t f = s->dev ? offered(s->dev) : 0;

	set_reg(s, R_DEVICE_FEATURES, s->device_sel > 1 ? 0 : (uint32_t)(f >> (32 * s->device_sel)));
}

static struct vq *selected_queue(const struct mmio_slot *s)
{
	struct virtio_dev *d = s->dev;

	return d && s->queue_sel < d->nqueues && s->queue_sel < VIRTIO_QUEUES_MAX ? &d->vq[s->queue_sel] : NULL;
}

static void show_queue(struct mmio_slot *s)
{
	const struct vq *q = selected_queue(s);

	set_reg(s, R_QUEUE_NUM_MAX, q ? q->size_max : 0);
	set_reg(s, R_QUEUE_READY, q && q->ready);
}

/* The region that the driver selected; one that does not exist has the length -1 (4.2.2.1). */
static void show_shm(struct mmio_slot *s, uint32_t sel)
{
	struct virtio_shm none = { .gpa = UINT64_MAX, .len = UINT64_MAX };
	struct virtio_shm shm = s->dev && s->dev->shm.len && sel == 0 ? s->dev->shm : none;

	set_reg(s, R_SHM_LEN_LOW, (uint32_t)shm.len);
	set_reg(s, R_SHM_LEN_HIGH, (uint32_t)(shm.len >> 32));
	set_reg(s, R_SHM_BASE_LOW, (uint32_t)shm.gpa);
	set_reg(s, R_SHM_BASE_HIGH, (uint32_t)(shm.gpa >> 32));
}

/* Under config_lock. A reader that saw the old generation, or the one in between, reads again (2.5.1). */
static void show_config(struct mmio_slot *s)
{
	struct virtio_dev *d = s->dev;

	if (!d->ops->config_len || !d->ops->config_read)
		return;
	set_reg(s, R_CONFIG_GENERATION, ++d->config_generation);
	d->ops->config_read(d, 0, s->regs + R_CONFIG, d->ops->config_len);
	set_reg(s, R_CONFIG_GENERATION, ++d->config_generation);
}

static void show_status(struct mmio_slot *s)
{
	struct virtio_dev *d = s->dev;
	uint32_t status = atomic_load(&d->status), isr = atomic_load(&d->isr);

	if (status & VIRTIO_S_DRIVER_OK)
		isr |= VIRTIO_ISR_USED;
	set_reg(s, R_STATUS, status);
	set_reg(s, R_INTERRUPT_STATUS, isr);
}

/* virtio_dev.changed: any thread. The slot's lock may be held by a vCPU that waits for this thread, so not that one. */
static void on_changed(struct virtio_dev *d, bool config)
{
	struct mmio_slot *s = d->transport;

	pthread_mutex_lock(&s->config_lock);
	if (config)
		show_config(s);
	show_status(s);
	pthread_mutex_unlock(&s->config_lock);
}

static void publish_status(struct mmio_slot *s)
{
	pthread_mutex_lock(&s->config_lock);
	show_status(s);
	pthread_mutex_unlock(&s->config_lock);
}

/* All registers of an empty slot, or of a fresh device. */
static void show_all(struct mmio_slot *s)
{
	memset(s->regs, 0, MMIO_WINDOW);
	set_reg(s, R_VERSION, 2);
	set_reg(s, R_VENDOR_ID, VENDOR);
	show_shm(s, 0);
	if (s->dev) {
		show_features(s);
		show_queue(s);
		pthread_mutex_lock(&s->config_lock);
		show_config(s);
		show_status(s);
		pthread_mutex_unlock(&s->config_lock);
		set_reg(s, R_DEVICE_ID, s->dev->ops->id);
	}
	set_reg(s, R_MAGIC, MAGIC);
}

/* The driver's reset, and the end. Under the slot's lock. */
static void reset_device(struct mmio_slot *s)
{
	struct virtio_dev *d = s->dev;

	d->ops->reset(d);
	for (uint32_t i = 0; i < d->nqueues; i++)
		vq_reset(&d->vq[i]);
	s->driver_features = 0;
	d->driver_features = 0;
	atomic_store(&d->isr, 0);
	atomic_store(&d->status, 0);
	show_queue(s);
	publish_status(s);
}

/* DRIVER_OK: look the queues up, once, and start the device. */
static int start_device(struct mmio_slot *s)
{
	struct virtio_dev *d = s->dev;
	bool event_idx = s->driver_features >> VIRTIO_F_EVENT_IDX & 1;

	d->driver_features = s->driver_features;
	/* Kicks that came before stay in their eventfds: some drivers fill queues before they say DRIVER_OK. */
	for (uint32_t i = 0; i < d->nqueues; i++) {
		if (d->vq[i].ready && vq_start(&d->vq[i], d->mem, event_idx))
			return -EINVAL;
	}
	return d->ops->activate(d);
}

static void write_status(struct mmio_slot *s, uint32_t value)
{
	struct virtio_dev *d = s->dev;
	uint32_t old = atomic_load(&d->status), added;

	if (value == 0) {
		reset_device(s);
		return;
	}
	/* Bits are only added; NEEDS_RESET is ours. */
	value = (value & 0xff & ~VIRTIO_S_NEEDS_RESET) | old;
	added = value & ~old;

	if (added & VIRTIO_S_FEATURES_OK) {
		bool fits = !(s->driver_features & ~offered(d)) && s->driver_features >> VIRTIO_F_VERSION_1 & 1;

		if (!fits) /* the driver reads back that we did not agree (3.1.1 step 6) */
			value &= ~VIRTIO_S_FEATURES_OK;
	}
	if ((added & VIRTIO_S_DRIVER_OK) && !(value & VIRTIO_S_FEATURES_OK))
		value &= ~VIRTIO_S_DRIVER_OK;
	atomic_fetch_or(&d->status, value);

	if ((value & ~old) & VIRTIO_S_DRIVER_OK) {
		int err = start_device(s);

		if (err)
			virtio_fault(d, err == -EINVAL ? "its driver set up queues that are not in guest memory"
						       : "the device cannot start");
	}
	publish_status(s);
}

static void set_low(uint64_t *v, uint32_t value)
{
	*v = (*v & ~0xffffffffull) | value;
}

static void set_high(uint64_t *v, uint32_t value)
{
	*v = (*v & 0xffffffffull) | (uint64_t)value << 32;
}

/* Queue registers; the queue is not running and the driver has not said DRIVER_OK. */
static void write_queue(struct mmio_slot *s, struct vq *q, uint32_t off, uint32_t value)
{
	switch (off) {
	case R_QUEUE_NUM:
		/* What does not fit stays refused: 0 makes the start fail. */
		q->size = value <= q->size_max ? (uint16_t)value : 0;
		break;
	case R_QUEUE_READY:
		q->ready = value & 1;
		show_queue(s);
		break;
	case R_QUEUE_DESC_LOW:
		set_low(&q->desc, value);
		break;
	case R_QUEUE_DESC_HIGH:
		set_high(&q->desc, value);
		break;
	case R_QUEUE_DRIVER_LOW:
		set_low(&q->driver, value);
		break;
	case R_QUEUE_DRIVER_HIGH:
		set_high(&q->driver, value);
		break;
	case R_QUEUE_DEVICE_LOW:
		set_low(&q->device, value);
		break;
	case R_QUEUE_DEVICE_HIGH:
		set_high(&q->device, value);
		break;
	}
}

static void write_reg(struct mmio_slot *s, uint32_t off, uint32_t value)
{
	struct virtio_dev *d = s->dev;
	uint32_t status = atomic_load(&d->status);
	struct vq *q;

	switch (off) {
	case R_DEVICE_FEATURES_SEL:
		s->device_sel = value;
		show_features(s);
		break;
	case R_DRIVER_FEATURES_SEL:
		s->driver_sel = value;
		break;
	case R_DRIVER_FEATURES:
		if (status & VIRTIO_S_FEATURES_OK)
			break;
		if (s->driver_sel == 0)
			set_low(&s->driver_features, value);
		else if (s->driver_sel == 1)
			set_high(&s->driver_features, value);
		break;
	case R_QUEUE_SEL:
		s->queue_sel = value;
		show_queue(s);
		break;
	case R_SHM_SEL:
		show_shm(s, value);
		break;
	case R_QUEUE_NOTIFY:
		/* Usually taken by the ioeventfd. */
		if (value < d->nqueues && (status & VIRTIO_S_DRIVER_OK))
			eventfd_write(d->vq[value].kick, 1);
		break;
	case R_INTERRUPT_ACK:
		atomic_fetch_and(&d->isr, ~(value & VIRTIO_ISR_CONFIG));
		publish_status(s);
		break;
	case R_STATUS:
		write_status(s, value);
		break;
	default:
		q = selected_queue(s);
		if (q && !(status & VIRTIO_S_DRIVER_OK) && !q->running)
			write_queue(s, q, off, value);
	}
}

static void write_config(struct mmio_slot *s, uint32_t off, const void *data, uint32_t len)
{
	struct virtio_dev *d = s->dev;
	uint32_t room = d->ops->config_len;

	if (!d->ops->config_write || off > room || len > room - off)
		return;
	d->ops->config_write(d, off, data, len);
	pthread_mutex_lock(&s->config_lock);
	show_config(s);
	pthread_mutex_unlock(&s->config_lock);
}

/* The slot and the offset in its window; NULL when no window or more than one is touched. */
static struct mmio_slot *find(struct mmio_bus *bus, uint64_t gpa, uint32_t len, uint32_t *off)
{
	uint64_t rel = gpa - MMIO_BASE;

	if (gpa < MMIO_BASE || rel >= (uint64_t)bus->nslots * MMIO_WINDOW)
		return NULL;
	*off = (uint32_t)(rel % MMIO_WINDOW);
	if (len > MMIO_WINDOW - *off)
		return NULL;
	return &bus->slot[rel / MMIO_WINDOW];
}

void mmio_read(struct mmio_bus *bus, uint64_t gpa, void *data, uint32_t len)
{
	uint32_t off;
	struct mmio_slot *s = find(bus, gpa, len, &off);

	if (s)
		memcpy(data, s->regs + off, len);
	else
		memset(data, 0xff, len); /* nobody there */
}

void mmio_write(struct mmio_bus *bus, uint64_t gpa, const void *data, uint32_t len)
{
	uint32_t off, value;
	struct mmio_slot *s = find(bus, gpa, len, &off);

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	if (s->dev && off >= R_CONFIG) {
		write_config(s, off - R_CONFIG, data, len);
	} else if (s->dev && len == 4 && off % 4 == 0) { /* registers are 32 bits wide and aligned (4.2.2.2) */
		memcpy(&value, data, 4);
		write_reg(s, off, value);
	}
	pthread_mutex_unlock(&s->lock);
}

int mmio_init(struct mmio_bus *bus, struct kvm *kvm, const struct gmem *mem, unsigned int nslots)
{
	size_t size = (size_t)nslots * MMIO_WINDOW;

	memset(bus, 0, sizeof(*bus));
	bus->kvm = kvm;
	bus->mem = mem;
	bus->ack = -1;
	if (nslots > MMIO_SLOTS_MAX)
		return -ENOSPC;
	if (nslots == 0)
		return 0;
	bus->regs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bus->regs == MAP_FAILED) {
		bus->regs = NULL;
		return -errno;
	}
	bus->ack = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bus->ack < 0) {
		int err = errno;

		munmap(bus->regs, size);
		bus->regs = NULL;
		return -err;
	}
	bus->nslots = nslots;
	for (unsigned int i = 0; i < nslots; i++) {
		struct mmio_slot *s = &bus->slot[i];

		pthread_mutex_init(&s->lock, NULL);
		pthread_mutex_init(&s->config_lock, NULL);
		s->regs = bus->regs + (size_t)i * MMIO_WINDOW;
		s->call = -1;
		show_all(s);
	}
	/* One memory slot for all windows. When KVM refuses, reads exit: slower, not wrong. */
	if (kvm && kvm->readonly_mem && !kvm->plain_registers)
		bus->readonly = kvm_map(kvm, MMIO_BASE, size, bus->regs, true) == 0;
	return 0;
}

static uint64_t window(const struct mmio_bus *bus, const struct mmio_slot *s)
{
	return MMIO_BASE + (uint64_t)(s - bus->slot) * MMIO_WINDOW;
}

/* Eventfds of a device in and out of KVM. On the way out errors do not matter: the descriptors are closed next. */
static int connect_events(struct mmio_bus *bus, struct mmio_slot *s, struct virtio_dev *d, bool on)
{
	uint64_t base = window(bus, s);
	uint32_t gsi = MMIO_IRQ_FIRST + (uint32_t)(s - bus->slot);
	int ret = 0;

	if (!bus->kvm)
		return 0;
	for (uint32_t i = 0; i < d->nqueues && !(on && ret); i++)
		ret = kvm_ioeventfd(bus->kvm, base + R_QUEUE_NOTIFY, 4, i, d->vq[i].kick, on);
	if (!(on && ret) && !bus->kvm->plain_registers)
		ret = kvm_ioeventfd(bus->kvm, base + R_INTERRUPT_ACK, 4, VIRTIO_ISR_USED, bus->ack, on);
	if (!(on && ret))
		ret = kvm_irqfd(bus->kvm, gsi, s->call, on);
	return on ? ret : 0;
}

static void close_events(struct mmio_slot *s, struct virtio_dev *d)
{
	for (uint32_t i = 0; i < d->nqueues; i++) {
		if (d->vq[i].kick >= 0)
			close(d->vq[i].kick);
		d->vq[i].kick = d->vq[i].call = -1;
	}
	if (s->call >= 0)
		close(s->call);
	s->call = d->call = -1;
}

int mmio_attach(struct mmio_bus *bus, unsigned int n, struct virtio_dev *d)
{
	struct mmio_slot *s;
	int ret = 0;

	if (n >= bus->nslots || d->nqueues > VIRTIO_QUEUES_MAX || d->ops->config_len > VIRTIO_CONFIG_MAX ||
	    d->ops->queue_max > VQ_SIZE_MAX)
		return -EINVAL;
	s = &bus->slot[n];
	pthread_mutex_lock(&s->lock);
	if (s->dev) {
		pthread_mutex_unlock(&s->lock);
		return -EBUSY;
	}
	s->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->call < 0)
		ret = -errno;
	d->call = s->call;
	for (uint32_t i = 0; i < d->nqueues; i++) {
		vq_reset(&d->vq[i]);
		d->vq[i].size_max = d->ops->queue_max;
		d->vq[i].call = s->call;
		d->vq[i].kick = ret ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (d->vq[i].kick < 0 && !ret)
			ret = -errno;
	}
	if (!ret) {
		ret = connect_events(bus, s, d, true);
		if (ret)
			connect_events(bus, s, d, false);
	}
	if (ret) {
		close_events(s, d);
	} else {
		d->mem = bus->mem;
		d->transport = s;
		d->changed = on_changed;
		atomic_store(&d->status, 0);
		atomic_store(&d->isr, 0);
		s->dev = d;
		s->driver_features = 0;
		s->device_sel = s->driver_sel = s->queue_sel = 0;
		show_all(s);
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

struct virtio_dev *mmio_detach(struct mmio_bus *bus, unsigned int n)
{
	struct virtio_dev *d;
	struct mmio_slot *s;

	if (n >= bus->nslots)
		return NULL;
	s = &bus->slot[n];
	pthread_mutex_lock(&s->lock);
	d = s->dev;
	if (d) {
		reset_device(s);
		connect_events(bus, s, d, false);
		close_events(s, d);
		d->changed = NULL;
		d->transport = NULL;
		s->dev = NULL;
		show_all(s);
	}
	pthread_mutex_unlock(&s->lock);
	return d;
}

int mmio_free_slot(struct mmio_bus *bus)
{
	for (unsigned int i = 0; i < bus->nslots; i++) {
		bool empty;

		pthread_mutex_lock(&bus->slot[i].lock);
		empty = !bus->slot[i].dev;
		pthread_mutex_unlock(&bus->slot[i].lock);
		if (empty)
			return (int)i;
	}
	return -ENOSPC;
}

void mmio_free(struct mmio_bus *bus)
{
	for (unsigned int i = 0; i < bus->nslots; i++) {
		mmio_detach(bus, i);
		pthread_mutex_destroy(&bus->slot[i].lock);
		pthread_mutex_destroy(&bus->slot[i].config_lock);
	}
	if (bus->ack >= 0)
		close(bus->ack);
	if (bus->regs)
		munmap(bus->regs, (size_t)bus->nslots * MMIO_WINDOW);
	bus->nslots = 0;
	bus->regs = NULL;
	bus->ack = -1;
}
