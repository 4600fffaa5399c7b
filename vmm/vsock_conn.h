/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One vsock stream: its life, credit, half-close, the host's socket. Private to vsock*.c.
 */
#ifndef HUSK_VMM_VSOCK_CONN_H
#define HUSK_VMM_VSOCK_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "queue.h"
#include "vsock.h"

/* virtio 1.2, 5.10.6 */
struct vsock_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));
_Static_assert(sizeof(struct vsock_hdr) == 44, "vsock header");

#define VSOCK_STREAM 1u
enum vsock_op {
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
};
#define VSOCK_SHUT_RCV 1u
#define VSOCK_SHUT_SEND 2u
#define VSOCK_SHUT_BOTH 3u

enum conn_state {
	CONN_FREE = 0,
	CONN_WAITING,	 /* for the agent */
	CONN_CONNECTING, /* for the guest's answer */
	CONN_OPEN,
	CONN_RESET,  /* over for the guest; what it has sent still goes to the host's socket */
	CONN_FAILED, /* `done` is to be told so */
};

/* Packets that are due, besides data. */
#define DUE_REQUEST 1u
#define DUE_RST 2u
#define DUE_SHUTDOWN 4u
#define DUE_CREDIT 8u

struct vsock;

struct conn {
	struct vsock *dev;
	enum conn_state state;
	uint32_t host_port, guest_port;
	struct loop_watch watch; /* fd -1: closed */
	vsock_done done;	 /* NULL: told */
	void *done_arg;
	int done_status;
	uint64_t deadline; /* CLOCK_MONOTONIC ns, 0: none */

	/* to the guest */
	uint32_t peer_alloc, peer_fwd; /* its buffer and what it has taken out of it, as it last said */
	uint32_t sent;		       /* bytes, modulo 2^32 like the two above */
	bool eof;		       /* the host's end has nothing more to send */
	unsigned int due;	       /* DUE_* */
	uint8_t shut_sent, shut_due;   /* VSOCK_SHUT_* told to the guest, to be told */
	bool queued;		       /* in the device's list of connections with something to send */
	bool readable;		       /* data waits in the socket */
	struct conn *next, *next_done;

	/* from the guest */
	uint32_t alloc; /* size of the buffer, constant */
	uint8_t *buf;	/* NULL until the host's reader is slow */
	uint32_t head, held;
	uint32_t received, forwarded, forwarded_told;
	uint8_t shut_got; /* VSOCK_SHUT_* that the guest said */
	bool deaf;	  /* the host's end takes nothing more: bytes are dropped */
};

/* Bytes that the guest can take now. */
uint32_t conn_credit(const struct conn *c);

/* Take over the guest's credit fields of a header. */
void conn_peer(struct conn *c, const struct vsock_hdr *h);

/* Data from the guest, c->state is OPEN. False: it broke the rules, reset the connection. */
bool conn_receive(struct conn *c, const struct vq_chain *chain, uint32_t len);

/* Write held bytes to the socket as far as it takes them, then pass on an end of stream. */
void conn_flush(struct conn *c);

/* The host's end reads no more: drop what is held and tell the guest. */
void conn_deaf(struct conn *c);

/* Watch the socket for what can be done now. */
void conn_watch(struct conn *c);

/* To the end of the list of connections with something to send; due: DUE_* bits to add. */
void conn_queue(struct conn *c, unsigned int due);
void conn_unqueue(struct conn *c);

/* The guest has ms milliseconds for what it owes, or on_timer() ends the connection. */
void conn_deadline(struct conn *c, uint32_t ms);

/* The host's request is answered: 0, or -errno: the socket is the caller's again. vsock_tell() passes it on. */
void conn_tell(struct conn *c, int status);

/* The guest's side is over. Data that it has sent still goes to the host. May free c. */
void conn_end(struct conn *c);

/* End it from our side: the guest gets RST. */
void conn_reset(struct conn *c);

/* Close the socket, forget the connection. */
void conn_free(struct conn *c);

#endif
