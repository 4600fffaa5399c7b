/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to localhost of the host-side network namespace, carried to the guest's: engines forward a pod's ports
 * by connecting to localhost inside its namespace, where with a VM nobody listens.
 *
 * Runs in the network helper. net_lookup.h steers every such connection here; each gets a session of its own with
 * the agent (WIRE_FORWARD). Whether the guest listens is known only after the client's connection stands, so a refusal
 * reaches the client as a reset.
 *
 * The guest controls the bytes and their pace, and may refuse or stall: each connection costs two buffers and two
 * descriptors, and their number is bounded.
 */
#include "net_forward.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../agent/duplex.h"
#include "net_lookup.h"
#include "util.h"

struct conn {
	struct net_forward *f;
	struct conn *next;
	struct session *s; /* until the guest has connected; then NULL */
	int client;
	struct duplex d; /* 0: client, 1: guest */
	struct watch w[2];
};

struct net_forward {
	struct evloop *loop;
	struct session *(*connect)(void *arg);
	void *arg;
	int link;
	struct watch listen[2]; /* IPv4, IPv6 */
	struct conn *conns;
	unsigned int nconns;
};

static void listen_watch(struct net_forward *f)
{
	for (int i = 0; i < 2; i++)
		if (f->listen[i].fd >= 0)
			watch_set(f->loop, &f->listen[i], f->nconns < NET_FORWARDS_MAX ? EPOLLIN : 0);
}

/* The next close() sends a reset: the client must not take the end for an orderly one. */
static void reset_on_close(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void conn_free(struct conn *c)
{
	struct net_forward *f = c->f;

	for (struct conn **p = &f->conns; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	f->nconns--;
	for (int i = 0; i < 2; i++)
		if (c->w[i].fd >= 0)
			watch_set(f->loop, &c->w[i], 0);
	if (c->s) {
		session_free(c->s);
		reset_on_close(c->client);
		close(c->client);
	} else {
		duplex_close(&c->d);
	}
	free(c);
	listen_watch(f);
}

/* ---- both ends are there ---- */

static void conn_run(struct conn *c, int i, uint32_t events)
{
	int r = duplex_event(&c->d, i, events);

	for (int k = 0; k < 2 && r > 0; k++)
		if (watch_set(c->f->loop, &c->w[k], duplex_wants(&c->d, k)) < 0)
			r = -ENOMEM;
	if (r < 0)
		reset_on_close(c->client);
	if (r <= 0)
		conn_free(c);
}

static void on_client(void *arg, uint32_t events)
{
	conn_run(arg, 0, events);
}

static void on_guest(void *arg, uint32_t events)
{
	conn_run(arg, 1, events);
}

/* The guest has connected: what follows its OK is the stream's already. */
static void conn_join(struct conn *c)
{
	struct session *s = c->s;
	int guest = take_fd(&s->fd), r;

	watch_set(c->f->loop, &c->w[1], 0);
	c->w[1].fd = -1;
	c->s = NULL;
	fcntl(c->client, F_SETFL, O_NONBLOCK);
	r = duplex_init(&c->d, c->client, guest);
	if (r == 0)
		duplex_preload(&c->d, 1, s->in + s->in_used, s->in_len - s->in_used);
	session_free(s);
	if (r < 0) {
		conn_free(c);
		return;
	}
	c->w[0] = (struct watch){ .fd = c->client, .fn = on_client, .arg = c };
	c->w[1] = (struct watch){ .fd = guest, .fn = on_guest, .arg = c };
	conn_run(c, 0, 0);
}

/* ---- the guest is asked ---- */

static void on_answer(void *arg, uint32_t events)
{
	struct conn *c = arg;
	struct frame f;
	int r = session_flush(c->s);

	(void)events;
	if (r == 0)
		r = session_fill(c->s);
	if (r == 0)
		r = -EPIPE;
	if (r > 0 || r == -EAGAIN)
		r = session_next(c->s, &f);
	if (r < 0 || (r > 0 && f.h.type != WIRE_OK))
		conn_free(c);
	else if (r > 0)
		conn_join(c);
	else
		watch_set(c->f->loop, &c->w[1], EPOLLIN | (session_pending(c->s) ? EPOLLOUT : 0));
}

static void conn_new(struct net_forward *f, int fd, bool v6, uint16_t port)
{
	struct wire_forward q = { .port = port, .v6 = v6 };
	struct session *s = f->connect(f->arg);
	struct conn *c;

	if (!s) {
		reset_on_close(fd);
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->f = f;
	c->next = f->conns;
	f->conns = c;
	f->nconns++;
	c->s = s;
	c->client = fd;
	c->w[0].fd = -1;
	c->w[1] = (struct watch){ .fd = s->fd, .fn = on_answer, .arg = c };
	if (session_put(s, WIRE_FORWARD, 0, &q, sizeof(q)) < 0 || session_flush(s) < 0 ||
	    watch_set(f->loop, &c->w[1], EPOLLIN) < 0)
		conn_free(c);
	else
		listen_watch(f);
}

/* ---- listening ---- */

static void accept_one(struct net_forward *f, bool v6)
{
	int fd = accept4(f->listen[v6].fd, NULL, NULL, SOCK_CLOEXEC);
	struct sockaddr_in6 self = { 0 };
	socklen_t len = sizeof(self);

	if (fd < 0)
		return;
	/* the port is at the same place for both families */
	if (getsockname(fd, (struct sockaddr *)&self, &len) < 0) {
		close(fd);
		return;
	}
	conn_new(f, fd, v6, ntohs(self.sin6_port));
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

struct net_forward *net_forward_start(struct evloop *loop, struct session *(*connect)(void *arg), void *arg)
{
	struct net_forward *f = xcalloc(1, sizeof(*f));
	int r;

	*f = (struct net_forward){ .loop = loop, .connect = connect, .arg = arg, .link = -1 };
	f->listen[0] = (struct watch){ .fd = listen_on(false), .fn = on_listen4, .arg = f };
	r = f->listen[0].fd < 0 ? -errno : 0;
	/* -1: a host without IPv6 */
	f->listen[1] = (struct watch){ .fd = listen_on(true), .fn = on_listen6, .arg = f };
	if (r == 0) {
		f->link = net_lookup_attach(f->listen[0].fd, f->listen[1].fd);
		r = f->link < 0 ? f->link : 0;
	}
	if (r < 0) {
		net_forward_stop(f);
		errno = -r;
		return NULL;
	}
	listen_watch(f);
	return f;
}

void net_forward_stop(struct net_forward *f)
{
	if (!f)
		return;
	if (f->link >= 0)
		close(f->link);
	while (f->conns)
		conn_free(f->conns);
	for (int i = 0; i < 2; i++) {
		if (f->listen[i].fd < 0)
			continue;
		watch_set(f->loop, &f->listen[i], 0);
		close(f->listen[i].fd);
	}
	free(f);
}
