/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating a container: what `create` and `run` share. Runs in the command; the other half is proxy_build.c.
 *
 * Order and why: everything that can be refused by looking is refused before anything is made; then the state directory
 * (it also reserves the id), the cgroup, the proxy; the state names the proxy as soon as it exists, so that a
 * `delete --force` after our sudden death finds it; the pid file is last, because clients take it for success.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../oci/features.h"
#include "announce.h"
#include "cgroup.h"
#include "console.h"
#include "disk.h"
#include "hooks.h"
#include "host_serves.h"
#include "log.h"
#include "mountinfo.h"
#include "pod.h"
#include "proxy.h"
#include "shares.h"
#include "sync.h"
#include "util.h"
#include "version.h"
#include "vm.h"
#include "vm_size.h"
#include "vmm.h"

#define MNT_DIR "mnt" /* in the state directory: where the proxy mounts what must be mounted first */
#define PROBE_AFTER_MS 3000

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
	(void)signo;
	interrupted = 1;
}

/* From here on a signal that would end us lets us undo what has been made. */
static void interrupts_catch(struct sigaction old[4])
{
	static const int signals[4] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction sa = { .sa_handler = on_interrupt };

	for (int i = 0; i < 4; i++)
		sigaction(signals[i], &sa, &old[i]);
}

static void interrupts_restore(const struct sigaction old[4])
{
	static const int signals[4] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	for (int i = 0; i < 4; i++)
		sigaction(signals[i], &old[i], NULL);
}

/* What is made on the way, to be released in one place. */
struct work {
	const struct globals *g;
	const struct launch_options *o;
	struct launched *l;
	char *bundle, *rootfs, *config;
	size_t config_len;
	struct buf plan;
	struct host_plan host;
	struct vmm_files files;
	struct namespaces ns;
	struct cgroup cgroup;
	struct cgroup_path cgroup_path;
	struct vm_size size;
	struct disk_root disk_root;
	struct pod pod;
	struct spec_pair extra[3];
	char *userns, *shares; /* values of extra */
	int console_master, console_slave, listen_vm, listen_proxy, bundle_fd, sync_peer;
	struct state state;
	char *owner;
	char *mnt_dir;
	bool hooks_begun;
};

static void work_free(struct work *w)
{
	int *fds[] = { &w->console_master, &w->console_slave, &w->listen_vm,
		       &w->listen_proxy,   &w->bundle_fd,     &w->sync_peer };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	free(w->bundle);
	free(w->rootfs);
	free(w->config);
	free(w->owner);
	free(w->mnt_dir);
	buf_free(&w->plan);
	host_plan_free(&w->host);
	vmm_files_free(&w->files);
	namespaces_close(&w->ns);
	cgroup_free(&w->cgroup);
	pod_free(&w->pod);
	disk_root_free(&w->disk_root);
	free(w->userns);
	free(w->shares);
}

/* ---- looking ---- */

static int read_bundle(struct work *w, struct error *err)
{
	CLEAN_FREE char *path = NULL;
	struct spec *spec;
	struct stat st;

	w->bundle = path_absolute(w->o->bundle && *w->o->bundle ? w->o->bundle : ".");
	w->bundle_fd = open(w->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->bundle_fd < 0)
		return error_set(err, errno, "bundle %s", w->bundle);
	path = xasprintf("%s/" FILE_CONFIG, w->bundle);
	if (fstatat(w->bundle_fd, FILE_CONFIG, &st, 0) < 0)
		return error_set(err, errno, "%s (make one with husk spec)", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, 0, "%s is not a regular file", path);
	w->config = file_read_at(w->bundle_fd, FILE_CONFIG, SPEC_FILE_MAX, &w->config_len);
	if (!w->config)
		return error_set(err, errno, "%s", path);
	if (spec_parse(w->config, w->config_len, &spec, err) < 0)
		return -1;
	w->l->spec = spec;
	if (!spec->root_path)
		return error_set(err, 0, "config.json: root.path is missing");
	w->rootfs = *spec->root_path == '/' ? path_absolute(spec->root_path)
					    : xasprintf("%s/%s", w->bundle, spec->root_path);
	if (*spec->root_path != '/') {
		char *clean = path_absolute(w->rootfs);

		free(w->rootfs);
		w->rootfs = clean;
	}
	if (stat(w->rootfs, &st) < 0)
		return error_set(err, errno, "root file system %s", w->rootfs);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "root file system %s", w->rootfs);
	return 0;
}

