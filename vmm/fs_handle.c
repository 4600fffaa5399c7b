/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files and directories: fh -> descriptor. Worker threads; the guest controls every fh and how many there are.
 *
 * A handle holds its inode. It ends with RELEASE, or, when requests still use it then, with the last of them. When its
 * share goes away, it keeps its id and answers ESTALE.
 */
#include "fs_internal.h"

#include <errno.h>
#include <unistd.h>

int fs_handle_new(struct fs *fs, struct fs_inode *i, int fd, uint16_t flags, uint64_t *fh)
{
	struct fs_share *s = fs_share_of(fs, i);
	struct fs_handle *h;

	atomic_fetch_add(&s->users, 1);
	h = s->dead ? NULL : fs_pool_new(&fs->handles, fh);
	if (!h) {
		atomic_fetch_sub(&s->users, 1);
		fs_fd_close(fs, fd);
		return s->dead ? -ESTALE : -ENFILE;
	}
	fs_inode_hold(i);
	h->id = *fh;
	h->inode = i;
	h->fd = fd;
	h->share = i->share;
	h->flags = flags;
	if (flags & FS_H_WRITE)
		atomic_fetch_add_explicit(&i->writers, 1, memory_order_relaxed);
	life_unlock(&h->life);
	return 0;
}

/* Close what the handle holds; BUSY. */
static void empty(struct fs *fs, struct fs_handle *h)
{
	if (h->fd < 0)
		return;
	fs_fd_close(fs, h->fd);
	h->fd = -1;
	atomic_fetch_sub(&fs->share[h->share].users, 1);
	if (h->flags & FS_H_WRITE)
		atomic_fetch_sub_explicit(&h->inode->writers, 1, memory_order_relaxed);
	fs_inode_put(fs, h->inode);
	h->inode = NULL;
}

int fs_handle_get(struct fs *fs, const struct fs_inode *i, uint64_t fh, uint16_t need, struct fs_handle **out)
{
	struct fs_handle *h = fs_pool_get(&fs->handles, fh);
	int err;

	if (!h)
		return -EBADF;
	/* a handle of another file would carry another share's rights */
	if (h->fd >= 0 && h->inode == i && (h->flags & need) == need) {
		*out = h;
		return 0;
	}
	err = h->fd < 0 ? -ESTALE : -EBADF;
	fs_handle_put(fs, h);
	return err;
}

void fs_handle_put(struct fs *fs, struct fs_handle *h)
{
	uint64_t id = h->id;
	uint32_t l = life_put(&h->life);

	if ((l & (LIFE_USERS | LIFE_LIVE)) == 0 && life_lock(&h->life, (uint32_t)(id >> 32), 0, LIFE_LIVE)) {
		empty(fs, h);
		fs_pool_release(&fs->handles, id);
	}
}

void fs_handle_release(struct fs *fs, uint64_t fh)
{
	struct fs_handle *h = fs_pool_get(&fs->handles, fh);

	if (!h)
		return;
	atomic_fetch_and(&h->life, ~(uint64_t)LIFE_LIVE);
	fs_handle_put(fs, h);
}

void fs_handles_drop(struct fs *fs)
{
	for (uint32_t n = 0; n < fs_pool_end(&fs->handles); n++) {
		_Atomic uint64_t *life = fs_pool_at(&fs->handles, n);
		uint64_t l = life ? atomic_load(life) : 0;

		if (l & LIFE_LIVE)
			fs_handle_release(fs, life_id(l, n));
	}
}

void fs_handles_kill(struct fs *fs, uint16_t share)
{
	for (uint32_t n = 0; n < fs_pool_end(&fs->handles); n++) {
		struct fs_handle *h = fs_pool_at(&fs->handles, n);
		uint64_t l = h ? atomic_load(&h->life) : 0;

		if (!(l & LIFE_LIVE) || !life_lock(&h->life, (uint32_t)(l >> 32), LIFE_LIVE, 0))
			continue;
		if (h->share == share)
			empty(fs, h);
		life_unlock(&h->life);
	}
}
