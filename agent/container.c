/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers of this VM: table and life. The loop runs it. The host controls the plans; a
 * container's processes control when they end and what happens below their cgroup.
 *
 * Theory of operation. A container is its init process, a cgroup, and what sessions wait for. Its
 * end has stages, each reached by an event, none waited for:
 *
 *   init dead -> everything else in the cgroup dead -> dirty shares written back -> init's output relayed -> EXIT
 *   doomed (DESTROY, or the init session closed) -> cgroup empty -> cgroup removed -> forgotten
 *
 * With a pid namespace of its own the second step is the kernel's work, otherwise cgroup.kill does
 * it. "Empty" is told by inotify on cgroup.events. Timers bound the stages that a stuck file system
 * could hold up.
 */
#include "container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cgroup.h"
#include "control.h"
#include "disk.h"
#include "hostsock.h"
#include "job.h"
#include "log.h"
#include "mount.h"
#include "plan_decode.h"
#include "process.h"
#include "session.h"
#include "spawn.h"
#include "util.h"
#include "vm_tmpfs.h"

#define SETTLE_NS (10 * NS_PER_S)
#define REMOVE_NS (10 * NS_PER_S)
#define WRITEBACK_MS 10000u

static struct container *containers;
static struct watch inotify = { .fd = -1 };

static void remove_soon(struct container *c);
static void perhaps_empty(struct container *c);

/* ---- table ---- */

struct container *container_find(const char *cid, size_t len)
{
	for (struct container *c = containers; c; c = c->next)
		if (strlen(c->cid) == len && memcmp(c->cid, cid, len) == 0)
			return c;
	return NULL;
}

unsigned int container_count(void)
{
	unsigned int n = 0;

	for (struct container *c = containers; c; c = c->next)
		n++;
	return n;
}

static unsigned int free_slot(void)
{
	for (unsigned int slot = 0;; slot++) {
		struct container *c = containers;

		while (c && c->slot != slot)
			c = c->next;
		if (!c)
			return slot;
	}
}

static void answer_destroyers(struct container *c, const struct fault *f)
{
	for (unsigned int i = 0; i < DESTROYERS_MAX; i++) {
		struct session *s = c->destroyer[i];

		c->destroyer[i] = NULL;
		if (s && f)
			session_fail(s, f);
		else if (s)
			session_ok(s, NULL, 0);
	}
}

