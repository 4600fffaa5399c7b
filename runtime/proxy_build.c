/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first part of the init proxy's life: from the clone to a built container in a running VM. See proxy.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "container.h"
#include "disk.h"
#include "hooks.h"
#include "proxy_internal.h"
#include "shares.h"
#include "sync.h"
#include "title.h"
#include "util.h"

_Static_assert(HOST_DISKS_MAX == VMM_DISKS_MAX, "disks of a plan and of a VM");

#define BOOT_LIMIT_MS 30000u /* when the spec does not say */
#define BUILD_LIMIT_NS (60ull * 1000000000u)
#define VMM_REQUEST_NS (60ull * 1000000000u)

static void fail(struct proxy *x, const struct error *err, uint32_t flags) __attribute__((noreturn));
static void fail(struct proxy *x, const struct error *err, uint32_t flags)
{
	proxy_stop_vmm(x);
	if (x->sync >= 0)
		sync_send(x->sync, SYNC_ERROR, flags, err->text);
	_exit(1);
}

/* The last line that the VMM wrote. */
static void log_last_line(struct proxy *x, char *out, size_t cap)
{
	CLEAN_FREE char *text = NULL;
	size_t len, start;

	*out = '\0';
	proxy_log_drain(x);
	text = file_read_at(x->p->dirfd, FILE_LOG, 1u << 20, &len);
	if (!text)
		return;
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	start = len;
	while (start && text[start - 1] != '\n')
		start--;
	snprintf(out, cap, "%s", text + start);
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
}

void proxy_vm_words(struct proxy *x, char *line, size_t cap)
{
	for (int i = 0; i < 100 && x->vmm; i++) { /* it is about to end: its message is worth a moment */
		proxy_reap(x);
		if (x->vmm)
			sleep_ms(5);
	}
	log_last_line(x, line, cap);
}

/* The VM did not come up, or went away: say why in the VMM's own words. */
static void fail_vm(struct proxy *x, const char *what) __attribute__((noreturn));
static void fail_vm(struct proxy *x, const char *what)
{
	struct error err = { 0 };
	char line[1024];

	if (x->p->joins) {
		error_set(&err, 0, "the pod's VM does not answer: %s", what);
		fail(x, &err, 0);
	}
	proxy_vm_words(x, line, sizeof(line));
	if (x->vmm)
		error_set(&err, 0, "the VM did not start: %s", what);
	else if (WIFSIGNALED(x->vmm_status))
		error_set(&err, 0, "husk-vmm was killed by signal %d%s%s", WTERMSIG(x->vmm_status), *line ? ": " : "",
			  line);
	else if (WEXITSTATUS(x->vmm_status) == 127)
		error_set(&err, 0, "cannot run %s", x->p->vmm.files->vmm);
	else
		error_set(&err, 0, "the VM did not start: %s", *line ? line : what);
	/* status 1: it has said itself why it could not; anything else may be the host's KVM */
	fail(x, &err, x->vmm || !WIFEXITED(x->vmm_status) || WEXITSTATUS(x->vmm_status) != 1 ? SYNC_PROBE : 0);
}

/* ---- surroundings ---- */

/* Take the container's stdio out of 0..2, so that nothing of ours can write into it, and close what is not ours. */
static void fds_arrange(struct proxy *x)
{
	const struct proxy_params *p = x->p;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3; i++)
		x->fds[i] = fcntl(p->console >= 0 ? p->console : i, F_DUPFD_CLOEXEC, 3);
	if (p->tee_log)
		x->tee = fcntl(2, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	if (null > 2)
		close(null);

	int keep[] = {
		x->sig_fd,
		x->loop.epfd,
		x->sync,
		x->fds[0],
		x->fds[1],
		x->fds[2],
		x->tee,
		p->dirfd,
		p->bundle_fd,
		p->listen_fd,
		p->vmm.listen_fd,
		p->vmm.files->kernel_fd,
		p->vmm.files->initrd_fd,
		p->ns->fd[NS_NETWORK],
		p->ns->fd[NS_IPC],
		p->ns->fd[NS_UTS],
	};
	fds_keep_only(keep, ARRAY_LEN(keep));
}

