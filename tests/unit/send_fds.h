/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors that go with a message over a UNIX socket (unix(7), SCM_RIGHTS). */
#ifndef HUSK_TESTS_SEND_FDS_H
#define HUSK_TESTS_SEND_FDS_H

#include <string.h>
#include <sys/socket.h>

#define SEND_FDS_MAX 64u

union send_fds {
	char buf[CMSG_SPACE(sizeof(int) * SEND_FDS_MAX)];
	struct cmsghdr align;
};

/* Put fd[0..n) into m; u holds them until it is sent. n is at most SEND_FDS_MAX; with 0 nothing is put. */
static inline void send_fds_put(struct msghdr *m, union send_fds *u, const int *fd, unsigned int n)
{
	struct cmsghdr *h;

	if (!n)
		return;
	m->msg_control = u->buf;
	m->msg_controllen = CMSG_SPACE(sizeof(int) * n);
	h = CMSG_FIRSTHDR(m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(h), fd, sizeof(int) * n);
}

#endif
