/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the host in the guest: a container's program connects to one, and the host answers, refuses, or goes away.
 */
// link: agent
#define UNIT_SECONDS 60
#include "tests/unit/agent_env.h"

static struct host *container, *server;
static char name[64]; /* of the socket, through the container's root */

/* A container with a socket at /sock, and a session that serves it. */
static bool begin(void)
{
	const struct plan_socket ps = { .mode = 0640, .uid = 0, .gid = 7 };
	uint32_t pid = 0;
	struct pb p;

	pb_environment(&p, "c1");
	pb_op(&p, OP_SOCKET, &ps, sizeof(ps), "s", "s0k0");
	pb_mount(&p, PLAN_SOCKETS "/s0k0", "/sock", "", "", MS_BIND, PLAN_MOUNT_BIND);
	pb_pivot(&p);
	pb_shell(&p, "true");
	server = host_connect();
	container = host_connect();
	host_plan(container, &p, WIRE_CREATE);
	if (!host_ok(container))
		return false;
	memcpy(&pid, container->payload, sizeof(pid));
	snprintf(name, sizeof(name), "/proc/%u/root/sock", pid);
	return host_request(server, WIRE_SOCKETS, "c1");
}

/* A program of the container connects. */
static int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		UNIT_FAIL("connect to %s: %s", name, strerror(errno));
	return fd;
}

static void end(void)
{
	host_close(container);
	host_close(server);
}

/* The next call of the server's session. */
static bool next_call(struct wire_call *q)
{
	while (host_next_within(server, ANSWER_MS) > 0) {
		if (server->h.type != WIRE_CALL)
			continue;
		memcpy(q, server->payload, sizeof(*q));
		return true;
	}
	return false;
}

AGENT_TEST(a_connection_in_the_container_becomes_a_stream_of_the_host_half_close_included)
{
	struct wire_call q = { .index = 9 };
	struct host *s;
	struct stat st;
	char buf[16];
	size_t n;
	int fd;

	REQUIRE(begin());
	CHECK_EQ(stat(name, &st), 0);
	CHECK_EQ(st.st_mode, S_IFSOCK | 0640);
	CHECK_EQ(st.st_gid, 7);
	fd = dial();
	CHECK_EQ(send(fd, "asked", 5, 0), 5);
	CHECK_EQ(shutdown(fd, SHUT_WR), 0);
	REQUIRE(next_call(&q));
	CHECK_EQ(q.index, 0);
	s = host_connect();
	host_frame(s, WIRE_ANSWER, 0, &q.id, sizeof(q.id));
	REQUIRE(host_ok(s));
	n = s->len - s->used; /* what came with the answer */
	memcpy(buf, s->in + s->used, n);
	CHECK_EQ(n + (size_t)recv(s->fd, buf + n, sizeof(buf) - n, MSG_WAITALL), 5); /* and its end */
	CHECK(!memcmp(buf, "asked", 5));
	CHECK_EQ(send(s->fd, "answered", 8, 0), 8);
	host_close(s);
	CHECK_EQ(recv(fd, buf, sizeof(buf), MSG_WAITALL), 8);
	close(fd);
	end();
}

AGENT_TEST(a_refused_connection_ends_and_its_id_is_not_taken_twice)
{
	struct wire_call q;
	struct host *s;
	char text[1100];
	int fd;

	REQUIRE(begin());
	fd = dial();
	REQUIRE(next_call(&q));
	host_frame(server, WIRE_REFUSE, 0, &q.id, sizeof(q.id));
	CHECK_EQ(recv(fd, text, 1, 0), 0);
	close(fd);
	s = host_connect();
	host_frame(s, WIRE_ANSWER, 0, &q.id, sizeof(q.id));
	CHECK(host_error(s, STAGE_STATE, ENOENT, text));
	host_close(s);
	end();
}

AGENT_TEST(a_server_that_goes_away_ends_what_waits_for_it_and_another_may_come)
{
	struct wire_call q;
	int fd, late;
	char c;

	REQUIRE(begin());
	fd = dial();
	REQUIRE(next_call(&q));
	host_close(server);
	CHECK_EQ(recv(fd, &c, 1, 0), 0);
	late = dial(); /* waits in the backlog */
	server = host_connect();
	REQUIRE(host_request(server, WIRE_SOCKETS, "c1"));
	REQUIRE(next_call(&q));
	host_frame(server, WIRE_REFUSE, 0, &q.id, sizeof(q.id));
	CHECK_EQ(recv(late, &c, 1, 0), 0);
	close(fd);
	close(late);
	end();
}

AGENT_TEST(a_flood_of_connections_is_told_up_to_the_limit_and_the_others_wait)
{
	struct wire_call q;
	uint32_t ids[128];
	int fds[140], n = 0;

	REQUIRE(begin());
	for (int i = 0; i < 140; i++)
		fds[i] = dial();
	for (; n < 128 && next_call(&q); n++)
		ids[n] = q.id;
	CHECK_EQ(n, 128);
	CHECK_EQ(host_next_within(server, 300), -1);
	for (int i = 0; i < n; i++)
		host_frame(server, WIRE_REFUSE, 0, &ids[i], sizeof(ids[i]));
	for (; n < 140 && next_call(&q); n++)
		host_frame(server, WIRE_REFUSE, 0, &q.id, sizeof(q.id));
	CHECK_EQ(n, 140);
	for (int i = 0; i < 140; i++)
		close(fds[i]);
	end();
}

AGENT_TEST(the_end_of_the_container_ends_its_connections)
{
	struct wire_call q;
	struct host *other;
	int fd;
	char c;

	REQUIRE(begin());
	fd = dial();
	REQUIRE(next_call(&q));
	other = host_connect();
	CHECK(host_request(other, WIRE_DESTROY, "c1"));
	CHECK_EQ(recv(fd, &c, 1, 0), 0);
	close(fd);
	host_close(other);
	end();
}

AGENT_TEST(an_unknown_container_has_no_sockets_and_a_name_with_a_slash_is_none)
{
	const struct plan_socket ps = { .mode = 0600 };
	struct host *s = host_connect();
	char text[1100];
	struct pb p;

	host_frame(s, WIRE_SOCKETS, 0, "none", 4);
	CHECK(host_error(s, STAGE_STATE, ENOENT, text));
	host_close(s);
	pb_environment(&p, "c2");
	pb_op(&p, OP_SOCKET, &ps, sizeof(ps), "s", "../up");
	pb_pivot(&p);
	pb_shell(&p, "true");
	s = host_connect();
	host_plan(s, &p, WIRE_CREATE);
	CHECK(host_error(s, STAGE_SETUP, EINVAL, text));
	host_close(s);
}
