/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch helper: tells the guest what the host changes in the container's volumes, for inotify (agent/changes.c).
 * One small single-threaded process per container that asked for it, child of the init proxy, with the host's
 * privileges.
 *
 * fanotify reports each change with the directory's file handle, the name, and who did it. What the VMM did is the
 * guest's own work, of which the guest knows. Every directory of a volume is marked by itself (marking a mount sees
 * only what goes through that mount, marking a file system sees all of the host), up to DIRS_MAX; the table that leads
 * from a handle to a path is kept up to date by the very events.
 *
 * One batch is with the agent at a time; what comes meanwhile waits in the kernel's queue, which merges what is the
 * same.
 */
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../agent/wire.h"
#include "session.h"
#include "util.h"

#define DIRS_MAX 8192u
#define BUCKETS 4096u
#define HANDLE_MAX 128u
#define DEPTH_MAX 64u
#define REQUEST_NS (30ull * 1000000000u)
#define NAME_EVENTS (FAN_CREATE | FAN_DELETE | FAN_RENAME)
#define EVENTS (NAME_EVENTS | FAN_ATTRIB | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD | FAN_ONDIR)

/* A directory that is marked. */
struct dir {
	struct dir *next; /* in its bucket */
	char *path;	  /* SHARE/... */
	unsigned int share;
	uint32_t hash, len; /* of the handle */
	uint8_t handle[HANDLE_MAX];
};

struct watcher {
	struct watch_config c;
	int fan;
	struct dir *bucket[BUCKETS];
	unsigned int ndirs;
	bool full;
	size_t used; /* of batch */
	uint8_t batch[WIRE_PAYLOAD_MAX];
};

static void __attribute__((format(printf, 2, 3))) say(const struct watcher *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	dprintf(w->c.log_fd, "husk-watch: ");
	vdprintf(w->c.log_fd, fmt, ap);
	dprintf(w->c.log_fd, "\n");
	va_end(ap);
}

/* ---- the table ---- */

static uint32_t hash_of(const uint8_t *p, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t n = 0; n < len; n++)
		h = (h ^ p[n]) * 16777619u;
	return h;
}

/* What identifies a directory: type and bytes of its handle. Handles of two file systems differ but by accident, and an
 * accident would name a wrong path in an event. */
static size_t flatten(const struct file_handle *h, uint8_t out[HANDLE_MAX])
{
	size_t len = h->handle_bytes;

	if (len > HANDLE_MAX - sizeof(h->handle_type))
		return 0;
	memcpy(out, &h->handle_type, sizeof(h->handle_type));
	memcpy(out + sizeof(h->handle_type), h->f_handle, len);
	return len + sizeof(h->handle_type);
}

static struct dir *find(const struct watcher *w, const uint8_t *handle, size_t len)
{
	uint32_t hash = hash_of(handle, len);

	for (struct dir *d = w->bucket[hash % BUCKETS]; d; d = d->next)
		if (d->hash == hash && d->len == len && memcmp(d->handle, handle, len) == 0)
			return d;
	return NULL;
}

static struct dir *find_event(const struct watcher *w, const struct fanotify_event_info_fid *info)
{
	uint8_t flat[HANDLE_MAX];
	size_t len = flatten((const struct file_handle *)(const void *)info->handle, flat);

	return len ? find(w, flat, len) : NULL;
}

/* Mark one directory. False: not possible. */
static bool mark(struct watcher *w, int fd, const char *path, unsigned int share)
{
	union {
		struct file_handle h;
		uint8_t room[sizeof(struct file_handle) + HANDLE_MAX];
	} u = { .h.handle_bytes = HANDLE_MAX - sizeof(int) };
	struct dir *d;
	int mount;

	if (w->ndirs == DIRS_MAX) {
		if (!w->full)
			say(w, "more than %u directories: changes in the others go unseen", DIRS_MAX);
		w->full = true;
		return false;
	}
	if (name_to_handle_at(fd, "", &u.h, &mount, AT_EMPTY_PATH) < 0)
		return false;
	d = calloc(1, sizeof(*d));
	if (!d)
		return false;
	d->len = (uint32_t)flatten(&u.h, d->handle);
	if (!d->len || find(w, d->handle, d->len) ||
	    fanotify_mark(w->fan, FAN_MARK_ADD | FAN_MARK_ONLYDIR, EVENTS, fd, ".") < 0) {
		free(d);
		return false;
	}
	d->path = xstrdup(path);
	d->share = share;
	d->hash = hash_of(d->handle, d->len);
	d->next = w->bucket[d->hash % BUCKETS];
	w->bucket[d->hash % BUCKETS] = d;
	w->ndirs++;
	return true;
}

