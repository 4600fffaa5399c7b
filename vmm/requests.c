/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control socket can ask of the machine. Loop thread; the asking user is the VM's owner (ctl.c), the guest
 * has no way here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "balloon.h"
#include "blk.h"
#include "ctl.h"
#include "fs.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "vm.h"
#include "vsock.h"

/* Takes descriptor i of a request: the handler owns it then. */
static int take(int *fds, unsigned int i)
{
	int fd = fds[i];

	fds[i] = -1;
	return fd;
}

static void on_connected(void *arg, int status)
{
	struct ctl_client *c = arg;

	if (status)
		ctl_reply(c, status, NULL, 0);
	else
		ctl_hand_over(c);
}

static void request_connect(struct vm *vm, struct ctl_client *c, uint32_t port)
{
	int ret = -ENODEV;

	if (vm->vsock)
		ret = vsock_connect(vm->vsock, port, ctl_release(c), on_connected, c);
	if (ret)
		ctl_reply(c, ret, NULL, 0);
}

static void request_status(struct vm *vm, struct ctl_client *c)
{
	struct balloon_stats b = { 0 };
	struct ctl_status st;

	if (vm->balloon)
		balloon_stats(vm->balloon, &b);
	st = (struct ctl_status){
		.t_start = vm->t_start,
		.t_entry = atomic_load(&vm->t_entry),
		.t_ready = atomic_load(&vm->t_ready),
		.exits = vcpus_exits(vm),
		.ram_bytes = gmem_size(&vm->mem),
		.balloon_bytes = b.balloon_bytes,
		.vcpus = vm->vcpus.n,
		.paused = vcpus_paused(vm),
		.reported_bytes = b.reported_bytes,
		.guest_free_bytes = b.guest_free_bytes,
		.guest_available_bytes = b.guest_available_bytes,
	};
	ctl_reply(c, 0, &st, sizeof(st));
}

/* The payload is one name with its NUL. */
static bool is_name(const struct ctl_req *req, const char *payload)
{
	return req->len >= 2 && strlen(payload) == req->len - 1;
}

static int request_add_share(struct vm *vm, const struct ctl_req *req, const char *payload, int *fds, unsigned int nfds)
{
	struct virtio_dev *fs = vm_fs_of(vm, req->arg);

	if (!fs)
		return -ENODEV;
	if (!is_name(req, payload) || nfds != 1)
		return -EINVAL;
	return fs_add_share(fs, payload, take(fds, 0), req->arg);
}

static int request_del_share(struct vm *vm, const struct ctl_req *req, const char *payload)
{
	int ret;

	if (!vm->fs)
		return -ENODEV;
	if (!is_name(req, payload))
		return -EINVAL;
	ret = fs_del_share(vm->fs, payload);
	return ret == -ENOENT ? fs_del_share(vm->own_fs, payload) : ret;
}

static int request_add_nic(struct vm *vm, const struct ctl_req *req, const char *payload, int *fds, unsigned int nfds,
			   uint32_t *slot)
{
	struct virtio_dev *d;
	struct ctl_nic nic;
	int n, ret;

	if (req->len != sizeof(nic))
		return -EINVAL;
	memcpy(&nic, payload, sizeof(nic));
	if (nic.queue_pairs == 0 || nic.queue_pairs > CTL_PAIRS_MAX || req->arg > 1 ||
	    nfds != nic.queue_pairs * (1 + req->arg))
		return -EINVAL;
	n = mmio_free_slot(&vm->bus);
	if (n < 0)
		return n;
	d = net_create(&vm->mem, vm->loop, nic.mac, nic.mtu, fds, req->arg ? fds + nic.queue_pairs : NULL,
		       nic.queue_pairs);
	if (!d)
		return -errno;
	for (unsigned int i = 0; i < nfds; i++)
		take(fds, i); /* the device closes them */
	ret = mmio_attach(&vm->bus, (unsigned int)n, d);
	if (ret) {
		net_destroy(d);
		return ret;
	}
	*slot = (uint32_t)n;
	return 0;
}

