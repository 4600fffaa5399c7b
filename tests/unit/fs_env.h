/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the file server begin with: a temporary directory of the host, shared as "vol" by a device that has
 * been initialised, and its nodeid. env_close() checks that nothing was left open.
 */
#ifndef HUSK_TESTS_FS_ENV_H
#define HUSK_TESTS_FS_ENV_H

#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "tests/unit/fuse_client.h"
#include "tests/unit/unit.h"

#ifndef FS_ENV_DIR
#define FS_ENV_DIR "/tmp"
#endif

struct env {
	struct fc c;
	char dir[64]; /* the share, on the host */
	uint64_t vol; /* its nodeid */
	int fds;      /* open descriptors before */
};

static inline int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static inline int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* dir/name of the host. */
static inline const char *host(const struct env *e, const char *name)
{
	static char buf[4][512];
	static int n;

	n = (n + 1) % 4;
	snprintf(buf[n], sizeof(buf[n]), "%s/%s", e->dir, name);
	return buf[n];
}

static inline struct stat host_stat(const struct env *e, const char *name)
{
	struct stat st = { 0 };

	CHECK_EQ(lstat(host(e, name), &st), 0);
	return st;
}

static inline void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		UNIT_FAIL("cannot write %s", path);
	close(fd);
}

static inline uint64_t share(struct env *e, const char *path, const char *name, unsigned int flags)
{
	struct fuse_entry_out out;
	int fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fs_add_share(e->c.d, name, fd, flags) || fc_lookup(&e->c, FUSE_ROOT_ID, name, &out) < 0)
		return 0;
	return out.nodeid;
}

static inline bool env_open_with(struct env *e, unsigned int flags, bool private_device)
{
	memset(e, 0, sizeof(*e));
	umask(0);
	fs_prepare();
	e->fds = count_fds();
	strcpy(e->dir, FS_ENV_DIR "/husk-fs-XXXXXX");
	if (!mkdtemp(e->dir) || !fc_open(&e->c, 2))
		return false;
	if (private_device)
		fs_set_private(e->c.d, "husk-private");
	if (fc_start(&e->c) || fc_init(&e->c) < 0)
		return false;
	e->vol = share(e, e->dir, "vol", flags);
	return e->vol != 0;
}

static inline bool env_open(struct env *e, unsigned int flags)
{
	return env_open_with(e, flags, false);
}

static inline void env_close(struct env *e)
{
	fc_close(&e->c);
	CHECK_EQ(count_fds(), e->fds);
	nftw(e->dir, rm_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* nodeid of a path within the share: components with one slash between; 0 when one isn't there. */
static inline uint64_t walk(struct env *e, const char *path)
{
	char buf[1024], *save = NULL;
	struct fuse_entry_out out;
	uint64_t node = e->vol;

	snprintf(buf, sizeof(buf), "%s", path);
	for (char *p = strtok_r(buf, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
		if (fc_lookup(&e->c, node, p, &out) < 0 || out.nodeid == 0)
			return 0;
		node = out.nodeid;
	}
	return node;
}

#endif
