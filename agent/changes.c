/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that the host made in coherent shares: each is made once more here, with a user id by which the file server
 * knows that it is done already (vmm/fs_replay.c), so that inotify tells the guest's processes. A forked child does it,
 * one request at a time, which keeps the order. Paths come from the host; what a container has put at their ends may be
 * anything, so nothing is followed, and nothing but regular files is opened.
 */
#include "changes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "job.h"
#include "plan.h"
#include "session.h"
#include "util.h"
#include "wire.h"

#define LIMIT_MS 10000

struct changes {
	struct session *s;
	struct job *job;
	size_t len;
	uint8_t data[];
};

/* One change, decoded. */
struct change {
	struct wire_change h;
	char path[PATH_MAX], to[PATH_MAX];
};

static int open_share(int root, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* The directory of a path; *name is its last component. fd or -1. */
static int open_parent(int root, char *path, const char **name)
{
	char *slash = strrchr(path, '/');
	int fd;

	if (!slash || !slash[1])
		return -1;
	*slash = '\0';
	*name = slash + 1;
	setfsuid(PLAN_TOUCH_UID);
	fd = open_share(root, path, O_PATH | O_DIRECTORY);
	*slash = '/';
	return fd;
}

static void as_before(const struct change *c)
{
	setfsuid(c->h.directory ? PLAN_REPLAY_DIR_UID : PLAN_REPLAY_UID);
}

static void created(int root, struct change *c)
{
	const char *name;
	int dir = open_parent(root, c->path, &name);
	struct stat st = { .st_mode = c->h.directory ? S_IFDIR : S_IFREG };
	int r = 0;

	if (dir < 0)
		return;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) && errno != ENOENT)
		st.st_mode = 0;
	as_before(c);
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		(void)mkdirat(dir, name, 0700);
		break;
	case S_IFLNK:
		r = symlinkat("-", dir, name);
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		(void)mknodat(dir, name, (st.st_mode & S_IFMT) | 0600, 0);
		break;
	default:
		break;
	}
	(void)r; /* the attempt is the event */
	close(dir);
}

static void deleted(int root, struct change *c)
{
	const char *name;
	int dir = open_parent(root, c->path, &name);

	if (dir < 0)
		return;
	as_before(c);
	(void)unlinkat(dir, name, c->h.directory ? AT_REMOVEDIR : 0);
	close(dir);
}

static void moved(int root, struct change *c)
{
	const char *from, *to;
	int a = open_parent(root, c->path, &from), b = open_parent(root, c->to, &to);

	if (a >= 0 && b >= 0) {
		as_before(c);
		(void)renameat(a, from, b, to);
	}
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
}

/* Calls by path, on the very file that was found. */
static void touched(int root, struct change *c)
{
	char proc[32];
	struct stat st;
	int fd;

	setfsuid(PLAN_TOUCH_UID);
	fd = open_share(root, c->path, O_PATH);
	if (fd < 0)
		return;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == 0 && c->h.kind == CHANGE_ATTRIBUTES && !S_ISLNK(st.st_mode)) {
		(void)chmod(proc, st.st_mode & 07777);
	} else if (S_ISREG(st.st_mode) && c->h.kind == CHANGE_MODIFIED) {
		int r = truncate(proc, st.st_size);

		(void)r; /* the attempt is the event */
	} else if (S_ISREG(st.st_mode) && c->h.kind == CHANGE_WRITTEN) {
		int file = open(proc, O_WRONLY | O_CLOEXEC);

		if (file >= 0)
			close(file);
	}
	close(fd);
}

static bool is_path(const char *p)
{
	return p[0] && p[0] != '/';
}

static void repeat(int root, struct change *c)
{
	if (!is_path(c->path) || (c->h.kind == CHANGE_MOVED && !is_path(c->to)))
		return;
	switch (c->h.kind) {
	case CHANGE_CREATED:
		created(root, c);
		break;
	case CHANGE_DELETED:
		deleted(root, c);
		break;
	case CHANGE_MOVED:
		moved(root, c);
		break;
	default:
		touched(root, c);
	}
}

/* The child. */
static int repeat_all(void *arg, int out, struct fault *f)
{
	const struct changes *all = arg;
	int root = open(PLAN_SHARES, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct change c;

	(void)out;
	if (root < 0)
		return fault_set(f, STAGE_SETUP, errno, "open the host's shares");
	/* else a change of the file system user id takes the capabilities */
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP))
		return fault_set(f, STAGE_SETUP, errno, "keep capabilities");
	umask(0);
	for (size_t at = 0; at < all->len;) {
		if (all->len - at < sizeof(c.h))
			return fault_set(f, STAGE_PROTOCOL, EPROTO, "change %zu", at);
		memcpy(&c.h, all->data + at, sizeof(c.h));
		at += sizeof(c.h);
		if (c.h.path_len >= sizeof(c.path) || c.h.to_len >= sizeof(c.to) || c.h.path_len > all->len - at ||
		    c.h.to_len > all->len - at - c.h.path_len)
			return fault_set(f, STAGE_PROTOCOL, EPROTO, "change %zu", at);
		memcpy(c.path, all->data + at, c.h.path_len);
		c.path[c.h.path_len] = '\0';
		at += c.h.path_len;
		memcpy(c.to, all->data + at, c.h.to_len);
		c.to[c.h.to_len] = '\0';
		at += c.h.to_len;
		repeat(root, &c);
	}
	return 0;
}

static void on_repeated(void *ctx, const struct fault *f, const uint8_t *data, size_t len)
{
	struct changes *all = ctx;
	struct session *s = all->s;

	(void)data;
	(void)len;
	free(all);
	if (f)
		session_fail(s, f);
	else
		session_ok(s, NULL, 0);
}

static void on_cancel(void *arg)
{
	struct changes *all = arg;

	job_cancel(all->job);
	free(all);
}

void changes_begin(struct session *s, const uint8_t *data, size_t len)
{
	struct changes *all = malloc(sizeof(*all) + len);
	struct fault f;

	if (all) {
		all->s = s;
		all->len = len;
		memcpy(all->data, data, len);
		all->job = job_start(repeat_all, all, -1, on_repeated, all, LIMIT_MS);
	}
	if (!all || !all->job) {
		(void)fault_set(&f, STAGE_SETUP, errno, "repeat the host's changes");
		free(all);
		session_fail(s, &f);
		return;
	}
	session_defer(s, on_cancel, all);
}
