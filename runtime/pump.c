/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay between three standard fds of the host and one init or exec session.
 *
 * Theory of operation. Each direction has one place where bytes wait, and its size is the credit the sender was given:
 *
 *   guest -> host  the agent sends at most WIRE_CREDIT bytes beyond what WINDOW frames returned. They are written to
 *                  the fd at once, or wait in the channel's ring, which has exactly that size: overflow is the
 *                  agent's breach of protocol. So a stalled stdout holds up neither stderr nor signals.
 *   host -> guest  stdin is read only while the agent's credit lasts and the session's queue is empty: a process that
 *                  does not read its stdin stops us from reading ours, and the pipe's writer feels it.
 *
 * End. EXIT comes after all output that the process had written. The pump ends when the rings are empty: a reader
 * that is slow but alive loses nothing, as with a real pipe. A process killed by a signal does not wait for a
 * reader that takes nothing at all (about two seconds), because its death must show.
 */
#include "pump.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <termios.h>

#include "util.h"

#define PUMP_CHUNK 32768u	      /* bytes of stdin per DATA frame */
#define PUMP_WINDOW (WIRE_CREDIT / 4) /* credit is returned in steps of this */
#define PUMP_TICK_MS 500
#define PUMP_TICKS_DEAD 4 /* ticks without a byte after a death by signal */

static void pump_end(struct pump *p)
{
	if (p->ended)
		return;
	p->ended = true;
	p->on_end(p->arg);
}

static bool out_settled(const struct pump *p, const struct pump_out *o)
{
	if (o->reader_gone)
		return true;
	return !o->len && (o->eof || !p->lingering);
}

static void pump_check_end(struct pump *p)
{
	if (p->exited && out_settled(p, &p->out[0]) && out_settled(p, &p->out[1]))
		pump_end(p);
}

/* The session is of no use any more: the VM, the agent or the process's container is gone. */
static void pump_broken(struct pump *p)
{
	watch_set(p->loop, &p->session_w, 0);
	p->out[0].eof = p->out[1].eof = true;
	if (p->exited) /* what waits for a slow reader is still to be written */
		pump_check_end(p);
	else
		pump_end(p);
}

void pump_kick(struct pump *p)
{
	int rc = session_flush(p->s);

	if (rc < 0) {
		/* what the agent sent before it closed is still to be read: EXIT perhaps */
		watch_set(p->loop, &p->session_w, EPOLLIN);
		return;
	}
	if (p->session_w.events)
		watch_set(p->loop, &p->session_w, EPOLLIN | (session_pending(p->s) ? EPOLLOUT : 0));
}

/* ---- guest -> host ---- */

static void out_close(struct pump_out *o)
{
	if (o->io.fd < 0)
		return;
	watch_set(o->p->loop, &o->w, 0);
	stdio_close(&o->io);
}

/* Nobody reads: tell the agent, so that the process gets SIGPIPE or EPIPE on its next write. */
static void out_reader_gone(struct pump_out *o)
{
	if (o->reader_gone)
		return;
	o->reader_gone = true;
	o->len = 0;
	out_close(o);
	if (!o->eof && !o->p->exited)
		session_put(o->p->s, WIRE_EOF, o->chan, NULL, 0);
}

static void out_consumed(struct pump_out *o, uint32_t n)
{
	o->done += n;
	o->p->written += n;
	if (o->done < PUMP_WINDOW || o->eof)
		return;
	session_put(o->p->s, WIRE_WINDOW, o->chan, &o->done, sizeof(o->done));
	o->done = 0;
}

/* Write the ring's content; watch for room when some is left. */
static void out_flush(struct pump_out *o)
{
	while (o->len) {
		uint32_t first = WIRE_CREDIT - o->head < o->len ? WIRE_CREDIT - o->head : o->len;
		struct iovec iov[2] = {
			{ .iov_base = o->ring + o->head, .iov_len = first },
			{ .iov_base = o->ring, .iov_len = o->len - first },
		};
		ssize_t n = stdio_write(&o->io, iov, o->len > first ? 2 : 1);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			out_reader_gone(o);
			return;
		}
		o->head = (o->head + (uint32_t)n) % WIRE_CREDIT;
		o->len -= (uint32_t)n;
		out_consumed(o, (uint32_t)n);
		if (o->io.kind == STDIO_POLLED)
			break;
	}
	if (!o->len && o->eof)
		out_close(o);
	else if (o->io.fd >= 0 && o->io.kind != STDIO_PLAIN)
		watch_set(o->p->loop, &o->w, EPOLLERR | (o->len ? EPOLLOUT : 0));
}

static void out_event(void *arg, uint32_t events)
{
	struct pump_out *o = arg;

	if (events & (EPOLLERR | EPOLLHUP))
		out_reader_gone(o);
	else
		out_flush(o);
	pump_kick(o->p);
	pump_check_end(o->p);
}

