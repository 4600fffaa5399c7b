/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the host. The loop runs it. The host controls every byte that arrives; frame.c
 * checks headers, this file checks what may come when.
 *
 * One request at a time: while one is worked on (busy), the socket is not read, only watched for
 * its end, and what was read already waits in `part`. Answers and other small frames are collected
 * and leave together before the loop sleeps, because each packet costs the guest an exit; large
 * DATA leaves at once, without a copy.
 *
 * A session is never freed under its caller: errors of sending, and ends that others decide, only
 * mark it; `later` closes it in the loop's next turn.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "changes.h"
#include "container.h"
#include "control.h"
#include "forward.h"
#include "frame.h"
#include "hostsock.h"
#include "job.h"
#include "loop.h"
#include "machine.h"
#include "net.h"
#include "process.h"
#include "resolver.h"
#include "util.h"

#define OUT_MAX (1u << 20) /* queued answers before no more requests are taken */
#define COLLECT_MAX 4096u  /* DATA larger than this is not collected */
#define JOB_MS 30000u

struct session {
	struct session *next;
	struct watch w;
	uint8_t *part; /* read, not handled yet */
	size_t part_len;
	struct outq out;
	bool blocked; /* the socket took less than we had */
	bool greeted, busy, broken;
	void (*cancel)(void *arg);
	void *cancel_arg;
	struct job *job; /* of a request that is the session's own */
	uint8_t *plan;
	size_t plan_len;
	struct process *proc;
	bool had_process;
	struct resolver *resolver;
	bool serves; /* the host's sockets of a container */
	const struct container *waits;
	struct timer later;
};

uint64_t session_boot_ns[3];

static struct session *sessions;
static unsigned int count;
static uint8_t rx[FRAME_MAX];

static void session_close(struct session *s)
{
	for (struct session **p = &sessions; *p; p = &(*p)->next) {
		if (*p == s) {
			*p = s->next;
			break;
		}
	}
	count--;
	if (s->busy && s->cancel)
		s->cancel(s->cancel_arg);
	job_cancel(s->job);
	if (s->proc)
		process_hangup(s->proc);
	if (s->resolver)
		resolver_close(s->resolver);
	if (s->serves)
		hostsock_hangup(s);
	timer_stop(&s->later);
	watch_close(&s->w);
	outq_free(&s->out);
	free(s->part);
	free(s->plan);
	free(s);
}

unsigned int session_count(void)
{
	return count;
}

/* ---- sending ---- */

static void session_update(struct session *s)
{
	uint32_t events = EPOLLRDHUP;

	if (!s->busy && outq_pending(&s->out) < OUT_MAX)
		events |= EPOLLIN;
	if (s->blocked)
		events |= EPOLLOUT;
	if (!s->broken)
		watch_set(&s->w, events);
}

static void session_break(struct session *s)
{
	if (s->broken)
		return;
	s->broken = true;
	watch_set(&s->w, 0);
	timer_start(&s->later, 0);
}

static void session_flush(struct session *s)
{
	if (s->broken || !outq_pending(&s->out))
		return;
	if (outq_write(&s->out, s->w.fd) < 0) {
		session_break(s);
		return;
	}
	s->blocked = outq_pending(&s->out);
	session_update(s);
}

static void flush_all(void)
{
	for (struct session *s = sessions; s; s = s->next)
		if (!s->blocked)
			session_flush(s);
}

void session_frame(struct session *s, uint8_t type, uint8_t chan, const void *payload, size_t len)
{
	if (s->broken)
		return;
	if (outq_frame(&s->out, type, chan, payload, len, NULL, 0)) {
		session_break(s); /* no memory: the host must not wait for what will not come */
		return;
	}
	if (!s->blocked && outq_pending(&s->out) > COLLECT_MAX)
		session_flush(s);
	else
		loop_before_sleep(flush_all);
}

bool session_congested(const struct session *s)
{
	return s->broken || s->blocked;
}

