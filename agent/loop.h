/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's event loop: file descriptors and timers. One thread; one event at a time, so that a
 * callback may free any watch or timer, its own included.
 */
#ifndef HUSK_AGENT_LOOP_H
#define HUSK_AGENT_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

struct watch {
	int fd;
	uint32_t events; /* what is waited for; 0: not watched */
	void (*fn)(void *arg, uint32_t events);
	void *arg;
};

struct timer {
	uint64_t due; /* CLOCK_MONOTONIC ns; 0: not running */
	void (*fn)(void *arg);
	void *arg;
	struct timer *next;
};

/* 0 or -errno. */
int loop_init(void);

/**
 * watch_set() - wait for other events on w->fd
 * @events: EPOLL*; 0 stops watching, and must come before the fd is closed. EPOLLERR alone keeps watching for errors
 *          and hang-ups
 *
 * Return: 0 or -errno.
 */
int watch_set(struct watch *w, uint32_t events);

/* Stop watching, close the fd, set it to -1. */
void watch_close(struct watch *w);

/* (Re)start a timer that fires once. fn and arg are set by the caller. */
void timer_start(struct timer *t, uint64_t delay_ns);
void timer_stop(struct timer *t);

/*
 * Call fn once before the loop sleeps, or after a few more events when it does not come to rest:
 * for work that is cheaper when collected. Holds for one call.
 */
void loop_before_sleep(void (*fn)(void));

/*
 * Wait for one event, at most max_ms (-1: for ever), and handle it. 1 when something was handled,
 * 0, or -errno.
 */
int loop_once(int max_ms);

#endif
