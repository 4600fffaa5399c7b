/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's end of the engine's resolver, and of connections to localhost: a session on a socket pair, in a network
 * namespace of the test's own.
 */
// link: agent
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "agent/forward.h"
#include "agent/loop.h"
#include "agent/net.h"
#include "agent/session.h"
#include "agent/util.h"
#include "agent/wire.h"

static int host; /* our end of the session */
static uint8_t data[WIRE_PAYLOAD_MAX];
static uint8_t chan;
static size_t len;

static void turn(void)
{
	for (int i = 0; i < 20; i++)
		loop_once(5);
}

static void put(uint8_t type, uint8_t channel, const void *payload, size_t n)
{
	struct wire_hdr h = { .len = (uint32_t)n, .type = type, .chan = channel };

	REQUIRE(write(host, &h, sizeof(h)) == sizeof(h));
	REQUIRE(write(host, payload, n) == (ssize_t)n);
	turn();
}

/* The next frame, in data, len, chan: its type, -1 at the end, 0 when there is none. */
static int take(void)
{
	struct pollfd p = { .fd = host, .events = POLLIN };
	struct wire_hdr h;

	if (poll(&p, 1, 0) <= 0)
		return 0;
	if (read(host, &h, sizeof(h)) != sizeof(h))
		return -1;
	if (h.len > sizeof(data) || (h.len && read(host, data, h.len) != (ssize_t)h.len))
		return -1;
	chan = h.chan;
	len = h.len;
	return h.type;
}

static void open_session(void)
{
	struct wire_hello hello = { .version = WIRE_VERSION };
	int sv[2];

	if (unshare(CLONE_NEWNET)) {
		printf("# needs root\n");
		exit(0);
	}
	REQUIRE(net_loopback_up() == 0);
	REQUIRE(loop_init() == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	host = sv[0];
	REQUIRE(session_add(sv[1]) == 0);
	put(WIRE_HELLO, 0, &hello, sizeof(hello));
	CHECK_EQ(take(), WIRE_HELLO);
}

static void open_resolver(void)
{
	struct wire_resolver q = { .addr = { 127, 0, 0, 11 } };

	open_session();
	put(WIRE_RESOLVER, 0, &q, sizeof(q));
	CHECK_EQ(take(), WIRE_OK);
}

static int asker(int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

	a.sin_addr.s_addr = htonl(0x7f00000b);
	(void)connect(fd, (struct sockaddr *)&a, sizeof(a));
	turn();
	return fd;
}

TEST(a_query_goes_to_the_host_and_its_answer_to_who_asked)
{
	int one, two;
	char buf[64];

	open_resolver();
	one = asker(SOCK_DGRAM);
	two = asker(SOCK_DGRAM);
	CHECK_EQ(send(one, "query-of-the-first", 18, 0), 18);
	turn();
	CHECK_EQ(take(), WIRE_DNS);
	CHECK_EQ(chan, 0);
	CHECK_EQ(len, 22);
	CHECK(memcmp(data + 4, "query-of-the-first", 18) == 0);
	CHECK_EQ(send(two, "query-of-the-second", 19, 0), 19);
	memcpy(data + 4, "answer-to-the-first", 19);
	put(WIRE_DNS, 0, data, 23);
	CHECK_EQ(recv(one, buf, sizeof(buf), 0), 19);
	CHECK_EQ(recv(two, buf, sizeof(buf), 0), -1);
	/* once */
	put(WIRE_DNS, 0, data, 23);
	CHECK_EQ(recv(one, buf, sizeof(buf), 0), -1);
}

TEST(queries_over_tcp_have_their_length_in_front_and_wait_for_each_other)
{
	static const uint8_t two[] = "\0\014first-query!\0\014second-query";
	uint8_t buf[64];
	int fd;

	open_resolver();
	fd = asker(SOCK_STREAM);
	CHECK_EQ(send(fd, two, sizeof(two) - 1, 0), sizeof(two) - 1);
	turn();
	CHECK_EQ(take(), WIRE_DNS);
	CHECK_EQ(chan, 1);
	CHECK(len == 16 && memcmp(data + 4, "first-query!", 12) == 0);
	CHECK_EQ(take(), 0);
	put(WIRE_DNS, 1, data, 16);
	CHECK_EQ(recv(fd, buf, sizeof(buf), 0), 14);
	CHECK(buf[0] == 0 && buf[1] == 12);
	CHECK_EQ(take(), WIRE_DNS);
	CHECK(len == 16 && memcmp(data + 4, "second-query", 12) == 0);
	put(WIRE_DNS, 1, data, 4); /* there is none */
	CHECK_EQ(recv(fd, buf, sizeof(buf), 0), 0);
}

TEST(many_queries_without_answers_cost_no_more_than_the_table)
{
	uint32_t first = 0, id = 0;
	int fd;

	open_resolver();
	fd = asker(SOCK_DGRAM);
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(send(fd, "0123456789abcdef", 16, 0), 16);
		loop_once(5);
		loop_once(0);
		if (take() == WIRE_DNS) {
			memcpy(&id, data, sizeof(id));
			if (!first)
				first = id;
		}
	}
	CHECK(id > first + 256);
	memcpy(data, &first, sizeof(first)); /* its place is another's by now */
	put(WIRE_DNS, 0, data, 20);
	CHECK_EQ(recv(fd, data, sizeof(data), 0), -1);
	memcpy(data, &id, sizeof(id));
	put(WIRE_DNS, 0, data, 20);
	CHECK_EQ(recv(fd, data, sizeof(data), 0), 16);
}

