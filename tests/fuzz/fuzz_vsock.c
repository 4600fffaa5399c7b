/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is a guest's side of virtio-vsock: packets with any header, on connections that the host opens, writes
 * to, half-closes and closes; receive buffers that come late or never; resets in between.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/wire.h"
#include "vmm/loop.h"
#include "vmm/mmio.h"
#include "vmm/vsock.h"
#include "vmm/vsock_conn.h"

#define QSIZE 16u
#define HOSTS 4u
#define RING(n) (0x1000u * ((n) + 1))
#define RX_BUF 0x10000u
#define TX_BUF 0x40000u

static struct mmio_bus bus;
static struct gmem mem;
static struct loop *loop;
static struct virtio_dev *dev;
static struct {
	int guest, host; /* ends of the pair; guest -1: the device's */
	bool asked;
} pair[HOSTS];
static uint16_t rx_next, tx_next;

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void turn(void)
{
	loop_call(loop, stop, NULL);
	loop_run(loop);
}

static void on_ready(void *arg)
{
	(void)arg;
}

static void done(void *arg, int status)
{
	unsigned int i = (unsigned int)(uintptr_t)arg;

	pair[i].asked = false;
	if (status == 0)
		pair[i].guest = -1;
}

static void write_reg(uint32_t reg, uint32_t v)
{
	mmio_write(&bus, MMIO_BASE + reg, &v, 4);
}

static void restart(void)
{
	memset(mem.region[0].host + RING(0), 0, 0x3000);
	rx_next = tx_next = 0;
	write_reg(0x70, 0);
	write_reg(0x70, 3);
	write_reg(0x24, 1);
	write_reg(0x20, 1);
	write_reg(0x70, 11);
	for (uint32_t n = 0; n < 3; n++) {
		write_reg(0x30, n);
		write_reg(0x38, QSIZE);
		write_reg(0x80, RING(n));
		write_reg(0x90, RING(n) + 0x400);
		write_reg(0xa0, RING(n) + 0x800);
		write_reg(0x44, 1);
	}
	write_reg(0x70, 15);
}

/* One buffer of queue n becomes available. */
static void offer(unsigned int n, uint16_t *next, uint64_t gpa, uint32_t len, uint16_t flags)
{
	uint8_t *ring = mem.region[0].host + RING(n);
	uint16_t slot = (*next)++ % QSIZE, *avail = (uint16_t *)(void *)(ring + 0x400);

	memcpy(ring + slot * 16u, &gpa, 8);
	memcpy(ring + slot * 16u + 8, &len, 4);
	memcpy(ring + slot * 16u + 12, &flags, 2);
	avail[2 + avail[1] % QSIZE] = slot;
	avail[1]++;
	eventfd_write(dev->vq[n].kick, 1);
}

/* A header made of few bytes, so that it often fits a connection. */
static void send_packet(const uint8_t *p)
{
	uint64_t at = TX_BUF + (tx_next % QSIZE) * 0x2000u;
	struct vsock_hdr h = {
		.src_cid = p[0] & 1 ? 9 : VSOCK_GUEST_CID,
		.dst_cid = p[0] & 2 ? 9 : 2,
		.src_port = p[1] % 8 == 7 ? 77 : 1024,
		.dst_port = p[1] & 0x80 ? WIRE_READY_PORT : 0x40000000u + p[2],
		.type = p[0] & 4 ? 2 : VSOCK_STREAM,
		.op = p[3] % 10,
		.flags = p[4],
		.len = p[3] % 10 == VSOCK_OP_RW ? (uint32_t)p[5] * 30 : p[5] & 1,
		.buf_alloc = (uint32_t)p[6] << (p[0] >> 3),
		.fwd_cnt = p[7],
	};

	/* half of them in two buffers, some of them too short */
	memcpy(mem.region[0].host + at, &h, sizeof(h));
	offer(1, &tx_next, at, p[0] & 0x80 ? p[5] : (uint32_t)sizeof(h) + h.len, 0);
}

static void host_action(const uint8_t *p)
{
	unsigned int i = p[1] % HOSTS;
	static uint8_t junk[8192];
	int fd[2];

	switch (p[2] % 6) {
	case 0: /* connect */
		if (pair[i].asked || pair[i].guest >= 0)
			break;
		if (pair[i].host >= 0)
			close(pair[i].host);
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd))
			abort();
		pair[i].host = fd[0];
		pair[i].guest = fd[1];
		pair[i].asked = true;
		if (vsock_connect(dev, 1024, fd[1], done, (void *)(uintptr_t)i))
			pair[i].asked = false;
		break;
	case 1:
		if (pair[i].host >= 0 && send(pair[i].host, junk, p[3] * 32u, MSG_NOSIGNAL) < 0)
			break;
		break;
	case 2:
		if (pair[i].host >= 0 && recv(pair[i].host, junk, sizeof(junk), 0) < 0)
			break;
		break;
	case 3:
		if (pair[i].host >= 0)
			shutdown(pair[i].host, p[3] % 3);
		break;
	case 4:
		if (pair[i].host >= 0)
			close(pair[i].host);
		pair[i].host = -1;
		break;
	case 5:
		vsock_give_up(dev);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	loop = loop_create();
	if (gmem_alloc(&mem, 2u << 20) || mmio_init(&bus, NULL, &mem, 1))
		abort();
	dev = vsock_create(&mem, loop, on_ready, NULL);
	if (!dev || mmio_attach(&bus, 0, dev))
		abort();
	for (unsigned int i = 0; i < HOSTS; i++)
		pair[i].guest = pair[i].host = -1, pair[i].asked = false;
	restart();
	while (size >= 9) {
		switch (data[0] % 8) {
		case 0:
		case 1:
		case 2:
			send_packet(data + 1);
			break;
		case 3:
		case 4:
			host_action(data);
			break;
		case 5:
			for (unsigned int i = 0; i < data[1] % QSIZE; i++)
				offer(0, &rx_next, RX_BUF + (rx_next % QSIZE) * 0x1000u,
				      data[2] & 1 ? 4096 : data[3] * 8u, 2);
			break;
		case 6:
			restart();
			break;
		case 7: /* anything into the rings */
			memcpy(mem.region[0].host + RING(data[1] % 3) + (data[2] | (data[3] & 15) << 8), data + 4, 4);
			break;
		}
		turn();
		data += 9;
		size -= 9;
	}
	for (unsigned int i = 0; i < HOSTS; i++) {
		if (pair[i].host >= 0)
			close(pair[i].host);
	}
	turn();
	turn();
	vsock_drain(dev, 1);
	mmio_free(&bus);
	turn();
	vsock_give_up(dev);
	for (unsigned int i = 0; i < HOSTS; i++) {
		if (pair[i].guest >= 0 && !pair[i].asked)
			close(pair[i].guest);
	}
	vsock_destroy(dev);
	loop_free(loop);
	gmem_free(&mem);
	return 0;
}
