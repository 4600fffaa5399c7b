/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device says to its driver: buffers used, configuration changed, rules broken. Any thread that owns the
 * queue or device; the guest controls nothing here but whether it wants to be interrupted.
 */
#include "virtio.h"

#include <sys/eventfd.h>

#include "log.h"

void virtio_notify(struct virtio_dev *d, struct vq *q)
{
	if (!vq_wants_interrupt(q))
		return;
	/* The bit is set once and stays (see mmio.c); a load is cheaper than a locked operation per interrupt. */
	if (!(atomic_load_explicit(&d->isr, memory_order_relaxed) & VIRTIO_ISR_USED)) {
		atomic_fetch_or(&d->isr, VIRTIO_ISR_USED);
		if (d->changed)
			d->changed(d, false);
	}
	eventfd_write(d->call, 1);
}

void virtio_config_changed(struct virtio_dev *d)
{
	atomic_fetch_or(&d->isr, VIRTIO_ISR_CONFIG);
	if (d->changed)
		d->changed(d, true);
	/* Before DRIVER_OK nobody listens, and the driver reads the configuration itself (2.4). */
	if (atomic_load(&d->status) & VIRTIO_S_DRIVER_OK)
		eventfd_write(d->call, 1);
}

void virtio_fault(struct virtio_dev *d, const char *why)
{
	uint32_t before = atomic_fetch_or(&d->status, VIRTIO_S_NEEDS_RESET);

	for (uint32_t i = 0; i < d->nqueues && i < VIRTIO_QUEUES_MAX; i++)
		vq_break(&d->vq[i]);
	if (before & VIRTIO_S_NEEDS_RESET)
		return;
	log_guest("device %s stopped until the guest resets it: %s", d->ops->name, why);
	virtio_config_changed(d);
}
