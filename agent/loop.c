/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll and a sorted list of timers. The agent's only thread runs it and nothing in it blocks.
 */
#include "loop.h"

#include <errno.h>
#include <unistd.h>

#include "util.h"

static int epfd = -1;
static struct timer *timers; /* the next one first */
static void (*collected)(void);
static unsigned int collecting; /* events since loop_before_sleep() */

#define COLLECT_MAX 16u

int loop_init(void)
{
	if (epfd < 0)
		epfd = epoll_create1(EPOLL_CLOEXEC);
	return epfd < 0 ? -errno : 0;
}

int watch_set(struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	int op;

	if (events == w->events || w->fd < 0)
		return 0;
	if (!events)
		op = EPOLL_CTL_DEL;
	else
		op = w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(epfd, op, w->fd, &ev))
		return -errno;
	w->events = events;
	return 0;
}

void watch_close(struct watch *w)
{
	watch_set(w, 0);
	fd_close(&w->fd);
	w->events = 0;
}

void timer_stop(struct timer *t)
{
	for (struct timer **p = &timers; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	t->due = 0;
}

void timer_start(struct timer *t, uint64_t delay_ns)
{
	struct timer **p = &timers;

	timer_stop(t);
	t->due = now_ns() + delay_ns;
	while (*p && (*p)->due <= t->due)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
}

static bool timer_fire(void)
{
	struct timer *t = timers;

	if (!t || now_ns() < t->due)
		return false;
	timers = t->next;
	t->due = 0;
	t->fn(t->arg);
	return true;
}

static int wait_ms(int max_ms)
{
	uint64_t now, ms;

	if (!timers)
		return max_ms;
	now = now_ns();
	ms = timers->due > now ? (timers->due - now) / NS_PER_MS + 1 : 0;
	return max_ms >= 0 && (uint64_t)max_ms < ms ? max_ms : (int)(ms > 60000 ? 60000 : ms);
}

void loop_before_sleep(void (*fn)(void))
{
	if (!collected)
		collecting = 0;
	collected = fn;
}

static void run_collected(void)
{
	void (*fn)(void) = collected;

	collected = NULL;
	fn();
}

int loop_once(int max_ms)
{
	struct epoll_event ev;
	struct watch *w;
	int n;

	if (collected && ++collecting > COLLECT_MAX)
		run_collected();
	if (timer_fire())
		return 1;
	n = epoll_wait(epfd, &ev, 1, collected ? 0 : wait_ms(max_ms));
	if (n == 0 && collected) {
		run_collected();
		return 1;
	}
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return timer_fire() ? 1 : 0;
	w = ev.data.ptr;
	w->fn(w->arg, ev.events);
	return 1;
}
