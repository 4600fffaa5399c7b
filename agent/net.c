/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's network interfaces. Runs in a job, because binding a driver and rtnl can wait. The
 * messages are the host kernel's; they are taken apart and put together anew, so that only known
 * attributes reach this kernel, and every interface index is the guest's.
 *
 * Routes can depend on each other (a gateway behind an on-link route, a route through a prefix that
 * comes later): those that fail are tried again after the others, for as long as that brings any
 * forward.
 */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_slot.h"
#include "rtnl.h"
#include "util.h"

#define RETRIES_MAX 1024u

static uint32_t host_ifindex[NET_SLOTS_MAX]; /* of each slot; 0: not known */

struct net {
	int fd;
	uint32_t slot, host_index;
	int index; /* the guest's */
	char name[IF_NAMESIZE];
	const struct nlmsghdr *retry[RETRIES_MAX]; /* routes that failed */
	unsigned int nretry;
	char why[128];
};

void net_remember(const struct net_result *r)
{
	if (r->slot < NET_SLOTS_MAX)
		host_ifindex[r->slot] = r->host_ifindex;
}

int net_loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) == 0) {
		ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
		r = ioctl(fd, SIOCSIFFLAGS, &ifr) ? -errno : 0;
	} else {
		r = -errno;
	}
	close(fd);
	return r;
}

/* The guest's index of an interface of the host, 0 when it has none. */
static uint32_t map_index(const struct net *n, uint32_t host)
{
	char name[IF_NAMESIZE];
	const char *what;
	int index;

	if (host == n->host_index)
		return (uint32_t)n->index;
	for (uint32_t slot = 0; host && slot < NET_SLOTS_MAX; slot++) {
		if (host_ifindex[slot] != host)
			continue;
		index = net_slot_find(slot, false, name, &what);
		return index > 0 ? (uint32_t)index : 0;
	}
	return 0;
}

/* Copy the attributes whose type is in the list. */
static void copy_attrs(struct rtnl_msg *m, struct rtnl_attrs attrs, const uint16_t *types, size_t n)
{
	struct rtnl_attr a;

	while (rtnl_next(&attrs, &a))
		for (size_t i = 0; i < n; i++)
			if (a.type == types[i])
				rtnl_put(m, a.type, a.data, a.len);
}

/*
 * Fixed part and attributes of a message; the fixed part is zero-filled when the message is short.
 */
static struct rtnl_attrs take_fixed(const struct nlmsghdr *h, void *fixed, size_t len)
{
	const uint8_t *p = (const uint8_t *)h + sizeof(*h);
	size_t have = h->nlmsg_len - sizeof(*h), skip = (len + 3) & ~(size_t)3;

	memset(fixed, 0, len);
	memcpy(fixed, p, have < len ? have : len);
	return (struct rtnl_attrs){ p + (have < skip ? have : skip), have < skip ? 0 : have - skip };
}

static int talk(struct net *n, struct rtnl_msg *m)
{
	return rtnl_talk(n->fd, m, n->why, sizeof(n->why));
}

/* ---- links ---- */

struct link_info {
	int ipv6_off; /* -1: not told */
	char name[IF_NAMESIZE];
	uint8_t mac[32];
	size_t mac_len;
	uint32_t mtu;
};

/* The settings of IPv6 are nested: IFLA_AF_SPEC, AF_INET6, IFLA_INET6_CONF, an array. */
static int read_ipv6_off(const struct rtnl_attr *af_spec)
{
	struct rtnl_attrs families = { af_spec->data, af_spec->len };
	struct rtnl_attr family, conf;
	int32_t v;

	while (rtnl_next(&families, &family)) {
		struct rtnl_attrs settings = { family.data, family.len };

		while (family.type == AF_INET6 && rtnl_next(&settings, &conf)) {
			if (conf.type != IFLA_INET6_CONF || conf.len < (DEVCONF_DISABLE_IPV6 + 1) * sizeof(v))
				continue;
			memcpy(&v, conf.data + DEVCONF_DISABLE_IPV6 * sizeof(v), sizeof(v));
			return v != 0;
		}
	}
	return -1;
}

