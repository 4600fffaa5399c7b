/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares, and the synthetic root whose children they are. The control thread adds and deletes, workers look up; names
 * and flags come from the host, the guest only names them.
 *
 * The root exists in no file system of the host: a share that is a single file shows that file and nothing around it.
 * Deleting a share is a sweep: mark it dead, so that no request gets in any more; close what lies idle in the tables;
 * and repeat until the requests that were under way have given back the rest. Whatever holds a descriptor into a
 * share is counted in its `users`.
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

#define DEL_TIMEOUT_MS 5000

/* not in every <linux/magic.h> */
#define CONFIGFS_TYPE 0x62656570
#define FUSECTL_TYPE 0x65735543
#define MQUEUE_TYPE 0x19800202
#define RDT_TYPE 0x7655821

struct fs_share *fs_share_of(struct fs *fs, const struct fs_inode *i)
{
	return &fs->share[i->share];
}

uint16_t fs_share_pseudo(int fd)
{
	struct statfs sf;

	if (fstatfs(fd, &sf))
		return 0;
	switch ((unsigned long)sf.f_type) {
	case PROC_SUPER_MAGIC:
		return FS_I_PSEUDO | FS_I_PROC;
	case SYSFS_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case BPF_FS_MAGIC:
	case PSTOREFS_MAGIC:
	case EFIVARFS_MAGIC:
	case SELINUX_MAGIC:
	case SMACK_MAGIC:
	case BINFMTFS_MAGIC:
	case NSFS_MAGIC:
	case CONFIGFS_TYPE:
	case FUSECTL_TYPE:
	case MQUEUE_TYPE:
	case RDT_TYPE:
		return FS_I_PSEUDO;
	default:
		return 0;
	}
}

static bool name_ok(const char *name)
{
	size_t len = strnlen(name, NAME_MAX + 1);

	return len > 0 && len <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* share_lock held */
static struct fs_share *by_name(struct fs *fs, const char *name)
{
	for (unsigned int n = 0; n < FS_SHARES_MAX; n++) {
		struct fs_share *s = &fs->share[n];

		if (s->used && !s->dead && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

/* A slot that is free, or whose deleted share has lost its last user meanwhile. share_lock held. */
static struct fs_share *free_slot(struct fs *fs)
{
	for (unsigned int n = 0; n < FS_SHARES_MAX; n++) {
		struct fs_share *s = &fs->share[n];

		if (!s->used || (s->dead && s->fd < 0 && s->users == 0))
			return s;
	}
	return NULL;
}

static int add_locked(struct fs *fs, const char *name, int fd, unsigned int flags)
{
	struct fs_share *s;
	struct statx st;

	if (!name_ok(name) || (flags & ~(CTL_SHARE_RO | CTL_SHARE_PRIVATE | CTL_SHARE_DAX)) ||
	    (flags & (CTL_SHARE_RO | CTL_SHARE_DAX)) == CTL_SHARE_DAX)
		return -EINVAL;
	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, FS_STATX_MASK, &st))
		return -errno;
	if (S_ISLNK(st.stx_mode))
		return -ELOOP;
	if (by_name(fs, name))
		return -EEXIST;
	s = free_slot(fs);
	if (!s)
		return -ENOSPC;
	strcpy(s->name, name);
	s->fd = fd;
	s->flags = flags;
	s->type = st.stx_mode & (uint32_t)S_IFMT;
	s->ino = st.stx_ino;
	s->pseudo = fs_share_pseudo(fd);
	s->users = 0;
	s->dead = false;
	s->used = true;
	return 0;
}

int fs_add_share(struct virtio_dev *d, const char *name, int fd, unsigned int flags)
{
	struct fs *fs = (struct fs *)d;
	int err;

	pthread_mutex_lock(&fs->share_lock);
	err = add_locked(fs, name, fd, flags);
	pthread_mutex_unlock(&fs->share_lock);
	if (err)
		close(fd);
	return err;
}

int fs_del_share(struct virtio_dev *d, const char *name)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	struct fs *fs = (struct fs *)d;
	struct fs_share *s;
	uint16_t n;
	int fd;

	pthread_mutex_lock(&fs->share_lock);
	s = by_name(fs, name);
	if (s)
		s->dead = true;
	pthread_mutex_unlock(&fs->share_lock);
	if (!s)
		return -ENOENT;
	n = (uint16_t)(s - fs->share);

	for (int t = 0;; t++) {
		fs_locks_drop(fs, n);
		fs_handles_kill(fs, n);
		fs_dax_drop(fs, n);
		fs_inodes_kill(fs, n);
		if (s->users == 0 || t == DEL_TIMEOUT_MS)
			break;
		nanosleep(&ms, NULL);
	}
	pthread_mutex_lock(&fs->share_lock);
	fd = s->fd;
	s->fd = -1;
	pthread_mutex_unlock(&fs->share_lock);
	close(fd);
	return s->users ? -EBUSY : 0;
}

int fs_share_lookup(struct fs *fs, const char *name, struct fs_inode **i, struct statx *st)
{
	struct fs_share *s;
	int fd = -1, err = fs_fd_reserve(fs);

	if (err)
		return err;
	pthread_mutex_lock(&fs->share_lock);
	s = by_name(fs, name);
	if (s) {
		fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
		err = -errno;
		s->users++; /* until the inode counts: the slot must not become another share's */
	} else {
		err = -ENOENT;
	}
	pthread_mutex_unlock(&fs->share_lock);
	if (fd < 0)
		fs_fd_unreserve(fs);
	else
		err = fs_inode_adopt(fs, (uint16_t)(s - fs->share), NULL, fd, i, st);
	if (s)
		s->users--;
	return err;
}

bool fs_share_next(struct fs *fs, uint64_t *at, char name[NAME_MAX + 1], uint64_t *ino, uint32_t *type)
{
	bool found = false;

	pthread_mutex_lock(&fs->share_lock);
	for (; *at < FS_SHARES_MAX && !found; ++*at) {
		const struct fs_share *s = &fs->share[*at];

		found = s->used && !s->dead;
		if (found) {
			strcpy(name, s->name);
			*ino = s->ino;
			*type = s->type;
		}
	}
	pthread_mutex_unlock(&fs->share_lock);
	return found;
}