static int check_options(struct work *w, struct error *err)
{
	const struct launch_options *o = w->o;
	const struct spec *spec = w->l->spec;
	bool terminal = spec->process && spec->process->terminal;
	int64_t n;

	if (terminal && !o->foreground && !o->console_socket)
		return error_set(err, 0, "cannot allocate tty if runc will detach without setting console socket");
	if (!terminal && o->console_socket)
		return error_set(err, 0, "cannot use console socket if runc will not detach or allocate tty");
	if (o->preserve_fds) {
		if (!parse_i64(o->preserve_fds, 0, 65536, &n))
			return error_set(err, 0, "--preserve-fds %s: expected a number", o->preserve_fds);
		if (n > 0)
			return error_set(err, 0,
					 "--preserve-fds %s: file descriptors of the host cannot be passed into a VM",
					 o->preserve_fds);
	}
	return 0;
}

static char *user_name(uid_t uid)
{
	CLEAN_FREE char *buf = xmalloc(4096);
	struct passwd pw, *found = NULL;
	FILE *f = fopen("/etc/passwd", "re");

	/* the file alone: a static program has no name services */
	while (f && fgetpwent_r(f, &pw, buf, 4096, &found) == 0 && found && found->pw_uid != uid)
		found = NULL;
	if (f)
		fclose(f);
	return found && found->pw_uid == uid ? xstrdup(found->pw_name) : xasprintf("%u", (unsigned int)uid);
}

static void fill_state(struct work *w)
{
	const struct spec *spec = w->l->spec;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	w->owner = user_name(geteuid());
	w->state = (struct state){
		.id = w->l->c.id,
		.bundle = w->bundle,
		.rootfs = w->rootfs,
		.oci_version = spec->oci_version,
		.owner = w->owner,
		.husk_version = HUSK_VERSION,
		.boot_id = host_boot_id(),
		.sandbox_id = spec->pod.sandbox_id,
		.vm_id = w->pod.joins ? w->pod.owner : w->l->c.id,
		.status = STATUS_CREATING,
		.created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
		.pid = getpid(),
		.pid_start = process_start_time(getpid(), NULL),
		.annotations = spec->annotations,
		.extra = { .v = w->extra },
	};
	if (spec->lin.ns[NS_USER].path) {
		w->userns = pod_identity(spec->lin.ns[NS_USER].path);
		if (w->userns)
			w->extra[w->state.extra.n++] = (struct spec_pair){ POD_EXTRA_USERNS, w->userns };
	}
}

static int compile(struct work *w, const char *id, struct error *err)
{
	CLEAN_FREE char *json = NULL;
	struct compile_input in = {
		.cid = id,
		.bundle = w->bundle,
		.share_prefix = w->pod.joins ? w->pod.share_prefix : "s",
		.joins_vm = w->pod.joins,
		.sandbox_cid = w->pod.owner,
		.namespace_owner = w->pod.joins ? pod_namespace_owner : NULL,
		.ctx = &w->pod,
		.host_serves = RUNTIME_SERVES,
		.stat_source = share_facts,
		.has_submounts = mountinfo_below,
	};

	if (!w->pod.joins && disk_root_find(w->rootfs, &w->disk_root))
		in.root_disk = &w->disk_root.root;
	if (w->l->spec->hooks[HOOK_START_CONTAINER].n) {
		json = hook_state(&w->state, STATUS_CREATED, 1, err); /* pid 1: they run inside */
		if (!json)
			return -1;
		in.state_json = json;
	}
	if (compile_container(w->l->spec, &in, &w->plan, &w->host, err) < 0)
		return -1;
	for (uint32_t i = 0; i < w->host.warnings; i++)
		log_warn("%s", w->host.warn[i]);
	w->size = vm_size(w->l->spec, &w->host);
	if (w->pod.joins)
		log_debug("%zu shares, in the VM of %s", w->host.nshares, w->pod.owner);
	else
		log_debug("%zu shares, a VM of %u MiB and %u vCPUs, kernel %s", w->host.nshares, w->size.mem_mib,
			  w->size.cpus, w->files.kernel);
	if (w->pod.joins) {
		w->shares = xasprintf("%s %zu", w->pod.share_prefix, w->host.nshares);
		w->extra[w->state.extra.n++] = (struct spec_pair){ POD_EXTRA_SHARES, w->shares };
	}
	return 0;
}

