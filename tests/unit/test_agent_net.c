/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaying the host's rtnetlink messages on an interface: a veth in a network namespace of the
 * test's own.
 */
// link: agent
#include "tests/unit/agent_env.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "agent/net.h"
#include "agent/rtnl.h"

static uint8_t batch[65536] __attribute__((aligned(4)));
static size_t batch_len;

/* Append a message as the host would send it. */
static void say(struct rtnl_msg *m)
{
	m->h.nlmsg_len = (uint32_t)(sizeof(m->h) + m->len);
	memcpy(batch + batch_len, &m->h, sizeof(m->h));
	memcpy(batch + batch_len + sizeof(m->h), m->body, m->len);
	batch_len += (m->h.nlmsg_len + 3u) & ~3u;
}

static void say_link(const char *name, const char *mac, uint32_t mtu, unsigned int flags)
{
	struct ifinfomsg ifi = { .ifi_index = 77, .ifi_flags = flags, .ifi_change = IFF_UP | IFF_NOARP };
	struct rtnl_msg m;

	rtnl_begin(&m, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	rtnl_put(&m, IFLA_IFNAME, name, strlen(name) + 1);
	if (mac)
		rtnl_put(&m, IFLA_ADDRESS, mac, 6);
	rtnl_put_u32(&m, IFLA_MTU, mtu);
	say(&m);
}

static void say_addr(uint16_t type, int family, const char *addr, uint8_t prefix)
{
	struct ifaddrmsg ifa = { .ifa_family = (uint8_t)family, .ifa_prefixlen = prefix, .ifa_index = 77 };
	uint8_t bytes[16];
	size_t n = family == AF_INET ? 4 : 16;
	struct rtnl_msg m;

	CHECK(inet_pton(family, addr, bytes) == 1);
	rtnl_begin(&m, type, 0, &ifa, sizeof(ifa));
	rtnl_put(&m, IFA_LOCAL, bytes, n);
	rtnl_put(&m, IFA_ADDRESS, bytes, n);
	if (family == AF_INET)
		rtnl_put(&m, IFA_LABEL, "hostname0", 10); /* not ours: dropped */
	say(&m);
}

static void say_route(uint16_t type, int family, const char *dst, uint8_t len, const char *via, uint8_t scope,
		      uint8_t kind)
{
	struct rtmsg rt = { .rtm_family = (uint8_t)family,
			    .rtm_dst_len = len,
			    .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = RTPROT_STATIC,
			    .rtm_scope = scope,
			    .rtm_type = kind };
	uint8_t bytes[16];
	size_t n = family == AF_INET ? 4 : 16;
	struct rtnl_msg m;

	rtnl_begin(&m, type, 0, &rt, sizeof(rt));
	if (dst) {
		CHECK(inet_pton(family, dst, bytes) == 1);
		rtnl_put(&m, RTA_DST, bytes, n);
	}
	if (via) {
		CHECK(inet_pton(family, via, bytes) == 1);
		rtnl_put(&m, RTA_GATEWAY, bytes, n);
	}
	rtnl_put_u32(&m, RTA_OIF, 77); /* the host's index */
	say(&m);
}

static const char *output(const char *cmd)
{
	static char text[16384];
	FILE *f = popen(cmd, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	if (f)
		pclose(f);
	return text;
}

/* A namespace with a veth pair nic0 and nic1; the index of nic0, or 0. */
static int setup(void)
{
	if (geteuid() || unshare(CLONE_NEWNET) || system("ip link add nic0 type veth peer name nic1 2>/dev/null")) {
		printf("# skipped: needs root, iproute2 and veth interfaces\n");
		return 0;
	}
	batch_len = 0;
	return (int)if_nametoindex("nic0");
}

static int apply(int index, struct fault *f)
{
	struct net_args a = { .slot = 0, .msgs = batch, .len = batch_len, .ifindex = index };
	int null = open("/dev/null", O_WRONLY), r;

	memset(f, 0, sizeof(*f));
	r = net_apply(&a, null, f);
	close(null);
	batch_len = 0;
	if (r)
		printf("# %s: %s\n", f->text, strerror((int)f->err));
	return r;
}

TEST(a_link_gets_name_address_mtu_and_comes_up)
{
	struct fault f;
	int index = setup();

	if (!index)
		return;
	if (system("ip link set nic1 name eth0")) /* in the way, but not in use */
		UNIT_FAIL("ip");
	say_link("eth0", "\x02\x42\xac\x11\x00\x02", 1400, IFF_UP);
	say_addr(RTM_NEWADDR, AF_INET, "172.17.0.2", 16);
	say_addr(RTM_NEWADDR, AF_INET6, "fd00::2", 64);
	say_route(RTM_NEWROUTE, AF_INET, NULL, 0, "172.17.0.1", RT_SCOPE_UNIVERSE, RTN_UNICAST);
	CHECK_EQ(apply(index, &f), 0);
	CHECK_EQ(if_nametoindex("eth0"), index);
	CHECK_CONTAINS(output("ip link show eth0"), "mtu 1400");
	CHECK_CONTAINS(output("ip link show eth0"), "02:42:ac:11:00:02");
	CHECK_CONTAINS(output("ip link show eth0"), "UP");
	CHECK_CONTAINS(output("ip -4 addr show eth0"), "inet 172.17.0.2/16");
	CHECK_CONTAINS(output("ip -6 addr show eth0"), "inet6 fd00::2/64 scope global nodad");
	CHECK_CONTAINS(output("ip route"), "default via 172.17.0.1 dev eth0");
	say_link("eth0", NULL, 9000, IFF_UP); /* a change while it is up */
	CHECK_EQ(apply(index, &f), 0);
	CHECK_CONTAINS(output("ip link show eth0"), "mtu 9000");
	CHECK_CONTAINS(output("ip route"), "default via 172.17.0.1 dev eth0");
}

TEST(routes_in_the_wrong_order_are_tried_again)
{
	struct fault f;
	int index = setup();

	if (!index)
		return;
	say_link("eth0", NULL, 1500, IFF_UP);
	say_addr(RTM_NEWADDR, AF_INET, "10.1.2.3", 32);
	say_route(RTM_NEWROUTE, AF_INET, NULL, 0, "169.254.1.1", RT_SCOPE_UNIVERSE,
		  RTN_UNICAST); /* needs the next one */
	say_route(RTM_NEWROUTE, AF_INET, "169.254.1.1", 32, NULL, RT_SCOPE_LINK, RTN_UNICAST);
	say_route(RTM_NEWROUTE, AF_INET, "192.0.2.0", 24, NULL, RT_SCOPE_UNIVERSE, RTN_BLACKHOLE);
	CHECK_EQ(apply(index, &f), 0);
	CHECK_CONTAINS(output("ip route"), "default via 169.254.1.1 dev eth0");
	CHECK_CONTAINS(output("ip route"), "blackhole 192.0.2.0/24");
	say_route(RTM_NEWROUTE, AF_INET, "203.0.113.0", 24, "198.51.100.1", RT_SCOPE_UNIVERSE, RTN_UNICAST);
	say_route(RTM_NEWROUTE, AF_INET, "198.51.100.0", 24, "198.18.0.1", RT_SCOPE_UNIVERSE, RTN_UNICAST);
	if (system("ip route del default"))
		UNIT_FAIL("ip");
	CHECK_EQ(apply(index, &f), -1);
	CHECK_EQ(f.err, ENETUNREACH);
	CHECK_CONTAINS(f.text, "new route");
}

TEST(deletions_of_what_is_gone_are_no_errors)
{
	struct fault f;
	int index = setup();

	if (!index)
		return;
	say_link("eth0", NULL, 1500, IFF_UP);
	say_addr(RTM_NEWADDR, AF_INET, "10.0.0.2", 24);
	say_route(RTM_NEWROUTE, AF_INET, "10.9.0.0", 16, "10.0.0.1", RT_SCOPE_UNIVERSE, RTN_UNICAST);
	CHECK_EQ(apply(index, &f), 0);
	for (int i = 0; i < 2; i++) {
		say_route(RTM_DELROUTE, AF_INET, "10.9.0.0", 16, "10.0.0.1", RT_SCOPE_UNIVERSE, RTN_UNICAST);
		say_addr(RTM_DELADDR, AF_INET, "10.0.0.2", 24);
		CHECK_EQ(apply(index, &f), 0);
	}
	CHECK_STR(output("ip route; ip -4 addr show eth0"), "");
}

TEST(a_name_that_is_in_use_is_an_error)
{
	struct fault f;
	int index = setup();

	if (!index)
		return;
	if (system("ip link set nic1 name eth0 up"))
		UNIT_FAIL("ip");
	say_link("eth0", NULL, 1500, IFF_UP);
	CHECK_EQ(apply(index, &f), -1);
	CHECK_EQ(f.err, EEXIST);
}

TEST(malformed_messages_are_refused)
{
	struct nlmsghdr h = { .nlmsg_len = 15, .nlmsg_type = RTM_NEWLINK };
	struct fault f;
	int index = setup();

	if (!index)
		return;
	for (uint32_t len = 0; len < 16; len++) {
		h.nlmsg_len = len;
		memcpy(batch, &h, sizeof(h));
		batch_len = sizeof(h);
		CHECK_EQ(apply(index, &f), -1);
	}
	h.nlmsg_len = 17;
	memcpy(batch, &h, sizeof(h));
	batch_len = sizeof(h);
	CHECK_EQ(apply(index, &f), -1);
	h.nlmsg_len = 16; /* no fixed part: read as zeros, then refused by the kernel or without effect */
	h.nlmsg_type = RTM_NEWROUTE;
	memcpy(batch, &h, sizeof(h));
	batch_len = sizeof(h);
	(void)apply(index, &f);
	h.nlmsg_type = 9999;
	memcpy(batch, &h, sizeof(h));
	batch_len = sizeof(h);
	CHECK_EQ(apply(index, &f), -1);
	CHECK_EQ(f.err, EOPNOTSUPP);
}