void session_data(struct session *s, uint8_t chan, uint8_t *frame, size_t len)
{
	struct wire_hdr h = { .len = (uint32_t)len, .type = WIRE_DATA, .chan = chan };
	size_t total = sizeof(h) + len;
	ssize_t n = 0;

	memcpy(frame, &h, sizeof(h));
	if (total > COLLECT_MAX) {
		session_flush(s);
		if (s->broken)
			return;
		if (!s->blocked)
			n = write(s->w.fd, frame, total);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			session_break(s);
			return;
		}
		n = n < 0 ? 0 : n;
		s->blocked |= (size_t)n < total;
	}
	if (outq_bytes(&s->out, frame + n, total - (size_t)n))
		session_break(s);
	else if (s->blocked)
		session_update(s);
	else if (total <= COLLECT_MAX)
		loop_before_sleep(flush_all);
}

/* ---- answers ---- */

static void request_over(struct session *s)
{
	if (!s->busy)
		return;
	s->busy = false;
	s->cancel = NULL;
	session_update(s);
	if (s->part_len && !s->broken)
		timer_start(&s->later, 0);
}

void session_ok(struct session *s, const void *payload, size_t len)
{
	session_frame(s, WIRE_OK, 0, payload, len);
	request_over(s);
}

void session_fail(struct session *s, const struct fault *f)
{
	struct wire_error e = { .err = f->err, .stage = f->stage };

	if (!s->broken && outq_frame(&s->out, WIRE_ERROR, 0, &e, sizeof(e), f->text, strlen(f->text)))
		session_break(s);
	loop_before_sleep(flush_all);
	request_over(s);
}

int session_detach(struct session *s)
{
	int fd = s->w.fd;

	s->cancel = NULL;
	if (!s->part_len) {
		session_frame(s, WIRE_OK, 0, NULL, 0);
		session_flush(s);
		if (!s->broken && !s->blocked) {
			watch_set(&s->w, 0);
			s->w.fd = -1;
			session_break(s);
			return fd;
		}
	}
	session_break(s);
	return -EPROTO;
}

void session_defer(struct session *s, void (*cancel)(void *arg), void *arg)
{
	s->busy = true;
	s->cancel = cancel;
	s->cancel_arg = arg;
	session_update(s);
}

void session_set_process(struct session *s, struct process *p)
{
	s->proc = p;
	s->had_process = true;
}

void session_notify(const struct container *c, uint8_t type, const void *payload, size_t len)
{
	for (struct session *s = sessions; s; s = s->next) {
		if (s->waits != c)
			continue;
		if (type) {
			session_frame(s, type, 0, payload, len);
			continue;
		}
		s->waits = NULL; /* nothing more will come: the end of the session says so */
		session_flush(s);
		session_break(s);
	}
}

/* ---- requests ---- */

static bool protocol_error(struct session *s, int err, const char *text)
{
	struct fault f;

	(void)fault_set(&f, STAGE_PROTOCOL, err, "%s", text);
	session_fail(s, &f);
	session_flush(s);
	return false;
}

static bool take_hello(struct session *s, const struct frame *f)
{
	struct wire_hello h;

	memcpy(&h, f->payload, sizeof(h));
	if (f->h.type != WIRE_HELLO || h.version != WIRE_VERSION)
		return protocol_error(s, EPROTO, "this agent speaks version 1 of the protocol");
	s->greeted = true;
	return true;
}

static bool take_plan(struct session *s, const struct frame *f)
{
	uint8_t *p;

	if (f->h.len > WIRE_PLAN_MAX - s->plan_len)
		return protocol_error(s, E2BIG, "the plan is too large");
	p = realloc(s->plan, s->plan_len + f->h.len + 1);
	if (!p)
		return protocol_error(s, ENOMEM, "no memory for the plan");
	memcpy(p + s->plan_len, f->payload, f->h.len);
	s->plan = p;
	s->plan_len += f->h.len;
	return true;
}