static int request_del_nic(struct vm *vm, uint32_t slot)
{
	if (slot >= vm->bus.nslots || !vm->bus.slot[slot].dev || vm->bus.slot[slot].dev->ops->id != VIRTIO_ID_NET)
		return -ENODEV;
	net_destroy(mmio_detach(&vm->bus, slot));
	return 0;
}

static int request_memory(struct vm *vm, uint64_t bytes)
{
	uint64_t first = gmem_size(&vm->mem) - atomic_load(&vm->mem.plugged_bytes);

	if (bytes <= first)
		return vm->hot ? mem_request(vm->hot, 0) : 0;
	return vm->hot ? mem_request(vm->hot, bytes - first) : -ENOSPC;
}

static int request_limit_disk(struct vm *vm, const struct ctl_req *req, const char *payload)
{
	struct ctl_disk_limits l;

	if (req->arg >= vm->ndisks)
		return -ENODEV;
	if (req->len != sizeof(l))
		return -EINVAL;
	memcpy(&l, payload, sizeof(l));
	blk_limit(vm->disk[req->arg], &(struct blk_limits){ l.read_bps, l.write_bps, l.read_iops, l.write_iops });
	return 0;
}

static void on_paused(void *arg)
{
	struct vm *vm = arg;
	struct ctl_client *c = vm->pausing;

	vm->pausing = NULL;
	if (c)
		ctl_reply(c, 0, NULL, 0);
}

static void request_pause(struct vm *vm, struct ctl_client *c)
{
	int ret = -EBUSY;

	if (!vm->pausing) {
		vm->pausing = c; /* answered when all stand still */
		ret = vcpus_pause(vm, on_paused, vm);
		if (ret)
			vm->pausing = NULL;
	}
	if (ret)
		ctl_reply(c, ret, NULL, 0);
}

void vm_request(void *arg, struct ctl_client *c, const struct ctl_req *req, const char *payload, int *fds,
		unsigned int nfds)
{
	struct vm *vm = arg;
	uint32_t slot;
	int ret;

	switch (req->op) {
	case CTL_CONNECT:
		request_connect(vm, c, req->arg);
		return;
	case CTL_STATUS:
		request_status(vm, c);
		return;
	case CTL_PAUSE:
		request_pause(vm, c);
		return;
	case CTL_ADD_NIC:
		ret = request_add_nic(vm, req, payload, fds, nfds, &slot);
		if (ret)
			break;
		ctl_reply(c, 0, &slot, sizeof(slot));
		return;
	case CTL_DEL_NIC:
		ret = request_del_nic(vm, req->arg);
		break;
	case CTL_ADD_SHARE:
		ret = request_add_share(vm, req, payload, fds, nfds);
		break;
	case CTL_DEL_SHARE:
		ret = request_del_share(vm, req, payload);
		break;
	case CTL_RESUME:
		ret = vcpus_resume(vm);
		break;
	case CTL_BALLOON:
		ret = vm->balloon ? 0 : -ENODEV;
		if (vm->balloon)
			balloon_set_target(vm->balloon, (uint64_t)req->arg << 20);
		break;
	case CTL_MEMORY:
		ret = request_memory(vm, (uint64_t)req->arg << 20);
		break;
	case CTL_RESIZE_DISK:
		ret = req->arg < vm->ndisks ? blk_resize(vm->disk[req->arg]) : -ENODEV;
		break;
	case CTL_LIMIT_DISK:
		ret = request_limit_disk(vm, req, payload);
		break;
	case CTL_SHUTDOWN:
		ctl_reply(c, 0, NULL, 0);
		vm_end(vm, 0, NULL);
		return;
	default:
		ret = -EOPNOTSUPP;
	}
	ctl_reply(c, ret, NULL, 0);
}
