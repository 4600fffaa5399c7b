/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: clients, framing, descriptors. Loop thread. Clients are the runtime's own processes, checked by
 * their user; the guest has no way here. Still each field is checked, and nobody can make us wait or allocate.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct ctl_client {
	struct ctl *ctl;
	struct loop_watch watch;
	bool busy; /* a request is being served */
	bool gone; /* the other end hung up meanwhile */
	struct ctl_req req;
	char payload[CTL_PAYLOAD_MAX + 1];
	size_t got; /* bytes of req, then payload */
	int fds[CTL_FDS_MAX];
	unsigned int nfds;
	struct ctl_client *next;
};

struct ctl {
	struct loop *loop;
	struct loop_watch watch;
	uid_t owner;
	ctl_handler handler;
	void *arg;
	struct ctl_client *clients;
	unsigned int nclients;
};

static void close_fds(struct ctl_client *c)
{
	for (unsigned int i = 0; i < c->nfds; i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	}
	c->nfds = 0;
}

static void free_client(struct ctl_client *c)
{
	struct ctl *ctl = c->ctl;
	struct ctl_client **p;

	for (p = &ctl->clients; *p != c; p = &(*p)->next)
		;
	*p = c->next;
	loop_del(ctl->loop, &c->watch);
	if (c->watch.fd >= 0)
		close(c->watch.fd);
	close_fds(c);
	free(c);
	if (ctl->nclients-- == CTL_CLIENTS_MAX)
		loop_mod(ctl->loop, &ctl->watch, EPOLLIN);
}

/* A reply is far smaller than a socket's buffer; a client that lets it fill up is dropped. */
static int send_reply(struct ctl_client *c, int status, const void *payload, uint32_t len)
{
	struct ctl_rep rep = { .magic = CTL_MAGIC, .status = status, .len = len };
	struct iovec iov[2] = {
		{ .iov_base = &rep, .iov_len = sizeof(rep) },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = len },
	};
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	ssize_t n;

	do
		n = sendmsg(c->watch.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(rep) + len ? 0 : -EAGAIN;
}

void ctl_reply(struct ctl_client *c, int status, const void *payload, uint32_t len)
{
	close_fds(c);
	c->got = 0;
	c->busy = false;
	if (c->gone || send_reply(c, status, payload, len)) {
		free_client(c);
		return;
	}
	if (c->watch.slot) {
		loop_mod(c->ctl->loop, &c->watch, EPOLLIN);
	} else {
		c->watch.events = EPOLLIN;
		if (loop_add(c->ctl->loop, &c->watch))
			free_client(c);
	}
}

int ctl_release(struct ctl_client *c)
{
	loop_del(c->ctl->loop, &c->watch);
	return c->watch.fd;
}

void ctl_hand_over(struct ctl_client *c)
{
	/* Without its answer the other end cannot go on; whoever has the socket now sees the end of it. */
	if (send_reply(c, 0, NULL, 0))
		shutdown(c->watch.fd, SHUT_RDWR);
	c->watch.fd = -1;
	free_client(c);
}

/* Takes descriptors out of a message. False when some were cut off. */
static bool take_fds(struct ctl_client *c, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->nfds < CTL_FDS_MAX)
				c->fds[c->nfds++] = fd;
			else
				close(fd);
		}
	}
	return !(m->msg_flags & MSG_CTRUNC);
}

/* Reads what is still missing of the request. 1: complete; 0: not yet; -errno: drop the client. */
static int read_request(struct ctl_client *c)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * CTL_FDS_MAX)];
		struct cmsghdr align;
	} cmsg;

	for (;;) {
		bool head = c->got < sizeof(c->req);
		size_t want = head ? sizeof(c->req) : sizeof(c->req) + c->req.len;
		char *dst = head ? (char *)&c->req + c->got : c->payload + (c->got - sizeof(c->req));
		struct iovec iov = { .iov_base = dst, .iov_len = want - c->got };
		struct msghdr m = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = cmsg.buf, .msg_controllen = sizeof(cmsg.buf)
		};
		ssize_t n;

		if (c->got == want)
			return 1;
		n = recvmsg(c->watch.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0)
			return -EPIPE;
		if (!take_fds(c, &m))
			return -EPROTO;
		c->got += (size_t)n;
		if (head && c->got == sizeof(c->req)) {
			if (c->req.magic != CTL_MAGIC || c->req.len > CTL_PAYLOAD_MAX)
				return -EPROTO;
			c->payload[c->req.len] = '\0';
		}
	}
}

static void on_client(void *arg, uint32_t events)
{
	struct ctl_client *c = arg;
	int ret;

	if (c->busy) { /* only a hang-up comes now; freed when the request is done */
		c->gone = true;
		loop_del(c->ctl->loop, &c->watch);
		return;
	}
	if (!(events & EPOLLIN) && (events & (EPOLLHUP | EPOLLERR))) {
		free_client(c);
		return;
	}
	ret = read_request(c);
	if (ret < 0) {
		free_client(c);
	} else if (ret > 0) {
		c->busy = true;
		loop_mod(c->ctl->loop, &c->watch, 0);
		c->ctl->handler(c->ctl->arg, c, &c->req, c->payload, c->fds, c->nfds);
	}
}

static void on_listen(void *arg, uint32_t events)
{
	struct ctl *ctl = arg;
	struct ctl_client *c;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(ctl->watch.fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || (peer.uid != ctl->owner && peer.uid != 0)) {
		close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->ctl = ctl;
	c->watch = (struct loop_watch){ .fd = fd, .events = EPOLLIN, .fn = on_client, .arg = c };
	c->next = ctl->clients;
	ctl->clients = c;
	if (++ctl->nclients == CTL_CLIENTS_MAX)
		loop_mod(ctl->loop, &ctl->watch, 0);
	if (loop_add(ctl->loop, &c->watch))
		free_client(c);
}

struct ctl *ctl_create(struct loop *loop, int fd, uid_t owner, ctl_handler handler, void *arg)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));
	int ret, flags = fcntl(fd, F_GETFL);

	if (!ctl)
		return NULL;
	/* A client that left between the event and accept() must not make us wait for the next one. */
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
		free(ctl);
		return NULL;
	}
	*ctl = (struct ctl){
		.loop = loop,
		.watch = { .fd = fd, .events = EPOLLIN, .fn = on_listen, .arg = ctl },
		.owner = owner,
		.handler = handler,
		.arg = arg,
	};
	ret = loop_add(loop, &ctl->watch);
	if (ret) {
		free(ctl);
		errno = -ret;
		return NULL;
	}
	return ctl;
}

void ctl_destroy(struct ctl *ctl)
{
	if (!ctl)
		return;
	for (struct ctl_client *c = ctl->clients, *next; c; c = next) {
		next = c->next;
		free_client(c);
	}
	loop_del(ctl->loop, &ctl->watch);
	close(ctl->watch.fd);
	free(ctl);
}
