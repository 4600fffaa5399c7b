/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk exec: run one more process in a container. In the foreground this command stands for the process itself;
 * detached, a proxy is cloned for it (exec_proxy.h). Any failure before the process runs is exit status 255.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "../oci/caps.h"
#include "../oci/compile.h"
#include "announce.h"
#include "cgroup.h"
#include "console.h"
#include "exec_proxy.h"
#include "husk.h"
#include "namespaces.h"
#include "options.h"
#include "util.h"
#include "vm.h"
#include "vmm.h"

#define EXEC_NS (60ull * 1000000000u)
#define EXEC_FAILED 255

struct exec_options {
	const char *process, *pid_file, *console_socket, *pidfd_socket;
	const char *cwd, *user, *preserve_fds, *cgroup;
	struct option_list env, gids, caps;
	bool tty, detach, no_new_privs, ignore_paused;
};

struct exec_work {
	const struct exec_options *o;
	struct container c;
	struct spec *spec;
	struct spec_process *from_file; /* owned */
	struct spec_process process;	/* what is run: shallow */
	const char **env;		/* owned array of process.env */
	uint32_t *gids;
	struct buf plan;
	struct session *s;
	int master, slave;
};

static void work_free(struct exec_work *w)
{
	session_free(w->s);
	buf_free(&w->plan);
	free(w->env);
	free(w->gids);
	process_free(w->from_file);
	spec_free(w->spec);
	container_close(&w->c);
	if (w->master >= 0)
		close(w->master);
	if (w->slave >= 0)
		close(w->slave);
}

/* ---- the process description ---- */

static int parse_user(const char *text, struct spec_user *u, struct error *err)
{
	CLEAN_FREE char *copy = xstrdup(text);
	char *colon = strchr(copy, ':');
	int64_t uid, gid = u->gid;

	if (colon)
		*colon++ = '\0';
	if (!parse_i64(copy, 0, UINT32_MAX - 1, &uid) || (colon && !parse_i64(colon, 0, UINT32_MAX - 1, &gid)))
		return error_set(err, 0, "--user %s: expected UID or UID:GID, numbers", text);
	u->uid = (uint32_t)uid;
	u->gid = (uint32_t)gid;
	return 0;
}

static int add_gids(struct exec_work *w, struct error *err)
{
	const struct option_list *l = &w->o->gids;
	struct spec_user *u = &w->process.user;

	if (!l->n)
		return 0;
	w->gids = xcalloc(u->ngids + l->n, sizeof(*w->gids));
	if (u->ngids)
		memcpy(w->gids, u->gids, u->ngids * sizeof(*w->gids));
	u->gids = w->gids;
	for (size_t i = 0; i < l->n; i++) {
		int64_t gid;

		if (!parse_i64(l->v[i], 0, UINT32_MAX - 1, &gid))
			return error_set(err, 0, "--additional-gids %s: expected a number", l->v[i]);
		w->gids[u->ngids++] = (uint32_t)gid;
	}
	return 0;
}

static int add_caps(struct exec_work *w, struct error *err)
{
	struct spec_caps *c = &w->process.caps;

	for (size_t i = 0; i < w->o->caps.n; i++) {
		int n = caps_number(w->o->caps.v[i]);

		if (n < 0)
			return error_set(err, 0, "--cap %s: unknown capability", w->o->caps.v[i]);
		c->set = true;
		c->bounding |= 1ull << n;
		c->effective |= 1ull << n;
		c->permitted |= 1ull << n;
	}
	return 0;
}

