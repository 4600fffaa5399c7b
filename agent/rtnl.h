/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink requests: building a message, sending it, its acknowledgement. No allocation.
 */
#ifndef HUSK_AGENT_RTNL_H
#define HUSK_AGENT_RTNL_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTNL_ROOM 16384u

/* A message under construction. */
struct rtnl_msg {
	struct nlmsghdr h; /* put in front when it is sent */
	uint8_t body[RTNL_ROOM];
	size_t len;    /* of the body */
	bool overflow; /* something did not fit: sending it is an error */
};

/* Attributes of a message or of a nested attribute, checked step by step. */
struct rtnl_attrs {
	const uint8_t *p;
	size_t left;
};

struct rtnl_attr {
	uint16_t type; /* without NLA_F_* */
	uint16_t len;  /* payload bytes */
	const uint8_t *data;
};

void rtnl_begin(struct rtnl_msg *m, uint16_t type, uint16_t flags, const void *fixed, size_t len);
void rtnl_put(struct rtnl_msg *m, uint16_t type, const void *data, size_t len);
void rtnl_put_u32(struct rtnl_msg *m, uint16_t type, uint32_t v);

/* The next attribute; false at the end or at the first one that is malformed. */
bool rtnl_next(struct rtnl_attrs *a, struct rtnl_attr *out);

/* A socket, or -errno. */
int rtnl_open(void);

/*
 * Send and wait for the acknowledgement. 0 or -errno of the kernel; its text, if it gave one, in
 * why[cap].
 */
int rtnl_talk(int fd, struct rtnl_msg *m, char *why, size_t cap);

#endif
