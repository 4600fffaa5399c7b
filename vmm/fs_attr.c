/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes: GETATTR, SETATTR, STATX, STATFS, and how long the guest may believe them. Worker threads; the guest
 * controls all fields of SETATTR.
 *
 * Coherent shares: names and attributes are believed until the guest's next timer tick, which is the least that FUSE
 * can say but "never": within one path walk and one read they aren't asked for twice, and what the host changes is
 * seen a tick or two later. A file on which the guest takes locks is shared with somebody, so its attributes are never
 * believed, and each lock taken moves the reported modification time by a few ns: that makes the guest drop the
 * pages that it read before it had the lock, though the host's clock ticks too slowly to tell two writes apart.
 *
 * Private shares: only this VM writes, or now and then an engine that copies a file in. Ten seconds cost one lookup per
 * file and ten seconds, and let the copy be seen. What is open for writing is asked for once a second: the
 * guest knows the size of what it has written better than we do, but not how many blocks that takes. (Not each time: a
 * guest with a write-back cache asks before every write when it may not believe what it knows.)
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PRIVATE_VALID_S 10
#define WRITING_VALID_S 1
#define TICK_NS 1 /* rounded up by the guest */

static void valid_for(const struct fs *fs, const struct fs_inode *i, uint64_t *sec, uint32_t *nsec)
{
	*sec = 0;
	*nsec = 0;
	if (i->flags & FS_I_PSEUDO)
		return;
	if (fs_share_private(fs, &fs->share[i->share]))
		*sec = atomic_load_explicit(&i->writers, memory_order_relaxed) ? WRITING_VALID_S : PRIVATE_VALID_S;
	else if (atomic_load_explicit(&i->locked, memory_order_relaxed) == 0)
		*nsec = TICK_NS;
}

static void told_size(struct fs_inode *i, uint64_t size)
{
	uint64_t old = atomic_load_explicit(&i->told_size, memory_order_relaxed);

	while (old < size && !atomic_compare_exchange_weak(&i->told_size, &old, size))
		;
}

static void fill_attr(const struct fs *fs, struct fs_inode *i, const struct statx *st, struct fuse_attr *a)
{
	uint32_t locked = atomic_load_explicit(&i->locked, memory_order_relaxed);

	a->ino = fs_guest_ino(i->domain, st->stx_ino);
	a->size = st->stx_size;
	a->blocks = st->stx_blocks;
	a->atime = (uint64_t)st->stx_atime.tv_sec;
	a->mtime = (uint64_t)st->stx_mtime.tv_sec;
	a->ctime = (uint64_t)st->stx_ctime.tv_sec;
	a->atimensec = st->stx_atime.tv_nsec;
	a->mtimensec = st->stx_mtime.tv_nsec;
	a->ctimensec = st->stx_ctime.tv_nsec;
	if (locked && !fs_share_private(fs, &fs->share[i->share]))
		a->mtimensec = a->mtimensec / 1000 * 1000 + locked % 1000;
	a->mode = st->stx_mode;
	a->nlink = st->stx_nlink;
	a->uid = st->stx_uid;
	a->gid = st->stx_gid;
	/* the kernel's encoding of a device number in 32 bits */
	a->rdev = (st->stx_rdev_minor & 0xff) | st->stx_rdev_major << 8 | (st->stx_rdev_minor & ~0xffu) << 12;
	a->blksize = st->stx_blksize;
	a->flags = (i->flags & FS_I_MOUNT) && fs->submounts ? FUSE_ATTR_SUBMOUNT : 0;
	if ((i->flags & FS_I_DAX) && fs->inode_dax) {
		a->flags |= FS_ATTR_DAX;
		told_size(i, st->stx_size);
	}
}

static void fill_root(struct fuse_attr *a)
{
	a->ino = FS_NODE_ROOT;
	a->mode = S_IFDIR | 0555;
	a->nlink = 2;
	a->blksize = 4096;
}

void fs_entry_fill(const struct fs *fs, const struct fs_inode *dir, struct fs_inode *i, const struct statx *st,
		   struct fuse_entry_out *e)
{
	e->nodeid = i->id;
	e->generation = 0; /* nodeids are never used twice */
	valid_for(fs, i, &e->attr_valid, &e->attr_valid_nsec);
	/* shares come and go */
	if (dir)
		valid_for(fs, dir, &e->entry_valid, &e->entry_valid_nsec);
	fill_attr(fs, i, st, &e->attr);
}

/* The attributes of r->node, or of the file open as fh when the guest says so, as a reply. */
static int reply_attr(struct fs_req *r)
{
	struct fuse_attr_out *out = fs_req_out(r, sizeof(*out));
	struct statx st;
	int err;

	if (!r->node) {
		fill_root(&out->attr);
		return 0;
	}
	err = fs_inode_statx(r->node, &st);
	if (err)
		return err;
	fill_attr(r->fs, r->node, &st, &out->attr);
	valid_for(r->fs, r->node, &out->attr_valid, &out->attr_valid_nsec);
	return 0;
}

int fs_op_getattr(struct fs_req *r)
{
	return reply_attr(r); /* an open file and its inode are the same to fstat() */
}

