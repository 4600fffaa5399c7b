/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: lookup, creation, removal, links, renames. Worker threads; the guest controls names, link texts, modes, device
 * numbers and which directories.
 *
 * Each call takes a directory's descriptor and one checked component, and none of them follows a link at the end, so
 * whatever the guest or the host swaps meanwhile, nothing outside that directory is touched. Renames and links
 * between shares are EXDEV even where the host could do them: what may be read in one must not become writable in
 * another.
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEGATIVE_VALID_S 1 /* private shares: how long the guest may believe that a name isn't there */

/* Look the name up and answer with its entry. */
static int reply_entry(struct fs_req *r, const char *name)
{
	struct fuse_entry_out *out = fs_req_out(r, sizeof(*out));
	struct fs_inode *i;
	struct statx st;
	int err;

	if (r->node)
		err = fs_inode_lookup(r->fs, r->node, name, &i, &st);
	else
		err = fs_share_lookup(r->fs, name, &i, &st);
	if (err)
		return err;
	fs_entry_fill(r->fs, r->node, i, &st, out);
	fs_inode_put(r->fs, i);
	return 0;
}

int fs_op_lookup(struct fs_req *r)
{
	int err = 0;
	const char *name = fs_req_name(r, &err);

	if (!name)
		return err;
	err = reply_entry(r, name);
	if (err == -ENOENT && r->node && fs_share_private(r->fs, r->share) && !(r->node->flags & FS_I_PSEUDO)) {
		struct fuse_entry_out *out = fs_req_out(r, sizeof(*out));

		out->entry_valid = NEGATIVE_VALID_S;
		return 0;
	}
	return err;
}

int fs_op_readlink(struct fs_req *r)
{
	ssize_t n;

	if (r->node->type != S_IFLNK)
		return -EINVAL;
	n = readlinkat(r->node->fd, "", (char *)r->out, r->room);
	if (n < 0)
		return -errno;
	r->outlen = (size_t)n;
	return 0;
}

int fs_op_symlink(struct fs_req *r)
{
	int err = 0;
	const char *name = fs_req_name(r, &err);
	const char *text = name ? fs_req_string(r, PATH_MAX - 1, &err) : NULL;

	if (!text)
		return err;
	err = fs_cred_take(r->w, &r->h, 0);
	if (err)
		return err;
	if (symlinkat(text, r->node->fd, name))
		return -errno;
	return reply_entry(r, name);
}

/*
 * Device nodes mean nothing to the server, which opens none, but they would to somebody on the host who can reach the
 * share. So they are made only where nobody else looks, in private shares: images and package managers need them
 * there. Device 0:0 is no device but overlayfs's mark for a deleted file.
 */
static int may_mknod(const struct fs_req *r, uint32_t mode, uint32_t rdev)
{
	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	case S_IFCHR:
		if (rdev == 0)
			return 0;
		/* fall through */
	case S_IFBLK:
		return fs_share_private(r->fs, r->share) ? 0 : -EPERM;
	default:
		return -EINVAL;
	}
}

int fs_op_mknod(struct fs_req *r)
{
	const struct fuse_mknod_in *in = (const void *)r->arg;
	/* the kernel's encoding of a device number in 32 bits */
	dev_t dev = makedev((in->rdev >> 8) & 0xfff, (in->rdev & 0xff) | ((in->rdev >> 12) & 0xfff00));
	const char *name;
	int err = 0;

	r->argpos = sizeof(*in);
	name = fs_req_name(r, &err);
	if (!name)
		return err;
	err = may_mknod(r, in->mode, in->rdev);
	if (err == 0)
		err = fs_cred_take(r->w, &r->h, in->umask);
	if (err)
		return err;
	if (mknodat(r->node->fd, name, in->mode & (S_IFMT | 07777), dev))
		return -errno;
	return reply_entry(r, name);
}

int fs_op_mkdir(struct fs_req *r)
{
	const struct fuse_mkdir_in *in = (const void *)r->arg;
	const char *name;
	int err = 0;

	r->argpos = sizeof(*in);
	name = fs_req_name(r, &err);
	if (!name)
		return err;
	err = fs_cred_take(r->w, &r->h, in->umask);
	if (err)
		return err;
	if (mkdirat(r->node->fd, name, in->mode & 07777))
		return -errno;
	return reply_entry(r, name);
}

