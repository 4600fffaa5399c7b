/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE requests: decoding, the table of operations, answers, and the session (INIT, DESTROY, FORGET, INTERRUPT).
 * Worker threads; the guest controls every byte of a request.
 *
 * A request is copied into the worker's memory once: the header, then the body up to FS_IN_MAX; only the data of
 * WRITE stays where it is and goes from there to the file. Before an operation runs, it is known that its fixed
 * arguments are there, that the reply has room, that the inode exists, and that its share may be written if the
 * operation changes anything. So operations check what is their own, and undo nothing for lack of room.
 */
#include "fs_internal.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "control.h"

#define ROOT_OK 1u  /* works on the synthetic root, with r->node NULL */
#define NO_NODE 2u  /* h.nodeid is not looked at, or by the operation itself */
#define CHANGES 4u  /* refused on read-only shares */
#define TAIL 8u	    /* only the fixed arguments are copied */
#define HIPRIO 16u  /* may come on the hiprio queue */
#define SESSION 32u /* before INIT, too */

struct op {
	int (*fn)(struct fs_req *r);
	uint16_t in, out; /* fixed arguments; smallest reply */
	uint16_t flags;
};

#define ENTRY sizeof(struct fuse_entry_out)
#define ATTR sizeof(struct fuse_attr_out)

