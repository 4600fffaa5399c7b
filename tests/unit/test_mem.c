/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <linux/virtio_mem.h>
#include <sys/mman.h>

#include "tests/unit/runner.h"
#include "tests/unit/vring.h"
#include "vmm/mem.h"

#define HOT (64ull << 20)
#define REQ 0x100000ull
#define RESP 0x101000ull
#define F_INACCESSIBLE (1ull << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE)

static struct guest g;

static bool start(uint64_t requested)
{
	struct virtio_dev *d;

	if (guest_init(&g) || gmem_reserve(&g.mem, HOT))
		return false;
	loop = loop_create();
	d = mem_create(&g.mem, loop);
	if (!d || mem_request(d, requested) || guest_attach(&g, d) || guest_start(&g, F_INACCESSIBLE, 8) != 15)
		return false;
	return runner_start();
}

static void stop(void)
{
	struct virtio_dev *d = g.dev;

	runner_stop();
	mmio_free(&g.bus);
	mem_destroy(d);
	gmem_free(&g.mem);
	loop_free(loop);
}

/* One request; the answer's type, its state in *state. */
static int ask(uint16_t type, uint64_t addr, uint16_t n, uint16_t *state)
{
	struct virtio_mem_req req = { .type = type };
	struct virtio_mem_resp resp;
	uint64_t at[2] = { REQ, RESP };
	uint32_t len[2] = { sizeof(req), sizeof(resp) };

	req.u.plug.addr = addr;
	req.u.plug.nb_blocks = n;
	memcpy(guest_ptr(&g, REQ), &req, sizeof(req));
	guest_add(&g, 0, at, len, 1, 1);
	guest_kick(&g, 0);
	if (guest_used(&g, 0, NULL, 2000) != sizeof(resp))
		return -1;
	memcpy(&resp, guest_ptr(&g, RESP), sizeof(resp));
	if (state)
		*state = resp.u.state.state;
	return resp.type;
}

static uint64_t plugged_size(void)
{
	return guest_read(&g, 0x100 + offsetof(struct virtio_mem_config, plugged_size));
}

TEST(blocks_are_ram_while_they_are_plugged)
{
	uint64_t base;
	uint16_t state = 9;
	uint8_t *p;

	REQUIRE(start(16 << 20));
	base = g.mem.hot.gpa;
	CHECK(base >= GMEM_HIGH_START && base % (128ull << 20) == 0);
	CHECK(!gmem_span(&g.mem, base, 1));
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base + GMEM_BLOCK, 2, NULL), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(plugged_size(), 2 * GMEM_BLOCK);
	CHECK_EQ(gmem_size(&g.mem), GUEST_RAM + 2 * GMEM_BLOCK);
	p = gmem_span(&g.mem, base + GMEM_BLOCK, 2 * GMEM_BLOCK);
	REQUIRE(p);
	CHECK(!gmem_span(&g.mem, base + GMEM_BLOCK - 1, 2));
	CHECK(!gmem_span(&g.mem, base + 2 * GMEM_BLOCK, GMEM_BLOCK + 1));
	p[0] = 0x55;
	CHECK_EQ(ask(VIRTIO_MEM_REQ_STATE, base + GMEM_BLOCK, 2, &state), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(state, VIRTIO_MEM_STATE_PLUGGED);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_STATE, base, 2, &state), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(state, VIRTIO_MEM_STATE_MIXED);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_UNPLUG, base + GMEM_BLOCK, 1, NULL), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(p[0], 0); /* the host has it back */
	CHECK(!gmem_span(&g.mem, base + GMEM_BLOCK, 1));
	CHECK_EQ(ask(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0, NULL), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(plugged_size(), 0);
	stop();
}

TEST(no_more_is_plugged_than_was_requested)
{
	uint64_t base;

	REQUIRE(start(3 << 20)); /* two blocks */
	base = g.mem.hot.gpa;
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base, 3, NULL), VIRTIO_MEM_RESP_NACK);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base, 2, NULL), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base + 2 * GMEM_BLOCK, 1, NULL), VIRTIO_MEM_RESP_NACK);
	CHECK_EQ(mem_request(g.dev, HOT), 0);
	CHECK(guest_interrupted(&g, 2000));
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base + 2 * GMEM_BLOCK, 30, NULL), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(mem_request(g.dev, HOT + 1), -ENOSPC);
	CHECK_EQ(mem_request(g.dev, 0), 0); /* less than there is: plugging is refused, unplugging not */
	CHECK_EQ(ask(VIRTIO_MEM_REQ_UNPLUG, base, 1, NULL), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base, 1, NULL), VIRTIO_MEM_RESP_NACK);
	stop();
}

TEST(requests_that_make_no_sense_are_errors_and_change_nothing)
{
	uint64_t base;

	REQUIRE(start(HOT));
	base = g.mem.hot.gpa;
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base, 0, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base + 4096, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base - GMEM_BLOCK, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base + HOT, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base + HOT - GMEM_BLOCK, 2, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base, UINT16_MAX, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, UINT64_MAX - GMEM_BLOCK + 1, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_UNPLUG, base, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_STATE, 0, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(77, base, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base, 1, NULL), VIRTIO_MEM_RESP_ACK);
	CHECK_EQ(ask(VIRTIO_MEM_REQ_PLUG, base, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	CHECK_EQ(plugged_size(), GMEM_BLOCK);
	/* too short to be a request */
	guest_add(&g, 0, (uint64_t[]){ REQ, RESP }, (uint32_t[]){ 8, 10 }, 1, 1);
	guest_kick(&g, 0);
	CHECK_EQ(guest_used(&g, 0, NULL, 2000), 10);
	CHECK_EQ(((struct virtio_mem_resp *)guest_ptr(&g, RESP))->type, VIRTIO_MEM_RESP_ERROR);
	stop();
}
