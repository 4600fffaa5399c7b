/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lives on the host's side of a container's network: connections to localhost, and the engine's resolver. Each
 * test has a network namespace of its own; the network helper is a child, the agent another one.
 */
// link: runtime oci
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "runtime/namespaces.h"
#include "runtime/net_dns.h"
#include "runtime/net_forward.h"

static bool isolated(void)
{
	if (unshare(CLONE_NEWNET)) {
		printf("# needs root\n");
		return false;
	}
	loopback_up();
	return true;
}

/* A child that dies with the test. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void take_all(int fd, void *buf, size_t len)
{
	if (recv(fd, buf, len, MSG_WAITALL) != (ssize_t)len)
		_exit(0);
}

static void send_frame(int fd, uint8_t type, uint8_t chan, const void *data, uint32_t len)
{
	struct wire_hdr h = { .len = len, .type = type, .chan = chan };

	if (send(fd, &h, sizeof(h), MSG_NOSIGNAL) != sizeof(h) ||
	    (len && send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len))
		_exit(0);
}

/* ---- connections to localhost ---- */

/* The agent: refuses port 9, else says at once which port was asked for, then echoes. */
static void agent_forward(int fd)
{
	struct wire_error refused = { .err = ECONNREFUSED, .stage = STAGE_SETUP };
	struct wire_hello hello = { .version = WIRE_VERSION };
	struct wire_forward q;
	struct wire_hdr h;
	char buf[4096];
	ssize_t n;

	take_all(fd, buf, sizeof(h) + sizeof(hello) + sizeof(h));
	take_all(fd, &q, sizeof(q));
	send_frame(fd, WIRE_HELLO, 0, &hello, sizeof(hello));
	if (q.port == 9) {
		send_frame(fd, WIRE_ERROR, 0, &refused, sizeof(refused));
		_exit(0);
	}
	send_frame(fd, WIRE_OK, 0, NULL, 0);
	n = snprintf(buf, sizeof(buf), "%u v%d ", q.port, q.v6 ? 6 : 4);
	do {
		if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
			_exit(0);
	} while ((n = recv(fd, buf, sizeof(buf), 0)) > 0);
	_exit(0);
}

static struct session *connect_forward(void *arg)
{
	int sv[2];

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return NULL;
	if (child() == 0) {
		close(sv[1]);
		agent_forward(sv[0]);
	}
	close(sv[0]);
	return session_new(sv[1]);
}

/* The helper in a child. False: this machine's kernel or sandbox has no such program type for us. */
static bool helper_forward(void)
{
	int ready[2];
	char c = 0;

	if (pipe(ready) < 0 || !isolated())
		return false;
	if (child() == 0) {
		struct evloop loop;

		signal(SIGCHLD, SIG_IGN);
		evloop_init(&loop);
		if (!net_forward_start(&loop, connect_forward, NULL))
			printf("# not possible here: %s\n", strerror(errno)), _exit(0);
		c = write(ready[1], "r", 1) == 1;
		evloop_run(&loop);
		_exit(1);
	}
	close(ready[1]);
	return read(ready[0], &c, 1) == 1;
}

static int dial(int family, uint32_t v4, uint16_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
				    .sin6_port = htons(port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(v4) };
	int fd = socket(family, SOCK_STREAM, 0);
	int r = family == AF_INET ? connect(fd, (struct sockaddr *)&four, sizeof(four))
				  : connect(fd, (struct sockaddr *)&six, sizeof(six));

	if (r == 0)
		return fd;
	close(fd);
	return -errno;
}

