/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays: how inotify in the guest hears of what the host changes. Worker threads. Any process of the guest that may
 * choose its file system user id can send these requests; all it gets are lookups, and answers to changes that are not
 * made.
 *
 * Theory of operation. Linux guests cannot be told of a change in a FUSE file system, but they tell their own watchers
 * of every change that they make themselves. So the host's helper (runtime/watch.c) reports a change to the agent, the
 * agent makes the same system call on the share, and here it is answered as done without doing it. What the guest's
 * kernel does around it, the events above all, is as if a process of the guest had done it.
 *
 * Such requests carry one of three user ids (plan.h). PLAN_TOUCH_UID finds files as everybody does; SETATTR and OPEN
 * for writing change nothing. PLAN_REPLAY_UID and PLAN_REPLAY_DIR_UID see a directory as it was before the change: a
 * LOOKUP finds the file that the guest last knew under the name, unless that is what is there now, and for a name that
 * the guest does not know and that is gone, a stand-in, so that it can be removed once more. The change itself is then
 * done already.
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/plan.h"

bool fs_is_replay(const struct fs_req *r)
{
	return !r->fs->private &&
	       (r->h.uid == PLAN_TOUCH_UID || r->h.uid == PLAN_REPLAY_UID || r->h.uid == PLAN_REPLAY_DIR_UID);
}

int fs_replay_init(struct fs *fs)
{
	for (int k = 0; k < 2; k++) {
		fs->stand_in[k] = memfd_create("husk-gone", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		/* whoever opens it in the guest shall not fill the host's memory */
		if (fs->stand_in[k] < 0 ||
		    fcntl(fs->stand_in[k], F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
			return -errno;
	}
	return 0;
}

void fs_replay_free(struct fs *fs)
{
	for (int k = 0; k < 2; k++) {
		if (fs->stand_in[k] >= 0)
			close(fs->stand_in[k]);
		fs->stand_in[k] = -1;
	}
}

uint32_t fs_name_hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

/*
 * The file that the guest knows by this name, but for the one that has the name now (*st, NULL: none). Pinned, or NULL.
 */
static struct fs_inode *find_old(const struct fs_req *r, const char *name, const struct statx *st)
{
	const struct fs *fs = r->fs;
	uint32_t hash = fs_name_hash(name);

	for (uint32_t n = 0; n < fs_pool_end(&fs->inodes); n++) {
		struct fs_inode *i = fs_pool_at(&fs->inodes, n);
		uint64_t l = i ? atomic_load(&i->life) : 0;

		if (!(l & LIFE_LIVE) || i->name_hash != hash || i->parent != r->node->id)
			continue;
		i = fs_pool_get(&fs->inodes, life_id(l, n));
		if (!i)
			continue;
		if (i->name_hash == hash && i->parent == r->node->id && i->fd >= 0 && !(st && fs_inode_is(fs, i, st)))
			return i;
		fs_inode_put(r->fs, i);
	}
	return NULL;
}

/* Something to remove. Counts as looked up. */
static int reply_stand_in(struct fs_req *r, struct fuse_entry_out *out)
{
	bool dir = r->h.uid == PLAN_REPLAY_DIR_UID;
	struct fs_inode *i;
	struct statx st;
	int fd, err = fs_fd_reserve(r->fs);

	if (err)
		return err;
	fd = fcntl(r->fs->stand_in[dir], F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		err = -errno;
		fs_fd_unreserve(r->fs);
		return err;
	}
	err = fs_inode_adopt(r->fs, r->node->share, r->node, fd, &i, &st);
	if (err)
		return err;
	fs_entry_fill(r->fs, NULL, i, &st, out);
	out->attr.mode = (dir ? S_IFDIR : S_IFREG) | 0600;
	out->attr.nlink = dir ? 2 : 1;
	out->attr_valid = out->attr_valid_nsec = 0;
	fs_inode_put(r->fs, i);
	return 0;
}

static int replay_lookup(struct fs_req *r)
{
	struct fuse_entry_out *out = fs_req_out(r, sizeof(*out));
	int err = 0;
	const char *name = fs_req_name(r, &err);
	struct statx st;
	bool there;
	struct fs_inode *i;

	if (!name)
		return err;
	if (!r->node || r->node->type != S_IFDIR)
		return -ENOTDIR;
	there = statx(r->node->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, FS_STATX_MASK, &st) == 0;
	i = find_old(r, name, there ? &st : NULL);
	if (!i)
		return there ? -ENOENT : reply_stand_in(r, out);
	err = fs_inode_statx(i, &st);
	if (err == 0)
		err = fs_inode_remember(r->fs, i);
	if (err == 0) {
		fs_entry_fill(r->fs, NULL, i, &st, out);
		/* its last name is not gone yet for the guest */
		out->attr.nlink += out->attr.nlink == 0;
		out->attr_valid = out->attr_valid_nsec = 0;
	}
	fs_inode_put(r->fs, i);
	return err;
}

/* A name that was made: as it is now, or a stand-in when it is gone again. */
static int replay_make(struct fs_req *r, size_t head)
{
	struct fuse_entry_out *out = fs_req_out(r, sizeof(*out));
	struct fs_inode *i;
	struct statx st;
	const char *name;
	int err = 0;

	if (r->node->type != S_IFDIR)
		return -ENOTDIR;
	r->argpos = head;
	name = fs_req_name(r, &err);
	if (!name)
		return err;
	err = fs_inode_lookup(r->fs, r->node, name, &i, &st);
	if (err == -ENOENT)
		return reply_stand_in(r, out);
	if (err)
		return err;
	fs_entry_fill(r->fs, r->node, i, &st, out);
	fs_inode_put(r->fs, i);
	return 0;
}

/* The caller has checked that the reply has room for what the operation answers. */
int fs_replay(struct fs_req *r, int (*fn)(struct fs_req *r), bool changes)
{
	bool touch = r->h.uid == PLAN_TOUCH_UID;

	switch (r->h.opcode) {
	case FUSE_LOOKUP:
		return touch || !r->node ? fn(r) : replay_lookup(r);
	case FUSE_MKNOD:
		return touch ? -EPERM : replay_make(r, sizeof(struct fuse_mknod_in));
	case FUSE_MKDIR:
		return touch ? -EPERM : replay_make(r, sizeof(struct fuse_mkdir_in));
	case FUSE_SYMLINK:
		return touch ? -EPERM : replay_make(r, 0);
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
		return touch ? -EPERM : 0;
	case FUSE_SETATTR:
		return touch ? fs_op_getattr(r) : -EPERM;
	case FUSE_OPEN: /* fs_op_open() opens for reading only */
		return fn(r);
	default:
		return changes ? -EPERM : fn(r);
	}
}
