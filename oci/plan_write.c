/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest plan's writer. Sizes are checked once, at the end: everything that is written was bounded by the
 * parser, so the buffer stays far below what size_t holds.
 */
#include "oci/plan_write.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/wire.h"
#include "oci/arena.h"

static void append(struct plan_writer *w, const void *data, size_t len)
{
	struct buf *b = &w->buf;

	if (len > b->cap - b->len) {
		b->cap = (b->len + len) * 2 + 4096;
		b->data = mem_realloc(b->data, b->cap);
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

void plan_begin(struct plan_writer *w, enum plan_kind kind, const char *cid)
{
	const struct plan_hdr h = { .magic = PLAN_MAGIC, .version = PLAN_VERSION, .kind = (uint16_t)kind };

	memset(w, 0, sizeof(*w));
	append(w, &h, sizeof(h));
	plan_op_strings(w, OP_CONTAINER, cid, NULL);
}

void plan_op_begin(struct plan_writer *w, enum plan_opcode op)
{
	const struct plan_op o = { .op = (uint16_t)op };

	assert(w->op == 0);
	w->op = w->buf.len;
	w->nops++;
	append(w, &o, sizeof(o));
}

void plan_put(struct plan_writer *w, const void *data, size_t len)
{
	append(w, data, len);
}

void plan_put_string(struct plan_writer *w, const char *s)
{
	append(w, s, strlen(s) + 1);
}

void plan_put_list(struct plan_writer *w, const struct strings *list)
{
	const uint32_t n = (uint32_t)list->n;

	append(w, &n, sizeof(n));
	for (size_t i = 0; i < list->n; i++)
		plan_put_string(w, list->v[i]);
}

void plan_op_end(struct plan_writer *w)
{
	static const uint8_t zeros[8];
	const uint32_t len = (uint32_t)(w->buf.len - w->op - sizeof(struct plan_op));

	memcpy(w->buf.data + w->op + offsetof(struct plan_op, len), &len, sizeof(len));
	append(w, zeros, (8 - w->buf.len % 8) % 8);
	w->op = 0;
}

void plan_op_strings(struct plan_writer *w, enum plan_opcode op, const char *first, const char *second)
{
	plan_op_begin(w, op);
	plan_put_string(w, first);
	if (second)
		plan_put_string(w, second);
	plan_op_end(w);
}

void plan_op_data(struct plan_writer *w, enum plan_opcode op, const void *data, size_t len)
{
	plan_op_begin(w, op);
	append(w, data, len);
	plan_op_end(w);
}

int plan_finish(struct plan_writer *w, struct buf *out, struct error *err)
{
	struct plan_hdr h;

	assert(w->op == 0);
	if (w->nops > PLAN_OPS_MAX || w->buf.len > WIRE_PLAN_MAX) {
		error_set(err, E2BIG, "the container's description is too big: %u operations of %u, %zu bytes of %u",
			  w->nops, PLAN_OPS_MAX, w->buf.len, WIRE_PLAN_MAX);
		plan_discard(w);
		return -1;
	}
	memcpy(&h, w->buf.data, sizeof(h));
	h.total = (uint32_t)w->buf.len;
	h.nops = w->nops;
	memcpy(w->buf.data, &h, sizeof(h));
	*out = w->buf;
	memset(w, 0, sizeof(*w));
	return 0;
}

void plan_discard(struct plan_writer *w)
{
	buf_free(&w->buf);
	memset(w, 0, sizeof(*w));
}

void buf_free(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}