/* A request that takes the plan; the plan is freed. */
static void with_plan(struct session *s, void (*fn)(struct session *s, const uint8_t *plan, size_t len))
{
	uint8_t *plan = s->plan;
	size_t len = s->plan_len;

	s->plan = NULL;
	s->plan_len = 0;
	fn(s, plan, len);
	free(plan);
}

/*
 * Frames for the process of an init or exec session. One that has failed or ended leaves late
 * frames to be ignored.
 */
static bool stream_frame(struct session *s, const struct frame *f)
{
	struct wire_winsize ws;
	uint32_t more;

	if (!s->had_process)
		return protocol_error(s, EPROTO, "this session has no process");
	if (!s->proc)
		return true;
	switch (f->h.type) {
	case WIRE_DATA:
		return relay_data(&s->proc->io, f->payload, f->h.len) ||
		       protocol_error(s, EPROTO, "more input than was allowed");
	case WIRE_WINDOW:
		memcpy(&more, f->payload, sizeof(more));
		return relay_window(&s->proc->io, f->h.chan, more) || protocol_error(s, EPROTO, "credit overflows");
	case WIRE_RESIZE:
		memcpy(&ws, f->payload, sizeof(ws));
		relay_resize(&s->proc->io, &ws);
		return true;
	default:
		relay_eof(&s->proc->io, f->h.chan);
		return true;
	}
}

static bool take_signal(struct session *s, const struct frame *f)
{
	struct wire_signal sig;

	memcpy(&sig, f->payload, sizeof(sig));
	if (f->h.len > sizeof(sig)) {
		control_signal(s, (const char *)f->payload + sizeof(sig), f->h.len - sizeof(sig), &sig);
		return true;
	}
	if (!s->had_process || sig.signo < 1 || sig.signo > 64)
		return protocol_error(s, EINVAL, "signal without a process");
	if (s->proc)
		(void)process_signal(s->proc, (int)sig.signo);
	return true;
}

static void job_over(void *ctx, const struct fault *f, const uint8_t *data, size_t len)
{
	struct session *s = ctx;
	struct net_result r;

	s->job = NULL;
	if (!f && len == sizeof(r)) {
		memcpy(&r, data, sizeof(r));
		net_remember(&r);
	}
	if (f)
		session_fail(s, f);
	else
		session_ok(s, NULL, 0);
}

static void run_job(struct session *s, job_fn fn, void *arg)
{
	struct fault f;

	s->job = job_start(fn, arg, -1, job_over, s, JOB_MS);
	if (s->job) {
		session_defer(s, NULL, NULL);
		return;
	}
	(void)fault_set(&f, STAGE_SETUP, errno, "start a worker");
	session_fail(s, &f);
}

/* Messages in PLAN frames come before those of the request itself. */
static bool take_net(struct session *s, const struct frame *f)
{
	size_t own = f->h.len - sizeof(uint32_t);
	struct net_args a = { 0 };
	uint8_t *all = malloc(s->plan_len + own + 1);

	if (!all)
		return protocol_error(s, ENOMEM, "no memory for the messages");
	memcpy(&a.slot, f->payload, sizeof(a.slot));
	if (s->plan_len)
		memcpy(all, s->plan, s->plan_len);
	memcpy(all + s->plan_len, f->payload + sizeof(a.slot), own);
	a.msgs = all;
	a.len = s->plan_len + own;
	free(s->plan);
	s->plan = NULL;
	s->plan_len = 0;
	run_job(s, net_apply, &a); /* the child has its own copy */
	free(all);
	return true;
}

static void take_time(struct session *s, const struct frame *f)
{
	struct fault fault;
	int64_t ns;
	int r;

	memcpy(&ns, f->payload, sizeof(ns));
	r = machine_set_time(ns);
	if (r == 0) {
		session_ok(s, NULL, 0);
		return;
	}
	(void)fault_set(&fault, STAGE_SETUP, r, "set the clock");
	session_fail(s, &fault);
}

