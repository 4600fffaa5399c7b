/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OOM kill in the guest is invisible to engines: they watch memory.events (v1: memory.oom_control) of the
 * container's cgroup on the host, whose kernel has killed nobody. So the init proxy lets a child of its own be killed
 * for memory there.
 *
 * Theory of operation. The victim is forked with oom_score_adj 1000 and waits. The VMM is made unkillable, the cgroup's
 * limits are lowered to a little above its present use, and the victim touches memory until the kernel ends it. Its
 * death brings limits and score back, and its memory is room for the others until then. Its place in the order: a
 * process with 1000 is chosen before any with less, however large. Swap is limited, too: a host that has some would
 * rather write the guest out to it than kill. The files are opened before we enter a cgroup namespace: from within, the
 * limits of its root cannot be written (cgroup-v2, nsdelegate).
 *
 * The guest decides when it has an OOM kill, so this happens at most once in a second, and only in its own cgroup.
 */
#include "oom_tell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "util.h"

#define ROOM (8u << 20)	      /* bytes between the use and the lowered limit */
#define TOUCH_MAX (1ul << 30) /* bytes: page cache gives way first, and there may be much of it */
#define INTERVAL_NS 1000000000ull
#define VICTIM_SECONDS 10u /* page cache that gives way takes its time where CPUs are slow */

/* In the order in which they are lowered: in v1 the second is the sum of memory and swap, and never below the first. */
static const struct limit_files {
	const char *limit, *use;
	unsigned long long room; /* bytes */
} limit_files[2][OOM_LIMITS] = {
	{ { "memory.max", "memory.current", ROOM }, { "memory.swap.max", "memory.swap.current", 0 } },
	{ { "memory.limit_in_bytes", "memory.usage_in_bytes", ROOM },
	  { "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes", ROOM } },
};

/* ---- where ---- */

static bool names_memory(const char *controllers)
{
	for (const char *c = controllers; *c; c += strspn(c, ",")) {
		size_t n = strcspn(c, ",");

		if (n == 6 && strncmp(c, "memory", n) == 0)
			return true;
		c += n;
	}
	return false;
}

/* What stands behind "0::", or behind the v1 hierarchy that has the controller `memory`. malloc'ed, or NULL. */
static char *memory_path(char *text, bool *v1)
{
	char *save = NULL, *found = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		if (names_memory(list + 1) || (!found && list[1] == '\0')) {
			*v1 = list[1] != '\0';
			free(found);
			found = xstrdup(path);
		}
	}
	return found;
}

/* The directory of a hierarchy if memory is counted in it, which is not so in the root of v2. fd or -1. */
static int memory_open(const struct oom_tell *o, const char *mount, const char *path)
{
	CLEAN_FREE char *dir = xasprintf("%s%s", mount, path);
	CLEAN_FD int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && faccessat(fd, limit_files[o->v1][0].use, R_OK, 0) == 0 ? take_fd(&fd) : -1;
}

void oom_tell_open(struct oom_tell *o)
{
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, "/proc/self/cgroup", 65536, NULL);
	CLEAN_FREE char *path = text ? memory_path(text, &o->v1) : NULL;
	char *mounts[CGROUP_HIERARCHIES];
	unsigned int n = 0;

	o->dir = o->own_adj = o->vmm_adj = -1;
	if (!path || geteuid() != 0)
		return;
	o->own_adj = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	if (o->own_adj < 0)
		return;
	if (o->v1)
		n = cgroup_v1_mounts(mounts);
	else
		o->dir = memory_open(o, CGROUP_ROOT, path);
	while (n) {
		if (o->dir < 0)
			o->dir = memory_open(o, mounts[n - 1], path);
		free(mounts[--n]);
	}
	for (unsigned int i = 0; o->dir >= 0 && i < OOM_LIMITS; i++) {
		const struct limit_files *f = &limit_files[o->v1][i];

		o->limit[i].limit_fd = openat(o->dir, f->limit, O_RDWR | O_CLOEXEC);
		o->limit[i].use_fd = openat(o->dir, f->use, O_RDONLY | O_CLOEXEC);
	}
}

void oom_tell_vmm(struct oom_tell *o)
{
	/* our own numbers are of another pid namespace than /proc */
	CLEAN_FREE char *pids = file_read_at(AT_FDCWD, "/proc/thread-self/children", 4096, NULL);
	char path[64];
	long pid = pids ? strtol(pids, NULL, 10) : 0;

	if (o->dir < 0 || pid <= 0)
		return;
	snprintf(path, sizeof(path), "/proc/%ld/oom_score_adj", pid);
	o->vmm_adj = open(path, O_RDWR | O_CLOEXEC);
}