static void container_free(struct container *c)
{
	for (struct container **p = &containers; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	process_orphan_all(c);
	session_notify(c, 0, NULL, 0);
	if (c->watch_events >= 0)
		inotify_rm_watch(inotify.fd, c->watch_events);
	if (c->watch_memory >= 0)
		inotify_rm_watch(inotify.fd, c->watch_memory);
	control_forget(c);
	hostsock_forget(c);
	timer_stop(&c->remover);
	timer_stop(&c->settle_limit);
	timer_stop(&c->remove_limit);
	job_cancel(c->sync_job);
	job_cancel(c->remove_job);
	fd_close(&c->devices);
	fd_close(&c->cgroup);
	idmap_free(&c->ids);
	answer_destroyers(c, NULL);
	disks_forget(c->cid);
	free(c->cid);
	free(c);
}

/* ---- its cgroup's events ---- */

static void check_oom(struct container *c)
{
	int64_t n = c->watch_memory >= 0 ? cgroup_value(c->cgroup, "memory.events", "oom_kill") : 0;

	if (n <= c->oom_kills)
		return;
	c->oom_kills = n;
	c->oom = true;
	if (c->init && c->init->s)
		session_frame(c->init->s, WIRE_OOM, 0, c->cid, strlen(c->cid));
	session_notify(c, WIRE_OOM, c->cid, strlen(c->cid));
}

/* Anything but "yes, populated" counts as empty: the directory may be gone. */
static bool is_empty(const struct container *c)
{
	return cgroup_value(c->cgroup, "cgroup.events", "populated") != 1;
}

static void on_cgroup_event(struct container *c, int wd)
{
	if (wd == c->watch_memory) {
		check_oom(c);
		return;
	}
	control_pause_event(c);
	perhaps_empty(c);
}

static void on_inotify(void *arg, uint32_t events)
{
	union {
		struct inotify_event ev;
		char bytes[sizeof(struct inotify_event) + NAME_MAX + 1];
	} u;
	ssize_t n = read(inotify.fd, &u, sizeof(u));

	(void)arg;
	(void)events;
	/* events without names have one size; what is left comes with the next turn of the loop */
	for (size_t off = 0; n > 0 && off + sizeof(u.ev) <= (size_t)n; off += sizeof(u.ev)) {
		struct inotify_event ev;
		struct container *c = containers;

		memcpy(&ev, u.bytes + off, sizeof(ev));
		while (c && c->watch_events != ev.wd && c->watch_memory != ev.wd)
			c = c->next;
		if (c)
			on_cgroup_event(c, ev.wd);
	}
}

int container_init(void)
{
	inotify = (struct watch){ .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .fn = on_inotify };
	return inotify.fd < 0 ? -errno : watch_set(&inotify, EPOLLIN);
}

/* ---- the end ---- */

static int writeback(void *arg, int out, struct fault *f)
{
	const struct container *ended = arg; /* NULL: it goes on */
	static const char *const where[] = { PLAN_SHARES, PLAN_PRIVATE };

	(void)out;
	if (ended && disks_any(ended->cid)) {
		int r = disks_settle(ended->cid);

		if (r)
			return fault_set(f, STAGE_SETUP, r, "unmount the disks");
	}
	setfsuid(PLAN_FLUSH_UID); /* the host's disks are none of our business */
	for (size_t k = 0; k < ARRAY_LEN(where); k++) {
		int fd = open(where[k], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 && errno != ENOENT)
			return fault_set(f, STAGE_SETUP, errno, "open the host's shares");
		if (fd >= 0 && syncfs(fd))
			return fault_set(f, STAGE_SETUP, errno, "write dirty files back to the host");
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

struct job *container_writeback(job_done done, void *ctx)
{
	return job_start(writeback, NULL, -1, done, ctx, WRITEBACK_MS);
}

static void settled(struct container *c)
{
	c->settled = true;
	timer_stop(&c->settle_limit);
	check_oom(c);
	if (c->init) {
		c->init->exit.oom = c->oom;
		process_finish(c->init);
	}
	remove_soon(c);
}

static void on_written_back(void *ctx, const struct fault *f, const uint8_t *data, size_t len)
{
	struct container *c = ctx;

	(void)data;
	(void)len;
	c->sync_job = NULL;
	if (f) /* the process's end is a fact; what its files lack is not hidden by keeping quiet about it */
		log_line("%s: %s: %s", c->cid, f->text, strerror((int)f->err));
	settled(c);
}

/* Init is dead: go as far towards EXIT as can be. */
static void container_settle(struct container *c)
{
	if (c->settled || c->sync_job)
		return;
	if (!is_empty(c)) {
		(void)cgroup_kill(c->cgroup);
		if (!c->settle_limit.due)
			timer_start(&c->settle_limit, SETTLE_NS);
		return;
	}
	if (c->writes_shares || disks_any(c->cid))
		c->sync_job = job_start(writeback, c, -1, on_written_back, c, WRITEBACK_MS);
	if (!c->sync_job)
		settled(c);
}

static void settle_late(void *arg)
{
	struct container *c = arg;

	log_line("%s: processes that cannot be killed", c->cid);
	settled(c);
}

static int remove_tree(void *arg, int out, struct fault *f)
{
	int r = cgroup_remove_tree(arg);

	(void)out;
	return r ? fault_set(f, STAGE_SETUP, r, "remove cgroup %s", (const char *)arg) : 0;
}

/* A process of it has ended, perhaps the last one. */
static void perhaps_empty(struct container *c)
{
	if (c->state == CONTAINER_STOPPED)
		container_settle(c);
	remove_soon(c);
}

static void remove_late(void *arg)
{
	struct container *c = arg;
	struct fault f;

	(void)fault_set(&f, STAGE_STATE, EBUSY, "%s cannot be removed: processes in it cannot be killed", c->cid);
	answer_destroyers(c, &f);
}

static void on_removed(void *ctx, const struct fault *f, const uint8_t *data, size_t len)
{
	struct container *c = ctx;

	(void)data;
	(void)len;
	c->remove_job = NULL;
	if (f) {
		log_line("%s: %s: %s", c->cid, f->text, strerror((int)f->err));
		answer_destroyers(c, f);
		return;
	}
	container_free(c);
}

/* Doomed: forget it when nothing of it is left. */
static void remove_now(void *arg)
{
	struct container *c = arg;
	int r;

	if (!c->doomed || c->remove_job || c->sync_job || c->state == CONTAINER_BUILDING)
		return;
	if (c->init && (!c->settled || (c->init->s && !c->init->exit_sent)))
		return;
	if (!is_empty(c)) {
		(void)cgroup_kill(c->cgroup);
		return;
	}
	r = cgroup_remove(c->cgroup_path);
	if (r == 0) {
		container_free(c);
		return;
	}
	/* directories that the container made below its own */
	c->remove_job = job_start(remove_tree, c->cgroup_path, -1, on_removed, c, REMOVE_NS / NS_PER_MS);
	if (!c->remove_job &&
	    cgroup_remove_tree(c->cgroup_path) == 0) /* no process to be had: rather block than leak */
		container_free(c);
}

/* In the loop's next turn: whoever calls may still use c. */
static void remove_soon(struct container *c)
{
	if (c->doomed)
		timer_start(&c->remover, 0);
}

static void container_doom(struct container *c)
{
	c->doomed = true;
	if (c->init)
		(void)process_signal(c->init, SIGKILL);
	(void)cgroup_kill(c->cgroup);
	if (!c->remove_limit.due)
		timer_start(&c->remove_limit, REMOVE_NS);
	remove_soon(c);
}

void container_hangup(struct process *init)
{
	container_doom(init->c);
}

static void destroyer_gone(void *arg)
{
	*(struct session **)arg = NULL;
}

void container_destroy(struct session *s, const char *cid, size_t len)
{
	struct container *c = container_find(cid, len);
	struct fault f;

	if (!c) {
		session_ok(s, NULL, 0);
		return;
	}
	for (unsigned int i = 0; i < DESTROYERS_MAX; i++) {
		if (c->destroyer[i])
			continue;
		c->destroyer[i] = s;
		session_defer(s, destroyer_gone, &c->destroyer[i]);
		timer_stop(&c->remove_limit);
		container_doom(c);
		return;
	}
	(void)fault_set(&f, STAGE_STATE, EBUSY, "%s is being destroyed already", c->cid);
	session_fail(s, &f);
}

/* ---- create ---- */

/* The container's device program, behind rules for its disks, whose numbers only this side knows. */
static int device_rules(struct container *c, const struct plan *p, const struct plan_item *i)
{
	uint64_t *insns;
	unsigned int n;
	int r;

	if (!disks_any(c->cid))
		return cgroup_devices(c->cgroup, i->tail, i->tail_len, &c->devices);
	insns = malloc(DISK_RULES_INSNS * sizeof(*insns) + i->tail_len);
	if (!insns)
		return -ENOMEM;
	n = disk_rules(p, insns);
	memcpy(insns + n, i->tail, i->tail_len);
	r = cgroup_devices(c->cgroup, insns, n * (uint32_t)sizeof(*insns) + i->tail_len, &c->devices);
	free(insns);
	return r;
}

static int environment(struct container *c, const struct plan *p, struct fault *f)
{
	struct plan_iter it;
	struct plan_item i;
	int r = 0;

	plan_iter_init(&it, p);
	while (r == 0 && plan_next(&it, &i)) {
		if (i.op == OP_CGROUP_WRITE) {
			r = cgroup_write(c->cgroup, i.str[0], i.str[1]);
			if (r)
				return fault_set(f, STAGE_SETUP, r, "cgroup file %s: write \"%s\"", i.str[0], i.str[1]);
		} else if (i.op == OP_CGROUP_DEVICES) {
			r = device_rules(c, p, &i);
			if (r)
				return fault_set(f, STAGE_SETUP, r, "cgroup device rules");
		} else if (i.op == OP_ROOT ||
			   (i.op == OP_MOUNT && ((const struct plan_mount *)i.body)->opts & PLAN_MOUNT_BIND)) {
			c->writes_shares |= strncmp(i.str[0], PLAN_SHARES, strlen(PLAN_SHARES)) == 0 ||
					    strncmp(i.str[0], PLAN_PRIVATE, strlen(PLAN_PRIVATE)) == 0;
		}
	}
	return 0;
}

static struct container *container_new(const char *cid, struct fault *f)
{
	struct container *c = calloc(1, sizeof(*c));

	if (!c || !(c->cid = strdup(cid))) {
		free(c);
		(void)fault_set(f, STAGE_SETUP, ENOMEM, "new container");
		return NULL;
	}
	c->slot = free_slot();
	c->devices = c->cgroup = c->watch_events = c->watch_memory = -1;
	c->remover = (struct timer){ .fn = remove_now, .arg = c };
	c->settle_limit = (struct timer){ .fn = settle_late, .arg = c };
	c->remove_limit = (struct timer){ .fn = remove_late, .arg = c };
	c->next = containers;
	containers = c;
	c->cgroup = cgroup_make(cid, c->slot, c->cgroup_path, sizeof(c->cgroup_path));
	if (c->cgroup < 0) {
		(void)fault_set(f, STAGE_SETUP, c->cgroup, "new cgroup for %s", cid);
		container_free(c);
		return NULL;
	}
	return c;
}

static void watch_cgroup(struct container *c)
{
	char file[PATH_MAX + 32];

	(void)snprintf(file, sizeof(file), "%s/cgroup.events", c->cgroup_path);
	c->watch_events = inotify_add_watch(inotify.fd, file, IN_MODIFY);
	(void)snprintf(file, sizeof(file), "%s/memory.events", c->cgroup_path);
	c->watch_memory = inotify_add_watch(inotify.fd, file, IN_MODIFY);
}

void container_create(struct session *s, const uint8_t *data, size_t len)
{
	struct container *c = NULL;
	struct fault f;
	struct plan p;

	if (plan_open(&p, data, len, PLAN_CONTAINER, &f))
		goto fail;
	if (container_find(p.cid, strlen(p.cid))) {
		(void)fault_set(&f, STAGE_STATE, EEXIST, "container with given ID already exists");
		goto fail;
	}
	if (container_count() >= CONTAINERS_MAX) {
		(void)fault_set(&f, STAGE_STATE, EMFILE, "this VM holds %u containers already", CONTAINERS_MAX);
		goto fail;
	}
	c = container_new(p.cid, &f);
	if (!c)
		goto fail;
	if (disks_take(&p, &f) || environment(c, &p, &f) || vm_tmpfs_make(&p, &f) || hostsock_make(c, &p, &f))
		goto fail;
	watch_cgroup(c);
	c->init = spawn_init(s, c, &p, &f);
	if (!c->init)
		goto fail;
	session_defer(s, NULL, NULL);
	return;
fail:
	if (c) {
		(void)cgroup_remove(c->cgroup_path);
		container_free(c);
	}
	session_fail(s, &f);
}

void container_process_maps(struct process *p)
{
	struct fault f;

	if (spawn_write_maps(p, p->c, &f) == 0)
		return;
	/* the child learns it by the end of its socket, and ends */
	p->failed = true;
	p->fault = f;
	(void)process_signal(p, SIGKILL);
}

void container_process_ready(struct process *p)
{
	uint32_t pid = (uint32_t)p->pid;

	p->c->state = CONTAINER_CREATED;
	if (p->s)
		session_ok(p->s, &pid, sizeof(pid));
	if (p->c->doomed) /* hung up or destroyed meanwhile */
		(void)process_signal(p, SIGKILL);
}

/* ---- start and exec ---- */

static void starter_gone(void *arg)
{
	((struct container *)arg)->starter = NULL;
}

void container_start(struct session *s, const char *cid, size_t len)
{
	struct container *c = container_find(cid, len);
	struct fault f;

	if (!c || c->state == CONTAINER_BUILDING)
		(void)fault_set(&f, STAGE_STATE, ENOENT, "container does not exist");
	else if (c->state == CONTAINER_STOPPED || c->doomed)
		(void)fault_set(&f, STAGE_STATE, ESRCH, "cannot start a container that has stopped");
	else if (c->state != CONTAINER_CREATED)
		(void)fault_set(&f, STAGE_STATE, EBUSY, "cannot start an already running container");
	else
		goto start;
	session_fail(s, &f);
	return;
start:
	c->state = CONTAINER_STARTING;
	c->starter = s;
	session_defer(s, starter_gone, c);
	process_start(c->init);
}

void container_exec(struct session *s, const uint8_t *data, size_t len)
{
	struct container *c;
	struct fault f;
	struct plan p;

	if (plan_open(&p, data, len, PLAN_PROCESS, &f))
		goto fail;
	c = container_find(p.cid, strlen(p.cid));
	if (!c) {
		(void)fault_set(&f, STAGE_STATE, ENOENT, "container does not exist");
		goto fail;
	}
	if (c->state == CONTAINER_STOPPED || c->state == CONTAINER_BUILDING || c->doomed) {
		(void)fault_set(&f, STAGE_STATE, ESRCH, "cannot exec in a stopped container");
		goto fail;
	}
	if (c->paused) {
		(void)fault_set(&f, STAGE_STATE, EBUSY,
				"cannot exec in a paused container (use --ignore-paused to override)");
		goto fail;
	}
	if (!spawn_exec(s, c, &p, &f))
		goto fail;
	session_defer(s, NULL, NULL);
	return;
fail:
	session_fail(s, &f);
}

void container_process_started(struct process *p)
{
	uint32_t pid = (uint32_t)p->pid;

	if (!p->is_init) {
		if (p->s)
			session_ok(p->s, &pid, sizeof(pid));
		return;
	}
	p->c->state = CONTAINER_RUNNING;
	if (p->c->starter)
		session_ok(p->c->starter, NULL, 0);
	p->c->starter = NULL;
}

/* ---- ends of processes ---- */

void container_process_failed(struct process *p, const struct fault *f)
{
	struct container *c = p->c;
	struct session *s = p->s;

	if (!p->is_init) {
		if (s)
			session_fail(s, f);
		if (c)
			perhaps_empty(c);
		return;
	}
	if (c->state >= CONTAINER_CREATED) { /* START failed; container_process_dead() follows */
		if (c->starter)
			session_fail(c->starter, f);
		c->starter = NULL;
		return;
	}
	/* CREATE failed: nothing of it may stay */
	c->init = NULL;
	c->state = CONTAINER_STOPPED;
	c->settled = true;
	if (s) {
		session_set_process(s, NULL);
		p->s = NULL;
	}
	container_doom(c);
	if (s)
		session_fail(s, f);
}

void container_process_dead(struct process *p)
{
	struct container *c = p->c;

	if (!p->is_init || !c) {
		if (c)
			check_oom(c);
		p->exit.oom = c && c->oom;
		process_finish(p); /* may free p */
		if (c)
			perhaps_empty(c);
		return;
	}
	c->state = CONTAINER_STOPPED;
	control_pause_event(c);
	container_settle(c);
}

void container_process_gone(struct process *p)
{
	struct container *c = p->c;

	if (!p->is_init || !c)
		return;
	session_notify(c, WIRE_EXIT, &p->exit, sizeof(p->exit));
	remove_soon(c);
}
