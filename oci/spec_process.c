/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process object of config.json, which is also the whole process.json of exec.
 */
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#include "oci/caps.h"
#include "oci/spec_internal.h"

#define GIDS_MAX 65536 /* NGROUPS_MAX */

static int parse_user(struct parse *p, const struct json *process, struct spec_user *out)
{
	struct json *user = NULL, *gids = NULL;
	struct opt_u32 uid = { 0 }, gid = { 0 };

	if (json_get_object(process, "user", &user, p->err) < 0)
		return -1;
	if (!user)
		return 0;
	if (json_get_u32(user, "uid", &uid, p->err) < 0 || json_get_u32(user, "gid", &gid, p->err) < 0 ||
	    json_get_u32(user, "umask", &out->umask, p->err) < 0 ||
	    json_get_array(user, "additionalGids", &gids, p->err) < 0)
		return -1;
	/* (uid_t)-1 means "no change" to the kernel */
	if (uid.v == UINT32_MAX || gid.v == UINT32_MAX)
		return json_error(p->err, user, "%u is not a valid id", UINT32_MAX);
	if (out->umask.set && out->umask.v > 0777)
		return json_error(p->err, user, "umask %o is more than 0777", out->umask.v);
	out->uid = uid.v;
	out->gid = gid.v;
	if (!gids)
		return 0;
	if (gids->n > GIDS_MAX)
		return json_error(p->err, gids, "%zu groups, but the kernel takes at most %d", gids->n, GIDS_MAX);
	out->gids = arena_alloc(p->arena, gids->n, sizeof(*out->gids));
	json_for_each(g, gids) if (json_u32(g, &out->gids[out->ngids++], p->err) < 0) return -1;
	return 0;
}

static const struct name_value rlimit_names[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
	{ NULL, 0 },
};

static int parse_rlimits(struct parse *p, const struct json *process, struct spec_process *out)
{
	struct json *list = NULL;
	uint32_t seen = 0;

	if (json_get_array(process, "rlimits", &list, p->err) < 0)
		return -1;
	if (!list)
		return 0;
	if (list->n > RLIM_NLIMITS)
		return json_error(p->err, list, "%zu limits, but there are only %d kinds", list->n, RLIM_NLIMITS);
	out->rlimits = arena_alloc(p->arena, list->n, sizeof(*out->rlimits));
	json_for_each(item, list)
	{
		struct spec_rlimit *r = &out->rlimits[out->nrlimits++];
		const struct name_value *kind;
		const char *type = NULL;

		if (json_expect(item, JSON_OBJECT, p->err) < 0 || json_need_string(item, "type", &type, p->err) < 0 ||
		    json_need_u64(item, "soft", &r->soft, p->err) < 0 ||
		    json_need_u64(item, "hard", &r->hard, p->err) < 0)
			return -1;
		kind = name_find(rlimit_names, type);
		if (!kind)
			return json_error(p->err, item, "\"%s\" is not a resource limit", type);
		if (seen & 1u << kind->value)
			return json_error(p->err, item, "%s is there twice", type);
		if (r->soft > r->hard)
			return json_error(p->err, item, "the soft limit of %s is above its hard limit", type);
		seen |= 1u << kind->value;
		r->resource = (int)kind->value;
	}
	return 0;
}

static int parse_caps(struct parse *p, const struct json *process, struct spec_caps *out)
{
	const struct {
		const char *name;
		uint64_t *mask;
	} sets[] = {
		{ "bounding", &out->bounding },	  { "effective", &out->effective },
		{ "permitted", &out->permitted }, { "inheritable", &out->inheritable },
		{ "ambient", &out->ambient },
	};
	struct json *caps = NULL;

	if (json_get_object(process, "capabilities", &caps, p->err) < 0)
		return -1;
	if (!caps)
		return 0;
	out->set = true;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct strings names = { 0 };

		if (json_get_strings(p->arena, caps, sets[i].name, &names, p->err) < 0)
			return -1;
		for (size_t j = 0; j < names.n; j++) {
			int cap = caps_number(names.v[j]);

			/* the specification: what cannot be granted is a warning, not an error */
			if (cap < 0)
				parse_warn(p, "process.capabilities.%s: unknown capability \"%.64s\" is ignored",
					   sets[i].name, names.v[j]);
			else
				*sets[i].mask |= UINT64_C(1) << cap;
		}
	}
	if (out->effective & ~out->permitted)
		parse_warn(p, "process.capabilities.effective: what is not permitted is ignored");
	if (out->inheritable & ~out->bounding)
		parse_warn(p, "process.capabilities.inheritable: what is not in the bounding set is ignored");
	out->inheritable &= out->bounding;
	if (out->ambient & ~(out->permitted & out->inheritable))
		parse_warn(p, "process.capabilities.ambient: what is not permitted and inheritable is ignored");
	out->effective &= out->permitted;
	out->ambient &= out->permitted & out->inheritable;
	return 0;
}