/* ---- scores and limits ---- */

static bool text_set(int fd, const char *text)
{
	ssize_t n = (ssize_t)strlen(text);

	return fd >= 0 && pwrite(fd, text, (size_t)n, 0) == n;
}

/* The first line, "" when there is none. */
static bool text_get(int fd, char *out, size_t cap)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, out, cap - 1, 0);

	out[n < 0 ? 0 : n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return *out != '\0';
}

static void limit_lower(struct oom_limit *l, unsigned long long room)
{
	unsigned long long bytes;

	*l->lowered = '\0';
	/* a kernel that does not account swap has no such files */
	if (!text_get(l->use_fd, l->was, sizeof(l->was)))
		return;
	bytes = strtoull(l->was, NULL, 10) + room;
	if (!text_get(l->limit_fd, l->was, sizeof(l->was)) || (*l->was != 'm' && strtoull(l->was, NULL, 10) <= bytes))
		return;
	snprintf(l->lowered, sizeof(l->lowered), "%llu", bytes);
	if (!text_set(l->limit_fd, l->lowered) || !text_get(l->limit_fd, l->lowered, sizeof(l->lowered)))
		*l->lowered = '\0';
}

static void limit_restore(struct oom_limit *l)
{
	char now[32];

	/* another value by now: somebody has set a new limit meanwhile */
	if (*l->lowered && text_get(l->limit_fd, now, sizeof(now)) && !strcmp(now, l->lowered))
		text_set(l->limit_fd, l->was);
	*l->lowered = '\0';
}

/* ---- the victim ---- */

static void __attribute__((noreturn)) victim_main(int go)
{
	sigset_t none;
	char c;

	prctl(PR_SET_NAME, "husk-oom");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fds_keep_only(&go, 1);
	sigemptyset(&none);
	signal(SIGALRM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(VICTIM_SECONDS);
	if (read(go, &c, 1) == 1) {
		volatile char *p = mmap(NULL, TOUCH_MAX, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		for (size_t at = 0; p != MAP_FAILED && at < TOUCH_MAX; at += 4096)
			p[at] = 1;
	}
	_exit(0);
}

/* memory.oom.group: the kernel would end all of us together. */
static bool kills_groups(const struct oom_tell *o)
{
	CLEAN_FREE char *text = o->v1 ? NULL : file_read_at(o->dir, "memory.oom.group", 16, NULL);

	return text && *text == '1';
}

void oom_tell_now(struct oom_tell *o)
{
	uint64_t now = mono_ns();
	char own[16];
	int go[2];

	if (o->dir < 0 || o->victim || (o->last_ns && now - o->last_ns < INTERVAL_NS) || kills_groups(o))
		return;
	o->last_ns = now;
	if (pipe2(go, O_CLOEXEC) < 0)
		return;
	text_get(o->own_adj, own, sizeof(own));
	text_set(o->own_adj, "1000"); /* for the child */
	o->victim = fork();
	if (o->victim == 0)
		victim_main(go[0]);
	text_set(o->own_adj, own);
	close(go[0]);
	if (o->victim > 0) {
		text_get(o->vmm_adj, o->vmm_score, sizeof(o->vmm_score));
		text_set(o->vmm_adj, "-1000");
		for (unsigned int i = 0; i < OOM_LIMITS; i++)
			limit_lower(&o->limit[i], limit_files[o->v1][i].room);
		if (write(go[1], "g", 1) != 1)
			kill(o->victim, SIGKILL);
	} else {
		o->victim = 0;
	}
	close(go[1]);
}

bool oom_tell_reaped(struct oom_tell *o, pid_t pid)
{
	if (!o->victim || pid != o->victim)
		return false;
	o->victim = 0;
	for (unsigned int i = OOM_LIMITS; i--;)
		limit_restore(&o->limit[i]);
	if (*o->vmm_score)
		text_set(o->vmm_adj, o->vmm_score);
	return true;
}

void oom_tell_finish(struct oom_tell *o)
{
	pid_t pid = o->victim;

	/* its own alarm bounds this */
	while (pid && waitpid(pid, NULL, 0) < 0)
		if (errno != EINTR)
			break;
	oom_tell_reaped(o, pid);
}
