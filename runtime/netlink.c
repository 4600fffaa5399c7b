/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink requests over libnl, with the kernel's own errno.
 *
 * libnl folds the kernel's error numbers into its own, fewer ones; users have to see the real one, so the error
 * callback keeps it.
 */
#include "netlink.h"

#include <errno.h>
#include <netlink/errno.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <stdlib.h>

struct talk {
	int (*fn)(const struct nlmsghdr *nlh, void *arg);
	void *arg;
	int error; /* -errno */
	bool done;
};

struct nl_sock *netlink_open(void)
{
	struct nl_sock *nl = nl_socket_alloc();

	if (!nl) {
		errno = ENOMEM;
		return NULL;
	}
	if (nl_connect(nl, NETLINK_ROUTE) < 0) {
		int e = errno;

		nl_socket_free(nl);
		errno = e;
		return NULL;
	}
	return nl;
}

struct nl_msg *netlink_request(uint16_t type, uint16_t flags, const void *fixed, size_t len)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (!msg || nlmsg_append(msg, (void *)(uintptr_t)fixed, len, NLMSG_ALIGNTO) < 0)
		abort();
	return msg;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct talk *t = arg;

	(void)from;
	t->error = e->error;
	t->done = true;
	return NL_STOP;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	struct talk *t = arg;

	(void)msg;
	t->done = true;
	return NL_STOP;
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct talk *t = arg;
	int r = t->fn && !t->error ? t->fn(nlmsg_hdr(msg), t->arg) : 0;

	if (r < 0) /* read the rest of the dump all the same, so that the socket is clean for the next */
		t->error = r;
	return NL_OK;
}

static int talk(struct nl_sock *nl, struct nl_msg *msg, struct talk *t)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int r;

	if (!cb)
		abort();
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, t);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, t);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, t);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_message, t);
	r = nl_send_auto(nl, msg);
	nlmsg_free(msg);
	while (r >= 0 && !t->done)
		r = nl_recvmsgs(nl, cb);
	nl_cb_put(cb);
	if (r < 0 && !t->done)
		return errno ? -errno : -EIO;
	return t->error;
}

int netlink_talk(struct nl_sock *nl, struct nl_msg *msg)
{
	struct talk t = { .done = false };

	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	return talk(nl, msg, &t);
}

int netlink_dump(struct nl_sock *nl, struct nl_msg *msg, int (*fn)(const struct nlmsghdr *nlh, void *arg), void *arg)
{
	struct talk t = { .fn = fn, .arg = arg };

	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	return talk(nl, msg, &t);
}
