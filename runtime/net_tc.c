/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP devices and the traffic-control redirect that joins one to an engine's interface.
 *
 * Runs in the network helper, inside the container's host-side network namespace. Nothing here comes from the guest.
 *
 * The engine's interface keeps its name, MAC and addresses (engines look at them, and disconnect by them). Its
 * ingress is redirected to the TAP's egress and back, below the host's IP stack, which therefore goes deaf. Where the
 * engine has a resolver in the namespace there are two exceptions: frames to NET_HOST_PORT_* belong to sockets of
 * the host side, and ARP and IPv6 neighbour discovery are seen by both, because the host side has to
 * resolve its gateway.
 */
#include "net_tc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_gact.h>
#include <linux/tc_act/tc_mirred.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

#define INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS) /* right for a clsact and for an ingress qdisc */
#define ICMPV6_NS 135
#define ICMPV6_NA 136

/* Priorities of our filters; a lower one is asked first. */
enum { PRIO_PORTS = 100, PRIO_NEIGH = 110, PRIO_ALL = 200 };

static struct nl_msg *link_request(uint32_t ifindex, unsigned int flags)
{
	struct ifinfomsg ifi = { .ifi_index = (int)ifindex, .ifi_flags = flags, .ifi_change = flags };

	return netlink_request(RTM_NEWLINK, 0, &ifi, sizeof(ifi));
}

int link_set_mtu(struct nl_sock *nl, uint32_t ifindex, uint32_t mtu, struct error *err)
{
	struct nl_msg *msg = link_request(ifindex, 0);
	int r;

	nla_put_u32(msg, IFLA_MTU, mtu);
	r = netlink_talk(nl, msg);
	return r < 0 ? error_set(err, -r, "set the MTU of interface %u to %u", ifindex, mtu) : 0;
}

/* MTU and up; no link-local address, so that the TAP never speaks for itself. */
static int tap_up(struct nl_sock *nl, uint32_t ifindex, uint32_t mtu)
{
	struct nl_msg *msg = link_request(ifindex, 0);
	struct nlattr *spec = nla_nest_start(msg, IFLA_AF_SPEC);
	struct nlattr *inet6 = nla_nest_start(msg, AF_INET6);
	int r;

	nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	nla_nest_end(msg, inet6);
	nla_nest_end(msg, spec);
	r = netlink_talk(nl, msg);
	if (r < 0 && r != -EAFNOSUPPORT && r != -EOPNOTSUPP) /* a host without IPv6 has nothing to turn off */
		return r;

	msg = link_request(ifindex, IFF_UP);
	nla_put_u32(msg, IFLA_MTU, mtu);
	return netlink_talk(nl, msg);
}

int tap_create(struct nl_sock *nl, int dev_net, unsigned int unit, uint32_t mtu, unsigned int pairs, int *fds,
	       uint32_t *ifindex, struct error *err)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	unsigned int n = 0;
	int r;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), NET_TAP_PREFIX "%u", unit);
	if (pairs > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	for (; n < pairs; n++) {
		fds[n] = openat(dev_net, "tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fds[n] < 0) {
			error_set(err, errno, "open /dev/net/tun (is the tun module loaded? try: modprobe tun)");
			goto fail;
		}
		if (ioctl(fds[n], TUNSETIFF, &ifr) < 0) {
			r = errno;
			close(fds[n]);
			error_set(err, r, "create the TAP %s", ifr.ifr_name);
			goto fail;
		}
	}
	if (ioctl(fds[0], TUNGETIFF, &ifr) < 0) {
		error_set(err, errno, "read back the TAP %s", ifr.ifr_name);
		goto fail;
	}
	/* its index: from this namespace, through any socket */
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0 || ioctl(s, SIOCGIFINDEX, &ifr) < 0) {
		error_set(err, errno, "find the index of %s", ifr.ifr_name);
		if (s >= 0)
			close(s);
		goto fail;
	}
	close(s);
	*ifindex = (uint32_t)ifr.ifr_ifindex;
	r = tap_up(nl, *ifindex, mtu);
	if (r == 0)
		return 0;
	error_set(err, -r, "bring up the TAP %s", ifr.ifr_name);