static const struct op ops[] = {
	[FUSE_LOOKUP] = { fs_op_lookup, 2, ENTRY, ROOT_OK },
	[FUSE_FORGET] = { fs_op_forget, sizeof(struct fuse_forget_in), 0, NO_NODE | HIPRIO },
	[FUSE_GETATTR] = { fs_op_getattr, sizeof(struct fuse_getattr_in), ATTR, ROOT_OK },
	[FUSE_SETATTR] = { fs_op_setattr, sizeof(struct fuse_setattr_in), ATTR, CHANGES },
	[FUSE_READLINK] = { fs_op_readlink, 0, 1, 0 },
	[FUSE_SYMLINK] = { fs_op_symlink, 4, ENTRY, CHANGES },
	[FUSE_MKNOD] = { fs_op_mknod, sizeof(struct fuse_mknod_in) + 2, ENTRY, CHANGES },
	[FUSE_MKDIR] = { fs_op_mkdir, sizeof(struct fuse_mkdir_in) + 2, ENTRY, CHANGES },
	[FUSE_UNLINK] = { fs_op_unlink, 2, 0, CHANGES },
	[FUSE_RMDIR] = { fs_op_rmdir, 2, 0, CHANGES },
	[FUSE_RENAME] = { fs_op_rename, sizeof(struct fuse_rename_in) + 4, 0, CHANGES },
	[FUSE_LINK] = { fs_op_link, sizeof(struct fuse_link_in) + 2, ENTRY, CHANGES },
	[FUSE_OPEN] = { fs_op_open, sizeof(struct fuse_open_in), sizeof(struct fuse_open_out), 0 },
	[FUSE_READ] = { fs_op_read, sizeof(struct fuse_read_in), 0, 0 },
	[FUSE_WRITE] = { fs_op_write, sizeof(struct fuse_write_in), sizeof(struct fuse_write_out), CHANGES | TAIL },
	[FUSE_STATFS] = { fs_op_statfs, 0, sizeof(struct fuse_statfs_out), ROOT_OK },
	[FUSE_RELEASE] = { fs_op_release, sizeof(struct fuse_release_in), 0, NO_NODE },
	[FUSE_FSYNC] = { fs_op_fsync, sizeof(struct fuse_fsync_in), 0, 0 },
	[FUSE_SETXATTR] = { fs_op_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE + 2, 0, CHANGES },
	[FUSE_GETXATTR] = { fs_op_getxattr, sizeof(struct fuse_getxattr_in) + 2, 0, ROOT_OK },
	[FUSE_LISTXATTR] = { fs_op_listxattr, sizeof(struct fuse_getxattr_in), 0, ROOT_OK },
	[FUSE_REMOVEXATTR] = { fs_op_removexattr, 2, 0, CHANGES },
	[FUSE_FLUSH] = { fs_op_flush, sizeof(struct fuse_flush_in), 0, 0 },
	[FUSE_INIT] = { fs_op_init, 16, sizeof(struct fuse_init_out), NO_NODE | SESSION },
	[FUSE_OPENDIR] = { fs_op_opendir, sizeof(struct fuse_open_in), sizeof(struct fuse_open_out), ROOT_OK },
	[FUSE_READDIR] = { fs_op_readdir, sizeof(struct fuse_read_in), 0, ROOT_OK },
	[FUSE_RELEASEDIR] = { fs_op_releasedir, sizeof(struct fuse_release_in), 0, NO_NODE },
	[FUSE_FSYNCDIR] = { fs_op_fsyncdir, sizeof(struct fuse_fsync_in), 0, ROOT_OK },
	[FUSE_GETLK] = { fs_op_getlk, sizeof(struct fuse_lk_in), sizeof(struct fuse_lk_out), 0 },
	[FUSE_SETLK] = { fs_op_setlk, sizeof(struct fuse_lk_in), 0, 0 },
	[FUSE_SETLKW] = { fs_op_setlkw, sizeof(struct fuse_lk_in), 0, 0 },
	[FUSE_CREATE] = { fs_op_create, sizeof(struct fuse_create_in) + 2, ENTRY + sizeof(struct fuse_open_out),
			  CHANGES },
	[FUSE_INTERRUPT] = { fs_op_interrupt, sizeof(struct fuse_interrupt_in), 0, NO_NODE | HIPRIO },
	[FUSE_DESTROY] = { fs_op_destroy, 0, 0, NO_NODE },
	[FUSE_IOCTL] = { fs_op_ioctl, sizeof(struct fuse_ioctl_in), sizeof(struct fuse_ioctl_out), 0 },
	[FUSE_BATCH_FORGET] = { fs_op_batch_forget, sizeof(struct fuse_batch_forget_in), 0, NO_NODE | HIPRIO | TAIL },
	[FUSE_FALLOCATE] = { fs_op_fallocate, sizeof(struct fuse_fallocate_in), 0, CHANGES },
	[FUSE_READDIRPLUS] = { fs_op_readdirplus, sizeof(struct fuse_read_in), 0, ROOT_OK },
	[FUSE_RENAME2] = { fs_op_rename2, sizeof(struct fuse_rename2_in) + 4, 0, CHANGES },
	[FUSE_LSEEK] = { fs_op_lseek, sizeof(struct fuse_lseek_in), sizeof(struct fuse_lseek_out), 0 },
	/* changes nodeid_out's file, which the operation checks */
	[FUSE_COPY_FILE_RANGE] = { fs_op_copy, sizeof(struct fuse_copy_file_range_in), sizeof(struct fuse_write_out),
				   0 },
	[FUSE_SETUPMAPPING] = { fs_op_setupmapping, sizeof(struct fuse_setupmapping_in), 0, 0 },
	[FUSE_REMOVEMAPPING] = { fs_op_removemapping, sizeof(struct fuse_removemapping_in), 0, NO_NODE },
	[FUSE_SYNCFS] = { fs_op_syncfs, sizeof(struct fuse_syncfs_in), 0, ROOT_OK },
	[FUSE_TMPFILE] = { fs_op_tmpfile, sizeof(struct fuse_create_in) + 2, ENTRY + sizeof(struct fuse_open_out),
			   CHANGES },
	[FS_OP_STATX] = { fs_op_statx, sizeof(struct fs_statx_in), sizeof(struct fs_statx_out), ROOT_OK },
};

const char *fs_req_string(struct fs_req *r, size_t max, int *err)
{
	const char *s = (const char *)r->arg + r->argpos;
	size_t left = r->arglen - r->argpos, len = strnlen(s, left);

	if (len == left) {
		*err = -EINVAL;
		return NULL;
	}
	if (len > max) {
		*err = -ENAMETOOLONG;
		return NULL;
	}
	r->argpos += len + 1;
	return s;
}

const char *fs_req_name(struct fs_req *r, int *err)
{
	const char *s = fs_req_string(r, NAME_MAX, err);

	if (s && (!s[0] || strchr(s, '/') || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)) {
		*err = -EINVAL;
		return NULL;
	}
	return s;
}

void *fs_req_out(struct fs_req *r, size_t len)
{
	r->outlen = len;
	return memset(r->out, 0, len);
}