/* From --process, or the container's own process with the command line's changes. */
static int describe_process(struct exec_work *w, char **words, int nwords, struct error *err)
{
	const struct exec_options *o = w->o;
	struct spec_process *p = &w->process;

	if (o->process) {
		if (nwords)
			return error_set(err, 0, "give either --process or a command, not both (found \"%s\")",
					 words[0]);
		if (process_load_file(o->process, &w->from_file, err) < 0)
			return -1;
		*p = *w->from_file;
		if (o->tty)
			p->terminal = true;
		return 0;
	}
	if (!nwords)
		return error_set(err, 0, "the command to run is missing");
	if (!w->spec->process)
		return error_set(
			err, 0,
			"the container's config.json has no process to take the environment from; use --process");
	*p = *w->spec->process;
	p->args = (struct strings){ .v = (const char **)words, .n = (size_t)nwords };
	p->terminal = o->tty;
	p->rows = p->cols = 0;
	if (o->cwd) {
		if (*o->cwd != '/')
			return error_set(err, 0, "--cwd %s: not an absolute path", o->cwd);
		p->cwd = o->cwd;
	}
	if (o->no_new_privs)
		p->no_new_privileges = true;
	if (o->user && parse_user(o->user, &p->user, err) < 0)
		return -1;
	w->env = xcalloc(p->env.n + o->env.n + 1, sizeof(*w->env));
	for (size_t i = 0; i < p->env.n; i++)
		w->env[i] = p->env.v[i];
	for (size_t i = 0; i < o->env.n; i++)
		w->env[p->env.n + i] = o->env.v[i];
	p->env = (struct strings){ .v = w->env, .n = p->env.n + o->env.n };
	return add_gids(w, err) < 0 ? -1 : add_caps(w, err);
}

static int check_options(const struct exec_work *w, struct error *err)
{
	const struct exec_options *o = w->o;
	int64_t n;

	if (w->process.terminal && o->detach && !o->console_socket)
		return error_set(err, 0, "cannot allocate tty if runc will detach without setting console socket");
	if (!w->process.terminal && o->console_socket)
		return error_set(err, 0, "cannot use console socket if runc will not detach or allocate tty");
	if (o->preserve_fds && (!parse_i64(o->preserve_fds, 0, 65536, &n) || n > 0))
		return error_set(err, 0, "--preserve-fds %s: file descriptors of the host cannot be passed into a VM",
				 o->preserve_fds);
	if (o->cgroup)
		return error_set(err, 0, "--cgroup %s: the process joins the container's own cgroup only", o->cgroup);
	return 0;
}

static int check_state(const struct exec_work *w, struct error *err)
{
	switch (container_status(&w->c)) {
	case STATUS_STOPPED:
		return error_set(err, 0, "cannot exec in a stopped container");
	case STATUS_CREATING:
		return error_set(err, 0, "cannot exec in a container that is still being created");
	case STATUS_PAUSED:
		if (!w->o->ignore_paused)
			return error_set(err, 0, "cannot exec in a paused container (use --ignore-paused to override)");
		return 0;
	default:
		return 0;
	}
}

/* ---- running it ---- */

static int start_process(struct exec_work *w, struct error *err)
{
	uint64_t deadline = mono_ns() + EXEC_NS;

	if (compile_process(&w->process, w->spec, w->c.id, &w->plan, err) < 0)
		return -1;
	if (w->o->console_socket && console_open(w->process.rows, w->process.cols, &w->master, &w->slave, err) < 0)
		return -1;
	w->s = vm_session(&w->c, deadline, err);
	if (!w->s)
		return -1;
	session_put_plan(w->s, w->plan.data, w->plan.len);
	if (session_request(w->s, WIRE_EXEC, NULL, 0, deadline, NULL, err) < 0)
		return error_wrap(err, "unable to start container process");
	if (w->master >= 0) {
		if (console_send(w->o->console_socket, w->master, "/dev/console", err) < 0)
			return -1;
		close(w->master);
		w->master = -1;
	}
	return 0;
}

static int announce(const struct exec_work *w, pid_t pid, struct error *err)
{
	exec_record(w->c.dirfd, pid);
	if (announce_pidfd(w->o->pidfd_socket, pid, err) < 0)
		return -1;
	return announce_pid(w->o->pid_file, pid, err);
}

