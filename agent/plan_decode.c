/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest plan's checked reader. Everything in a plan comes over the wire and is believed only
 * after plan_open() has walked it once; what executes it then trusts lengths and strings, not
 * values.
 *
 * One table tells the shape of each operation; one walker serves both the check and the execution.
 */
#include "plan_decode.h"

#include <errno.h>
#include <string.h>

enum { IN_CONTAINER = 1, IN_PROCESS = 2, IN_UPDATE = 4 };
enum tail_kind { TAIL_NONE, TAIL_GIDS, TAIL_FILTER, TAIL_BPF };

/* The shape of an operation: body bytes, then strings 's' and lists 'l' in order, then a tail. */
struct shape {
	uint16_t op;
	uint16_t body;
	uint8_t kinds;
	uint8_t tail;
	const char *parts;
	const char *name;
};

#define ENV_OP(o, body, parts, tail)                        \
	{                                                   \
		OP_##o, body, IN_CONTAINER, tail, parts, #o \
	}
#define BOTH_OP(o, body, parts, tail)                                    \
	{                                                                \
		OP_##o, body, IN_CONTAINER | IN_PROCESS, tail, parts, #o \
	}

static const struct shape shapes[] = {
	{ OP_CONTAINER, 0, IN_CONTAINER | IN_PROCESS | IN_UPDATE, TAIL_NONE, "s", "CONTAINER" },
	{ OP_CGROUP_WRITE, 0, IN_CONTAINER | IN_UPDATE, TAIL_NONE, "ss", "CGROUP_WRITE" },
	{ OP_CGROUP_DEVICES, 0, IN_CONTAINER | IN_UPDATE, TAIL_BPF, "", "CGROUP_DEVICES" },
	ENV_OP(NAMESPACE, sizeof(struct plan_ns), "s", TAIL_NONE),
	ENV_OP(IDMAP, sizeof(struct plan_idmap), "", TAIL_NONE),
	ENV_OP(TIMEOFFSET, sizeof(struct plan_timeoffset), "", TAIL_NONE),
	ENV_OP(VM_TMPFS, 0, "ss", TAIL_NONE),
	ENV_OP(SOCKET, sizeof(struct plan_socket), "s", TAIL_NONE),
	ENV_OP(DISK, sizeof(struct plan_disk), "sss", TAIL_NONE),
	ENV_OP(ROOT, sizeof(struct plan_root), "s", TAIL_NONE),
	ENV_OP(MOUNT, sizeof(struct plan_mount), "ssss", TAIL_NONE),
	ENV_OP(MKNOD, sizeof(struct plan_mknod), "s", TAIL_NONE),
	ENV_OP(SYMLINK, 0, "ss", TAIL_NONE),
	ENV_OP(PIVOT, sizeof(struct plan_pivot), "", TAIL_NONE),
	ENV_OP(REMOUNT_ROOT, 0, "", TAIL_NONE),
	ENV_OP(MASK, 0, "s", TAIL_NONE),
	ENV_OP(READONLY, 0, "s", TAIL_NONE),
	ENV_OP(HOSTNAME, 0, "s", TAIL_NONE),
	ENV_OP(DOMAINNAME, 0, "s", TAIL_NONE),
	ENV_OP(SYSCTL, 0, "ss", TAIL_NONE),
	ENV_OP(MKDIR, sizeof(struct plan_mkdir), "s", TAIL_NONE),
	ENV_OP(DISK_NODE, sizeof(struct plan_mknod), "ss", TAIL_NONE),
	BOTH_OP(TTY, sizeof(struct plan_tty), "", TAIL_NONE),
	BOTH_OP(CWD, 0, "s", TAIL_NONE),
	BOTH_OP(USER, sizeof(struct plan_user), "", TAIL_GIDS),
	BOTH_OP(RLIMIT, sizeof(struct plan_rlimit), "", TAIL_NONE),
	BOTH_OP(CAPS, sizeof(struct plan_caps), "", TAIL_NONE),
	BOTH_OP(NO_NEW_PRIVS, 0, "", TAIL_NONE),
	BOTH_OP(SECCOMP, sizeof(struct plan_seccomp), "", TAIL_FILTER),
	BOTH_OP(OOM_SCORE, sizeof(struct plan_int), "", TAIL_NONE),
	BOTH_OP(SCHED, sizeof(struct plan_sched), "", TAIL_NONE),
	BOTH_OP(IOPRIO, sizeof(struct plan_int), "", TAIL_NONE),
	BOTH_OP(PERSONALITY, sizeof(struct plan_int), "", TAIL_NONE),
	BOTH_OP(ARGS, 0, "l", TAIL_NONE),
	BOTH_OP(ENV, 0, "l", TAIL_NONE),
	ENV_OP(HOOK, sizeof(struct plan_int), "slls", TAIL_NONE),
	BOTH_OP(CPU_AFFINITY, 0, "s", TAIL_NONE),
};

