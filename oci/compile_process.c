/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process part of a plan. The order is that of runc's init: what needs privileges first, then seccomp when it needs
 * them, too (without no_new_privs), then the user and the capabilities, then seccomp when it does not.
 */
#include <string.h>

#include "oci/caps.h"
#include "oci/compile_internal.h"
#include "oci/seccomp.h"
#include "oci/spec_internal.h"

#define UMASK_UNSET UINT32_MAX

static void int_op(struct plan_writer *w, enum plan_opcode op, int32_t value)
{
	const struct plan_int v = { .value = value };

	plan_op_data(w, op, &v, sizeof(v));
}

static void list_op(struct plan_writer *w, enum plan_opcode op, const struct strings *list)
{
	plan_op_begin(w, op);
	plan_put_list(w, list);
	plan_op_end(w);
}

static void scheduler_op(struct plan_writer *w, const struct spec_scheduler *s)
{
	const struct plan_sched v = {
		.policy = s->policy,
		.nice = s->nice,
		.priority = s->priority,
		.flags = s->flags,
		.runtime = s->runtime,
		.deadline = s->deadline,
		.period = s->period,
	};

	if (s->set)
		plan_op_data(w, OP_SCHED, &v, sizeof(v));
}

static void rlimit_ops(struct plan_writer *w, const struct spec_process *p)
{
	for (size_t i = 0; i < p->nrlimits; i++) {
		const struct plan_rlimit v = {
			.resource = (uint32_t)p->rlimits[i].resource,
			.soft = p->rlimits[i].soft,
			.hard = p->rlimits[i].hard,
		};

		plan_op_data(w, OP_RLIMIT, &v, sizeof(v));
	}
}

static void user_op(struct plan_writer *w, const struct spec_user *u, const struct spec_user *fallback)
{
	const struct opt_u32 *umask = u->umask.set ? &u->umask : &fallback->umask;
	const struct plan_user v = {
		.uid = u->uid,
		.gid = u->gid,
		.umask = umask->set ? umask->v : UMASK_UNSET,
		.ngids = (uint32_t)u->ngids,
	};

	plan_op_begin(w, OP_USER);
	plan_put(w, &v, sizeof(v));
	plan_put(w, u->gids, u->ngids * sizeof(*u->gids));
	plan_op_end(w);
}

static void caps_op(struct plan_writer *w, const struct spec_caps *caps)
{
	const struct plan_caps v = {
		.bounding = caps->bounding & CAPS_ALL,
		.effective = caps->effective & CAPS_ALL,
		.permitted = caps->permitted & CAPS_ALL,
		.inheritable = caps->inheritable & CAPS_ALL,
		.ambient = caps->ambient & CAPS_ALL,
	};

	plan_op_data(w, OP_CAPS, &v, sizeof(v));
}

static int seccomp_op(struct plan_writer *w, const struct spec_seccomp *s, struct arena *a, struct error *err)
{
	struct plan_seccomp v = { 0 };
	struct sock_filter *insns;
	size_t count;

	if (seccomp_compile(s, a, &insns, &count, err) < 0)
		return -1;
	v.flags = s->flags;
	v.count = (uint32_t)count;
	plan_op_begin(w, OP_SECCOMP);
	plan_put(w, &v, sizeof(v));
	plan_put(w, insns, count * sizeof(*insns));
	plan_op_end(w);
	return 0;
}

/* What runs before the process loses its privileges. */
static void early_ops(struct plan_writer *w, const struct spec_process *p, const struct spec_process *base,
		      const struct spec *container)
{
	const struct opt_i64 *oom = p->oom_score_adj.set ? &p->oom_score_adj : &base->oom_score_adj;
	const struct opt_u32 *ioprio = p->ioprio.set ? &p->ioprio : &base->ioprio;

	if (p->terminal) {
		const struct plan_tty tty = { .rows = p->rows, .cols = p->cols };

		plan_op_data(w, OP_TTY, &tty, sizeof(tty));
	}
	if (oom->set)
		int_op(w, OP_OOM_SCORE, (int32_t)oom->v);
	scheduler_op(w, p->scheduler.set ? &p->scheduler : &base->scheduler);
	if (ioprio->set)
		int_op(w, OP_IOPRIO, (int32_t)ioprio->v);
	if (container && container->lin.personality.set)
		int_op(w, OP_PERSONALITY, (int32_t)container->lin.personality.v);
	rlimit_ops(w, p->nrlimits ? p : base);
}

int process_ops(struct plan_writer *w, const struct spec_process *p, const struct spec *container, bool exec,
		struct arena *a, struct error *err)
{
	/* what an exec's process leaves open, the container's own process says */
	const struct spec_process *base = exec && container && container->process ? container->process : p;
	const struct spec_seccomp *seccomp = container ? container->lin.seccomp : NULL;

	early_ops(w, p, base, container);
	list_op(w, OP_ARGS, &p->args);
	list_op(w, OP_ENV, &p->env);
	if (p->no_new_privileges)
		plan_op_data(w, OP_NO_NEW_PRIVS, NULL, 0);
	else if (seccomp && seccomp_op(w, seccomp, a, err) < 0)
		return -1;
	plan_op_strings(w, OP_CWD, path_clean(a, p->cwd), NULL);
	user_op(w, &p->user, &base->user);
	caps_op(w, p->caps.set ? &p->caps : &base->caps);
	if (p->no_new_privileges && seccomp && seccomp_op(w, seccomp, a, err) < 0)
		return -1;
	return 0;
}

int compile_process(const struct spec_process *process, const struct spec *container, const char *cid, struct buf *plan,
		    struct error *err)
{
	struct arena *a = arena_new();
	struct plan_writer w;
	int r;

	memset(plan, 0, sizeof(*plan));
	plan_begin(&w, PLAN_PROCESS, cid);
	r = process_ops(&w, process, container, true, a, err);
	if (r == 0)
		r = plan_finish(&w, plan, err);
	else
		plan_discard(&w);
	arena_free(a);
	return r;
}
