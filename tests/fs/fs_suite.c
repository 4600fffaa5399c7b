/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_suite [-l] DIR [NAME...]: run all properties, or those whose name contains a NAME, in new directories under DIR.
 *
 * One line for each: "ok NAME", "not ok NAME" (the failed checks before it as "# file:line: ..."), "skip NAME: why".
 * The last line counts properties and checks. Exit status 0: no property failed. The lines of a run on the host and
 * of one on a share of the same file system are to be the same.
 */
#include "suite.h"

#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define SECONDS 60 /* for each property; SUITE_SECONDS in the environment changes it */

static struct property *first, **last = &first;

/* of the property that runs, in its process */
static unsigned int checks, failures;
static const char *skipped;

void suite_add(struct property *p)
{
	*last = p;
	last = &p->next;
}

void suite_check(bool ok, const char *file, int line, const char *what, long long got, long long want)
{
	const char *base = strrchr(file, '/');

	checks++;
	if (ok)
		return;
	failures++;
	printf("# %s:%d: %s (%lld, %lld)\n", base ? base + 1 : file, line, what, got, want);
}

void suite_skip(const char *why)
{
	skipped = why;
}

/* ---- helpers ---- */

void make_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd)) {
		printf("# cannot make %s: %s\n", path, strerror(errno));
		fflush(stdout);
		_exit(99);
	}
}

void fill(uint8_t *buf, size_t len, unsigned int seed)
{
	for (size_t n = 0; n < len; n++)
		buf[n] = (uint8_t)((n * 2654435761u + seed) >> 11);
}

bool has_text(const char *path, const char *text)
{
	char buf[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

struct stat stat_of(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		memset(&st, 0, sizeof(st));
	return st;
}

pid_t start_child(int (*fn)(void *), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(fn(arg) & 255);
	return pid;
}

int end_child(pid_t pid)
{
	int st;

	if (waitpid(pid, &st, 0) != pid)
		return -1;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 256 + WTERMSIG(st);
}

int in_child(int (*fn)(void *), void *arg)
{
	return end_child(start_child(fn, arg));
}

int as_user(uid_t uid, gid_t gid, gid_t group, int (*fn)(void *), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (setgroups(group != (gid_t)-1, &group) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
			_exit(250);
		_exit(fn(arg) & 255);
	}
	return end_child(pid);
}

bool is_root(void)
{
	return geteuid() == 0;
}

int64_t ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- running ---- */

struct result {
	unsigned int checks, failures;
	char skipped[128];
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* In a child with its own directory; the counts come back through a pipe. */
static bool run(const struct property *p, const char *dir, struct result *res)
{
	const char *limit = getenv("SUITE_SECONDS");
	char path[PATH_MAX + 256];
	int fds[2], st;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%.200s", dir, p->name);
	memset(res, 0, sizeof(*res));
	if (mkdir(path, 0755) || pipe(fds)) {
		printf("# %s: %s\n", path, strerror(errno));
		return false;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		alarm(limit ? (unsigned int)strtoul(limit, NULL, 10) : SECONDS);
		umask(022);
		if (chdir(path))
			_exit(98);
		p->run();
		fflush(stdout);
		res->checks = checks;
		res->failures = failures;
		if (skipped)
			snprintf(res->skipped, sizeof(res->skipped), "%s", skipped);
		_exit(write(fds[1], res, sizeof(*res)) != sizeof(*res));
	}
	close(fds[1]);
	waitpid(pid, &st, 0);
	if (read(fds[0], res, sizeof(*res)) != sizeof(*res)) {
		printf("# ended with status 0x%x%s\n", st,
		       WIFSIGNALED(st) && WTERMSIG(st) == SIGALRM ? ": too slow" : "");
		res->failures++;
	}
	close(fds[0]);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return res->failures == 0;
}

static bool wanted(const struct property *p, int n, char **names)
{
	for (int k = 0; k < n; k++)
		if (strstr(p->name, names[k]))
			return true;
	return n == 0;
}

int main(int argc, char **argv)
{
	unsigned int passed = 0, failed = 0, skips = 0, all = 0;
	char dir[PATH_MAX];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (const struct property *p = first; p; p = p->next)
			puts(p->name);
		return 0;
	}
	if (argc < 2) {
		fprintf(stderr, "usage: fs_suite [-l] DIR [NAME...]\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/fs-suite-XXXXXX", argv[1]);
	if (!mkdtemp(dir) || chmod(dir, 0755)) {
		fprintf(stderr, "fs_suite: %s: %s\n", dir, strerror(errno));
		return 2;
	}
	for (const struct property *p = first; p; p = p->next) {
		struct result res;
		bool ok;

		if (!wanted(p, argc - 2, argv + 2))
			continue;
		ok = run(p, dir, &res);
		all += res.checks;
		if (!ok)
			failed++, printf("not ok %s\n", p->name);
		else if (res.skipped[0])
			skips++, printf("skip %s: %s\n", p->name, res.skipped);
		else
			passed++, printf("ok %s\n", p->name);
	}
	rmdir(dir);
	printf("# %u passed, %u failed, %u skipped, %u checks\n", passed, failed, skips, all);
	return failed || !passed;
}