static const struct shape *shape_of(uint16_t op)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (shapes[i].op == op)
			return &shapes[i];
	return NULL;
}

const char *plan_op_name(uint16_t op)
{
	const struct shape *s = shape_of(op);

	return s ? s->name : "unknown operation";
}

bool plan_cid_valid(const char *cid, size_t len)
{
	if (!len || len > WIRE_CID_MAX || (cid[0] == '.' && (len == 1 || (len == 2 && cid[1] == '.'))))
		return false;
	for (size_t i = 0; i < len; i++)
		if (cid[i] <= ' ' || cid[i] > '~' || cid[i] == '/')
			return false;
	return true;
}

const char *plan_list_next(const char *s)
{
	return s + strlen(s) + 1;
}

/* The bytes of an operation that are not taken yet. */
struct rest {
	const uint8_t *p;
	uint32_t len;
};

static const void *take(struct rest *r, uint32_t len)
{
	const void *p = r->p;

	if (len > r->len)
		return NULL;
	r->p += len;
	r->len -= len;
	return p;
}

static const char *take_string(struct rest *r)
{
	const uint8_t *end = r->len ? memchr(r->p, 0, r->len) : NULL;

	return end ? take(r, (uint32_t)(end - r->p) + 1) : NULL;
}

static bool take_list(struct rest *r, struct plan_list *l)
{
	const void *count = take(r, sizeof(l->count));

	if (!count)
		return false;
	memcpy(&l->count, count, sizeof(l->count));
	l->first = (const char *)r->p;
	if (l->count > r->len) /* each string has at least its NUL */
		return false;
	for (uint32_t i = 0; i < l->count; i++)
		if (!take_string(r))
			return false;
	return true;
}

/* The tail takes all that is left; its length must be what the body says. */
static bool take_tail(struct rest *r, const struct shape *s, struct plan_item *item)
{
	uint64_t want = 0;

	switch ((enum tail_kind)s->tail) {
	case TAIL_NONE:
		return r->len == 0;
	case TAIL_GIDS:
		want = ((const struct plan_user *)item->body)->ngids;
		if (want > PLAN_GIDS_MAX)
			return false;
		want *= sizeof(uint32_t);
		break;
	case TAIL_FILTER:
		want = ((const struct plan_seccomp *)item->body)->count;
		if (!want || want > PLAN_FILTER_MAX)
			return false;
		want *= 8; /* struct sock_filter */
		break;
	case TAIL_BPF:
		want = r->len;
		if (!want || want > PLAN_DEVICES_MAX || want % 8)
			return false;
		break;
	}
	if (want != r->len)
		return false;
	item->tail = r->p;
	item->tail_len = r->len;
	return true;
}

/* Split the payload of one operation after its shape. NULL, or what is wrong. */
static const char *split(const struct shape *s, const uint8_t *payload, uint32_t len, struct plan_item *item)
{
	struct rest r = { payload, len };
	unsigned int nstr = 0, nlist = 0;

	memset(item, 0, sizeof(*item));
	item->op = s->op;
	if (s->body) {
		item->body = take(&r, s->body);
		if (!item->body)
			return "too short";
	}
	for (const char *c = s->parts; *c; c++) {
		if (*c == 's') {
			item->str[nstr] = take_string(&r);
			if (!item->str[nstr++])
				return "a string has no end";
		} else if (!take_list(&r, &item->list[nlist++])) {
			return "a list has no end";
		}
	}
	return take_tail(&r, s, item) ? NULL : "wrong length";
}