/*
 * A file that is about to lose this name: pinned and with a descriptor, so that what the guest still holds of it
 * works on. NULL when the guest doesn't know it. Only evicted files and moved ones need it; the rest is spared.
 */
static struct fs_inode *keep(struct fs_req *r, struct fs_inode *dir, const char *name, bool moves)
{
	struct fs_inode *i;

	if (!moves && atomic_load_explicit(&r->fs->evictions, memory_order_relaxed) == 0)
		return NULL;
	i = fs_inode_known(r->fs, dir, name);
	if (i && i->fd < 0)
		fs_inode_restore(r->fs, i);
	return i;
}

static int remove_name(struct fs_req *r, int flags)
{
	int err = 0;
	const char *name = fs_req_name(r, &err);
	struct fs_inode *i;

	if (!name)
		return err;
	i = keep(r, r->node, name, false);
	err = unlinkat(r->node->fd, name, flags) ? -errno : 0;
	if (i)
		fs_inode_put(r->fs, i);
	return err;
}

int fs_op_unlink(struct fs_req *r)
{
	return remove_name(r, 0);
}

int fs_op_rmdir(struct fs_req *r)
{
	return remove_name(r, AT_REMOVEDIR);
}

static int rename_in(struct fs_req *r, struct fs_inode *dir, const char *from, const char *to, uint32_t flags)
{
	bool other = dir != r->node;
	struct fs_inode *a = keep(r, r->node, from, other);
	struct fs_inode *b = keep(r, dir, to, other && (flags & RENAME_EXCHANGE));
	int err = 0;

	/* not by the C library, which knows another call for flags of 0 */
	if (syscall(SYS_renameat2, r->node->fd, from, dir->fd, to, flags))
		err = -errno;
	if (a) {
		if (err == 0 && other)
			fs_inode_moved(r->fs, a, dir);
		fs_inode_put(r->fs, a);
	}
	if (b) {
		if (err == 0 && other && (flags & RENAME_EXCHANGE))
			fs_inode_moved(r->fs, b, r->node);
		fs_inode_put(r->fs, b);
	}
	return err;
}

static int rename_to(struct fs_req *r, uint64_t newdir, uint32_t flags)
{
	int err = 0;
	const char *from = fs_req_name(r, &err);
	const char *to = from ? fs_req_name(r, &err) : NULL;
	struct fs_inode *dir;

	if (!to)
		return err;
	if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (newdir == FS_NODE_ROOT)
		return -EXDEV;
	err = fs_inode_get(r->fs, newdir, &dir);
	if (err)
		return err;
	if (dir->share != r->node->share)
		err = -EXDEV;
	if (err == 0 && (flags & RENAME_WHITEOUT))
		err = fs_cred_take(r->w, &r->h, 0);
	if (err == 0)
		err = rename_in(r, dir, from, to, flags);
	fs_inode_put(r->fs, dir);
	return err;
}

int fs_op_rename(struct fs_req *r)
{
	const struct fuse_rename_in *in = (const void *)r->arg;

	r->argpos = sizeof(*in);
	return rename_to(r, in->newdir, 0);
}

int fs_op_rename2(struct fs_req *r)
{
	const struct fuse_rename2_in *in = (const void *)r->arg;

	r->argpos = sizeof(*in);
	return rename_to(r, in->newdir, in->flags);
}

int fs_op_link(struct fs_req *r)
{
	const struct fuse_link_in *in = (const void *)r->arg;
	struct fs_inode *old;
	const char *name;
	int err = 0;

	r->argpos = sizeof(*in);
	name = fs_req_name(r, &err);
	if (!name)
		return err;
	err = fs_inode_get(r->fs, in->oldnodeid, &old);
	if (err)
		return err;
	if (old->share != r->node->share)
		err = -EXDEV;
	/* through /proc, since linkat(AT_EMPTY_PATH) needs CAP_DAC_READ_SEARCH over the whole host */
	else if (linkat(fs_proc_fd, fs_fdname(old->fd).s, r->node->fd, name, AT_SYMLINK_FOLLOW))
		err = -errno;
	else
		err = reply_entry(r, name);
	fs_inode_put(r->fs, old);
	return err;
}