/* Before the interface comes up, so that it gets no link-local address. */
static void set_ipv6_off(const struct net *n, int off)
{
	char path[64 + IF_NAMESIZE], now[8];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", n->name);
	if (off >= 0 && file_read(AT_FDCWD, path, now, sizeof(now)) > 0 && (now[0] != '0') != off)
		(void)file_write_str(AT_FDCWD, path, off ? "1" : "0");
}

static void read_link(struct rtnl_attrs attrs, struct link_info *l)
{
	struct rtnl_attr a;

	memset(l, 0, sizeof(*l));
	l->ipv6_off = -1;
	while (rtnl_next(&attrs, &a)) {
		if (a.type == IFLA_IFNAME && a.len && a.len <= sizeof(l->name))
			memcpy(l->name, a.data, a.len);
		else if (a.type == IFLA_ADDRESS && a.len <= sizeof(l->mac))
			memcpy(l->mac, a.data, l->mac_len = a.len);
		else if (a.type == IFLA_MTU && a.len == sizeof(l->mtu))
			memcpy(&l->mtu, a.data, sizeof(l->mtu));
		else if (a.type == IFLA_AF_SPEC)
			l->ipv6_off = read_ipv6_off(&a);
	}
	l->name[sizeof(l->name) - 1] = '\0';
}

static int set_flags(struct net *n, int index, unsigned int flags, unsigned int change)
{
	struct ifinfomsg ifi = { .ifi_index = index, .ifi_flags = flags, .ifi_change = change };
	struct rtnl_msg m;

	rtnl_begin(&m, RTM_SETLINK, 0, &ifi, sizeof(ifi));
	return talk(n, &m);
}

static bool has_mac(const struct net *n, const struct link_info *l)
{
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, n->name, sizeof(ifr.ifr_name));
	return l->mac_len == 6 && ioctl(n->fd, SIOCGIFHWADDR, &ifr) == 0 &&
	       memcmp(ifr.ifr_hwaddr.sa_data, l->mac, 6) == 0;
}

/* Another interface has the name that this one is to get: move it away, if nobody uses it yet. */
static int free_name(struct net *n, const char *name)
{
	unsigned int other = if_nametoindex(name);
	struct ifinfomsg ifi = { .ifi_index = (int)other };
	struct ifreq ifr = { 0 };
	struct rtnl_msg m;
	char away[IF_NAMESIZE];

	if (!other || (int)other == n->index)
		return 0;
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(n->fd, SIOCGIFFLAGS, &ifr) || ifr.ifr_flags & IFF_UP)
		return -EEXIST;
	(void)snprintf(away, sizeof(away), "nic%u", other);
	rtnl_begin(&m, RTM_SETLINK, 0, &ifi, sizeof(ifi));
	rtnl_put(&m, IFLA_IFNAME, away, strlen(away) + 1);
	return talk(n, &m);
}

static int new_link(struct net *n, const struct nlmsghdr *h)
{
	struct ifinfomsg ifi;
	struct rtnl_attrs attrs = take_fixed(h, &ifi, sizeof(ifi));
	bool rename, address;
	struct link_info l;
	struct rtnl_msg m;
	int r;

	read_link(attrs, &l);
	n->host_index = (uint32_t)ifi.ifi_index;
	set_ipv6_off(n, l.ipv6_off);
	rename = l.name[0] && strcmp(l.name, n->name) != 0;
	address = l.mac_len && !has_mac(n, &l);
	r = rename ? free_name(n, l.name) : 0;
	if (r == 0 && (rename || address)) /* neither works on an interface that is up */
		r = set_flags(n, n->index, 0, IFF_UP);
	if (r)
		return r;
	ifi.ifi_index = n->index;
	ifi.ifi_type = 0;
	ifi.ifi_change &= IFF_UP | IFF_NOARP | IFF_MULTICAST | IFF_PROMISC | IFF_ALLMULTI;
	rtnl_begin(&m, RTM_SETLINK, 0, &ifi, sizeof(ifi));
	if (rename)
		rtnl_put(&m, IFLA_IFNAME, l.name, strlen(l.name) + 1);
	if (address)
		rtnl_put(&m, IFLA_ADDRESS, l.mac, l.mac_len);
	if (l.mtu)
		rtnl_put_u32(&m, IFLA_MTU, l.mtu);
	r = talk(n, &m);
	if (r == 0 && rename)
		memcpy(n->name, l.name, sizeof(n->name));
	return r;
}

