/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's cgroup on the host.
 *
 * Everything of a container (proxy, exec proxies, VMM with its threads) sits in one leaf, the cgroupsPath itself:
 * containerd takes the cgroup of the init pid as it is, and cgroup v2 allows no processes above a leaf with domain
 * controllers.
 */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "util.h"

#define PROCS_MAX (1u << 20)
#define REMOVE_TRIES 12 /* with pauses that double from 1 ms: about four seconds */

enum cgroup_mode cgroup_host_mode(void)
{
	static int mode = -1;
	struct statfs fs;

	if (mode >= 0)
		return (enum cgroup_mode)mode;
	if (statfs(CGROUP_ROOT, &fs) < 0)
		mode = CGROUP_NONE;
	else if (fs.f_type == CGROUP2_SUPER_MAGIC)
		mode = CGROUP_V2;
	else {
		char *mounts[CGROUP_HIERARCHIES];
		unsigned int n = cgroup_v1_mounts(mounts);

		mode = n ? CGROUP_V1 : CGROUP_NONE;
		while (n)
			free(mounts[--n]);
	}
	return (enum cgroup_mode)mode;
}

/* ---- making ---- */

/* Let children of @dir have every controller that @dir has. What cannot be enabled shows when a limit needs it. */
static void v2_delegate(const char *dir)
{
	CLEAN_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEAN_FREE char *have = NULL, *on = NULL, *all = NULL;
	char *save = NULL;

	if (fd < 0)
		return;
	have = file_read_at(fd, "cgroup.controllers", 4096, NULL);
	on = file_read_at(fd, "cgroup.subtree_control", 4096, NULL);
	if (!have || !on)
		return;
	all = xmalloc(2 * strlen(have) + 2);
	*all = '\0';
	for (char *c = strtok_r(have, " \n", &save); c; c = strtok_r(NULL, " \n", &save)) {
		const char *p = strstr(on, c);
		size_t n = strlen(c);

		/* "cpu" is also the start of "cpuset" */
		while (p && ((p > on && p[-1] != ' ') || (p[n] != ' ' && p[n] != '\n')))
			p = strstr(p + 1, c);
		if (!p)
			sprintf(all + strlen(all), "+%s ", c);
	}
	if (!*all || file_write_at(fd, "cgroup.subtree_control", all) == 0)
		return;
	save = NULL;
	for (char *c = strtok_r(all, " ", &save); c; c = strtok_r(NULL, " ", &save))
		file_write_at(fd, "cgroup.subtree_control", c);
}

static int v2_mkdir(const char *path, bool *made)
{
	CLEAN_FREE char *dir = xasprintf("%s%s", CGROUP_ROOT, path);
	char *p = dir + strlen(CGROUP_ROOT);

	*made = false;
	while (*p == '/') {
		char *end = p + 1 + strcspn(p + 1, "/");
		char c = *end;

		*p = '\0';
		v2_delegate(dir);
		*p = '/';
		*end = '\0';
		if (mkdir(dir, 0755) == 0)
			*made = true;
		else if (errno != EEXIST)
			return -errno;
		else
			*made = false;
		*end = c;
		p = end;
	}
	return 0;
}

