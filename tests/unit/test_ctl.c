/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/runner.h"
#include "tests/unit/send_fds.h"
#include "vmm/ctl.h"

static struct ctl *ctl;
static struct sockaddr_un addr = { .sun_family = AF_UNIX };
static struct ctl_client *waiting;
static int taken = -1;

/* Op 1: echo the payload. 2: keep the descriptor. 3: wait. 4: answer the waiting one. 5: hand over. */
static void handler(void *arg, struct ctl_client *c, const struct ctl_req *req, const char *payload, int *fds,
		    unsigned int nfds)
{
	uint32_t n = nfds;
	int fd;

	(void)arg;
	switch (req->op) {
	case 1:
		ctl_reply(c, (int)req->arg, payload, req->len);
		return;
	case 2:
		taken = nfds ? fds[0] : -1;
		if (nfds)
			fds[0] = -1;
		ctl_reply(c, 0, &n, sizeof(n));
		return;
	case 3:
		waiting = c;
		return;
	case 4:
		if (waiting)
			ctl_reply(waiting, -ECANCELED, NULL, 0);
		waiting = NULL;
		ctl_reply(c, 0, NULL, 0);
		return;
	case 5:
		fd = ctl_release(c);
		ctl_hand_over(c);
		if (write(fd, "raw", 3) != 3)
			abort();
		close(fd);
		return;
	case 6:
		ctl_release(c);
		ctl_reply(c, -ECONNREFUSED, NULL, 0);
		return;
	}
	ctl_reply(c, -EOPNOTSUPP, NULL, 0);
}

static bool start(uid_t owner)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/husk-test-ctl.%d", getpid());
	unlink(addr.sun_path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 200))
		return false;
	chmod(addr.sun_path, 0777);
	loop = loop_create();
	ctl = ctl_create(loop, fd, owner, handler, NULL);
	return ctl && runner_start();
}

static void stop(void)
{
	runner_stop();
	ctl_destroy(ctl);
	loop_free(loop);
	unlink(addr.sun_path);
}