static int del_link(struct net *n)
{
	int r = set_flags(n, n->index, 0, IFF_UP);

	if (r == 0)
		r = net_slot_unbind(n->slot);
	n->host_index = 0;
	return r;
}

/* ---- addresses ---- */

static int change_addr(struct net *n, const struct nlmsghdr *h)
{
	static const uint16_t types[] = { IFA_ADDRESS, IFA_LOCAL,     IFA_BROADCAST,
					  IFA_ANYCAST, IFA_CACHEINFO, IFA_RT_PRIORITY };
	bool add = h->nlmsg_type == RTM_NEWADDR;
	struct ifaddrmsg ifa;
	struct rtnl_attrs attrs = take_fixed(h, &ifa, sizeof(ifa)), all = attrs;
	uint32_t flags = ifa.ifa_flags;
	struct rtnl_attr a;
	struct rtnl_msg m;
	int r;

	while (rtnl_next(&attrs, &a))
		if (a.type == IFA_FLAGS && a.len == sizeof(flags))
			memcpy(&flags, a.data, sizeof(flags));
	/*
	 * the state of the host's own duplicate detection; it has been done, and the kernel sets
	 * the rest by itself
	 */
	flags &= ~(uint32_t)(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC | IFA_F_PERMANENT | IFA_F_DEPRECATED |
			     (ifa.ifa_family == AF_INET ? IFA_F_SECONDARY : IFA_F_TEMPORARY));
	if (ifa.ifa_family == AF_INET6)
		flags |= IFA_F_NODAD;
	ifa.ifa_index = (uint32_t)n->index;
	ifa.ifa_flags = (uint8_t)flags;
	rtnl_begin(&m, h->nlmsg_type, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &ifa, sizeof(ifa));
	copy_attrs(&m, all, types, ARRAY_LEN(types));
	if (add)
		rtnl_put_u32(&m, IFA_FLAGS, flags);
	while (rtnl_next(&all, &a)) /* a label must begin with the interface's name */
		if (a.type == IFA_LABEL && a.len > strlen(n->name) && memcmp(a.data, n->name, strlen(n->name)) == 0)
			rtnl_put(&m, IFA_LABEL, a.data, a.len);
	r = talk(n, &m);
	if (add)
		return r == -EEXIST ? 0 : r;
	return r == -EADDRNOTAVAIL || r == -ENODEV ? 0 : r;
}

/* ---- routes ---- */

/* The next hops that lead through interfaces of this VM. Their number. */
static unsigned int put_multipath(const struct net *n, struct rtnl_msg *m, const struct rtnl_attr *hops)
{
	uint8_t out[4096];
	size_t off = 0, len = 0;
	unsigned int count = 0;

	while (hops->len - off >= sizeof(struct rtnexthop)) {
		struct rtnexthop nh;
		size_t step;

		memcpy(&nh, hops->data + off, sizeof(nh));
		if (nh.rtnh_len < sizeof(nh) || nh.rtnh_len > hops->len - off)
			break;
		step = (nh.rtnh_len + 3u) & ~(size_t)3u;
		nh.rtnh_ifindex = (int)map_index(n, (uint32_t)nh.rtnh_ifindex);
		nh.rtnh_flags &= RTNH_F_ONLINK;
		if (nh.rtnh_ifindex && step <= sizeof(out) - len) {
			memset(out + len, 0, step);
			memcpy(out + len, hops->data + off, nh.rtnh_len);
			memcpy(out + len, &nh, sizeof(nh));
			len += step;
			count++;
		}
		off += step < hops->len - off ? step : hops->len - off;
	}
	if (count)
		rtnl_put(m, RTA_MULTIPATH, out, len);
	return count;
}