static void mark_tree(struct watcher *w, int at, const char *name, const char *path, unsigned int share,
		      unsigned int depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return;
	if (depth > DEPTH_MAX || !mark(w, fd, path, share) || !(dir = fdopendir(fd))) {
		close(fd);
		return;
	}
	while (!w->full && (e = readdir(dir))) {
		CLEAN_FREE char *sub = NULL;

		if ((e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) || !strcmp(e->d_name, ".") ||
		    !strcmp(e->d_name, ".."))
			continue;
		sub = xasprintf("%s/%s", path, e->d_name);
		mark_tree(w, fd, e->d_name, sub, share, depth + 1);
	}
	closedir(dir);
}

/* O_PATH of what is at a path now. The container may have put links anywhere in its volume: none is followed. */
static int open_path(const struct watcher *w, const struct dir *parent, const char *path)
{
	const struct watch_share *s = &w->c.share[parent->share];
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, s->fd, path + strlen(s->name) + 1, &how, sizeof(how));
}

/* A directory that has come to be at this path, below one that is marked. */
static void mark_new(struct watcher *w, const struct dir *parent, const char *path)
{
	CLEAN_FD int fd = open_path(w, parent, path);

	if (fd >= 0)
		mark_tree(w, fd, ".", path, parent->share, 1);
}

/* Everything below `from` (and it) is below `to` now; to NULL: gone. */
static void rename_tree(struct watcher *w, const char *from, const char *to)
{
	size_t len = strlen(from);

	for (unsigned int b = 0; b < BUCKETS; b++) {
		for (struct dir **at = &w->bucket[b]; *at;) {
			struct dir *d = *at;

			if (strncmp(d->path, from, len) != 0 || (d->path[len] && d->path[len] != '/')) {
				at = &d->next;
			} else if (to) {
				char *path = xasprintf("%s%s", to, d->path + len);

				free(d->path);
				d->path = path;
				at = &d->next;
			} else {
				*at = d->next;
				free(d->path);
				free(d);
				w->ndirs--;
			}
		}
	}
}

/* ---- events ---- */

static void send_batch(struct watcher *w)
{
	struct error err = { 0 };

	if (w->used &&
	    session_request(w->c.session, WIRE_CHANGES, w->batch, w->used, mono_ns() + REQUEST_NS, NULL, &err) < 0 &&
	    w->c.session->fd < 0)
		_exit(0);
	w->used = 0;
}

static void put(struct watcher *w, enum wire_change_kind kind, bool dir, const char *path, const char *to)
{
	struct wire_change h = { .kind = (uint8_t)kind, .directory = dir };
	size_t path_len = strlen(path), to_len = to ? strlen(to) : 0;

	if (path_len >= 4096 || to_len >= 4096)
		return;
	if (w->used + sizeof(h) + path_len + to_len > sizeof(w->batch))
		send_batch(w);
	h.path_len = (uint16_t)path_len;
	h.to_len = (uint16_t)to_len;
	memcpy(w->batch + w->used, &h, sizeof(h));
	memcpy(w->batch + w->used + sizeof(h), path, path_len);
	if (to)
		memcpy(w->batch + w->used + sizeof(h) + path_len, to, to_len);
	w->used += sizeof(h) + path_len + to_len;
}

/* The two ends of one event: where it happened (or where from), and where to. */
struct place {
	struct dir *dir; /* NULL: not ours */
	char *path;
};

static void place_of(const struct watcher *w, const struct fanotify_event_info_fid *info, struct place *p)
{
	const struct file_handle *h = (const void *)info->handle;
	const char *name = (const char *)h->f_handle + h->handle_bytes;

	p->dir = find_event(w, info);
	if (p->dir && strcmp(name, ".") != 0)
		p->path = xasprintf("%s/%s", p->dir->path, name);
}

static bool exists(const struct watcher *w, const struct place *p)
{
	CLEAN_FD int fd = open_path(w, p->dir, p->path);

	return fd >= 0;
}

