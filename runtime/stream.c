/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte streams between programs of the host and sockets of the guest. Runs in the helper that owns the loop.
 *
 * The guest controls the bytes and their pace, and may refuse or stall: each stream costs two buffers and two
 * descriptors, and whoever begins them bounds their number.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../agent/duplex.h"
#include "util.h"

struct stream {
	struct streams *t;
	struct stream *next;
	struct session *s; /* until the guest has connected; then NULL */
	int client;
	struct duplex d; /* 0: client, 1: guest */
	struct watch w[2];
};

/* The next close() sends a reset: the client must not take the end for an orderly one. */
static void reset_on_close(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void stream_free(struct stream *c)
{
	struct streams *t = c->t;

	for (struct stream **p = &t->list; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	t->n--;
	for (int i = 0; i < 2; i++)
		if (c->w[i].fd >= 0)
			watch_set(t->loop, &c->w[i], 0);
	if (c->s) {
		session_free(c->s);
		reset_on_close(c->client);
		close(c->client);
	} else {
		duplex_close(&c->d);
	}
	free(c);
	if (t->changed)
		t->changed(t->arg);
}

/* ---- both ends are there ---- */

static void stream_run(struct stream *c, int i, uint32_t events)
{
	int r = duplex_event(&c->d, i, events);

	for (int k = 0; k < 2 && r > 0; k++)
		if (watch_set(c->t->loop, &c->w[k], duplex_wants(&c->d, k)) < 0)
			r = -ENOMEM;
	if (r < 0)
		reset_on_close(c->client);
	if (r <= 0)
		stream_free(c);
}

static void on_client(void *arg, uint32_t events)
{
	stream_run(arg, 0, events);
}

static void on_guest(void *arg, uint32_t events)
{
	stream_run(arg, 1, events);
}

/* The guest has connected: what follows its OK is the stream's already. */
static void stream_join(struct stream *c)
{
	struct session *s = c->s;
	int guest = take_fd(&s->fd), r;

	watch_set(c->t->loop, &c->w[1], 0);
	c->w[1].fd = -1;
	c->s = NULL;
	fcntl(c->client, F_SETFL, O_NONBLOCK);
	r = duplex_init(&c->d, c->client, guest);
	if (r == 0)
		duplex_preload(&c->d, 1, s->in + s->in_used, s->in_len - s->in_used);
	session_free(s);
	if (r < 0) {
		stream_free(c);
		return;
	}
	c->w[0] = (struct watch){ .fd = c->client, .fn = on_client, .arg = c };
	c->w[1] = (struct watch){ .fd = guest, .fn = on_guest, .arg = c };
	stream_run(c, 0, 0);
}

/* ---- the guest is asked ---- */

static void on_answer(void *arg, uint32_t events)
{
	struct stream *c = arg;
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
		stream_free(c);
	else if (r > 0)
		stream_join(c);
	else
		watch_set(c->t->loop, &c->w[1], EPOLLIN | (session_pending(c->s) ? EPOLLOUT : 0));
}

void stream_new(struct streams *t, int client, uint8_t type, const void *payload, size_t len)
{
	struct session *s = t->connect(t->arg);
	struct stream *c;

	if (!s) {
		reset_on_close(client);
		close(client);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->t = t;
	c->next = t->list;
	t->list = c;
	t->n++;
	c->s = s;
	c->client = client;
	c->w[0].fd = -1;
	c->w[1] = (struct watch){ .fd = s->fd, .fn = on_answer, .arg = c };
	if (session_put(s, type, 0, payload, len) < 0 || session_flush(s) < 0 ||
	    watch_set(t->loop, &c->w[1], EPOLLIN) < 0)
		stream_free(c);
	else if (t->changed)
		t->changed(t->arg);
}

void streams_end(struct streams *t)
{
	t->changed = NULL;
	while (t->list)
		stream_free(t->list);
}