/* Bytes from the agent. false: more than its credit. */
static bool out_data(struct pump_out *o, const uint8_t *data, uint32_t len)
{
	uint32_t tail, first;

	if (o->eof || len > WIRE_CREDIT - o->done - o->len)
		return false;
	if (o->reader_gone) {
		out_consumed(o, len);
		return true;
	}
	if (!o->len && o->io.kind != STDIO_POLLED) { /* the usual case: nothing waits, no copy */
		struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
		ssize_t n = stdio_write(&o->io, &iov, 1);

		if (n < 0 && n != -EAGAIN) {
			out_reader_gone(o);
			out_consumed(o, len);
			return true;
		}
		if (n > 0) {
			out_consumed(o, (uint32_t)n);
			data += n;
			len -= (uint32_t)n;
		}
	}
	if (!len)
		return true;
	if (!o->ring)
		o->ring = xmalloc(WIRE_CREDIT);
	tail = (o->head + o->len) % WIRE_CREDIT;
	first = WIRE_CREDIT - tail < len ? WIRE_CREDIT - tail : len;
	memcpy(o->ring + tail, data, first);
	memcpy(o->ring, data + first, len - first);
	o->len += len;
	out_flush(o);
	return true;
}

/* ---- host -> guest ---- */

static bool in_readable(const struct pump_in *in)
{
	return in->on && !in->eof && in->credit && !session_pending(in->p->s) && !in->p->exited;
}

static void in_finish(struct pump_in *in)
{
	watch_set(in->p->loop, &in->w, 0);
	stdio_close(&in->io);
	in->eof = true;
	session_put(in->p->s, WIRE_EOF, WIRE_STDIN, NULL, 0);
}

static void in_read(struct pump_in *in)
{
	uint8_t buf[PUMP_CHUNK];
	ssize_t n = stdio_read(&in->io, buf, in->credit < sizeof(buf) ? in->credit : sizeof(buf));

	if (n == -EAGAIN)
		return;
	if (n <= 0) { /* the end; or EIO: our terminal's other side hung up */
		in_finish(in);
		return;
	}
	in->credit -= (uint32_t)n;
	session_put(in->p->s, WIRE_DATA, WIRE_STDIN, buf, (size_t)n);
}

static void in_update(struct pump_in *in)
{
	if (in->io.fd >= 0 && in->io.kind != STDIO_PLAIN)
		watch_set(in->p->loop, &in->w, in_readable(in) ? EPOLLIN : 0);
}

static void in_event(void *arg, uint32_t events)
{
	struct pump_in *in = arg;

	(void)events;
	if (in_readable(in))
		in_read(in);
	pump_kick(in->p);
	in_update(in);
}

/* ---- frames ---- */

static void pump_on_exit(struct pump *p, const struct frame *f)
{
	memcpy(&p->exit, f->payload, sizeof(p->exit));
	p->exited = true;
	if (p->in.io.fd >= 0) {
		watch_set(p->loop, &p->in.w, 0);
		stdio_close(&p->in.io);
	}
	if (p->exit.signal && !(out_settled(p, &p->out[0]) && out_settled(p, &p->out[1]))) {
		struct itimerspec every = {
			.it_interval.tv_nsec = PUMP_TICK_MS * 1000000L,
			.it_value.tv_nsec = PUMP_TICK_MS * 1000000L,
		};

		p->tick_w.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (p->tick_w.fd >= 0) {
			timerfd_settime(p->tick_w.fd, 0, &every, NULL);
			watch_set(p->loop, &p->tick_w, EPOLLIN);
		}
	}
}

static void pump_tick(void *arg, uint32_t events)
{
	struct pump *p = arg;
	uint64_t n;

	(void)events;
	if (read(p->tick_w.fd, &n, sizeof(n)) < 0)
		return;
	if (p->written != p->written_at_tick)
		p->idle_ticks = 0;
	else if (++p->idle_ticks >= PUMP_TICKS_DEAD)
		pump_end(p);
	p->written_at_tick = p->written;
}

static int pump_frame(struct pump *p, const struct frame *f)
{
	struct pump_out *o = &p->out[f->h.chan == WIRE_STDERR];

	switch (f->h.type) {
	case WIRE_DATA:
		return out_data(o, f->payload, f->h.len) ? 0 : -EPROTO;
	case WIRE_EOF:
		if (f->h.chan == WIRE_STDIN) { /* the process closed its stdin: stop reading ours */
			p->in.eof = true;
			watch_set(p->loop, &p->in.w, 0);
			stdio_close(&p->in.io);
			return 0;
		}
		o->eof = true;
		if (!o->len)
			out_close(o);
		return 0;
	case WIRE_WINDOW: {
		uint32_t more;

		memcpy(&more, f->payload, sizeof(more));
		if (more > WIRE_CREDIT - p->in.credit)
			return -EPROTO;
		p->in.credit += more;
		return 0;
	}
	case WIRE_EXIT:
		if (p->exited)
			return -EPROTO;
		pump_on_exit(p, f);
		return 0;
	default:
		if (p->on_frame)
			p->on_frame(p->arg, f);
		return 0;
	}
}

