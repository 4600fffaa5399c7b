/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/wire.h"
#include "tests/unit/runner.h"
#include "tests/unit/vring.h"
#include "vmm/vsock.h"
#include "vmm/vsock_conn.h"

/* The guest's driver. Receive buffers of 4 KiB lie from RX_BUF on, packets to send from TX_BUF on. */
#define RX_BUF 0x100000ull
#define RX_LEN 4096u
#define NRX 64u
#define TX_BUF 0x200000ull
#define TX_LEN 0x18000u

static struct guest g;
static struct virtio_dev *dev;
static _Atomic int ready_calls;

static void on_ready(void *arg)
{
	(void)arg;
	ready_calls++;
}

static void give_buffers(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		guest_add_one(&g, 0, RX_BUF + (g.q[0].avail[1] % NRX) * RX_LEN, RX_LEN, true);
	guest_kick(&g, 0);
}

static bool start(unsigned int buffers)
{
	if (guest_init(&g))
		return false;
	loop = loop_create();
	dev = vsock_create(&g.mem, loop, on_ready, NULL);
	if (!dev || guest_attach(&g, dev) || guest_start(&g, 0, NRX) != 15)
		return false;
	runner_start();
	give_buffers(buffers);
	return true;
}

static void stop(void)
{
	runner_stop();
	guest_free(&g);
	vsock_destroy(dev);
	loop_free(loop);
}

/* Sends a packet; true when the device took it. */
static bool send_packet(const struct vsock_hdr *h, const void *data, uint32_t len)
{
	uint64_t gpa = TX_BUF + (g.q[1].avail[1] % 8) * TX_LEN;

	memcpy(guest_ptr(&g, gpa), h, sizeof(*h));
	if (len)
		memcpy((uint8_t *)guest_ptr(&g, gpa) + sizeof(*h), data, len);
	guest_add_one(&g, 1, gpa, (uint32_t)sizeof(*h) + len, false);
	guest_kick(&g, 1);
	return guest_used(&g, 1, NULL, 1000) >= 0;
}

/* Takes the next packet; its data stays at *data. False: none in `ms`. */
static bool receive(struct vsock_hdr *h, uint8_t **data, int ms)
{
	uint16_t head;
	int64_t len = guest_used(&g, 0, &head, ms);
	uint8_t *p;

	if (len < 0)
		return false;
	p = guest_ptr(&g, g.q[0].desc[head].addr);
	memcpy(h, p, sizeof(*h));
	if (data)
		*data = p + sizeof(*h);
	return len == (int64_t)sizeof(*h) + h->len;
}

static struct vsock_hdr header(uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	return (struct vsock_hdr){
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VSOCK_STREAM,
		.op = op,
		.buf_alloc = 65536,
	};
}

static void say_ready(void)
{
	struct vsock_hdr h = header(VSOCK_OP_REQUEST, 5000, WIRE_READY_PORT);

	send_packet(&h, NULL, 0);
}

/* The result of a connection request. */
struct result {
	_Atomic int calls;
	int status;
};

static void done(void *arg, int status)
{
	struct result *r = arg;

	r->status = status;
	r->calls++;
}

struct ask {
	uint32_t port;
	int fd, ret;
	struct result *r;
	_Atomic int asked;
};

static void ask_in_loop(void *arg)
{
	struct ask *a = arg;

	a->ret = vsock_connect(dev, a->port, a->fd, done, a->r);
	a->asked = 1;
}

static int ask(uint32_t port, int fd, struct result *r)
{
	struct ask a = { .port = port, .fd = fd, .r = r };

	loop_call(loop, ask_in_loop, &a);
	while (!a.asked)
		usleep(100);
	return a.ret;
}

static bool told(struct result *r)
{
	for (int i = 0; i < 2000 && !r->calls; i++)
		usleep(1000);
	return r->calls == 1;
}

/* An open stream to guest port 1024: returns the host's end, *h the device's request header. */
static int open_stream(struct vsock_hdr *h, uint32_t credit)
{
	struct result r = { 0 };
	struct vsock_hdr a;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) || ask(1024, fd[0], &r))
		return -1;
	if (!receive(h, NULL, 2000) || h->op != VSOCK_OP_REQUEST || h->dst_port != 1024)
		return -1;
	a = header(VSOCK_OP_RESPONSE, 1024, h->src_port);
	a.buf_alloc = credit;
	if (!send_packet(&a, NULL, 0) || !told(&r) || r.status)
		return -1;
	return fd[1];
}

static bool started_and_ready(void)
{
	struct vsock_hdr h;

	if (!start(32))
		return false;
	say_ready();
	return receive(&h, NULL, 2000) && h.op == VSOCK_OP_RST;
}