fail:
	while (n--)
		close(fds[n]);
	return -1;
}

/* ---- filters ---- */

static int ingress_qdisc(struct nl_sock *nl, uint32_t ifindex)
{
	struct tcmsg tc = {
		.tcm_ifindex = (int)ifindex,
		.tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0),
		.tcm_parent = TC_H_INGRESS,
	};
	struct nl_msg *msg = netlink_request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));

	nla_put_string(msg, TCA_KIND, "ingress");
	return netlink_talk(nl, msg);
}

void tc_leave(struct nl_sock *nl, uint32_t link)
{
	static const uint16_t prios[] = { PRIO_PORTS, PRIO_PORTS + 1, PRIO_PORTS + 2, PRIO_PORTS + 3,
					  PRIO_NEIGH, PRIO_NEIGH + 1, PRIO_NEIGH + 2, PRIO_ALL };

	for (size_t i = 0; i < sizeof(prios) / sizeof(prios[0]); i++) {
		struct tcmsg tc = {
			.tcm_ifindex = (int)link,
			.tcm_parent = INGRESS,
			.tcm_info = TC_H_MAKE((uint32_t)prios[i] << 16, 0),
		};

		netlink_talk(nl, netlink_request(RTM_DELTFILTER, 0, &tc, sizeof(tc)));
	}
}

/* An ingress or clsact qdisc of somebody else serves as well; filters in it may be left from a VM that was killed. */
static int ingress_ready(struct nl_sock *nl, uint32_t link)
{
	int r = ingress_qdisc(nl, link);

	if (r != -EEXIST)
		return r;
	tc_leave(nl, link);
	return 0;
}

/* A filter request up to the start of its options. */
static struct nl_msg *filter_begin(uint32_t ifindex, uint16_t prio, uint16_t proto, const char *kind,
				   struct nlattr **options)
{
	struct tcmsg tc = {
		.tcm_ifindex = (int)ifindex,
		.tcm_parent = INGRESS,
		.tcm_info = TC_H_MAKE((uint32_t)prio << 16, htons(proto)),
	};
	struct nl_msg *msg = netlink_request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));

	nla_put_string(msg, TCA_KIND, kind);
	*options = nla_nest_start(msg, TCA_OPTIONS);
	return msg;
}

/* One action, the first of its list: mirror or redirect to `to`, or (to == 0) leave the frame to the host. */
static void put_action(struct nl_msg *msg, int attr, uint32_t to, bool copy)
{
	struct nlattr *acts = nla_nest_start(msg, attr);
	struct nlattr *act = nla_nest_start(msg, 1);
	struct nlattr *opt;

	if (to) {
		struct tc_mirred m = {
			.action = copy ? TC_ACT_OK : TC_ACT_STOLEN,
			.eaction = copy ? TCA_EGRESS_MIRROR : TCA_EGRESS_REDIR,
			.ifindex = to,
		};

		nla_put_string(msg, TCA_ACT_KIND, "mirred");
		opt = nla_nest_start(msg, TCA_ACT_OPTIONS);
		nla_put(msg, TCA_MIRRED_PARMS, sizeof(m), &m);
	} else {
		struct tc_gact g = { .action = TC_ACT_OK };

		nla_put_string(msg, TCA_ACT_KIND, "gact");
		opt = nla_nest_start(msg, TCA_ACT_OPTIONS);
		nla_put(msg, TCA_GACT_PARMS, sizeof(g), &g);
	}
	nla_nest_end(msg, opt);
	nla_nest_end(msg, act);
	nla_nest_end(msg, acts);
}

static int filter_all(struct nl_sock *nl, uint32_t from, uint32_t to)
{
	struct nlattr *opt;
	struct nl_msg *msg = filter_begin(from, PRIO_ALL, ETH_P_ALL, "matchall", &opt);

	put_action(msg, TCA_MATCHALL_ACT, to, false);
	nla_nest_end(msg, opt);
	return netlink_talk(nl, msg);
}

