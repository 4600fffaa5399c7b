/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the host to TCP ports on the guest's loopback. The loop runs it. What listens there belongs to a
 * container: it may accept late, never, or stall, which costs its own connections only.
 *
 * The host cannot know whether a program listens on 127.0.0.1 or on ::1, so the second is tried when the first refuses.
 */
#include "forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fault.h"
#include "loop.h"
#include "session.h"
#include "stream.h"
#include "util.h"

#define CONNECT_NS (10 * NS_PER_S)

struct forward {
	struct session *s; /* who waits for the connection */
	uint16_t port;
	bool v6, second;
	struct watch to; /* while it connects */
	struct timer limit;
};

static unsigned int count;

unsigned int forward_count(void)
{
	return count;
}

static void forward_free(struct forward *f)
{
	timer_stop(&f->limit);
	watch_close(&f->to);
	count--;
	free(f);
}

static void give_up(struct forward *f, int err)
{
	struct session *s = f->s;
	struct fault fault;

	(void)fault_set(&fault, STAGE_SETUP, err, "connect to port %u", f->port);
	forward_free(f);
	session_fail(s, &fault);
}

static void over(void)
{
	count--;
}

static void connected(struct forward *f)
{
	struct session *s = f->s;
	int to = f->to.fd;

	watch_set(&f->to, 0);
	timer_stop(&f->limit);
	free(f);
	stream_begin(s, to, over);
}

/* ---- connecting ---- */

static int connect_start(struct forward *f)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
				    .sin6_port = htons(f->port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(f->port) };
	bool v6 = f->v6 != f->second;
	int r;

	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->to.fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->to.fd < 0)
		return -errno;
	r = v6 ? connect(f->to.fd, (struct sockaddr *)&six, sizeof(six))
	       : connect(f->to.fd, (struct sockaddr *)&four, sizeof(four));
	return r == 0 || errno == EINPROGRESS ? 0 : -errno;
}

/* The first address, or the second after the first has failed with `r`. */
static void connect_next(struct forward *f, int r)
{
	int first = r;

	for (;;) {
		if (r) {
			watch_close(&f->to);
			if (f->second) {
				give_up(f, first ? first : r);
				return;
			}
			first = r;
			f->second = true;
		}
		r = connect_start(f);
		if (r == 0)
			r = watch_set(&f->to, EPOLLOUT);
		if (r == 0)
			return;
	}
}

static void on_connect(void *arg, uint32_t events)
{
	struct forward *f = arg;
	socklen_t len = sizeof(int);
	int err = 0;

	(void)events;
	if (getsockopt(f->to.fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (err)
		connect_next(f, -err);
	else
		connected(f);
}

static void on_late(void *arg)
{
	give_up(arg, -ETIMEDOUT);
}

static void on_cancel(void *arg)
{
	forward_free(arg);
}

void forward_begin(struct session *s, const struct wire_forward *q)
{
	struct forward *f = count < FORWARDS_MAX && q->port ? calloc(1, sizeof(*f)) : NULL;
	struct fault fault;

	if (!f) {
		(void)fault_set(&fault, STAGE_SETUP,
				!q->port	       ? EINVAL
				: count < FORWARDS_MAX ? ENOMEM
						       : EMFILE,
				"forward to port %u", q->port);
		session_fail(s, &fault);
		return;
	}
	count++;
	f->s = s;
	f->port = q->port;
	f->v6 = q->v6;
	f->to = (struct watch){ .fd = -1, .fn = on_connect, .arg = f };
	f->limit = (struct timer){ .fn = on_late, .arg = f };
	timer_start(&f->limit, CONNECT_NS);
	session_defer(s, on_cancel, f);
	connect_next(f, 0);
}
