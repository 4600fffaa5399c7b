/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a command and the proxy that it has just cloned.
 */
#include "sync.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

int sync_send(int fd, enum sync_type type, uint32_t value, const char *text)
{
	uint32_t head[2] = { type, value };
	struct iovec iov[2] = {
		{ .iov_base = head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)text, .iov_len = text ? strlen(text) : 0 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int sync_recv(int fd, struct sync_msg *m)
{
	const size_t head = offsetof(struct sync_msg, text);
	ssize_t n;

	n = recv(fd, m, sizeof(*m) - 1, 0);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (!n)
		return -EPIPE;
	if ((size_t)n < head)
		return -EPROTO;
	m->text[(size_t)n - head] = '\0';
	return 0;
}
