/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about a container that is there. The loop runs it; what may block is a job. The error
 * texts of STAGE_STATE are the ones that engines match.
 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "job.h"
#include "plan_decode.h"
#include "process.h"
#include "ps.h"
#include "session.h"
#include "util.h"

#define PAUSE_NS (10 * NS_PER_S)
#define PS_MS 30000u
#define UPDATE_MS 30000u

static struct container *find_or_fail(struct session *s, const char *cid, size_t len)
{
	struct container *c = container_find(cid, len);
	struct fault f;

	if (!c) {
		(void)fault_set(&f, STAGE_STATE, ENOENT, "container does not exist");
		session_fail(s, &f);
	}
	return c;
}

static void fail_state(struct session *s, int err, const char *text)
{
	struct fault f;

	(void)fault_set(&f, STAGE_STATE, err, "%s", text);
	session_fail(s, &f);
}

static void answer(struct session *s, int r, const char *what)
{
	struct fault f;

	if (r == 0) {
		session_ok(s, NULL, 0);
		return;
	}
	(void)fault_set(&f, STAGE_SETUP, r, "%s", what);
	session_fail(s, &f);
}

/* ---- signals ---- */

static int signal_one(pid_t pid, void *arg)
{
	(void)kill(pid, *(const int *)arg);
	return 0;
}

void control_signal(struct session *s, const char *cid, size_t len, const struct wire_signal *sig)
{
	struct container *c = find_or_fail(s, cid, len);
	int signo = (int)sig->signo, r;

	if (!c)
		return;
	if (sig->signo < 1 || sig->signo > 64) {
		fail_state(s, EINVAL, "invalid signal");
		return;
	}
	if (sig->all) {
		r = signo == SIGKILL ? cgroup_kill(c->cgroup) : cgroup_each_pid(c->cgroup, signal_one, &signo);
		if (c->init && c->state == CONTAINER_STOPPED)
			(void)process_signal(c->init, signo);
		answer(s, r, "signal all processes");
		return;
	}
	r = c->init && c->state != CONTAINER_BUILDING ? process_signal(c->init, signo) : -ESRCH;
	if (r == -ESRCH)
		fail_state(s, ESRCH, "container not running");
	else
		answer(s, r, "signal");
}

/* ---- pause ---- */

static void pause_done(struct container *c, const struct fault *f)
{
	struct session *s = c->pauser;

	timer_stop(&c->pause_limit);
	c->pauser = NULL;
	if (f) {
		c->paused = false;
		(void)cgroup_write(c->cgroup, "cgroup.freeze", "0");
	}
	if (s && f)
		session_fail(s, f);
	else if (s)
		session_ok(s, NULL, 0);
}

static void pause_written_back(void *ctx, const struct fault *f, const uint8_t *data, size_t len)
{
	struct container *c = ctx;

	(void)data;
	(void)len;
	c->pause_job = NULL;
	pause_done(c, f);
}

static void pause_late(void *arg)
{
	struct container *c = arg;
	struct fault f;

	(void)fault_set(&f, STAGE_SETUP, ETIMEDOUT, "freeze the container");
	pause_done(c, &f);
}

/* The host closed: nobody needs to know, but the container stays paused. */
static void pauser_gone(void *arg)
{
	((struct container *)arg)->pauser = NULL;
}

void control_pause_event(struct container *c)
{
	struct fault f;

	if (!c->pause_limit.due || c->pause_job)
		return;
	if (c->state == CONTAINER_STOPPED) {
		(void)fault_set(&f, STAGE_STATE, ESRCH, "container not running");
		pause_done(c, &f);
		return;
	}
	if (cgroup_value(c->cgroup, "cgroup.events", "frozen") != 1)
		return;
	/* whoever commits or copies a paused container reads its files on the host */
	timer_stop(&c->pause_limit);
	c->pause_job = container_writeback(pause_written_back, c);
	if (!c->pause_job) {
		(void)fault_set(&f, STAGE_SETUP, errno, "write dirty files back to the host");
		pause_done(c, &f);
	}
}

void control_pause(struct session *s, const char *cid, size_t len)
{
	struct container *c = find_or_fail(s, cid, len);
	int r;

	if (!c)
		return;
	if (c->state == CONTAINER_STOPPED || c->state == CONTAINER_BUILDING) {
		fail_state(s, ESRCH, "container not running");
		return;
	}
	if (c->paused) {
		fail_state(s, EBUSY, "container already paused");
		return;
	}
	r = cgroup_write(c->cgroup, "cgroup.freeze", "1");
	if (r) {
		answer(s, r, "freeze the container");
		return;
	}
	c->paused = true;
	c->pauser = s;
	c->pause_limit.fn = pause_late;
	c->pause_limit.arg = c;
	timer_start(&c->pause_limit, PAUSE_NS);
	session_defer(s, pauser_gone, c);
	control_pause_event(c);
}

