/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small epoll loop for proxies and foreground commands. Events are taken one at a time, so that a handler may
 * take out another watch without a stale event reaching it.
 */
#include "evloop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

int evloop_init(struct evloop *l)
{
	*l = (struct evloop){ .epfd = epoll_create1(EPOLL_CLOEXEC) };
	return l->epfd < 0 ? -errno : 0;
}

void evloop_free(struct evloop *l)
{
	if (l->epfd >= 0)
		close(l->epfd);
	l->epfd = -1;
}

int watch_set(struct evloop *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	int op;

	if (events == w->events)
		return 0;
	if (!events)
		op = EPOLL_CTL_DEL;
	else
		op = w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(l->epfd, op, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	return 0;
}

int evloop_run(struct evloop *l)
{
	while (!l->stop) {
		bool busy = l->idle && l->idle(l->idle_arg);
		struct epoll_event ev;
		struct watch *w;
		int n;

		if (l->stop)
			break;
		n = epoll_wait(l->epfd, &ev, 1, busy ? 0 : -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		w = ev.data.ptr;
		w->fn(w->arg, ev.events);
	}
	return 0;
}
