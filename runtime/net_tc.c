/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP devices and the traffic-control redirect that joins one to an engine's interface.
 *
 * Runs in the network helper, inside the container's host-side network namespace. Nothing here comes from the guest.
 *
 * The engine's interface keeps its name, MAC and addresses (engines look at them, and disconnect by them). Its
 * ingress is redirected to the TAP's egress and back, below the host's IP stack, which therefore goes deaf, with two
 * exceptions: frames to NET_HOST_PORT_* belong to sockets of the host side, and ARP and IPv6 neighbour
 * discovery are seen by both, because the host side still has to resolve its gateway.
 */
#include "net_tc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
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

#define INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS) /* right for a clsact and for an ingress qdisc */
#define ICMPV6_NS 135
#define ICMPV6_NA 136

/* Priorities of our filters; a lower one is asked first. */
enum { PRIO_PORTS = 100, PRIO_NEIGH = 110, PRIO_ALL = 200 };

/* Send one request and take its acknowledgement. 0 or -errno. */
static int nl_talk(struct mnl_socket *nl, struct nlmsghdr *nlh)
{
	static uint32_t seq;
	uint8_t buf[8192];
	ssize_t n;

	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = ++seq;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		n = mnl_cb_run(buf, (size_t)n, nlh->nlmsg_seq, mnl_socket_get_portid(nl), NULL, NULL);
	} while (n > 0);
	return n < 0 ? -errno : 0;
}

static struct ifinfomsg *link_request(struct nlmsghdr *nlh, uint32_t ifindex)
{
	struct ifinfomsg *ifi;

	nlh->nlmsg_type = RTM_NEWLINK;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = (int)ifindex;
	return ifi;
}

int link_set_mtu(struct mnl_socket *nl, uint32_t ifindex, uint32_t mtu, struct error *err)
{
	uint8_t buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int r;

	link_request(nlh, ifindex);
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	r = nl_talk(nl, nlh);
	return r < 0 ? error_set(err, -r, "set the MTU of interface %u to %u", ifindex, mtu) : 0;
}

/* MTU and up; no link-local address, so that the TAP never speaks for itself. */
static int tap_up(struct mnl_socket *nl, uint32_t ifindex, uint32_t mtu)
{
	uint8_t buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *spec, *inet6;
	int r;

	link_request(nlh, ifindex);
	spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	r = nl_talk(nl, nlh);
	if (r < 0 && r != -EAFNOSUPPORT && r != -EOPNOTSUPP) /* a host without IPv6 has nothing to turn off */
		return r;

	nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi = link_request(nlh, ifindex);

	ifi->ifi_flags = ifi->ifi_change = IFF_UP;
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return nl_talk(nl, nlh);
}

int tap_create(struct mnl_socket *nl, int dev_net, unsigned int unit, uint32_t mtu, unsigned int pairs, int *fds,
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

static int ingress_qdisc(struct mnl_socket *nl, uint32_t ifindex)
{
	uint8_t buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tc;
	int r;

	nlh->nlmsg_type = RTM_NEWQDISC;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0);
	tc->tcm_parent = TC_H_INGRESS;
	mnl_attr_put_strz(nlh, TCA_KIND, "ingress");
	r = nl_talk(nl, nlh);
	return r == -EEXIST ? 0 : r; /* an ingress or clsact qdisc of somebody else serves as well */
}

static struct nlattr *filter_begin(struct nlmsghdr *nlh, uint32_t ifindex, uint16_t prio, uint16_t proto,
				   const char *kind)
{
	struct tcmsg *tc;

	nlh->nlmsg_type = RTM_NEWTFILTER;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = INGRESS;
	tc->tcm_info = TC_H_MAKE((uint32_t)prio << 16, htons(proto));
	mnl_attr_put_strz(nlh, TCA_KIND, kind);
	return mnl_attr_nest_start(nlh, TCA_OPTIONS);
}

/* One action, the first of its list: mirror or redirect to `to`, or (to == 0) leave the frame to the host. */
static void put_action(struct nlmsghdr *nlh, uint16_t attr, uint32_t to, bool copy)
{
	struct nlattr *acts = mnl_attr_nest_start(nlh, attr);
	struct nlattr *act = mnl_attr_nest_start(nlh, 1);
	struct nlattr *opt;

	if (to) {
		struct tc_mirred m = {
			.action = copy ? TC_ACT_OK : TC_ACT_STOLEN,
			.eaction = copy ? TCA_EGRESS_MIRROR : TCA_EGRESS_REDIR,
			.ifindex = to,
		};

		mnl_attr_put_strz(nlh, TCA_ACT_KIND, "mirred");
		opt = mnl_attr_nest_start(nlh, TCA_ACT_OPTIONS);
		mnl_attr_put(nlh, TCA_MIRRED_PARMS, sizeof(m), &m);
	} else {
		struct tc_gact g = { .action = TC_ACT_OK };

		mnl_attr_put_strz(nlh, TCA_ACT_KIND, "gact");
		opt = mnl_attr_nest_start(nlh, TCA_ACT_OPTIONS);
		mnl_attr_put(nlh, TCA_GACT_PARMS, sizeof(g), &g);
	}
	mnl_attr_nest_end(nlh, opt);
	mnl_attr_nest_end(nlh, act);
	mnl_attr_nest_end(nlh, acts);
}

