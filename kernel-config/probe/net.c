/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: socket families, virtual links, policy routing. */
#include "probe.h"
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *socket_families(void)
{
	static const struct {
		int family, type, protocol;
		const char *name;
	} kinds[] = {
		{ AF_UNIX, SOCK_STREAM, 0, "unix stream" },
		{ AF_UNIX, SOCK_SEQPACKET, 0, "unix seqpacket" },
		{ AF_INET, SOCK_STREAM, 0, "tcp" },
		{ AF_INET, SOCK_DGRAM, 0, "udp" },
		{ AF_INET, SOCK_RAW, IPPROTO_ICMP, "icmp" },
		{ AF_INET6, SOCK_STREAM, 0, "tcp6" },
		{ AF_INET6, SOCK_DGRAM, 0, "udp6" },
		{ AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, "icmp6" },
		{ AF_PACKET, SOCK_RAW, 0, "packet" },
		{ AF_VSOCK, SOCK_STREAM, 0, "vsock" },
		{ AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "rtnetlink" },
		{ AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, "nfnetlink" },
		{ AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG, "sock_diag" },
		{ AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, "uevent" },
		{ AF_NETLINK, SOCK_RAW, NETLINK_GENERIC, "generic netlink" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);

		if (fd < 0)
			return problem("%s", kinds[i].name);
		close(fd);
	}
	errno = 0;
	if (socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0)
		return problem("AF_ALG is there");
	return NULL;
}

/* The agent listens before any device is up: the transport must be bound to virtio. */
static const char *vsock_listens(void)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 1024 };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		return problem("bind and listen");
	return NULL;
}

static const char *ping_sockets(void)
{
	int fd;

	if (!file_write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"))
		return problem("ping_group_range");
	fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	if (fd < 0)
		return problem("ICMP datagram socket");
	close(fd);
	return NULL;
}

/* Makes a link of a kind; with parent, on top of that interface; with data, attributes within IFLA_INFO_DATA. */
static const char *link_make(int fd, const char *kind, const char *name, const char *parent,
			     void (*data)(struct message *message))
{
	struct ifinfomsg header = { .ifi_family = AF_UNSPEC };
	struct message message;
	size_t info, inner;
	int error;

	message_start(&message, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	message_put(&message, &header, sizeof(header));
	message_attribute(&message, IFLA_IFNAME, name, strlen(name) + 1);
	if (parent) {
		uint32_t index = if_nametoindex(parent);

		message_attribute(&message, IFLA_LINK, &index, sizeof(index));
	}
	info = message_nest(&message, IFLA_LINKINFO);
	message_attribute(&message, IFLA_INFO_KIND, kind, strlen(kind));
	if (data) {
		inner = message_nest(&message, IFLA_INFO_DATA);
		data(&message);
		message_nest_end(&message, inner);
	}
	message_nest_end(&message, info);
	error = message_ask(fd, &message);
	if (error) {
		errno = -error;
		return problem("link of kind %s", kind);
	}
	return NULL;
}

static void veth_data(struct message *message)
{
	struct ifinfomsg header = { .ifi_family = AF_UNSPEC };
	size_t peer = message_nest(message, VETH_INFO_PEER);

	message_put(message, &header, sizeof(header));
	message_attribute(message, IFLA_IFNAME, "veth-b", 7);
	message_nest_end(message, peer);
}

static void vlan_data(struct message *message)
{
	uint16_t id = 5;

	message_attribute(message, IFLA_VLAN_ID, &id, sizeof(id));
}

static void vxlan_data(struct message *message)
{
	uint32_t id = 42;

	message_attribute(message, IFLA_VXLAN_ID, &id, sizeof(id));
}

static void macvlan_data(struct message *message)
{
	uint32_t mode = MACVLAN_MODE_BRIDGE;

	message_attribute(message, IFLA_MACVLAN_MODE, &mode, sizeof(mode));
}

static const char *virtual_links(void)
{
	static const struct {
		const char *kind, *name, *parent;
		void (*data)(struct message *message);
	} links[] = {
		{ "dummy", "dummy-a", NULL, NULL },
		{ "bridge", "bridge-a", NULL, NULL },
		{ "veth", "veth-a", NULL, veth_data },
		{ "vlan", "vlan-a", "dummy-a", vlan_data },
		{ "macvlan", "macvlan-a", "veth-a", macvlan_data },
		{ "ipvlan", "ipvlan-a", "veth-b", NULL },
		{ "vxlan", "vxlan-a", NULL, vxlan_data },
	};
	int fd;

	if (unshare(CLONE_NEWNET) < 0 || (fd = netlink_open(NETLINK_ROUTE)) < 0)
		return problem("unshare");
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		const char *why = link_make(fd, links[i].kind, links[i].name, links[i].parent, links[i].data);

		if (why)
			return why;
	}
	return NULL;
}

static const char *tap_device(void)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	int fd = open("/dev/net/tun", O_RDWR);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		return problem("/dev/net/tun");
	return NULL;
}

static const char *policy_routing(void)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int fd = netlink_open(NETLINK_ROUTE);

	for (int i = 0; i < 2; i++) {
		struct fib_rule_hdr header = { .family = (uint8_t)families[i], .table = 100, .action = FR_ACT_TO_TBL };
		uint32_t mark = 7;
		struct message message;
		int error;

		message_start(&message, RTM_NEWRULE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
		message_put(&message, &header, sizeof(header));
		message_attribute(&message, FRA_FWMARK, &mark, sizeof(mark));
		error = message_ask(fd, &message);
		if (error) {
			errno = -error;
			return problem("rule of family %d", families[i]);
		}
	}
	return NULL;
}

static const char *no_automatic_devices(void)
{
	static const char *const names[] = { "sit0", "tunl0", "ip6tnl0", "gre0", "erspan0", "dummy0", "bond0", NULL };

	/* The first network namespace, which the agent may give to the container, and a new one. */
	for (int pass = 0; pass < 2; pass++) {
		for (const char *const *name = names; *name; name++) {
			if (if_nametoindex(*name)) {
				errno = 0;
				return problem("%s exists", *name);
			}
		}
		if (unshare(CLONE_NEWNET) < 0)
			return problem("unshare");
	}
	return NULL;
}

const struct probe net_probes[] = {
	{ "socket families", socket_families },
	{ "vsock listens", vsock_listens },
	{ "unprivileged ping sockets", ping_sockets },
	{ "virtual links of every kind", virtual_links },
	{ "a tap device with several queues", tap_device },
	{ "policy routing for IPv4 and IPv6", policy_routing },
	{ "no network device comes by itself", no_automatic_devices },
	{ 0 },
};