static struct fs_sx_time sx_time(struct statx_timestamp t)
{
	return (struct fs_sx_time){ .sec = t.tv_sec, .nsec = t.tv_nsec };
}

int fs_op_statx(struct fs_req *r)
{
	struct fs_statx_out *out = fs_req_out(r, sizeof(*out));
	struct fuse_attr a = { 0 };
	struct statx st;
	int err;

	if (!r->node) {
		fill_root(&a);
		out->stat.mask = STATX_BASIC_STATS;
		out->stat.mode = (uint16_t)a.mode;
		out->stat.nlink = a.nlink;
		out->stat.ino = a.ino;
		out->stat.blksize = a.blksize;
		return 0;
	}
	err = fs_inode_statx(r->node, &st);
	if (err)
		return err;
	fill_attr(r->fs, r->node, &st, &a);
	valid_for(r->fs, r->node, &out->attr_valid, &out->attr_valid_nsec);
	out->stat = (struct fs_sx){
		.mask = st.stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
		.blksize = st.stx_blksize,
		.attributes = st.stx_attributes & ~(uint64_t)STATX_ATTR_MOUNT_ROOT,
		.attributes_mask = st.stx_attributes_mask & ~(uint64_t)STATX_ATTR_MOUNT_ROOT,
		.nlink = st.stx_nlink,
		.uid = st.stx_uid,
		.gid = st.stx_gid,
		.mode = st.stx_mode,
		.ino = a.ino,
		.size = st.stx_size,
		.blocks = st.stx_blocks,
		.atime = sx_time(st.stx_atime),
		.btime = sx_time(st.stx_btime),
		.ctime = sx_time(st.stx_ctime),
		.mtime = sx_time(st.stx_mtime),
		.rdev_major = st.stx_rdev_major,
		.rdev_minor = st.stx_rdev_minor,
	};
	out->stat.mtime.nsec = a.mtimensec;
	return 0;
}

/* FATTR_SIZE. Through the open file if there is one: it may have been opened before the mode forbade it. */
static int set_size(struct fs_req *r, const struct fuse_setattr_in *in)
{
	bool kill = in->valid & FATTR_KILL_SUIDGID;
	struct fs_handle *h = NULL;
	int err;

	if (in->size > INT64_MAX)
		return -EFBIG;
	if (r->node->type != S_IFREG)
		return r->node->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (in->valid & FATTR_FH) {
		err = fs_handle_get(r->fs, r->node, in->fh, FS_H_WRITE, &h);
		if (err)
			return err;
	}
	if (kill)
		fs_cred_fsetid(r->w, false);
	if (h)
		err = ftruncate(h->fd, (off_t)in->size) ? -errno : 0;
	else
		err = truncate(fs_fdname(r->node->fd).s, (off_t)in->size) ? -errno : 0;
	if (kill)
		fs_cred_fsetid(r->w, true);
	if (h)
		fs_handle_put(r->fs, h);
	return err;
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now, uint64_t sec, uint32_t nsec)
{
	if (valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (valid & set)
		return (struct timespec){ .tv_sec = (time_t)sec, .tv_nsec = nsec };
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(struct fs_req *r, const struct fuse_setattr_in *in)
{
	struct timespec ts[2] = {
		time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
		time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
	};

	if (in->atimensec >= 1000000000 || in->mtimensec >= 1000000000)
		return -EINVAL;
	return utimensat(r->node->fd, "", ts, AT_EMPTY_PATH) ? -errno : 0;
}

int fs_op_setattr(struct fs_req *r)
{
	const struct fuse_setattr_in *in = (const void *)r->arg;
	const uint32_t times = FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW;
	int err;

	/* The owner first: the host clears set-id bits with it, which a mode that comes along shall have. */
	if (in->valid & (FATTR_UID | FATTR_GID)) {
		uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
		gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

		if (fchownat(r->node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
			return -errno;
	}
	if ((in->valid & FATTR_MODE) && fchmodat(fs_proc_fd, fs_fdname(r->node->fd).s, in->mode & 07777, 0))
		return -errno;
	if (in->valid & FATTR_SIZE) {
		err = set_size(r, in);
		if (err)
			return err;
	}
	if (in->valid & times) {
		err = set_times(r, in);
		if (err)
			return err;
	}
	return reply_attr(r);
}

int fs_op_statfs(struct fs_req *r)
{
	struct fuse_kstatfs *out = &((struct fuse_statfs_out *)fs_req_out(r, sizeof(struct fuse_statfs_out)))->st;
	struct statfs sf;

	if (!r->node) {
		out->bsize = out->frsize = 4096;
		out->namelen = NAME_MAX;
		return 0;
	}
	if (fstatfs(r->node->fd, &sf))
		return -errno;
	out->blocks = sf.f_blocks;
	out->bfree = sf.f_bfree;
	out->bavail = sf.f_bavail;
	out->files = sf.f_files;
	out->ffree = sf.f_ffree;
	out->bsize = (uint32_t)sf.f_bsize;
	out->namelen = (uint32_t)sf.f_namelen;
	out->frsize = (uint32_t)sf.f_frsize;
	return 0;
}
