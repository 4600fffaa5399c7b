/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories: OPENDIR, READDIR, READDIRPLUS, RELEASEDIR. Worker threads; the guest controls offsets and sizes, the
 * host whatever is in the directory.
 *
 * An offset is what the host's file system calls one (d_off). The descriptor's position is remembered, so reading on
 * needs no seek; as several requests could use one descriptor at a time, a lock per handle (of a few shared ones)
 * keeps position and reading together. Each getdents64() asks for about as much as the rest of the reply takes:
 * an entry of READDIRPLUS is 128 bytes longer than the host's, one of READDIR at most 8.
 */
#include "fs_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"

#define BUF_OFF 256u /* in the worker's input buffer: behind the arguments */
#define BUF_LEN 32768u
#define RECORD_MAX 280u /* of getdents64(): a name of 255 bytes */
#define POS_UNKNOWN UINT64_MAX

struct host_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* The reply being filled. */
struct fill {
	struct fs_req *r;
	size_t cap;
	bool plus;
};

int fs_op_opendir(struct fs_req *r)
{
	struct fuse_open_out *out = fs_req_out(r, sizeof(*out));
	int fd;

	if (!r->node)
		return 0;
	if (r->node->type != S_IFDIR)
		return -ENOTDIR;
	fd = fs_inode_open(r->fs, r->node, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	if (fs_share_private(r->fs, r->share) && !(r->node->flags & FS_I_PSEUDO))
		out->open_flags = FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE;
	return fs_handle_new(r->fs, r->node, fd, FS_H_DIR, &out->fh);
}

int fs_op_releasedir(struct fs_req *r)
{
	const struct fuse_release_in *in = (const void *)r->arg;

	if (r->h.nodeid != FS_NODE_ROOT)
		fs_handle_release(r->fs, in->fh);
	return 0;
}

/* Room for one entry more, or NULL. e points to where a plus entry's attributes go. */
static struct fuse_dirent *next_dirent(struct fill *f, size_t namelen, struct fuse_entry_out **e)
{
	size_t head = f->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	size_t size = FUSE_DIRENT_ALIGN(head + namelen);
	uint8_t *at = f->r->out + f->r->outlen;

	if (size > f->cap - f->r->outlen)
		return NULL;
	memset(at, 0, size);
	f->r->outlen += size;
	*e = f->plus ? &((struct fuse_direntplus *)(void *)at)->entry_out : NULL;
	return f->plus ? &((struct fuse_direntplus *)(void *)at)->dirent : (struct fuse_dirent *)(void *)at;
}

static bool add(struct fill *f, const char *name, uint64_t ino, uint32_t type, uint64_t off, struct fuse_entry_out **e)
{
	size_t len = strlen(name);
	struct fuse_dirent *d = next_dirent(f, len, e);

	if (!d)
		return false;
	d->ino = ino;
	d->off = off;
	d->namelen = (uint32_t)len;
	d->type = type;
	memcpy(d->name, name, len);
	return true;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* One entry of the host's directory. A plus entry that cannot be looked up has nodeid 0: the guest asks itself. */
static bool add_host(struct fill *f, const struct host_dirent *d)
{
	struct fs_req *r = f->r;
	struct fuse_entry_out *e;
	struct fs_inode *i;
	struct statx st;
	uint64_t ino = fs_guest_ino(r->node->domain, d->ino);

	/* what is above a share is none of the guest's business */
	if ((r->node->flags & FS_I_FIXED) && strcmp(d->name, "..") == 0)
		ino = FS_NODE_ROOT;
	if (!add(f, d->name, ino, d->type, (uint64_t)d->off, &e))
		return false;
	if (e && !is_dots(d->name) && fs_inode_lookup(r->fs, r->node, d->name, &i, &st) == 0) {
		fs_entry_fill(r->fs, r->node, i, &st, e);
		fs_inode_put(r->fs, i);
	}
	return true;
}

/* Bytes of getdents64() records that about fill the rest of the reply; 0: full enough. */
static size_t ask_for(const struct fill *f)
{
	size_t left = f->cap - f->r->outlen, n = f->plus ? left / 6 : left / 4 * 3;

	if (n > BUF_LEN)
		n = BUF_LEN;
	if (n < RECORD_MAX)
		n = f->r->outlen ? 0 : RECORD_MAX;
	return n;
}

static int read_host(struct fill *f, struct fs_handle *h, uint64_t off)
{
	char *buf = (char *)f->r->w->in + BUF_OFF;
	size_t n;

	if (h->pos != off) {
		if (lseek(h->fd, (off_t)off, SEEK_SET) < 0)
			return -errno;
		h->pos = off;
	}
	while ((n = ask_for(f)) > 0) {
		long got = syscall(SYS_getdents64, h->fd, buf, n);

		if (got < 0)
			return f->r->outlen ? 0 : -errno;
		if (got == 0)
			break;
		for (long at = 0; at < got;) {
			const struct host_dirent *d = (const void *)(buf + at);

			if (!add_host(f, d)) {
				h->pos = POS_UNKNOWN; /* beyond what the guest has got */
				/* not even one fits */
				return f->r->outlen ? 0 : -EINVAL;
			}
			h->pos = (uint64_t)d->off;
			at += d->reclen;
		}
	}
	return 0;
}

/* The synthetic root: ".", "..", then the shares, whose offsets are their slots. */
static int read_root(struct fill *f, uint64_t off)
{
	char name[NAME_MAX + 1];
	struct fuse_entry_out *e;
	uint64_t ino, at;
	uint32_t type;

	for (; off < 2; off++)
		if (!add(f, off ? ".." : ".", FS_NODE_ROOT, DT_DIR, off + 1, &e))
			return 0;
	at = off - 2;
	while (fs_share_next(f->r->fs, &at, name, &ino, &type))
		if (!add(f, name, ino, type >> 12, at + 2, &e))
			break;
	return 0;
}

static int read_dir(struct fs_req *r, bool plus)
{
	const struct fuse_read_in *in = (const void *)r->arg;
	const uint64_t off = in->offset;
	struct fill f = { .r = r, .cap = in->size < r->room ? in->size : r->room, .plus = plus };
	struct fs_handle *h;
	pthread_mutex_t *lock;
	int err;

	if (!r->node)
		return read_root(&f, off);
	if (off > INT64_MAX)
		return -EINVAL;
	err = fs_handle_get(r->fs, r->node, in->fh, FS_H_DIR, &h);
	if (err)
		return err;
	lock = &r->fs->dir_lock[h->id % 16];
	pthread_mutex_lock(lock);
	err = read_host(&f, h, off);
	pthread_mutex_unlock(lock);
	fs_handle_put(r->fs, h);
	return err;
}

int fs_op_readdir(struct fs_req *r)
{
	return read_dir(r, false);
}

int fs_op_readdirplus(struct fs_req *r)
{
	return read_dir(r, true);
}
