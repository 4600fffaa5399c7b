/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard streams of one process. The loop runs it. The process controls what comes out and
 * when; the host controls credit.
 *
 * Theory of operation. Output is read only when the host has credit left for it and the session's
 * queue is empty, and then goes from the pipe to the socket through one buffer. So a host that
 * stalls one channel, or everything, costs a pipe's content in the guest, and the process that
 * writes feels it. Input waits in a queue that the host's credit bounds.
 *
 * The end. What a pipe holds when its process has ended is counted (FIONREAD); when that much has
 * been relayed, EXIT may be sent, even if background children go on writing. A pty cannot be
 * counted: its buffers are read until they are empty, at most PTY_BUFFERS bytes.
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "session.h"
#include "tty.h"
#include "util.h"

#define PTY_BUFFERS 131072u
#define WINDOW_STEP (WIRE_CREDIT / 4)

static uint8_t buffer[FRAME_MAX]; /* a frame on its way out; the payload is read into its place */

/* ---- output ---- */

static bool out_open(const struct relay_out *o)
{
	return o->r->s && o->w.fd >= 0 && o->credit && !session_congested(o->r->s);
}

static void out_update(struct relay_out *o)
{
	/* not watched at all when it may not be read: a hang-up would wake us for nothing */
	watch_set(&o->w, out_open(o) ? EPOLLIN : 0);
}

static void check_settled(struct relay *r)
{
	if (r->exited && relay_settled(r) && r->on_settled)
		r->on_settled(r->arg);
}

static void out_end(struct relay_out *o)
{
	watch_close(&o->w);
	o->due = 0;
	o->settled = true;
	if (o->r->s)
		session_frame(o->r->s, WIRE_EOF, o->chan, NULL, 0);
}

/* Relay once. Bytes, 0 at the end of file, -EAGAIN when there is nothing. */
static ssize_t out_relay(struct relay_out *o)
{
	size_t max = o->credit < WIRE_PAYLOAD_MAX ? o->credit : WIRE_PAYLOAD_MAX;
	ssize_t n = read(o->w.fd, buffer + sizeof(struct wire_hdr), max);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0) { /* EIO: all of the pty's other ends are closed */
		out_end(o);
		return 0;
	}
	o->credit -= (uint32_t)n;
	o->due -= o->due < (uint32_t)n ? o->due : (uint32_t)n;
	session_data(o->r->s, o->chan, buffer, (size_t)n);
	return n;
}

/*
 * After the end of the process: relay what it left. Once more than that is counted finds the end of
 * file, if it is there.
 */
static void out_drain(struct relay_out *o)
{
	bool last = o->due == 0;
	ssize_t n;

	while (!o->settled && out_open(o)) {
		n = out_relay(o);
		if (n <= 0 || last)
			o->settled = true;
		last = o->due == 0;
	}
}

static void out_readable(void *arg, uint32_t events)
{
	struct relay_out *o = arg;
	struct relay *r = o->r;

	(void)events;
	if (out_open(o)) {
		if (r->exited && !o->settled)
			out_drain(o);
		else
			(void)out_relay(o);
	}
	out_update(o);
	check_settled(r);
}

/* ---- input ---- */

static void in_update(struct relay *r)
{
	struct relay_in *in = &r->in;

	if (in->w.fd < 0)
		return;
	/*
	 * EPOLLERR: the last reader of a pipe is gone. A pty hangs up together with its output side
	 */
	watch_set(&in->w, outq_pending(&in->q) ? EPOLLOUT : r->tty ? 0 : EPOLLERR);
}

static void in_close(struct relay *r, bool tell)
{
	if (r->in.w.fd < 0)
		return;
	watch_close(&r->in.w);
	outq_free(&r->in.q);
	if (tell && r->s)
		session_frame(r->s, WIRE_EOF, WIRE_STDIN, NULL, 0);
}

static void in_taken(struct relay *r, size_t n)
{
	r->in.returned += (uint32_t)n;
	if (r->in.returned >= WINDOW_STEP && r->s) {
		session_frame(r->s, WIRE_WINDOW, WIRE_STDIN, &r->in.returned, sizeof(r->in.returned));
		r->in.returned = 0;
	}
}

static void in_flush(struct relay *r)
{
	struct relay_in *in = &r->in;
	ssize_t n = outq_write(&in->q, in->w.fd);

	if (n < 0) {
		in_close(r, true);
		return;
	}
	in_taken(r, (size_t)n);
	if (in->eof && !outq_pending(&in->q))
		in_close(r, false);
	else
		in_update(r);
}

static void in_writable(void *arg, uint32_t events)
{
	struct relay *r = arg;

	if (events & EPOLLERR)
		in_close(r, true);
	else
		in_flush(r);
}

