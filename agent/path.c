/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths inside a container's root; runs in the container's child, before the process exists. The
 * image controls every name, link and file type; a further container of the pod may change them
 * meanwhile.
 */
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys.h"
#include "util.h"

#define LINKS_MAX 40 /* as the kernel's own limit */
#define RACES_MAX 64 /* EAGAIN of openat2: a rename happened under a ".." */

static int resolve(int root, const char *path, int flags, uint64_t how)
{
	int fd = -EAGAIN;

	for (int i = 0; fd == -EAGAIN && i < RACES_MAX; i++)
		fd = sys_openat2(root, path, flags | O_CLOEXEC, 0, how | SYS_RESOLVE_IN_ROOT);
	return fd;
}

int path_open(int root, const char *path, int flags)
{
	return resolve(root, path, flags, 0);
}

/* `path` with the link at [start, end) replaced by where it points to, malloc'ed. */
static char *replace_link(int dir, const char *name, const char *path, size_t start, size_t end)
{
	char link[4096], *out = NULL;
	ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);

	if (n <= 0)
		return NULL;
	link[n] = '\0';
	if (asprintf(&out, "%.*s%s%s", link[0] == '/' ? 0 : (int)start, path, link, path + end) < 0)
		return NULL;
	return out;
}

static int make_one(int dir, const char *name, enum path_kind kind, mode_t mode)
{
	int fd;

	if (kind == PATH_DIR)
		return mkdirat(dir, name, mode) ? -errno : 0;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/*
 * Walk down from the root and make what is missing. `dir` always holds what the path up to `start`
 * resolved to, so a new name is made in the directory that was found, not in one found again. A
 * dangling link is replaced by its target in *path and the walk begins anew: returns -ERESTART
 * then.
 */
static int make_walk(int root, char **path, enum path_kind kind, mode_t mode)
{
	char *p = *path;
	size_t start = 0, end;
	int dir = path_open(root, "/", O_PATH), fd, r;

	while (dir >= 0) {
		char name[PATH_NAME_MAX], keep;
		bool last;

		start += strspn(p + start, "/");
		if (!p[start])
			return dir;
		end = start + strcspn(p + start, "/");
		last = !p[end + strspn(p + end, "/")];
		if (end - start >= sizeof(name)) {
			close(dir);
			return -ENAMETOOLONG;
		}
		memcpy(name, p + start, end - start);
		name[end - start] = '\0';

		keep = p[end];
		p[end] = '\0';
		fd = path_open(root, p, O_PATH);
		if (fd == -ENOENT) {
			r = make_one(dir, name, last ? kind : PATH_DIR, last ? mode : 0755);
			fd = r == 0 ? path_open(root, p, O_PATH) : r;
		}
		p[end] = keep;
		if (fd == -EEXIST) { /* there, but leads nowhere */
			char *target = replace_link(dir, name, p, start, end);

			close(dir);
			if (target) {
				free(p);
				*path = target;
			} /* else somebody else has just made it */
			return -ERESTART;
		}
		close(dir);
		dir = fd;
		start = end;
	}
	return dir;
}

int path_make(int root, const char *path, enum path_kind kind, mode_t mode)
{
	int fd = path_open(root, path, O_PATH);
	char *p;

	if (fd != -ENOENT || !*path)
		return fd;
	p = strdup(path);
	if (!p)
		return -ENOMEM;
	fd = -ERESTART;
	for (int i = 0; fd == -ERESTART && i < LINKS_MAX; i++)
		fd = make_walk(root, &p, kind, mode);
	free(p);
	return fd == -ERESTART ? -ELOOP : fd;
}

int path_make_nolinks(int root, const char *path)
{
	int fd = resolve(root, path, O_PATH, SYS_RESOLVE_NO_SYMLINKS);

	if (fd != -ENOENT)
		return fd;
	fd = path_make(root, path, PATH_DIR, 0755);
	if (fd < 0)
		return fd;
	close(fd);
	return resolve(root, path, O_PATH, SYS_RESOLVE_NO_SYMLINKS);
}

int path_parent(int root, const char *path, char name[PATH_NAME_MAX])
{
	size_t end = strlen(path), start, n;
	char *dir;
	int fd;

	while (end && path[end - 1] == '/')
		end--;
	start = end;
	while (start && path[start - 1] != '/')
		start--;
	n = end - start;
	if (n >= PATH_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path + start, n);
	name[n] = '\0';
	if (!n || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	dir = strndup(path, start);
	if (!dir)
		return -ENOMEM;
	fd = path_make(root, start ? dir : "/", PATH_DIR, 0755);
	free(dir);
	return fd;
}
