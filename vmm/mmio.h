/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mmio: the register windows through which the guest finds and drives its devices (virtio 1.2, 4.2, version 2).
 */
#ifndef HUSK_VMM_MMIO_H
#define HUSK_VMM_MMIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm.h"
#include "memory.h"
#include "virtio.h"

/* Slot n has its window at MMIO_BASE + n * MMIO_WINDOW and raises interrupt line MMIO_IRQ_FIRST + n, edge-triggered. */
#define MMIO_BASE GMEM_HOLE_START
#define MMIO_WINDOW 0x1000u
#define MMIO_IRQ_FIRST 5u
#define MMIO_SLOTS_MAX 19u /* lines 5 to 23 of the IO-APIC */

struct mmio_slot {
	pthread_mutex_t lock;	     /* registers, attach, detach */
	pthread_mutex_t config_lock; /* the copy of the configuration space, the generation */
	struct virtio_dev *dev;	     /* NULL: empty */
	uint8_t *regs;		     /* the page that the guest reads */
	int call;		     /* irqfd */
	uint64_t driver_features;
	uint32_t device_sel, driver_sel, queue_sel;
};

struct mmio_bus {
	const struct kvm *kvm; /* NULL: no KVM, for tests */
	const struct gmem *mem;
	uint8_t *regs; /* one page per slot */
	int ack;       /* eventfd that nobody reads: takes the usual interrupt acknowledgement */
	bool readonly; /* the guest reads the pages without an exit */
	unsigned int nslots;
	struct mmio_slot slot[MMIO_SLOTS_MAX];
};

/**
 * mmio_init() - make `nslots` empty slots
 * @kvm: VM that shall see them, or NULL
 *
 * An empty slot reads as device 0, the placeholder of virtio 1.2, 4.2.2. Return: 0 or -errno.
 */
int mmio_init(struct mmio_bus *bus, struct kvm *kvm, const struct gmem *mem, unsigned int nslots);

/* Reset and detach all devices, free everything. The vCPUs must stand still. */
void mmio_free(struct mmio_bus *bus);

/**
 * mmio_attach() - put a device into an empty slot
 *
 * The device stays the caller's; it gets its eventfds and its memory. A driver that was told by the agent to look
 * again finds it. Main or loop thread. Return: 0, -EBUSY, or -errno.
 */
int mmio_attach(struct mmio_bus *bus, unsigned int n, struct virtio_dev *d);

/* Reset the device and empty the slot; returns the device (NULL: there was none). Main or loop thread. */
struct virtio_dev *mmio_detach(struct mmio_bus *bus, unsigned int n);

/* First empty slot, or -ENOSPC. */
int mmio_free_slot(struct mmio_bus *bus);

/* Accesses that exited: any address, 1 to 8 bytes. vCPU threads. */
void mmio_read(struct mmio_bus *bus, uint64_t gpa, void *data, uint32_t len);
void mmio_write(struct mmio_bus *bus, uint64_t gpa, const void *data, uint32_t len);

#endif
