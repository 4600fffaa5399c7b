/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock, host to guest only: the host connects to the guest's ports, never the other way round.
 */
#ifndef HUSK_VMM_VSOCK_H
#define HUSK_VMM_VSOCK_H

#include <stdint.h>

#include "loop.h"
#include "virtio.h"

#define VSOCK_GUEST_CID 3u
#define VSOCK_CONNS_MAX 1024u

/* Bytes from the guest that one connection may hold here, which is the credit it gets: much for the first ones, little
 * for many, so that all together hold less than 48 MiB. */
#define VSOCK_BUFFER_LARGE (256u << 10)
#define VSOCK_BUFFER_SMALL (32u << 10)
#define VSOCK_LARGE_MAX 64u

/**
 * vsock_create() - the device
 * @ready: called once, in the loop thread, when the agent has said that it listens (WIRE_READY_PORT)
 *
 * Return: the device, or NULL with errno set.
 */
struct virtio_dev *vsock_create(const struct gmem *mem, struct loop *loop, void (*ready)(void *arg), void *arg);

/* The result of vsock_connect(). */
typedef void (*vsock_done)(void *arg, int status);

/**
 * vsock_connect() - join a connected stream socket to a port of the guest
 * @fd:   belongs to the device until @done said that it failed; closed by the device after success. Not in the loop
 * @done: called in the loop thread, exactly once and never from within this function: 0 when the guest has accepted
 *        (no byte has been relayed yet), -ECONNREFUSED, -ETIMEDOUT, -ECONNRESET (the driver reset the device),
 *        -ECANCELED (the other end of @fd is gone)
 *
 * Before the agent is ready the request waits for it; vsock_give_up() ends the wait. Loop thread. Return: 0, or -errno
 * (-EAGAIN: VSOCK_CONNS_MAX connections), @done is then never called.
 */
int vsock_connect(struct virtio_dev *d, uint32_t port, int fd, vsock_done done, void *arg);

/*
 * The agent will not come: requests that wait for it end with -ETIMEDOUT, later ones too until it comes. Loop
 * thread.
 */
void vsock_give_up(struct virtio_dev *d);

/* Open connections. Loop thread. */
unsigned int vsock_connections(struct virtio_dev *d);

/**
 * vsock_drain() - hand over what the guest has sent, at its end
 * @ms: time limit for slow readers
 *
 * Main thread, after the loop and with the vCPUs standing still.
 */
void vsock_drain(struct virtio_dev *d, int ms);

void vsock_destroy(struct virtio_dev *d);

#endif