/* Services are sessions of their own. */
static bool has_role(const struct session *s)
{
	return s->had_process || s->resolver || s->serves;
}

static bool take_resolver(struct session *s, const struct frame *f)
{
	struct wire_resolver q;
	struct fault fault;

	memcpy(&q, f->payload, sizeof(q));
	if (has_role(s))
		return protocol_error(s, EBUSY, "this session has another role");
	s->resolver = resolver_open(s, &q);
	if (s->resolver) {
		session_ok(s, NULL, 0);
		return true;
	}
	(void)fault_set(&fault, STAGE_SETUP, errno, "listen on %u.%u.%u.%u port 53", q.addr[0], q.addr[1], q.addr[2],
			q.addr[3]);
	session_fail(s, &fault);
	return true;
}

static bool take_forward(struct session *s, const struct frame *f)
{
	struct wire_forward q;

	memcpy(&q, f->payload, sizeof(q));
	if (has_role(s))
		return protocol_error(s, EBUSY, "this session has another role");
	forward_begin(s, &q);
	return true;
}

static bool take_sockets(struct session *s, const char *cid, size_t len)
{
	const struct container *c = container_find(cid, len);
	struct fault f;

	if (has_role(s))
		return protocol_error(s, EBUSY, "this session has another role");
	if (c) {
		s->serves = true;
		hostsock_serve(s, c);
		return true;
	}
	(void)fault_set(&f, STAGE_STATE, ENOENT, "container does not exist");
	session_fail(s, &f);
	return true;
}

static bool take_call_reply(struct session *s, const struct frame *f)
{
	uint32_t id;

	memcpy(&id, f->payload, sizeof(id));
	if (f->h.type == WIRE_REFUSE) {
		hostsock_refuse(s, id);
		return true;
	}
	if (has_role(s))
		return protocol_error(s, EBUSY, "this session has another role");
	hostsock_answer(s, id);
	return true;
}

static bool new_process(struct session *s, void (*fn)(struct session *s, const uint8_t *plan, size_t len))
{
	if (s->had_process)
		return protocol_error(s, EBUSY, "this session has had its process");
	with_plan(s, fn);
	return true;
}

/* False: the session must end. */
static bool dispatch(struct session *s, const struct frame *f)
{
	const char *cid = (const char *)f->payload;
	uint32_t cpus;

	if (!s->greeted)
		return take_hello(s, f);
	switch (f->h.type) {
	case WIRE_DATA:
	case WIRE_EOF:
	case WIRE_WINDOW:
	case WIRE_RESIZE:
		return stream_frame(s, f);
	case WIRE_DNS:
		if (!s->resolver)
			return protocol_error(s, EPROTO, "this session is no resolver's");
		resolver_answer(s->resolver, f->payload, f->h.len);
		return true;
	case WIRE_RESOLVER:
		return take_resolver(s, f);
	case WIRE_FORWARD:
		return take_forward(s, f);
	case WIRE_CHANGES:
		changes_begin(s, f->payload, f->h.len);
		return true;
	case WIRE_SOCKETS:
		return take_sockets(s, cid, f->h.len);
	case WIRE_ANSWER:
	case WIRE_REFUSE:
		return take_call_reply(s, f);
	case WIRE_PLAN:
		return take_plan(s, f);
	case WIRE_CREATE:
		return new_process(s, container_create);
	case WIRE_EXEC:
		return new_process(s, container_exec);
	case WIRE_UPDATE:
		with_plan(s, control_update);
		return true;
	case WIRE_SIGNAL:
		return take_signal(s, f);
	case WIRE_START:
		container_start(s, cid, f->h.len);
		return true;
	case WIRE_PS:
		control_ps(s, cid, f->h.len);
		return true;
	case WIRE_PAUSE:
		control_pause(s, cid, f->h.len);
		return true;
	case WIRE_RESUME:
		control_resume(s, cid, f->h.len);
		return true;
	case WIRE_STATS:
		control_stats(s, cid, f->h.len);
		return true;
	case WIRE_DESTROY:
		container_destroy(s, cid, f->h.len);
		return true;
	case WIRE_WAIT:
		s->waits = control_wait(s, cid, f->h.len);
		return true;
	case WIRE_NET:
		return take_net(s, f);
	case WIRE_SETTIME:
		take_time(s, f);
		return true;
	case WIRE_CPUS:
		memcpy(&cpus, f->payload, sizeof(cpus));
		run_job(s, machine_set_cpus, &cpus);
		return true;
	default: /* a second HELLO */
		return protocol_error(s, EPROTO, "unexpected frame");
	}
}

