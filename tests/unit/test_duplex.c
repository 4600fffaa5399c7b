/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two sockets joined: what comes out, what does not, and how it ends.
 */
// link: agent
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/duplex.h"

/* Two socket pairs; the duplex joins the inner ends. */
struct pair {
	int left, right;
	struct duplex d;
};

static void pair_open(struct pair *p)
{
	int l[2], r[2];

	*p = (struct pair){ .left = -1, .right = -1 };
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, l) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, r) == 0);
	p->left = l[0];
	p->right = r[0];
	REQUIRE(duplex_init(&p->d, l[1], r[1]) == 0);
}

static void pair_close(struct pair *p)
{
	duplex_close(&p->d);
	close(p->left);
	close(p->right);
}

TEST(bytes_go_both_ways)
{
	struct pair p;
	char buf[16] = "";

	pair_open(&p);
	CHECK_EQ(write(p.left, "ping", 4), 4);
	CHECK_EQ(write(p.right, "pong!", 5), 5);
	CHECK_EQ(duplex_event(&p.d, 0, EPOLLIN), 1);
	CHECK_EQ(read(p.right, buf, sizeof(buf)), 4);
	CHECK(memcmp(buf, "ping", 4) == 0);
	CHECK_EQ(read(p.left, buf, sizeof(buf)), 5);
	CHECK(memcmp(buf, "pong!", 5) == 0);
	pair_close(&p);
}

TEST(an_end_of_one_direction_leaves_the_other_open)
{
	struct pair p;
	char buf[16];

	pair_open(&p);
	CHECK_EQ(write(p.left, "last", 4), 4);
	CHECK_EQ(shutdown(p.left, SHUT_WR), 0);
	CHECK_EQ(duplex_event(&p.d, 0, EPOLLIN), 1);
	CHECK_EQ(read(p.right, buf, sizeof(buf)), 4);
	CHECK_EQ(read(p.right, buf, sizeof(buf)), 0);
	CHECK_EQ(write(p.right, "answer", 6), 6);
	CHECK_EQ(duplex_event(&p.d, 1, EPOLLIN), 1);
	CHECK_EQ(read(p.left, buf, sizeof(buf)), 6);
	CHECK_EQ(shutdown(p.right, SHUT_WR), 0);
	CHECK_EQ(duplex_event(&p.d, 1, EPOLLIN), 0);
	CHECK_EQ(read(p.left, buf, sizeof(buf)), 0);
	pair_close(&p);
}

TEST(the_end_is_passed_on_wherever_in_a_turn_it_comes)
{
	static char chunk[DUPLEX_ROOM];

	for (int pieces = 0; pieces < 10; pieces++) {
		int big = 4 << 20;
		struct pair p;
		ssize_t n;

		pair_open(&p);
		setsockopt(p.left, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
		setsockopt(p.d.fd[1], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
		for (int i = 0; i < pieces; i++)
			CHECK_EQ(send(p.left, chunk, sizeof(chunk), 0), sizeof(chunk));
		CHECK_EQ(shutdown(p.left, SHUT_WR), 0);
		duplex_preload(&p.d, 0, "x", pieces % 2); /* a turn may begin with a write, too */
		do
			CHECK_EQ(duplex_event(&p.d, 0, EPOLLIN), 1);
		while (duplex_wants(&p.d, 0) & EPOLLIN || duplex_wants(&p.d, 1) & EPOLLOUT);
		while ((n = read(p.right, chunk, sizeof(chunk))) > 0)
			;
		CHECK_EQ(n, 0);
		pair_close(&p);
	}
}

TEST(a_reader_that_stalls_stops_its_writer)
{
	static char chunk[65536];
	size_t sent = 0, got = 0;
	struct pair p;
	ssize_t n;

	pair_open(&p);
	for (int i = 0; i < 200; i++) {
		n = write(p.left, chunk, sizeof(chunk));
		sent += n > 0 ? (size_t)n : 0;
		CHECK_EQ(duplex_event(&p.d, 0, EPOLLIN), 1);
	}
	CHECK(sent < 2u << 20); /* two socket buffers and ours */
	CHECK_EQ(duplex_wants(&p.d, 0) & EPOLLIN, 0);
	CHECK(duplex_wants(&p.d, 1) & EPOLLOUT);
	while ((n = read(p.right, chunk, sizeof(chunk))) > 0) {
		got += (size_t)n;
		CHECK_EQ(duplex_event(&p.d, 1, EPOLLOUT), 1);
	}
	CHECK_EQ(got, sent);
	CHECK(duplex_wants(&p.d, 0) & EPOLLIN);
	pair_close(&p);
}

TEST(what_came_before_comes_first)
{
	struct pair p;
	char buf[16] = "";

	pair_open(&p);
	duplex_preload(&p.d, 1, "early ", 6);
	CHECK_EQ(write(p.right, "late", 4), 4);
	CHECK_EQ(duplex_event(&p.d, 0, 0), 1);
	CHECK_EQ(read(p.left, buf, sizeof(buf)), 10);
	CHECK(memcmp(buf, "early late", 10) == 0);
	pair_close(&p);
}

TEST(an_end_that_is_gone_is_an_error_for_the_one_who_writes_to_it)
{
	struct pair p;

	pair_open(&p);
	close(p.right);
	p.right = dup(p.left);
	CHECK_EQ(write(p.left, "x", 1), 1);
	CHECK_EQ(duplex_event(&p.d, 0, EPOLLIN), -EPIPE);
	pair_close(&p);
}

TEST(a_hang_up_that_nobody_waits_for_ends_it)
{
	struct pair p;

	pair_open(&p);
	CHECK_EQ(shutdown(p.left, SHUT_WR), 0);
	CHECK_EQ(duplex_event(&p.d, 0, EPOLLIN), 1);
	CHECK_EQ(duplex_wants(&p.d, 0), EPOLLERR); /* its input has ended, nothing waits to be written */
	CHECK_EQ(duplex_event(&p.d, 0, EPOLLHUP), -ECONNRESET);
	pair_close(&p);
}
