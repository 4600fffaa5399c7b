/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-net. Set up by the loop thread, started and stopped by vCPU threads; the work is done by a kernel thread, which
 * reads the rings as the guest writes them and checks each address against the table that it gets here. The table holds
 * RAM only: register windows and mapped files are not in it.
 */
#include "vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/ioctl.h>

#define QUEUES 2u /* receive, transmit: what vhost-net has */

int vhost_open(int fd, uint64_t *features)
{
	if (ioctl(fd, VHOST_SET_OWNER, NULL) || ioctl(fd, VHOST_GET_FEATURES, features))
		return -errno;
	return 0;
}

static int set_memory(int fd, const struct gmem *mem)
{
	_Alignas(struct vhost_memory) uint8_t
		room[sizeof(struct vhost_memory) + (GMEM_REGIONS_MAX + 1) * sizeof(struct vhost_memory_region)] = { 0 };
	struct vhost_memory *t = (struct vhost_memory *)(void *)room;

	for (unsigned int i = 0; i < mem->nregions; i++)
		t->regions[t->nregions++] = (struct vhost_memory_region){
			.guest_phys_addr = mem->region[i].gpa,
			.memory_size = mem->region[i].size,
			.userspace_addr = (uintptr_t)mem->region[i].host,
		};
	/* Blocks that are not plugged are zero pages of ours: nothing is behind them, either. */
	if (mem->hot.size)
		t->regions[t->nregions++] = (struct vhost_memory_region){
			.guest_phys_addr = mem->hot.gpa,
			.memory_size = mem->hot.size,
			.userspace_addr = (uintptr_t)mem->hot.host,
		};
	return ioctl(fd, VHOST_SET_MEM_TABLE, t) ? -errno : 0;
}

static int set_queue(int fd, unsigned int index, const struct vq *q)
{
	struct vhost_vring_state size = { .index = index, .num = q->size }, base = { .index = index };
	struct vhost_vring_file kick = { .index = index, .fd = q->kick }, call = { .index = index, .fd = q->call };
	struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = (uintptr_t)q->desc_p,
		.avail_user_addr = (uintptr_t)q->avail_p,
		.used_user_addr = (uintptr_t)q->used_p,
	};

	return ioctl(fd, VHOST_SET_VRING_NUM, &size) || ioctl(fd, VHOST_SET_VRING_BASE, &base) ||
			       ioctl(fd, VHOST_SET_VRING_ADDR, &addr) || ioctl(fd, VHOST_SET_VRING_KICK, &kick) ||
			       ioctl(fd, VHOST_SET_VRING_CALL, &call)
		       ? -errno
		       : 0;
}

int vhost_start(int fd, const struct gmem *mem, uint64_t features, const struct vq *rx, const struct vq *tx, int tap)
{
	int ret = set_memory(fd, mem);

	if (ret == 0 && ioctl(fd, VHOST_SET_FEATURES, &features))
		ret = -errno;
	if (ret == 0)
		ret = set_queue(fd, 0, rx);
	if (ret == 0)
		ret = set_queue(fd, 1, tx);
	for (unsigned int i = 0; i < QUEUES && ret == 0; i++) {
		struct vhost_vring_file backend = { .index = i, .fd = tap };

		if (ioctl(fd, VHOST_NET_SET_BACKEND, &backend))
			ret = -errno;
	}
	if (ret)
		vhost_stop(fd);
	return ret;
}

void vhost_stop(int fd)
{
	for (unsigned int i = 0; i < QUEUES; i++) {
		struct vhost_vring_file none = { .index = i, .fd = -1 };

		ioctl(fd, VHOST_NET_SET_BACKEND, &none); /* fails where there is no backend: that is meant */
	}
}
