/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read of a container's network namespace. Each test has a namespace of its own.
 */
// link: runtime oci
#include "tests/unit/unit.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include "runtime/net_tc.h"
#include "runtime/net_view.h"
#include "runtime/netlink.h"

static struct nl_sock *namespace(void)
{
	return unshare(CLONE_NEWNET) == 0 ? netlink_open() : NULL;
}

static int ip(const char *args)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "ip %s", args);
	return system(cmd);
}

static unsigned int count(const struct net_view *v, uint16_t type)
{
	unsigned int n = 0;

	for (size_t i = 0; i < v->nmsgs; i++) {
		struct nlmsghdr hdr;

		memcpy(&hdr, v->msg[i]->data, sizeof(hdr));
		n += hdr.nlmsg_type == type;
	}
	return n;
}

TEST(an_empty_namespace_has_nothing_to_tell)
{
	struct nl_sock *nl = namespace();
	struct net_view v;
	struct error err;

	REQUIRE(nl);
	CHECK_EQ(ip("link set lo up"), 0);
	REQUIRE(net_view_read(nl, &v, &err) == 0);
	CHECK_EQ(v.nlinks, 0);
	CHECK_EQ(v.nmsgs, 0);
	net_view_free(&v);
	nl_socket_free(nl);
}

struct sent {
	unsigned int n, wrong;
};

/* The fixed part of each kind of message. */
static size_t fixed_len(uint16_t type)
{
	switch (type) {
	case RTM_GETLINK:
		return sizeof(struct ifinfomsg);
	case RTM_GETADDR:
		return sizeof(struct ifaddrmsg);
	case RTM_GETNEIGH:
		return sizeof(struct ndmsg);
	case RTM_GETROUTE:
		return sizeof(struct rtmsg);
	case RTM_NEWQDISC:
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
		return sizeof(struct tcmsg);
	default:
		return 0;
	}
}

/* Behind the fixed part whole attributes follow, and nothing else: the kernel complains of what is left over. */
static int check_request(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *h = nlmsg_hdr(msg);
	struct sent *sent = arg;
	size_t fixed = fixed_len(h->nlmsg_type);
	int rem = -1;

	sent->n++;
	if (fixed && (size_t)nlmsg_datalen(h) >= fixed) {
		const struct nlattr *a = nlmsg_attrdata(h, (int)fixed);

		rem = nlmsg_attrlen(h, (int)fixed);
		while (nla_ok(a, rem))
			a = nla_next(a, &rem);
	}
	if (rem) {
		UNIT_FAIL("message %u of type %u: %d bytes, %zu of them fixed, %d left over", sent->n, h->nlmsg_type,
			  nlmsg_datalen(h), fixed, rem);
		sent->wrong++;
	}
	return NL_OK;
}

TEST(what_is_sent_to_the_kernel_is_a_fixed_part_of_its_size_and_whole_attributes)
{
	struct nl_sock *nl = namespace();
	struct sent sent = { 0 };
	struct net_view v;
	struct error err;

	REQUIRE(nl);
	REQUIRE(nl_socket_modify_cb(nl, NL_CB_MSG_OUT, NL_CB_CUSTOM, check_request, &sent) == 0);
	REQUIRE(net_view_read(nl, &v, &err) == 0);
	net_view_free(&v);
	CHECK_EQ(sent.n, 5);
	tc_join(nl, 1, 1, &err); /* whether the host has the modules does not matter here */
	tc_share(nl, 1, 1, &err);
	tc_leave(nl, 1);
	CHECK(sent.n > 5);
	CHECK_EQ(sent.wrong, 0);
	nl_socket_free(nl);
}

