/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a network namespace holds, as rtnetlink messages that can be compared and sent on.
 *
 * Runs in the network helper. The input is the host kernel's; nothing comes from the guest.
 */
#include "net_view.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "net_tc.h"
#include "netlink.h"

struct scan {
	struct net_view *v;
	bool has_address[NET_VIEW_LINKS];
	int error; /* positive errno */
};

const struct net_link *net_view_link(const struct net_view *v, uint32_t ifindex)
{
	for (unsigned int i = 0; i < v->nlinks; i++)
		if (v->link[i].ifindex == ifindex)
			return &v->link[i];
	return NULL;
}

/* Append a message; it is copied. 0 or -errno, which s->error keeps. */
static int view_add(struct scan *s, uint32_t ifindex, const struct nlmsghdr *nlh)
{
	struct net_view *v = s->v;
	struct net_msg *m, **list;

	if (v->nmsgs == NET_VIEW_MSGS) {
		s->error = E2BIG;
		return -s->error;
	}
	list = realloc(v->msg, (v->nmsgs + 1) * sizeof(*list));
	m = list ? malloc(sizeof(*m) + nlh->nlmsg_len) : NULL;
	if (list)
		v->msg = list;
	if (!m) {
		s->error = ENOMEM;
		return -s->error;
	}
	m->ifindex = ifindex;
	m->len = nlh->nlmsg_len;
	memcpy(m->data, nlh, nlh->nlmsg_len);
	v->msg[v->nmsgs++] = m;
	return 0;
}

/*
 * A copy of a message without the attributes whose bit is set in `skip`, to be completed and given to view_put().
 * NULL when it is larger than what libnl allocates: a page, enough for a route with a hundred next hops.
 */
static struct nl_msg *copy(const struct nlmsghdr *nlh, size_t fixed, uint64_t skip)
{
	struct nl_msg *msg = netlink_request(nlh->nlmsg_type, 0, nlmsg_data(nlh), fixed);
	struct nlattr *a;
	int rem;

	nlmsg_for_each_attr(a, nlh, (int)fixed, rem)
	{
		int type = nla_type(a);

		if (type < 64 && (skip & (1ULL << type)))
			continue;
		if (nla_put(msg, type, nla_len(a), nla_data(a)) < 0) {
			nlmsg_free(msg);
			return NULL;
		}
	}
	return msg;
}

/* view_add() of a message under construction, which is released. */
static int view_put(struct scan *s, uint32_t ifindex, struct nl_msg *msg)
{
	int r;

	if (!msg) {
		s->error = E2BIG;
		return -E2BIG;
	}
	r = view_add(s, ifindex, nlmsg_hdr(msg));
	nlmsg_free(msg);
	return r;
}

/* ---- links ---- */

/* disable_ipv6 as the dump tells it: IFLA_AF_SPEC, AF_INET6, IFLA_INET6_CONF, an array of settings. */
static bool ipv6_is_off(struct nlattr *af_spec)
{
	struct nlattr *inet6 = nla_find(nla_data(af_spec), nla_len(af_spec), AF_INET6);
	struct nlattr *conf = inet6 ? nla_find(nla_data(inet6), nla_len(inet6), IFLA_INET6_CONF) : NULL;
	int32_t v = 0;

	if (conf && nla_len(conf) >= (int)((DEVCONF_DISABLE_IPV6 + 1) * sizeof(v)))
		memcpy(&v, (const uint8_t *)nla_data(conf) + DEVCONF_DISABLE_IPV6 * sizeof(v), sizeof(v));
	return v;
}

/* The same, with that setting alone: the others change by themselves or are the guest's own matter. */
static void put_ipv6(struct nl_msg *msg, bool off)
{
	int32_t conf[DEVCONF_DISABLE_IPV6 + 1] = { [DEVCONF_DISABLE_IPV6] = off };
	struct nlattr *spec = nla_nest_start(msg, IFLA_AF_SPEC);
	struct nlattr *inet6 = nla_nest_start(msg, AF_INET6);

	nla_put(msg, IFLA_INET6_CONF, sizeof(conf), conf);
	nla_nest_end(msg, inet6);
	nla_nest_end(msg, spec);
}

