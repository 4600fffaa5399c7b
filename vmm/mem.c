/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mem. Loop thread; the configuration space is read by vCPU threads. The guest controls which blocks it asks
 * for and when: it gets no more than was requested of it, and devices reach only blocks that are plugged (gmem_span()).
 *
 * Memory of a block costs the host nothing before the guest touches it, and is given back when it is unplugged. The
 * guest could touch blocks that it has not plugged: they are zero pages of this process, under its cgroup's limit, so
 * all that it gains is a guest that counts wrongly.
 */
#include "mem.h"

#include <errno.h>
#include <linux/virtio_mem.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define QUEUE_SIZE 16u
#define BUDGET 64 /* requests of one callback */

struct mem {
	struct virtio_dev dev;
	struct gmem *gmem;
	struct loop *loop;
	struct loop_watch kick;
	_Atomic uint64_t requested;
	struct vq_chain chain;
};

static void config_read(struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
	const struct mem *m = (const struct mem *)d;
	struct virtio_mem_config c = {
		.block_size = GMEM_BLOCK,
		.addr = m->gmem->hot.gpa,
		.region_size = m->gmem->hot.size,
		.usable_region_size = m->gmem->hot.size,
		.plugged_size = atomic_load(&m->gmem->plugged_bytes),
		.requested_size = atomic_load(&m->requested),
	};

	memcpy(buf, (uint8_t *)&c + off, len);
}

/* Blocks [*first, *first + n) of a request; false when they are not all in the region. */
static bool blocks(const struct mem *m, uint64_t addr, uint16_t n, uint64_t *first)
{
	uint64_t off = addr - m->gmem->hot.gpa, total = m->gmem->hot.size / GMEM_BLOCK;

	if (n == 0 || addr < m->gmem->hot.gpa || off % GMEM_BLOCK)
		return false;
	*first = off / GMEM_BLOCK;
	return *first < total && n <= total - *first;
}

static uint64_t count_plugged(const struct mem *m, uint64_t first, uint64_t n)
{
	uint64_t count = 0;

	for (uint64_t i = first; i < first + n; i++)
		count += gmem_is_plugged(m->gmem, i);
	return count;
}

static void set_plugged(struct mem *m, uint64_t first, uint64_t n, bool on)
{
	if (!on)
		madvise(m->gmem->hot.host + first * GMEM_BLOCK, n * GMEM_BLOCK, MADV_DONTNEED);
	for (uint64_t i = first; i < first + n; i++)
		gmem_set_plugged(m->gmem, i, on);
}