TEST(an_address_outside_of_loopback_is_refused)
{
	struct wire_resolver q = { .addr = { 10, 0, 0, 1 } };

	open_session();
	put(WIRE_RESOLVER, 0, &q, sizeof(q));
	CHECK_EQ(take(), WIRE_ERROR);
}

/* A listening socket on loopback; its port. */
static int listener(int family, uint16_t *port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(six);
	int fd = socket(family, SOCK_STREAM, 0);

	CHECK((family == AF_INET ? bind(fd, (struct sockaddr *)&four, sizeof(four))
				 : bind(fd, (struct sockaddr *)&six, sizeof(six))) == 0);
	CHECK(listen(fd, 4) == 0 && getsockname(fd, (struct sockaddr *)&six, &n) == 0);
	*port = ntohs(six.sin6_port);
	return fd;
}

static void forward_works(int family, uint8_t v6)
{
	struct wire_forward q = { .v6 = v6 };
	char buf[16];
	int l, fd;

	open_session();
	l = listener(family, &q.port);
	put(WIRE_FORWARD, 0, &q, sizeof(q));
	CHECK_EQ(take(), WIRE_OK);
	CHECK_EQ(session_count(), 0);
	CHECK_EQ(forward_count(), 1);
	fd = accept(l, NULL, NULL);
	CHECK_EQ(write(host, "in", 2), 2);
	turn();
	CHECK_EQ(read(fd, buf, sizeof(buf)), 2);
	CHECK_EQ(write(fd, "out", 3), 3);
	CHECK_EQ(shutdown(fd, SHUT_WR), 0);
	turn();
	CHECK_EQ(read(host, buf, sizeof(buf)), 3);
	CHECK_EQ(read(host, buf, sizeof(buf)), 0);
	close(host);
	turn();
	CHECK_EQ(read(fd, buf, sizeof(buf)), 0);
	CHECK_EQ(forward_count(), 0);
}

TEST(a_connection_of_the_host_reaches_a_program_on_127_0_0_1)
{
	forward_works(AF_INET, 0);
}

TEST(a_program_that_listens_on_the_other_loopback_address_is_found)
{
	forward_works(AF_INET6, 0);
}

TEST(a_port_where_nobody_listens_is_an_error_and_the_session_stays)
{
	struct wire_forward q = { .port = 9 };

	open_session();
	put(WIRE_FORWARD, 0, &q, sizeof(q));
	CHECK_EQ(take(), WIRE_ERROR);
	CHECK_EQ(forward_count(), 0);
	CHECK_EQ(session_count(), 1);
}

TEST(port_53_stays_free_for_a_name_server_of_the_containers_own)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(53) }, to = any;
	uint8_t buf[64], reply[32] = { 0 }, query[16] = { 1 };
	int udp, tcp, asker;

	open_resolver();
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	tcp = socket(AF_INET, SOCK_STREAM, 0);
	asker = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	/* without SO_REUSEADDR, as most servers */
	CHECK_EQ(bind(udp, (struct sockaddr *)&any, sizeof(any)), 0);
	CHECK_EQ(bind(tcp, (struct sockaddr *)&any, sizeof(any)), 0);
	CHECK_EQ(listen(tcp, 1), 0);
	/* its queries are its own, those for the resolver's address ours; the answer comes from where it was asked */
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(sendto(asker, query, sizeof(query), 0, (struct sockaddr *)&to, sizeof(to)), (ssize_t)sizeof(query));
	turn();
	CHECK_EQ(recv(udp, buf, sizeof(buf), 0), (ssize_t)sizeof(query));
	CHECK_EQ(take(), 0);
	to.sin_addr.s_addr = htonl(0x7f00000b);
	CHECK_EQ(connect(asker, (struct sockaddr *)&to, sizeof(to)), 0);
	CHECK_EQ(send(asker, query, sizeof(query), 0), (ssize_t)sizeof(query));
	turn();
	CHECK_EQ(recv(udp, buf, sizeof(buf), 0), -1);
	REQUIRE(take() == WIRE_DNS);
	memcpy(reply, data, 4);
	put(WIRE_DNS, 0, reply, sizeof(reply));
	CHECK_EQ(recv(asker, buf, sizeof(buf), 0), (ssize_t)sizeof(reply) - 4);
}

TEST(a_host_that_goes_away_takes_its_services_along)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	open_resolver();
	close(host);
	turn();
	CHECK_EQ(session_count(), 0);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	a.sin_addr.s_addr = htonl(0x7f00000b);
	CHECK_EQ(connect(fd, (struct sockaddr *)&a, sizeof(a)), -1);
	CHECK_EQ(errno, ECONNREFUSED);
}