static void become_independent(struct proxy *x)
{
	cpu_set_t all;

	setsid();
	prctl(PR_SET_PDEATHSIG, 0);
	umask(022);
	memset(&all, 0xff, sizeof(all)); /* the cgroup's cpuset bounds it; an engine's own affinity must not */
	sched_setaffinity(0, sizeof(all), &all);
	if (x->p->console >= 0)
		ioctl(x->fds[0], TIOCSCTTY, 0); /* SIGWINCH comes by it */
}

static void oom_score_set(struct proxy *x)
{
	const struct spec_process *proc = x->p->spec->process;
	char text[24];

	if (!proc || !proc->oom_score_adj.set)
		return;
	snprintf(text, sizeof(text), "%d", (int)proc->oom_score_adj.v);
	file_write_at(AT_FDCWD, "/proc/self/oom_score_adj", text);
}

/* linux.memoryPolicy: inherited by the VMM, whose memory is the guest's. */
static void memory_policy_set(struct proxy *x)
{
	const struct spec_mempolicy *m = &x->p->spec->lin.mempolicy;
	unsigned long mask[1024 / (8 * sizeof(unsigned long))] = { 0 };
	const char *s = m->nodes;
	struct error err = { 0 };

	if (!m->set)
		return;
	while (s && *s) { /* "0-1,3", checked by the parser */
		char *end;
		unsigned long from = strtoul(s, &end, 10), to = from;

		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (; from <= to && from < 8 * sizeof(mask); from++)
			mask[from / (8 * sizeof(*mask))] |= 1ul << from % (8 * sizeof(*mask));
		s = *end == ',' ? end + 1 : NULL;
	}
	if (syscall(SYS_set_mempolicy, m->mode | (int)m->mode_flags, mask, 8 * sizeof(mask)) < 0) {
		error_set(&err, errno, "linux.memoryPolicy");
		fail(x, &err, 0);
	}
}

static void expect(struct proxy *x, enum sync_type type)
{
	struct sync_msg m;

	if (sync_recv(x->sync, &m) < 0 || m.type != type) {
		/* the command was killed: leave no trace but its files */
		proxy_stop_vmm(x);
		_exit(1);
	}
}

/* ---- VM ---- */

static void disks_close(struct vmm_disk *disks, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		close(disks[i].fd);
}

static void disks_open(struct proxy *x, struct vmm_disk *disks)
{
	const struct host_plan *host = x->p->host;
	struct error err = { 0 };

	for (unsigned int i = 0; i < host->ndisks; i++) {
		const struct host_disk *d = &host->disks[i];

		disks[i] = (struct vmm_disk){ .fd = disk_open(d, &err), .readonly = d->readonly, .serial = d->serial };
		if (disks[i].fd < 0)
			fail(x, &err, 0);
	}
}

static void disks_limit(struct proxy *x)
{
	const struct host_plan *host = x->p->host;
	struct ctl_disk_limits limits;
	struct error err = { 0 };
	int rc;

	for (unsigned int i = 0; i < host->ndisks; i++) {
		if (!disk_limits(&host->disks[i], &limits))
			continue;
		rc = ctl_request(x->ctl, CTL_LIMIT_DISK, i, &limits, sizeof(limits), NULL, 0, NULL, 0,
				 mono_ns() + VMM_REQUEST_NS);
		if (rc < 0) {
			error_set(&err, -rc, "%s: husk-vmm cannot limit the disk", host->disks[i].what);
			fail(x, &err, 0);
		}
	}
}

/* Its way into the jail begins at the root that we are about to leave: with its first answer it is behind that. */
static void vmm_is_up(struct proxy *x)
{
	struct ctl_status st;

	if (!x->p->joins &&
	    ctl_request(x->ctl, CTL_STATUS, 0, NULL, 0, NULL, 0, &st, sizeof(st), mono_ns() + VMM_REQUEST_NS) < 0)
		fail_vm(x, "husk-vmm does not answer");
}