static size_t read_all(int fd, uint8_t *buf, size_t len)
{
	size_t n = 0;

	while (n < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		if (poll(&p, 1, 2000) <= 0)
			break;
		r = read(fd, buf + n, len - n);
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	return n;
}

TEST(every_connection_of_the_guest_is_refused)
{
	static const uint32_t port[] = { 0, 1, 22, 1022, WIRE_READY_PORT, 1024, UINT32_MAX };

	REQUIRE(start(32));
	for (size_t i = 0; i < sizeof(port) / sizeof(port[0]); i++) {
		struct vsock_hdr h = header(VSOCK_OP_REQUEST, 5000, port[i]), r;

		REQUIRE(send_packet(&h, NULL, 0));
		REQUIRE(receive(&r, NULL, 2000));
		CHECK_EQ(r.op, VSOCK_OP_RST);
		CHECK_EQ(r.src_port, port[i]);
		CHECK_EQ(r.dst_port, 5000);
		CHECK_EQ(r.src_cid, 2);
		CHECK_EQ(r.dst_cid, VSOCK_GUEST_CID);
	}
	CHECK_EQ(ready_calls, 1); /* one of them was the ready port */
	stop();
}

TEST(ready_is_told_once)
{
	struct vsock_hdr h;

	REQUIRE(start(32));
	for (int i = 0; i < 5; i++) {
		say_ready();
		CHECK(receive(&h, NULL, 2000));
	}
	CHECK_EQ(ready_calls, 1);
	stop();
}

TEST(a_request_waits_for_the_agent)
{
	struct result r = { 0 };
	struct vsock_hdr h, a;
	int fd[2];

	REQUIRE(start(32));
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	REQUIRE(ask(1024, fd[0], &r) == 0);
	CHECK(!receive(&h, NULL, 50));
	say_ready();
	REQUIRE(receive(&h, NULL, 2000));
	if (h.op == VSOCK_OP_RST)
		REQUIRE(receive(&h, NULL, 2000));
	CHECK_EQ(h.op, VSOCK_OP_REQUEST);
	CHECK_EQ(h.dst_port, 1024);
	CHECK_EQ(r.calls, 0);
	a = header(VSOCK_OP_RESPONSE, 1024, h.src_port);
	REQUIRE(send_packet(&a, NULL, 0));
	REQUIRE(told(&r));
	CHECK_EQ(r.status, 0);
	stop();
}

TEST(waiting_ends_when_the_agent_will_not_come)
{
	struct result r = { 0 };
	int fd[2];

	REQUIRE(start(32));
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	REQUIRE(ask(1024, fd[0], &r) == 0);
	loop_call(loop, (void (*)(void *))vsock_give_up, dev);
	REQUIRE(told(&r));
	CHECK_EQ(r.status, -ETIMEDOUT);
	CHECK_EQ(fcntl(fd[0], F_GETFD), 0); /* still the caller's */
	CHECK_EQ(ask(1024, fd[0], &r), -ETIMEDOUT);
	stop();
}

TEST(a_refused_port_is_told)
{
	struct result r = { 0 };
	struct vsock_hdr h, a;
	int fd[2];

	REQUIRE(started_and_ready());
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	REQUIRE(ask(99, fd[0], &r) == 0);
	REQUIRE(receive(&h, NULL, 2000));
	a = header(VSOCK_OP_RST, 99, h.src_port);
	REQUIRE(send_packet(&a, NULL, 0));
	REQUIRE(told(&r));
	CHECK_EQ(r.status, -ECONNREFUSED);
	CHECK_EQ(vsock_connections(dev), 0);
	stop();
}

TEST(a_host_that_leaves_while_connecting_is_noticed)
{
	struct result r = { 0 };
	struct vsock_hdr h;
	int fd[2];

	REQUIRE(started_and_ready());
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	REQUIRE(ask(1024, fd[0], &r) == 0);
	REQUIRE(receive(&h, NULL, 2000));
	close(fd[1]);
	REQUIRE(told(&r));
	CHECK_EQ(r.status, -ECANCELED);
	REQUIRE(receive(&h, NULL, 2000));
	CHECK_EQ(h.op, VSOCK_OP_RST);
	stop();
}

TEST(bytes_go_both_ways)
{
	struct vsock_hdr h, a, d;
	uint8_t buf[16], *data;
	int fd;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 65536);
	REQUIRE(fd >= 0);
	REQUIRE(write(fd, "to guest", 8) == 8);
	REQUIRE(receive(&d, &data, 2000));
	CHECK_EQ(d.op, VSOCK_OP_RW);
	CHECK_EQ(d.len, 8);
	CHECK_MEM(data, "to guest", 8);
	a = header(VSOCK_OP_RW, 1024, h.src_port);
	a.len = 7;
	REQUIRE(send_packet(&a, "to host", 7));
	CHECK_EQ(read_all(fd, buf, 7), 7);
	CHECK_MEM(buf, "to host", 7);
	stop();
}