int fs_req_writable(const struct fs_req *r)
{
	return (r->share->flags & CTL_SHARE_RO) || (r->node->flags & FS_I_PSEUDO) ? -EROFS : 0;
}

void fs_drop_all(struct fs *fs)
{
	fs_locks_drop(fs, -1);
	fs_dax_drop(fs, -1);
	fs_handles_drop(fs);
	fs_inodes_drop(fs);
}

/* ---- session ---- */

#define FLAGS_WANTED                                                                                            \
	(FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |      \
	 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | \
	 FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT |  \
	 FUSE_INIT_EXT | FS_INIT_DIRECT_IO_MMAP | FS_INIT_ALLOW_IDMAP)

/*
 * Locks and the write-back cache are settled for the whole connection. Other VMs and the host may use a coherent share
 * at the same time, so there locks go to the host, and writes do at once; a share may be added at any time, so a
 * device is private or not from the beginning (fs_set_private()).
 */
#define FLAGS_SHARED (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS)
#define FLAGS_PRIVATE (FUSE_WRITEBACK_CACHE)
#define FLAGS_WINDOW (FUSE_MAP_ALIGNMENT | FS_INIT_INODE_DAX)

int fs_op_init(struct fs_req *r)
{
	struct fs *fs = r->fs;
	struct fuse_init_in in = { 0 };
	struct fuse_init_out *out;
	uint64_t flags;

	memcpy(&in, r->arg, r->arglen < sizeof(in) ? r->arglen : sizeof(in));
	out = fs_req_out(r, sizeof(*out));
	out->major = FUSE_KERNEL_VERSION;
	out->minor = in.minor < FS_MINOR ? in.minor : FS_MINOR;
	if (in.major > FUSE_KERNEL_VERSION) { /* the guest will come again with ours */
		out->minor = FS_MINOR;
		return 0;
	}
	if (in.major < FUSE_KERNEL_VERSION || in.minor < FS_MINOR_MIN)
		return -EPROTO;

	fs_drop_all(fs);
	flags = in.flags | (in.flags & FUSE_INIT_EXT ? (uint64_t)in.flags2 << 32 : 0);
	flags &= FLAGS_WANTED | (fs->private ? FLAGS_PRIVATE : FLAGS_SHARED) | (fs->window ? FLAGS_WINDOW : 0);
	fs->inode_dax = (flags & FLAGS_WINDOW) == FLAGS_WINDOW;
	fs->submounts = flags & FUSE_SUBMOUNTS;
	fs->writeback = flags & FUSE_WRITEBACK_CACHE;
	fs->setxattr_ext = flags & FUSE_SETXATTR_EXT;
	out->flags = (uint32_t)flags;
	out->flags2 = (uint32_t)(flags >> 32);
	out->max_readahead = in.max_readahead;
	out->max_background = 64;
	out->congestion_threshold = 48;
	out->max_write = flags & FUSE_MAX_PAGES ? FS_WRITE_MAX : 32 * 4096;
	out->max_pages = FS_WRITE_MAX / 4096;
	out->time_gran = 1;
	out->map_alignment = flags & FUSE_MAP_ALIGNMENT ? FS_DAX_SHIFT : 0;
	fs->inited = true;
	return 0;
}

int fs_op_destroy(struct fs_req *r)
{
	r->fs->inited = false;
	fs_drop_all(r->fs);
	return 0;
}

int fs_op_forget(struct fs_req *r)
{
	const struct fuse_forget_in *in = (const void *)r->arg;

	fs_inode_forget(r->fs, r->h.nodeid, in->nlookup);
	return FS_NOREPLY;
}

int fs_op_batch_forget(struct fs_req *r)
{
	const struct fuse_batch_forget_in *in = (const void *)r->arg;
	struct fuse_forget_one one[64];
	size_t off = sizeof(r->h) + sizeof(*in);
	uint32_t left = in->count;

	while (left && off <= r->h.len - sizeof(one[0])) {
		size_t room = (r->h.len - off) / sizeof(one[0]);
		size_t n = left < room ? left : room;

		if (n > sizeof(one) / sizeof(one[0]))
			n = sizeof(one) / sizeof(one[0]);
		if (chain_read(r->c, off, one, n * sizeof(one[0])) != n * sizeof(one[0]))
			break;
		for (size_t k = 0; k < n; k++)
			fs_inode_forget(r->fs, one[k].nodeid, one[k].nlookup);
		off += n * sizeof(one[0]);
		left -= (uint32_t)n;
	}
	return FS_NOREPLY;
}

