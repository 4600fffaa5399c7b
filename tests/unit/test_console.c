/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/unit/runner.h"
#include "tests/unit/vring.h"
#include "vmm/console.h"
#include "vmm/serial.h"

static struct guest g;

static size_t read_some(int fd, char *buf, size_t len, int ms)
{
	size_t n = 0;

	while (n < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		if (poll(&p, 1, ms) <= 0)
			break;
		r = read(fd, buf + n, len - n);
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	return n;
}

TEST(the_guests_output_comes_out)
{
	char buf[64] = "";
	struct virtio_dev *d;
	struct sink *s;
	int fd[2];

	REQUIRE(pipe(fd) == 0 && guest_init(&g) == 0);
	loop = loop_create();
	s = sink_create(loop, fd[1]);
	d = console_create(&g.mem, loop, s);
	REQUIRE(d && guest_attach(&g, d) == 0 && guest_start(&g, 0, 16) == 15);
	runner_start();
	memcpy(guest_ptr(&g, 0x100000), "hello, ", 7);
	memcpy(guest_ptr(&g, 0x110000), "host\n", 5);
	guest_add(&g, 1, (const uint64_t[]){ 0x100000, 0x110000 }, (const uint32_t[]){ 7, 5 }, 2, 0);
	guest_kick(&g, 1);
	CHECK_EQ(guest_used(&g, 1, NULL, 2000), 0);
	CHECK_EQ(read_some(fd[0], buf, 12, 2000), 12);
	CHECK_STR(buf, "hello, host\n");
	runner_stop();
	guest_free(&g);
	sink_free(s);
	loop_free(loop);
	free(d);
}

TEST(a_reader_that_stalls_never_stops_the_writer)
{
	static char big[4096], buf[1 << 20];
	struct sink *s;
	size_t n;
	int fd[2];

	REQUIRE(pipe(fd) == 0);
	loop = loop_create();
	s = sink_create(loop, fd[1]);
	runner_start();
	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 1000; i++) /* 4 MB into 64 KiB and a pipe */
		sink_write(s, big, sizeof(big));
	CHECK_EQ(fcntl(fd[1], F_GETFL) & O_NONBLOCK, 0); /* others may share it */
	n = read_some(fd[0], buf, sizeof(buf), 200);
	CHECK(n < 300000);
	sink_write(s, "end", 3); /* tells of the gap first */
	n = read_some(fd[0], buf, sizeof(buf) - 1, 200);
	buf[n] = 0;
	CHECK_CONTAINS(buf, "bytes of console output left out");
	CHECK_CONTAINS(buf, "end");
	runner_stop();
	sink_free(s);
	loop_free(loop);
}

TEST(a_reader_that_is_gone_does_no_harm)
{
	struct sink *s;
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	REQUIRE(pipe(fd) == 0);
	loop = loop_create();
	s = sink_create(loop, fd[1]);
	runner_start();
	close(fd[0]);
	for (int i = 0; i < 100; i++) {
		sink_write(s, "lost", 4);
		usleep(100);
	}
	runner_stop();
	sink_free(s);
	loop_free(loop);
}

TEST(output_to_a_file_is_complete)
{
	static char line[100], got[200000];
	int fd = memfd_create("log", 0);
	struct sink *s;

	loop = loop_create();
	s = sink_create(loop, fd);
	memset(line, 'l', sizeof(line));
	for (int i = 0; i < 2000; i++)
		sink_write(s, line, sizeof(line));
	sink_free(s);
	CHECK_EQ(pread(fd, got, sizeof(got), 0), 200000);
	loop_free(loop);
}

TEST(the_serial_port_is_a_16550a_that_only_talks)
{
	int fd = memfd_create("log", 0), irq = eventfd(0, EFD_NONBLOCK);
	uint8_t v[4] = { 0 };
	struct serial *p;
	char got[8] = "";
	struct sink *s;
	eventfd_t n;

	loop = loop_create();
	s = sink_create(loop, fd);
	p = serial_create(s, irq);
#define OUT(reg, value) serial_io(p, reg, true, (uint8_t[]){ value }, 1)
#define IN(reg) (serial_io(p, reg, false, v, 1), v[0])
	CHECK_EQ(IN(5) & 0x60, 0x60);
	OUT(1, 0x0f);
	CHECK_EQ(IN(1), 0x0f);
	CHECK_EQ(eventfd_read(irq, &n), 0); /* empty, and the driver wants to know */
	CHECK_EQ(IN(2) & 0x0f, 0x02);
	CHECK_EQ(IN(2) & 0x0f, 0x01);
	OUT(2, 1);
	CHECK_EQ(IN(2) & 0xc0, 0xc0);
	OUT(4, 0x1a); /* loop: the outputs come back */
	CHECK_EQ(IN(6) & 0xf0, 0x90);
	OUT(0, 'n');
	OUT(4, 0x0b);
	OUT(3, 0x83);
	OUT(0, 12);
	OUT(1, 0);
	CHECK_EQ(IN(0), 12);
	OUT(3, 3);
	CHECK_EQ(IN(1), 0x0f);
	OUT(0, 'h');
	OUT(0, 'i');
	CHECK_EQ(eventfd_read(irq, &n), 0);
	OUT(7, 0xa5);
	CHECK_EQ(IN(7), 0xa5);
	CHECK_EQ(IN(0), 0);
	serial_io(p, 8, false, v, 1); /* no such register */
	serial_io(p, 0, false, v, 0);
	serial_io(p, 5, false, v, 4);
	CHECK_EQ(v[1], 0);
	serial_free(p);
	sink_free(s);
	CHECK_EQ(pread(fd, got, 8, 0), 2);
	CHECK_STR(got, "hi");
	loop_free(loop);
}
