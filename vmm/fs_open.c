/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing files. Worker threads; the guest controls flags, modes and names.
 *
 * The descriptor of the host has the access mode and nothing else of what the guest's file has: O_APPEND, O_SYNC
 * and O_DSYNC come with each write (fs_io.c), because a guest may change them, and because its dirty pages are
 * written through any descriptor of the file at their own offset. O_DIRECT means that the guest bypasses its page
 * cache; it does not bypass the host's.
 *
 * FUSE drops the guest's pages of a file at each open, unless told that they are still good. They are, when the file's
 * size and times are what they were at an open that dropped them, and were old then: had anybody written since, even
 * within one tick of the host's clock, the times would differ.
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

#define OLD_S 1 /* far above any file system's or clock's granularity */
#define CREATE_TRIES 4

static uint64_t stamp_of(const struct statx *st)
{
	uint64_t h = st->stx_size;

	h = (h ^ (uint64_t)st->stx_mtime.tv_sec) * 0x9e3779b97f4a7c15ull;
	h = (h ^ st->stx_mtime.tv_nsec ^ (h >> 32)) * 0x9e3779b97f4a7c15ull;
	h = (h ^ (uint64_t)st->stx_ctime.tv_sec ^ (h >> 32)) * 0x9e3779b97f4a7c15ull;
	h = (h ^ st->stx_ctime.tv_nsec ^ (h >> 32)) * 0x9e3779b97f4a7c15ull;
	return h | 1; /* 0 means none */
}

/* FOPEN_* of a regular file that the guest opens. */
static uint32_t cache_flags(struct fs *fs, struct fs_inode *i)
{
	struct timespec now;
	struct statx st;
	uint64_t stamp;

	if (i->flags & FS_I_PSEUDO)
		return FOPEN_DIRECT_IO; /* their size is 0, which page cache reads would believe */
	if (fs_share_private(fs, fs_share_of(fs, i)))
		return FOPEN_KEEP_CACHE;
	if (fs_inode_statx(i, &st))
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	stamp = now.tv_sec - OLD_S > st.stx_ctime.tv_sec && now.tv_sec - OLD_S > st.stx_mtime.tv_sec ? stamp_of(&st)
												     : 0;
	if (stamp && atomic_load(&i->stamp) == stamp)
		return FOPEN_KEEP_CACHE;
	atomic_store(&i->stamp, stamp);
	return 0;
}

/* Flags for the host's open() from the guest's. 0 or -errno. */
static int host_flags(const struct fs *fs, const struct fs_share *s, const struct fs_inode *i, uint32_t guest,
		      int *flags)
{
	int mode = (int)guest & O_ACCMODE;

	if (mode == O_ACCMODE)
		return -EINVAL;
	if ((mode != O_RDONLY || (guest & O_TRUNC)) && ((s->flags & CTL_SHARE_RO) || (i->flags & FS_I_PSEUDO)))
		return -EROFS;
	/* to write a part of a page, a write-back cache reads the rest */
	if (mode == O_WRONLY && fs->writeback)
		mode = O_RDWR;
	*flags = mode | ((int)guest & (O_TRUNC | O_NOATIME));
	return 0;
}

static uint16_t handle_flags(int flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return FS_H_READ;
	case O_WRONLY:
		return FS_H_WRITE;
	default:
		return FS_H_READ | FS_H_WRITE;
	}
}

/* Open a regular file that is known, and describe it in *out. */
static int open_known(struct fs_req *r, struct fs_inode *i, uint32_t guest_flags, bool kill, struct fuse_open_out *out)
{
	int flags, fd, err = host_flags(r->fs, r->share, i, guest_flags, &flags);

	if (err)
		return err;
	if (i->type == S_IFDIR)
		return -EISDIR;
	if (kill)
		fs_cred_fsetid(r->w, false);
	fd = fs_inode_open(r->fs, i, flags);
	if (kill)
		fs_cred_fsetid(r->w, true);
	if (fd < 0)
		return fd;
	err = fs_handle_new(r->fs, i, fd, handle_flags(flags), &out->fh);
	if (err)
		return err;
	out->open_flags = cache_flags(r->fs, i);
	return 0;
}

int fs_op_open(struct fs_req *r)
{
	const struct fuse_open_in *in = (const void *)r->arg;
	/* a replay is for the events that it makes in the guest */
	uint32_t flags = fs_is_replay(r) ? in->flags & ~(uint32_t)(O_ACCMODE | O_TRUNC) : in->flags;

	return open_known(r, r->node, flags, in->open_flags & FUSE_OPEN_KILL_SUIDGID,
			  fs_req_out(r, sizeof(struct fuse_open_out)));
}

/* Reply of CREATE and TMPFILE. */
struct create_out {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

/* Make what fd (counted, consumed) has open known to the guest. */
static int reply_created(struct fs_req *r, int fd, int flags, struct create_out *out)
{
	struct fs_fdname name = fs_fdname(fd);
	struct fs_inode *i;
	struct statx st;
	int path, err = fs_fd_reserve(r->fs);

	if (err)
		goto fail;
	path = fs_openat2(fs_proc_fd, name.s, O_PATH | O_CLOEXEC, 0);
	if (path < 0) {
		err = -errno;
		fs_fd_unreserve(r->fs);
		goto fail;
	}
	err = fs_inode_adopt(r->fs, r->node->share, r->node, path, &i, &st);
	if (err)
		goto fail;
	err = fs_handle_new(r->fs, i, fd, handle_flags(flags), &out->open.fh);
	fs_entry_fill(r->fs, r->node, i, &st, &out->entry);
	if (err)
		fs_inode_forget(r->fs, i->id, 1); /* the guest won't hear of it */
	fs_inode_put(r->fs, i);
	return err;
fail:
	fs_fd_close(r->fs, fd);
	return err;
}

/* A new regular file, or -EEXIST. Counted. */
static int create(struct fs_req *r, const char *name, int flags, uint32_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)((flags & ~O_TRUNC) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY),
		.mode = mode & 07777,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	int fd = fs_fd_reserve(r->fs);