/* ---- receiving ---- */

/* Handle the frames in rx[0..len); what is left goes to `part`. False: the session has ended. */
static bool handle_input(struct session *s, size_t len)
{
	size_t off = 0;
	struct frame f;
	int n = 0;

	while (!s->busy && !s->broken && (n = frame_split(rx + off, len - off, &f)) > 0) {
		off += (size_t)n;
		if (!dispatch(s, &f))
			return false;
	}
	if (n < 0) {
		protocol_error(s, EPROTO, "malformed frame");
		return false;
	}
	free(s->part);
	s->part = NULL;
	s->part_len = len - off;
	if (s->part_len) {
		s->part = malloc(s->part_len);
		if (!s->part)
			return false;
		memcpy(s->part, rx + off, s->part_len);
	}
	return true;
}

/* The agent's HELLO and whatever is complete leaves now, unless an answer is soon to follow. */
static void session_input(struct session *s)
{
	ssize_t n;

	if (s->part_len)
		memcpy(rx, s->part, s->part_len);
	n = recv(s->w.fd, rx + s->part_len, sizeof(rx) - s->part_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0 || !handle_input(s, s->part_len + (size_t)n)) {
		session_close(s);
		return;
	}
	if (!s->busy)
		loop_before_sleep(flush_all);
	session_update(s);
}

static void session_later(void *arg)
{
	struct session *s = arg;

	if (s->broken) {
		session_close(s);
		return;
	}
	memcpy(rx, s->part, s->part_len);
	if (!handle_input(s, s->part_len))
		session_close(s);
	else
		session_update(s);
}

static void session_event(void *arg, uint32_t events)
{
	struct session *s = arg;

	if (events & EPOLLOUT) {
		s->blocked = false;
		session_flush(s);
		if (!s->blocked && s->proc)
			relay_resume(&s->proc->io);
		if (!s->blocked && s->resolver)
			resolver_resume(s->resolver);
		session_update(s);
		if (s->broken)
			return;
	}
	if (events & EPOLLIN)
		session_input(s);
	else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		session_close(s);
}

int session_add(int fd)
{
	struct wire_hello h = { .version = WIRE_VERSION };
	struct session *s = count < SESSIONS_MAX ? calloc(1, sizeof(*s)) : NULL;
	int r;

	if (!s) {
		close(fd);
		return count < SESSIONS_MAX ? -ENOMEM : -EMFILE;
	}
	s->w = (struct watch){ .fd = fd, .fn = session_event, .arg = s };
	s->later = (struct timer){ .fn = session_later, .arg = s };
	memcpy(h.boot_ns, session_boot_ns, sizeof(session_boot_ns));
	h.boot_ns[3] = now_ns();
	r = outq_frame(&s->out, WIRE_HELLO, 0, &h, sizeof(h), NULL, 0);
	if (r == 0)
		r = watch_set(&s->w, EPOLLIN | EPOLLRDHUP);
	if (r) {
		watch_close(&s->w);
		outq_free(&s->out);
		free(s);
		return r;
	}
	s->next = sessions;
	sessions = s;
	count++;
	return 0;
}
