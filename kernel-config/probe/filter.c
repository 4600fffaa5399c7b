/* SPDX-License-Identifier: Apache-2.0 */
/* The packet filter: tables, matches and targets that engines use, by nftables and by the older interface. */
#include "probe.h"
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *old_tables(void)
{
	static const char *const names[] = { "filter", "nat", "mangle", "raw", NULL };
	int four = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), six = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);

	for (const char *const *name = names; *name; name++) {
		struct ipt_getinfo info = { 0 };
		struct ip6t_getinfo info6 = { 0 };
		socklen_t length = sizeof(info);

		strcpy(info.name, *name);
		if (getsockopt(four, IPPROTO_IP, IPT_SO_GET_INFO, &info, &length) < 0)
			return problem("iptables table %s", *name);
		length = sizeof(info6);
		strcpy(info6.name, *name);
		if (getsockopt(six, IPPROTO_IPV6, IP6T_SO_GET_INFO, &info6, &length) < 0)
			return problem("ip6tables table %s", *name);
	}
	return NULL;
}

static const char *old_extensions(void)
{
	static const char *const matches[] = { "addrtype", "bpf",	"comment",   "conntrack", "icmp",    "limit",
					       "mark",	   "connmark",	"multiport", "owner",	  "physdev", "recent",
					       "state",	   "statistic", "tcp",	     "udp",	  "u32",     NULL };
	static const char *const targets[] = { "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "REJECT",
					       "LOG",  "MARK", "CONNMARK",   "TCPMSS",	 NULL };
	const char *missing;

	old_tables();
	missing = words_missing("/proc/net/ip_tables_matches", matches);
	if (missing)
		return problem("no match %s", missing);
	missing = words_missing("/proc/net/ip_tables_targets", targets);
	return missing ? problem("no target %s", missing) : NULL;
}

static void batch_message(struct message *message, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nfgenmsg header = { .nfgen_family = family, .version = NFNETLINK_V0 };

	message_next(message, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), (uint16_t)(NLM_F_REQUEST | flags));
	message_put(message, &header, sizeof(header));
}

static void batch_edge(struct message *message, uint16_t type)
{
	struct nfgenmsg header = { .res_id = htons(NFNL_SUBSYS_NFTABLES) };

	message_next(message, type, NLM_F_REQUEST);
	message_put(message, &header, sizeof(header));
}

/* Table and chain "probe", and optionally a rule of one expression without parameters. Returns the first error. */
static int rule_try(int fd, uint8_t family, const char *expression)
{
	struct message message = { .used = 0 };
	size_t list, element;

	batch_edge(&message, NFNL_MSG_BATCH_BEGIN);
	batch_message(&message, NFT_MSG_NEWTABLE, NLM_F_CREATE | (expression ? 0 : NLM_F_ACK), family);
	message_attribute(&message, NFTA_TABLE_NAME, "probe", 6);
	batch_message(&message, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family);
	message_attribute(&message, NFTA_CHAIN_TABLE, "probe", 6);
	message_attribute(&message, NFTA_CHAIN_NAME, "probe", 6);
	if (expression) {
		batch_message(&message, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, family);
		message_attribute(&message, NFTA_RULE_TABLE, "probe", 6);
		message_attribute(&message, NFTA_RULE_CHAIN, "probe", 6);
		list = message_nest(&message, NFTA_RULE_EXPRESSIONS);
		element = message_nest(&message, NFTA_LIST_ELEM);
		message_attribute(&message, NFTA_EXPR_NAME, expression, strlen(expression) + 1);
		message_nest_end(&message, element);
		message_nest_end(&message, list);
	}
	batch_edge(&message, NFNL_MSG_BATCH_END);
	return message_ask(fd, &message);
}

static const char *nft_families(void)
{
	static const uint8_t families[] = { NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_BRIDGE };

	for (size_t i = 0; i < sizeof(families); i++) {
		int fd = netlink_open(NETLINK_NETFILTER), error = rule_try(fd, families[i], NULL);

		close(fd);
		if (error) {
			errno = -error;
			return problem("family %u", families[i]);
		}
	}
	return NULL;
}

/* An expression that the kernel knows is refused for its missing parameters (EINVAL), another one is not found. */
static const char *nft_expressions(void)
{
	static const char *const names[] = { "bitwise", "byteorder", "cmp",	  "counter", "ct",     "dynset",
					     "fib",	"hash",	     "immediate", "limit",   "log",    "lookup",
					     "masq",	"match",     "meta",	  "nat",     "numgen", "payload",
					     "range",	"redir",     "reject",	  "rt",	     "target", NULL };

	for (const char *const *name = names; *name; name++) {
		int fd = netlink_open(NETLINK_NETFILTER), error = rule_try(fd, NFPROTO_IPV4, *name);

		close(fd);
		errno = -error;
		if (error == -ENOENT || error == -EBADMSG)
			return problem("expression %s", *name);
	}
	return NULL;
}

static const char *nft_unknown_expression(void)
{
	int fd = netlink_open(NETLINK_NETFILTER), error = rule_try(fd, NFPROTO_IPV4, "nosuch");

	close(fd);
	errno = -error;
	return error == -ENOENT ? NULL : problem("an unknown expression gives another error");
}

static const char *tracking(void)
{
	static const char *const paths[] = { "/proc/sys/net/netfilter/nf_conntrack_max",
					     "/proc/sys/net/bridge/bridge-nf-call-iptables",
					     "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
					     "/proc/sys/net/ipv4/ip_forward",
					     "/proc/sys/net/ipv6/conf/all/forwarding",
					     "/proc/sys/net/ipv4/conf/all/route_localnet",
					     NULL };

	for (const char *const *path = paths; *path; path++)
		if (access(*path, F_OK) < 0)
			return problem("%s", *path);
	return NULL;
}

const struct probe filter_probes[] = {
	{ "iptables tables for IPv4 and IPv6", old_tables },
	{ "iptables matches and targets", old_extensions },
	{ "nftables families", nft_families },
	{ "nftables expressions", nft_expressions },
	{ "nftables refuses what it does not know", nft_unknown_expression },
	{ "connection tracking and bridge filter settings", tracking },
	{ 0 },
};
