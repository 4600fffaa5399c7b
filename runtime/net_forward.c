/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to localhost of the host-side network namespace, carried to the guest's: engines forward a pod's ports
 * by connecting to localhost inside its namespace, where with a VM nobody listens.
 *
 * Runs in the network helper. net_lookup.h steers every such connection here; each becomes a stream (WIRE_FORWARD).
 * Whether the guest listens is known only after the client's connection stands, so a refusal reaches the client as a
 * reset. The guest controls what is in streams (stream.c); their number is bounded here.
 */
#include "net_forward.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net_lookup.h"
#include "stream.h"
#include "util.h"

struct net_forward {
	int link;
	struct watch listen[2]; /* IPv4, IPv6 */
	struct session *(*connect)(void *arg);
	void *arg;
	struct streams streams;
};

static void listen_watch(void *arg)
{
	struct net_forward *f = arg;

	for (int i = 0; i < 2; i++)
		if (f->listen[i].fd >= 0)
			watch_set(f->streams.loop, &f->listen[i], f->streams.n < NET_FORWARDS_MAX ? EPOLLIN : 0);
}

static struct session *connect_agent(void *arg)
{
	struct net_forward *f = arg;

	return f->connect(f->arg);
}

/* ---- listening ---- */

static void accept_one(struct net_forward *f, bool v6)
{
	int fd = accept4(f->listen[v6].fd, NULL, NULL, SOCK_CLOEXEC);
	struct wire_forward q = { .v6 = v6 };
	struct sockaddr_in6 self = { 0 };
	socklen_t len = sizeof(self);

	if (fd < 0)
		return;
	/* the port is at the same place for both families */
	if (getsockname(fd, (struct sockaddr *)&self, &len) < 0) {
		close(fd);
		return;
	}
	q.port = ntohs(self.sin6_port);
	stream_new(&f->streams, fd, WIRE_FORWARD, &q, sizeof(q));
}

static void on_listen4(void *arg, uint32_t events)
{
	(void)events;
	accept_one(arg, false);
}

static void on_listen6(void *arg, uint32_t events)
{
	(void)events;
	accept_one(arg, true);
}

/* On a port that nobody asked for: it only has to exist. */
static int listen_on(bool v6)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CLEAN_FD int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -1;
	r = v6 ? bind(fd, (struct sockaddr *)&six, sizeof(six)) : bind(fd, (struct sockaddr *)&four, sizeof(four));
	return r < 0 || listen(fd, 64) < 0 ? -1 : take_fd(&fd);
}

static void undo(struct net_forward *f)
{
	if (f->link >= 0)
		close(f->link);
	streams_end(&f->streams);
	for (int i = 0; i < 2; i++) {
		if (f->listen[i].fd < 0)
			continue;
		watch_set(f->streams.loop, &f->listen[i], 0);
		close(f->listen[i].fd);
	}
	free(f);
}

struct net_forward *net_forward_start(struct evloop *loop, struct session *(*connect)(void *arg), void *arg)
{
	struct net_forward *f = xcalloc(1, sizeof(*f));
	int r;

	*f = (struct net_forward){
		.link = -1,
		.connect = connect,
		.arg = arg,
		.streams = { .loop = loop, .connect = connect_agent, .changed = listen_watch, .arg = f },
	};
	f->listen[0] = (struct watch){ .fd = listen_on(false), .fn = on_listen4, .arg = f };
	r = f->listen[0].fd < 0 ? -errno : 0;
	/* -1: a host without IPv6 */
	f->listen[1] = (struct watch){ .fd = listen_on(true), .fn = on_listen6, .arg = f };
	if (r == 0) {
		f->link = net_lookup_attach(f->listen[0].fd, f->listen[1].fd);
		r = f->link < 0 ? f->link : 0;
	}
	if (r < 0) {
		undo(f);
		errno = -r;
		return NULL;
	}
	listen_watch(f);
	return f;
}
