/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.seccomp: names to libseccomp's numbers. What cannot cross the VM boundary (the notify listener) is
 * refused here.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>

#include "oci/spec_internal.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define ARGS_MAX 6
#define ERRNO_RET_MAX 4095u /* MAX_ERRNO: the kernel clamps beyond it */
#define ACT_TAKES_ERRNO 1u  /* placeholder value of actions with a number in them */
#define ACT_TRACE 2u
#define ACT_NOTIFY 3u

const struct name_value seccomp_actions[] = {
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ "SCMP_ACT_ERRNO", ACT_TAKES_ERRNO },
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
	{ "SCMP_ACT_TRACE", ACT_TRACE },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ NULL, 0 },
};

const struct name_value seccomp_operators[] = {
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ }, { "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT }, { "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	{ "SCMP_CMP_NE", SCMP_CMP_NE }, { NULL, 0 },
};

/* Those that a process on the guest's kernel can have. */
const struct name_value seccomp_archs[] = {
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32 },
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86 },
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
	{ NULL, 0 },
};

/* Known, but no program for them can run here: nothing to filter. */
static const char *const foreign_archs[] = {
	"SCMP_ARCH_ARM",	 "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",	    "SCMP_ARCH_MIPS64",
	"SCMP_ARCH_MIPS64N32",	 "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
	"SCMP_ARCH_PPC",	 "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",
	"SCMP_ARCH_S390X",	 "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",
	"SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",    "SCMP_ARCH_SH",	    "SCMP_ARCH_SHEB",
};

const struct name_value seccomp_flags[] = {
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
	{ NULL, 0 },
};

static int notify_refused(struct parse *p, const struct json *node)
{
	return json_error(p->err, node,
			  "SCMP_ACT_NOTIFY is not possible: the listener is on the host, and the container's system "
			  "calls are made to its own kernel; use SCMP_ACT_ERRNO or SCMP_ACT_TRAP");
}

/* Resolve the action @key of @obj with its errno (@errno_key); @fallback is the errno when none is given. */
static int parse_action(struct parse *p, const struct json *obj, const char *key, const char *errno_key,
			const struct opt_u32 *fallback, uint32_t *out)
{
	const struct name_value *action;
	const char *name = NULL;
	struct opt_u32 number = { 0 };

	if (json_need_string(obj, key, &name, p->err) < 0 || json_get_u32(obj, errno_key, &number, p->err) < 0)
		return -1;
	if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
		return notify_refused(p, obj);
	action = name_find(seccomp_actions, name);
	if (!action)
		return json_error(p->err, obj, "\"%.32s\" is not a seccomp action", name);
	if (action->value != ACT_TAKES_ERRNO && action->value != ACT_TRACE) {
		if (number.set)
			return json_error(p->err, obj, "%s does not go with %s", errno_key, name);
		*out = (uint32_t)action->value;
		return 0;
	}
	if (number.set && number.v > ERRNO_RET_MAX)
		return json_error(p->err, obj, "%s %u is more than %u", errno_key, number.v, ERRNO_RET_MAX);
	if (!number.set)
		number.v = fallback && fallback->set ? fallback->v : EPERM;
	*out = action->value == ACT_TRACE ? SCMP_ACT_TRACE(number.v) : SCMP_ACT_ERRNO(number.v);
	return 0;
}

static int parse_arg(struct parse *p, const struct json *item, struct spec_seccomp_arg *a)
{
	const struct name_value *op;
	const char *name = NULL;
	struct opt_u64 two = { 0 };

	if (json_expect(item, JSON_OBJECT, p->err) < 0 || json_need_u32(item, "index", &a->index, p->err) < 0 ||
	    json_need_u64(item, "value", &a->value, p->err) < 0 || json_get_u64(item, "valueTwo", &two, p->err) < 0 ||
	    json_need_string(item, "op", &name, p->err) < 0)
		return -1;
	a->value_two = two.v;
	op = name_find(seccomp_operators, name);
	if (!op)
		return json_error(p->err, item, "\"%.32s\" is not a comparison", name);
	if (a->index >= ARGS_MAX)
		return json_error(p->err, item, "index %u: a system call has %d arguments", a->index, ARGS_MAX);
	a->op = (int)op->value;
	return 0;
}

