/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a session with husk-agent. The socket is non-blocking; the waiting calls poll it up to a deadline.
 * The agent controls every byte that arrives: the header's length is checked before the payload is awaited, and the
 * buffer holds exactly one largest frame.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"

struct session *session_new(int fd)
{
	struct session *s = xmalloc(sizeof(*s));
	struct wire_hello hello = { .version = WIRE_VERSION };

	/* not zeroed: the buffer's pages are touched when they are used */
	memset(s, 0, offsetof(struct session, in));
	s->fd = fd;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	session_put(s, WIRE_HELLO, 0, &hello, sizeof(hello));
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s->out);
	free(s->held);
	free(s);
}

static void out_append(struct session *s, const void *data, size_t len)
{
	if (s->out_off == s->out_len)
		s->out_off = s->out_len = 0;
	if (s->out_off && s->out_len + len > s->out_cap) {
		memmove(s->out, s->out + s->out_off, s->out_len - s->out_off);
		s->out_len -= s->out_off;
		s->out_off = 0;
	}
	if (s->out_len + len > s->out_cap) {
		s->out_cap = (s->out_len + len) * 2;
		s->out = xrealloc(s->out, s->out_cap);
	}
	memcpy(s->out + s->out_len, data, len);
	s->out_len += len;
}

static void frame_append(struct session *s, uint8_t type, uint8_t chan, const void *payload, size_t len)
{
	struct wire_hdr h = { .len = (uint32_t)len, .type = type, .chan = chan };

	out_append(s, &h, sizeof(h));
	if (len)
		out_append(s, payload, len);
}

