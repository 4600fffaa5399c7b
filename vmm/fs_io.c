/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File data: READ, WRITE, FALLOCATE, LSEEK, COPY_FILE_RANGE, FSYNC, SYNCFS, and the few ioctls that files have. Worker
 * threads; the guest controls offsets, lengths, data, and changes the data while we write it, which harms itself only.
 *
 * No byte is copied here: preadv2() and pwritev2() go between the file and the guest's pages.
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent/plan.h"
#include "control.h"

/* The part [off, off + len) of n elements, as few elements as it can be; returns their number, *got their bytes. */
static unsigned int slice(const struct iovec *in, unsigned int n, size_t off, size_t len, struct iovec *out,
			  size_t *got)
{
	unsigned int used = 0;

	*got = 0;
	for (unsigned int k = 0; k < n && *got < len; k++) {
		uint8_t *p = in[k].iov_base;
		size_t part = in[k].iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		p += off;
		part -= off;
		off = 0;
		if (part > len - *got)
			part = len - *got;
		/* neighbours in the guest's memory are neighbours here, mostly */
		if (used && (uint8_t *)out[used - 1].iov_base + out[used - 1].iov_len == p)
			out[used - 1].iov_len += part;
		else
			out[used++] = (struct iovec){ .iov_base = p, .iov_len = part };
		*got += part;
	}
	return used;
}

int fs_op_read(struct fs_req *r)
{
	const struct fuse_read_in *in = (const void *)r->arg;
	struct fs_worker *w = r->w;
	struct fs_handle *h;
	unsigned int n;
	size_t len = in->size < FS_WRITE_MAX ? in->size : FS_WRITE_MAX;
	ssize_t done;
	int err = fs_handle_get(r->fs, r->node, in->fh, FS_H_READ, &h);

	if (err)
		return err;
	n = slice(r->c->iov + r->c->nread, r->c->nwrite, sizeof(struct fuse_out_header), len, w->iov, &len);
	done = in->offset > INT64_MAX ? (errno = EINVAL, -1) : preadv2(h->fd, w->iov, (int)n, (off_t)in->offset, 0);
	err = done < 0 ? -errno : 0;
	fs_handle_put(r->fs, h);
	if (err)
		return err;
	r->direct = true;
	r->outlen = (size_t)done;
	atomic_store_explicit(&w->read_bytes, w->read_bytes + (size_t)done, memory_order_relaxed);
	return 0;
}

/* RWF_* for a write through a file that the guest opened with these O_* flags. */
static int write_flags(const struct fuse_write_in *in)
{
	int flags = 0;

	/* dirty pages have their own place, whichever file they are written through */
	if (in->write_flags & FUSE_WRITE_CACHE)
		return 0;
	if (in->flags & O_APPEND)
		flags |= RWF_APPEND;
	if ((in->flags & O_SYNC) == O_SYNC)
		flags |= RWF_SYNC;
	else if (in->flags & O_DSYNC)
		flags |= RWF_DSYNC;
	return flags;
}

int fs_op_write(struct fs_req *r)
{
	const struct fuse_write_in *in = (const void *)r->arg;
	const size_t head = sizeof(r->h) + sizeof(*in);
	struct fs_worker *w = r->w;
	bool kill = in->write_flags & FUSE_WRITE_KILL_SUIDGID;
	struct fs_handle *h;
	unsigned int n;
	size_t len;
	ssize_t done;
	int err;

	if (in->size > FS_WRITE_MAX || in->size > r->h.len - head || in->offset > INT64_MAX)
		return -EINVAL;
	err = fs_handle_get(r->fs, r->node, in->fh, FS_H_WRITE, &h);
	if (err)
		return err;
	n = slice(r->c->iov, r->c->nread, head, in->size, w->iov, &len);
	if (kill)
		fs_cred_fsetid(w, false);
	done = pwritev2(h->fd, w->iov, (int)n, (off_t)in->offset, write_flags(in));
	err = done < 0 ? -errno : 0;
	if (kill)
		fs_cred_fsetid(w, true);
	fs_handle_put(r->fs, h);
	if (err)
		return err;
	((struct fuse_write_out *)fs_req_out(r, sizeof(struct fuse_write_out)))->size = (uint32_t)done;
	atomic_store_explicit(&w->written_bytes, w->written_bytes + (size_t)done, memory_order_relaxed);
	return 0;
}