void control_resume(struct session *s, const char *cid, size_t len)
{
	struct container *c = find_or_fail(s, cid, len);
	struct fault f;

	if (!c)
		return;
	if (!c->paused) {
		fail_state(s, EINVAL, "container not paused");
		return;
	}
	c->paused = false;
	job_cancel(c->pause_job);
	c->pause_job = NULL;
	if (c->pauser) {
		(void)fault_set(&f, STAGE_STATE, ECANCELED, "resumed before it was paused");
		pause_done(c, &f);
	}
	timer_stop(&c->pause_limit);
	answer(s, cgroup_write(c->cgroup, "cgroup.freeze", "0"), "thaw the container");
}

void control_forget(struct container *c)
{
	timer_stop(&c->pause_limit);
	job_cancel(c->pause_job);
	c->pause_job = NULL;
	if (c->pauser)
		fail_state(c->pauser, ESRCH, "container not running");
	c->pauser = NULL;
}

/* ---- update ---- */

struct request {
	struct session *s; /* NULL when the host has closed */
	struct job *job;
	void *data;
};

static void request_gone(void *arg)
{
	struct request *q = arg;

	job_cancel(q->job);
	free(q->data);
	free(q);
}

static struct request *request_new(struct session *s)
{
	struct request *q = calloc(1, sizeof(*q));

	if (q)
		q->s = s;
	return q;
}

static void request_start(struct request *q, job_fn fn, void *arg, int keep, job_done done, unsigned int ms)
{
	struct session *s = q->s;

	q->job = job_start(fn, arg, keep, done, q, ms);
	if (q->job) {
		session_defer(s, request_gone, q);
		return;
	}
	answer(s, -errno, "start a worker");
	request_gone(q);
}

/* Free the request and its data, then answer. */
static struct session *request_end(struct request *q)
{
	struct session *s = q->s;

	free(q->data);
	free(q);
	return s;
}

static void request_done(void *ctx, const struct fault *f, const uint8_t *data, size_t len)
{
	struct session *s = request_end(ctx);

	(void)data;
	(void)len;
	if (f)
		session_fail(s, f);
	else
		session_ok(s, NULL, 0);
}

struct update_args {
	struct plan plan;
	int cgroup;
};

/* A lower memory.max reclaims before it returns: that may take long. */
static int update_files(void *arg, int out, struct fault *f)
{
	struct update_args *a = arg;
	struct plan_iter it;
	struct plan_item i;

	(void)out;
	plan_iter_init(&it, &a->plan);
	while (plan_next(&it, &i)) {
		int r = i.op == OP_CGROUP_WRITE ? cgroup_write(a->cgroup, i.str[0], i.str[1]) : 0;

		if (r)
			return fault_set(f, STAGE_SETUP, r, "cgroup file %s: write \"%s\"", i.str[0], i.str[1]);
	}
	return 0;
}

void control_update(struct session *s, const uint8_t *data, size_t len)
{
	struct update_args a;
	struct container *c;
	struct plan_item i;
	struct request *q;
	struct fault f;
	int r;

	if (plan_open(&a.plan, data, len, PLAN_UPDATE, &f)) {
		session_fail(s, &f);
		return;
	}
	c = find_or_fail(s, a.plan.cid, strlen(a.plan.cid));
	if (!c)
		return;
	if (c->state == CONTAINER_STOPPED) {
		fail_state(s, ESRCH, "container not running");
		return;
	}
	r = plan_find(&a.plan, OP_CGROUP_DEVICES, &i) ? cgroup_devices(c->cgroup, i.tail, i.tail_len, &c->devices) : 0;
	q = r ? NULL : request_new(s);
	if (!q) {
		answer(s, r ? r : -ENOMEM, "cgroup device rules");
		return;
	}
	a.cgroup = c->cgroup;
	/* the child has its own copy of the plan and of `a` */
	request_start(q, update_files, &a, c->cgroup, request_done, UPDATE_MS);
}

/* ---- ps ---- */