static int on_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = nlmsg_data(nlh);
	struct scan *s = arg;
	struct net_link l = { .ifindex = (uint32_t)ifi->ifi_index, .flags = ifi->ifi_flags };
	bool has_mac = false;
	struct nlattr *a;
	int rem;

	if (ifi->ifi_type != ARPHRD_ETHER || (ifi->ifi_flags & IFF_LOOPBACK))
		return 0;
	nlmsg_for_each_attr(a, nlh, sizeof(*ifi), rem)
	{
		switch (nla_type(a)) {
		case IFLA_IFNAME:
			strncpy(l.name, nla_get_string(a), sizeof(l.name) - 1);
			break;
		case IFLA_MTU:
			l.mtu = nla_get_u32(a);
			break;
		case IFLA_ADDRESS:
			has_mac = nla_len(a) == sizeof(l.mac);
			if (has_mac)
				memcpy(l.mac, nla_data(a), sizeof(l.mac));
			break;
		case IFLA_AF_SPEC:
			l.no_ipv6 = ipv6_is_off(a);
			break;
		}
	}
	if (!has_mac || !strncmp(l.name, NET_TAP_PREFIX, strlen(NET_TAP_PREFIX)))
		return 0;
	if (s->v->nlinks == NET_VIEW_LINKS) {
		s->error = E2BIG;
		return -s->error;
	}
	s->v->link[s->v->nlinks++] = l;
	return 0;
}

/* What the guest needs of a link; counters and host-side details stay here. */
static int add_link(struct scan *s, const struct net_link *l)
{
	struct ifinfomsg ifi = {
		.ifi_type = ARPHRD_ETHER,
		.ifi_index = (int)l->ifindex,
		.ifi_flags = l->flags & (IFF_UP | IFF_NOARP | IFF_MULTICAST | IFF_PROMISC | IFF_ALLMULTI),
		.ifi_change = IFF_UP | IFF_NOARP,
	};
	struct nl_msg *msg = netlink_request(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	nla_put_string(msg, IFLA_IFNAME, l->name);
	nla_put(msg, IFLA_ADDRESS, sizeof(l->mac), l->mac);
	nla_put_u32(msg, IFLA_MTU, l->mtu);
	put_ipv6(msg, l->no_ipv6);
	return view_put(s, l->ifindex, msg);
}

/* ---- addresses, neighbours, routes ---- */

static int on_addr(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = nlmsg_data(nlh);
	struct scan *s = arg;
	const struct net_link *l = net_view_link(s->v, ifa->ifa_index);
	struct nl_msg *msg;
	uint32_t flags = ifa->ifa_flags;
	struct nlattr *a;
	int rem;

	if (!l)
		return 0;
	nlmsg_for_each_attr(a, nlh, sizeof(*ifa), rem) if (nla_type(a) == IFA_FLAGS && nla_len(a) == 4)
		flags = nla_get_u32(a);
	/* the guest's kernel makes its own link-local address from the same MAC */
	if (ifa->ifa_family == AF_INET6 && ifa->ifa_scope == RT_SCOPE_LINK && (flags & IFA_F_PERMANENT) &&
	    !(flags & IFA_F_NODAD))
		return 0;
	s->has_address[l - s->v->link] = true;

	msg = copy(nlh, sizeof(*ifa), 1ULL << IFA_CACHEINFO | 1ULL << IFA_FLAGS);
	/* states of the host's own duplicate detection mean nothing over there, and it has been done */
	flags &= ~(uint32_t)(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC | IFA_F_PERMANENT | IFA_F_DEPRECATED);
	if (ifa->ifa_family == AF_INET6)
		flags |= IFA_F_NODAD;
	if (msg) {
		((struct ifaddrmsg *)nlmsg_data(nlmsg_hdr(msg)))->ifa_flags = (uint8_t)flags;
		nla_put_u32(msg, IFA_FLAGS, flags);
	}
	return view_put(s, ifa->ifa_index, msg);
}

static int on_neigh(const struct nlmsghdr *nlh, void *arg)
{
	const struct ndmsg *nd = nlmsg_data(nlh);
	struct scan *s = arg;

	if (!net_view_link(s->v, (uint32_t)nd->ndm_ifindex) || !(nd->ndm_state & NUD_PERMANENT))
		return 0;
	if (nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6)
		return 0;
	return view_put(s, (uint32_t)nd->ndm_ifindex,
			copy(nlh, sizeof(*nd), 1ULL << NDA_CACHEINFO | 1ULL << NDA_PROBES));
}

/* The interface of a route: its own, or its first next hop's. 0: none (blackhole and the like). */
static uint32_t route_oif(const struct nlmsghdr *nlh)
{
	struct nlattr *a;
	int rem;

	nlmsg_for_each_attr(a, nlh, sizeof(struct rtmsg), rem)
	{
		if (nla_type(a) == RTA_OIF && nla_len(a) == 4)
			return nla_get_u32(a);
		if (nla_type(a) == RTA_MULTIPATH && nla_len(a) >= (int)sizeof(struct rtnexthop))
			return (uint32_t)((const struct rtnexthop *)nla_data(a))->rtnh_ifindex;
	}
	return 0;
}

static int on_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rt = nlmsg_data(nlh);
	struct scan *s = arg;
	uint32_t oif = route_oif(nlh);
	struct nl_msg *msg;

	if (rt->rtm_table == RT_TABLE_LOCAL || (rt->rtm_flags & RTM_F_CLONED) || rt->rtm_protocol == RTPROT_KERNEL ||
	    rt->rtm_protocol == RTPROT_REDIRECT || rt->rtm_protocol == RTPROT_RA)
		return 0;
	if (rt->rtm_type != RTN_UNICAST && rt->rtm_type != RTN_BLACKHOLE && rt->rtm_type != RTN_UNREACHABLE &&
	    rt->rtm_type != RTN_PROHIBIT && rt->rtm_type != RTN_THROW)
		return 0;
	if (rt->rtm_type == RTN_UNICAST && !net_view_link(s->v, oif))
		return 0;
	if (rt->rtm_type != RTN_UNICAST)
		oif = s->v->nlinks ? s->v->link[0].ifindex : 0; /* travels with the first interface */
	if (!oif)
		return 0;
	msg = copy(nlh, sizeof(*rt), 1ULL << RTA_CACHEINFO);
	if (msg)
		((struct rtmsg *)nlmsg_data(nlmsg_hdr(msg)))->rtm_flags &= RTNH_F_ONLINK;
	return view_put(s, oif, msg);
}