bool relay_data(struct relay *r, const uint8_t *data, uint32_t len)
{
	struct relay_in *in = &r->in;

	if (in->eof || len > WIRE_CREDIT - in->returned - outq_pending(&in->q))
		return false;
	if (in->w.fd < 0) /* the host does not know yet that nobody reads */
		return true;
	if (outq_bytes(&in->q, data, len))
		return false;
	in_flush(r);
	return true;
}

/* ---- life ---- */

int relay_init(struct relay *r, struct session *s, bool tty, uint32_t uid, uint32_t gid, int theirs[3])
{
	memset(r, 0, sizeof(*r));
	r->s = s;
	r->tty = tty;
	r->slave = -1;
	r->in.w = (struct watch){ .fd = -1, .fn = in_writable, .arg = r };
	for (int i = 0; i < 2; i++) {
		struct relay_out *o = &r->out[i];

		o->r = r;
		o->w = (struct watch){ .fd = -1, .fn = out_readable, .arg = o };
		o->chan = i ? WIRE_STDERR : WIRE_STDOUT;
		o->credit = WIRE_CREDIT;
	}
	theirs[0] = theirs[1] = theirs[2] = -1;
	for (int i = 0; i < 3 && !tty; i++) {
		struct watch *mine = i ? &r->out[i - 1].w : &r->in.w;
		int fds[2], err;

		if (pipe2(fds, O_CLOEXEC) == 0) {
			mine->fd = fds[i ? 0 : 1];
			theirs[i] = fds[i ? 1 : 0];
			if (fcntl(mine->fd, F_SETFL, O_NONBLOCK) == 0 && fchown(mine->fd, uid, gid) == 0)
				continue;
		}
		err = errno;
		relay_close(r);
		for (int k = 0; k < 3; k++)
			fd_close(&theirs[k]);
		return -err;
	}
	relay_resume(r);
	in_update(r);
	return 0;
}

int relay_set_tty(struct relay *r, int master)
{
	int in = -1, slave, err;

	if (!r->tty || !r->s || r->out[0].w.fd >= 0) {
		close(master);
		return -EPROTO;
	}
	slave = tty_peer(master);
	err = slave < 0 ? slave : 0;
	if (!err)
		in = fcntl(master, F_DUPFD_CLOEXEC, 3);
	if (in < 0 || fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK)) {
		err = err ? err : -errno;
		fd_close(&in);
		fd_close(&slave);
		close(master);
		return err;
	}
	r->slave = slave;
	r->out[0].w.fd = master;
	r->in.w.fd = in;
	relay_resume(r);
	return 0;
}

void relay_close(struct relay *r)
{
	r->s = NULL;
	in_close(r, false);
	for (int i = 0; i < 2; i++)
		watch_close(&r->out[i].w);
	fd_close(&r->slave);
}

bool relay_window(struct relay *r, uint8_t chan, uint32_t more)
{
	struct relay_out *o = &r->out[chan == WIRE_STDERR];

	if (more > UINT32_MAX - o->credit)
		return false;
	o->credit += more;
	out_readable(o, 0);
	return true;
}

void relay_eof(struct relay *r, uint8_t chan)
{
	if (chan == WIRE_STDIN) {
		if (r->tty) /* a terminal has no end of input; it hangs up with its session */
			return;
		r->in.eof = true;
		if (r->in.w.fd >= 0 && !outq_pending(&r->in.q))
			in_close(r, false);
		return;
	}
	watch_close(&r->out[chan == WIRE_STDERR].w);
	if (r->tty) { /* its user is gone: SIGHUP */
		in_close(r, false);
		fd_close(&r->slave);
	}
	check_settled(r);
}

void relay_resize(struct relay *r, const struct wire_winsize *ws)
{
	if (r->tty && r->out[0].w.fd >= 0)
		(void)tty_resize(r->out[0].w.fd, ws->rows, ws->cols, ws->xpixel, ws->ypixel);
}

void relay_resume(struct relay *r)
{
	for (int i = 0; i < 2; i++) {
		if (r->exited && !r->out[i].settled)
			out_drain(&r->out[i]);
		out_update(&r->out[i]);
	}
	check_settled(r);
}

void relay_exited(struct relay *r)
{
	r->exited = true;
	for (int i = 0; i < 2; i++) {
		struct relay_out *o = &r->out[i];
		int n = 0;

		if (o->w.fd < 0)
			continue;
		if (r->tty)
			o->due = PTY_BUFFERS;
		else if (ioctl(o->w.fd, FIONREAD, &n) == 0 && n > 0)
			o->due = (uint32_t)n;
	}
	if (r->tty) { /* what is left of its session was hung up by the kernel; only output remains */
		in_close(r, false);
		fd_close(&r->slave);
	}
	relay_resume(r);
}

void relay_settle(struct relay *r)
{
	for (int i = 0; i < 2; i++)
		r->out[i].settled = true;
	check_settled(r);
}

bool relay_settled(const struct relay *r)
{
	for (int i = 0; i < 2; i++)
		if (r->out[i].w.fd >= 0 && !r->out[i].settled)
			return false;
	return true;
}
