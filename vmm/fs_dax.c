/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DAX: a window of guest physical addresses in which the guest sees pages of the host's page cache (virtio 1.2,
 * 5.11.6.4). Worker threads map and unmap, the control thread when a share goes, a vCPU thread when a page cannot be
 * had. The guest controls which file, which offset and which place in the window.
 *
 * Theory of operation. The window is one mapping of this process and one memory slot of the VM, both read-only from
 * beginning to end: what is not mapped reads as zeros, and a write never reaches a page, whatever the guest's kernel
 * thinks it may do. It is divided into units of 2 MiB, the size that Linux guests map by; each shows one aligned piece
 * of one file or nothing. SETUPMAPPING puts a shared mapping of the file over the unit, REMOVEMAPPING puts zeros back;
 * the kernel takes the old pages out of the VM before either returns.
 *
 * Only files of shares that were given with CTL_SHARE_DAX, which are read-only, are shown, and only from DAX_MIN bytes
 * on: a unit holds one file, so small ones would use the window up and are cheaper to read. Whether a file is shown so
 * is decided when it is looked up first, since Linux decides it once for an inode, too.
 *
 * A page behind the end of a file that was truncated under its mapping, or that the disk cannot read, cannot be had:
 * KVM_RUN fails with EFAULT. fs_dax_broken() finds out whether that was it, and the vCPU thread gives the guest an
 * exception that becomes SIGBUS in the process that touched it (vcpu.c).
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"
#include "log.h"

#define PAGE 4096u
#define UNIT_MASK (FS_DAX_UNIT - 1)
#define DAX_MIN 65536u

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

int fs_set_window(struct virtio_dev *d, uint64_t gpa, uint64_t size)
{
	struct fs *fs = (struct fs *)d;
	uint64_t units = size / FS_DAX_UNIT;
	uint8_t *map;

	if (fs->window || size == 0 || (size & UNIT_MASK) || (gpa & UNIT_MASK) || size > FS_WINDOW_MAX)
		return -EINVAL;
	fs->unit = calloc(units, sizeof(*fs->unit));
	if (!fs->unit)
		return -ENOMEM;
	/* aligned as the guest has it, so that whoever can map more than a page at a time does */
	map = mmap(NULL, size + FS_DAX_UNIT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		free(fs->unit);
		fs->unit = NULL;
		return -ENOMEM;
	}
	fs->window_map = map;
	fs->window = (uint8_t *)(((uintptr_t)map + UNIT_MASK) & ~(uintptr_t)UNIT_MASK);
	fs->units = (uint32_t)units;
	if (mprotect(fs->window, size, PROT_READ)) {
		int err = errno;

		fs_dax_free(fs);
		return -err;
	}
	madvise(fs->window, size, MADV_DONTDUMP);
	d->shm = (struct virtio_shm){ .gpa = gpa, .len = size };
	return 0;
}

void *fs_window(const struct virtio_dev *d)
{
	return ((const struct fs *)d)->window;
}

void fs_dax_free(struct fs *fs)
{
	if (fs->window_map)
		munmap(fs->window_map, (uint64_t)fs->units * FS_DAX_UNIT + FS_DAX_UNIT);
	free(fs->unit);
	fs->window = fs->window_map = NULL;
	fs->unit = NULL;
	fs->units = 0;
}

bool fs_dax_wants(const struct fs *fs, const struct fs_share *s, const struct statx *st)
{
	return fs->window && (s->flags & CTL_SHARE_DAX) && !s->pseudo && S_ISREG(st->stx_mode) &&
	       st->stx_size >= DAX_MIN;
}

/*
 * Units [first, first + n) show fd from off on; fd -1: zeros. window_lock held. A failure would leave a hole, in which
 * the next mapping of this process would be the guest's to read: rather the VM ends.
 */
static void cover(struct fs *fs, uint32_t first, uint32_t n, int fd, uint64_t off)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	void *at = fs->window + (uint64_t)first * FS_DAX_UNIT;

	if (mmap(at, (uint64_t)n * FS_DAX_UNIT, PROT_READ, flags | MAP_FIXED, fd, (off_t)off) == MAP_FAILED) {
		log_line("the DAX window cannot be mapped: %s", strerror(errno));
		abort();
	}
}

/* Take what one unit shows out of the books. window_lock held; the caller covers it. */
static void forget_unit(struct fs *fs, uint32_t n)
{
	struct fs_unit *u = &fs->unit[n];

	if (!u->mapped)
		return;
	u->mapped = false;
	atomic_fetch_sub(&fs->share[u->share].users, 1);
}

static void clear(struct fs *fs, uint32_t first, uint32_t n)
{
	for (uint32_t k = first; k < first + n; k++)
		forget_unit(fs, k);
	cover(fs, first, n, -1, 0);
}

