/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `hostc` (on this machine) and `hostd` (in the emulated host) say to each
 * other over one virtio-serial port.  One port carries one command at a time.
 *
 * A session begins with the client's HELLO, which has a nonce of the client's.
 * hostd looks for its fixed pattern whenever no session runs, and a HELLO within
 * a session means that the earlier client has died: so neither depends on seeing
 * every hang-up.  The client skips what an earlier session left behind until it
 * sees READY with its own nonce, then sends START.  hostd ends with EXIT or
 * ERROR, the client by closing.  A client that goes away before that ends its
 * command.
 *
 * stdin goes under credit, so that control frames are never stuck behind data
 * which the command does not read.
 */
#ifndef HUSK_TESTS_HOSTPROTO_H
#define HUSK_TESTS_HOSTPROTO_H

#include <stdint.h>

#define HOST_PORTS 16		      /* sessions at once */
#define HOST_PORT_PREFIX "husk.exec." /* + port number, in decimal */
#define HOST_FRAME_MAX (1u << 20)     /* payload bytes; only START is that large */
#define HOST_DATA_MAX (16u << 10)     /* payload bytes of STDIN, STDOUT, STDERR */
#define HOST_STDIN_WINDOW (64u << 10) /* stdin bytes in flight */

struct host_frame {
	uint32_t type;
	uint32_t len; /* of the payload that follows */
};

/* HELLO and READY, header and all: what either side looks for in a stream of unknown bytes */
struct host_hello {
	struct host_frame frame;
	char magic[8]; /* HOST_MAGIC, without its NUL */
	uint64_t nonce;
};
#define HOST_MAGIC "huskHOST"
#define HOST_HELLO_FIXED 16u /* leading bytes that do not depend on the nonce */

enum host_frame_type {
	/* client to hostd */
	HOST_HELLO = 1, /* struct host_hello */
	HOST_START,	/* struct host_start + strings */
	HOST_STDIN,	/* bytes; none: end of file */
	HOST_SIGNAL,	/* uint32_t signal, for the command's process group */
	HOST_WINCH,	/* two uint16_t: rows, columns */
	HOST_PING,
	/* hostd to client */
	HOST_READY = 0x40, /* struct host_hello with the client's nonce */
	HOST_STARTED,	   /* START has come */
	HOST_STDOUT,
	HOST_STDERR,
	HOST_CREDIT, /* uint32_t: stdin bytes that the command has taken */
	HOST_EXIT,   /* uint32_t: status, 128 + n for signal n */
	HOST_ERROR,  /* text, no NUL; the command was not started */
	HOST_PONG,
};

enum host_op {
	HOST_OP_EXEC = 1,
	HOST_OP_REFRESH, /* forget cached names and data of the lower layer */
	HOST_OP_SYNC,	 /* write everything back */
	HOST_OP_PING,	 /* nothing: EXIT 0 */
};

#define HOST_F_TTY 1u	/* a pseudo terminal instead of three pipes */
#define HOST_F_STDIN 2u /* stdin follows; otherwise it is /dev/null */

/* strings: working directory, then envc times K=V, then argc arguments, each with its NUL */
struct host_start {
	int64_t realtime_ns; /* the client's clock: hostd sets its own by it */
	uint32_t op;
	uint32_t flags;
	uint32_t envc, argc;
	uint16_t rows, cols;
	uint32_t reserved;
};

#endif