static int client(void)
{
	struct timeval limit = { 3, 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static bool get(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

/* Sends a request with nfds copies of descriptor 0. */
static bool ask(int fd, uint32_t op, uint32_t arg, const void *payload, uint32_t len, unsigned int nfds)
{
	struct ctl_req req = { CTL_MAGIC, op, arg, len };
	struct iovec iov[2] = { { &req, sizeof(req) }, { (void *)(uintptr_t)payload, len } };
	static const int fds[SEND_FDS_MAX]; /* copies of descriptor 0 */
	union send_fds u;
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };

	send_fds_put(&m, &u, fds, nfds);
	return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)(sizeof(req) + len);
}

static unsigned int open_fds(void)
{
	unsigned int n = 0;

	for (int i = 0; i < 2048; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

TEST(requests_are_answered_in_order_on_one_connection)
{
	struct ctl_rep r;
	char buf[8];
	int fd;

	REQUIRE(start(getuid()));
	fd = client();
	for (int i = 0; i < 3; i++) {
		REQUIRE(ask(fd, 1, 7, "abcdefgh", 8, 0) && get(fd, &r, sizeof(r)) && get(fd, buf, 8));
		CHECK_EQ(r.magic, CTL_MAGIC);
		CHECK_EQ(r.status, 7);
		CHECK_EQ(r.len, 8);
		CHECK_MEM(buf, "abcdefgh", 8);
	}
	REQUIRE(ask(fd, 99, 0, NULL, 0, 0) && get(fd, &r, sizeof(r)));
	CHECK_EQ(r.status, -EOPNOTSUPP);
	stop();
}

TEST(requests_may_come_in_pieces_and_at_once)
{
	struct ctl_req q[2] = { { CTL_MAGIC, 1, 1, 4 }, { CTL_MAGIC, 1, 2, 0 } };
	struct ctl_rep r;
	char buf[4], *all = (char *)q;
	int fd;

	REQUIRE(start(getuid()));
	fd = client();
	for (size_t i = 0; i < sizeof(q[0]); i++) {
		REQUIRE(send(fd, all + i, 1, 0) == 1);
		usleep(500);
	}
	REQUIRE(send(fd, "pa", 2, 0) == 2);
	usleep(5000);
	REQUIRE(send(fd, "yl", 2, 0) == 2 && send(fd, &q[1], sizeof(q[1]), 0) == sizeof(q[1]));
	REQUIRE(get(fd, &r, sizeof(r)) && get(fd, buf, 4));
	CHECK_MEM(buf, "payl", 4);
	REQUIRE(get(fd, &r, sizeof(r)));
	CHECK_EQ(r.status, 2);
	stop();
}

TEST(nonsense_ends_the_connection)
{
	struct ctl_req bad[] = { { 1, 1, 0, 0 },
				 { CTL_MAGIC, 1, 0, CTL_PAYLOAD_MAX + 1 },
				 { CTL_MAGIC, 1, 0, UINT32_MAX } };
	char b;

	REQUIRE(start(getuid()));
	for (size_t i = 0; i < 3; i++) {
		int fd = client();

		REQUIRE(send(fd, &bad[i], sizeof(bad[i]), 0) == sizeof(bad[i]));
		CHECK_EQ(recv(fd, &b, 1, 0), 0);
		close(fd);
	}
	stop();
}

TEST(descriptors_that_nobody_takes_are_closed)
{
	unsigned int before, n;
	struct ctl_rep r;
	int fd;

	REQUIRE(start(getuid()));
	fd = client();
	before = open_fds() + 1; /* our connection at the other end */
	REQUIRE(ask(fd, 1, 0, NULL, 0, 5) && get(fd, &r, sizeof(r)));
	CHECK_EQ(open_fds(), before);
	REQUIRE(ask(fd, 2, 0, NULL, 0, 5) && get(fd, &r, sizeof(r)) && get(fd, &n, 4));
	CHECK_EQ(n, 5);
	CHECK_EQ(open_fds(), before + 1);
	CHECK_EQ(fcntl(taken, F_GETFD), FD_CLOEXEC);
	close(taken);
	/* more than there is room for: the connection ends */
	REQUIRE(ask(fd, 1, 0, NULL, 0, CTL_FDS_MAX + 8));
	CHECK(recv(fd, &n, 4, 0) <= 0);
	usleep(20000);
	CHECK_EQ(open_fds(), before - 1);
	stop();
}

TEST(a_client_may_leave_while_its_request_waits)
{
	unsigned int before;
	struct ctl_rep r;
	int a, b;

	REQUIRE(start(getuid()));
	b = client();
	REQUIRE(ask(b, 1, 0, NULL, 0, 0) && get(b, &r, sizeof(r)));
	before = open_fds();
	a = client();
	REQUIRE(ask(a, 3, 0, NULL, 0, 0));
	usleep(20000);
	close(a);
	usleep(20000);
	REQUIRE(ask(b, 4, 0, NULL, 0, 0) && get(b, &r, sizeof(r)));
	CHECK_EQ(r.status, 0);
	CHECK_EQ(open_fds(), before);
	stop();
}

TEST(a_connection_can_be_given_away_or_taken_back)
{
	struct ctl_rep r;
	char buf[4] = "";
	int fd;

	REQUIRE(start(getuid()));
	fd = client();
	REQUIRE(ask(fd, 6, 0, NULL, 0, 0) && get(fd, &r, sizeof(r)));
	CHECK_EQ(r.status, -ECONNREFUSED);
	REQUIRE(ask(fd, 5, 0, NULL, 0, 0) && get(fd, &r, sizeof(r)) && get(fd, buf, 3));
	CHECK_EQ(r.status, 0);
	CHECK_STR(buf, "raw");
	stop();
}

TEST(other_users_are_turned_away)
{
	char b;
	int st;
	pid_t pid;

	if (getuid() != 0)
		return; /* only root can become somebody else */
	REQUIRE(start(12345));
	pid = fork();
	if (pid == 0) {
		struct ctl_req q = { CTL_MAGIC, 1, 0, 0 };
		int fd;

		if (setgid(4242) || setuid(4242))
			_exit(2);
		fd = client();
		if (fd >= 0 && send(fd, &q, sizeof(q), MSG_NOSIGNAL) >= 0 && recv(fd, &b, 1, 0) > 0)
			_exit(1);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	CHECK_EQ(st, 0);
	stop();
}

TEST(clients_are_bounded_and_the_next_one_waits)
{
	int fd[CTL_CLIENTS_MAX + 5];
	struct ctl_rep r;
	struct pollfd p = { .events = POLLIN };

	REQUIRE(start(getuid()));
	for (unsigned int i = 0; i < CTL_CLIENTS_MAX + 5; i++) {
		fd[i] = client();
		REQUIRE(fd[i] >= 0 && ask(fd[i], 1, 0, NULL, 0, 0));
	}
	for (unsigned int i = 0; i < CTL_CLIENTS_MAX; i++)
		REQUIRE(get(fd[i], &r, sizeof(r)));
	p.fd = fd[CTL_CLIENTS_MAX];
	CHECK_EQ(poll(&p, 1, 50), 0);
	close(fd[3]);
	CHECK(get(fd[CTL_CLIENTS_MAX], &r, sizeof(r)));
	stop();
}
