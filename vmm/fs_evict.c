/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor budget: how the guest may know more files than the server holds descriptors for. Worker threads; the
 * guest controls how many files it remembers.
 *
 * Theory of operation. Each O_PATH descriptor pins an inode and a dentry in the host kernel, paid from the VM's
 * cgroup, so there is a budget well below what the guest can remember. Above fds_soft a clock hand goes over the
 * inode table and takes the descriptor from files that were not used since it came by last. What stays is the
 * directory where the file was found and its present name, which /proc/self/fd tells. When the file is needed
 * again, that one name is opened beneath the directory's descriptor, and it must be the same file by mount, device,
 * inode number, type and birth time; otherwise the guest gets ESTALE, upon which its kernel looks the path up anew.
 *
 * A file is evicted only if that would work right now, so unlinked files and those that moved elsewhere keep
 * their descriptor. A directory with evicted children has a user for each and so stays, which makes a restore one step.
 * (File handles would do without names, but need CAP_DAC_READ_SEARCH over the whole host, and overlayfs has none.)
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH 64u
#define SCAN 1024u /* slots looked at for one request when there is no need yet */

void fs_fd_unreserve(struct fs *fs)
{
	atomic_fetch_sub_explicit(&fs->fds, 1, memory_order_relaxed);
}

void fs_fd_close(struct fs *fs, int fd)
{
	close(fd);
	fs_fd_unreserve(fs);
}

void fs_evict_clear(struct fs *fs, struct fs_inode *i)
{
	struct fs_inode *dir;

	if (!i->name)
		return;
	free(i->name);
	i->name = NULL;
	dir = fs_pool_at(&fs->inodes, i->parent);
	fs_inode_put(fs, dir);
}

/* The last component of the path that the kernel has for a descriptor; NULL when it has none. */
static const char *present_name(int fd, char *buf, size_t size)
{
	struct fs_fdname fdname = fs_fdname(fd);
	ssize_t n = readlinkat(fs_proc_fd, fdname.s, buf, size - 1);
	const char *slash;

	if (n <= 0 || (size_t)n >= size - 1)
		return NULL;
	buf[n] = 0;
	slash = strrchr(buf, '/');
	return slash && slash[1] ? slash + 1 : NULL;
}

/* Open the file's one name beneath its directory: the same file, or ESTALE. evict_lock held; not counted. */
static int reopen(struct fs *fs, struct fs_inode *i)
{
	struct fs_inode *dir = fs_pool_at(&fs->inodes, i->parent);
	struct statx st;
	int fd;

	if (dir->fd < 0)
		return -ESTALE;
	fd = fs_open_path(dir->fd, i->name);
	if (fd < 0)
		return fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM ? fd : -ESTALE;
	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, FS_STATX_MASK, &st) || !fs_inode_is(fs, i, &st)) {
		close(fd);
		return -ESTALE;
	}
	i->fd = fd;
	return 0;
}

/* Where could the file be found again? Returns its directory (one user more) and a copy of its name, or NULL. */
static struct fs_inode *find_way_back(struct fs *fs, const struct fs_inode *i, char **name)
{
	struct fs_inode *dir = fs_pool_get(&fs->inodes, i->parent);
	char buf[PATH_MAX];
	const char *last;
	struct statx st;

	*name = NULL;
	if (!dir)
		return NULL;
	/* Its directory went first. For the price of one descriptor all its files can go. */
	if (dir->fd < 0 && dir->name && reopen(fs, dir) == 0) {
		atomic_fetch_add_explicit(&fs->fds, 1, memory_order_relaxed);
		fs_evict_clear(fs, dir);
	}
	last = present_name(i->fd, buf, sizeof(buf));
	if (last && strlen(last) <= NAME_MAX && dir->fd >= 0 && dir->share == i->share &&
	    statx(dir->fd, last, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, FS_STATX_MASK, &st) == 0 &&
	    fs_inode_is(fs, i, &st))
		*name = strdup(last);
	if (*name)
		return dir;
	fs_inode_put(fs, dir);
	return NULL;
}

