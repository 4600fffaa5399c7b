/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's cgroup v2 tree. Called by the loop; cgroup_remove_tree() and cgroup_each_pid() by
 * jobs too. A container with a writable cgroup mount controls the names, number and depth of
 * directories below its own.
 */
#include "cgroup.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys.h"
#include "util.h"

#define PARENT CGROUP_PARENT
#define DEPTH_MAX 64
#define AGENT_PIDS 64 /* processes that no container can take from the agent */

static char mount_point[256];

/*
 * Enable every controller that `dir` has for its children. One at a time: one that refuses does not
 * spoil the others.
 */
static void enable_controllers(int dir)
{
	char list[512], word[64], *save = NULL;

	if (file_read(dir, "cgroup.controllers", list, sizeof(list)) < 0)
		return;
	for (char *c = strtok_r(list, " \n", &save); c; c = strtok_r(NULL, " \n", &save)) {
		int n = snprintf(word, sizeof(word), "+%s", c);
		int r = n < 0 || n >= (int)sizeof(word) ? -EINVAL
							: file_write(dir, "cgroup.subtree_control", word, (size_t)n);

		if (r)
			log_line("cgroup controller %s: %s", c, strerror(-r));
	}
}

/* A fork bomb without a limit of its own must leave the agent room to fork. */
static void reserve_pids(int dir)
{
	char text[32];
	uint64_t max;

	if (file_read(AT_FDCWD, "/proc/sys/kernel/threads-max", text, sizeof(text)) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (number_parse(text, &max) || max < 4 * AGENT_PIDS)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(max - AGENT_PIDS));
	(void)file_write_str(dir, "pids.max", text);
}

int cgroup_init(const char *where)
{
	int root = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir, r = 0;

	if (root < 0)
		return -errno;
	if (snprintf(mount_point, sizeof(mount_point), "%s", where) >= (int)sizeof(mount_point))
		r = -ENAMETOOLONG;
	if (r == 0 && mkdirat(root, PARENT, 0755) && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		enable_controllers(root);
		dir = openat(root, PARENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0) {
			r = -errno;
		} else {
			enable_controllers(dir);
			reserve_pids(dir);
			close(dir);
		}
	}
	close(root);
	return r;
}

int cgroup_make(const char *cid, unsigned int slot, char *path, size_t cap)
{
	int n, fd;

	/*
	 * a long id is cut; the slot keeps the name unique, the prefix keeps it apart from the
	 * kernel's files
	 */
	if (strlen(cid) < CGROUP_NAME_MAX)
		n = snprintf(path, cap, "%s/" PARENT "/ct-%s", mount_point, cid);
	else
		n = snprintf(path, cap, "%s/" PARENT "/ct-%.*s-%u", mount_point, (int)CGROUP_NAME_MAX - 16, cid, slot);
	if (n < 0 || (size_t)n >= cap)
		return -ENAMETOOLONG;
	if (mkdir(path, 0755))
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_write(int dir, const char *file, const char *value)
{
	int r;

	if (!*file || strchr(file, '/') || strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
		return -EINVAL;
	r = file_write_str(dir, file, value);
	/* the guest kernel has no swap at all: no limit of it can be exceeded */
	return r == -ENOENT && strncmp(file, "memory.swap.", 12) == 0 ? 0 : r;
}

int cgroup_devices(int dir, const void *insns, uint32_t len, int *old)
{
	union bpf_attr load = { 0 }, attach = { 0 };
	int prog;

	load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	load.insns = (uintptr_t)insns;
	load.insn_cnt = len / 8;
	load.license = (uintptr_t) "Apache-2.0";
	prog = (int)sys_result(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load)));
	if (prog < 0)
		return prog;
	attach.target_fd = (uint32_t)dir;
	attach.attach_bpf_fd = (uint32_t)prog;
	attach.attach_type = BPF_CGROUP_DEVICE;
	attach.attach_flags = BPF_F_ALLOW_MULTI;
	if (*old >= 0) {
		attach.attach_flags |= BPF_F_REPLACE;
		attach.replace_bpf_fd = (uint32_t)*old;
	}
	if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach))) {
		int r = -errno;

		close(prog);
		return r;
	}
	fd_close(old);
	*old = prog;
	return 0;
}

int cgroup_kill(int dir)
{
	return file_write_str(dir, "cgroup.kill", "1");
}

int64_t cgroup_value(int dir, const char *file, const char *key)
{
	size_t klen = strlen(key);
	char text[4096];
	ssize_t n = file_read(dir, file, text, sizeof(text));

	if (n < 0)
		return n;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, key, klen) == 0 && line[klen] == ' ')
			return strtoll(line + klen + 1, NULL, 10);
	return -ENOENT;
}

static int each_pid_here(int dir, int (*each)(pid_t pid, void *arg), void *arg)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC), r = 0;
	char buf[4096];
	uint64_t pid = 0;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno; /* removed meanwhile */
	while (r == 0 && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; r == 0 && i < n; i++) {
			if (buf[i] >= '0' && buf[i] <= '9') {
				pid = pid * 10 + (uint64_t)(buf[i] - '0');
			} else if (pid) {
				r = each((pid_t)pid, arg);
				pid = 0;
			}
		}
	}
	/* EOPNOTSUPP: a threaded cgroup, whose processes are listed further up */
	close(fd);
	return r;
}

/* Call on each child directory. It may vanish at any time. */
static int each_child(int dir, int (*each)(int parent, const char *name, int depth, void *arg), int depth, void *arg)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			r = each(dir, e->d_name, depth + 1, arg);
	closedir(d);
	return r;
}

struct pid_walk {
	int (*each)(pid_t pid, void *arg);
	void *arg;
};

static int pids_below(int parent, const char *name, int depth, void *arg)
{
	struct pid_walk *w = arg;
	int dir, r;

	if (depth > DEPTH_MAX)
		return 0;
	dir = name ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : parent;
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	r = each_pid_here(dir, w->each, w->arg);
	if (r == 0)
		r = each_child(dir, pids_below, depth, w);
	if (name)
		close(dir);
	return r;
}

int cgroup_each_pid(int dir, int (*each)(pid_t pid, void *arg), void *arg)
{
	struct pid_walk w = { each, arg };

	return pids_below(dir, NULL, 0, &w);
}

static int remove_below(int parent, const char *name, int depth, void *arg)
{
	int dir, r = 0;

	(void)arg;
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (depth > DEPTH_MAX)
		return -ELOOP;
	dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	r = each_child(dir, remove_below, depth, NULL);
	close(dir);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) && errno != ENOENT)
		r = -errno;
	return r;
}

int cgroup_remove(const char *path)
{
	return rmdir(path) && errno != ENOENT ? -errno : 0;
}

int cgroup_remove_tree(const char *path)
{
	return remove_below(AT_FDCWD, path, 0, NULL);
}

int cgroup_delegate(int dir, uid_t uid, gid_t gid)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.subtree_control", "cgroup.threads" };

	if (fchown(dir, uid, gid))
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (fchownat(dir, files[i], uid, gid, 0) && errno != ENOENT)
			return -errno;
	return 0;
}

int cgroup_of(pid_t pid)
{
	char file[64], text[4096], path[4096 + 256];
	ssize_t n;
	char *line;
	int fd;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	n = file_read(AT_FDCWD, file, text, sizeof(text));
	if (n < 0)
		return (int)n;
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!line)
		return -ENOENT;
	line += *line == '\n' ? 4 : 3;
	line[strcspn(line, "\n")] = '\0';
	snprintf(path, sizeof(path), "%s%s", mount_point, line);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
