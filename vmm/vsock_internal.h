/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vsock device from inside. Private to vsock*.c: vsock.c has the device and its callbacks, vsock_tx.c takes the
 * guest's packets, vsock_rx.c makes packets for it, vsock_conn.c is one stream.
 */
#ifndef HUSK_VMM_VSOCK_INTERNAL_H
#define HUSK_VMM_VSOCK_INTERNAL_H

#include <pthread.h>

#include "vsock_conn.h"

enum { Q_RX = 0, Q_TX = 1, Q_EVENT = 2, NQUEUES = 3 };

#define HOST_CID 2u
#define RSTS_MAX 64u
#define BUDGET 256	  /* packets of one callback */
#define CONNECT_MS 10000u /* the agent answers at once, or it is stuck */

struct rst {
	uint32_t src_port, dst_port;
};

struct vsock {
	struct virtio_dev dev;
	struct loop *loop;
	void (*ready)(void *arg);
	void *ready_arg;

	pthread_mutex_t lock; /* everything below */
	bool active, is_ready, given_up;
	bool ready_due;	   /* call ready() */
	bool closing;	   /* close_old() is on its way */
	uint32_t life;	   /* counts resets: connections of an earlier life are closed */
	uint32_t sequence; /* of host ports */
	unsigned int nconns;
	struct conn *conn[VSOCK_CONNS_MAX];
	uint32_t conn_life[VSOCK_CONNS_MAX];
	struct conn *head, *tail; /* something to send */
	struct conn *done;	  /* somebody to tell */
	struct rst rst[RSTS_MAX];
	unsigned int rst_head, nrst;
	bool tx_stalled; /* for want of room for resets */
	struct loop_watch rx_kick, tx_kick, timer;
	bool ticking;
	struct vq_chain chain;
};

/* Answer a packet by RST. False: RSTS_MAX of them are due already. */
bool vsock_add_rst(struct vsock *v, const struct vsock_hdr *h);

/* Call those who wait for conn_tell() or ready, without the lock, which is held on entry and return. */
void vsock_tell(struct vsock *v);

/* vsock_tx.c: take the guest's packets. */
void vsock_serve(struct vsock *v);

/* vsock_rx.c: send what is due, as long as the guest has buffers. */
void vsock_pump(struct vsock *v);

#endif