TEST(nothing_is_sent_beyond_the_guests_credit)
{
	static uint8_t big[20000];
	struct vsock_hdr h, d, a;
	uint32_t got = 0;
	int fd;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 5000);
	REQUIRE(fd >= 0 && write(fd, big, sizeof(big)) == sizeof(big));
	while (receive(&d, NULL, 200))
		got += d.len;
	CHECK_EQ(got, 5000);
	a = header(VSOCK_OP_CREDIT_UPDATE, 1024, h.src_port);
	a.buf_alloc = 5000;
	a.fwd_cnt = 3000;
	REQUIRE(send_packet(&a, NULL, 0));
	while (receive(&d, NULL, 200))
		got += d.len;
	CHECK_EQ(got, 8000);
	/* Lies about what it took: more than was sent is no credit. */
	a.fwd_cnt = 1u << 31;
	REQUIRE(send_packet(&a, NULL, 0));
	CHECK(!receive(&d, NULL, 100));
	stop();
}

TEST(a_guest_that_sends_beyond_its_credit_is_cut_off)
{
	static uint8_t piece[65536];
	struct vsock_hdr h, a, d;
	uint32_t sent = 0, granted;
	int fd;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 65536); /* nobody reads it */
	REQUIRE(fd >= 0);
	granted = h.buf_alloc;
	a = header(VSOCK_OP_RW, 1024, h.src_port);
	a.len = sizeof(piece);
	/* Until the socket is full credit comes back; then the buffer is all there is. */
	for (int i = 0; i < 64; i++) {
		bool over = false;

		REQUIRE(send_packet(&a, piece, sizeof(piece)));
		sent += sizeof(piece);
		while (receive(&d, NULL, 5)) {
			over |= d.op == VSOCK_OP_RST;
			give_buffers(1);
		}
		if (over) {
			int room = 0;
			socklen_t len = sizeof(room);

			getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, &len);
			CHECK(sent <= granted + 4u * (uint32_t)room + sizeof(piece));
			stop();
			return;
		}
	}
	CHECK(!"the guest was stopped");
}

TEST(no_byte_is_lost_with_a_slow_reader)
{
	static uint8_t piece[32768], got[32768];
	struct vsock_hdr h, a, d;
	uint32_t sent = 0, freed = 0, total = 2u << 20, checked = 0;
	int fd;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 65536);
	REQUIRE(fd >= 0);
	a = header(VSOCK_OP_RW, 1024, h.src_port);
	while (checked < total) {
		/* within credit, as a correct guest */
		while (sent < total && h.buf_alloc - (sent - freed) >= sizeof(piece)) {
			for (uint32_t i = 0; i < sizeof(piece); i++)
				piece[i] = (uint8_t)((sent + i) * 2654435761u >> 24);
			a.len = sizeof(piece);
			REQUIRE(send_packet(&a, piece, sizeof(piece)));
			sent += sizeof(piece);
		}
		size_t n = read_all(fd, got, 1 + checked % sizeof(got));

		REQUIRE(n > 0);
		for (size_t i = 0; i < n; i++)
			REQUIRE(got[i] == (uint8_t)((checked + i) * 2654435761u >> 24));
		checked += (uint32_t)n;
		while (receive(&d, NULL, sent - freed + sizeof(piece) > h.buf_alloc ? 20 : 0)) {
			REQUIRE(d.op == VSOCK_OP_CREDIT_UPDATE);
			freed = d.fwd_cnt;
			give_buffers(1);
		}
	}
	CHECK_EQ(checked, total);
	stop();
}

