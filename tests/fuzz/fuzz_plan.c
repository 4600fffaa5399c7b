/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan decoder on arbitrary bytes. What it takes must be whole: every string, list and tail
 * lies inside the plan.
 */
// link: agent
#include <stdlib.h>
#include <string.h>

#include "agent/plan_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void inside(const struct plan *p, const void *at, size_t len)
{
	const uint8_t *b = at;

	if (b < p->data || b > p->data + p->total || len > (size_t)(p->data + p->total - b))
		abort();
}

static void look(const struct plan *p, const struct plan_item *i)
{
	for (unsigned int k = 0; k < PLAN_STRINGS_MAX; k++)
		if (i->str[k])
			inside(p, i->str[k], strlen(i->str[k]) + 1);
	for (unsigned int k = 0; k < 2; k++) {
		const char *s = i->list[k].first;

		for (uint32_t n = 0; n < i->list[k].count; n++) {
			inside(p, s, strlen(s) + 1);
			s = plan_list_next(s);
		}
	}
	if (i->tail)
		inside(p, i->tail, i->tail_len);
	if (!plan_op_name(i->op)[0])
		abort();
}

static void try(const uint8_t *data, size_t len, enum plan_kind kind)
{
	struct plan_iter it;
	struct plan_item i;
	struct plan p;
	struct fault f;
	uint32_t n = 0;

	if (plan_open(&p, data, len, kind, &f)) {
		if (f.stage != STAGE_PROTOCOL || !f.err)
			abort();
		return;
	}
	if (!plan_cid_valid(p.cid, strlen(p.cid)))
		abort();
	for (plan_iter_init(&it, &p); plan_next(&it, &i); n++)
		look(&p, &i);
	if (n != p.nops)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *copy = aligned_alloc(8, (len + 8) & ~(size_t)7); /* the end is guarded but for the padding */
	struct plan_hdr h;

	memcpy(copy, data, len);
	try(copy, len, PLAN_CONTAINER);
	if (len >= sizeof(h)) { /* past the header's equations, which are hard to guess */
		memcpy(&h, copy, sizeof(h));
		h.magic = PLAN_MAGIC;
		h.version = PLAN_VERSION;
		h.kind = h.kind % 3 + 1;
		h.total = (uint32_t)len;
		h.nops = h.nops % 64;
		memcpy(copy, &h, sizeof(h));
		try(copy, len, (enum plan_kind)h.kind);
	}
	free(copy);
	return 0;
}
