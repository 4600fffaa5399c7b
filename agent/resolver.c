/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DNS resolver's address in the guest. The loop runs it. Queries come from any process of the guest, answers from
 * the host; neither is looked into, only counted: a table of fixed size maps the id that the host sees to who asked.
 * Ids are given out in order and the table is indexed by them, so the oldest query makes room for a new
 * one, and an answer
 * that comes too late finds that its place is another's.
 */
#include "resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "loop.h"
#include "session.h"
#include "util.h"

#define PORT 53
#define QUERIES 256u	/* in flight; a power of two */
#define CLIENTS_MAX 64u /* TCP connections */
#define QUERY_MAX 4096u /* bytes; real ones have some hundred */
#define HEADER_LEN 12u	/* of each DNS message (RFC 1035, 4.1.1) */
#define IDLE_NS (15 * NS_PER_S)
#define BUDGET 32 /* UDP queries of one event */
#define RESERVED_PORTS "/proc/sys/net/ipv4/ip_local_reserved_ports"

struct client;

/* Somebody who waits for the answer to `id`. */
struct query {
	uint32_t id; /* 0: none */
	struct client *client;
	struct sockaddr_in peer; /* without a client */
};

/* A TCP connection: one query at a time, in order (RFC 7766 lets a server do so). */
struct client {
	struct resolver *r;
	struct client *next;
	struct watch w;
	struct timer idle;
	uint8_t in[2 + QUERY_MAX];
	size_t in_len;
	struct outq out;
	uint32_t waits; /* id of its query; 0: none */
	bool eof;
};

struct resolver {
	struct session *s;
	struct watch udp, tcp;
	struct query query[QUERIES];
	uint32_t last;
	struct client *clients;
	unsigned int nclients;
};

static struct query *query_new(struct resolver *r)
{
	struct query *q;

	if (++r->last == 0)
		r->last = 1;
	q = &r->query[r->last % QUERIES];
	if (q->id && q->client)
		q->client->waits = 0; /* its idle timer ends it */
	*q = (struct query){ .id = r->last };
	return q;
}

static void query_send(struct resolver *r, const struct query *q, const uint8_t *msg, size_t len)
{
	uint8_t frame[sizeof(q->id) + QUERY_MAX];

	memcpy(frame, &q->id, sizeof(q->id));
	memcpy(frame + sizeof(q->id), msg, len);
	session_frame(r->s, WIRE_DNS, q->client ? 1 : 0, frame, sizeof(q->id) + len);
}

/* ---- UDP ---- */

static void on_udp(void *arg, uint32_t events)
{
	struct resolver *r = arg;

	(void)events;
	for (int i = 0; i < BUDGET; i++) {
		struct sockaddr_in peer = { 0 };
		socklen_t plen = sizeof(peer);
		uint8_t msg[QUERY_MAX + 1];
		ssize_t n = recvfrom(r->udp.fd, msg, sizeof(msg), MSG_DONTWAIT, (struct sockaddr *)&peer, &plen);
		struct query *q;

		if (n < 0)
			return;
		/* datagrams may be lost, and askers ask again */
		if ((size_t)n < HEADER_LEN || (size_t)n > QUERY_MAX || session_congested(r->s))
			continue;
		q = query_new(r);
		q->peer = peer;
		query_send(r, q, msg, (size_t)n);
	}
}

/* ---- TCP ---- */

