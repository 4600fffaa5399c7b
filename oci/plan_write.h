/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a guest plan (agent/plan.h): header, operations, payloads, padding. */
#ifndef HUSK_OCI_PLAN_WRITE_H
#define HUSK_OCI_PLAN_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/plan.h"
#include "oci/compile.h"
#include "oci/error.h"
#include "oci/spec.h"

struct plan_writer {
	struct buf buf;
	uint32_t nops;
	size_t op; /* offset of the operation being written; 0: none */
};

void plan_begin(struct plan_writer *w, enum plan_kind kind, const char *cid);

/* One operation: begin, its payload in the order of plan.h, end. */
void plan_op_begin(struct plan_writer *w, enum plan_opcode op);
void plan_put(struct plan_writer *w, const void *data, size_t len);
void plan_put_string(struct plan_writer *w, const char *s);
void plan_put_list(struct plan_writer *w, const struct strings *list);
void plan_op_end(struct plan_writer *w);

/* The usual shapes. */
void plan_op_strings(struct plan_writer *w, enum plan_opcode op, const char *first, const char *second);
void plan_op_data(struct plan_writer *w, enum plan_opcode op, const void *data, size_t len);

/* Complete the header and hand the bytes over. Fails when the plan is too big for the agent; then nothing is left. */
int plan_finish(struct plan_writer *w, struct buf *out, struct error *err);
void plan_discard(struct plan_writer *w);

#endif