/* ---- making ---- */

static int make_cgroup(struct work *w, struct error *err)
{
	const struct spec *spec = w->l->spec;
	struct cgroup_path *path = &w->cgroup_path;
	int rc;

	if (w->g->no_cgroup)
		return 0;
	if (cgroup_path_parse(spec->lin.cgroups_path, w->g->systemd, w->l->c.id, w->g->rootless, path, err) < 0)
		return -1;
	if (w->g->systemd) { /* made when there is a process for it; the state names it before */
		w->state.systemd = true;
		w->state.systemd_unit = path->unit;
		return 0;
	}
	/* first the names: a create that is killed here leaves nothing that delete cannot find */
	cgroup_plan(&w->cgroup, path);
	w->state.cgroups = (struct strings){ .v = (const char **)w->cgroup.dirs, .n = w->cgroup.ndirs };
	w->extra[w->state.extra.n++] = (struct spec_pair){ EXTRA_CGROUPS_PLANNED, "1" };
	rc = container_save(&w->l->c, &w->state, err);
	w->state.extra.n--;
	w->state.cgroups = (struct strings){ 0 };
	cgroup_free(&w->cgroup);
	if (!rc)
		rc = cgroup_create(&w->cgroup, path, w->g->rootless, false, err);
	return rc ? rc : cgroup_apply(&w->cgroup, &w->host.resources, w->size.overhead, err);
}

/* The systemd driver's turn: a scope around the proxy, which waits for us. */
static int make_scope(struct work *w, struct error *err)
{
	const struct cgroup_systemd s = {
		.unit = w->cgroup_path.unit,
		.slice = w->cgroup_path.slice,
		.id = w->l->c.id,
		.pid = w->l->pid,
		.resources = &w->host.resources,
		.overhead = w->size.overhead,
		.annotations = &w->l->spec->annotations,
	};

	if (cgroup_systemd_start(&s, err) < 0)
		return -1;
	if (cgroup_create(&w->cgroup, &w->cgroup_path, w->g->rootless, true, err) < 0)
		return -1;
	w->state.cgroups = (struct strings){ .v = (const char **)w->cgroup.dirs, .n = w->cgroup.ndirs };
	return cgroup_apply(&w->cgroup, &w->host.resources, w->size.overhead, err);
}