TEST(each_direction_ends_by_itself)
{
	struct vsock_hdr h, a, d;
	uint8_t b[8];
	int fd;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 65536);
	REQUIRE(fd >= 0);
	shutdown(fd, SHUT_WR);
	REQUIRE(receive(&d, NULL, 2000));
	CHECK_EQ(d.op, VSOCK_OP_SHUTDOWN);
	CHECK_EQ(d.flags, VSOCK_SHUT_SEND);
	a = header(VSOCK_OP_RW, 1024, h.src_port);
	a.len = 4;
	REQUIRE(send_packet(&a, "late", 4));
	CHECK_EQ(read_all(fd, b, 4), 4);
	a = header(VSOCK_OP_SHUTDOWN, 1024, h.src_port);
	a.flags = VSOCK_SHUT_SEND;
	REQUIRE(send_packet(&a, NULL, 0));
	CHECK_EQ(read(fd, b, 8), 0);
	a.flags = VSOCK_SHUT_BOTH;
	REQUIRE(send_packet(&a, NULL, 0));
	REQUIRE(receive(&d, NULL, 2000));
	CHECK_EQ(d.op, VSOCK_OP_RST);
	CHECK_EQ(vsock_connections(dev), 0);
	stop();
}

TEST(what_the_guest_sent_before_its_end_arrives)
{
	static uint8_t piece[60000], got[60000];
	struct vsock_hdr h, a, d;
	int fd, small = 4096;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 65536);
	REQUIRE(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	memset(piece, 'z', sizeof(piece));
	a = header(VSOCK_OP_RW, 1024, h.src_port);
	a.len = sizeof(piece);
	for (int i = 0; i < 4; i++)
		REQUIRE(send_packet(&a, piece, sizeof(piece)));
	a = header(VSOCK_OP_SHUTDOWN, 1024, h.src_port);
	a.flags = VSOCK_SHUT_BOTH;
	REQUIRE(send_packet(&a, NULL, 0));
	a = header(VSOCK_OP_RST, 1024, h.src_port);
	REQUIRE(send_packet(&a, NULL, 0));
	for (int i = 0; i < 4; i++)
		REQUIRE(read_all(fd, got, sizeof(got)) == sizeof(got));
	CHECK_EQ(read(fd, got, 1), 0);
	while (receive(&d, NULL, 50))
		;
	CHECK_EQ(vsock_connections(dev), 0);
	stop();
}

TEST(a_host_that_closes_ends_the_stream_and_the_guest_must_agree)
{
	struct vsock_hdr h, a, d;
	int fd;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 65536);
	REQUIRE(fd >= 0 && write(fd, "bye", 3) == 3);
	close(fd);
	REQUIRE(receive(&d, NULL, 2000));
	CHECK_EQ(d.op, VSOCK_OP_RW); /* what it said first comes first */
	REQUIRE(receive(&d, NULL, 2000));
	CHECK_EQ(d.op, VSOCK_OP_SHUTDOWN);
	if (d.flags != VSOCK_SHUT_BOTH) {
		REQUIRE(receive(&d, NULL, 2000));
		CHECK_EQ(d.flags, VSOCK_SHUT_BOTH);
	}
	CHECK_EQ(vsock_connections(dev), 1);
	a = header(VSOCK_OP_RST, 1024, h.src_port);
	REQUIRE(send_packet(&a, NULL, 0));
	for (int i = 0; i < 1000 && vsock_connections(dev); i++)
		usleep(1000);
	CHECK_EQ(vsock_connections(dev), 0);
	stop();
}

TEST(a_stalled_stream_does_not_stop_the_others)
{
	static uint8_t big[100000];
	struct vsock_hdr h1, h2, d;
	int a, b;

	REQUIRE(started_and_ready());
	a = open_stream(&h1, 100);
	b = open_stream(&h2, 65536);
	REQUIRE(a >= 0 && b >= 0);
	REQUIRE(write(a, big, sizeof(big)) > 0);
	REQUIRE(receive(&d, NULL, 2000));
	CHECK_EQ(d.len, 100);
	REQUIRE(write(b, "x", 1) == 1);
	REQUIRE(receive(&d, NULL, 2000));
	CHECK_EQ(d.src_port, h2.src_port);
	CHECK_EQ(d.len, 1);
	stop();
}

TEST(without_receive_buffers_everything_waits_and_nothing_is_lost)
{
	struct vsock_hdr h = header(VSOCK_OP_REQUEST, 5000, 7), d;
	unsigned int sent = 0, rsts = 0;

	REQUIRE(start(0));
	/* Each wants a reset; the device holds a few, then leaves the packets in the queue. */
	for (unsigned int i = 0; i < NRX; i++) {
		memcpy(guest_ptr(&g, TX_BUF + i * 64), &h, sizeof(h));
		guest_add_one(&g, 1, TX_BUF + i * 64, sizeof(h), false);
	}
	guest_kick(&g, 1);
	while (guest_used(&g, 1, NULL, 100) >= 0)
		sent++;
	CHECK(sent <= 64);
	for (unsigned int i = 0; i < NRX; i++) {
		memcpy(guest_ptr(&g, TX_BUF + i * 64), &h, sizeof(h));
		guest_add_one(&g, 1, TX_BUF + i * 64, sizeof(h), false);
		if ((uint16_t)(g.q[1].avail[1] - g.q[1].seen_used) >= NRX)
			break;
	}
	give_buffers(32);
	for (int i = 0; i < 400 && receive(&d, NULL, 100); i++) {
		rsts += d.op == VSOCK_OP_RST;
		give_buffers(1);
	}
	while (guest_used(&g, 1, NULL, 0) >= 0)
		sent++;
	CHECK_EQ(rsts, g.q[1].avail[1]);
	CHECK_EQ(sent, g.q[1].avail[1]);
	stop();
}

