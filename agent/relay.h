/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard streams of one process, between its pipes or pty and its session, within credit both
 * ways (wire.h).
 */
#ifndef HUSK_AGENT_RELAY_H
#define HUSK_AGENT_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "loop.h"

struct session;
struct relay;

struct relay_out {
	struct relay *r;
	struct watch w; /* fd: read end of the pipe, or the pty's master; -1: closed */
	uint8_t chan;
	uint32_t credit; /* bytes that the host takes */
	uint32_t due;	 /* bytes that the process had written when it ended, not relayed yet */
	bool settled;	 /* after its end: all of that has been relayed */
};

struct relay_in {
	struct watch w;	   /* fd: write end, or a copy of the master; -1: closed */
	struct outq q;	   /* arrived, not taken by the process yet */
	uint32_t returned; /* taken, not told to the host by a WINDOW yet */
	bool eof;	   /* close it when q is empty */
};

struct relay {
	struct session *s; /* NULL: nobody listens, all is closed */
	bool tty, exited;
	int slave; /* a pty's other end, so that it does not hang up while the process lives; -1: none */
	struct relay_out out[2];
	struct relay_in in;
	void (*on_settled)(void *arg); /* all output written before relay_exited() has been sent */
	void *arg;
};

/**
 * relay_init() - pipes for a new process
 * @uid, @gid: their owner in the guest, so that the process can reopen /dev/stdout
 * @theirs: out, the process's ends (O_CLOEXEC), to be closed by the caller after the fork; -1 with
 * a tty
 *
 * Return: 0 or -errno.
 */
int relay_init(struct relay *r, struct session *s, bool tty, uint32_t uid, uint32_t gid, int theirs[3]);

/* The child made its pty. Takes the master over. 0 or -errno. */
int relay_set_tty(struct relay *r, int master);

/* Close everything; the pty hangs up. */
void relay_close(struct relay *r);

/* Frames of the host. False: it broke the rules of credit. */
bool relay_data(struct relay *r, const uint8_t *data, uint32_t len);
bool relay_window(struct relay *r, uint8_t chan, uint32_t more);
void relay_eof(struct relay *r, uint8_t chan);
void relay_resize(struct relay *r, const struct wire_winsize *ws);

/* The session's queue is empty again: go on reading. */
void relay_resume(struct relay *r);

/*
 * The process has ended: on_settled is called, perhaps at once, when what it wrote before is sent.
 */
void relay_exited(struct relay *r);

/* Wait no longer for a host that takes nothing. */
void relay_settle(struct relay *r);

bool relay_settled(const struct relay *r);

#endif
