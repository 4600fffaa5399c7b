/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network helper: keeps the guest's interfaces like those of the container's host-side network namespace.
 *
 * One small process per container whose namespace holds an interface, child of the init proxy, single-threaded. Engines
 * configure the namespace between create and start, and change it while the container runs, so nothing is remembered
 * of *how* it changed: on each notification the namespace is read again and compared with what the guest has been
 * told (net_view.h); the guest gets the difference. An interface that appears gets a TAP, a redirect and a virtio-net
 * slot; one that goes away loses them. Names, MACs and addresses of the engine's interfaces are never touched.
 *
 * What lives in the namespace on the host's side keeps working: the engine's resolver (net_dns.h), and connections to
 * localhost (net_forward.h).
 *
 * The agent at the other end may be hostile: it can refuse or stall, which costs its own network only.
 */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../agent/wire.h"
#include "container.h"
#include "evloop.h"
#include "net_dns.h"
#include "net_forward.h"
#include "net_tc.h"
#include "net_view.h"
#include "netlink.h"
#include "session.h"
#include "util.h"
#include "vmm.h"

#define REQUEST_LIMIT_NS (10ull * 1000000000u) /* of one request */
#define CONNECT_LIMIT_NS (3ull * 1000000000u)
#define SETTLE_MS 20 /* notifications come in bursts: wait until one is over */
#define TIDY_MS 2000
#define WARNINGS_MAX 64

/* One interface of the namespace that the guest has. */
struct nic {
	uint32_t ifindex; /* 0: free */
	uint32_t tap;
	uint32_t slot;
	uint32_t mtu; /* of the TAP */
	bool shared;  /* tc_share() */
};

struct helper {
	struct net_config c;
	struct evloop loop;
	struct watch request_w, events_w, session_w;
	struct nl_sock *nl, *events;
	struct nic nic[NET_VIEW_LINKS];
	struct net_view told; /* what the guest has been told */
	unsigned int taps;    /* made so far, for their names */
	unsigned int warnings;
	bool synced;   /* `start` came: from now on follow changes */
	bool resolver; /* the namespace has one */
	bool no_forward;
	struct net_dns *dns;
	struct net_forward *forward;
};

struct reply {
	int32_t status;
	char text[1024];
};

