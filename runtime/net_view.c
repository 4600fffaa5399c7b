/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a network namespace holds, as rtnetlink messages that can be compared and sent on.
 *
 * Runs in the network helper. The input is the host kernel's; nothing comes from the guest.
 */
#include "net_view.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "net_tc.h"

struct scan {
	struct net_view *v;
	bool has_address[NET_VIEW_LINKS];
	int error; /* positive errno */
};

static struct net_link *view_link(struct net_view *v, uint32_t ifindex)
{
	for (unsigned int i = 0; i < v->nlinks; i++)
		if (v->link[i].ifindex == ifindex)
			return &v->link[i];
	return NULL;
}

/* Append one message under construction; it is copied. */
static int view_add(struct scan *s, uint32_t ifindex, const struct nlmsghdr *nlh)
{
	struct net_view *v = s->v;
	struct net_msg *m, **list;

	if (v->nmsgs == NET_VIEW_MSGS) {
		s->error = E2BIG;
		return MNL_CB_ERROR;
	}
	list = realloc(v->msg, (v->nmsgs + 1) * sizeof(*list));
	m = list ? malloc(sizeof(*m) + nlh->nlmsg_len) : NULL;
	if (list)
		v->msg = list;
	if (!m) {
		s->error = ENOMEM;
		return MNL_CB_ERROR;
	}
	m->ifindex = ifindex;
	m->len = nlh->nlmsg_len;
	memcpy(m->data, nlh, nlh->nlmsg_len);
	v->msg[v->nmsgs++] = m;
	return MNL_CB_OK;
}

/* Start a copy of a message: header and fixed part, no attributes. */
static struct nlmsghdr *copy_begin(void *buf, const struct nlmsghdr *nlh, size_t fixed)
{
	struct nlmsghdr *out = mnl_nlmsg_put_header(buf);

	out->nlmsg_type = nlh->nlmsg_type;
	memcpy(mnl_nlmsg_put_extra_header(out, fixed), mnl_nlmsg_get_payload(nlh), fixed);
	return out;
}

#define COPY_ROOM 4096 /* bytes of one normalised message; routes with many next hops are the largest */

/* Copy the attributes but those whose bit is set in `skip`. False when they do not fit. */
static bool copy_attrs(struct nlmsghdr *out, const struct nlmsghdr *nlh, size_t fixed, uint64_t skip)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, (unsigned int)fixed) {
		uint16_t type = mnl_attr_get_type(a);

		if (type < 64 && (skip & (1ULL << type)))
			continue;
		if (!mnl_attr_put_check(out, COPY_ROOM, a->nla_type, mnl_attr_get_payload_len(a), mnl_attr_get_payload(a)))
			return false;
	}
	return true;
}

/* ---- links ---- */

static int on_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct scan *s = arg;
	struct net_link l = { .ifindex = (uint32_t)ifi->ifi_index, .flags = ifi->ifi_flags };
	bool has_mac = false;
	const struct nlattr *a;

	if (ifi->ifi_type != ARPHRD_ETHER || (ifi->ifi_flags & IFF_LOOPBACK))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*ifi)) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			strncpy(l.name, mnl_attr_get_str(a), sizeof(l.name) - 1);
			break;
		case IFLA_MTU:
			l.mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_ADDRESS:
			has_mac = mnl_attr_get_payload_len(a) == sizeof(l.mac);
			if (has_mac)
				memcpy(l.mac, mnl_attr_get_payload(a), sizeof(l.mac));
			break;
		}
	}
	if (!has_mac || !strncmp(l.name, NET_TAP_PREFIX, strlen(NET_TAP_PREFIX)))
		return MNL_CB_OK;
	if (s->v->nlinks == NET_VIEW_LINKS) {
		s->error = E2BIG;
		return MNL_CB_ERROR;
	}
	s->v->link[s->v->nlinks++] = l;
	return MNL_CB_OK;
}

