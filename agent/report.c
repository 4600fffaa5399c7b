/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a child under construction and the agent. The agent's end never blocks.
 */
#include "report.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int report_send(int sync, enum report_kind kind, uint32_t value, const struct fault *fault, int fd)
{
	struct report r = { .kind = kind, .value = value };
	struct iovec iov = { .iov_base = &r, .iov_len = fault ? sizeof(r) : offsetof(struct report, fault) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control c;
	ssize_t n;

	if (fault)
		r.fault = *fault;
	if (fd >= 0) {
		struct cmsghdr *h;

		memset(&c, 0, sizeof(c));
		m.msg_control = c.bytes;
		m.msg_controllen = sizeof(c.bytes);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(int));
	}
	do { /* a filter that is loaded by now allows write(2), but perhaps no sockets */
		n = fd >= 0 ? sendmsg(sync, &m, MSG_NOSIGNAL) : write(sync, &r, iov.iov_len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int report_wait_go(int sync)
{
	char byte;
	ssize_t n;

	do {
		n = read(sync, &byte, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : n < 0 ? -errno : -EPIPE;
}

int report_receive(int sync, struct report *r, int *fd)
{
	struct iovec iov = { .iov_base = r, .iov_len = sizeof(*r) };
	union control c;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = sizeof(c.bytes)
	};
	struct cmsghdr *h;
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(sync, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? -EAGAIN : -EPROTO;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(h), sizeof(int));
	if (n == 0)
		return 0;
	if ((size_t)n < offsetof(struct report, fault) || (r->kind == REPORT_FAULT) != (n == sizeof(*r)) ||
	    (r->kind == REPORT_TTY) != (*fd >= 0) || r->kind < REPORT_PID || r->kind > REPORT_FAULT) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return -EPROTO;
	}
	if (r->kind == REPORT_FAULT)
		r->fault.text[sizeof(r->fault.text) - 1] = '\0';
	return 1;
}

int report_go(int sync)
{
	return send(sync, "g", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}