/* Nobody waits for an answer: to the VM's log, where error texts come from. */
static void __attribute__((format(printf, 2, 3))) warn(struct helper *h, const char *fmt, ...)
{
	CLEAN_FD int fd = -1;
	va_list ap;

	if (h->warnings++ >= WARNINGS_MAX)
		return;
	fd = openat(h->c.state_dir, FILE_LOG, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return;
	va_start(ap, fmt);
	dprintf(fd, "husk-net: ");
	vdprintf(fd, fmt, ap);
	dprintf(fd, "\n");
	va_end(ap);
}

static struct session *connect_agent(void *arg)
{
	struct helper *h = arg;
	struct error err;
	struct session *s = agent_connect_at(h->c.state_dir, mono_ns() + CONNECT_LIMIT_NS, &err);

	if (!s)
		warn(h, "%s", err.text);
	return s;
}

/* ---- interfaces ---- */

static struct nic *nic_find(struct helper *h, uint32_t ifindex)
{
	for (unsigned int i = 0; i < NET_VIEW_LINKS; i++)
		if (h->nic[i].ifindex == ifindex)
			return &h->nic[i];
	return NULL;
}

/* As many as there are pairs, behind the TAP's descriptors. How many of both there are then, or 0: none to be had. */
static unsigned int vhost_open(struct helper *h, int *fds)
{
	for (unsigned int i = h->c.pairs; i < 2 * h->c.pairs; i++) {
		fds[i] = openat(h->c.dev_net, "../vhost-net", O_RDWR | O_CLOEXEC);
		if (fds[i] < 0) {
			while (i-- > h->c.pairs)
				close(fds[i]);
			return 0;
		}
	}
	return 2 * h->c.pairs;
}

/* fds: the TAP's, and room for as many more. */
static int nic_plug(struct helper *h, struct nic *nic, const struct net_link *l, int *fds, struct error *err)
{
	/* the largest MTU: the guest sets the present one, which may grow later */
	struct ctl_nic req = { .mtu = 65535, .queue_pairs = h->c.pairs };
	unsigned int nfds;
	int r = -ENODEV;

	if (tc_join(h->nl, l->ifindex, nic->tap, err) < 0)
		return -1;
	memcpy(req.mac, l->mac, sizeof(req.mac));
	/* The host's kernel moves the frames where it can; else the VMM does. */
	nfds = vhost_open(h, fds);
	if (nfds)
		r = ctl_request(h->c.ctl, CTL_ADD_NIC, 1, &req, sizeof(req), fds, nfds, &nic->slot, sizeof(nic->slot),
				mono_ns() + REQUEST_LIMIT_NS);
	while (nfds > h->c.pairs)
		close(fds[--nfds]);
	if (r < 0 && r != -ENOSPC)
		r = ctl_request(h->c.ctl, CTL_ADD_NIC, 0, &req, sizeof(req), fds, h->c.pairs, &nic->slot,
				sizeof(nic->slot), mono_ns() + REQUEST_LIMIT_NS);
	if (r == -ENOSPC)
		return error_set(err, 0, "the VM has no free network slot for it; disconnect another network");
	if (r >= 0 && r != sizeof(nic->slot))
		r = -EPROTO;
	return r < 0 ? error_set(err, -r, "hand it to the VM") : 0;
}

static int nic_add(struct helper *h, const struct net_link *l, struct error *err)
{
	struct nic *nic = nic_find(h, 0);
	int fds[2 * CTL_PAIRS_MAX], r;

	if (!nic)
		return error_set(err, 0, "more than %u interfaces", NET_VIEW_LINKS);
	if (tap_create(h->nl, h->c.dev_net, h->taps, l->mtu, h->c.pairs, fds, &nic->tap, err) < 0)
		return -1;
	h->taps++;
	r = nic_plug(h, nic, l, fds, err);
	for (unsigned int i = 0; i < h->c.pairs; i++)
		close(fds[i]);
	if (r < 0) {
		tc_leave(h->nl, l->ifindex);
		return -1;
	}
	nic->mtu = l->mtu;
	nic->shared = false;
	nic->ifindex = l->ifindex;
	return 0;
}

/*
 * The guest lets go of its driver first; a hostile one that does not finds its device gone. The TAP goes with the VMM's
 * fd; our redirect on the engine's interface went with its move or removal.
 */
static void nic_remove(struct helper *h, struct nic *nic)
{
	struct {
		uint32_t slot;
		struct nlmsghdr hdr;
		struct ifinfomsg ifi;
	} m = { .slot = nic->slot, .hdr = { .nlmsg_len = sizeof(m.hdr) + sizeof(m.ifi), .nlmsg_type = RTM_DELLINK } };
	struct error err;
	int r;

	if (session_request(h->c.session, WIRE_NET, &m, sizeof(m), mono_ns() + REQUEST_LIMIT_NS, NULL, &err) < 0)
		warn(h, "network slot %u: %s", nic->slot, err.text);
	r = ctl_request(h->c.ctl, CTL_DEL_NIC, nic->slot, NULL, 0, NULL, 0, NULL, 0, mono_ns() + REQUEST_LIMIT_NS);
	if (r < 0)
		warn(h, "take network slot %u out of the VM: %s", nic->slot, error_errno_text(-r));
	memset(nic, 0, sizeof(*nic));
}

/* ---- what the guest is told ---- */

/* Messages of one interface on their way to the agent: they go in as few frames as possible. */
struct batch {
	uint32_t slot;
	size_t len;
	uint8_t data[WIRE_PAYLOAD_MAX];
};

static int batch_send(struct helper *h, struct batch *b, struct error *err)
{
	if (b->len <= sizeof(b->slot))
		return 0;
	memcpy(b->data, &b->slot, sizeof(b->slot));
	if (session_request(h->c.session, WIRE_NET, b->data, b->len, mono_ns() + REQUEST_LIMIT_NS, NULL, err) < 0)
		return error_wrap(err, "configure network slot %u in the guest", b->slot);
	b->len = 0;
	return 0;
}

static int batch_put(struct helper *h, struct batch *b, uint32_t slot, const struct net_msg *m, uint16_t type,
		     struct error *err)
{
	struct nlmsghdr hdr;

	if ((b->len && b->slot != slot) || b->len + NLMSG_ALIGN(m->len) > sizeof(b->data))
		if (batch_send(h, b, err) < 0)
			return -1;
	if (!b->len) {
		b->slot = slot;
		b->len = sizeof(b->slot);
	}
	memcpy(&hdr, m->data, sizeof(hdr));
	hdr.nlmsg_type = type;
	memcpy(b->data + b->len, m->data, m->len);
	memcpy(b->data + b->len, &hdr, sizeof(hdr));
	b->len += NLMSG_ALIGN(m->len);
	return 0;
}

static uint16_t msg_type(const struct net_msg *m)
{
	struct nlmsghdr hdr;

	memcpy(&hdr, m->data, sizeof(hdr));
	return hdr.nlmsg_type;
}

/* Send the difference between what the guest was told and what is: removals first, last made first. */
static int tell(struct helper *h, const struct net_view *v, struct error *err)
{
	static struct batch b;
	struct nic *nic;

	b.len = 0;
	for (size_t i = h->told.nmsgs; i-- > 0;) {
		const struct net_msg *m = h->told.msg[i];

		nic = nic_find(h, m->ifindex);
		if (!nic || msg_type(m) == RTM_NEWLINK || net_view_has(v, m))
			continue;
		if (batch_put(h, &b, nic->slot, m, (uint16_t)(msg_type(m) + 1), err) < 0) /* RTM_DELx = RTM_NEWx + 1 */
			return -1;
	}
	for (size_t i = 0; i < v->nmsgs; i++) {
		const struct net_msg *m = v->msg[i];

		nic = nic_find(h, m->ifindex);
		if (!nic || net_view_has(&h->told, m))
			continue;
		if (batch_put(h, &b, nic->slot, m, msg_type(m), err) < 0)
			return -1;
	}
	return batch_send(h, &b, err);
}

/* Forget what was told about an interface that is gone: its index may come back as another one. */
static void untell(struct helper *h, uint32_t ifindex)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->told.nmsgs; i++) {
		if (h->told.msg[i]->ifindex == ifindex)
			free(h->told.msg[i]);
		else
			h->told.msg[kept++] = h->told.msg[i];
	}
	h->told.nmsgs = kept;
}