static void names_changed(struct watcher *w, uint64_t mask, struct place *a, struct place *b, bool own)
{
	bool dir = mask & FAN_ONDIR;

	if ((mask & FAN_RENAME) && a->path && b->path) {
		if (dir)
			rename_tree(w, a->path, b->path);
		if (!own)
			put(w, CHANGE_MOVED, dir, a->path, b->path);
		return;
	}
	if ((mask & FAN_RENAME) && !a->path) {
		*a = *b;
		b->path = NULL;
		mask = FAN_CREATE;
	} else if (mask & FAN_RENAME) {
		mask = FAN_DELETE;
	}
	if (!a->path)
		return;
	/* both, merged: what is there now came last */
	if ((mask & FAN_DELETE) && (mask & FAN_CREATE) && exists(w, a)) {
		if (!own)
			put(w, CHANGE_DELETED, dir, a->path, NULL);
		mask &= ~(uint64_t)FAN_DELETE;
	}
	if ((mask & FAN_DELETE) && dir)
		rename_tree(w, a->path, NULL);
	if ((mask & FAN_CREATE) && dir)
		mark_new(w, a->dir, a->path);
	if ((mask & FAN_CREATE) && !own)
		put(w, CHANGE_CREATED, dir, a->path, NULL);
	if ((mask & FAN_DELETE) && !own)
		put(w, CHANGE_DELETED, dir, a->path, NULL);
}

static void one_event(struct watcher *w, const struct fanotify_event_metadata *m)
{
	bool own = m->pid == w->c.vmm, dir = m->mask & FAN_ONDIR;
	struct place a = { 0 }, b = { 0 };

	if (m->mask & FAN_Q_OVERFLOW) {
		say(w, "more changes at once than the kernel remembers: some went unseen");
		return;
	}
	for (size_t off = m->metadata_len; off + sizeof(struct fanotify_event_info_header) <= m->event_len;) {
		const struct fanotify_event_info_header *h = (const void *)((const uint8_t *)m + off);

		if (h->len < sizeof(*h) || h->len > m->event_len - off)
			break;
		if (h->info_type == FAN_EVENT_INFO_TYPE_DFID_NAME || h->info_type == FAN_EVENT_INFO_TYPE_OLD_DFID_NAME)
			place_of(w, (const void *)h, &a);
		else if (h->info_type == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME)
			place_of(w, (const void *)h, &b);
		off += h->len;
	}
	if (m->mask & NAME_EVENTS)
		names_changed(w, m->mask, &a, &b, own);
	if (a.path && !own && !(m->mask & (FAN_DELETE | FAN_RENAME))) {
		if (m->mask & FAN_MODIFY)
			put(w, CHANGE_MODIFIED, dir, a.path, NULL);
		if (m->mask & FAN_ATTRIB)
			put(w, CHANGE_ATTRIBUTES, dir, a.path, NULL);
		if (m->mask & FAN_CLOSE_WRITE)
			put(w, CHANGE_WRITTEN, dir, a.path, NULL);
	}
	free(a.path);
	free(b.path);
}

static void read_events(struct watcher *w)
{
	_Alignas(struct fanotify_event_metadata) static uint8_t buf[32768];
	ssize_t n;

	while ((n = read(w->fan, buf, sizeof(buf))) > 0) {
		const struct fanotify_event_metadata *m = (const void *)buf;

		for (; FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n))
			one_event(w, m);
		send_batch(w);
	}
}

static void __attribute__((noreturn)) watcher_main(struct watcher *w)
{
	struct pollfd p[2] = { { .fd = w->fan, .events = POLLIN }, { .fd = w->c.session->fd, .events = POLLRDHUP } };

	prctl(PR_SET_NAME, "husk-watch");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int k = 0; k < w->c.nshares; k++) {
		unsigned int before = w->ndirs;

		mark_tree(w, w->c.share[k].fd, ".", w->c.share[k].name, k, 0);
		if (w->ndirs == before)
			say(w, "%s: its file system cannot be watched: %s", w->c.share[k].name, strerror(errno));
	}
	while (poll(p, 2, -1) > 0 || errno == EINTR) {
		if (p[1].revents)
			_exit(0);
		if (p[0].revents)
			read_events(w);
	}
	_exit(1);
}

pid_t watch_start(const struct watch_config *c, struct error *err)
{
	static struct watcher w; /* of the child; large */
	int keep[WATCH_SHARES_MAX + 3];
	unsigned int n = 0;
	pid_t pid;

	w.c = *c;
	w.fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	if (w.fan < 0)
		return error_set(err, errno, "fanotify (it needs root and Linux 5.17)");
	pid = fork();
	if (pid == 0) {
		keep[n++] = w.fan;
		keep[n++] = c->session->fd;
		keep[n++] = c->log_fd;
		for (unsigned int k = 0; k < c->nshares; k++)
			keep[n++] = c->share[k].fd;
		fds_keep_only(keep, n);
		watcher_main(&w);
	}
	if (pid < 0)
		error_set(err, errno, "fork the watch helper");
	close(w.fan);
	return pid;
}
