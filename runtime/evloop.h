/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small epoll loop for proxies and foreground commands. Single-threaded: everything runs in the caller of
 * evloop_run().
 */
#ifndef HUSK_RUNTIME_EVLOOP_H
#define HUSK_RUNTIME_EVLOOP_H

#include <stdbool.h>
#include <stdint.h>

struct evloop {
	int epfd;
	bool stop;
	/* Called before each wait; returns true when it has work left that no fd announces (regular files as stdin). */
	bool (*idle)(void *arg);
	void *idle_arg;
};

struct watch {
	int fd;
	uint32_t events; /* what is watched now; 0: not registered */
	void (*fn)(void *arg, uint32_t events);
	void *arg;
};

/* 0 or -errno. */
int evloop_init(struct evloop *l);
void evloop_free(struct evloop *l);

/**
 * watch_set() - watch for these EPOLL* events; 0 takes the fd out
 *
 * The watch must stay in place while it is registered, and must be taken out before its fd is closed. A handler may
 * take out or change any watch, its own too. Return: 0 or -errno (-EPERM: a file that is always ready).
 */
int watch_set(struct evloop *l, struct watch *w, uint32_t events);

/* Run handlers until l->stop is set. 0 or -errno. */
int evloop_run(struct evloop *l);

#endif
