/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtio device is to its transport. Devices know guest memory, queues and eventfds, and nothing of KVM.
 */
#ifndef HUSK_VMM_VIRTIO_H
#define HUSK_VMM_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory.h"
#include "queue.h"

#define VIRTIO_QUEUES_MAX 18

#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_RNG 4
#define VIRTIO_ID_BALLOON 5
#define VIRTIO_ID_VSOCK 19
#define VIRTIO_ID_MEM 24
#define VIRTIO_ID_FS 26

#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32

#define VIRTIO_CONFIG_MAX 0xf00u

/* Device status (2.1) */
#define VIRTIO_S_ACKNOWLEDGE 1u
#define VIRTIO_S_DRIVER 2u
#define VIRTIO_S_DRIVER_OK 4u
#define VIRTIO_S_FEATURES_OK 8u
#define VIRTIO_S_NEEDS_RESET 64u
#define VIRTIO_S_FAILED 128u

/* Interrupt status (4.2.2) */
#define VIRTIO_ISR_USED 1u
#define VIRTIO_ISR_CONFIG 2u

struct virtio_dev;

struct virtio_ops {
	const char *name;
	uint32_t id;	   /* VIRTIO_ID_* */
	uint64_t features; /* device features; the transport adds VERSION_1, EVENT_IDX, INDIRECT_DESC */
	uint32_t nqueues;  /* default; virtio_dev.nqueues counts */
	uint16_t queue_max;

	/* Configuration space; off and len are checked against config_len. Write may be NULL: ignored. vCPU thread.
	 * The guest reads a copy, which the transport takes when the device is attached, after each config_write and in
	 * virtio_config_changed(), there in the caller's thread. */
	uint32_t config_len; /* <= VIRTIO_CONFIG_MAX */
	void (*config_read)(struct virtio_dev *d, uint32_t off, void *buf, uint32_t len);
	void (*config_write)(struct virtio_dev *d, uint32_t off, const void *buf, uint32_t len);

	/*
	 * DRIVER_OK: queues are started and frozen. Register kicks with the loop or start workers. 0 or -errno.
	 * vCPU thread.
	 */
	int (*activate)(struct virtio_dev *d);

	/* Driver reset, or the VM ends: stop every use of queues and guest memory before returning. Idempotent. */
	void (*reset)(struct virtio_dev *d);
};

/* A shared memory region, with id 0 (2.10). len 0: none. */
struct virtio_shm {
	uint64_t gpa, len;
};

struct virtio_dev {
	const struct virtio_ops *ops;
	const struct gmem *mem;
	uint32_t nqueues;
	struct vq vq[VIRTIO_QUEUES_MAX];
	struct virtio_shm shm;	  /* set before the device is attached, then constant */
	uint64_t driver_features; /* as negotiated, valid from activate() */

	/* transport */
	_Atomic uint32_t status, isr;
	int call; /* irqfd of the device */
	uint32_t config_generation;
	void *transport;
	/*
	 * Set by the transport, may be NULL: status, isr or (when config is true) the configuration space have
	 * changed.
	 */
	void (*changed)(struct virtio_dev *d, bool config);
};

/* Tell the driver about used buffers of q, if it wants to know. Any thread that owns q. */
void virtio_notify(struct virtio_dev *d, struct vq *q);

/* Configuration changed: bump generation, raise the interrupt. */
void virtio_config_changed(struct virtio_dev *d);

/*
 * The guest broke the rules on this device: set DEVICE_NEEDS_RESET, log once, stop its queues. Never ends the
 * process.
 */
void virtio_fault(struct virtio_dev *d, const char *why);

#endif