static int sync_handle(struct fs_req *r, uint64_t fh, bool data, uint16_t need)
{
	struct fs_handle *h;
	int err = fs_handle_get(r->fs, r->node, fh, need, &h);

	if (err)
		return err;
	if (data ? fdatasync(h->fd) : fsync(h->fd))
		err = -errno;
	fs_handle_put(r->fs, h);
	return err;
}

int fs_op_fsync(struct fs_req *r)
{
	const struct fuse_fsync_in *in = (const void *)r->arg;

	return sync_handle(r, in->fh, in->fsync_flags & FUSE_FSYNC_FDATASYNC, 0);
}

int fs_op_fsyncdir(struct fs_req *r)
{
	const struct fuse_fsync_in *in = (const void *)r->arg;

	return r->node ? sync_handle(r, in->fh, in->fsync_flags & FUSE_FSYNC_FDATASYNC, FS_H_DIR) : 0;
}

/* Everything of one share on disk; r->node or its share's root. */
static int sync_node(struct fs_req *r, const struct fs_inode *i)
{
	int fd = fs_inode_open(r->fs, i, O_RDONLY), err = 0;

	if (fd < 0)
		return fd;
	if (syncfs(fd))
		err = -errno;
	fs_fd_close(r->fs, fd);
	return err;
}

/* All shares are one file system to the guest: each of the host's that may be written is synced once. */
static int sync_shares(struct fs_req *r)
{
	char name[NAME_MAX + 1];
	uint64_t at = 0, ino, done[FS_DOMAINS];
	unsigned int ndone = 0;
	struct fs_inode *i;
	struct statx st;
	uint32_t type;
	int err = 0;

	while (fs_share_next(r->fs, &at, name, &ino, &type)) {
		bool again = false;
		int e;

		if ((type != S_IFDIR && type != S_IFREG) || fs_share_lookup(r->fs, name, &i, &st))
			continue;
		for (unsigned int k = 0; k < ndone && !again; k++)
			again = done[k] == i->dev;
		if (!again && !(fs_share_of(r->fs, i)->flags & CTL_SHARE_RO) && !(i->flags & FS_I_PSEUDO)) {
			e = sync_node(r, i);
			err = err ? err : e;
			if (ndone < FS_DOMAINS)
				done[ndone++] = i->dev;
		}
		fs_inode_forget(r->fs, i->id, 1);
		fs_inode_put(r->fs, i);
	}
	return err;
}

int fs_op_syncfs(struct fs_req *r)
{
	/* the agent: that the guest has written its pages, which is before this comes, is enough */
	if (r->h.uid == PLAN_FLUSH_UID)
		return 0;
	if (!r->node)
		return sync_shares(r);
	return r->share->flags & CTL_SHARE_RO ? 0 : sync_node(r, r->node);
}

int fs_op_fallocate(struct fs_req *r)
{
	const struct fuse_fallocate_in *in = (const void *)r->arg;
	const uint32_t known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE |
			       FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE;
	struct fs_handle *h;
	int err;

	if (in->mode & ~known)
		return -EOPNOTSUPP;
	if (in->offset > INT64_MAX || in->length > INT64_MAX)
		return -EINVAL;
	err = fs_handle_get(r->fs, r->node, in->fh, FS_H_WRITE, &h);
	if (err)
		return err;
	if (fallocate(h->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length))
		err = -errno;
	fs_handle_put(r->fs, h);
	return err;
}

int fs_op_lseek(struct fs_req *r)
{
	const struct fuse_lseek_in *in = (const void *)r->arg;
	struct fuse_lseek_out *out = fs_req_out(r, sizeof(*out));
	struct fs_handle *h;
	off_t at;
	int err;

	/* the other kinds the guest does alone */
	if ((in->whence != SEEK_DATA && in->whence != SEEK_HOLE) || in->offset > INT64_MAX)
		return -EINVAL;
	err = fs_handle_get(r->fs, r->node, in->fh, 0, &h);
	if (err)
		return err;
	if (h->flags & FS_H_DIR) {
		err = -EINVAL;
	} else {
		/* nothing else uses the descriptor's own position */
		at = lseek(h->fd, (off_t)in->offset, (int)in->whence);
		if (at < 0)
			err = -errno;
		out->offset = (uint64_t)at;
	}
	fs_handle_put(r->fs, h);
	return err;
}