/* The units of [off, off + len) of the window. 0 or -EINVAL. */
static int range_of(const struct fs *fs, uint64_t off, uint64_t len, uint32_t *first, uint32_t *n)
{
	uint64_t size = (uint64_t)fs->units * FS_DAX_UNIT;

	if (((off | len) & UNIT_MASK) || len == 0 || off > size || len > size - off)
		return -EINVAL;
	*first = (uint32_t)(off / FS_DAX_UNIT);
	*n = (uint32_t)(len / FS_DAX_UNIT);
	return 0;
}

static int show(struct fs_req *r, uint32_t first, uint32_t n, int fd, uint64_t off)
{
	struct fs *fs = r->fs;
	int err = 0;

	pthread_mutex_lock(&fs->window_lock);
	atomic_fetch_add(&r->share->users, n);
	if (r->share->dead) {
		atomic_fetch_sub(&r->share->users, n);
		err = -ESTALE;
	} else {
		for (uint32_t k = first; k < first + n; k++) {
			forget_unit(fs, k);
			fs->unit[k] = (struct fs_unit){
				.mapped = true,
				.share = r->node->share,
				.node = r->node->id,
				.off = off + (uint64_t)(k - first) * FS_DAX_UNIT,
			};
		}
		cover(fs, first, n, fd, off);
	}
	pthread_mutex_unlock(&fs->window_lock);
	return err;
}

int fs_op_setupmapping(struct fs_req *r)
{
	const struct fuse_setupmapping_in *in = (const void *)r->arg;
	uint32_t first, n;
	void *trial;
	int fd, err;

	if (!r->fs->window)
		return -ENOSYS;
	if (in->flags & FUSE_SETUPMAPPING_FLAG_WRITE)
		return -EROFS;
	err = range_of(r->fs, in->moffset, in->len, &first, &n);
	if (err || !(r->node->flags & FS_I_DAX) || (in->foffset & UNIT_MASK) ||
	    in->foffset > (uint64_t)INT64_MAX - in->len)
		return -EINVAL;
	fd = fs_inode_open(r->fs, r->node, O_RDONLY);
	if (fd < 0)
		return fd;
	/* Where it does no harm: can this file be mapped? */
	trial = mmap(NULL, in->len, PROT_READ, MAP_SHARED, fd, (off_t)in->foffset);
	if (trial == MAP_FAILED) {
		err = -errno;
	} else {
		munmap(trial, in->len);
		err = show(r, first, n, fd, in->foffset);
	}
	fs_fd_close(r->fs, fd);
	return err;
}

int fs_op_removemapping(struct fs_req *r)
{
	const struct fuse_removemapping_in *in = (const void *)r->arg;
	struct fuse_removemapping_one one; /* in the message they lie where 4 bytes are aligned */
	uint32_t first, n;
	int err = 0;

	if (!r->fs->window)
		return -ENOSYS;
	if (in->count > (r->arglen - sizeof(*in)) / sizeof(one))
		return -EINVAL;
	pthread_mutex_lock(&r->fs->window_lock);
	for (uint32_t k = 0; k < in->count && !err; k++) {
		memcpy(&one, r->arg + sizeof(*in) + k * sizeof(one), sizeof(one));
		err = range_of(r->fs, one.moffset, one.len, &first, &n);
		if (!err)
			clear(r->fs, first, n);
	}
	pthread_mutex_unlock(&r->fs->window_lock);
	return err;
}

void fs_dax_drop(struct fs *fs, int share)
{
	if (!fs->window)
		return;
	pthread_mutex_lock(&fs->window_lock);
	for (uint32_t k = 0; k < fs->units; k++)
		if (fs->unit[k].mapped && (share < 0 || fs->unit[k].share == share))
			clear(fs, k, 1);
	pthread_mutex_unlock(&fs->window_lock);
}

/*
 * Bytes of the unit that the guest believes to be in the file. Nearly every file ends within a unit, and what is behind
 * its end cannot be read either, but no guest looks there.
 */
static uint64_t believed(struct fs *fs, const struct fs_unit *u)
{
	struct fs_inode *i = fs_pool_get(&fs->inodes, u->node);
	uint64_t size;

	if (!i)
		return 0; /* forgotten: nobody has it mapped */
	size = atomic_load_explicit(&i->told_size, memory_order_relaxed);
	fs_inode_put(fs, i);
	if (size <= u->off)
		return 0;
	return size - u->off < FS_DAX_UNIT ? size - u->off : FS_DAX_UNIT;
}

bool fs_dax_broken(struct virtio_dev *d)
{
	struct fs *fs = (struct fs *)d;
	bool broken = false;

	if (!fs || !fs->window)
		return false;
	pthread_mutex_lock(&fs->window_lock);
	for (uint32_t k = 0; k < fs->units && !broken; k++) {
		uint64_t len = fs->unit[k].mapped ? believed(fs, &fs->unit[k]) : 0;

		/* what can be read is read now: once for each fault of this kind, up to the window's size */
		broken = len &&
			 madvise(fs->window + (uint64_t)k * FS_DAX_UNIT, (len + PAGE - 1) & ~(uint64_t)(PAGE - 1),
				 MADV_POPULATE_READ) &&
			 errno == EFAULT;
	}
	pthread_mutex_unlock(&fs->window_lock);
	return broken;
}