static int make_sockets(struct work *w, struct error *err)
{
	CLEAN_FREE char *vm = container_socket_path(&w->l->c, FILE_VM_SOCK);
	CLEAN_FREE char *proxy = container_socket_path(&w->l->c, FILE_PROXY_SOCK);
	int pair[2];

	if (!w->pod.joins) {
		w->listen_vm = unix_listen(vm, err);
		if (w->listen_vm < 0)
			return -1;
	}
	w->listen_proxy = unix_listen(proxy, err);
	if (w->listen_proxy < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set(err, errno, "socketpair");
	w->l->sync = pair[0];
	w->sync_peer = pair[1];
	return 0;
}

static int make_console(struct work *w, struct error *err)
{
	const struct spec_process *p = w->l->spec->process;

	if (!w->o->console_socket)
		return 0;
	return console_open(p->rows, p->cols, &w->console_master, &w->console_slave, err);
}

static bool needs_mnt_dir(const struct work *w)
{
	for (size_t i = 0; i < w->host.nshares; i++)
		if (w->host.shares[i].fstype)
			return true;
	return false;
}

static bool has_create_hooks(const struct spec *spec)
{
	return spec->hooks[HOOK_PRESTART].n || spec->hooks[HOOK_CREATE_RUNTIME].n ||
	       spec->hooks[HOOK_CREATE_CONTAINER].n;
}

/* The proxy was not born in its cgroup: it waits until it is there. */
static bool must_be_placed(const struct work *w, int cgroup_fd)
{
	return w->state.systemd || (w->cgroup.ndirs && cgroup_fd < 0);
}

/* In the child: never returns. */
static void become_proxy(struct work *w, int cgroup_fd)
{
	CLEAN_FREE char *sock = vm_socket_path(&w->l->c);
	const struct spec *spec = w->l->spec;
	struct error ignored;
	struct proxy_params p = {
		.id = w->l->c.id,
		.bundle = w->bundle,
		.rootfs = w->rootfs,
		.spec = spec,
		.host = &w->host,
		.plan = &w->plan,
		.ns = &w->ns,
		.vmm =
			{
				.files = &w->files,
				.listen_fd = w->listen_vm,
				.mem_mib = w->size.mem_mib,
				.dax_own_mib = w->size.dax_own_mib,
				.dax_mib = w->size.dax_mib,
				.max_mib = w->size.max_mib,
				.grows = w->size.grows,
				.ksm = spec->husk.ksm.set && spec->husk.ksm.v,
				.cpus = w->size.cpus,
				.boot_timeout_ms = spec->husk.boot_timeout.set ? spec->husk.boot_timeout.v :
										 w->files.boot_timeout_ms,
				.debug = w->g->debug || (spec->husk.debug.set && spec->husk.debug.v),
			},
		.vm_sock = sock,
		.joins = w->pod.joins,
		.private_dir = w->mnt_dir,
		.dirfd = w->l->c.dirfd,
		.bundle_fd = w->bundle_fd,
		.sync = w->sync_peer,
		.sync_peer = w->l->sync,
		.listen_fd = w->listen_proxy,
		.wait_placed = must_be_placed(w, cgroup_fd),
		.hooks = has_create_hooks(spec),
		.console = w->console_slave,
		.tty = spec->process && spec->process->terminal,
		.tee_log = w->o->foreground && w->g->debug,
		.t_begin = w->g->t_begin,
	};

	if (spec->hooks[HOOK_CREATE_CONTAINER].n)
		p.hook_state = hook_state(&w->state, STATUS_CREATING, (pid_t)getpid(), &ignored);
	proxy_main(&p);
}

static int clone_proxy(struct work *w, struct error *err)
{
	CLEAN_FD int cgroup_fd = cgroup_open_v2(&w->cgroup);
	CLEAN_FD int pidfd = -1;
	sigset_t all, old;
	pid_t pid;

	/* a signal that comes in between must not find the child with our dispositions */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = namespaces_clone(&w->ns, cgroup_fd, &pidfd, err);
	if (!pid)
		become_proxy(w, cgroup_fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return -1;
	w->l->pid = pid;
	close(w->sync_peer);
	w->sync_peer = -1;
	if (w->listen_vm >= 0)
		close(w->listen_vm);
	w->listen_vm = -1;
	if (must_be_placed(w, cgroup_fd)) {
		if (w->state.systemd && make_scope(w, err) < 0)
			return -1;
		if (cgroup_add(&w->cgroup, pid, err) < 0)
			return -1;
		sync_send(w->l->sync, SYNC_PLACED, 0, NULL);
	}
	log_debug("the proxy is process %d, cgroup %s", (int)pid, w->cgroup.ndirs ? w->cgroup.dirs[0] : "none");
	w->state.pid = pid;
	w->state.pid_start = process_start_time(pid, NULL);
	return container_save(&w->l->c, &w->state, err);
}

/* ---- waiting for the proxy ---- */

static int wait_sync(struct launched *l, enum sync_type want, uint32_t *value, struct error *err)
{
	struct sync_msg m;
	int rc;

	do {
		rc = interrupted ? -EINTR : sync_recv(l->sync, &m);
	} while (rc == -EINTR && !interrupted);
	if (rc == -EINTR)
		return error_set(err, 0, "interrupted by a signal");
	if (rc == -EPIPE) {
		int status = 0;

		if (waitpid(l->pid, &status, WNOHANG) == l->pid)
			l->pid = 0;
		return error_set(err, 0, "the container's proxy was killed before the container was ready");
	}
	if (rc < 0)
		return error_set(err, -rc, "the container's proxy");
	if (value)
		*value = m.value;
	if (m.type == SYNC_ERROR)
		return error_set(err, 0, "%s", m.text);
	return m.type == want
		       ? 0
		       : error_set(err, 0, "the container's proxy said %u instead of %u", m.type, (unsigned int)want);
}

/* A VM that does not run often means a KVM that cannot: let the VMM find out, and say so. */
static void explain_kvm(const struct work *w, struct error *err)
{
	char line[VMM_PROBE_LINE];

	if (vmm_probe(&w->files, line) < 0)
		error_wrap(err, "%s", line);
}

/*
 * Wait for the proxy's next word. Where the guest takes longer than any guest should, KVM is probed meanwhile: a
 * software backend would let the user wait for the whole boot time-out. Not before, because the probe costs a VM.
 */
static int wait_boot(struct work *w, struct error *err)
{
	struct pollfd p = { .fd = w->l->sync, .events = POLLIN };
	char line[VMM_PROBE_LINE];

	if (w->pod.joins || poll(&p, 1, PROBE_AFTER_MS) != 0 || vmm_probe(&w->files, line) >= 0)
		return 0;
	return error_set(err, 0, "%s: the guest does not boot", line);
}

static int run_create_hooks(struct work *w, struct error *err)
{
	const struct spec *spec = w->l->spec;
	CLEAN_FREE char *json = NULL;

	if (!has_create_hooks(spec))
		return 0;
	if (wait_sync(w->l, SYNC_READY, NULL, err) < 0)
		return -1;
	w->hooks_begun = true;
	json = hook_state(&w->state, STATUS_CREATING, w->l->pid, err);
	if (!json || hooks_run(&spec->hooks[HOOK_PRESTART], "prestart", json, w->bundle, err) < 0 ||
	    hooks_run(&spec->hooks[HOOK_CREATE_RUNTIME], "createRuntime", json, w->bundle, err) < 0)
		return -1;
	sync_send(w->l->sync, SYNC_HOOKED, 0, NULL);
	return 0;
}

/* The VMM as the host numbers it: the proxy's first child that is one. 0 when /proc does not tell. */
static pid_t vmm_pid(pid_t proxy)
{
	CLEAN_FREE char *name = xasprintf("/proc/%d/task/%d/children", (int)proxy, (int)proxy);
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, name, 4096, NULL);
	int64_t pid = 0;

	if (text) {
		text[strcspn(text, " \n")] = '\0';
		parse_i64(text, 1, INT32_MAX, &pid);
	}
	return (pid_t)pid;
}

static int finish(struct work *w, struct error *err)
{
	struct container *c = &w->l->c;
	int rc;

	if (w->console_master >= 0) {
		if (console_send(w->o->console_socket, w->console_master, "/dev/console", err) < 0)
			return -1;
		close(w->console_master);
		w->console_master = -1;
	}
	if (announce_pidfd(w->o->pidfd_socket, w->l->pid, err) < 0)
		return -1;
	w->state.vmm_pid = w->pod.joins ? 0 : vmm_pid(w->l->pid);
	w->state.vmm_start = w->state.vmm_pid ? process_start_time(w->state.vmm_pid, NULL) : 0;
	w->state.status = STATUS_CREATED;
	if (container_save(c, &w->state, err) < 0)
		return -1;
	rc = sync_send(w->l->sync, SYNC_COMMIT, 0, NULL);
	if (rc < 0)
		return error_set(err, 0, "the container's proxy was killed before the container was ready");
	return announce_pid(w->o->pid_file, w->l->pid, err);
}

static int build(struct work *w, struct error *err)
{
	struct container *c = &w->l->c;
	uint32_t value = 0;
	int rc;

	rc = file_replace_at(c->dirfd, FILE_CONFIG, w->config, w->config_len, 0600);
	if (rc < 0)
		return error_set(err, -rc, "%s/" FILE_CONFIG, c->dir);
	if (needs_mnt_dir(w)) {
		w->mnt_dir = xasprintf("%s/" MNT_DIR, c->dir);
		if (mkdir(w->mnt_dir, 0700) < 0)
			return error_set(err, errno, "%s", w->mnt_dir);
	}
	if (make_cgroup(w, err) < 0)
		return -1;
	w->state.cgroups = (struct strings){ .v = (const char **)w->cgroup.dirs, .n = w->cgroup.ndirs };
	if (container_save(c, &w->state, err) < 0)
		return -1;
	if (make_console(w, err) < 0 || make_sockets(w, err) < 0 || clone_proxy(w, err) < 0 ||
	    run_create_hooks(w, err) < 0)
		return -1;
	if (wait_boot(w, err) < 0)
		return error_wrap(err, "unable to start container process");
	if (wait_sync(w->l, SYNC_CREATED, &value, err) < 0) {
		if (value & SYNC_PROBE)
			explain_kvm(w, err);
		return error_wrap(err, "unable to start container process");
	}
	return finish(w, err);
}

/* Undo a failed create. */
static void unbuild(struct work *w)
{
	struct launched *l = w->l;
	struct error ignored;

	if (l->pid > 0) {
		kill(l->pid, SIGKILL);
		while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
			;
		l->pid = 0;
	}
	/* its cgroup may be known to nobody but us yet */
	cgroup_kill(&w->cgroup);
	if (w->state.systemd)
		cgroup_systemd_stop(w->cgroup_path.unit, w->cgroup.ndirs ? w->cgroup.dirs[0] : NULL);
	cgroup_remove(&w->cgroup, &ignored);
	destroy(&l->c, w->hooks_begun ? l->spec : NULL, &ignored);
}

int launch(const struct globals *g, const struct launch_options *o, const char *id, struct launched *l,
	   struct error *err)
{
	struct work w = {
		.g = g,
		.o = o,
		.l = l,
		.files = { .kernel_fd = -1, .initrd_fd = -1 },
		.console_master = -1,
		.console_slave = -1,
		.listen_vm = -1,
		.listen_proxy = -1,
		.bundle_fd = -1,
		.sync_peer = -1,
	};
	struct sigaction old[4];
	int rc;

	*l = (struct launched){ .c = { .dirfd = -1, .lockfd = -1 }, .sync = -1 };
	for (int i = 0; i < NS_COUNT; i++)
		w.ns.fd[i] = -1;
	rc = container_id_check(id, err);
	if (!rc)
		rc = read_bundle(&w, err);
	if (!rc)
		rc = check_options(&w, err);
	if (!rc)
		rc = namespaces_open(&w.ns, l->spec, err);
	if (!rc)
		rc = pod_find(&w.pod, g->root, id, l->spec, err);
	if (!rc && !w.pod.joins)
		rc = vmm_find(&w.files, err);
	interrupts_catch(old);
	if (!rc)
		rc = container_make(&l->c, g->root, id, err);
	if (!rc) {
		fill_state(&w);
		rc = container_save(&l->c, &w.state, err);
		if (!rc)
			rc = compile(&w, id, err);
		if (!rc)
			rc = build(&w, err);
		if (rc)
			unbuild(&w);
	}
	interrupts_restore(old);
	work_free(&w);
	return rc;
}

void launched_close(struct launched *l)
{
	if (l->sync >= 0)
		close(l->sync);
	container_close(&l->c);
	spec_free(l->spec);
	*l = (struct launched){ .c = { .dirfd = -1, .lockfd = -1 }, .sync = -1 };
}

/* ---- start ---- */

int poststart_run(struct container *c, const struct spec *spec, struct error *err)
{
	CLEAN_FREE char *json = NULL;

	if (!spec->hooks[HOOK_POSTSTART].n)
		return 0;
	json = hook_state(c->state, STATUS_RUNNING, c->state->pid, err);
	if (!json)
		return -1;
	if (hooks_run(&spec->hooks[HOOK_POSTSTART], "poststart", json, c->state->bundle, err) < 0) {
		kill_hard(c, 2000);
		return -1;
	}
	return 0;
}

int launch_start(struct launched *l, struct error *err)
{
	sync_send(l->sync, SYNC_START, 0, NULL);
	if (wait_sync(l, SYNC_STARTED, NULL, err) < 0)
		return -1;
	return poststart_run(&l->c, l->spec, err);
}