/* What the guest needs of a link; counters and host-side details stay here. */
static int add_link(struct scan *s, const struct net_link *l)
{
	uint8_t buf[COPY_ROOM] = { 0 };
	struct nlmsghdr *out = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;

	out->nlmsg_type = RTM_NEWLINK;
	ifi = mnl_nlmsg_put_extra_header(out, sizeof(*ifi));
	ifi->ifi_type = ARPHRD_ETHER;
	ifi->ifi_index = (int)l->ifindex;
	ifi->ifi_flags = l->flags & (IFF_UP | IFF_NOARP | IFF_MULTICAST | IFF_PROMISC | IFF_ALLMULTI);
	ifi->ifi_change = IFF_UP | IFF_NOARP;
	mnl_attr_put_strz(out, IFLA_IFNAME, l->name);
	mnl_attr_put(out, IFLA_ADDRESS, sizeof(l->mac), l->mac);
	mnl_attr_put_u32(out, IFLA_MTU, l->mtu);
	return view_add(s, l->ifindex, out);
}

/* ---- addresses, neighbours, routes ---- */

static int on_addr(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	uint8_t buf[COPY_ROOM] = { 0 };
	struct scan *s = arg;
	struct net_link *l = view_link(s->v, ifa->ifa_index);
	struct nlmsghdr *out;
	uint32_t flags = ifa->ifa_flags;
	const struct nlattr *a;

	if (!l)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*ifa))
		if (mnl_attr_get_type(a) == IFA_FLAGS && mnl_attr_get_payload_len(a) == 4)
			flags = mnl_attr_get_u32(a);
	/* the guest's kernel makes its own link-local address from the same MAC */
	if (ifa->ifa_family == AF_INET6 && ifa->ifa_scope == RT_SCOPE_LINK && (flags & IFA_F_PERMANENT) &&
	    !(flags & IFA_F_NODAD))
		return MNL_CB_OK;
	s->has_address[l - s->v->link] = true;

	out = copy_begin(buf, nlh, sizeof(*ifa));
	if (!copy_attrs(out, nlh, sizeof(*ifa), 1ULL << IFA_CACHEINFO | 1ULL << IFA_FLAGS)) {
		s->error = E2BIG;
		return MNL_CB_ERROR;
	}
	/* states of the host's own duplicate detection mean nothing over there, and it has been done */
	flags &= ~(uint32_t)(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC | IFA_F_PERMANENT | IFA_F_DEPRECATED);
	if (ifa->ifa_family == AF_INET6)
		flags |= IFA_F_NODAD;
	((struct ifaddrmsg *)mnl_nlmsg_get_payload(out))->ifa_flags = (uint8_t)flags;
	mnl_attr_put_u32(out, IFA_FLAGS, flags);
	return view_add(s, ifa->ifa_index, out);
}

static int on_neigh(const struct nlmsghdr *nlh, void *arg)
{
	const struct ndmsg *nd = mnl_nlmsg_get_payload(nlh);
	uint8_t buf[COPY_ROOM] = { 0 };
	struct scan *s = arg;
	struct nlmsghdr *out;

	if (!view_link(s->v, (uint32_t)nd->ndm_ifindex) || !(nd->ndm_state & NUD_PERMANENT))
		return MNL_CB_OK;
	if (nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6)
		return MNL_CB_OK;
	out = copy_begin(buf, nlh, sizeof(*nd));
	if (!copy_attrs(out, nlh, sizeof(*nd), 1ULL << NDA_CACHEINFO | 1ULL << NDA_PROBES)) {
		s->error = E2BIG;
		return MNL_CB_ERROR;
	}
	return view_add(s, (uint32_t)nd->ndm_ifindex, out);
}

/* The interface of a route: its own, or its first next hop's. 0: none (blackhole and the like). */
static uint32_t route_oif(const struct nlmsghdr *nlh)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct rtmsg)) {
		if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_get_payload_len(a) == 4)
			return mnl_attr_get_u32(a);
		if (mnl_attr_get_type(a) == RTA_MULTIPATH && mnl_attr_get_payload_len(a) >= sizeof(struct rtnexthop))
			return (uint32_t)((const struct rtnexthop *)mnl_attr_get_payload(a))->rtnh_ifindex;
	}
	return 0;
}