static int filter_all(struct mnl_socket *nl, uint32_t from, uint32_t to)
{
	uint8_t buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *opt = filter_begin(nlh, from, PRIO_ALL, ETH_P_ALL, "matchall");

	put_action(nlh, TCA_MATCHALL_ACT, to, false);
	mnl_attr_nest_end(nlh, opt);
	return nl_talk(nl, nlh);
}

static int filter_ports(struct mnl_socket *nl, uint32_t link, uint16_t proto, uint8_t ip_proto, uint16_t prio)
{
	uint16_t min_attr = TCA_FLOWER_KEY_PORT_DST_MIN, max_attr = TCA_FLOWER_KEY_PORT_DST_MAX;
	uint8_t buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *opt = filter_begin(nlh, link, prio, proto, "flower");

	mnl_attr_put_u16(nlh, TCA_FLOWER_KEY_ETH_TYPE, htons(proto));
	mnl_attr_put_u8(nlh, TCA_FLOWER_KEY_IP_PROTO, ip_proto);
	mnl_attr_put_u16(nlh, min_attr, htons(NET_HOST_PORT_MIN));
	mnl_attr_put_u16(nlh, max_attr, htons(NET_HOST_PORT_MAX));
	put_action(nlh, TCA_FLOWER_ACT, 0, false);
	mnl_attr_nest_end(nlh, opt);
	return nl_talk(nl, nlh);
}

static int filter_arp(struct mnl_socket *nl, uint32_t link, uint32_t tap)
{
	uint8_t buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *opt = filter_begin(nlh, link, PRIO_NEIGH, ETH_P_ARP, "matchall");

	put_action(nlh, TCA_MATCHALL_ACT, tap, true);
	mnl_attr_nest_end(nlh, opt);
	return nl_talk(nl, nlh);
}

static int filter_nd(struct mnl_socket *nl, uint32_t link, uint32_t tap, uint8_t type, uint16_t prio)
{
	uint8_t buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *opt = filter_begin(nlh, link, prio, ETH_P_IPV6, "flower");

	mnl_attr_put_u16(nlh, TCA_FLOWER_KEY_ETH_TYPE, htons(ETH_P_IPV6));
	mnl_attr_put_u8(nlh, TCA_FLOWER_KEY_IP_PROTO, IPPROTO_ICMPV6);
	mnl_attr_put_u8(nlh, TCA_FLOWER_KEY_ICMPV6_TYPE, type);
	mnl_attr_put_u8(nlh, TCA_FLOWER_KEY_ICMPV6_TYPE_MASK, 0xff);
	put_action(nlh, TCA_FLOWER_ACT, tap, true);
	mnl_attr_nest_end(nlh, opt);
	return nl_talk(nl, nlh);
}

int tc_join(struct mnl_socket *nl, uint32_t link, uint32_t tap, struct error *err)
{
	int r = ingress_qdisc(nl, link);

	if (r == 0)
		r = ingress_qdisc(nl, tap);
	if (r < 0)
		return error_set(err, -r, "add an ingress qdisc (is the sch_ingress module there? try: modprobe sch_ingress)");
	if ((r = filter_ports(nl, link, ETH_P_IP, IPPROTO_UDP, PRIO_PORTS)) < 0 ||
	    (r = filter_ports(nl, link, ETH_P_IP, IPPROTO_TCP, PRIO_PORTS + 1)) < 0 ||
	    (r = filter_ports(nl, link, ETH_P_IPV6, IPPROTO_UDP, PRIO_PORTS + 2)) < 0 ||
	    (r = filter_ports(nl, link, ETH_P_IPV6, IPPROTO_TCP, PRIO_PORTS + 3)) < 0 ||
	    (r = filter_nd(nl, link, tap, ICMPV6_NS, PRIO_NEIGH + 1)) < 0 ||
	    (r = filter_nd(nl, link, tap, ICMPV6_NA, PRIO_NEIGH + 2)) < 0)
		return error_set(err, -r, "add a flower filter (is the cls_flower module there? try: modprobe cls_flower)");
	if ((r = filter_arp(nl, link, tap)) < 0 || (r = filter_all(nl, link, tap)) < 0 ||
	    (r = filter_all(nl, tap, link)) < 0)
		return error_set(err, -r, "redirect traffic (are the cls_matchall and act_mirred modules there? "
					  "try: modprobe -a cls_matchall act_mirred)");
	return 0;
}