	if (fd)
		return fd;
	fd = (int)syscall(SYS_openat2, r->node->fd, name, &how, sizeof(how));
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && fs_evict(r->fs, 64))
		fd = (int)syscall(SYS_openat2, r->node->fd, name, &how, sizeof(how));
	if (fd < 0) {
		fd = -errno;
		fs_fd_unreserve(r->fs);
	}
	return fd;
}

/* Somebody else has made the file since the guest looked. */
static int open_existing(struct fs_req *r, const char *name, const struct fuse_create_in *in, struct create_out *out)
{
	struct fs_inode *i;
	struct statx st;
	int err = fs_inode_lookup(r->fs, r->node, name, &i, &st);

	if (err)
		return err;
	if (i->fd < 0)
		err = fs_inode_restore(r->fs, i);
	/* the guest would follow a link: it shall walk the path once more and see it */
	if (err == 0 && i->type == S_IFLNK)
		err = -ESTALE;
	if (err == 0)
		err = open_known(r, i, in->flags, in->open_flags & FUSE_OPEN_KILL_SUIDGID, &out->open);
	if (err == 0) {
		/* the open may have truncated it; should this fail, the state from before is the best there is */
		fs_inode_statx(i, &st);
		fs_entry_fill(r->fs, r->node, i, &st, &out->entry);
	} else {
		fs_inode_forget(r->fs, i->id, 1);
	}
	fs_inode_put(r->fs, i);
	return err;
}

int fs_op_create(struct fs_req *r)
{
	const struct fuse_create_in *in = (const void *)r->arg;
	struct create_out *out = fs_req_out(r, sizeof(*out));
	const char *name;
	int flags, err = 0;

	r->argpos = sizeof(*in);
	name = fs_req_name(r, &err);
	if (!name)
		return err;
	err = host_flags(r->fs, r->share, r->node, in->flags, &flags);
	if (err == 0)
		err = fs_cred_take(r->w, &r->h, in->umask);
	for (int t = 0; err == 0 && t < CREATE_TRIES; t++) {
		int fd = create(r, name, flags, in->mode);

		if (fd >= 0)
			return reply_created(r, fd, flags, out);
		if (fd != -EEXIST || (in->flags & O_EXCL))
			return fd;
		fd = open_existing(r, name, in, out);
		if (fd != -ENOENT)
			return fd;
		/* and gone again */
	}
	return err ? err : -ESTALE;
}

int fs_op_tmpfile(struct fs_req *r)
{
	const struct fuse_create_in *in = (const void *)r->arg;
	struct create_out *out = fs_req_out(r, sizeof(*out));
	int flags, fd, err = host_flags(r->fs, r->share, r->node, in->flags, &flags);

	if (err == 0 && r->node->type != S_IFDIR)
		err = -ENOTDIR;
	if (err == 0)
		err = fs_cred_take(r->w, &r->h, in->umask);
	if (err == 0)
		err = fs_fd_reserve(r->fs);
	if (err)
		return err;
	flags &= ~O_TRUNC;
	fd = fs_openat2(r->node->fd, ".", (unsigned int)(flags | O_TMPFILE | O_CLOEXEC) | (in->flags & O_EXCL),
			in->mode & 07777);
	if (fd < 0) {
		err = -errno;
		fs_fd_unreserve(r->fs);
		return err;
	}
	return reply_created(r, fd, flags, out);
}

int fs_op_release(struct fs_req *r)
{
	const struct fuse_release_in *in = (const void *)r->arg;
	struct fs_handle *h = fs_pool_get(&r->fs->handles, in->fh);

	if (!h)
		return -EBADF;
	if (h->fd >= 0)
		fs_locks_released(r->fs, h->inode, in->fh);
	fs_handle_release(r->fs, in->fh);
	fs_handle_put(r->fs, h);
	/* a flock() may have gone with it */
	if (atomic_load_explicit(&r->fs->nwaiters, memory_order_relaxed))
		fs_locks_retry(r->fs);
	return 0;
}

/* close() of one descriptor in the guest. */
int fs_op_flush(struct fs_req *r)
{
	const struct fuse_flush_in *in = (const void *)r->arg;
	struct fs_handle *h;
	int fd, err;

	/* Locks are the guest's own: it needs not tell. */
	if (r->fs->private)
		return -ENOSYS;
	err = fs_handle_get(r->fs, r->node, in->fh, 0, &h);
	if (err)
		return err;
	if (atomic_load_explicit(&r->node->locked, memory_order_relaxed))
		fs_locks_flush(r->fs, r->node, in->lock_owner);
	/* Network file systems tell a failed write at close. */
	if (h->flags & FS_H_WRITE) {
		fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0 && close(fd) && errno != EINTR)
			err = -errno;
	}
	fs_handle_put(r->fs, h);
	return err;
}