/* Every malformed packet ends in a reset of the stream or of the device, never in more. */
TEST(malformed_packets_do_no_harm)
{
	struct vsock_hdr h, a, d;
	int fd;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 65536);
	REQUIRE(fd >= 0);
	a = header(VSOCK_OP_RW, 1024, h.src_port);
	a.type = 2;
	REQUIRE(send_packet(&a, NULL, 0)); /* not a stream */
	REQUIRE(receive(&d, NULL, 2000) && d.op == VSOCK_OP_RST);
	a.type = VSOCK_STREAM;
	a.src_cid = 77;
	REQUIRE(send_packet(&a, NULL, 0)); /* somebody else's address */
	REQUIRE(receive(&d, NULL, 2000) && d.op == VSOCK_OP_RST);
	a.src_cid = VSOCK_GUEST_CID;
	a.src_port = 1025;
	REQUIRE(send_packet(&a, NULL, 0)); /* not this stream */
	REQUIRE(receive(&d, NULL, 2000) && d.op == VSOCK_OP_RST);
	CHECK_EQ(vsock_connections(dev), 1);
	a.src_port = 1024;
	a.op = 99;
	REQUIRE(send_packet(&a, NULL, 0));
	REQUIRE(receive(&d, NULL, 2000) && d.op == VSOCK_OP_RST);
	CHECK_EQ(vsock_connections(dev), 0);
	a.op = VSOCK_OP_RW;
	a.len = 100; /* more than follows */
	send_packet(&a, "short", 5);
	for (int i = 0; i < 1000 && !(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET); i++)
		usleep(1000);
	CHECK(guest_read(&g, 0x070) & VIRTIO_S_NEEDS_RESET);
	stop();
}

TEST(a_reset_of_the_driver_closes_all_streams_and_a_new_life_begins)
{
	struct vsock_hdr h = { 0 }, d = { 0 };
	uint8_t b;
	int fd, fd2;

	REQUIRE(started_and_ready());
	fd = open_stream(&h, 65536);
	REQUIRE(fd >= 0);
	guest_write(&g, 0x070, 0);
	CHECK_EQ(read_all(fd, &b, 1), 0);
	for (int i = 0; i < 1000 && vsock_connections(dev); i++)
		usleep(1000);
	CHECK_EQ(vsock_connections(dev), 0);
	REQUIRE(guest_start(&g, 0, NRX) == 15);
	give_buffers(32);
	fd2 = open_stream(&d, 65536);
	CHECK(fd2 >= 0);
	CHECK(d.src_port != h.src_port);
	stop();
}

TEST(connections_are_bounded)
{
	static struct result r[VSOCK_CONNS_MAX + 1];
	unsigned int n = 0;
	int fd[2], ret = 0;

	REQUIRE(start(0));
	while (n <= VSOCK_CONNS_MAX) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
			break;
		ret = ask(1024, fd[0], &r[n]);
		if (ret)
			break;
		n++;
	}
	if (n == VSOCK_CONNS_MAX)
		CHECK_EQ(ret, -EAGAIN);
	CHECK(n <= VSOCK_CONNS_MAX);
	stop();
}

TEST(resets_under_fire_do_no_harm)
{
	uint8_t b[100];
	int fd[2];

	REQUIRE(started_and_ready());
	for (int i = 0; i < 300; i++) {
		static struct result r[300];
		struct vsock_hdr h = header((uint16_t)(random() % 9), 1024, 0x40000000u + (uint32_t)i);

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
			break;
		ask(1024, fd[0], &r[i]);
		if (write(fd[1], b, sizeof(b)) < 0)
			break;
		send_packet(&h, NULL, 0);
		if (i % 3 == 0) {
			guest_write(&g, 0x070, 0);
			guest_start(&g, 0, NRX);
			give_buffers(32);
		}
		close(fd[1]);
		if (r[i].calls && r[i].status)
			close(fd[0]);
	}
	stop();
}
