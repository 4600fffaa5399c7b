/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console. The sink takes bytes from vCPU threads (serial port) and from the loop (virtio-console) and
 * writes them out in the loop; the device runs in the loop. The guest controls the bytes and their rate: the buffer is
 * bounded, what does not fit is dropped, a slow reader never stops the guest.
 */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_MAX 4096u /* PIPE_BUF: a pipe that polls writable takes so much without blocking */
#define QUEUE_SIZE 64u
#define CHAINS_PER_KICK 64

struct sink {
	struct loop *loop;
	struct loop_watch watch;
	bool pollable; /* else a regular file, which never blocks */

	pthread_mutex_t lock; /* everything below */
	uint8_t buf[SINK_SIZE];
	size_t head, len;
	uint64_t lost; /* bytes dropped since the last one that was stored */
	bool failed;   /* the reader is gone */
	bool armed;
};

static void put(struct sink *s, const uint8_t *p, size_t len)
{
	size_t tail = (s->head + s->len) % SINK_SIZE;
	size_t first = SINK_SIZE - tail < len ? SINK_SIZE - tail : len;

	memcpy(s->buf + tail, p, first);
	memcpy(s->buf, p + first, len - first);
	s->len += len;
}

/* Writes one piece. False when there is nothing more to write now. Under the lock. */
static bool drain_piece(struct sink *s)
{
	size_t n = SINK_SIZE - s->head < s->len ? SINK_SIZE - s->head : s->len;
	ssize_t w;

	if (n == 0 || s->failed)
		return false;
	if (n > WRITE_MAX)
		n = WRITE_MAX;
	w = write(s->watch.fd, s->buf + s->head, n);
	if (w < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			s->failed = true;
			s->len = 0;
		}
		return false;
	}
	s->head = (s->head + (size_t)w) % SINK_SIZE;
	s->len -= (size_t)w;
	return s->len > 0;
}

static void on_writable(void *arg, uint32_t events)
{
	struct sink *s = arg;

	pthread_mutex_lock(&s->lock);
	if ((events & (EPOLLERR | EPOLLHUP)) && !(events & EPOLLOUT)) {
		s->failed = true;
		s->len = 0;
	}
	drain_piece(s);
	if (s->len == 0) {
		s->armed = false;
		/* Not watched at all while idle: a reader that hung up would wake the loop for ever. */
		loop_del(s->loop, &s->watch);
	}
	pthread_mutex_unlock(&s->lock);
}

struct sink *sink_create(struct loop *loop, int fd)
{
	struct sink *s = calloc(1, sizeof(*s));
	struct stat st;

	if (!s)
		return NULL;
	if (fstat(fd, &st)) {
		free(s);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	s->loop = loop;
	s->pollable = !S_ISREG(st.st_mode);
	s->watch = (struct loop_watch){ .fd = fd, .events = EPOLLOUT, .fn = on_writable, .arg = s };
	return s;
}

void sink_write(struct sink *s, const void *buf, size_t len)
{
	static const char gap[] = "\n[husk-vmm: %llu bytes of console output left out]\n";
	const uint8_t *p = buf;
	char note[96];
	size_t note_len = 0;

	pthread_mutex_lock(&s->lock);
	if (s->lost)
		note_len = (size_t)snprintf(note, sizeof(note), gap, (unsigned long long)s->lost);
	if (s->failed) {
		/* nobody reads */
	} else if (len > SINK_SIZE - s->len || note_len > SINK_SIZE - s->len - len) {
		s->lost += len;
	} else {
		if (note_len)
			put(s, (const uint8_t *)note, note_len);
		s->lost = 0;
		put(s, p, len);
	}
	if (!s->pollable) {
		while (drain_piece(s))
			;
	} else if (s->len && !s->armed) {
		/* EPERM: a descriptor that cannot be polled (some character devices) never blocks. */
		if (loop_add(s->loop, &s->watch) == 0)
			s->armed = true;
		else
			s->pollable = false;
	}
	pthread_mutex_unlock(&s->lock);
}

void sink_free(struct sink *s)
{
	if (!s)
		return;
	loop_del(s->loop, &s->watch);
	for (;;) {
		struct pollfd p = { .fd = s->watch.fd, .events = POLLOUT };

		if (s->len == 0 || (s->pollable && poll(&p, 1, 100) <= 0) || !drain_piece(s))
			break;
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The device: queue 0 would give input to the guest and is never served, queue 1 takes its output. */

enum { Q_RX = 0, Q_TX = 1 };

struct console {
	struct virtio_dev dev;
	struct loop *loop;
	struct loop_watch kick;
	struct sink *sink;
	struct vq_chain chain;
};

static void on_kick(void *arg, uint32_t events)
{
	struct console *c = arg;
	struct vq *q = &c->dev.vq[Q_TX];
	int left = CHAINS_PER_KICK, ret;
	eventfd_t n;

	(void)events;
	eventfd_read(q->kick, &n);
	while ((ret = vq_take(q, &c->chain)) > 0) {
		for (unsigned int i = 0; i < c->chain.nread; i++) {
			const uint8_t *p = c->chain.iov[i].iov_base;
			size_t len = c->chain.iov[i].iov_len;

			/* One buffer is gigabytes long if the guest likes; more than the sink holds is lost anyway. */
			sink_write(c->sink, p, len < SINK_SIZE ? len : SINK_SIZE);
		}
		vq_push(q, c->chain.head, 0);
		if (--left == 0) {
			eventfd_write(q->kick, 1); /* the others first */
			break;
		}
	}
	if (ret < 0)
		virtio_fault(&c->dev, "its output queue is broken");
	else
		virtio_notify(&c->dev, q);
}

static int console_activate(struct virtio_dev *d)
{
	struct console *c = (struct console *)d;

	if (!d->vq[Q_TX].running)
		return 0;
	c->kick.fd = d->vq[Q_TX].kick;
	return loop_add(c->loop, &c->kick);
}

static void console_reset(struct virtio_dev *d)
{
	struct console *c = (struct console *)d;

	loop_del(c->loop, &c->kick);
}

static const struct virtio_ops console_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.nqueues = 2,
	.queue_max = QUEUE_SIZE,
	.activate = console_activate,
	.reset = console_reset,
};

struct virtio_dev *console_create(const struct gmem *mem, struct loop *loop, struct sink *sink)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->dev.ops = &console_ops;
	c->dev.mem = mem;
	c->dev.nqueues = console_ops.nqueues;
	c->loop = loop;
	c->sink = sink;
	c->kick = (struct loop_watch){ .events = EPOLLIN, .fn = on_kick, .arg = c };
	return &c->dev;
}