static void client_free(struct client *c)
{
	struct resolver *r = c->r;

	for (struct client **p = &r->clients; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	if (c->waits)
		r->query[c->waits % QUERIES].id = 0;
	r->nclients--;
	timer_stop(&c->idle);
	watch_close(&c->w);
	outq_free(&c->out);
	free(c);
}

static void client_watch(struct client *c)
{
	uint32_t events = EPOLLERR;

	if (!c->waits && !c->eof && c->in_len < sizeof(c->in))
		events |= EPOLLIN;
	if (outq_pending(&c->out))
		events |= EPOLLOUT;
	watch_set(&c->w, events);
}

/* Ask the next complete query of the buffer. False: the client broke the rules and is gone. */
static bool client_ask(struct client *c)
{
	struct resolver *r = c->r;
	struct query *q;
	size_t len;

	if (c->waits || c->in_len < 2 || session_congested(r->s))
		return true;
	len = (size_t)c->in[0] << 8 | c->in[1];
	if (len < HEADER_LEN || len > QUERY_MAX) {
		client_free(c);
		return false;
	}
	if (c->in_len - 2 < len)
		return true;
	q = query_new(r);
	q->client = c;
	c->waits = q->id;
	query_send(r, q, c->in + 2, len);
	c->in_len -= 2 + len;
	memmove(c->in, c->in + 2 + len, c->in_len);
	timer_start(&c->idle, IDLE_NS);
	return true;
}

static void client_step(struct client *c)
{
	if (!client_ask(c))
		return;
	if (c->eof && !c->waits && !outq_pending(&c->out))
		client_free(c);
	else
		client_watch(c);
}

static void on_client(void *arg, uint32_t events)
{
	struct client *c = arg;
	ssize_t n = 0;

	if (events & EPOLLOUT)
		n = outq_write(&c->out, c->w.fd);
	if (n >= 0 && (events & EPOLLIN)) {
		n = recv(c->w.fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			n = 0;
		else if (n == 0)
			c->eof = true;
		else if (n > 0)
			c->in_len += (size_t)n;
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		n = -1;
	}
	if (n < 0)
		client_free(c);
	else
		client_step(c);
}

static void on_idle(void *arg)
{
	client_free(arg);
}

static void on_tcp(void *arg, uint32_t events)
{
	struct resolver *r = arg;
	int fd = accept4(r->tcp.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *c;

	(void)events;
	if (fd < 0)
		return;
	c = r->nclients < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	c->r = r;
	c->w = (struct watch){ .fd = fd, .fn = on_client, .arg = c };
	c->idle = (struct timer){ .fn = on_idle, .arg = c };
	c->next = r->clients;
	r->clients = c;
	r->nclients++;
	timer_start(&c->idle, IDLE_NS);
	client_watch(c);
}

/* ---- answers ---- */

static void client_answer(struct client *c, const uint8_t *msg, size_t len)
{
	const uint8_t prefix[2] = { (uint8_t)(len >> 8), (uint8_t)len };

	c->waits = 0;
	if (len < HEADER_LEN || len > 65535 || outq_bytes(&c->out, prefix, sizeof(prefix)) ||
	    outq_bytes(&c->out, msg, len) || outq_write(&c->out, c->w.fd) < 0)
		client_free(c);
	else
		client_step(c);
}

void resolver_answer(struct resolver *r, const uint8_t *payload, size_t len)
{
	struct query q;
	uint32_t id;

	memcpy(&id, payload, sizeof(id));
	q = r->query[id % QUERIES];
	if (!id || q.id != id)
		return;
	r->query[id % QUERIES].id = 0;
	payload += sizeof(id);
	len -= sizeof(id);
	if (q.client)
		client_answer(q.client, payload, len);
	else if (len >= HEADER_LEN)
		(void)sendto(r->udp.fd, payload, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&q.peer,
			     sizeof(q.peer));
}

void resolver_resume(struct resolver *r)
{
	struct client *c = r->clients, *next;

	for (; c; c = next) {
		next = c->next;
		client_step(c);
	}
}

/* ---- begin and end ---- */

static int listen_on(const uint8_t addr[4], int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	memcpy(&a.sin_addr, addr, 4);
	if (fd < 0)
		return -1;
	/* a container's own server on port 53 of all addresses shall not fail because of us */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    (type == SOCK_STREAM && listen(fd, 64)))
		fd_close(&fd);
	return fd;
}

/* Add the range to the ports that the guest's kernel does not give out; a container may have asked for others. */
static void reserve_ports(uint16_t min, uint16_t max)
{
	char text[4096 + 16], old[4096];
	ssize_t n = file_read(AT_FDCWD, RESERVED_PORTS, old, sizeof(old));

	if (n < 0)
		return;
	old[strcspn(old, "\n")] = '\0';
	(void)snprintf(text, sizeof(text), "%s%s%u-%u", old, old[0] ? "," : "", min, max);
	(void)file_write_str(AT_FDCWD, RESERVED_PORTS, text);
}

struct resolver *resolver_open(struct session *s, const struct wire_resolver *q)
{
	struct resolver *r;

	if (q->addr[0] != 127 || q->port_min > q->port_max) {
		errno = EINVAL;
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->s = s;
	r->udp = (struct watch){ .fd = listen_on(q->addr, SOCK_DGRAM), .fn = on_udp, .arg = r };
	r->tcp = (struct watch){ .fd = r->udp.fd < 0 ? -1 : listen_on(q->addr, SOCK_STREAM), .fn = on_tcp, .arg = r };
	if (r->tcp.fd < 0 || watch_set(&r->udp, EPOLLIN) || watch_set(&r->tcp, EPOLLIN)) {
		int err = errno;

		resolver_close(r);
		errno = err;
		return NULL;
	}
	if (q->port_min)
		reserve_ports(q->port_min, q->port_max);
	return r;
}

void resolver_close(struct resolver *r)
{
	while (r->clients) {
		struct client *c = r->clients;

		r->clients = c->next;
		client_free(c);
	}
	watch_close(&r->udp);
	watch_close(&r->tcp);
	free(r);
}
