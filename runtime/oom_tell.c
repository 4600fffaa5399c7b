/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OOM kill in the guest is invisible to engines: they watch memory.events (v1: memory.oom_control) of the
 * container's cgroup on the host, whose kernel has killed nobody. So the init proxy lets a child of its own be killed
 * for memory there.
 *
 * Theory of operation. The victim is forked with oom_score_adj 1000 and waits. The VMM is made unkillable, the cgroup's
 * limit is lowered to a little above its present use, and the victim touches memory until the kernel ends it. Its death
 * brings limit and score back, and its memory is room for the others until then. Its place in the order: a process with
 * 1000 is chosen before any with less, however large.
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

#include "util.h"

#define ROOM (8u << 20)	      /* bytes between the use and the lowered limit */
#define TOUCH_MAX (1ul << 30) /* bytes: page cache gives way first, and there may be much of it */
#define INTERVAL_NS 1000000000ull
#define VICTIM_SECONDS 3u

/* ---- where ---- */

/* The path behind "0::", or behind the v1 hierarchy that has the controller `memory`. malloc'ed, or NULL. */
static char *memory_cgroup(char *text, bool *v1)
{
	char *save = NULL, *found = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		if (strcmp(list + 1, "memory") == 0 || (!found && list[1] == '\0')) {
			*v1 = list[1] != '\0';
			free(found);
			found = xasprintf("/sys/fs/cgroup%s%s", *v1 ? "/memory" : "", path);
		}
	}
	return found;
}

void oom_tell_open(struct oom_tell *o)
{
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, "/proc/self/cgroup", 65536, NULL);
	CLEAN_FREE char *path = text ? memory_cgroup(text, &o->v1) : NULL;
	const char *file;

	o->dir = o->own_adj = o->vmm_adj = -1;
	if (!path || geteuid() != 0)
		return;
	o->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	o->own_adj = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	file = o->v1 ? "memory.usage_in_bytes" : "memory.current";
	/* the root cgroup has no such file */
	if (o->dir >= 0 && (o->own_adj < 0 || faccessat(o->dir, file, R_OK, 0) < 0)) {
		close(o->dir);
		o->dir = -1;
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

static void score_set(int fd, const char *score)
{
	if (fd >= 0 && pwrite(fd, score, strlen(score), 0) < 0)
		return; /* it has ended */
}

static void score_get(int fd, char *out, size_t cap)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, out, cap - 1, 0);

	out[n < 0 ? 0 : n] = '\0';
}

static const char *limit_file(const struct oom_tell *o)
{
	return o->v1 ? "memory.limit_in_bytes" : "memory.max";
}

static bool limit_read(const struct oom_tell *o, char *out, size_t cap)
{
	CLEAN_FREE char *text = file_read_at(o->dir, limit_file(o), 64, NULL);

	snprintf(out, cap, "%.*s", (int)(text ? strcspn(text, "\n") : 0), text ? text : "");
	return *out != '\0';
}

static void limit_lower(struct oom_tell *o)
{
	CLEAN_FREE char *use = file_read_at(o->dir, o->v1 ? "memory.usage_in_bytes" : "memory.current", 64, NULL);
	unsigned long long bytes = use ? strtoull(use, NULL, 10) + ROOM : 0;

	*o->lowered = '\0';
	if (!use || !limit_read(o, o->limit, sizeof(o->limit)))
		return;
	if (*o->limit != 'm' && strtoull(o->limit, NULL, 10) <= bytes)
		return;
	snprintf(o->lowered, sizeof(o->lowered), "%llu", bytes);
	if (file_write_at(o->dir, limit_file(o), o->lowered) < 0 || !limit_read(o, o->lowered, sizeof(o->lowered)))
		*o->lowered = '\0';
}

static void limit_restore(struct oom_tell *o)
{
	char now[32];

	/* another value by now: somebody has set a new limit meanwhile */
	if (*o->lowered && limit_read(o, now, sizeof(now)) && !strcmp(now, o->lowered))
		file_write_at(o->dir, limit_file(o), o->limit);
	*o->lowered = '\0';
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
	score_get(o->own_adj, own, sizeof(own));
	score_set(o->own_adj, "1000"); /* for the child */
	o->victim = fork();
	if (o->victim == 0)
		victim_main(go[0]);
	score_set(o->own_adj, own);
	close(go[0]);
	if (o->victim > 0) {
		score_get(o->vmm_adj, o->vmm_score, sizeof(o->vmm_score));
		score_set(o->vmm_adj, "-1000");
		limit_lower(o);
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
	limit_restore(o);
	if (*o->vmm_score)
		score_set(o->vmm_adj, o->vmm_score);
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
