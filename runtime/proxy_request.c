/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of proxy.sock.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy.h"
#include "util.h"

static int reply_wait(int sock, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		uint64_t now = mono_ns();
		int n;

		if (now >= deadline)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)((deadline - now) / 1000000 + 1));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* The header with the descriptor that may come along. */
static int reply_head(int sock, struct proxy_rep *rep, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = rep, .iov_len = sizeof(*rep) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c;
	ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	int got = -1;

	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&got, CMSG_DATA(c), sizeof(got));
	if (fd)
		*fd = got;
	else if (got >= 0)
		close(got);
	if (!n)
		return -EPIPE;
	return (size_t)n == sizeof(*rep) && rep->magic == PROXY_MAGIC && rep->len < sizeof(((struct error *)0)->text)
		       ? 0
		       : -EPROTO;
}

int proxy_request(const char *path, enum proxy_op op, int *fd, uint64_t deadline, struct error *err)
{
	CLEAN_FD int sock = unix_connect(path);
	struct proxy_req req = { .magic = PROXY_MAGIC, .op = op };
	struct proxy_rep rep;
	int rc;

	if (fd)
		*fd = -1;
	if (sock < 0) {
		error_set(err, 0, "the container's process is gone");
		err->code = -sock;
		return -1;
	}
	rc = write_all(sock, &req, sizeof(req));
	if (!rc)
		rc = reply_wait(sock, deadline);
	if (!rc)
		rc = reply_head(sock, &rep, fd);
	if (!rc && rep.len) {
		rc = read_all(sock, err->text, rep.len);
		if (!rc) {
			err->text[rep.len] = '\0';
			err->code = (int)rep.code;
		}
	}
	if (rc == -EPIPE || rc == -ECONNRESET)
		return error_set(err, 0, "the container ended before it could answer");
	if (rc == -ETIMEDOUT)
		return error_set(err, 0, "the container's proxy does not answer (timed out)");
	if (rc)
		return error_set(err, -rc, "the container's proxy");
	return rep.status ? -1 : 0;
}
