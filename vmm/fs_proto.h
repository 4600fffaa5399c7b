/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE as <linux/fuse.h> has it, and what newer guests speak beyond that header. Numbers and layouts are the kernel's
 * user interface.
 */
#ifndef HUSK_VMM_FS_PROTO_H
#define HUSK_VMM_FS_PROTO_H

#include <linux/fuse.h>
#include <stdint.h>

/* Version 7.39 added FUSE_STATX; 7.31 is the first that virtio-fs uses. */
#define FS_MINOR 39u
#define FS_MINOR_MIN 31u

#define FS_OP_STATX 52u
#define FS_INIT_INODE_DAX (1ull << 33) /* FS_ATTR_DAX says which files are DAX */
#define FS_ATTR_DAX 2u
#define FS_INIT_DIRECT_IO_MMAP (1ull << 36) /* shared mappings of FOPEN_DIRECT_IO files */
#define FS_INIT_ALLOW_IDMAP (1ull << 40)    /* the guest may make id-mapped mounts of the file system */

struct fs_sx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t zero;
};

struct fs_sx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, zero;
	uint64_t ino, size, blocks, attributes_mask;
	struct fs_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare[14];
};

struct fs_statx_in {
	uint32_t getattr_flags, zero;
	uint64_t fh;
	uint32_t sx_flags, sx_mask;
};

struct fs_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	struct fs_sx stat;
};

_Static_assert(sizeof(struct fs_sx) == 256, "layout of struct fuse_statx");
_Static_assert(sizeof(struct fs_statx_out) == 288, "layout of struct fuse_statx_out");
_Static_assert(sizeof(struct fuse_in_header) == 40 && sizeof(struct fuse_out_header) == 16, "FUSE headers");

#endif