static int parse_rule(struct parse *p, const struct json *item, struct spec_seccomp_rule *r)
{
	struct json *args = NULL;

	if (json_expect(item, JSON_OBJECT, p->err) < 0 ||
	    json_get_strings(p->arena, item, "names", &r->names, p->err) < 0 ||
	    parse_action(p, item, "action", "errnoRet", NULL, &r->action) < 0 ||
	    json_get_array(item, "args", &args, p->err) < 0)
		return -1;
	if (r->names.n == 0)
		return json_error(p->err, item, "names is empty");
	if (!args)
		return 0;
	if (args->n > 64)
		return json_error(p->err, args, "%zu conditions are too many (64)", args->n);
	r->args = arena_alloc(p->arena, args->n, sizeof(*r->args));
	json_for_each(a, args) if (parse_arg(p, a, &r->args[r->nargs++]) < 0) return -1;
	return 0;
}

static int parse_archs(struct parse *p, const struct json *seccomp, struct spec_seccomp *out)
{
	struct json *list = NULL;

	if (json_get_array(seccomp, "architectures", &list, p->err) < 0)
		return -1;
	out->archs = arena_alloc(p->arena, 4, sizeof(*out->archs));
	out->archs[out->narchs++] = SCMP_ARCH_X86_64;
	json_for_each(item, list)
	{
		const struct name_value *arch;
		bool foreign = false, known = false;

		if (json_expect(item, JSON_STRING, p->err) < 0)
			return -1;
		arch = name_find(seccomp_archs, item->text);
		for (size_t i = 0; !arch && i < sizeof(foreign_archs) / sizeof(foreign_archs[0]); i++)
			foreign |= strcmp(foreign_archs[i], item->text) == 0;
		if (!arch && !foreign)
			return json_error(p->err, item, "\"%.32s\" is not an architecture", item->text);
		for (size_t i = 0; arch && i < out->narchs; i++)
			known |= out->archs[i] == arch->value;
		if (arch && !known)
			out->archs[out->narchs++] = (uint32_t)arch->value;
	}
	return 0;
}

static int parse_flags(struct parse *p, const struct json *seccomp, struct spec_seccomp *out)
{
	struct json *list = NULL;

	if (json_get_array(seccomp, "flags", &list, p->err) < 0)
		return -1;
	json_for_each(item, list)
	{
		const struct name_value *flag;

		if (json_expect(item, JSON_STRING, p->err) < 0)
			return -1;
		/* belongs to the listener, of which there is none; without one it means nothing */
		if (strcmp(item->text, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") == 0)
			continue;
		flag = name_find(seccomp_flags, item->text);
		if (!flag)
			return json_error(p->err, item, "\"%.64s\" is not a seccomp flag", item->text);
		out->flags |= (uint32_t)flag->value;
	}
	return 0;
}

int parse_seccomp(struct parse *p, const struct json *seccomp, struct spec_seccomp **out)
{
	struct spec_seccomp *s = arena_alloc(p->arena, 1, sizeof(*s));
	const char *listener = NULL, *metadata = NULL;
	struct opt_u32 none = { 0 };
	struct json *list = NULL;

	if (parse_action(p, seccomp, "defaultAction", "defaultErrnoRet", &none, &s->default_action) < 0 ||
	    parse_archs(p, seccomp, s) < 0 || parse_flags(p, seccomp, s) < 0 ||
	    json_get_string(seccomp, "listenerPath", &listener, p->err) < 0 ||
	    json_get_string(seccomp, "listenerMetadata", &metadata, p->err) < 0 ||
	    json_get_array(seccomp, "syscalls", &list, p->err) < 0)
		return -1;
	if (metadata && metadata[0] && (!listener || !listener[0]))
		return json_error(p->err, seccomp, "listenerMetadata without listenerPath");
	if (list) {
		s->rules = arena_alloc(p->arena, list->n, sizeof(*s->rules));
		json_for_each(item, list) if (parse_rule(p, item, &s->rules[s->nrules++]) < 0) return -1;
	}
	*out = s;
	return 0;
}