int session_put(struct session *s, uint8_t type, uint8_t chan, const void *payload, size_t len)
{
	if (len > WIRE_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (s->out_len - s->out_off > SESSION_OUT_MAX)
		return -ENOBUFS;
	frame_append(s, type, chan, payload, len);
	return 0;
}

void session_put_plan(struct session *s, const void *plan, size_t len)
{
	const uint8_t *p = plan;

	while (len) {
		size_t n = len < WIRE_PAYLOAD_MAX ? len : WIRE_PAYLOAD_MAX;

		frame_append(s, WIRE_PLAN, 0, p, n);
		p += n;
		len -= n;
	}
}

bool session_pending(const struct session *s)
{
	return s->out_off < s->out_len;
}

int session_flush(struct session *s)
{
	while (session_pending(s)) {
		ssize_t n = send(s->fd, s->out + s->out_off, s->out_len - s->out_off, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		s->out_off += (size_t)n;
	}
	if (s->out_cap > 4 * WIRE_PAYLOAD_MAX) { /* a plan went out: give its memory back */
		free(s->out);
		s->out = NULL;
		s->out_cap = 0;
	}
	s->out_len = s->out_off = 0;
	return 0;
}

static void in_consume(struct session *s)
{
	if (!s->in_used)
		return;
	s->in_len -= s->in_used;
	memmove(s->in, s->in + s->in_used, s->in_len);
	s->in_used = 0;
}

int session_fill(struct session *s)
{
	ssize_t n;

	in_consume(s);
	if (s->in_len == sizeof(s->in))
		return -EAGAIN; /* a whole frame is there: take it first */
	do {
		n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	s->in_len += (size_t)n;
	return (int)n;
}

/* What each frame of the agent must look like. */
static bool frame_valid(const struct wire_hdr *h)
{
	if (h->len > WIRE_PAYLOAD_MAX || h->zero)
		return false;
	switch (h->type) {
	case WIRE_HELLO:
		return h->len == sizeof(struct wire_hello);
	case WIRE_DATA:
	case WIRE_EOF:
		return (h->chan == WIRE_STDOUT || h->chan == WIRE_STDERR ||
			(h->chan == WIRE_STDIN && h->type == WIRE_EOF)) &&
		       (h->type == WIRE_DATA || !h->len);
	case WIRE_WINDOW:
		return h->chan == WIRE_STDIN && h->len == sizeof(uint32_t);
	case WIRE_OK:
		return true;
	case WIRE_ERROR:
		return h->len >= sizeof(struct wire_error) && h->len <= sizeof(struct wire_error) + WIRE_TEXT_MAX;
	case WIRE_EXIT:
		return h->len == sizeof(struct wire_exit);
	case WIRE_OOM:
		return h->len <= 1024;
	case WIRE_CALL:
		return h->len == sizeof(struct wire_call);
	case WIRE_DNS:
		return h->chan <= 1 && h->len >= sizeof(uint32_t);
	default:
		return false;
	}
}

/* Put a frame of the process's streams aside. */
static bool held_put(struct session *s, const struct frame *f)
{
	size_t len = sizeof(f->h) + f->h.len;

	if (len > SESSION_HELD_MAX - s->held_len)
		return false;
	s->held = xrealloc(s->held, s->held_len + len);
	memcpy(s->held + s->held_len, &f->h, sizeof(f->h));
	memcpy(s->held + s->held_len + sizeof(f->h), f->payload, f->h.len);
	s->held_len += len;
	return true;
}

static bool held_next(struct session *s, struct frame *f)
{
	if (!s->held || s->answering)
		return false;
	if (s->held_off == s->held_len) { /* the frame given out last was in it: only now may it go */
		free(s->held);
		s->held = NULL;
		s->held_len = s->held_off = 0;
		return false;
	}
	memcpy(&f->h, s->held + s->held_off, sizeof(f->h));
	f->payload = s->held + s->held_off + sizeof(f->h);
	s->held_off += sizeof(f->h) + f->h.len;
	return true;
}

int session_next(struct session *s, struct frame *f)
{
	if (held_next(s, f))
		return 1;
	for (;;) {
		in_consume(s);
		if (s->in_len < sizeof(f->h))
			return 0;
		memcpy(&f->h, s->in, sizeof(f->h));
		if (!frame_valid(&f->h))
			return -EPROTO;
		if (s->in_len - sizeof(f->h) < f->h.len)
			return 0;
		f->payload = s->in + sizeof(f->h);
		s->in_used = sizeof(f->h) + f->h.len;
		if (s->hello_seen) {
			if (f->h.type == WIRE_HELLO)
				return -EPROTO;
			return 1;
		}
		if (f->h.type == WIRE_ERROR) /* the agent refused our version */
			return 1;
		if (f->h.type != WIRE_HELLO)
			return -EPROTO;
		memcpy(&s->hello, f->payload, sizeof(s->hello));
		if (s->hello.version != WIRE_VERSION)
			return -EPROTO;
		s->hello_seen = true;
	}
}

int session_wait(struct session *s, struct frame *f, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		uint64_t now;
		int rc;

		rc = session_next(s, f);
		if (rc)
			return rc < 0 ? rc : 0;
		rc = session_flush(s);
		if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET)
			return rc;
		rc = session_fill(s);
		if (!rc || rc == -ECONNRESET)
			return -EPIPE;
		if (rc < 0 && rc != -EAGAIN)
			return rc;
		if (rc > 0)
			continue;
		now = mono_ns();
		if (now >= deadline)
			return -ETIMEDOUT;
		if (session_pending(s))
			p.events |= POLLOUT;
		if (poll(&p, 1, (int)((deadline - now) / 1000000 + 1)) < 0 && errno != EINTR)
			return -errno;
	}
}

static int answer_wait(struct session *s, uint64_t deadline, struct frame *f, struct error *err)
{
	for (;;) {
		int rc = session_wait(s, f, deadline);

		if (rc == -ETIMEDOUT)
			return error_set(err, 0, "the agent in the VM does not answer (timed out)");
		if (rc == -EPIPE)
			return error_set(err, 0, "the VM ended or its agent closed the session");
		if (rc == -EPROTO)
			return error_set(err, 0, "the agent in the VM breaks the protocol");
		if (rc < 0)
			return error_set(err, -rc, "session with the agent");
		if (f->h.type == WIRE_ERROR)
			return guest_error(err, f);
		if (f->h.type == WIRE_OK)
			return 0;
		if ((f->h.type != WIRE_DATA && f->h.type != WIRE_EOF && f->h.type != WIRE_WINDOW) || !held_put(s, f))
			return error_set(err, 0, "the agent in the VM breaks the protocol (frame type %u)", f->h.type);
	}
}

/*
 * Wait for the OK or ERROR of a request that is queued. A process may write and close its streams before the answer to
 * EXEC is seen: such frames are kept, and session_next() gives them out later.
 */
static int answer(struct session *s, uint64_t deadline, struct frame *reply, struct error *err)
{
	struct frame f;
	int rc;

	s->answering = true;
	rc = answer_wait(s, deadline, &f, err);
	s->answering = false;
	if (!rc && reply)
		*reply = f;
	return rc;
}

int session_request(struct session *s, uint8_t type, const void *payload, size_t len, uint64_t deadline,
		    struct frame *reply, struct error *err)
{
	int rc = session_put(s, type, 0, payload, len);

	if (rc < 0)
		return error_set(err, -rc, "session with the agent");
	return answer(s, deadline, reply, err);
}