static int sync_nics(struct helper *h, const struct net_view *v, struct error *err)
{
	for (unsigned int i = 0; i < NET_VIEW_LINKS; i++) {
		uint32_t ifindex = h->nic[i].ifindex;

		if (!ifindex || net_view_link(v, ifindex))
			continue;
		nic_remove(h, &h->nic[i]);
		untell(h, ifindex);
	}
	for (unsigned int i = 0; i < v->nlinks; i++) {
		const struct net_link *l = &v->link[i];
		struct nic *nic = nic_find(h, l->ifindex);

		if (!nic && nic_add(h, l, err) < 0)
			return error_wrap(err, "interface %s", l->name);
		nic = nic_find(h, l->ifindex);
		if (nic && h->resolver && !nic->shared) {
			if (tc_share(h->nl, l->ifindex, nic->tap, err) < 0)
				return error_wrap(err, "interface %s", l->name);
			nic->shared = true;
		}
		if (nic && nic->mtu != l->mtu) {
			if (link_set_mtu(h->nl, nic->tap, l->mtu, err) < 0)
				return -1;
			nic->mtu = l->mtu;
		}
	}
	return 0;
}

/* ---- what lives on the host's side ---- */

/* The engine's resolver asks its upstream from this namespace: its ports must be those that we let through. */
static void resolver_ports(struct helper *h)
{
	char range[32];
	int r;

	snprintf(range, sizeof(range), "%u %u", NET_HOST_PORT_MIN, NET_HOST_PORT_MAX);
	r = h->c.sysctl < 0 ? -ENOENT : file_write_at(h->c.sysctl, "ip_local_port_range", range);
	if (r < 0)
		warn(h, "ports of the resolver: %s", error_errno_text(-r));
}

