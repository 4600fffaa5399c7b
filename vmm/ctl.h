/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serving end of the control socket (control.h).
 */
#ifndef HUSK_VMM_CTL_H
#define HUSK_VMM_CTL_H

#include <sys/types.h>

#include "control.h"
#include "loop.h"

struct ctl;
struct ctl_client;

#define CTL_CLIENTS_MAX 128u

/*
 * What a request does. Loop thread. The payload is NUL-terminated behind its len bytes. Descriptors that the handler
 * keeps are set to -1 in fds; the others are closed. The handler answers with ctl_reply(), now or later.
 */
typedef void (*ctl_handler)(void *arg, struct ctl_client *c, const struct ctl_req *req, const char *payload, int *fds,
			    unsigned int nfds);

/**
 * ctl_create() - serve a listening socket
 * @fd:    AF_UNIX, SOCK_STREAM, listening; owned on success
 * @owner: the user who may connect, besides root
 *
 * Return: NULL with errno set.
 */
struct ctl *ctl_create(struct loop *loop, int fd, uid_t owner, ctl_handler handler, void *arg);

/* Answer a request: status, and len (<= CTL_PAYLOAD_MAX) bytes. The client is the module's again: don't touch it. */
void ctl_reply(struct ctl_client *c, int status, const void *payload, uint32_t len);

/**
 * ctl_release() - take the socket of a client whose request is being served out of the loop
 *
 * Return: the descriptor; it stays the client's. ctl_reply() takes it back into the loop, ctl_hand_over()
 * gives it away.
 */
int ctl_release(struct ctl_client *c);

/* Answer with success and forget the client, whose descriptor is somebody else's now. */
void ctl_hand_over(struct ctl_client *c);

void ctl_destroy(struct ctl *ctl);

#endif
