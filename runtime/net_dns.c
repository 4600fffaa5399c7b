/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver that an engine keeps at 127.0.0.11 of the container's network namespace, carried into the guest.
 *
 * Docker's resolver lives in the namespace: sockets on random ports of 127.0.0.11, and NAT rules that lead there from
 * port 53. The guest's own 127.0.0.11 is another one, so the agent takes queries there and each is asked anew
 * from here, by a socket of its own, through those rules.
 *
 * Runs in the network helper. The guest controls number, pace and content of the queries, which nobody looks into:
 * there are NET_DNS_QUERIES places, and what finds none is not asked.
 */
#include "net_dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "net_tc.h"
#include "util.h"

#define SERVER 0x7f00000bu /* 127.0.0.11 */
#define PORT 53
#define HEADER_LEN 12u /* of each DNS message (RFC 1035, 4.1.1) */
#define LIMIT_NS (10ull * 1000000000u)
#define REQUEST_NS (10ull * 1000000000u)

struct lookup {
	struct net_dns *d;
	struct watch w; /* fd -1: free */
	uint32_t id;
	bool tcp;
	uint64_t deadline;
	uint8_t *buf; /* TCP: the query with its length, then the answer with its length */
	size_t off, len;
	bool asked;
};

struct net_dns {
	struct evloop *loop;
	struct session *s;
	struct watch w, timer;
	bool dead;
	unsigned int busy;
	struct lookup lookup[NET_DNS_QUERIES];
	uint8_t answer[sizeof(uint32_t) + WIRE_DNS_MAX];
};

static struct sockaddr_in server(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(SERVER) };
}

bool net_dns_present(void)
{
	CLEAN_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = server();
	int err = 0;
	socklen_t len = sizeof(err);

	/* over loopback a refusal is there before connect() returns */
	if (fd < 0 || (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS))
		return false;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && !err;
}

/* ---- answers ---- */

static void session_watch(struct net_dns *d)
{
	if (session_flush(d->s) < 0)
		d->dead = true;
	watch_set(d->loop, &d->w, d->dead ? 0 : EPOLLIN | (session_pending(d->s) ? EPOLLOUT : 0));
}

/* Send d->answer: the message stands behind the id. A queue that the agent lets fill up loses answers, as UDP would. */
static void answer_send(struct net_dns *d, const struct lookup *l, size_t len)
{
	memcpy(d->answer, &l->id, sizeof(l->id));
	session_put(d->s, WIRE_DNS, l->tcp ? 1 : 0, d->answer, sizeof(l->id) + len);
	session_watch(d);
}

static void lookup_end(struct lookup *l)
{
	struct net_dns *d = l->d;
	struct itimerspec off = { 0 };

	watch_set(d->loop, &l->w, 0);
	close(l->w.fd);
	l->w.fd = -1;
	free(l->buf);
	l->buf = NULL;
	if (--d->busy == 0)
		timerfd_settime(d->timer.fd, 0, &off, NULL);
}

/* No answer: a TCP client is told, so that it does not wait. */
static void lookup_fail(struct lookup *l)
{
	if (l->tcp)
		answer_send(l->d, l, 0);
	lookup_end(l);
}

static void on_udp(struct lookup *l)
{
	struct net_dns *d = l->d;
	ssize_t n = recv(l->w.fd, d->answer + sizeof(l->id), WIRE_DNS_MAX, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n >= (ssize_t)HEADER_LEN)
		answer_send(d, l, (size_t)n);
	lookup_end(l);
}