static int resolver_start(struct helper *h, struct error *err)
{
	struct session *s;

	if (!h->resolver || (h->dns && net_dns_alive(h->dns)))
		return 0;
	net_dns_stop(h->dns);
	h->dns = NULL;
	s = connect_agent(h);
	if (!s)
		return error_set(err, 0, "the engine's resolver 127.0.0.11: cannot reach the agent");
	h->dns = net_dns_start(&h->loop, s, err);
	return h->dns ? 0 : error_wrap(err, "the engine's resolver 127.0.0.11");
}

static void forward_start(struct helper *h)
{
	if (h->forward || h->no_forward)
		return;
	h->forward = net_forward_start(&h->loop, connect_agent, h);
	if (h->forward)
		return;
	h->no_forward = true;
	warn(h, "connections to localhost of the network namespace do not reach the guest: %s",
	     error_errno_text(errno));
}

/* ---- all ---- */

static int sync_all(struct helper *h, struct error *err)
{
	struct net_view v;

	if (net_view_read(h->nl, &v, err) < 0)
		return -1;
	if (!h->resolver && v.nlinks && net_dns_present()) {
		h->resolver = true;
		resolver_ports(h);
	}
	if (sync_nics(h, &v, err) < 0 || tell(h, &v, err) < 0 || resolver_start(h, err) < 0) {
		net_view_free(&v);
		return -1;
	}
	net_view_free(&h->told);
	h->told = v;
	return 0;
}

/* ---- the process ---- */

/*
 * Take all notifications that are there or come within SETTLE_MS. ENOBUFS only says that some were lost: we read
 * anew anyway.
 */
