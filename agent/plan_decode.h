/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a guest plan (plan.h): plan_open() checks every length, count and string once,
 * plan_next() walks. Pure: no system calls. Also used by the fuzzer and by unit tests on the host.
 */
#ifndef HUSK_AGENT_PLAN_DECODE_H
#define HUSK_AGENT_PLAN_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "plan.h"

#define PLAN_STRINGS_MAX 4u
#define PLAN_GIDS_MAX 65536u
#define PLAN_FILTER_MAX 4096u	/* BPF_MAXINSNS */
#define PLAN_DEVICES_MAX 65536u /* bytes of a device program */

/* Strings that follow each other, each ended by NUL; read them with plan_list_next(). */
struct plan_list {
	uint32_t count;
	const char *first;
};

/* One operation. Pointers point into the plan. */
struct plan_item {
	uint16_t op;
	const void *body; /* the struct beside the operation in plan.h; NULL when it has none */
	const char *str[PLAN_STRINGS_MAX];
	struct plan_list list[2];
	const void *tail; /* OP_USER: group ids, OP_SECCOMP: filter, OP_CGROUP_DEVICES: program */
	uint32_t tail_len;
};

struct plan {
	const uint8_t *data;
	uint32_t total, nops;
	enum plan_kind kind;
	const char *cid;
};

struct plan_iter {
	const struct plan *plan;
	uint32_t off, left;
};

/**
 * plan_open() - check a plan of the given kind as a whole
 * @data: aligned to 8; must stay while the plan is used
 *
 * Return: 0, or -1 with *f (STAGE_PROTOCOL).
 */
int plan_open(struct plan *p, const void *data, size_t len, enum plan_kind kind, struct fault *f);

/* Walk the operations in order, OP_CONTAINER first. Only after plan_open() succeeded. */
void plan_iter_init(struct plan_iter *it, const struct plan *p);
bool plan_next(struct plan_iter *it, struct plan_item *item);

/* The first operation `op`, if there is one. */
bool plan_find(const struct plan *p, uint16_t op, struct plan_item *item);

/* The string after s in its list; the caller counts. */
const char *plan_list_next(const char *s);

/* "MOUNT"; a constant for unknown ones. */
const char *plan_op_name(uint16_t op);

/*
 * May the name be a directory's: not empty, not too long, no '/', not "." or "..", nothing
 * unprintable.
 */
bool plan_cid_valid(const char *cid, size_t len);

#endif