/* Read the answer: two bytes of length, then that much. 1: complete, 0: not yet, -1: there will be none. */
static int tcp_read(struct lookup *l)
{
	for (;;) {
		size_t want = l->off < 2 ? 2 : 2 + ((size_t)l->buf[0] << 8 | l->buf[1]);
		ssize_t n;

		if (l->off >= 2 && l->off == want)
			return want >= 2 + HEADER_LEN && want - 2 <= WIRE_DNS_MAX ? 1 : -1;
		n = recv(l->w.fd, l->buf + l->off, want - l->off, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -1;
		l->off += (size_t)n;
	}
}

static void on_tcp(struct lookup *l)
{
	struct net_dns *d = l->d;
	int r;

	if (!l->asked) {
		ssize_t n = send(l->w.fd, l->buf + l->off, l->len - l->off, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			lookup_fail(l);
			return;
		}
		l->off += n > 0 ? (size_t)n : 0;
		if (l->off < l->len)
			return;
		l->asked = true;
		l->off = 0;
		watch_set(d->loop, &l->w, EPOLLIN);
	}
	r = tcp_read(l);
	if (r < 0) {
		lookup_fail(l);
	} else if (r > 0) {
		memcpy(d->answer + sizeof(l->id), l->buf + 2, l->off - 2);
		answer_send(d, l, l->off - 2);
		lookup_end(l);
	}
}

static void on_lookup(void *arg, uint32_t events)
{
	struct lookup *l = arg;

	(void)events;
	if (l->tcp)
		on_tcp(l);
	else
		on_udp(l);
}

/* Once a second while there are lookups. */
static void on_timer(void *arg, uint32_t events)
{
	struct net_dns *d = arg;
	uint64_t n, now = mono_ns();

	(void)events;
	if (read(d->timer.fd, &n, sizeof(n)) < 0)
		return;
	for (unsigned int i = 0; i < NET_DNS_QUERIES; i++)
		if (d->lookup[i].w.fd >= 0 && d->lookup[i].deadline <= now)
			lookup_fail(&d->lookup[i]);
}

/* ---- queries ---- */

static int query_udp(struct lookup *l, const uint8_t *msg, size_t len)
{
	if (send(l->w.fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -1;
	return watch_set(l->d->loop, &l->w, EPOLLIN);
}

static int query_tcp(struct lookup *l, const uint8_t *msg, size_t len)
{
	l->buf = xmalloc(2 + 65535);
	l->buf[0] = (uint8_t)(len >> 8);
	l->buf[1] = (uint8_t)len;
	memcpy(l->buf + 2, msg, len);
	l->len = 2 + len;
	l->off = 0;
	return watch_set(l->d->loop, &l->w, EPOLLOUT);
}

static void query_begin(struct net_dns *d, bool tcp, const uint8_t *payload, size_t len)
{
	struct itimerspec each = { .it_interval.tv_sec = 1, .it_value.tv_sec = 1 };
	struct sockaddr_in a = server();
	struct lookup *l = NULL, none = { .d = d, .tcp = tcp };
	uint32_t id;

	memcpy(&id, payload, sizeof(id));
	payload += sizeof(id);
	len -= sizeof(id);
	for (unsigned int i = 0; i < NET_DNS_QUERIES && !l; i++)
		if (d->lookup[i].w.fd < 0)
			l = &d->lookup[i];
	none.id = id;
	if (!l || len < HEADER_LEN) {
		if (tcp)
			answer_send(d, &none, 0);
		return;
	}
	*l = (struct lookup){ .d = d, .id = id, .tcp = tcp, .deadline = mono_ns() + LIMIT_NS };
	l->w = (struct watch){ .fn = on_lookup, .arg = l };
	l->w.fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->w.fd < 0) {
		if (tcp)
			answer_send(d, &none, 0);
		return;
	}
	if (d->busy++ == 0)
		timerfd_settime(d->timer.fd, 0, &each, NULL);
	if ((connect(l->w.fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS) ||
	    (tcp ? query_tcp(l, payload, len) : query_udp(l, payload, len)) < 0)
		lookup_fail(l);
}

static void on_session(void *arg, uint32_t events)
{
	struct net_dns *d = arg;
	struct frame f;
	int r = 1;

	(void)events;
	while (r > 0 && !d->dead) {
		r = session_fill(d->s);
		if (r == 0)
			d->dead = true;
		if (r == -EAGAIN)
			r = 0;
		while (r >= 0 && !d->dead && (r = session_next(d->s, &f)) > 0) {
			if (f.h.type != WIRE_DNS) {
				r = -EPROTO;
				break;
			}
			query_begin(d, f.h.chan == 1, f.payload, f.h.len);
		}
		if (r < 0)
			d->dead = true;
	}
	session_watch(d);
}

/* ---- begin and end ---- */

struct net_dns *net_dns_start(struct evloop *loop, struct session *s, struct error *err)
{
	struct wire_resolver q = { .addr = { 127, 0, 0, 11 },
				   .port_min = NET_HOST_PORT_MIN,
				   .port_max = NET_HOST_PORT_MAX };
	struct net_dns *d;
	int timer;

	if (session_request(s, WIRE_RESOLVER, &q, sizeof(q), mono_ns() + REQUEST_NS, NULL, err) < 0) {
		session_free(s);
		return NULL;
	}
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (timer < 0) {
		error_set(err, errno, "a timer for DNS");
		session_free(s);
		return NULL;
	}
	d = xcalloc(1, sizeof(*d));
	d->loop = loop;
	d->s = s;
	d->w = (struct watch){ .fd = s->fd, .fn = on_session, .arg = d };
	d->timer = (struct watch){ .fd = timer, .fn = on_timer, .arg = d };
	for (unsigned int i = 0; i < NET_DNS_QUERIES; i++)
		d->lookup[i].w.fd = -1;
	if (watch_set(loop, &d->timer, EPOLLIN) < 0)
		d->dead = true;
	on_session(d, 0); /* queries may have come together with the answer */
	return d;
}

bool net_dns_alive(const struct net_dns *d)
{
	return !d->dead;
}

void net_dns_stop(struct net_dns *d)
{
	if (!d)
		return;
	for (unsigned int i = 0; i < NET_DNS_QUERIES; i++)
		if (d->lookup[i].w.fd >= 0)
			lookup_end(&d->lookup[i]);
	watch_set(d->loop, &d->w, 0);
	watch_set(d->loop, &d->timer, 0);
	close(d->timer.fd);
	session_free(d->s);
	free(d);
}
