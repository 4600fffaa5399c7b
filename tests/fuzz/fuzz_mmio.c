/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is a guest at the register window of a device: writes and reads of any width, guest memory behind
 * the rings, kicks. The devices are real ones (random, balloon), served by their own callbacks in a loop
 * that is run between the accesses.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vmm/balloon.h"
#include "vmm/loop.h"
#include "vmm/mmio.h"
#include "vmm/rng.h"

static struct mmio_bus bus;
static struct gmem mem;
static struct loop *loop;
static struct virtio_dev *dev[2];

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* One round of the loop: everything that is ready now. */
static void turn(void)
{
	loop_call(loop, stop, NULL);
	loop_run(loop);
}

/* A driver that does everything right up to DRIVER_OK, so that the input gets behind it. */
static void set_up(unsigned int slot, uint16_t size)
{
	uint64_t base = MMIO_BASE + slot * MMIO_WINDOW;
	static const struct {
		uint32_t reg, value;
	} steps[] = { { 0x70, 0 }, { 0x70, 3 }, { 0x24, 1 }, { 0x20, 1 }, { 0x24, 0 }, { 0x20, 0x22 }, { 0x70, 11 } };
	uint32_t v;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		mmio_write(&bus, base + steps[i].reg, &steps[i].value, 4);
	for (uint32_t n = 0; n < dev[slot]->nqueues; n++) {
		uint32_t queue[][2] = {
			{ 0x30, n },
			{ 0x38, size },
			{ 0x80, 0x1000 * (n + 1) },
			{ 0x90, 0x1000 * (n + 1) + 0x400 },
			{ 0xa0, 0x1000 * (n + 1) + 0x800 },
			{ 0x44, 1 },
		};

		for (size_t i = 0; i < 6; i++)
			mmio_write(&bus, base + queue[i][0], &queue[i][1], 4);
	}
	v = 15;
	mmio_write(&bus, base + 0x70, &v, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *ram;

	if (!loop) {
		loop = loop_create();
		if (gmem_alloc(&mem, 2u << 20) || mmio_init(&bus, NULL, &mem, 3))
			abort();
		dev[0] = rng_create(&mem, loop);
		dev[1] = balloon_create(&mem, loop);
		if (mmio_attach(&bus, 0, dev[0]) || mmio_attach(&bus, 1, dev[1]))
			abort();
	}
	ram = mem.region[0].host;
	memset(ram, 0, 0x10000);
	for (unsigned int i = 0; i < 2; i++)
		set_up(i, 8);
	while (size >= 8) {
		uint64_t gpa = MMIO_BASE + (data[1] % 3) * MMIO_WINDOW + (uint32_t)(data[2] | (data[3] & 15) << 8);
		uint8_t buf[8];
		uint16_t at = (uint16_t)(data[2] | data[3] << 8);

		switch (data[0] % 8) {
		case 0:
			mmio_write(&bus, gpa & ~3ull, data + 4, 4);
			break;
		case 1:
			mmio_write(&bus, gpa, data + 4, 1u << (data[0] >> 6));
			break;
		case 2:
			mmio_read(&bus, gpa, buf, 1u << (data[0] >> 6));
			break;
		case 3:
		case 4:
			memcpy(ram + at, data + 4, 4);
			break;
		case 5: { /* make something available and kick */
			struct virtio_dev *d = dev[data[1] % 2];
			uint32_t n = data[2] % d->nqueues;

			(*(uint16_t *)(void *)(ram + 0x1000 * (n + 1) + 0x402))++;
			eventfd_write(d->vq[n].kick, 1);
			turn();
			break;
		}
		case 6:
			set_up(data[1] % 2, (uint16_t)(1u << (data[2] % 5)));
			break;
		case 7:
			balloon_set_target(dev[1], at * 4096ull);
			turn();
			break;
		}
		data += 8;
		size -= 8;
	}
	turn();
	return 0;
}