static const struct name_value policy_names[] = {
	{ "SCHED_OTHER", SCHED_OTHER },
	{ "SCHED_FIFO", SCHED_FIFO },
	{ "SCHED_RR", SCHED_RR },
	{ "SCHED_BATCH", SCHED_BATCH },
	{ "SCHED_IDLE", SCHED_IDLE },
	{ "SCHED_DEADLINE", SCHED_DEADLINE },
	{ NULL, 0 },
};

static const struct name_value sched_flag_names[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK },
	{ "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
	{ "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN },
	{ "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
	{ "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS },
	{ "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX },
	{ NULL, 0 },
};

static int scheduler_check(struct parse *p, const struct json *node, const struct spec_scheduler *s)
{
	bool realtime = s->policy == SCHED_FIFO || s->policy == SCHED_RR;
	bool timed = s->runtime || s->deadline || s->period;

	if (realtime ? s->priority < 1 || s->priority > 99 : s->priority != 0)
		return json_error(p->err, node,
				  "priority %u does not fit: 1 to 99 with SCHED_FIFO and SCHED_RR, 0 otherwise",
				  s->priority);
	if (s->policy != SCHED_DEADLINE && timed)
		return json_error(p->err, node, "runtime, deadline and period go with SCHED_DEADLINE only");
	if (s->policy == SCHED_DEADLINE &&
	    (s->runtime == 0 || s->runtime > s->deadline || (s->period && s->deadline > s->period)))
		return json_error(p->err, node, "SCHED_DEADLINE needs 0 < runtime <= deadline <= period");
	return 0;
}

static int parse_scheduler(struct parse *p, const struct json *process, struct spec_scheduler *out)
{
	struct json *s = NULL;
	struct opt_u64 runtime = { 0 }, deadline = { 0 }, period = { 0 };
	struct opt_i64 nice = { 0 }, priority = { 0 };
	const struct name_value *policy;
	const char *name = NULL;
	struct strings flags = { 0 };

	if (json_get_object(process, "scheduler", &s, p->err) < 0)
		return -1;
	if (!s)
		return 0;
	if (json_need_string(s, "policy", &name, p->err) < 0 || json_get_i64(s, "nice", -20, 19, &nice, p->err) < 0 ||
	    json_get_i64(s, "priority", 0, 99, &priority, p->err) < 0 ||
	    json_get_strings(p->arena, s, "flags", &flags, p->err) < 0 ||
	    json_get_u64(s, "runtime", &runtime, p->err) < 0 || json_get_u64(s, "deadline", &deadline, p->err) < 0 ||
	    json_get_u64(s, "period", &period, p->err) < 0)
		return -1;
	policy = name_find(policy_names, name);
	if (!policy)
		return json_error(p->err, s, "\"%s\" is not a scheduling policy that Linux has", name);
	*out = (struct spec_scheduler){
		.set = true,
		.policy = (uint32_t)policy->value,
		.nice = (int32_t)nice.v,
		.priority = (uint32_t)priority.v,
		.runtime = runtime.v,
		.deadline = deadline.v,
		.period = period.v,
	};
	for (size_t i = 0; i < flags.n; i++) {
		const struct name_value *flag = name_find(sched_flag_names, flags.v[i]);

		if (!flag)
			return json_error(p->err, s, "\"%s\" is not a scheduler flag", flags.v[i]);
		out->flags |= flag->value;
	}
	return scheduler_check(p, s, out);
}

static const struct name_value ioprio_names[] = {
	{ "IOPRIO_CLASS_RT", 1 },
	{ "IOPRIO_CLASS_BE", 2 },
	{ "IOPRIO_CLASS_IDLE", 3 },
	{ NULL, 0 },
};

static int parse_ioprio(struct parse *p, const struct json *process, struct opt_u32 *out)
{
	struct json *io = NULL;
	struct opt_i64 priority = { 0 };
	const struct name_value *class;
	const char *name = NULL;

	if (json_get_object(process, "ioPriority", &io, p->err) < 0)
		return -1;
	if (!io)
		return 0;
	if (json_need_string(io, "class", &name, p->err) < 0 ||
	    json_get_i64(io, "priority", 0, 7, &priority, p->err) < 0)
		return -1;
	class = name_find(ioprio_names, name);
	if (!class)
		return json_error(p->err, io, "\"%s\" is not an I/O priority class", name);
	*out = (struct opt_u32){ true, (uint32_t)(class->value << 13) | (uint32_t)priority.v };
	return 0;
}

static int parse_affinity(struct parse *p, const struct json *process, struct spec_process *out)
{
	struct json *a = NULL;

	if (json_get_object(process, "execCPUAffinity", &a, p->err) < 0)
		return -1;
	if (!a)
		return 0;
	if (json_get_string(a, "initial", &out->affinity_initial, p->err) < 0 ||
	    json_get_string(a, "final", &out->affinity_final, p->err) < 0)
		return -1;
	if ((out->affinity_initial && cpulist_count(out->affinity_initial) < 1) ||
	    (out->affinity_final && cpulist_count(out->affinity_final) < 1))
		return json_error(p->err, a, "not a list of CPUs such as \"0-3,7\"");
	if (out->affinity_initial || out->affinity_final)
		parse_warn(p, "process.execCPUAffinity is ignored: it has the numbers of the host's CPUs");
	return 0;
}

static int parse_console(struct parse *p, const struct json *process, struct spec_process *out)
{
	struct json *size = NULL;
	struct opt_i64 height = { 0 }, width = { 0 };

	if (json_get_bool(process, "terminal", &out->terminal, p->err) < 0 ||
	    json_get_object(process, "consoleSize", &size, p->err) < 0)
		return -1;
	if (!size)
		return 0;
	if (json_get_i64(size, "height", 0, UINT16_MAX, &height, p->err) < 0 ||
	    json_get_i64(size, "width", 0, UINT16_MAX, &width, p->err) < 0)
		return -1;
	if (out->terminal) { /* to be ignored without one */
		out->rows = (uint16_t)height.v;
		out->cols = (uint16_t)width.v;
	}
	return 0;
}

static int parse_words(struct parse *p, const struct json *process, struct spec_process *out)
{
	struct json *env;

	if (json_get_strings(p->arena, process, "args", &out->args, p->err) < 0 ||
	    json_get_strings(p->arena, process, "env", &out->env, p->err) < 0 ||
	    json_need_string(process, "cwd", &out->cwd, p->err) < 0)
		return -1;
	if (out->args.n == 0)
		return json_error(p->err, process, "args is empty: there is no program to run");
	env = json_member(process, "env");
	json_for_each(e, env) if (!strchr(e->text, '=') || e->text[0] == '=') return json_error(
		p->err, e, "\"%.64s\" is not NAME=VALUE", e->text);
	return path_check(json_member(process, "cwd"), out->cwd, p->err);
}

static int parse_labels(struct parse *p, const struct json *process, struct spec_process *out)
{
	if (json_get_string(process, "apparmorProfile", &out->apparmor_profile, p->err) < 0 ||
	    json_get_string(process, "selinuxLabel", &out->selinux_label, p->err) < 0)
		return -1;
	if (out->apparmor_profile && out->apparmor_profile[0] == '\0')
		out->apparmor_profile = NULL;
	if (out->selinux_label && out->selinux_label[0] == '\0')
		out->selinux_label = NULL;
	if (out->apparmor_profile && strcmp(out->apparmor_profile, "unconfined") != 0)
		parse_warn(p, "process.apparmorProfile: \"%.128s\" is ignored: the container's kernel has no AppArmor",
			   out->apparmor_profile);
	if (out->selinux_label)
		parse_warn(p, "process.selinuxLabel: \"%.128s\" is ignored: the container's kernel has no SELinux",
			   out->selinux_label);
	return 0;
}

int parse_process(struct parse *p, const struct json *process, struct spec_process *out)
{
	if (parse_words(p, process, out) < 0 || parse_console(p, process, out) < 0 ||
	    parse_user(p, process, &out->user) < 0 || parse_caps(p, process, &out->caps) < 0 ||
	    parse_rlimits(p, process, out) < 0 || parse_labels(p, process, out) < 0 ||
	    parse_scheduler(p, process, &out->scheduler) < 0 || parse_ioprio(p, process, &out->ioprio) < 0 ||
	    parse_affinity(p, process, out) < 0)
		return -1;
	if (json_get_bool(process, "noNewPrivileges", &out->no_new_privileges, p->err) < 0 ||
	    json_get_i64(process, "oomScoreAdj", -1000, 1000, &out->oom_score_adj, p->err) < 0)
		return -1;
	return 0;
}
