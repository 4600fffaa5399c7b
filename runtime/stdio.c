/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three standard fds that an engine hands over, made usable from an event loop without changing them for others.
 */
#include "stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void stdio_adopt(struct stdio *s, int fd, bool write)
{
	char name[40];
	struct stat st;
	int flags, own;

	*s = (struct stdio){ .fd = fd, .kind = STDIO_PLAIN };
	if (fstat(fd, &st) < 0) {
		s->fd = -1; /* the engine started us without it */
		return;
	}
	if (S_ISSOCK(st.st_mode)) {
		s->kind = STDIO_SOCKET;
		return;
	}
	s->tty = S_ISCHR(st.st_mode) && isatty(fd);
	if (!S_ISFIFO(st.st_mode) && !s->tty)
		return;
	flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && (flags & O_NONBLOCK)) {
		s->kind = STDIO_NONBLOCK;
		return;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	own = open(name, (write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0) {
		if (errno == ENXIO) /* a pipe whose reader is gone already */
			stdio_close(s);
		else
			s->kind = STDIO_POLLED;
		return;
	}
	close(fd);
	s->fd = own;
	s->kind = STDIO_NONBLOCK;
}

void stdio_close(struct stdio *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

ssize_t stdio_read(struct stdio *s, void *buf, size_t len)
{
	ssize_t n;

	do {
		n = s->kind == STDIO_SOCKET ? recv(s->fd, buf, len, MSG_DONTWAIT) : read(s->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return n;
}

ssize_t stdio_write(struct stdio *s, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t done;

	do {
		if (s->kind == STDIO_SOCKET)
			done = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (s->kind == STDIO_POLLED) /* poll promised room for that much, not for more */
			done = write(s->fd, iov[0].iov_base, iov[0].iov_len < PIPE_BUF ? iov[0].iov_len : PIPE_BUF);
		else
			done = writev(s->fd, iov, n);
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return done;
}