static void vm_start(struct proxy *x)
{
	struct vmm_disk disks[VMM_DISKS_MAX];
	const struct proxy_params *p = x->p;
	struct vmm_config cfg = p->vmm;
	struct error err = { 0 };
	int owner[2], log[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, owner) < 0 || pipe2(log, O_CLOEXEC) < 0) {
		error_set(&err, errno, "cannot make sockets for the VM");
		fail(x, &err, 0);
	}
	disks_open(x, disks);
	cfg.disks = disks;
	cfg.ndisks = (unsigned int)p->host->ndisks;
	x->owner = owner[0];
	x->log_pipe = log[0];
	fcntl(x->log_pipe, F_SETFL, O_NONBLOCK);
	x->log_fd = openat(p->dirfd, FILE_LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	cfg.owner_fd = owner[1];
	cfg.log_fd = log[1];
	x->vmm = vmm_spawn(&cfg, &err);
	x->timeline.ns[STEP_VMM] = mono_ns();
	disks_close(disks, cfg.ndisks);
	close(owner[1]);
	close(log[1]);
	/* when the VMM dies, nobody listens any more and pending connections break */
	close(cfg.listen_fd);
	close(cfg.files->kernel_fd);
	close(cfg.files->initrd_fd);
	if (x->vmm < 0)
		fail(x, &err, 0);
	oom_tell_vmm(&x->oom_tell);
}

/* Wait until fd is readable, with an eye on the VMM, its log, and the command that waits for us. */
static void vm_wait(struct proxy *x, int fd)
{
	uint64_t limit = x->p->vmm.boot_timeout_ms ? x->p->vmm.boot_timeout_ms : BOOT_LIMIT_MS;
	uint64_t end = mono_ns() + (limit + 2000) * 1000000; /* the VMM's own limit comes first and says more */

	for (;;) {
		struct pollfd p[4] = {
			{ .fd = fd, .events = POLLIN },
			{ .fd = x->log_pipe, .events = POLLIN },
			{ .fd = x->sig_fd, .events = POLLIN },
			{ .fd = x->sync, .events = POLLIN },
		};
		struct signalfd_siginfo si;
		uint64_t now = mono_ns();

		if (now >= end)
			fail_vm(x, "its agent was not ready in time");
		if (poll(p, 4, (int)((end - now) / 1000000 + 1)) < 0 && errno != EINTR)
			fail_vm(x, error_errno_text(errno));
		if (p[1].revents & POLLIN)
			proxy_log_drain(x);
		if (p[2].revents && read(x->sig_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
			if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT || si.ssi_signo == SIGHUP) {
				struct error err = { 0 };

				error_set(&err, 0, "interrupted by a signal");
				fail(x, &err, 0);
			}
			proxy_reap(x);
			if (!x->vmm && !x->p->joins)
				fail_vm(x, "husk-vmm ended");
		}
		if (p[3].revents & (POLLHUP | POLLERR)) {
			proxy_stop_vmm(x);
			_exit(1);
		}
		if (p[0].revents)
			return;
	}
}

static void vm_times(struct proxy *x)
{
	struct ctl_status st;

	if (ctl_request(x->ctl, CTL_STATUS, 0, NULL, 0, NULL, 0, &st, sizeof(st), mono_ns() + VMM_REQUEST_NS) >=
	    (int)sizeof(st)) {
		x->timeline.ns[STEP_KERNEL] = st.t_entry;
		x->timeline.ns[STEP_AGENT] = st.t_ready;
	}
}

/* What the watch helper shall look after, when the container asks for it. */
static void watch_note(struct proxy *x, const struct share *s, int fd)
{
	struct watch_config *c = &x->watch;

	if (!x->p->spec->husk.inotify.v || x->p->joins || s->is_root || s->is_file || c->nshares == WATCH_SHARES_MAX)
		return;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		c->share[c->nshares++] = (struct watch_share){ .name = s->name, .fd = fd };
}

static void shares_give(struct proxy *x)
{
	const struct host_plan *host = x->p->host;
	struct error err = { 0 };

	for (size_t i = 0; i < host->nshares; i++) {
		const struct share *s = &host->shares[i];
		CLEAN_FD int fd = share_open(s, x->p->private_dir, &err);
		int rc;

		if (fd < 0)
			fail(x, &err, 0);
		watch_note(x, s, fd);
		rc = ctl_request(x->ctl, CTL_ADD_SHARE, share_flags(s), s->name, (uint32_t)strlen(s->name) + 1, &fd, 1,
				 NULL, 0, mono_ns() + VMM_REQUEST_NS);
		if (rc == -EPIPE || rc == -ETIMEDOUT)
			fail_vm(x, "husk-vmm does not take its shares");
		if (rc < 0) {
			error_set(&err, -rc, "husk-vmm cannot share %s", s->source);
			fail(x, &err, 0);
		}
	}
}