static uint16_t plug(struct mem *m, uint64_t addr, uint16_t n)
{
	uint64_t first, size = (uint64_t)n * GMEM_BLOCK, requested = atomic_load(&m->requested);
	uint64_t plugged = atomic_load(&m->gmem->plugged_bytes);

	if (!blocks(m, addr, n, &first) || count_plugged(m, first, n))
		return VIRTIO_MEM_RESP_ERROR;
	if (plugged > requested || size > requested - plugged)
		return VIRTIO_MEM_RESP_NACK;
	set_plugged(m, first, n, true);
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t unplug(struct mem *m, uint64_t addr, uint16_t n)
{
	uint64_t first;

	if (!blocks(m, addr, n, &first) || count_plugged(m, first, n) != n)
		return VIRTIO_MEM_RESP_ERROR;
	set_plugged(m, first, n, false);
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t unplug_all(struct mem *m)
{
	uint64_t total = m->gmem->hot.size / GMEM_BLOCK;

	for (uint64_t i = 0; i < total; i++)
		if (gmem_is_plugged(m->gmem, i))
			set_plugged(m, i, 1, false);
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t state(const struct mem *m, uint64_t addr, uint16_t n, uint16_t *out)
{
	uint64_t first, count;

	if (!blocks(m, addr, n, &first))
		return VIRTIO_MEM_RESP_ERROR;
	count = count_plugged(m, first, n);
	*out = count == n ? VIRTIO_MEM_STATE_PLUGGED : count == 0 ? VIRTIO_MEM_STATE_UNPLUGGED : VIRTIO_MEM_STATE_MIXED;
	return VIRTIO_MEM_RESP_ACK;
}

/* One request (5.15.6.1), whose struct is the same for those that name blocks. Bytes of the answer. */
static uint32_t serve(struct mem *m, const struct vq_chain *c, bool *changed)
{
	struct virtio_mem_resp resp = { .type = VIRTIO_MEM_RESP_ERROR };
	struct virtio_mem_req req;

	if (chain_read(c, 0, &req, sizeof(req)) == sizeof(req)) {
		switch (req.type) {
		case VIRTIO_MEM_REQ_PLUG:
			resp.type = plug(m, req.u.plug.addr, req.u.plug.nb_blocks);
			break;
		case VIRTIO_MEM_REQ_UNPLUG:
			resp.type = unplug(m, req.u.unplug.addr, req.u.unplug.nb_blocks);
			break;
		case VIRTIO_MEM_REQ_UNPLUG_ALL:
			resp.type = unplug_all(m);
			break;
		case VIRTIO_MEM_REQ_STATE:
			resp.type = state(m, req.u.state.addr, req.u.state.nb_blocks, &resp.u.state.state);
			break;
		}
		*changed |= req.type != VIRTIO_MEM_REQ_STATE && resp.type == VIRTIO_MEM_RESP_ACK;
	}
	return (uint32_t)chain_write(c, 0, &resp, sizeof(resp));
}

static void on_kick(void *arg, uint32_t events)
{
	struct mem *m = arg;
	struct vq *q = &m->dev.vq[0];
	bool changed = false;
	int left = BUDGET, ret;
	eventfd_t n;

	(void)events;
	eventfd_read(q->kick, &n);
	while ((ret = vq_take(q, &m->chain)) > 0) {
		vq_push(q, m->chain.head, serve(m, &m->chain, &changed));
		/* plugged_size is right before the driver looks, without an interrupt: it did it itself */
		if (changed && m->dev.changed)
			m->dev.changed(&m->dev, true);
		changed = false;
		if (--left == 0) {
			eventfd_write(q->kick, 1);
			break;
		}
	}
	if (ret < 0)
		virtio_fault(&m->dev, "its queue is broken");
	else
		virtio_notify(&m->dev, q);
}

static int activate(struct virtio_dev *d)
{
	struct mem *m = (struct mem *)d;

	if (!d->vq[0].running)
		return 0;
	m->kick.fd = d->vq[0].kick;
	return loop_add(m->loop, &m->kick);
}

static void reset(struct virtio_dev *d)
{
	struct mem *m = (struct mem *)d;

	loop_del(m->loop, &m->kick);
}

static const struct virtio_ops mem_ops = {
	.name = "mem",
	.id = VIRTIO_ID_MEM,
	.features = 1ull << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE,
	.nqueues = 1,
	.queue_max = QUEUE_SIZE,
	.config_len = sizeof(struct virtio_mem_config),
	.config_read = config_read,
	.activate = activate,
	.reset = reset,
};

struct virtio_dev *mem_create(struct gmem *mem, struct loop *loop)
{
	struct mem *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->dev.ops = &mem_ops;
	m->dev.mem = m->gmem = mem;
	m->dev.nqueues = mem_ops.nqueues;
	m->loop = loop;
	m->kick = (struct loop_watch){ .events = EPOLLIN, .fn = on_kick, .arg = m };
	return &m->dev;
}

void mem_destroy(struct virtio_dev *d)
{
	free(d);
}

int mem_request(struct virtio_dev *d, uint64_t bytes)
{
	struct mem *m = (struct mem *)d;

	if (bytes > m->gmem->hot.size)
		return -ENOSPC;
	bytes = (bytes + GMEM_BLOCK - 1) / GMEM_BLOCK * GMEM_BLOCK;
	if (atomic_exchange(&m->requested, bytes) != bytes)
		virtio_config_changed(d);
	return 0;
}

uint64_t mem_requested(const struct virtio_dev *d)
{
	return atomic_load(&((const struct mem *)d)->requested);
}
