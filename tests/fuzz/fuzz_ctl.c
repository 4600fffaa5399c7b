/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is what a client sends on the VMM's control socket: bytes in pieces of any size, descriptors with them,
 * hang-ups. The handler answers at once, later, or not before the client is gone. At the end no client and no
 * descriptor may be left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/send_fds.h"
#include "vmm/ctl.h"
#include "vmm/loop.h"

static struct loop *loop;
static struct ctl_client *waiting;

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void turn(void)
{
	for (int i = 0; i < 3; i++) {
		loop_call(loop, stop, NULL);
		loop_run(loop);
	}
}

static void handler(void *arg, struct ctl_client *c, const struct ctl_req *req, const char *payload, int *fds,
		    unsigned int nfds)
{
	(void)arg;
	(void)fds;
	if (req->len > CTL_PAYLOAD_MAX || payload[req->len] || nfds > CTL_FDS_MAX)
		abort();
	if (req->op % 4 == 1 && !waiting) {
		waiting = c;
		return;
	}
	if (req->op % 4 == 2) {
		int fd = ctl_release(c);

		ctl_hand_over(c);
		close(fd);
		return;
	}
	ctl_reply(c, (int)req->arg, payload, req->len);
}

static void answer_waiting(void)
{
	if (waiting)
		ctl_reply(waiting, -ECANCELED, NULL, 0);
	waiting = NULL;
}

static void send_piece(int fd, const uint8_t *data, size_t len, unsigned int nfds)
{
	static const int fds[SEND_FDS_MAX]; /* copies of stdin */
	union send_fds u;
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	send_fds_put(&m, &u, fds, nfds);
	sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int lowest_free(void)
{
	int fd = fcntl(0, F_DUPFD, 0);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sockaddr_un sa = { .sun_family = AF_UNIX };
	static struct ctl *ctl;
	char buf[8192];
	int fd, before;

	if (!loop) {
		int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		loop = loop_create();
		/* the address is chosen by the kernel, in the abstract name space */
		if (bind(l, (struct sockaddr *)&sa, sizeof(sa_family_t)) || listen(l, 64))
			abort();
		ctl = ctl_create(loop, l, getuid(), handler, NULL);
		if (!ctl)
			abort();
		socklen_t len = sizeof(sa);
		if (getsockname(l, (struct sockaddr *)&sa, &len))
			abort();
		sa.sun_path[sizeof(sa.sun_path) - 1] = (char)len;
	}
	before = lowest_free();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connect(fd, (struct sockaddr *)&sa, (socklen_t)sa.sun_path[sizeof(sa.sun_path) - 1]))
		abort();
	while (size >= 3) {
		size_t n = data[0] ? data[0] : size - 2;

		if (n > size - 2)
			n = size - 2;
		send_piece(fd, data + 2, n, data[1] & 1 ? data[1] >> 2 : 0);
		if (data[1] & 2)
			turn();
		while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
		if ((data[1] & 0xc0) == 0xc0)
			answer_waiting();
		data += 2 + n;
		size -= 2 + n;
	}
	if (size)
		shutdown(fd, SHUT_WR);
	turn();
	close(fd);
	while (waiting) { /* behind a request that waited there may be another */
		answer_waiting();
		turn();
	}
	turn();
	if (lowest_free() != before)
		abort(); /* a descriptor is left */
	return 0;
}
