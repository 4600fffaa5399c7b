/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of a test: `leaks TOKEN [DIR]` prints one line for everything on this host that
 * still carries TOKEN (a string that only one test used, in ids, paths, cgroup names and the
 * environment of every runtime call), and for every entry of DIR. Status 0: nothing left; 1:
 * something is.
 *
 *   process    command line, environment, cgroup, cwd, root, exe or an open file of any process
 *              but the caller's own ancestors
 *   mount      in this or any process's mount namespace
 *   cgroup     a directory below /sys/fs/cgroup, of either version
 *   socket     a bound unix socket
 *   file       below DIR
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *token;
static int found;
static pid_t ancestors[256];
static int nancestors;

/* The file's bytes, at most 1 MiB of them, NULs turned into blanks; NULL when it can't be read. */
static char *slurp(const char *path)
{
	static char buf[(1 << 20) + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	while (len < sizeof(buf) - 1 && (n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	for (size_t i = 0; i < len; i++)
		if (!buf[i])
			buf[i] = ' ';
	buf[len] = '\0';
	return buf;
}

static void collect_ancestors(void)
{
	pid_t pid = getpid();

	while (pid > 1 && nancestors < 256) {
		char path[64], *p;
		int ppid;

		ancestors[nancestors++] = pid;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		p = slurp(path);
		p = p ? strrchr(p, ')') : NULL;
		if (!p || sscanf(p + 1, " %*c %d", &ppid) != 1)
			return;
		pid = ppid;
	}
}

static int link_has_token(const char *dir, const char *name)
{
	char path[PATH_MAX], text[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	n = readlink(path, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	return !!strstr(text, token);
}

static int file_has_token(const char *dir, const char *name)
{
	char path[PATH_MAX], *text;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	text = slurp(path);
	return text && strstr(text, token);
}

static int fds_have_token(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *e;
	int hit = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/fd", dir);
	d = opendir(path);
	while (d && !hit && (e = readdir(d)))
		hit = link_has_token(path, e->d_name);
	if (d)
		closedir(d);
	return hit;
}

static void check_process(pid_t pid, const char *dir)
{
	static const char *const files[] = { "cmdline", "environ", "cgroup" }, *const links[] = { "cwd", "root",
												  "exe" };
	const char *why = NULL;
	char comm[64] = "?", path[PATH_MAX], *text;

	for (size_t i = 0; !why && i < 3; i++)
		if (file_has_token(dir, files[i]))
			why = files[i];
	for (size_t i = 0; !why && i < 3; i++)
		if (link_has_token(dir, links[i]))
			why = links[i];
	if (!why && fds_have_token(dir))
		why = "fd";
	if (!why)
		return;
	snprintf(path, sizeof(path), "%s/comm", dir);
	text = slurp(path);
	if (!text)
		return; /* it has just ended */
	snprintf(comm, sizeof(comm), "%.*s", (int)strcspn(text, "\n"), text);
	snprintf(path, sizeof(path), "%s/cmdline", dir);
	text = slurp(path);
	printf("process %d (%s) by its %s: %.200s\n", pid, comm, why, text ? text : "");
	found = 1;
}

static void check_mounts(const char *dir, const char *whose)
{
	char path[PATH_MAX], *text, *line, *save;

	snprintf(path, sizeof(path), "%s/mountinfo", dir);
	text = slurp(path);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (strstr(line, token)) {
			printf("mount in %s: %.200s\n", whose, line);
			found = 1;
		}
}

static void check_processes(void)
{
	ino_t seen[1024];
	size_t nseen = 0;
	struct dirent *e;
	DIR *d = opendir("/proc");

	check_mounts("/proc/self", "this namespace");
	while (d && (e = readdir(d))) {
		pid_t pid = atoi(e->d_name);
		char dir[300], ns[320];
		struct stat st;
		size_t i;
		int mine = pid <= 0;

		for (int k = 0; k < nancestors; k++)
			mine |= pid == ancestors[k];
		if (mine)
			continue;
		snprintf(dir, sizeof(dir), "/proc/%s", e->d_name);
		check_process(pid, dir);
		snprintf(ns, sizeof(ns), "%s/ns/mnt", dir);
		if (stat(ns, &st) < 0)
			continue;
		for (i = 0; i < nseen && seen[i] != st.st_ino; i++)
			;
		if (i < nseen || nseen == 1024)
			continue;
		seen[nseen++] = st.st_ino;
		if (stat("/proc/self/ns/mnt", &st) == 0 && st.st_ino != seen[nseen - 1])
			check_mounts(dir, dir);
	}
	if (d)
		closedir(d);
}

static int visit_cgroup(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	if (flag == FTW_D && strstr(path + ftw->base, token)) {
		printf("cgroup %s\n", path);
		found = 1;
	}
	return 0;
}

static int visit_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	if (ftw->level > 0) {
		printf("file %s\n", path);
		found = 1;
	}
	return 0;
}

static void check_sockets(void)
{
	char *text = slurp("/proc/net/unix"), *save;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (strstr(line, token)) {
			printf("socket %s\n", line);
			found = 1;
		}
}

int main(int argc, char **argv)
{
	if (argc < 2 || !*argv[1]) {
		fprintf(stderr, "usage: leaks TOKEN [DIR]\n");
		return 2;
	}
	token = argv[1];
	collect_ancestors();
	check_processes();
	nftw("/sys/fs/cgroup", visit_cgroup, 32, FTW_PHYS);
	check_sockets();
	if (argc > 2)
		nftw(argv[2], visit_file, 32, FTW_PHYS);
	return found;
}
