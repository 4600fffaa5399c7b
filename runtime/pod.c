/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods: which VM a new container belongs to.
 *
 * A VM belongs to the container that was created first in it (its proxy is the VMM's parent), and ends with that
 * one: in pods that is the sandbox. Everybody else is a guest of that VM: own proxy, own cgroup, own session, but
 * no network of its own, and its shares are added to the running VMM.
 */
#include "pod.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "util.h"
#include "vm.h"
#include "vmm.h"

#define LEAVE_NS (2000ull * 1000000u)
#define SHARES_MAX 4096

static const char *const ns_file[NS_COUNT] = {
	[NS_PID] = "pid", [NS_NETWORK] = "net", [NS_IPC] = "ipc", [NS_UTS] = "uts", [NS_USER] = "user",
};

char *pod_identity(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0
		       ? NULL
		       : xasprintf("%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
}

static char *identity_of(pid_t pid, enum spec_ns_type type)
{
	CLEAN_FREE char *path = xasprintf("/proc/%d/ns/%s", (int)pid, ns_file[type]);

	return pod_identity(path);
}

/* ---- members ---- */

static void member_free(struct pod_member *m)
{
	free(m->id);
	for (int t = 0; t < NS_COUNT; t++)
		free(m->ns[t]);
}

static void member_fill(struct pod_member *m, const struct container *c)
{
	const char *user = state_extra(c->state, POD_EXTRA_USERNS);

	*m = (struct pod_member){ .id = xstrdup(c->id) };
	for (int t = 0; t < NS_COUNT; t++) {
		CLEAN_FREE char *ours = NULL;

		if (!ns_file[t] || t == NS_USER)
			continue;
		m->ns[t] = identity_of(c->state->pid, (enum spec_ns_type)t);
		ours = identity_of(getpid(), (enum spec_ns_type)t);
		if (m->ns[t] && ours && !strcmp(m->ns[t], ours)) { /* the host's own: identifies nobody */
			free(m->ns[t]);
			m->ns[t] = NULL;
		}
	}
	m->ns[NS_USER] = user ? xstrdup(user) : NULL;
}

static void member_add(struct pod *p, const struct pod_member *m)
{
	p->members = xrealloc(p->members, (p->nmembers + 1) * sizeof(*p->members));
	p->members[p->nmembers++] = *m;
}

void pod_free(struct pod *p)
{
	for (size_t i = 0; i < p->nmembers; i++)
		member_free(&p->members[i]);
	free(p->members);
	free(p->owner);
	free(p->share_prefix);
	*p = (struct pod){ 0 };
}

/* ---- finding the VM ---- */

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* Identities of the namespaces that the new container is given by path. */
struct wanted {
	char *ns[NS_COUNT];
};

static bool is_relative_of(const struct wanted *w, const struct spec *spec, const struct container *c,
			   const struct pod_member *m)
{
	const char *sandbox = spec->pod.sandbox_id;

	if (sandbox)
		return (!strcmp(c->id, sandbox) || same(c->state->sandbox_id, sandbox)) &&
		       same(w->ns[NS_NETWORK], m->ns[NS_NETWORK]);
	return same(w->ns[NS_NETWORK], m->ns[NS_NETWORK]) || same(w->ns[NS_IPC], m->ns[NS_IPC]) ||
	       same(w->ns[NS_PID], m->ns[NS_PID]);
}

/* The VM of the first live container that is a relative. */
static void find_owner(struct pod *p, const char *root, const char *id, const struct spec *spec, const struct wanted *w,
		       char **ids, size_t n)
{
	for (size_t i = 0; i < n && !p->owner; i++) {
		struct error ignored;
		struct container c;

		if (strcmp(ids[i], id) && container_open(&c, root, ids[i], false, &ignored) == 0) {
			enum container_status status = container_status(&c);

			if (status != STATUS_STOPPED && status != STATUS_CREATING) {
				struct pod_member m;

				member_fill(&m, &c);
				if (is_relative_of(w, spec, &c, &m))
					p->owner = xstrdup(c.state->vm_id ? c.state->vm_id : c.id);
				member_free(&m);
			}
			container_close(&c);
		}
	}
}

static void find_members(struct pod *p, const char *root, char **ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct error ignored;
		struct container c;

		if (container_open(&c, root, ids[i], false, &ignored) == 0) {
			if (c.alive && (same(c.state->vm_id, p->owner) || !strcmp(c.id, p->owner))) {
				struct pod_member m;

				member_fill(&m, &c);
				member_add(p, &m);
			}
			container_close(&c);
		}
	}
}

/* "/proc/PID/ns/net": a namespace that somebody lives in. Ours was found; another runtime's we would cut off. */
static int refuse_foreign_network(const struct spec *spec, struct error *err)
{
	const char *path = spec->lin.ns[NS_NETWORK].path;
	int pid = 0, end = 0;

	if (!path || sscanf(path, "/proc/%d/ns/net%n", &pid, &end) != 1 || !end || path[end])
		return 0;
	return error_set(
		err, 0,
		"network namespace %s belongs to a container that husk does not run (--network container:...): "
		"taking its interface into a VM would cut it off; run both with husk",
		path);
}

static char *new_prefix(void)
{
	uint32_t r[2] = { 0 };

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		r[0] = (uint32_t)mono_ns();
	return xasprintf("c%08x%08x-", r[0], r[1]);
}

int pod_find(struct pod *p, const char *root, const char *id, const struct spec *spec, struct error *err)
{
	struct wanted w = { 0 };
	char **ids = NULL;
	size_t n = 0;
	bool any = false;
	int rc = 0;

	*p = (struct pod){ .pinned_user = spec->pod.sandbox_id != NULL };
	for (int t = 0; t < NS_COUNT; t++) {
		if (ns_file[t] && spec->lin.ns[t].path) {
			w.ns[t] = pod_identity(spec->lin.ns[t].path);
			any |= t == NS_NETWORK || t == NS_IPC || t == NS_PID;
		}
	}
	if (any && spec->pod.role != POD_SANDBOX) {
		rc = container_list(root, &ids, &n, err);
		if (!rc)
			find_owner(p, root, id, spec, &w, ids, n);
		if (p->owner) {
			p->joins = true;
			p->share_prefix = new_prefix();
			find_members(p, root, ids, n);
		} else if (!rc) {
			rc = refuse_foreign_network(spec, err);
		}
	}
	for (size_t i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
	for (int t = 0; t < NS_COUNT; t++)
		free(w.ns[t]);
	return rc;
}

int pod_namespace_owner(void *ctx, enum spec_ns_type type, const char *path, const char **cid)
{
	const struct pod *p = ctx;
	CLEAN_FREE char *identity = pod_identity(path);

	for (size_t i = 0; i < p->nmembers; i++) {
		if (same(identity, p->members[i].ns[type])) {
			*cid = p->members[i].id;
			return 0;
		}
	}
	if (type != NS_USER || !p->pinned_user)
		return -1;
	*cid = "";
	return 0;
}

/* ---- leaving ---- */

void pod_leave(const struct container *c)
{
	CLEAN_FREE char *path = vm_socket_path(c);
	const char *shares = state_extra(c->state, POD_EXTRA_SHARES);
	uint64_t deadline = mono_ns() + LEAVE_NS;
	struct error ignored;
	char prefix[64];
	int count = 0;

	vm_simple_request(c, WIRE_DESTROY, deadline, &ignored);
	if (shares && sscanf(shares, "%63s %d", prefix, &count) == 2) {
		CLEAN_FD int fd = unix_connect(path);

		for (int i = 0; fd >= 0 && i < count && i < SHARES_MAX; i++) {
			char name[96];
			int len = snprintf(name, sizeof(name), "%s%d", prefix, i);

			if (ctl_request(fd, CTL_DEL_SHARE, 0, name, (uint32_t)len + 1, NULL, 0, NULL, 0, deadline) ==
			    -EPIPE)
				break;
		}
	}
}