/*
 * The operation at `off`, which is moved behind it. NULL, or what is wrong; *shape when it is
 * known.
 */
static const char *step(const struct plan *p, uint32_t *off, const struct shape **shape, struct plan_item *item)
{
	const struct plan_op *op = (const void *)(p->data + *off);
	uint32_t left = p->total - *off, padded;
	const char *why;

	*shape = NULL;
	if (left < sizeof(*op))
		return "the plan ends early";
	*shape = shape_of(op->op);
	if (!*shape)
		return "unknown operation";
	left -= (uint32_t)sizeof(*op);
	if (op->zero || op->len > left)
		return "bad header";
	padded = (op->len + 7u) & ~7u; /* no wrap: len is below WIRE_PLAN_MAX */
	if (padded > left)
		return "no padding";
	for (uint32_t i = op->len; i < padded; i++)
		if (p->data[*off + sizeof(*op) + i])
			return "padding is not zero";
	why = split(*shape, p->data + *off + sizeof(*op), op->len, item);
	*off += (uint32_t)sizeof(*op) + padded;
	return why;
}

static int open_header(struct plan *p, const void *data, size_t len, enum plan_kind kind, struct fault *f)
{
	struct plan_hdr h;

	if (len < sizeof(h) || len > WIRE_PLAN_MAX || ((uintptr_t)data & 7))
		return fault_set(f, STAGE_PROTOCOL, EINVAL, "plan: %zu bytes", len);
	memcpy(&h, data, sizeof(h));
	if (h.magic != PLAN_MAGIC || h.version != PLAN_VERSION)
		return fault_set(f, STAGE_PROTOCOL, EPROTO, "plan: version %u, this agent knows %u", h.version,
				 PLAN_VERSION);
	if (h.kind != kind || h.total != len || !h.nops || h.nops > PLAN_OPS_MAX)
		return fault_set(f, STAGE_PROTOCOL, EINVAL, "plan: bad header");
	p->data = data;
	p->total = h.total;
	p->nops = h.nops;
	p->kind = kind;
	p->cid = NULL;
	return 0;
}

int plan_open(struct plan *p, const void *data, size_t len, enum plan_kind kind, struct fault *f)
{
	uint8_t mask = kind == PLAN_CONTAINER ? IN_CONTAINER : kind == PLAN_PROCESS ? IN_PROCESS : IN_UPDATE;
	uint32_t off = sizeof(struct plan_hdr);

	if (open_header(p, data, len, kind, f))
		return -1;
	for (uint32_t i = 0; i < p->nops; i++) {
		const struct shape *s;
		struct plan_item item;
		const char *why = step(p, &off, &s, &item);

		if (!why && !(s->kinds & mask))
			why = "not in a plan of this kind";
		if (!why && (i == 0) != (s->op == OP_CONTAINER))
			why = "CONTAINER must be the first operation";
		if (!why && i == 0 && !plan_cid_valid(item.str[0], strlen(item.str[0])))
			why = "invalid container id";
		if (why)
			return fault_set(f, STAGE_PROTOCOL, EINVAL, "plan: operation %u (%s): %s", i, s ? s->name : "?",
					 why);
		if (i == 0)
			p->cid = item.str[0];
	}
	if (off != p->total)
		return fault_set(f, STAGE_PROTOCOL, EINVAL, "plan: bytes after the last operation");
	return 0;
}

void plan_iter_init(struct plan_iter *it, const struct plan *p)
{
	it->plan = p;
	it->off = sizeof(struct plan_hdr);
	it->left = p->nops;
}

bool plan_next(struct plan_iter *it, struct plan_item *item)
{
	const struct shape *s;

	if (!it->left || step(it->plan, &it->off, &s, item))
		return false;
	it->left--;
	return true;
}

bool plan_find(const struct plan *p, uint16_t op, struct plan_item *item)
{
	struct plan_iter it;

	plan_iter_init(&it, p);
	while (plan_next(&it, item))
		if (item->op == op)
			return true;
	return false;
}
