/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.seccomp to classic BPF: libseccomp makes the filter, a preamble of our own answers ENOSYS to system calls that
 * are newer than the profile. Without it a denying profile says EPERM to a call that its author never heard of, and the
 * C library, which would have used an older call after ENOSYS, gives up.
 *
 * The filter is for 64-bit calls alone, because the guest's kernel has no others: an i386 call does not get as far as
 * a filter, an x32 call gives ENOSYS. The preamble says the latter where the profile names x32 (otherwise
 * libseccomp's filter kills). That makes the filter a third as long, and libseccomp ten times as fast.
 */
#include "oci/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define X32_BIT 0x40000000u
#define PREAMBLE_MAX 8

/* ---- the preamble ---- */

/* Highest number that the profile names; -1: none. */
static int last_call(const struct spec_seccomp *s)
{
	int max = -1;

	for (size_t r = 0; r < s->nrules; r++)
		for (size_t n = 0; n < s->rules[r].names.n; n++) {
			int nr = seccomp_syscall_resolve_name(s->rules[r].names.v[n]);

			if (nr > max)
				max = nr;
		}
	return max;
}

/* Does the default action already tell programs to go on, or is it ENOSYS? */
static bool default_is_mild(uint32_t action)
{
	return action == SCMP_ACT_ALLOW || action == SCMP_ACT_LOG || action == SCMP_ACT_ERRNO(ENOSYS) ||
	       (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE;
}

static bool names_x32(const struct spec_seccomp *s)
{
	for (size_t i = 0; i < s->narchs; i++)
		if (s->archs[i] == SCMP_ARCH_X32)
			return true;
	return false;
}

/*
 * Write the preamble, return its length; 0 when there is nothing to say. Its last instruction is the return of ENOSYS;
 * behind it the filter begins, by loading what it needs.
 */
static size_t preamble_write(const struct spec_seccomp *s, struct sock_filter *f)
{
	enum { NEW = 5, FILTER = 6 };
	const int last = default_is_mild(s->default_action) ? -1 : last_call(s);
	const uint8_t to_x32 = names_x32(s) ? NEW - 4 : FILTER - 4;
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, FILTER - 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, to_x32, 0),
		/* no last call is -1, the highest number of all */
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)last, NEW - 5, FILTER - 5),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	_Static_assert(sizeof(code) / sizeof(code[0]) == FILTER, "jump targets");

	if (last < 0 && !names_x32(s))
		return 0;
	memcpy(f, code, sizeof(code));
	return FILTER;
}

/* ---- libseccomp ---- */

static int rule_error(struct error *err, int r, const char *name)
{
	return error_set(err, -r, "linux.seccomp: rule for %.64s", name);
}

static int call_add(scmp_filter_ctx ctx, const struct spec_seccomp_rule *rule, int nr, const struct scmp_arg_cmp *cmp,
		    unsigned n)
{
	int r = seccomp_rule_add_array(ctx, rule->action, nr, n, cmp);

	return r == -EEXIST ? 0 : r;
}

/*
 * One call of a rule. Conditions are all to hold; but libseccomp takes one condition per argument, and when a profile
 * has several for the same one they have always meant alternatives, each a rule of its own.
 */
static int rule_add_call(scmp_filter_ctx ctx, const struct spec_seccomp_rule *rule, int nr)
{
	struct scmp_arg_cmp cmp[64];
	unsigned seen = 0;
	bool alternatives = false;
	int r = 0;

	for (size_t i = 0; i < rule->nargs; i++) {
		const struct spec_seccomp_arg *a = &rule->args[i];

		cmp[i] = (struct scmp_arg_cmp){ a->index, (enum scmp_compare)a->op, a->value, a->value_two };
		alternatives |= (seen & 1u << a->index) != 0;
		seen |= 1u << a->index;
	}
	if (!alternatives)
		return call_add(ctx, rule, nr, cmp, (unsigned)rule->nargs);
	for (size_t i = 0; i < rule->nargs && r == 0; i++)
		r = call_add(ctx, rule, nr, &cmp[i], 1);
	return r;
}

static int rules_add(scmp_filter_ctx ctx, const struct spec_seccomp *s, struct error *err)
{
	size_t conditional = 0;

	for (size_t i = 0; i < s->nrules; i++) {
		const struct spec_seccomp_rule *rule = &s->rules[i];

		if (rule->action == s->default_action)
			continue;
		for (size_t n = 0; n < rule->names.n; n++) {
			int nr = seccomp_syscall_resolve_name(rule->names.v[n]);
			int r;

			if (nr == __NR_SCMP_ERROR)
				continue;
			/* each is an instruction at least; libseccomp's time grows with the square of their number */
			if (rule->nargs && ++conditional > SECCOMP_INSNS_MAX)
				return error_set(err, E2BIG, "linux.seccomp: more than %d calls with conditions",
						 SECCOMP_INSNS_MAX);
			r = rule_add_call(ctx, rule, nr);
			if (r < 0)
				return rule_error(err, r, rule->names.v[n]);
		}
	}
	return 0;
}

/* The filter's bytes, behind room for the preamble. */
static int filter_export(scmp_filter_ctx ctx, struct arena *a, struct sock_filter **insns, size_t *count,
			 struct error *err)
{
	int fd = memfd_create("seccomp", MFD_CLOEXEC), r;
	struct stat st;

	if (fd < 0)
		return error_set(err, errno, "linux.seccomp: memfd");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0) {
		error_set(err, -r, "linux.seccomp: export of the filter");
	} else if (fstat(fd, &st) < 0 || st.st_size % (off_t)sizeof(struct sock_filter) != 0 ||
		   st.st_size / (off_t)sizeof(struct sock_filter) > SECCOMP_INSNS_MAX) {
		r = error_set(err, E2BIG, "linux.seccomp: the filter needs more than %d instructions",
			      SECCOMP_INSNS_MAX);
	} else {
		*count = (size_t)st.st_size / sizeof(struct sock_filter);
		*insns = arena_alloc(a, PREAMBLE_MAX + *count, sizeof(**insns));
		if (pread(fd, *insns + PREAMBLE_MAX, (size_t)st.st_size, 0) != (ssize_t)st.st_size)
			r = error_set(err, EIO, "linux.seccomp: read of the filter");
	}
	close(fd);
	return r < 0 ? -1 : 0;
}

int seccomp_compile(const struct spec_seccomp *s, struct arena *a, struct sock_filter **insns, size_t *count,
		    struct error *err)
{
	struct sock_filter *f;
	scmp_filter_ctx ctx;
	size_t n;
	int r;

	/* the filter is for the guest's kernel: what this one can do does not matter */
	seccomp_api_set(6);
	ctx = seccomp_init(s->default_action);
	if (!ctx)
		return error_set(err, EINVAL, "linux.seccomp: libseccomp does not take the default action");
	/* a binary tree instead of a list: it is on the path of every system call. Old libraries don't have it */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = rules_add(ctx, s, err);
	if (r == 0)
		r = filter_export(ctx, a, insns, count, err);
	seccomp_release(ctx);
	if (r < 0)
		return -1;
	f = *insns;
	n = preamble_write(s, f);
	if (*count + n > SECCOMP_INSNS_MAX)
		return error_set(err, E2BIG, "linux.seccomp: the filter needs more than %d instructions",
				 SECCOMP_INSNS_MAX);
	/* move it up against the filter */
	memmove(f + PREAMBLE_MAX - n, f, n * sizeof(*f));
	*insns = f + PREAMBLE_MAX - n;
	*count += n;
	return 0;
}