int fs_op_interrupt(struct fs_req *r)
{
	const struct fuse_interrupt_in *in = (const void *)r->arg;

	/* Nothing but a lock waits long enough to be worth it. */
	fs_locks_interrupt(r->fs, in->unique);
	return FS_NOREPLY;
}

/* ---- dispatch ---- */

static int get_node(struct fs_req *r, const struct op *op)
{
	int err;

	if (op->flags & NO_NODE)
		return 0;
	if (r->h.nodeid == FS_NODE_ROOT) {
		if (op->flags & ROOT_OK)
			return 0;
		return op->flags & CHANGES ? -EROFS : -EINVAL;
	}
	err = fs_inode_get(r->fs, r->h.nodeid, &r->node);
	if (err)
		return err;
	r->share = fs_share_of(r->fs, r->node);
	return op->flags & CHANGES && !fs_is_replay(r) ? fs_req_writable(r) : 0;
}

/* Copy and check the arguments, then run the operation. */
static int run(struct fs_req *r, const struct op *op)
{
	int err;

	if (!op->fn)
		return -ENOSYS;
	if (r->queue == 0 && !(op->flags & HIPRIO))
		return -EINVAL;
	if (!r->fs->inited && !(op->flags & SESSION))
		return -EIO;
	r->arglen = r->h.len - sizeof(r->h);
	if (r->arglen < op->in)
		return -EINVAL;
	if (op->flags & TAIL)
		r->arglen = op->in;
	if (r->arglen > FS_IN_MAX)
		return -E2BIG;
	if (r->room < op->out)
		return -EINVAL;
	if (chain_read(r->c, sizeof(r->h), r->w->in, r->arglen) != r->arglen)
		return -EINVAL;
	err = get_node(r, op);
	if (err == 0)
		err = fs_is_replay(r) ? fs_replay(r, op->fn, op->flags & CHANGES) : op->fn(r);
	if (r->node)
		fs_inode_put(r->fs, r->node);
	return err;
}

static void count(struct fs_worker *w, int err)
{
	atomic_store_explicit(&w->requests, w->requests + 1, memory_order_relaxed);
	if (err < 0 && err != -ENOENT && err != -ENODATA)
		atomic_store_explicit(&w->errors, w->errors + 1, memory_order_relaxed);
}

int64_t fs_serve(struct fs_worker *w, unsigned int queue)
{
	static const struct op none;
	struct vq_chain *c = &w->chain;
	struct fuse_out_header *oh = (void *)w->out;
	struct fs_req r = {
		.fs = w->fs,
		.w = w,
		.c = c,
		.queue = queue,
		.arg = (const uint8_t *)w->in,
		.out = (uint8_t *)w->out + sizeof(*oh),
	};
	bool answers = c->write_len >= sizeof(*oh);
	int err;

	if (chain_read(c, 0, &r.h, sizeof(r.h)) != sizeof(r.h))
		return 0; /* nothing to answer to */
	if (answers)
		r.room = c->write_len - sizeof(*oh) < FS_OUT_MAX ? c->write_len - sizeof(*oh) : FS_OUT_MAX;
	if (r.h.len < sizeof(r.h) || r.h.len > c->read_len)
		err = -EINVAL;
	else if (!answers && r.h.opcode != FUSE_FORGET && r.h.opcode != FUSE_BATCH_FORGET &&
		 r.h.opcode != FUSE_INTERRUPT)
		err = -EINVAL;
	else
		err = run(&r, r.h.opcode < sizeof(ops) / sizeof(ops[0]) ? &ops[r.h.opcode] : &none);

	count(w, err);
	if (err == FS_PARKED)
		return FS_CHAIN_PARKED;
	if (err == FS_NOREPLY || !answers)
		return 0;
	if (err)
		r.outlen = 0;
	oh->len = (uint32_t)(sizeof(*oh) + r.outlen);
	oh->error = err;
	oh->unique = r.h.unique;
	chain_write(c, 0, oh, r.direct ? sizeof(*oh) : oh->len);
	return oh->len;
}