/* Bytes of whole records at `data` that fit into one frame. */
static size_t records_that_fit(const uint8_t *data, size_t len)
{
	size_t fit = 0;

	for (;;) {
		struct wire_ps ps;
		size_t n;

		if (len - fit < sizeof(ps))
			return fit;
		memcpy(&ps, data + fit, sizeof(ps));
		n = sizeof(ps) + (size_t)ps.cmd_len;
		if (n > len - fit || fit + n > WIRE_PAYLOAD_MAX)
			return fit;
		fit += n;
	}
}

static void ps_done(void *ctx, const struct fault *f, const uint8_t *data, size_t len)
{
	struct session *s = request_end(ctx);
	size_t n;

	if (f) {
		session_fail(s, f);
		return;
	}
	while (len > WIRE_PAYLOAD_MAX && (n = records_that_fit(data, len)) > 0) {
		session_frame(s, WIRE_DATA, WIRE_STDOUT, data, n);
		data += n;
		len -= n;
	}
	session_ok(s, data, records_that_fit(data, len));
}

void control_ps(struct session *s, const char *cid, size_t len)
{
	struct container *c = find_or_fail(s, cid, len);
	struct request *q;
	struct ps_args a;

	if (!c)
		return;
	q = request_new(s);
	if (!q) {
		answer(s, -ENOMEM, "list processes");
		return;
	}
	a = (struct ps_args){ .cgroup = c->cgroup, .own_pid_ns = c->namespaces & CLONE_NEWPID };
	request_start(q, ps_collect, &a, c->cgroup, ps_done, PS_MS);
}

/* ---- stats ---- */

struct stats_out {
	struct session *s;
	uint8_t frame[WIRE_PAYLOAD_MAX];
	size_t len;
};

static void stats_flush(struct stats_out *o)
{
	if (o->len)
		session_frame(o->s, WIRE_DATA, WIRE_STDOUT, o->frame, o->len);
	o->len = 0;
}

/* A record: name NUL length content. What the kernel does not offer is left out. */
static void stats_file(struct stats_out *o, int dir, const char *path, const char *name)
{
	static char text[16384];
	ssize_t n = file_read(dir, path, text, sizeof(text));
	size_t name_len = strlen(name) + 1;
	uint32_t len32 = (uint32_t)n;

	if (n < 0)
		return;
	if (sizeof(o->frame) - o->len < name_len + sizeof(len32) + (size_t)n)
		stats_flush(o);
	memcpy(o->frame + o->len, name, name_len);
	memcpy(o->frame + o->len + name_len, &len32, sizeof(len32));
	memcpy(o->frame + o->len + name_len + sizeof(len32), text, (size_t)n);
	o->len += name_len + sizeof(len32) + (size_t)n;
}

void control_stats(struct session *s, const char *cid, size_t len)
{
	static const char *const files[] = {
		"cgroup.events",
		"cgroup.stat",
		"cpu.stat",
		"cpu.max",
		"cpu.weight",
		"cpu.pressure",
		"cpuset.cpus.effective",
		"memory.current",
		"memory.max",
		"memory.high",
		"memory.low",
		"memory.peak",
		"memory.stat",
		"memory.events",
		"memory.pressure",
		"memory.swap.current",
		"memory.swap.max",
		"pids.current",
		"pids.max",
		"pids.peak",
		"io.stat",
		"io.pressure",
		"hugetlb.2MB.current",
		"hugetlb.2MB.max",
		"hugetlb.2MB.events",
		"hugetlb.1GB.current",
		"hugetlb.1GB.max",
		"hugetlb.1GB.events",
	};
	static struct stats_out o;
	struct container *c = find_or_fail(s, cid, len);
	char net[64] = "/proc/net/dev";

	if (!c)
		return;
	o.s = s;
	o.len = 0;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		stats_file(&o, c->cgroup, files[i], files[i]);
	if (c->init && c->state != CONTAINER_STOPPED)
		(void)snprintf(net, sizeof(net), "/proc/%d/net/dev", (int)c->init->pid);
	stats_file(&o, AT_FDCWD, net, "net/dev");
	stats_flush(&o);
	session_ok(s, NULL, 0);
}

struct container *control_wait(struct session *s, const char *cid, size_t len)
{
	struct container *c = find_or_fail(s, cid, len);

	if (!c)
		return NULL;
	session_ok(s, NULL, 0);
	if (c->oom)
		session_frame(s, WIRE_OOM, 0, c->cid, strlen(c->cid));
	if (c->init && c->init->exit_sent)
		session_frame(s, WIRE_EXIT, 0, &c->init->exit, sizeof(c->init->exit));
	return c;
}