TEST(a_connection_to_any_port_of_localhost_arrives_with_its_port_and_family)
{
	char buf[32] = "";
	int fd;

	if (!helper_forward())
		return;
	fd = dial(AF_INET, INADDR_LOOPBACK, 8080);
	REQUIRE(fd >= 0);
	CHECK_EQ(send(fd, "hello", 5, 0), 5);
	CHECK_EQ(recv(fd, buf, 13, MSG_WAITALL), 13);
	CHECK(memcmp(buf, "8080 v4 hello", 13) == 0);
	CHECK_EQ(shutdown(fd, SHUT_WR), 0);
	CHECK_EQ(recv(fd, buf, sizeof(buf), 0), 0);
	fd = dial(AF_INET6, 0, 65535);
	REQUIRE(fd >= 0);
	CHECK_EQ(recv(fd, buf, 9, MSG_WAITALL), 9);
	CHECK(memcmp(buf, "65535 v6 ", 9) == 0);
	fd = dial(AF_INET, 0x7f010203, 22);
	REQUIRE(fd >= 0);
	CHECK_EQ(recv(fd, buf, 6, MSG_WAITALL), 6);
	CHECK(memcmp(buf, "22 v4 ", 6) == 0);
}

TEST(megabytes_both_ways_at_once_arrive_intact_with_their_end)
{
	static uint8_t in[65536];
	size_t got = 0;
	ssize_t n;
	int fd;

	if (!helper_forward())
		return;
	for (int i = 0; i < 10; i++, got = 0) {
		fd = dial(AF_INET, INADDR_LOOPBACK, 80);
		REQUIRE(fd >= 0 && recv(fd, in, 6, MSG_WAITALL) == 6); /* "80 v4 " */
		if (child() == 0) {
			static uint8_t out[1021]; /* no divisor of any buffer */

			for (size_t k = 0; k < sizeof(out); k++)
				out[k] = (uint8_t)(k * 7);
			for (int k = 0; k < 1000; k++)
				if (send(fd, out, sizeof(out), MSG_NOSIGNAL) != sizeof(out))
					_exit(1);
			shutdown(fd, SHUT_WR);
			_exit(0);
		}
		while ((n = recv(fd, in, sizeof(in), 0)) > 0)
			for (ssize_t k = 0; k < n; k++, got++)
				if (in[k] != (uint8_t)(got % 1021 * 7)) {
					UNIT_FAIL("byte %zu differs", got);
					return;
				}
		CHECK_EQ(got, 1021000);
		CHECK_EQ(n, 0);
		close(fd);
	}
}

TEST(the_address_of_the_resolver_is_not_taken)
{
	if (!helper_forward())
		return;
	CHECK_EQ(dial(AF_INET, 0x7f00000b, 53), -ECONNREFUSED);
	CHECK(!net_dns_present());
}

TEST(a_port_that_the_guest_refuses_is_a_reset)
{
	char c;
	int fd;

	if (!helper_forward())
		return;
	fd = dial(AF_INET, INADDR_LOOPBACK, 9);
	REQUIRE(fd >= 0);
	CHECK_EQ(recv(fd, &c, 1, 0), -1);
	CHECK_EQ(errno, ECONNRESET);
}

TEST(more_connections_than_there_are_places_wait_for_one)
{
	static int fd[NET_FORWARDS_MAX + 1];
	char c;

	if (!helper_forward())
		return;
	for (unsigned int i = 0; i <= NET_FORWARDS_MAX; i++) {
		fd[i] = dial(AF_INET, INADDR_LOOPBACK, 8080);
		REQUIRE(fd[i] >= 0);
		if (i < NET_FORWARDS_MAX)
			CHECK_EQ(recv(fd[i], &c, 1, 0), 1);
	}
	CHECK_EQ(recv(fd[NET_FORWARDS_MAX], &c, 1, MSG_DONTWAIT), -1);
	close(fd[0]);
	CHECK_EQ(recv(fd[NET_FORWARDS_MAX], &c, 1, 0), 1);
}

/* ---- the resolver ---- */

/* A resolver that answers with the query, upside down. */
static void resolver_child(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x7f00000b) };
	int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);

	REQUIRE(bind(udp, (struct sockaddr *)&a, sizeof(a)) == 0);
	REQUIRE(bind(tcp, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(tcp, 8) == 0);
	if (child() == 0) {
		for (;;) {
			struct sockaddr_in peer;
			socklen_t plen = sizeof(peer);
			uint8_t msg[512];
			ssize_t n = recvfrom(udp, msg, sizeof(msg), 0, (struct sockaddr *)&peer, &plen);

			for (ssize_t i = 0; i < n; i++)
				msg[i] = (uint8_t)~msg[i];
			sendto(udp, msg, (size_t)n, 0, (struct sockaddr *)&peer, plen);
		}
	}
	if (child() == 0) {
		for (;;) {
			int fd = accept(tcp, NULL, NULL);
			uint8_t msg[2 + 512];

			if (recv(fd, msg, 14, MSG_WAITALL) == 14) {
				for (int i = 2; i < 14; i++)
					msg[i] = (uint8_t)~msg[i];
				send(fd, msg, 3, MSG_NOSIGNAL); /* in pieces */
				usleep(20000);
				send(fd, msg + 3, 11, MSG_NOSIGNAL);
			}
			close(fd);
		}
	}
}