/* Both files are known and pinned. */
static ssize_t copy_range(struct fs_req *r, struct fs_inode *to, const struct fuse_copy_file_range_in *in)
{
	/* the answer has 32 bits; what is left the caller asks for again */
	size_t len = in->len < (1u << 30) ? in->len : (1u << 30);
	off_t from_off = (off_t)in->off_in, to_off = (off_t)in->off_out;
	struct fs_handle *src, *dst;
	ssize_t n = fs_handle_get(r->fs, r->node, in->fh_in, FS_H_READ, &src);

	if (n)
		return n;
	n = fs_handle_get(r->fs, to, in->fh_out, FS_H_WRITE, &dst);
	if (n == 0) {
		n = copy_file_range(src->fd, &from_off, dst->fd, &to_off, len, 0);
		if (n < 0)
			n = -errno;
		fs_handle_put(r->fs, dst);
	}
	fs_handle_put(r->fs, src);
	return n;
}

int fs_op_copy(struct fs_req *r)
{
	const struct fuse_copy_file_range_in *in = (const void *)r->arg;
	struct fs_inode *to;
	ssize_t n;
	int err;

	if (in->flags || in->off_in > INT64_MAX || in->off_out > INT64_MAX)
		return -EINVAL;
	err = fs_inode_get(r->fs, in->nodeid_out, &to);
	if (err)
		return err;
	if (fs_share_of(r->fs, to)->flags & CTL_SHARE_RO)
		n = -EROFS;
	else
		n = copy_range(r, to, in);
	fs_inode_put(r->fs, to);
	if (n < 0)
		return (int)n;
	((struct fuse_write_out *)fs_req_out(r, sizeof(struct fuse_write_out)))->size = (uint32_t)n;
	return 0;
}

/* What an owner may set; the rest is the administrator's, or the quota's. */
#define FLAGS_FREE                                                                                              \
	(FS_NOATIME_FL | FS_NODUMP_FL | FS_SYNC_FL | FS_DIRSYNC_FL | FS_NOCOW_FL | FS_COMPR_FL | FS_NOCOMP_FL | \
	 FS_UNRM_FL | FS_SECRM_FL | FS_NOTAIL_FL | FS_TOPDIR_FL | FS_EXTENT_FL)

static int set_inode_flags(struct fs_req *r, int fd, const struct fuse_ioctl_in *in)
{
	int old, new, err = fs_req_writable(r);

	if (err)
		return err;
	if (in->in_size < sizeof(new) || r->arglen - sizeof(*in) < sizeof(new))
		return -EINVAL;
	memcpy(&new, r->arg + sizeof(*in), sizeof(new));
	if (ioctl(fd, FS_IOC_GETFLAGS, &old))
		return -errno;
	if ((old ^ new) & ~FLAGS_FREE)
		return -EPERM;
	return ioctl(fd, FS_IOC_SETFLAGS, &new) ? -errno : 0;
}

/* Put len bytes of an ioctl's result behind the header of the reply. */
static int reply_ioctl(struct fs_req *r, const struct fuse_ioctl_in *in, const void *data, size_t len)
{
	struct fuse_ioctl_out *out;

	if (in->out_size < len || r->room < sizeof(*out) + len)
		return -EINVAL;
	out = fs_req_out(r, sizeof(*out) + len);
	if (len)
		memcpy(out + 1, data, len);
	return 0;
}

static int do_ioctl(struct fs_req *r, int fd, const struct fuse_ioctl_in *in)
{
	struct fsxattr fsx;
	int flags, err;

	switch (in->cmd) {
	case FS_IOC_GETFLAGS:
		if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
			return -errno;
		return reply_ioctl(r, in, &flags, sizeof(flags));
	case FS_IOC_SETFLAGS:
		err = set_inode_flags(r, fd, in);
		return err ? err : reply_ioctl(r, in, NULL, 0);
	case FS_IOC_FSGETXATTR:
		memset(&fsx, 0, sizeof(fsx));
		if (ioctl(fd, FS_IOC_FSGETXATTR, &fsx))
			return -errno;
		return reply_ioctl(r, in, &fsx, sizeof(fsx));
	default:
		return -ENOTTY;
	}
}

int fs_op_ioctl(struct fs_req *r)
{
	const struct fuse_ioctl_in *in = (const void *)r->arg;
	struct fs_handle *h;
	int err = fs_handle_get(r->fs, r->node, in->fh, 0, &h);

	if (err)
		return err;
	err = do_ioctl(r, h->fd, in);
	fs_handle_put(r->fs, h);
	return err;
}