TEST(an_interface_is_seen_with_name_mac_mtu_addresses_and_routes)
{
	struct nl_sock *nl = namespace();
	struct net_view v;
	struct error err;

	REQUIRE(nl);
	CHECK_EQ(ip("link add eth0 address 02:42:ac:11:00:02 mtu 1400 type veth peer name far"), 0);
	CHECK_EQ(ip("link set eth0 up"), 0);
	CHECK_EQ(ip("addr add 172.17.0.2/16 dev eth0"), 0);
	CHECK_EQ(ip("route add default via 172.17.0.1"), 0);
	CHECK_EQ(ip("route add 169.254.1.1 dev eth0 scope link metric 7"), 0);
	CHECK_EQ(ip("neigh add 172.17.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent"), 0);
	REQUIRE(net_view_read(nl, &v, &err) == 0);
	REQUIRE(v.nlinks == 1); /* "far" is down and has no address */
	CHECK(!strcmp(v.link[0].name, "eth0"));
	CHECK_EQ(v.link[0].mtu, 1400);
	CHECK_EQ(v.link[0].mac[5], 2);
	CHECK_EQ(count(&v, RTM_NEWLINK), 1);
	CHECK_EQ(count(&v, RTM_NEWADDR), 1);
	CHECK_EQ(count(&v, RTM_NEWROUTE), 2); /* not the one that the address brings with it */
	CHECK_EQ(count(&v, RTM_NEWNEIGH), 1);
	net_view_free(&v);
	nl_socket_free(nl);
}

TEST(reading_twice_gives_equal_messages_and_a_change_is_seen)
{
	struct nl_sock *nl = namespace();
	struct net_view a, b;
	struct error err;
	unsigned int missing = 0;

	REQUIRE(nl);
	CHECK_EQ(ip("link add eth0 type veth peer name far"), 0);
	CHECK_EQ(ip("link set eth0 up"), 0);
	CHECK_EQ(ip("addr add 10.1.0.2/24 dev eth0"), 0);
	CHECK_EQ(ip("addr add 10.1.0.3/24 dev eth0"), 0);
	REQUIRE(net_view_read(nl, &a, &err) == 0);
	REQUIRE(net_view_read(nl, &b, &err) == 0);
	for (size_t i = 0; i < a.nmsgs; i++)
		CHECK(net_view_has(&b, a.msg[i]));
	net_view_free(&b);

	CHECK_EQ(ip("addr del 10.1.0.3/24 dev eth0"), 0);
	REQUIRE(net_view_read(nl, &b, &err) == 0);
	for (size_t i = 0; i < a.nmsgs; i++)
		missing += !net_view_has(&b, a.msg[i]);
	CHECK_EQ(missing, 1);
	net_view_free(&a);
	net_view_free(&b);
	nl_socket_free(nl);
}

TEST(an_interface_that_is_down_counts_once_it_has_an_address)
{
	struct nl_sock *nl = namespace();
	struct net_view v;
	struct error err;

	REQUIRE(nl);
	CHECK_EQ(ip("link add eth0 type veth peer name far"), 0);
	REQUIRE(net_view_read(nl, &v, &err) == 0);
	CHECK_EQ(v.nlinks, 0);
	net_view_free(&v);
	CHECK_EQ(ip("addr add 10.1.0.2/24 dev eth0"), 0);
	REQUIRE(net_view_read(nl, &v, &err) == 0);
	CHECK_EQ(v.nlinks, 1);
	net_view_free(&v);
	nl_socket_free(nl);
}

TEST(more_interfaces_than_husk_takes_over_are_an_error_that_says_so)
{
	struct nl_sock *nl = namespace();
	struct net_view v;
	struct error err;

	REQUIRE(nl);
	for (unsigned int i = 0; i < NET_VIEW_LINKS; i++) {
		char cmd[64];

		snprintf(cmd, sizeof(cmd), "link add v%u type veth peer name w%u", i, i);
		REQUIRE(ip(cmd) == 0);
	}
	CHECK_EQ(net_view_read(nl, &v, &err), -1);
	CHECK(strstr(err.text, "interfaces"));
	nl_socket_free(nl);
}

/* The value that the guest is told: the last setting of the link's message. */
static int told_ipv6_off(struct nl_sock *nl)
{
	struct net_view v;
	struct error err;
	int32_t off = -1;

	if (net_view_read(nl, &v, &err) == 0 && v.nmsgs)
		memcpy(&off, v.msg[0]->data + v.msg[0]->len - sizeof(off), sizeof(off));
	net_view_free(&v);
	return off;
}

TEST(an_interface_with_ipv6_turned_off_is_told_so)
{
	struct nl_sock *nl = namespace();

	REQUIRE(nl);
	CHECK_EQ(ip("link add eth0 type veth peer name other"), 0);
	CHECK_EQ(ip("link set eth0 up"), 0);
	CHECK_EQ(told_ipv6_off(nl), 0);
	CHECK_EQ(system("echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6"), 0);
	CHECK_EQ(told_ipv6_off(nl), 1);
	nl_socket_free(nl);
}