static int build_route(const struct net *n, const struct nlmsghdr *h, uint16_t flags, struct rtnl_msg *m)
{
	static const uint16_t types[] = { RTA_DST,   RTA_SRC,  RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS,
					  RTA_TABLE, RTA_PREF, RTA_VIA,	    RTA_FLOW,	  RTA_EXPIRES };
	struct rtmsg rt;
	struct rtnl_attrs attrs = take_fixed(h, &rt, sizeof(rt)), all = attrs;
	bool multipath = false;
	struct rtnl_attr a;

	rt.rtm_flags &= RTNH_F_ONLINK;
	rtnl_begin(m, h->nlmsg_type, flags, &rt, sizeof(rt));
	copy_attrs(m, all, types, ARRAY_LEN(types));
	while (rtnl_next(&attrs, &a)) {
		if (a.type != RTA_MULTIPATH)
			continue;
		multipath = true;
		if (!put_multipath(n, m, &a))
			return -ENODEV;
	}
	if (rt.rtm_type == RTN_UNICAST && !multipath)
		rtnl_put_u32(m, RTA_OIF, (uint32_t)n->index);
	return 0;
}

/*
 * Routes that the kernel makes from addresses by itself, and those of the local table, are the
 * guest kernel's own.
 */
static bool is_kernels(const struct nlmsghdr *h)
{
	struct rtmsg rt;

	(void)take_fixed(h, &rt, sizeof(rt));
	return rt.rtm_protocol == RTPROT_KERNEL || rt.rtm_table == RT_TABLE_LOCAL || rt.rtm_flags & RTM_F_CLONED;
}

static int new_route(struct net *n, const struct nlmsghdr *h)
{
	struct rtnl_msg m;
	int r;

	if (is_kernels(h))
		return 0;
	r = build_route(n, h, NLM_F_CREATE | NLM_F_EXCL, &m);
	if (r == 0)
		r = talk(n, &m);
	if (r == -EEXIST) { /* it changed */
		r = build_route(n, h, NLM_F_CREATE | NLM_F_REPLACE, &m);
		if (r == 0)
			r = talk(n, &m);
	}
	return r;
}

static int del_route(struct net *n, const struct nlmsghdr *h)
{
	struct rtnl_msg m;
	int r;

	if (is_kernels(h))
		return 0;
	r = build_route(n, h, 0, &m);
	if (r == 0)
		r = talk(n, &m);
	return r == -ESRCH || r == -ENODEV ? 0 : r;
}

/* ---- neighbours ---- */

static int change_neigh(struct net *n, const struct nlmsghdr *h)
{
	static const uint16_t types[] = { NDA_DST, NDA_LLADDR };
	bool add = h->nlmsg_type == RTM_NEWNEIGH;
	struct ndmsg nd;
	struct rtnl_attrs attrs = take_fixed(h, &nd, sizeof(nd));
	struct rtnl_msg m;
	int r;

	nd.ndm_ifindex = n->index;
	rtnl_begin(&m, h->nlmsg_type, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &nd, sizeof(nd));
	copy_attrs(&m, attrs, types, ARRAY_LEN(types));
	r = talk(n, &m);
	return !add && (r == -ENOENT || r == -ENXIO) ? 0 : r;
}

/* ---- all ---- */

static int apply_one(struct net *n, const struct nlmsghdr *h)
{
	int r;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
		return new_link(n, h);
	case RTM_DELLINK:
		return del_link(n);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return change_addr(n, h);
	case RTM_NEWROUTE:
		r = new_route(n, h);
		if (r && n->nretry < RETRIES_MAX) {
			n->retry[n->nretry++] = h;
			return 0;
		}
		return r;
	case RTM_DELROUTE:
		return del_route(n, h);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return change_neigh(n, h);
	default:
		return -EOPNOTSUPP;
	}
}

