/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three standard fds that an engine hands over, made usable from an event loop without changing them for others.
 */
#ifndef HUSK_RUNTIME_STDIO_H
#define HUSK_RUNTIME_STDIO_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

enum stdio_kind {
	STDIO_NONBLOCK, /* our own non-blocking description of the same pipe or terminal */
	STDIO_SOCKET,	/* MSG_DONTWAIT on each call */
	STDIO_PLAIN,	/* regular file or /dev/null: always ready, epoll does not take it */
	STDIO_POLLED,	/* could not be opened again: small writes after poll says so */
};

struct stdio {
	int fd; /* owned; -1: closed */
	enum stdio_kind kind;
	bool tty;
};

/**
 * stdio_adopt() - take over one standard fd
 * @fd:	    what the engine gave; closed here when a description of our own replaces it
 * @write:  stdout or stderr
 *
 * O_NONBLOCK belongs to the open file description, which the engine or a shell still shares: so pipes and
 * terminals are opened again through /proc/self/fd. Needs /proc.
 */
void stdio_adopt(struct stdio *s, int fd, bool write);
void stdio_close(struct stdio *s);

/* Bytes done, 0 at the end of input, -EAGAIN, -errno. */
ssize_t stdio_read(struct stdio *s, void *buf, size_t len);
ssize_t stdio_write(struct stdio *s, const struct iovec *iov, int n);

#endif
