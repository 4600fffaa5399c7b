/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink messages for the probes: fixed buffer, no reuse of a socket between threads, acknowledgement of each ask. */
#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int netlink_open(int protocol)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static struct nlmsghdr *header_of(struct message *message)
{
	return (struct nlmsghdr *)(message->bytes + message->start);
}

void message_put(struct message *message, const void *data, size_t size)
{
	size_t padded = (size + 3) & ~(size_t)3;

	if (padded < size || padded > sizeof(message->bytes) - message->used)
		abort();
	memset(message->bytes + message->used, 0, padded);
	if (size)
		memcpy(message->bytes + message->used, data, size);
	message->used += padded;
	header_of(message)->nlmsg_len = (uint32_t)(message->used - message->start);
}

void message_next(struct message *message, uint16_t type, uint16_t flags)
{
	struct nlmsghdr header = { .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = 1 };

	message->start = message->used;
	if (sizeof(message->bytes) - message->used < sizeof(header))
		abort();
	message_put(message, &header, sizeof(header));
}

void message_start(struct message *message, uint16_t type, uint16_t flags)
{
	message->used = 0;
	message_next(message, type, flags);
}

void message_attribute(struct message *message, uint16_t type, const void *data, size_t size)
{
	struct nlattr attribute = { .nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = type };

	message_put(message, &attribute, sizeof(attribute));
	message_put(message, data, size);
}

size_t message_nest(struct message *message, uint16_t type)
{
	size_t nest = message->used;

	message_attribute(message, type | NLA_F_NESTED, NULL, 0);
	return nest;
}

void message_nest_end(struct message *message, size_t nest)
{
	((struct nlattr *)(message->bytes + nest))->nla_len = (uint16_t)(message->used - nest);
}

int message_ask(int fd, struct message *message)
{
	_Alignas(8) unsigned char answer[8192];
	struct nlmsghdr *header = (struct nlmsghdr *)answer;
	struct nlmsgerr error;
	ssize_t got;

	if (send(fd, message->bytes, message->used, 0) < 0)
		return -errno;
	got = recv(fd, answer, sizeof(answer), 0);
	if (got < 0)
		return -errno;
	if ((size_t)got < sizeof(*header) + sizeof(error) || header->nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	memcpy(&error, NLMSG_DATA(header), sizeof(error));
	return error.error;
}
