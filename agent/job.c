/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forked workers. A job is done when its pipe is at its end and its process reaped, in whichever
 * order. Protocol of the pipe: the result's bytes; when the exit status is 1, a struct fault
 * instead.
 */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"
#include "util.h"

struct job {
	struct job *next;
	pid_t pid; /* 0: reaped */
	int status;
	struct watch w;
	struct timer limit;
	uint8_t *data;
	size_t len, cap;
	uint32_t err;  /* our own reason to fail it */
	job_done done; /* NULL: cancelled */
	void *ctx;
};

static struct job *jobs;

static void job_free(struct job *j)
{
	for (struct job **p = &jobs; *p; p = &(*p)->next) {
		if (*p == j) {
			*p = j->next;
			break;
		}
	}
	watch_close(&j->w);
	timer_stop(&j->limit);
	free(j->data);
	free(j);
}

static void job_check(struct job *j)
{
	struct fault f = { .err = j->err, .stage = STAGE_SETUP };
	bool failed = true;

	if (j->pid || j->w.fd >= 0)
		return;
	if (j->err)
		(void)snprintf(f.text, sizeof(f.text), "%s", j->err == ETIMEDOUT ? "not done in time" : "no result");
	else if (WIFEXITED(j->status) && WEXITSTATUS(j->status) == 0)
		failed = false;
	else if (WIFEXITED(j->status) && j->len == sizeof(f))
		memcpy(&f, j->data, sizeof(f));
	else
		f.err = EIO;
	f.text[sizeof(f.text) - 1] = '\0';
	if (j->done)
		j->done(j->ctx, failed ? &f : NULL, j->data, failed ? 0 : j->len);
	job_free(j);
}

static void job_fail(struct job *j, uint32_t err)
{
	if (!j->err)
		j->err = err;
	if (j->pid)
		kill(j->pid, SIGKILL);
	watch_close(&j->w);
	job_check(j);
}

static void job_readable(void *arg, uint32_t events)
{
	struct job *j = arg;
	ssize_t n;

	(void)events;
	if (j->len == j->cap) {
		size_t cap = j->cap ? j->cap * 2 : 4096;
		uint8_t *p = cap > JOB_RESULT_MAX ? NULL : realloc(j->data, cap);

		if (!p) {
			job_fail(j, cap > JOB_RESULT_MAX ? E2BIG : ENOMEM);
			return;
		}
		j->data = p;
		j->cap = cap;
	}
	n = read(j->w.fd, j->data + j->len, j->cap - j->len);
	if (n > 0) {
		j->len += (size_t)n;
	} else if (n == 0 || errno != EAGAIN) {
		watch_close(&j->w);
		job_check(j);
	}
}

static void job_late(void *arg)
{
	job_fail(arg, ETIMEDOUT);
}

static void __attribute__((noreturn)) job_child(job_fn fn, void *arg, int keep, int out)
{
	int fds[2] = { keep, out };
	struct fault f = { 0 };
	sigset_t none;

	/* a copy of a session or of a pipe would keep it open for as long as we live */
	fds_close_except(fds, 2);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fn(arg, out, &f) == 0)
		_exit(0);
	_exit(write_all(out, &f, sizeof(f)) ? 2 : 1);
}

struct job *job_start(job_fn fn, void *arg, int keep, job_done done, void *ctx, unsigned int timeout_ms)
{
	struct job *j = calloc(1, sizeof(*j));
	int fds[2], r;

	if (!j)
		return NULL;
	if (pipe2(fds, O_CLOEXEC)) {
		free(j);
		return NULL;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	j->done = done;
	j->ctx = ctx;
	j->w = (struct watch){ .fd = fds[0], .fn = job_readable, .arg = j };
	j->limit = (struct timer){ .fn = job_late, .arg = j };
	j->pid = fork();
	if (j->pid == 0)
		job_child(fn, arg, keep, fds[1]);
	r = j->pid < 0 ? -errno : watch_set(&j->w, EPOLLIN);
	close(fds[1]);
	if (r < 0) {
		if (j->pid > 0)
			kill(j->pid, SIGKILL); /* reaped as an orphan */
		watch_close(&j->w);
		free(j);
		errno = -r;
		return NULL;
	}
	timer_start(&j->limit, timeout_ms * NS_PER_MS);
	j->next = jobs;
	jobs = j;
	return j;
}

void job_cancel(struct job *j)
{
	if (!j)
		return;
	j->done = NULL;
	job_fail(j, ECANCELED);
}

bool job_reaped(pid_t pid, int status)
{
	for (struct job *j = jobs; j; j = j->next) {
		if (j->pid == pid) {
			j->pid = 0;
			j->status = status;
			job_check(j);
			return true;
		}
	}
	return false;
}
