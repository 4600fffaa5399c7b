/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is a guest at the register window of a device: writes and reads of any width, guest memory behind
 * the rings, kicks, and frames that come from the network. The devices are real ones (random, balloon, console,
 * network), served by their own callbacks in a loop that is run between the accesses. The network's TAP is a socket.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/balloon.h"
#include "vmm/console.h"
#include "vmm/loop.h"
#include "vmm/mmio.h"
#include "vmm/net.h"
#include "vmm/rng.h"

#define NDEV 4

static struct mmio_bus bus;
static struct gmem mem;
static struct loop *loop;
static struct virtio_dev *dev[NDEV];
static int wire = -1; /* the other end of the TAP */

/* In place of the C library's: a socket that takes what is asked of a TAP. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == TUNSETVNETHDRSZ || request == TUNSETOFFLOAD || request == TUNSETQUEUE)
		return 0;
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

static void create(void)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	int tap[2];

	loop = loop_create();
	if (gmem_alloc(&mem, 2u << 20) || mmio_init(&bus, NULL, &mem, NDEV + 1) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, tap))
		abort();
	wire = tap[1];
	dev[0] = rng_create(&mem, loop);
	dev[1] = balloon_create(&mem, loop);
	dev[2] = console_create(&mem, loop, sink_create(loop, open("/dev/null", O_WRONLY | O_CLOEXEC)));
	dev[3] = net_create(&mem, loop, mac, 1500, tap, NULL, 1);
	for (unsigned int i = 0; i < NDEV; i++)
		if (!dev[i] || mmio_attach(&bus, i, dev[i]))
			abort();
}

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
	static const uint32_t features[NDEV] = { 0, 0x22, 0, 0 }; /* of the balloon: statistics, reporting */
	const struct {
		uint32_t reg, value;
	} steps[] = { { 0x70, 0 }, { 0x70, 3 }, { 0x24, 1 }, { 0x20, 1 }, { 0x24, 0 }, { 0x20, features[slot] },
		      { 0x70, 11 } };
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

	char frame[2048];

	if (!loop)
		create();
	while (recv(wire, frame, sizeof(frame), 0) > 0)
		; /* what the last input sent */
	ram = mem.region[0].host;
	memset(ram, 0, 0x10000);
	for (unsigned int i = 0; i < NDEV; i++)
		set_up(i, 8);
	while (size >= 8) {
		uint64_t gpa =
			MMIO_BASE + (data[1] % (NDEV + 1)) * MMIO_WINDOW + (uint32_t)(data[2] | (data[3] & 15) << 8);
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
			struct virtio_dev *d = dev[data[1] % NDEV];
			uint32_t n = data[2] % d->nqueues;

			(*(uint16_t *)(void *)(ram + 0x1000 * (n + 1) + 0x402))++;
			eventfd_write(d->vq[n].kick, 1);
			turn();
			break;
		}
		case 6:
			set_up(data[1] % NDEV, (uint16_t)(1u << (data[2] % 5)));
			break;
		case 7:
			if (data[1] & 1)
				balloon_set_target(dev[1], at * 4096ull);
			else if (send(wire, data, size < 2000 ? size : 2000, 0) < 0)
				break;
			turn();
			break;
		}
		data += 8;
		size -= 8;
	}
	turn();
	return 0;
}
