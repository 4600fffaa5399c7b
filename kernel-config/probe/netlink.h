/* SPDX-License-Identifier: Apache-2.0 */
/* Building and sending netlink messages, as far as the probes need it. */
#ifndef HUSK_PROBE_NETLINK_H
#define HUSK_PROBE_NETLINK_H

#include <stddef.h>
#include <stdint.h>

/* One or more netlink messages in a row; the last one is open for attributes. */
struct message {
	_Alignas(8) unsigned char bytes[8192];
	size_t used;
	size_t start; /* offset of the open message's header */
};

/** netlink_open - a bound socket of a netlink protocol, or -1 with errno. */
int netlink_open(int protocol);

/** message_start - empties the buffer and opens its first message. */
void message_start(struct message *message, uint16_t type, uint16_t flags);

/** message_next - opens another message behind the ones that are there. */
void message_next(struct message *message, uint16_t type, uint16_t flags);

/** message_put - appends bytes, padded to four. */
void message_put(struct message *message, const void *data, size_t size);

/** message_attribute - appends one attribute. */
void message_attribute(struct message *message, uint16_t type, const void *data, size_t size);

/** message_nest - opens a nested attribute; its result goes to message_nest_end(). */
size_t message_nest(struct message *message, uint16_t type);

/** message_nest_end - closes a nested attribute. */
void message_nest_end(struct message *message, size_t nest);

/** message_ask - sends the buffer and waits for an acknowledgement: 0, or the first error as negative errno. */
int message_ask(int fd, struct message *message);

#endif