/* Take the descriptor from one inode, if nobody uses it and it can be found again. evict_lock held. */
static bool evict(struct fs *fs, struct fs_inode *i, uint64_t id)
{
	struct fs_inode *dir = NULL;
	char *name = NULL;
	int fd;

	if (!life_get(&i->life, (uint32_t)(id >> 32), LIFE_LIVE))
		return false;
	/* the mark is taken away first: what is used before the hand comes again stays */
	if (i->fd >= 0 && i->share != FS_NO_SHARE && !(i->flags & FS_I_FIXED) && !atomic_exchange(&i->touched, false))
		dir = find_way_back(fs, i, &name);
	fs_inode_put(fs, i);
	if (!dir)
		return false;
	if (!life_lock(&i->life, (uint32_t)(id >> 32), LIFE_LIVE, 0)) {
		free(name);
		fs_inode_put(fs, dir);
		return false;
	}
	fd = i->fd;
	if (fd < 0) { /* its share went away */
		life_unlock(&i->life);
		free(name);
		fs_inode_put(fs, dir);
		return false;
	}
	i->name = name;
	i->fd = -1;
	life_unlock(&i->life);
	fs_fd_close(fs, fd);
	return true;
}

static unsigned int sweep(struct fs *fs, unsigned int n, uint32_t scan)
{
	uint32_t end = fs_pool_end(&fs->inodes);
	unsigned int done = 0;

	if (end == 0)
		return 0;
	pthread_mutex_lock(&fs->evict_lock);
	for (; scan && done < n; scan--) {
		uint32_t index = fs->evict_hand++ % end;
		struct fs_inode *i = fs_pool_at(&fs->inodes, index);
		uint64_t l = i ? atomic_load(&i->life) : 0;

		if (!(l & LIFE_LIVE) || (l & (LIFE_BUSY | LIFE_USERS)))
			continue;
		done += evict(fs, i, life_id(l, index));
	}
	pthread_mutex_unlock(&fs->evict_lock);
	atomic_fetch_add_explicit(&fs->evictions, done, memory_order_relaxed);
	return done;
}

bool fs_evict(struct fs *fs, unsigned int n)
{
	/* twice round: the first may only clear the marks */
	return sweep(fs, n, 2 * fs_pool_end(&fs->inodes)) > 0;
}

int fs_fd_reserve(struct fs *fs)
{
	uint32_t n = atomic_fetch_add_explicit(&fs->fds, 1, memory_order_relaxed) + 1;

	if (n > fs->fds_soft && n % (BATCH / 2) == 0)
		sweep(fs, BATCH, SCAN);
	if (n <= fs->fds_max)
		return 0;
	fs_evict(fs, BATCH);
	if (atomic_load_explicit(&fs->fds, memory_order_relaxed) <= fs->fds_max)
		return 0;
	fs_fd_unreserve(fs);
	return -ENFILE;
}

int fs_inode_restore(struct fs *fs, struct fs_inode *i)
{
	int err = fs_fd_reserve(fs);
	bool spare = true;

	if (err)
		return err;
	pthread_mutex_lock(&fs->evict_lock);
	if (i->fd < 0)
		err = i->name ? reopen(fs, i) : -ESTALE;
	if (err == 0 && i->name) {
		spare = false;
		fs_evict_clear(fs, i);
	}
	pthread_mutex_unlock(&fs->evict_lock);
	if (spare)
		fs_fd_unreserve(fs);
	return err;
}

void fs_inode_moved(struct fs *fs, struct fs_inode *i, const struct fs_inode *dir)
{
	pthread_mutex_lock(&fs->evict_lock);
	if (!i->name)
		i->parent = dir->id;
	pthread_mutex_unlock(&fs->evict_lock);
}