/* The relay in a child; our end of the session, which plays the agent. */
static int relay_child(void)
{
	struct wire_hello hello = { .version = WIRE_VERSION };
	uint8_t skip[2 * sizeof(struct wire_hdr) + sizeof(hello) + sizeof(struct wire_resolver)];
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -1;
	send_frame(sv[0], WIRE_HELLO, 0, &hello, sizeof(hello));
	send_frame(sv[0], WIRE_OK, 0, NULL, 0);
	if (child() == 0) {
		struct evloop loop;
		struct error err;

		close(sv[0]);
		evloop_init(&loop);
		if (!net_dns_start(&loop, session_new(sv[1]), &err))
			_exit(1);
		evloop_run(&loop);
		_exit(1);
	}
	close(sv[1]);
	return recv(sv[0], skip, sizeof(skip), MSG_WAITALL) == sizeof(skip) ? sv[0] : -1;
}

struct answer {
	struct wire_hdr h;
	uint32_t id;
	uint8_t msg[512];
};

static void take_answer(int fd, struct answer *a)
{
	CHECK_EQ(recv(fd, &a->h, sizeof(a->h), MSG_WAITALL), sizeof(a->h));
	CHECK(a->h.type == WIRE_DNS && a->h.len >= 4 && a->h.len <= 516);
	CHECK_EQ(recv(fd, &a->id, a->h.len, MSG_WAITALL), a->h.len);
}

TEST(a_query_is_asked_anew_by_udp_or_tcp_and_answered_under_its_id)
{
	const uint8_t query[16] = { 7, 0, 0, 0, 'q', 'u', 'e', 'r', 'y', ' ', 'o', 'f', ' ', '1', '2', '!' };
	struct answer a;
	int fd;

	if (!isolated())
		return;
	CHECK(!net_dns_present());
	resolver_child();
	CHECK(net_dns_present());
	fd = relay_child();
	REQUIRE(fd >= 0);
	for (uint8_t chan = 0; chan < 2; chan++) {
		send_frame(fd, WIRE_DNS, chan, query, sizeof(query));
		take_answer(fd, &a);
		CHECK_EQ(a.h.chan, chan);
		CHECK_EQ(a.id, 7);
		CHECK_EQ(a.h.len, 16);
		CHECK_EQ(a.msg[0], (uint8_t) ~'q');
		CHECK_EQ(a.msg[11], (uint8_t) ~'!');
	}
}

TEST(without_a_resolver_a_tcp_asker_is_told)
{
	const uint8_t query[16] = { 9 };
	struct answer a;
	int fd;

	if (!isolated())
		return;
	fd = relay_child();
	REQUIRE(fd >= 0);
	send_frame(fd, WIRE_DNS, 1, query, sizeof(query));
	take_answer(fd, &a);
	CHECK_EQ(a.id, 9);
	CHECK_EQ(a.h.len, 4);
}

TEST(a_thousand_queries_at_once_leave_the_relay_alive)
{
	uint8_t query[16] = { 0 };
	struct answer a = { .id = 0 };
	int fd;

	if (!isolated())
		return;
	resolver_child();
	fd = relay_child();
	REQUIRE(fd >= 0);
	for (unsigned int i = 0; i < 1000; i++)
		send_frame(fd, WIRE_DNS, 0, query, sizeof(query));
	query[0] = 0xff;
	send_frame(fd, WIRE_DNS, 1, query, sizeof(query));
	while (a.id != 0xff)
		take_answer(fd, &a);
	CHECK_EQ(a.id, 0xff);
}