static int filter_ports(struct nl_sock *nl, uint32_t link, uint16_t proto, uint8_t ip_proto, uint16_t prio)
{
	struct nlattr *opt;
	struct nl_msg *msg = filter_begin(link, prio, proto, "flower", &opt);

	nla_put_u16(msg, TCA_FLOWER_KEY_ETH_TYPE, htons(proto));
	nla_put_u8(msg, TCA_FLOWER_KEY_IP_PROTO, ip_proto);
	nla_put_u16(msg, TCA_FLOWER_KEY_PORT_DST_MIN, htons(NET_HOST_PORT_MIN));
	nla_put_u16(msg, TCA_FLOWER_KEY_PORT_DST_MAX, htons(NET_HOST_PORT_MAX));
	put_action(msg, TCA_FLOWER_ACT, 0, false);
	nla_nest_end(msg, opt);
	return netlink_talk(nl, msg);
}

static int filter_arp(struct nl_sock *nl, uint32_t link, uint32_t tap)
{
	struct nlattr *opt;
	struct nl_msg *msg = filter_begin(link, PRIO_NEIGH, ETH_P_ARP, "matchall", &opt);

	put_action(msg, TCA_MATCHALL_ACT, tap, true);
	nla_nest_end(msg, opt);
	return netlink_talk(nl, msg);
}

static int filter_nd(struct nl_sock *nl, uint32_t link, uint32_t tap, uint8_t type, uint16_t prio)
{
	struct nlattr *opt;
	struct nl_msg *msg = filter_begin(link, prio, ETH_P_IPV6, "flower", &opt);

	nla_put_u16(msg, TCA_FLOWER_KEY_ETH_TYPE, htons(ETH_P_IPV6));
	nla_put_u8(msg, TCA_FLOWER_KEY_IP_PROTO, IPPROTO_ICMPV6);
	nla_put_u8(msg, TCA_FLOWER_KEY_ICMPV6_TYPE, type);
	nla_put_u8(msg, TCA_FLOWER_KEY_ICMPV6_TYPE_MASK, 0xff);
	put_action(msg, TCA_FLOWER_ACT, tap, true);
	nla_nest_end(msg, opt);
	return netlink_talk(nl, msg);
}

int tc_join(struct nl_sock *nl, uint32_t link, uint32_t tap, struct error *err)
{
	int r = ingress_ready(nl, link);

	if (r == 0)
		r = ingress_ready(nl, tap);
	if (r < 0)
		return error_set(err, -r,
				 "add an ingress qdisc (is the sch_ingress module there? try: modprobe sch_ingress)");
	r = filter_all(nl, link, tap);
	if (r == 0)
		r = filter_all(nl, tap, link);
	if (r < 0)
		return error_set(err, -r,
				 "redirect traffic (are the cls_matchall and act_mirred modules there? "
				 "try: modprobe -a cls_matchall act_mirred)");
	return 0;
}

int tc_share(struct nl_sock *nl, uint32_t link, uint32_t tap, struct error *err)
{
	int r;

	if ((r = filter_ports(nl, link, ETH_P_IP, IPPROTO_UDP, PRIO_PORTS)) < 0 ||
	    (r = filter_ports(nl, link, ETH_P_IP, IPPROTO_TCP, PRIO_PORTS + 1)) < 0 ||
	    (r = filter_ports(nl, link, ETH_P_IPV6, IPPROTO_UDP, PRIO_PORTS + 2)) < 0 ||
	    (r = filter_ports(nl, link, ETH_P_IPV6, IPPROTO_TCP, PRIO_PORTS + 3)) < 0 ||
	    (r = filter_arp(nl, link, tap)) < 0 || (r = filter_nd(nl, link, tap, ICMPV6_NS, PRIO_NEIGH + 1)) < 0 ||
	    (r = filter_nd(nl, link, tap, ICMPV6_NA, PRIO_NEIGH + 2)) < 0)
		return error_set(err, -r,
				 "add a flower filter (is the cls_flower module there? try: modprobe cls_flower)");
	return 0;
}
