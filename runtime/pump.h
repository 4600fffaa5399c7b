/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay between three standard fds of the host and one init or exec session: bytes both ways within the
 * credit of agent/wire.h, ends of file, closed readers, window size, signals, exit.
 *
 * The same pump serves the init proxy, exec proxies and foreground commands. It lives in their event loop.
 */
#ifndef HUSK_RUNTIME_PUMP_H
#define HUSK_RUNTIME_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "evloop.h"
#include "session.h"
#include "stdio.h"

struct pump;

struct pump_out { /* guest -> host */
	struct pump *p;
	struct stdio io;
	struct watch w;
	uint8_t chan;
	bool eof;	  /* the guest's last writer is gone */
	bool reader_gone; /* nobody reads on the host: the agent has been told */
	uint8_t *ring;	  /* WIRE_CREDIT bytes: received, not written yet */
	uint32_t head, len;
	uint32_t done; /* consumed since the last WINDOW */
};

struct pump_in { /* host -> guest */
	struct pump *p;
	struct stdio io;
	struct watch w;
	uint32_t credit;
	bool on;  /* the process has been started: read */
	bool eof; /* EOF has been sent */
};

struct pump {
	struct evloop *loop;
	struct session *s;
	struct watch session_w, tick_w;
	struct pump_in in;
	struct pump_out out[2];
	bool tty;
	bool primed;	/* what the session had buffered before the loop ran has been taken */
	bool exited;	/* EXIT came */
	bool ended;	/* on_end was called */
	bool lingering; /* go on after EXIT until both outputs are at their end */
	struct wire_exit exit;
	uint64_t written, written_at_tick;
	unsigned int idle_ticks;

	/* OK, ERROR and OOM frames. May be NULL. */
	void (*on_frame)(void *arg, const struct frame *f);
	/* Once: the process has ended and its output is written (p->exited), or the session broke (!p->exited). */
	void (*on_end)(void *arg);
	void *arg;
};

/**
 * pump_init() - join a session and three standard fds
 * @fds: stdin, stdout, stderr; taken over. With tty stderr is not used and may equal another
 * @tty: the guest process has a terminal
 *
 * Set on_frame, on_end and arg before the loop runs. 0 or -errno.
 */
int pump_init(struct pump *p, struct evloop *loop, struct session *s, const int fds[3], bool tty);
void pump_free(struct pump *p);

/* The process has been started: begin to read stdin, send the window size. */
void pump_start(struct pump *p);

/* Send queued frames of the session soon; call after session_put(). */
void pump_kick(struct pump *p);

/* Pass a signal on to the process. After its exit: stop waiting for slow readers. */
void pump_signal(struct pump *p, int signo);

/* Send the size of the terminal that is our stdin or stdout. */
void pump_resize(struct pump *p);

/* Output may still come though the process has ended: background processes of it hold stdout or stderr. */
bool pump_lingers(const struct pump *p);

/* Go on relaying output until its end; on_end is called (again) then. */
void pump_linger(struct pump *p);

/* The exit status for our parent: the process's own, 128 + signal, or 137 when the session broke. */
int pump_status(const struct pump *p);

#endif
