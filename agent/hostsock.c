/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the host in the guest: a file system shared by two kernels shows a socket's name, but who listens is in
 * one of them. So the agent listens at PLAN_SOCKETS, the plan binds that over the name, and each connection is told
 * to the host (WIRE_CALL), which connects to the real socket and takes the call (WIRE_ANSWER: a stream) or not
 * (WIRE_REFUSE).
 *
 * The loop runs it. Processes of the guest control how many connections there are, up to HOSTCALLS_MAX; beyond, they
 * wait in the backlog as with any busy server. Only bytes cross: no descriptors, no credentials.
 */
#include "hostsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "container.h"
#include "loop.h"
#include "plan_decode.h"
#include "session.h"
#include "stream.h"
#include "util.h"

struct hostsock {
	struct hostsock *next;
	const struct container *c;
	uint32_t index;	   /* among the container's */
	struct session *s; /* who serves it, or NULL: connections wait in the backlog */
	struct watch w;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* A connection that the host has been told of. */
struct call {
	struct call *next;
	uint32_t id;
	const struct hostsock *to;
	int fd;
};

static struct hostsock *socks;
static struct call *calls;
static unsigned int nsocks, ncalls;
static uint32_t last_id;

static void listen_watch(void)
{
	for (struct hostsock *h = socks; h; h = h->next)
		watch_set(&h->w, h->s && ncalls < HOSTCALLS_MAX ? EPOLLIN : 0);
}

static void call_over(void)
{
	ncalls--;
	listen_watch();
}

/* Take a waiting call out of the table: its descriptor, or -1. NULL for `to`: of any socket. */
static int call_take(uint32_t id, const struct session *s)
{
	for (struct call **p = &calls; *p; p = &(*p)->next) {
		struct call *k = *p;
		int fd = k->fd;

		if (k->id != id || (s && k->to->s != s))
			continue;
		*p = k->next;
		free(k);
		return fd;
	}
	return -1;
}

static void calls_drop(const struct hostsock *h)
{
	struct call *k = calls, *next;

	for (; k; k = next) {
		next = k->next;
		if (k->to != h)
			continue;
		close(call_take(k->id, NULL));
		call_over();
	}
}

static void on_connection(void *arg, uint32_t events)
{
	struct hostsock *h = arg;
	struct wire_call msg = { .index = h->index };
	int fd = accept4(h->w.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct call *k;

	(void)events;
	if (fd < 0)
		return;
	k = calloc(1, sizeof(*k));
	if (!k) {
		close(fd);
		return;
	}
	*k = (struct call){ .next = calls, .id = ++last_id, .to = h, .fd = fd };
	calls = k;
	ncalls++;
	listen_watch();
	msg.id = k->id;
	session_frame(h->s, WIRE_CALL, 0, &msg, sizeof(msg));
}

/* ---- requests ---- */

void hostsock_serve(struct session *s, const struct container *c)
{
	for (struct hostsock *h = socks; h; h = h->next)
		if (h->c == c)
			h->s = s;
	session_ok(s, NULL, 0);
	listen_watch();
}

void hostsock_answer(struct session *s, uint32_t id)
{
	int fd = call_take(id, NULL);
	struct fault f;

	if (fd >= 0) {
		stream_begin(s, fd, call_over);
		return;
	}
	(void)fault_set(&f, STAGE_STATE, ENOENT, "no connection %u waits", id);
	session_fail(s, &f);
}

void hostsock_refuse(struct session *s, uint32_t id)
{
	int fd = call_take(id, s);

	if (fd < 0)
		return;
	close(fd);
	call_over();
}

void hostsock_hangup(const struct session *s)
{
	for (struct hostsock *h = socks; h; h = h->next) {
		if (h->s != s)
			continue;
		h->s = NULL;
		calls_drop(h);
	}
	listen_watch();
}

/* ---- begin and end ---- */

static int listen_at(struct hostsock *h, const struct plan_socket *ps)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, h->path, sizeof(a.sun_path));
	h->w = (struct watch){ .fd = fd, .fn = on_connection, .arg = h };
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || chown(h->path, ps->uid, ps->gid) ||
	    chmod(h->path, ps->mode & 0777) || listen(fd, SOMAXCONN))
		return -errno;
	return 0;
}

static int sock_make(const struct container *c, const struct plan_item *i, uint32_t index)
{
	const char *name = i->str[0];
	struct plan_socket ps;
	struct hostsock *h;

	memcpy(&ps, i->body, sizeof(ps));
	if (!plan_cid_valid(name, strlen(name)))
		return -EINVAL;
	if (strlen(name) > sizeof(h->path) - sizeof(PLAN_SOCKETS) - 1)
		return -ENAMETOOLONG;
	if (nsocks >= HOSTSOCKS_MAX)
		return -EMFILE;
	if (mkdir(PLAN_SOCKETS, 0711) && errno != EEXIST)
		return -errno;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	*h = (struct hostsock){ .next = socks, .c = c, .index = index };
	(void)snprintf(h->path, sizeof(h->path), "%s/%s", PLAN_SOCKETS, name);
	socks = h;
	nsocks++;
	return listen_at(h, &ps);
}

int hostsock_make(const struct container *c, const struct plan *p, struct fault *f)
{
	struct plan_iter it;
	struct plan_item i;
	uint32_t index = 0;
	int r;

	plan_iter_init(&it, p);
	while (plan_next(&it, &i)) {
		if (i.op != OP_SOCKET)
			continue;
		r = sock_make(c, &i, index++);
		if (r)
			return fault_set(f, STAGE_SETUP, r, "socket %s", i.str[0]);
	}
	return 0;
}

void hostsock_forget(const struct container *c)
{
	struct hostsock **p = &socks;

	while (*p) {
		struct hostsock *h = *p;

		if (h->c != c) {
			p = &h->next;
			continue;
		}
		*p = h->next;
		calls_drop(h);
		watch_close(&h->w);
		(void)unlink(h->path);
		nsocks--;
		free(h);
	}
}