static void settle(struct helper *h)
{
	struct pollfd p = { .fd = nl_socket_get_fd(h->events), .events = POLLIN };
	uint8_t buf[8192];
	unsigned int bursts = 0;

	do {
		while (recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
			;
	} while (++bursts < 50 && poll(&p, 1, SETTLE_MS) > 0);
}

static void tidy(struct helper *h)
{
	for (unsigned int i = 0; i < NET_VIEW_LINKS; i++)
		if (h->nic[i].ifindex)
			tc_leave(h->nl, h->nic[i].ifindex);
}

static void on_request(void *arg, uint32_t events)
{
	struct reply reply = { .status = 0 };
	struct error err = { .code = 0 };
	struct helper *h = arg;
	char c = 0;

	(void)events;
	if (recv(h->request_w.fd, &c, 1, 0) <= 0)
		_exit(0); /* the proxy is gone, or wants us gone */
	if (c == 'q') {
		tidy(h);
		_exit(0);
	}
	h->synced = true;
	if (sync_all(h, &err) < 0) {
		reply.status = -1;
		snprintf(reply.text, sizeof(reply.text), "network: %.1000s", err.text);
	}
	if (send(h->request_w.fd, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
		_exit(1);
	if (h->told.nlinks)
		forward_start(h);
}

static void on_session(void *arg, uint32_t events)
{
	(void)arg;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		_exit(0); /* the guest is gone */
}

static void follow(struct helper *h)
{
	struct error err;

	if (sync_all(h, &err) < 0)
		warn(h, "%s", err.text);
	else if (h->told.nlinks)
		forward_start(h);
}

static void on_events(void *arg, uint32_t events)
{
	struct helper *h = arg;

	(void)events;
	settle(h);
	if (h->synced) /* before `start` the engine is still at work */
		follow(h);
}

static int helper_open(struct helper *h)
{
	static const int groups[] = { RTNLGRP_LINK,	  RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_NEIGH };
	int r;

	h->nl = netlink_open();
	h->events = netlink_open();
	if (!h->nl || !h->events)
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (nl_socket_add_membership(h->events, groups[i]) < 0)
			return -errno;
	r = evloop_init(&h->loop);
	h->request_w.fn = on_request;
	h->events_w = (struct watch){ .fd = nl_socket_get_fd(h->events), .fn = on_events };
	h->session_w = (struct watch){ .fd = h->c.session->fd, .fn = on_session };
	h->request_w.arg = h->events_w.arg = h->session_w.arg = h;
	if (r == 0)
		r = watch_set(&h->loop, &h->request_w, EPOLLIN);
	if (r == 0)
		r = watch_set(&h->loop, &h->events_w, EPOLLIN);
	if (r == 0)
		r = watch_set(&h->loop, &h->session_w, EPOLLRDHUP);
	return r;
}

static void __attribute__((noreturn)) helper_main(struct helper *h)
{
	prctl(PR_SET_NAME, "husk-net");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (helper_open(h) < 0)
		_exit(1);
	if (h->c.follow) {
		h->synced = true;
		follow(h);
	}
	evloop_run(&h->loop);
	_exit(1);
}

int net_start(struct net *n, const struct net_config *c, struct error *err)
{
	static struct helper h; /* of the child; large */
	int sv[2];
	pid_t pid;

	n->sock = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return error_set(err, errno, "socketpair for the network helper");
	pid = fork();
	if (pid < 0) {
		int e = errno;

		close(sv[0]);
		close(sv[1]);
		return error_set(err, e, "fork the network helper");
	}
	if (pid == 0) {
		const int keep[] = { sv[1], c->ctl, c->session->fd, c->dev_net, c->sysctl, c->state_dir };

		/* the container's stdio above all: engines wait for its end */
		fds_keep_only(keep, ARRAY_LEN(keep));
		h.c = *c;
		h.request_w.fd = sv[1];
		helper_main(&h);
	}
	close(sv[1]);
	n->pid = pid;
	n->sock = sv[0];
	return 0;
}

int net_sync(struct net *n, struct error *err)
{
	struct reply reply;

	if (send(n->sock, "s", 1, MSG_NOSIGNAL) != 1 || recv(n->sock, &reply, sizeof(reply), 0) != sizeof(reply))
		return error_set(err, 0, "the network helper died; the container's network cannot be set up");
	reply.text[sizeof(reply.text) - 1] = 0;
	return reply.status < 0 ? error_set(err, 0, "%s", reply.text) : 0;
}

void net_stop(struct net *n, bool tidy_up)
{
	struct pollfd p = { .fd = n->sock, .events = POLLRDHUP };

	if (n->sock < 0)
		return;
	if (tidy_up && send(n->sock, "q", 1, MSG_NOSIGNAL) == 1)
		poll(&p, 1, TIDY_MS);
	close(n->sock);
	n->sock = -1;
	kill(n->pid, SIGKILL);
	waitpid(n->pid, NULL, 0);
}

/* ---- before there is a helper ---- */

bool net_has_links(void)
{
	struct nl_sock *nl = netlink_open();
	struct net_view v;
	struct error err;
	bool has = true; /* when in doubt the helper finds out, and says what is wrong */

	if (nl && net_view_read(nl, &v, &err) == 0) {
		has = v.nlinks > 0;
		net_view_free(&v);
	}
	if (nl)
		nl_socket_free(nl);
	return has;
}

int net_links_watch(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK,
				 .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	CLEAN_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return take_fd(&fd);
}