/* ---- the whole ---- */

/* A guest that booted slowly has lost ticks before its clock source was there: put its wall clock right. */
static void clock_set(struct proxy *x)
{
	struct error ignored = { 0 }; /* an agent that cannot keeps the time it has */
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &now);
	ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	session_request(x->s, WIRE_SETTIME, &ns, sizeof(ns), mono_ns() + VMM_REQUEST_NS, NULL, &ignored);
}

static void container_create(struct proxy *x)
{
	struct error err = { 0 };

	clock_set(x);
	session_put_plan(x->s, x->p->plan->data, x->p->plan->len);
	if (session_request(x->s, WIRE_CREATE, NULL, 0, mono_ns() + BUILD_LIMIT_NS, NULL, &err) < 0) {
		proxy_reap(x);
		if (!x->vmm && !x->p->joins)
			fail_vm(x, err.text);
		fail(x, &err, 0);
	}
	x->timeline.ns[STEP_CREATED] = mono_ns();
}

/* A session of its own for a helper, or NULL with *err. */
static struct session *helper_session(struct proxy *x, const char *what, struct error *err)
{
	struct session *s = agent_connect_at(x->p->dirfd, mono_ns() + VMM_REQUEST_NS, err);

	if (!s)
		error_wrap(err, "%s", what);
	return s;
}

static int watch_begin(struct proxy *x, struct error *err)
{
	struct watch_config *c = &x->watch;
	pid_t pid = 0;

	if (!c->nshares)
		return 0;
	c->vmm = x->vmm;
	c->log_fd = x->log_fd;
	c->session = helper_session(x, "watch", err);
	if (!c->session)
		return -1;
	pid = watch_start(c, err);
	session_free(c->session);
	while (c->nshares)
		close(c->share[--c->nshares].fd);
	return pid < 0 ? -1 : 0;
}

/* One queue pair serves few vCPUs well, and each costs the guest half a MiB: from four on they have one each. */
static unsigned int net_pairs(const struct proxy_params *p)
{
	if (p->spec->husk.net_queues.set)
		return p->spec->husk.net_queues.v;
	return p->vmm.cpus < 4 ? 1 : p->vmm.cpus < CTL_PAIRS_MAX ? p->vmm.cpus : CTL_PAIRS_MAX;
}

/* The helper, from now on: it has the control connection, and a session of its own. */
static int network_start(struct proxy *x, bool follow, struct error *err)
{
	struct net_config cfg = {
		.ctl = x->ctl,
		.dev_net = x->dev_net,
		.sysctl = x->net_sysctl,
		.state_dir = x->p->dirfd,
		.pairs = net_pairs(x->p),
		.follow = follow,
	};
	int rc;

	cfg.session = helper_session(x, "network", err);
	if (!cfg.session)
		return -1;
	rc = net_start(&x->net, &cfg, err);
	session_free(cfg.session);
	close(x->ctl);
	x->ctl = -1;
	return rc;
}