/* Again and again while fewer of them fail. The last failure's errno. */
static int retry_routes(struct net *n)
{
	unsigned int before;
	int r = 0;

	do {
		unsigned int left = 0;

		before = n->nretry;
		for (unsigned int i = 0; i < before; i++) {
			int e = new_route(n, n->retry[i]);

			if (e) {
				n->retry[left++] = n->retry[i];
				r = e;
			}
		}
		n->nretry = left;
	} while (n->nretry && n->nretry < before);
	return n->nretry ? r : 0;
}

static const char *message_name(uint16_t type)
{
	static const char *const names[] = { "new link",      "delete link",	 "", "",
					     "new address",   "delete address",	 "", "",
					     "new route",     "delete route",	 "", "",
					     "new neighbour", "delete neighbour" };

	return type >= RTM_NEWLINK && type - RTM_NEWLINK < (int)ARRAY_LEN(names) ? names[type - RTM_NEWLINK]
										 : "message";
}

static int apply_all(struct net *n, const struct net_args *a, struct fault *f)
{
	size_t off = 0;
	int r;

	while (off < a->len) {
		const struct nlmsghdr *h = (const void *)(a->msgs + off);
		size_t step;

		if (a->len - off < sizeof(*h) || h->nlmsg_len < sizeof(*h) || h->nlmsg_len > a->len - off)
			return fault_set(f, STAGE_PROTOCOL, EINVAL, "network: malformed message");
		r = n->index ? apply_one(n, h) : 0; /* nothing is left behind an unplugged NIC */
		if (r)
			return fault_set(f, STAGE_SETUP, r, "network slot %u (%s): %s%s%s", n->slot, n->name,
					 message_name(h->nlmsg_type), n->why[0] ? ": " : "", n->why);
		if (h->nlmsg_type == RTM_DELLINK)
			n->index = 0;
		step = (h->nlmsg_len + 3u) & ~(size_t)3u;
		off += step < a->len - off ? step : a->len - off;
	}
	r = n->index ? retry_routes(n) : 0;
	return r ? fault_set(f, STAGE_SETUP, r, "network slot %u (%s): new route%s%s", n->slot, n->name,
			     n->why[0] ? ": " : "", n->why)
		 : 0;
}

/* Only deletions: then an empty slot is what is wanted. */
static bool only_removes(const struct net_args *a)
{
	uint16_t type = 0;

	if (a->len >= sizeof(struct nlmsghdr))
		memcpy(&type, a->msgs + offsetof(struct nlmsghdr, nlmsg_type), sizeof(type));
	return type == RTM_DELLINK;
}

int net_apply(void *args, int out, struct fault *f)
{
	static struct net n; /* 8 KiB; one per job */
	const struct net_args *a = args;
	const char *what = "";
	struct net_result result;
	int r = 0;

	n.slot = a->slot;
	if (a->slot >= NET_SLOTS_MAX)
		return fault_set(f, STAGE_PROTOCOL, EINVAL, "network slot %u", a->slot);
	n.host_index = host_ifindex[a->slot];
	n.index = a->ifindex;
	if (n.index)
		r = if_indextoname((unsigned int)n.index, n.name) ? 0 : -errno;
	else
		r = n.index = net_slot_find(a->slot, !only_removes(a), n.name, &what);
	if (r == -ENODEV && only_removes(a)) {
		n.index = 0;
		r = 0;
	}
	if (r < 0)
		return fault_set(f, STAGE_SETUP, r, "network slot %u has no interface (%s)", a->slot, what);
	n.fd = rtnl_open();
	if (n.fd < 0)
		return fault_set(f, STAGE_SETUP, n.fd, "rtnetlink socket");
	r = apply_all(&n, a, f);
	close(n.fd);
	if (r)
		return r;
	result = (struct net_result){ .slot = a->slot, .host_ifindex = n.host_index };
	return write_all(out, &result, sizeof(result)) ? fault_set(f, STAGE_SETUP, EIO, "report") : 0;
}
