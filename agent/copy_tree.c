/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a directory tree of the image onto a fresh tmpfs (mount option tmpcopyup). Runs in the
 * container's child. The image controls depth, names and file types: symbolic links are copied as
 * such and never followed, the depth has a limit, and the tmpfs's own size limits the bytes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "path.h"
#include "util.h"

#define DEPTH_MAX 128

static int copy_xattrs(int from, int to)
{
	char names[8192], value[8192];
	ssize_t len = flistxattr(from, names, sizeof(names));

	for (char *n = names; len > 0 && n < names + len; n += strlen(n) + 1) {
		ssize_t size = fgetxattr(from, n, value, sizeof(value));

		/*
		 * what a tmpfs cannot hold (trusted.* of an overlay, user.* before 6.6) is left
		 * behind
		 */
		if (size >= 0 && fsetxattr(to, n, value, (size_t)size, 0) && errno != EOPNOTSUPP && errno != EPERM)
			return -errno;
	}
	return 0;
}

/* Owner first: chown clears the set-id bits that chmod then restores. */
static int copy_metadata(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r;

	if (fchown(to, st->st_uid, st->st_gid) || fchmod(to, st->st_mode & 07777))
		return -errno;
	r = copy_xattrs(from, to);
	if (r == 0 && futimens(to, times))
		r = -errno;
	return r;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int to, r = 0;
	ssize_t n;

	if (from < 0)
		return -errno;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0) {
		r = -errno;
	} else {
		do {
			n = sendfile(to, from, NULL, 1u << 20);
		} while (n > 0 || (n < 0 && errno == EINTR));
		r = n < 0 ? -errno : copy_metadata(from, to, st);
		close(to);
	}
	close(from);
	return r;
}

static int copy_other(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	char link[4096];
	ssize_t n;

	if (!S_ISLNK(st->st_mode)) {
		if (mknodat(to_dir, name, st->st_mode, st->st_rdev) || fchmodat(to_dir, name, st->st_mode & 07777, 0))
			return -errno;
	} else {
		n = readlinkat(from_dir, name, link, sizeof(link) - 1);
		if (n < 0)
			return -errno;
		link[n] = '\0';
		if (symlinkat(link, to_dir, name))
			return -errno;
	}
	return fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int copy_dir(int from, int to, int depth);

static int copy_subdir(int from_dir, int to_dir, const char *name, const struct stat *st, int depth)
{
	int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int to = -1, r = from < 0 ? -errno : 0;

	if (r == 0 && mkdirat(to_dir, name, 0700))
		r = -errno;
	if (r == 0) {
		to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = to < 0 ? -errno : copy_dir(from, to, depth + 1);
	}
	if (r == 0)
		r = copy_metadata(from, to, st);
	fd_close(&from);
	fd_close(&to);
	return r;
}

static int copy_entry(int from, int to, const char *name, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return copy_subdir(from, to, name, &st, depth);
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, name, &st);
	return copy_other(from, to, name, &st);
}

static int copy_dir(int from, int to, int depth)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	if (depth > DEPTH_MAX)
		r = -ELOOP;
	while (r == 0 && (errno = 0, e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = copy_entry(from, to, e->d_name, depth);
	if (r == 0 && errno)
		r = -errno;
	closedir(d);
	return r;
}

int path_copy_tree(int from, int to)
{
	struct stat st;
	int r;

	if (fstat(from, &st))
		return -errno;
	r = copy_dir(from, to, 0);
	return r ? r : copy_metadata(from, to, &st);
}