/* Processes in a cgroup directory itself. */
static unsigned int dir_processes(const char *dir)
{
	CLEAN_FREE char *name = xasprintf("%s/cgroup.procs", dir);
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, name, PROCS_MAX, NULL);
	unsigned int n = 0;

	for (const char *p = text; p && (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static bool dir_frozen(const struct cgroup *cg, const char *dir)
{
	bool v2 = cg->mode == CGROUP_V2;
	CLEAN_FREE char *name = xasprintf("%s/%s", dir, v2 ? "cgroup.freeze" : "freezer.state");
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, name, 64, NULL);

	return text && (v2 ? *text == '1' : !strncmp(text, "FR", 2));
}

static int check_unused(const struct cgroup *cg, struct error *err)
{
	for (unsigned int i = 0; i < cg->ndirs; i++) {
		unsigned int n;

		if (cg->made[i])
			continue;
		n = dir_processes(cg->dirs[i]);
		if (n)
			return error_set(err, 0, "container's cgroup is not empty: %u process(es) found in %s", n,
					 cg->dirs[i]);
		if (dir_frozen(cg, cg->dirs[i]))
			return error_set(err, 0, "container's cgroup unexpectedly frozen: %s", cg->dirs[i]);
	}
	return 0;
}

static bool may_lack(int rc, bool rootless)
{
	return rootless && (rc == -EACCES || rc == -EPERM || rc == -EROFS);
}

void cgroup_plan(struct cgroup *cg, const struct cgroup_path *path)
{
	char *mounts[CGROUP_HIERARCHIES];
	unsigned int n = 0;

	*cg = (struct cgroup){ .mode = cgroup_host_mode() };
	if (cg->mode == CGROUP_V2)
		mounts[n++] = xstrdup(CGROUP_ROOT);
	else if (cg->mode == CGROUP_V1)
		n = cgroup_v1_mounts(mounts);
	for (unsigned int i = 0; i < n; i++) {
		cg->dirs[cg->ndirs++] = xasprintf("%s%s", mounts[i], path->path);
		free(mounts[i]);
	}
}

void cgroup_remove_unused(const struct cgroup *cg)
{
	for (unsigned int i = 0; i < cg->ndirs; i++)
		rmdir(cg->dirs[i]);
}

int cgroup_create(struct cgroup *cg, const struct cgroup_path *path, bool rootless, bool occupied, struct error *err)
{
	char *mounts[CGROUP_HIERARCHIES] = { CGROUP_ROOT };
	unsigned int n = 1;
	int rc = 0;

	*cg = (struct cgroup){ .mode = cgroup_host_mode() };
	if (cg->mode == CGROUP_NONE) {
		if (rootless)
			return 0;
		return error_set(err, 0,
				 "no cgroup hierarchy is mounted on " CGROUP_ROOT
				 "; mount one (mount -t cgroup2 none " CGROUP_ROOT
				 ") or use --cgroup-manager=disabled");
	}
	if (cg->mode == CGROUP_V1)
		n = cgroup_v1_mounts(mounts);
	for (unsigned int i = 0; i < n && !rc; i++) {
		rc = cg->mode == CGROUP_V2 ? v2_mkdir(path->path, &cg->made[cg->ndirs])
					   : cgroup_v1_mkdir(mounts[i], path->path, &cg->made[cg->ndirs]);
		if (!rc)
			cg->dirs[cg->ndirs++] = xasprintf("%s%s", mounts[i], path->path);
		else if (may_lack(rc, rootless))
			rc = 0;
		else
			error_set(err, -rc, "cannot make cgroup %s%s", mounts[i], path->path);
	}
	if (cg->mode == CGROUP_V1)
		while (n)
			free(mounts[--n]);
	if (!rc && !occupied)
		rc = check_unused(cg, err);
	if (rc) {
		struct error ignored;

		/* what was there before stays as it was, and out of reach of whoever cleans up after us */
		for (unsigned int i = 0; i < cg->ndirs; i++) {
			if (!cg->made[i]) {
				free(cg->dirs[i]);
				cg->dirs[i] = NULL;
			}
		}
		cgroup_remove(cg, &ignored);
		cgroup_free(cg);
		return -1;
	}
	return 0;
}

void cgroup_from_dirs(struct cgroup *cg, const struct strings *dirs)
{
	*cg = (struct cgroup){ .mode = dirs->n ? cgroup_host_mode() : CGROUP_NONE };
	for (size_t i = 0; i < dirs->n && i < CGROUP_HIERARCHIES; i++)
		cg->dirs[cg->ndirs++] = xstrdup(dirs->v[i]);
}

void cgroup_free(struct cgroup *cg)
{
	for (unsigned int i = 0; i < cg->ndirs; i++)
		free(cg->dirs[i]);
	*cg = (struct cgroup){ 0 };
}

/* ---- limits ---- */

static int v2_emit(void *ctx, const char *file, const char *value, struct error *err)
{
	const struct cgroup *cg = ctx;
	CLEAN_FREE char *name = xasprintf("%s/%s", cg->dirs[0], file);
	int rc;

	if (!strcmp(file, "io.weight")) {
		CLEAN_FREE char *bfq = xasprintf("%s/io.bfq.weight", cg->dirs[0]);

		if (access(name, F_OK) < 0 && access(bfq, F_OK) == 0) {
			/* "default N" in 1..10000 there, 1..1000 here */
			int64_t w = 0;

			parse_i64(!strncmp(value, "default ", 8) ? value + 8 : value, 1, 10000, &w);
			free(name);
			name = xstrdup(bfq);
			rc = file_write_at(AT_FDCWD, name, w > 1000 ? "1000" : value);
			return rc < 0 ? error_set(err, -rc, "cannot write \"%s\" to %s", value, name) : 0;
		}
	}
	rc = file_write_at(AT_FDCWD, name, value);
	if (rc == -ENOENT)
		return error_set(
			err, 0,
			"cannot set %s = %s: the controller is not available in %s (is it enabled in the parents' "
			"cgroup.subtree_control?)",
			file, value, cg->dirs[0]);
	return rc < 0 ? error_set(err, -rc, "cannot write \"%s\" to %s", value, name) : 0;
}

int cgroup_apply(const struct cgroup *cg, const struct spec_resources *r, uint64_t overhead, struct error *err)
{
	if (!cg->ndirs)
		return 0;
	if (cg->mode == CGROUP_V2)
		return cgroup2_settings(r, CGROUP2_HOST, overhead, v2_emit, (void *)cg, err);
	return cgroup_v1_apply(cg, r, overhead, err);
}

/* ---- processes ---- */

int cgroup_add(const struct cgroup *cg, pid_t pid, struct error *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	for (unsigned int i = 0; i < cg->ndirs; i++) {
		CLEAN_FREE char *name = xasprintf("%s/cgroup.procs", cg->dirs[i]);
		int rc = file_write_at(AT_FDCWD, name, text);

		if (rc < 0)
			return error_set(err, -rc, "cannot move process %s into cgroup %s", text, cg->dirs[i]);
	}
	return 0;
}

int cgroup_open_v2(const struct cgroup *cg)
{
	if (cg->mode != CGROUP_V2 || !cg->ndirs)
		return -1;
	return open(cg->dirs[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Kill every process of a directory and those below; how many were there. */
static unsigned int dir_kill(const char *dir)
{
	CLEAN_FREE char *name = xasprintf("%s/cgroup.procs", dir);
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, name, PROCS_MAX, NULL);
	DIR *d = opendir(dir);
	unsigned int n = 0;
	char *save = NULL;
	struct dirent *e;

	for (char *p = text ? strtok_r(text, "\n", &save) : NULL; p; p = strtok_r(NULL, "\n", &save)) {
		int64_t pid;

		/* 0: a process of another pid namespace, which we cannot name */
		if (parse_i64(p, 1, INT32_MAX, &pid) && pid != getpid() && kill((pid_t)pid, SIGKILL) == 0)
			n++;
	}
	while (d && (e = readdir(d))) {
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
			CLEAN_FREE char *sub = xasprintf("%s/%s", dir, e->d_name);

			n += dir_kill(sub);
		}
	}
	if (d)
		closedir(d);
	return n;
}

void cgroup_kill(const struct cgroup *cg)
{
	for (unsigned int i = 0; i < cg->ndirs; i++) {
		CLEAN_FREE char *name = xasprintf("%s/cgroup.kill", cg->dirs[i]);

		if (cg->mode == CGROUP_V2 && file_write_at(AT_FDCWD, name, "1") == 0)
			return;
		for (int tries = 0; tries < 100 && dir_kill(cg->dirs[i]); tries++)
			sleep_ms(1);
	}
}

/* ---- removing ---- */

static int dir_remove(const char *dir, int depth)
{
	DIR *d;
	struct dirent *e;

	if (rmdir(dir) == 0 || errno == ENOENT)
		return 0;
	d = depth < 16 ? opendir(dir) : NULL;
	if (!d)
		return rmdir(dir) == 0 || errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
			CLEAN_FREE char *sub = xasprintf("%s/%s", dir, e->d_name);

			dir_remove(sub, depth + 1);
		}
	}
	closedir(d);
	return rmdir(dir) == 0 || errno == ENOENT ? 0 : -errno;
}

int cgroup_remove(const struct cgroup *cg, struct error *err)
{
	for (unsigned int i = 0; i < cg->ndirs; i++) {
		unsigned int pause = 1;
		int rc;

		if (!cg->dirs[i])
			continue;
		for (int tries = 0; (rc = dir_remove(cg->dirs[i], 0)) == -EBUSY && tries < REMOVE_TRIES; tries++) {
			sleep_ms(pause);
			pause *= 2;
		}
		if (rc < 0)
			return error_set(err, -rc, "cannot remove cgroup %s", cg->dirs[i]);
	}
	return 0;
}
