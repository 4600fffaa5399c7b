/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DNS resolver's address in the guest. The loop runs it. Queries come from any process of the guest, answers from
 * the host; neither is looked into, only counted: a table of fixed size maps the id that the host sees to who asked.
 * Ids are given out in order and the table is indexed by them, so the oldest query makes room for a new one, and an
 * answer that comes too late finds that its place is another's.
 *
 * Port 53 stays free for a name server of the container's, on whatever address: queries are steered to other ports
 * (steer.h). An accepted connection has the port that was asked for; a datagram's sender is written by hand.
 */
#include "resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "loop.h"
#include "session.h"
#include "steer.h"
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
	struct in_addr addr;
	struct watch udp, tcp;
	int steer; /* port 53 of addr, to these two */
	int raw;   /* answers by datagram leave here */
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

/* RFC 768, 791; the kernel fills in the checksum of the IP header, and UDP's may be absent. */
static void udp_answer(struct resolver *r, const struct sockaddr_in *peer, const uint8_t *msg, size_t len)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		uint8_t data[UINT16_MAX - sizeof(struct iphdr) - sizeof(struct udphdr)];
	} d;
	size_t total = sizeof(d.ip) + sizeof(d.udp) + len;

	if (len > sizeof(d.data))
		return;
	memset(&d, 0, sizeof(d.ip) + sizeof(d.udp));
	d.ip.version = 4;
	d.ip.ihl = sizeof(d.ip) / 4;
	d.ip.tot_len = htons((uint16_t)total);
	d.ip.ttl = 64;
	d.ip.protocol = IPPROTO_UDP;
	d.ip.saddr = r->addr.s_addr;
	d.ip.daddr = peer->sin_addr.s_addr;
	d.udp.source = htons(PORT);
	d.udp.dest = peer->sin_port;
	d.udp.len = htons((uint16_t)(total - sizeof(d.ip)));
	memcpy(d.data, msg, len);
	(void)sendto(r->raw, &d, total, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)peer, sizeof(*peer));
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
		udp_answer(r, &q.peer, payload, len);
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

/* On a port that nobody asked for: queries are steered to it. */
static int listen_on(struct in_addr addr, int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = addr };
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || (type == SOCK_STREAM && listen(fd, 64)))
		fd_close(&fd);
	return fd;
}

static int steer_here(const struct resolver *r)
{
	const struct bpf_insn match[] = {
		LOAD(R0, R6, CTX(family)),
		UNLESS_IMM(R0, AF_INET, STEER_PASS),
		LOAD(R0, R6, CTX(local_ip4)), /* in network byte order, as s_addr */
		UNLESS_IMM(R0, (int32_t)r->addr.s_addr, STEER_PASS),
		LOAD(R0, R6, CTX(local_port)),
		UNLESS_IMM(R0, PORT, STEER_PASS),
		LOAD(R0, R6, CTX(protocol)),
		WHEN_IMM(R0, IPPROTO_UDP, 2),
		UNLESS_IMM(R0, IPPROTO_TCP, STEER_PASS),
		STEER_NUMBER(1),
	};
	const int socks[2] = { r->udp.fd, r->tcp.fd };
	int link = steer_attach(match, sizeof(match) / sizeof(*match), socks);

	if (link < 0)
		errno = -link;
	return link < 0 ? -1 : link;
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
	memcpy(&r->addr, q->addr, sizeof(r->addr));
	r->steer = -1;
	r->raw = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	r->udp = (struct watch){ .fd = r->raw < 0 ? -1 : listen_on(r->addr, SOCK_DGRAM), .fn = on_udp, .arg = r };
	r->tcp = (struct watch){ .fd = r->udp.fd < 0 ? -1 : listen_on(r->addr, SOCK_STREAM), .fn = on_tcp, .arg = r };
	if (r->tcp.fd >= 0)
		r->steer = steer_here(r);
	if (r->steer < 0 || watch_set(&r->udp, EPOLLIN) || watch_set(&r->tcp, EPOLLIN)) {
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
	fd_close(&r->steer);
	fd_close(&r->raw);
	watch_close(&r->udp);
	watch_close(&r->tcp);
	free(r);
}