/* The first interface of a namespace that had none at start. */
static void on_links(void *arg, uint32_t events)
{
	struct proxy *x = arg;
	struct error err;
	char buf[4096];

	(void)events;
	while (recv(x->links_w.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
	if (!net_has_links())
		return;
	watch_set(&x->loop, &x->links_w, 0);
	close(x->links_w.fd);
	if (network_start(x, true, &err) < 0)
		dprintf(x->log_fd, "husk: %s\n", err.text);
}

int proxy_network(struct proxy *x, struct error *err)
{
	int fd;

	if (x->p->host->net == HOST_NET_NONE || x->p->joins) /* the network is the VM's: its owner sees to it */
		return 0;
	fd = net_links_watch(); /* first, so that nothing is missed */
	if (fd < 0)
		return error_set(err, -fd, "network: a netlink socket");
	if (!net_has_links()) {
		x->links_w = (struct watch){ .fd = fd, .fn = on_links, .arg = x };
		fd = watch_set(&x->loop, &x->links_w, EPOLLIN);
		return fd < 0 ? error_set(err, -fd, "network: watch the namespace") : 0;
	}
	close(fd);
	return network_start(x, false, err) < 0 ? -1 : net_sync(&x->net, err);
}

static void check(struct proxy *x, int rc, const struct error *err)
{
	if (rc < 0)
		fail(x, err, 0);
}

static void host_namespaces(struct proxy *x)
{
	const struct spec *spec = x->p->spec;
	struct error err = { 0 };

	check(x, namespaces_join(x->p->ns, &err), &err);
	if (x->p->wait_placed)
		expect(x, SYNC_PLACED);
	oom_tell_open(&x->oom_tell);
	if ((x->p->ns->new_flags & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		check(x, error_set(&err, errno, "cannot make a cgroup namespace"), &err);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		check(x, error_set(&err, errno, "cannot make mounts private"), &err);
	if (x->p->ns->new_flags & CLONE_NEWNET)
		loopback_up();
	if (!(x->p->ns->new_flags & CLONE_NEWUTS))
		return;
	if (spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		check(x, error_set(&err, errno, "hostname %s", spec->hostname), &err);
	if (spec->domainname && setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
		check(x, error_set(&err, errno, "domainname %s", spec->domainname), &err);
}

static void sockets_start(struct proxy *x)
{
	const struct hostsock_config cfg = {
		.id = x->p->id,
		.host = x->p->host,
		.vm_sock = x->p->vm_sock,
		.log_fd = x->log_fd,
	};
	struct error err = { 0 };

	check(x, hostsock_start(&x->hostsock, &cfg, &err), &err);
}

static void run_hooks(struct proxy *x)
{
	struct error err = { 0 };

	if (!x->p->hooks)
		return;
	sync_send(x->sync, SYNC_READY, 0, NULL);
	expect(x, SYNC_HOOKED);
	check(x,
	      hooks_run(&x->p->spec->hooks[HOOK_CREATE_CONTAINER], "createContainer", x->p->hook_state, x->p->bundle,
			&err),
	      &err);
}

void proxy_build(struct proxy *x)
{
	const struct proxy_params *p = x->p;
	struct error err = { 0 };
	int agent, rc;

	close(p->sync_peer);
	fds_arrange(x);
	become_independent(x);
	oom_score_set(x);
	host_namespaces(x);
	if (!p->joins) {
		memory_policy_set(x);
		vm_start(x);
	}

	/* while the guest boots */
	run_hooks(x);
	if (p->spec->root_readonly)
		mountpoints_make(p->rootfs, p->host);
	x->ctl = unix_connect(p->vm_sock);
	agent = unix_connect(p->vm_sock);
	if (x->ctl < 0 || agent < 0)
		fail_vm(x, "its control socket is not there");
	x->s = session_new(agent);
	rc = pump_init(&x->pump, &x->loop, x->s, x->fds, p->tty);
	if (rc < 0)
		check(x, error_set(&err, -rc, "cannot watch the container's stdio"), &err);
	if (p->tty && x->fds[2] >= 0)
		close(x->fds[2]);
	shares_give(x);
	sockets_start(x);
	disks_limit(x);
	vmm_is_up(x);
	x->dev_net = open("/dev/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	x->net_sysctl = open("/proc/sys/net/ipv4", O_PATH | O_DIRECTORY | O_CLOEXEC);
	check(x, root_pivot(p->rootfs, &err), &err);
	if (p->spec->process)
		title_set(&p->spec->process->args);

	rc = ctl_send(agent, CTL_CONNECT, WIRE_PORT, NULL, 0, NULL, 0);
	if (!rc) {
		vm_wait(x, agent);
		rc = ctl_answer(agent, NULL, 0, mono_ns() + VMM_REQUEST_NS);
	}
	if (rc < 0)
		fail_vm(x, error_errno_text(-rc));
	vm_times(x);
	container_create(x);
	check(x, hostsock_serve(&x->hostsock, &err), &err);
	check(x, watch_begin(x, &err), &err);
	timeline_write(p->dirfd, FILE_TIMELINE, &x->timeline);
	sync_send(x->sync, SYNC_CREATED, 0, NULL);
	expect(x, SYNC_COMMIT);
}
