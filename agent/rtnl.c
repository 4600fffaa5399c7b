/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink requests. Runs in the network job. What is read here comes from the kernel or,
 * attribute by attribute, from the host's messages, which may be malformed.
 */
#include "rtnl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define ALIGN4(n) (((n) + 3u) & ~(size_t)3u)

/* Aligned, zeroed room at the end of the body; NULL when it is full. */
static uint8_t *grow(struct rtnl_msg *m, size_t len)
{
	size_t at = ALIGN4(m->len);

	if (m->overflow || len > RTNL_ROOM || ALIGN4(len) > RTNL_ROOM - at) {
		m->overflow = true;
		return NULL;
	}
	memset(m->body + at, 0, ALIGN4(len));
	m->len = at + len;
	return m->body + at;
}

void rtnl_begin(struct rtnl_msg *m, uint16_t type, uint16_t flags, const void *fixed, size_t len)
{
	uint8_t *p;

	m->overflow = false;
	m->len = 0;
	m->h = (struct nlmsghdr){ .nlmsg_type = type, .nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST | NLM_F_ACK) };
	p = grow(m, len);
	if (p)
		memcpy(p, fixed, len);
}

void rtnl_put(struct rtnl_msg *m, uint16_t type, const void *data, size_t len)
{
	struct nlattr a = { .nla_len = (uint16_t)(sizeof(a) + len), .nla_type = type };
	uint8_t *p = len > UINT16_MAX - sizeof(a) ? NULL : grow(m, sizeof(a) + len);

	if (!p) {
		m->overflow = true;
		return;
	}
	memcpy(p, &a, sizeof(a));
	if (len)
		memcpy(p + sizeof(a), data, len);
}

void rtnl_put_u32(struct rtnl_msg *m, uint16_t type, uint32_t v)
{
	rtnl_put(m, type, &v, sizeof(v));
}

bool rtnl_next(struct rtnl_attrs *a, struct rtnl_attr *out)
{
	struct nlattr n;
	size_t step;

	if (a->left < sizeof(n))
		return false;
	memcpy(&n, a->p, sizeof(n));
	if (n.nla_len < sizeof(n) || n.nla_len > a->left)
		return false;
	out->type = n.nla_type & NLA_TYPE_MASK;
	out->len = (uint16_t)(n.nla_len - sizeof(n));
	out->data = a->p + sizeof(n);
	step = ALIGN4((size_t)n.nla_len);
	if (step > a->left)
		step = a->left;
	a->p += step;
	a->left -= step;
	return true;
}

int rtnl_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), one = 1;
	struct timeval limit = { .tv_sec = 10 };

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* The kernel's words for a refusal: an attribute behind the error. */
static void read_reason(const uint8_t *p, size_t len, char *why, size_t cap)
{
	struct rtnl_attrs attrs = { p, len };
	struct rtnl_attr a;

	while (rtnl_next(&attrs, &a)) {
		size_t n = a.len < cap ? a.len : cap - 1;

		if (a.type != NLMSGERR_ATTR_MSG)
			continue;
		memcpy(why, a.data, n);
		why[n] = '\0';
	}
}

int rtnl_talk(int fd, struct rtnl_msg *m, char *why, size_t cap)
{
	static uint32_t seq;
	union {
		struct nlmsghdr h;
		uint8_t bytes[4096];
	} in;
	struct iovec iov[2] = { { &m->h, sizeof(m->h) }, { m->body, m->len } };
	struct nlmsgerr e;
	ssize_t n;

	why[0] = '\0';
	if (m->overflow)
		return -EMSGSIZE;
	m->h.nlmsg_seq = ++seq;
	m->h.nlmsg_len = (uint32_t)(sizeof(m->h) + m->len);
	if (writev(fd, iov, 2) < 0)
		return -errno;
	for (;;) {
		n = recv(fd, &in, sizeof(in), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if ((size_t)n >= sizeof(in.h) + sizeof(e) && in.h.nlmsg_type == NLMSG_ERROR && in.h.nlmsg_seq == seq)
			break;
	}
	memcpy(&e, in.bytes + sizeof(in.h), sizeof(e));
	if (e.error && in.h.nlmsg_flags & NLM_F_ACK_TLVS)
		read_reason(in.bytes + sizeof(in.h) + sizeof(e), (size_t)n - sizeof(in.h) - sizeof(e), why, cap);
	return e.error;
}