/* Take every whole frame that is in the session's buffer. false: the session is broken. */
static bool pump_take_frames(struct pump *p)
{
	struct frame f;
	int rc;

	while ((rc = session_next(p->s, &f)) > 0) {
		rc = pump_frame(p, &f);
		if (rc < 0)
			break;
	}
	if (rc < 0)
		return false;
	pump_kick(p);
	in_update(&p->in);
	pump_check_end(p);
	return true;
}

static void pump_session_event(void *arg, uint32_t events)
{
	struct pump *p = arg;
	int n = session_fill(p->s);

	(void)events;
	if (!pump_take_frames(p) || (n <= 0 && n != -EAGAIN))
		pump_broken(p);
}

/* Between waits: frames that came together with an answer read before the loop, and files as stdin. */
static bool pump_idle(void *arg)
{
	struct pump *p = arg;
	struct pump_in *in = &p->in;

	if (p->ended)
		return false;
	if (!p->primed) {
		p->primed = true;
		if (!pump_take_frames(p)) {
			pump_broken(p);
			return false;
		}
	}
	if (!in_readable(in) || (in->io.fd >= 0 && in->io.kind != STDIO_PLAIN))
		return false;
	if (in->io.fd < 0)
		in_finish(in);
	else
		in_read(in);
	pump_kick(p);
	return in_readable(in);
}

/* ---- life ---- */

int pump_init(struct pump *p, struct evloop *loop, struct session *s, const int fds[3], bool tty)
{
	*p = (struct pump){ .loop = loop, .s = s, .tty = tty };
	p->session_w = (struct watch){ .fd = s->fd, .fn = pump_session_event, .arg = p };
	p->tick_w = (struct watch){ .fd = -1, .fn = pump_tick, .arg = p };

	p->in.p = p;
	p->in.credit = WIRE_CREDIT;
	stdio_adopt(&p->in.io, fds[0], false);
	p->in.w = (struct watch){ .fd = p->in.io.fd, .fn = in_event, .arg = &p->in };

	for (int i = 0; i < 2; i++) {
		struct pump_out *o = &p->out[i];

		o->p = p;
		o->chan = i ? WIRE_STDERR : WIRE_STDOUT;
		o->io.fd = -1;
		if (tty && i) {
			o->eof = true;
			continue;
		}
		stdio_adopt(&o->io, fds[i + 1], true);
		o->w = (struct watch){ .fd = o->io.fd, .fn = out_event, .arg = o };
		if (o->io.fd < 0)
			out_reader_gone(o);
		else if (o->io.kind != STDIO_PLAIN)
			watch_set(loop, &o->w, EPOLLERR);
	}
	loop->idle = pump_idle;
	loop->idle_arg = p;
	return watch_set(loop, &p->session_w, EPOLLIN | (session_pending(s) ? EPOLLOUT : 0));
}

void pump_free(struct pump *p)
{
	if (p->loop->idle_arg == p)
		p->loop->idle = NULL;
	watch_set(p->loop, &p->session_w, 0);
	watch_set(p->loop, &p->in.w, 0);
	stdio_close(&p->in.io);
	for (int i = 0; i < 2; i++) {
		out_close(&p->out[i]);
		free(p->out[i].ring);
		p->out[i].ring = NULL;
	}
	if (p->tick_w.fd >= 0) {
		watch_set(p->loop, &p->tick_w, 0);
		close(p->tick_w.fd);
		p->tick_w.fd = -1;
	}
}

void pump_start(struct pump *p)
{
	p->in.on = true;
	pump_resize(p);
	in_update(&p->in);
	pump_kick(p);
}

void pump_signal(struct pump *p, int signo)
{
	struct wire_signal sig = { .signo = (uint32_t)signo };

	if (p->exited) {
		pump_end(p);
		return;
	}
	session_put(p->s, WIRE_SIGNAL, 0, &sig, sizeof(sig));
	pump_kick(p);
}

void pump_resize(struct pump *p)
{
	struct wire_winsize size;
	struct winsize ws;

	if (!p->tty || p->exited)
		return;
	if (!(p->in.io.tty && ioctl(p->in.io.fd, TIOCGWINSZ, &ws) == 0) &&
	    !(p->out[0].io.tty && ioctl(p->out[0].io.fd, TIOCGWINSZ, &ws) == 0))
		return;
	if (!ws.ws_row && !ws.ws_col) /* nobody has set one: keep the guest's (consoleSize) */
		return;
	size = (struct wire_winsize){ ws.ws_row, ws.ws_col, ws.ws_xpixel, ws.ws_ypixel };
	session_put(p->s, WIRE_RESIZE, 0, &size, sizeof(size));
	pump_kick(p);
}

bool pump_lingers(const struct pump *p)
{
	for (int i = 0; i < 2; i++)
		if (!p->out[i].eof && !p->out[i].reader_gone)
			return p->exited;
	return false;
}

void pump_linger(struct pump *p)
{
	p->lingering = true;
	p->ended = false;
	pump_check_end(p);
}

int pump_status(const struct pump *p)
{
	if (!p->exited)
		return 137;
	if (p->exit.signal)
		return 128 + (int)(p->exit.signal & 127);
	return (int)(p->exit.code & 255);
}