/* ---- dumps ---- */

/* `fixed` is the size of what such a request begins with: what is longer, the kernel takes for attributes. */
static int dump(struct nl_sock *nl, uint16_t type, size_t fixed, uint8_t family,
		int (*fn)(const struct nlmsghdr *, void *), struct scan *s)
{
	uint8_t start[sizeof(struct ifinfomsg)] = { family }; /* the largest; in each the family comes first */

	return netlink_dump(nl, netlink_request(type, 0, start, fixed), fn, s);
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

int net_view_read(struct nl_sock *nl, struct net_view *v, struct error *err)
{
	struct scan s = { .v = v };
	struct net_view addrs = { 0 };
	int r;

	memset(v, 0, sizeof(*v));
	r = dump(nl, RTM_GETLINK, sizeof(struct ifinfomsg), AF_UNSPEC, on_link, &s);
	/* addresses decide which links count, and links come first in the order: read them aside */
	if (r == 0) {
		memcpy(addrs.link, v->link, sizeof(v->link));
		addrs.nlinks = v->nlinks;
		s.v = &addrs;
		r = dump(nl, RTM_GETADDR, sizeof(struct ifaddrmsg), AF_UNSPEC, on_addr, &s);
		s.v = v;
	}
	if (r == 0) {
		drop_idle(&s);
		for (unsigned int i = 0; i < v->nlinks && !s.error; i++)
			add_link(&s, &v->link[i]);
		for (size_t i = 0; i < addrs.nmsgs && !s.error; i++)
			if (net_view_link(v, addrs.msg[i]->ifindex))
				view_add(&s, addrs.msg[i]->ifindex,
					 (const struct nlmsghdr *)(const void *)addrs.msg[i]->data);
		r = -s.error;
	}
	net_view_free(&addrs);
	if (r == 0)
		r = dump(nl, RTM_GETNEIGH, sizeof(struct ndmsg), AF_UNSPEC, on_neigh, &s);
	if (r == 0)
		r = dump(nl, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET, on_route, &s);
	if (r == 0)
		r = dump(nl, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET6, on_route, &s);
	if (r < 0) {
		net_view_free(v);
		if (r == -E2BIG)
			return error_set(err, E2BIG,
					 "the network namespace holds more than husk takes over (%u interfaces, "
					 "%u addresses and routes)",
					 NET_VIEW_LINKS, NET_VIEW_MSGS);
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