static int run_detached(struct exec_work *w, struct exec_params *p, struct error *err)
{
	struct namespaces none = { .new_flags = 0 };
	CLEAN_FD int cgroup_fd = -1;
	CLEAN_FD int pidfd = -1;
	struct cgroup cg;
	sigset_t all, old;
	pid_t pid;
	int rc = 0;

	for (int i = 0; i < NS_COUNT; i++)
		none.fd[i] = -1;
	cgroup_from_dirs(&cg, &w->c.state->cgroups);
	cgroup_fd = cgroup_open_v2(&cg);
	p->detached = true;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = namespaces_clone(&none, cgroup_fd, &pidfd, err);
	if (!pid) {
		int status = exec_relay(p);

		exec_forget(p->dirfd, getpid());
		_exit(status);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		rc = -1;
	else if (cgroup_fd < 0)
		rc = cgroup_add(&cg, pid, err);
	if (!rc)
		rc = announce(w, pid, err);
	if (rc && pid > 0)
		kill(pid, SIGKILL); /* the session closes, the process dies */
	cgroup_free(&cg);
	return rc;
}

static int run_foreground(struct exec_work *w, struct exec_params *p, struct error *err)
{
	sigset_t set;
	int status;

	sigfillset(&set);
	sigdelset(&set, SIGTTIN);
	sigdelset(&set, SIGTTOU);
	sigprocmask(SIG_SETMASK, &set, NULL);
	if (announce(w, getpid(), err) < 0)
		return -1;
	if (p->tty && p->console < 0 && isatty(0))
		terminal_raw(0);
	status = exec_relay(p);
	terminal_restore();
	exec_forget(w->c.dirfd, getpid());
	return status;
}

static int exec(const struct globals *g, const struct exec_options *o, char **words, int nwords, struct error *err)
{
	struct exec_work w = { .o = o, .master = -1, .slave = -1 };
	int rc = container_open(&w.c, g->root, words[0], false, err);

	if (!rc)
		rc = check_state(&w, err);
	if (!rc)
		rc = container_spec(&w.c, &w.spec, err);
	if (!rc)
		rc = describe_process(&w, words + 1, nwords - 1, err);
	if (!rc)
		rc = check_options(&w, err);
	if (!rc)
		rc = start_process(&w, err);
	if (!rc) {
		struct exec_params p = {
			.s = w.s,
			.console = w.slave,
			.tty = w.process.terminal,
			.args = &w.process.args,
			.dirfd = w.c.dirfd,
		};

		rc = o->detach ? run_detached(&w, &p, err) : run_foreground(&w, &p, err);
	}
	work_free(&w);
	return rc;
}

int cmd_exec(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options] ID COMMAND [ARG...]  |  --process FILE [options] ID";
	struct exec_options o = { 0 };
	const struct option table[] = {
		{ "process", 'p', OPT_STRING, &o.process, "FILE", "process.json: all about the process" },
		{ "detach", 'd', OPT_FLAG, &o.detach, "", "return when the process runs" },
		{ "tty", 't', OPT_FLAG, &o.tty, "", "give it a terminal" },
		{ "env", 'e', OPT_LIST, &o.env, "NAME=VALUE", "add to its environment" },
		{ "user", 'u', OPT_STRING, &o.user, "UID[:GID]", "run as this user" },
		{ "additional-gids", 'g', OPT_LIST, &o.gids, "GID", "add a group" },
		{ "cwd", 0, OPT_STRING, &o.cwd, "DIR", "its working directory" },
		{ "cap", 'c', OPT_LIST, &o.caps, "NAME", "add a capability" },
		{ "no-new-privs", 0, OPT_FLAG, &o.no_new_privs, "", "set no_new_privs" },
		{ "pid-file", 0, OPT_STRING, &o.pid_file, "FILE", "write the pid that stands for the process to FILE" },
		{ "console-socket", 0, OPT_STRING, &o.console_socket, "SOCKET",
		  "send the terminal's master to this unix socket" },
		{ "pidfd-socket", 0, OPT_STRING, &o.pidfd_socket, "SOCKET",
		  "send a pidfd of the process to this unix socket" },
		{ "ignore-paused", 0, OPT_FLAG, &o.ignore_paused, "",
		  "also in a paused container (it runs after resume)" },
		{ "preserve-fds", 0, OPT_STRING, &o.preserve_fds, "N", "0: none can cross into a VM" },
		{ "cgroup", 0, OPT_STRING, &o.cgroup, "PATH", "not supported" },
		{ "process-label", 0, OPT_STRING, NULL, "LABEL", "accepted; the guest has no SELinux" },
		{ "apparmor", 0, OPT_STRING, NULL, "PROFILE", "accepted; the guest has no AppArmor" },
		{ 0 },
	};
	int first, rc;

	first = verb_options(table, usage, "Run a process in a container.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, -1, usage, err) < 0)
		return -1;
	rc = exec(g, &o, argv + first, argc - first, err);
	option_list_free(&o.env);
	option_list_free(&o.gids);
	option_list_free(&o.caps);
	if (rc < 0) {
		error_wrap(err, "exec failed");
		return EXEC_FAILED;
	}
	return rc;
}