static int on_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);
	uint8_t buf[COPY_ROOM] = { 0 };
	struct scan *s = arg;
	uint32_t oif = route_oif(nlh);
	struct nlmsghdr *out;

	if (rt->rtm_table == RT_TABLE_LOCAL || (rt->rtm_flags & RTM_F_CLONED) || rt->rtm_protocol == RTPROT_KERNEL ||
	    rt->rtm_protocol == RTPROT_REDIRECT || rt->rtm_protocol == RTPROT_RA)
		return MNL_CB_OK;
	if (rt->rtm_type != RTN_UNICAST && rt->rtm_type != RTN_BLACKHOLE && rt->rtm_type != RTN_UNREACHABLE &&
	    rt->rtm_type != RTN_PROHIBIT && rt->rtm_type != RTN_THROW)
		return MNL_CB_OK;
	if (rt->rtm_type == RTN_UNICAST && !view_link(s->v, oif))
		return MNL_CB_OK;
	if (rt->rtm_type != RTN_UNICAST)
		oif = s->v->nlinks ? s->v->link[0].ifindex : 0; /* travels with the first interface */
	if (!oif)
		return MNL_CB_OK;
	out = copy_begin(buf, nlh, sizeof(*rt));
	((struct rtmsg *)mnl_nlmsg_get_payload(out))->rtm_flags &= RTNH_F_ONLINK;
	if (!copy_attrs(out, nlh, sizeof(*rt), 1ULL << RTA_CACHEINFO)) {
		s->error = E2BIG;
		return MNL_CB_ERROR;
	}
	return view_add(s, oif, out);
}

/* ---- dumps ---- */

static int dump(struct mnl_socket *nl, uint16_t type, uint8_t family, mnl_cb_t cb, struct scan *s)
{
	static uint32_t seq = 1u << 30;
	uint8_t buf[32768];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt;
	ssize_t n;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++seq;
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt)); /* the family is the first byte of each request's fixed part */
	rt->rtm_family = family;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		s->error = 0;
		n = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl), cb, s);
	} while (n > 0);
	if (n < 0)
		return s->error ? -s->error : -errno;
	return 0;
}

/* Interfaces that are down and have no address carry nothing: the tunnels that some modules put everywhere. */
static void drop_idle(struct scan *s)
{
	struct net_view *v = s->v;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < v->nlinks; i++)
		if ((v->link[i].flags & IFF_UP) || s->has_address[i])
			v->link[kept++] = v->link[i];
	v->nlinks = kept;
}

int net_view_read(struct mnl_socket *nl, struct net_view *v, struct error *err)
{
	struct scan s = { .v = v };
	struct net_view addrs = { 0 };
	int r;

	memset(v, 0, sizeof(*v));
	r = dump(nl, RTM_GETLINK, AF_UNSPEC, on_link, &s);
	/* addresses decide which links count, and links come first in the order: read them aside */
	if (r == 0) {
		memcpy(addrs.link, v->link, sizeof(v->link));
		addrs.nlinks = v->nlinks;
		s.v = &addrs;
		r = dump(nl, RTM_GETADDR, AF_UNSPEC, on_addr, &s);
		s.v = v;
	}
	if (r == 0) {
		drop_idle(&s);
		for (unsigned int i = 0; i < v->nlinks && !s.error; i++)
			add_link(&s, &v->link[i]);
		for (size_t i = 0; i < addrs.nmsgs && !s.error; i++)
			if (view_link(v, addrs.msg[i]->ifindex))
				view_add(&s, addrs.msg[i]->ifindex, (const struct nlmsghdr *)(const void *)addrs.msg[i]->data);
		r = -s.error;
	}
	net_view_free(&addrs);
	if (r == 0)
		r = dump(nl, RTM_GETNEIGH, AF_UNSPEC, on_neigh, &s);
	if (r == 0)
		r = dump(nl, RTM_GETROUTE, AF_INET, on_route, &s);
	if (r == 0)
		r = dump(nl, RTM_GETROUTE, AF_INET6, on_route, &s);
	if (r < 0) {
		net_view_free(v);
		if (r == -E2BIG)
			return error_set(err, E2BIG, "the network namespace holds more than husk takes over (%u interfaces, "
					 "%u addresses and routes)", NET_VIEW_LINKS, NET_VIEW_MSGS);
		return error_set(err, -r, "read the network namespace");
	}
	return 0;
}

void net_view_free(struct net_view *v)
{
	for (size_t i = 0; i < v->nmsgs; i++)
		free(v->msg[i]);
	free(v->msg);
	memset(v, 0, sizeof(*v));
}

bool net_view_has(const struct net_view *v, const struct net_msg *m)
{
	for (size_t i = 0; i < v->nmsgs; i++)
		if (v->msg[i]->ifindex == m->ifindex && v->msg[i]->len == m->len &&
		    !memcmp(v->msg[i]->data, m->data, m->len))
			return true;
	return false;
}
