/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The file server's semantics: data, attributes, ownership, extended attributes, directories, caching. What is expected
 * is what the host's own file system does. Some of it needs root.
 */
#include <dirent.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>

#include "tests/unit/fs_env.h"

static uint8_t pattern[1 << 20], back[1 << 20];

static void fill_pattern(unsigned int seed)
{
	for (size_t n = 0; n < sizeof(pattern); n++)
		pattern[n] = (uint8_t)((n * 131 + seed) >> 3);
}

static struct stat host_stat(const struct env *e, const char *name)
{
	struct stat st = { 0 };

	CHECK_EQ(lstat(host(e, name), &st), 0);
	return st;
}

/* ---- data ---- */

TEST(data_written_is_data_read_at_any_size)
{
	static const uint32_t sizes[] = { 1, 7, 4095, 4096, 4097, 65536, 1048575, 1048576 };
	struct fc_created f;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		uint64_t off = n * 3333333;

		fill_pattern((unsigned int)n);
		CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, off, pattern, sizes[n], 0, 0), sizes[n]);
		CHECK_EQ(fc_read(&e.c, f.entry.nodeid, f.open.fh, off, back, sizes[n]), sizes[n]);
		CHECK_MEM(back, pattern, sizes[n]);
	}
	/* at and behind the end */
	CHECK_EQ(fc_read(&e.c, f.entry.nodeid, f.open.fh, 1ull << 40, back, 10), 0);
	env_close(&e);
}

TEST(data_in_many_elements_is_the_same)
{
	struct fuse_write_in in = { .size = 100000 };
	struct fuse_read_in rd = { .size = 100000 };
	struct fc_created f;
	struct env e;
	size_t len;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	in.fh = rd.fh = f.open.fh;
	fill_pattern(5);
	for (size_t split = 1; split < 70000; split = split * 3 + 1) {
		in.offset = rd.offset = split * 7;
		len = fc_build(&e.c, FUSE_WRITE, f.entry.nodeid, &in, sizeof(in), pattern, in.size);
		CHECK_EQ(fc_raw(&e.c, 1, fc_in, len, fc_out, 24, split), 24);
		len = fc_build(&e.c, FUSE_READ, f.entry.nodeid, &rd, sizeof(rd), NULL, 0);
		CHECK_EQ(fc_raw(&e.c, 1, fc_in, len, fc_out, 16 + rd.size, split), 16 + rd.size);
		CHECK_MEM(fc_out + 16, pattern, rd.size);
	}
	env_close(&e);
}

TEST(files_beyond_4_gib_and_sparse)
{
	const uint64_t far = 5ull << 30;
	struct fuse_lseek_in ls = { .whence = SEEK_DATA };
	struct fuse_lseek_out lo;
	struct fc_created f;
	struct fuse_attr a;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, far, "end", 3, 0, 0), 3);
	CHECK(fc_getattr(&e.c, f.entry.nodeid, &a) > 0);
	CHECK_EQ(a.size, far + 3);
	CHECK(a.blocks < 1000);
	CHECK_EQ(fc_read(&e.c, f.entry.nodeid, f.open.fh, far, back, 100), 3);
	CHECK_MEM(back, "end", 3);
	CHECK_EQ(fc_read(&e.c, f.entry.nodeid, f.open.fh, 0, back, 4096), 4096);
	CHECK(back[0] == 0 && back[4095] == 0);
	ls.fh = f.open.fh;
	CHECK_EQ(fc_call(&e.c, FUSE_LSEEK, f.entry.nodeid, &ls, sizeof(ls), NULL, 0, &lo, sizeof(lo)), sizeof(lo));
	CHECK_EQ(lo.offset, far);
	ls.whence = SEEK_HOLE;
	CHECK_EQ(fc_call(&e.c, FUSE_LSEEK, f.entry.nodeid, &ls, sizeof(ls), NULL, 0, &lo, sizeof(lo)), sizeof(lo));
	CHECK_EQ(lo.offset, 0);
	ls.offset = far + 3;
	CHECK_EQ(fc_call(&e.c, FUSE_LSEEK, f.entry.nodeid, &ls, sizeof(ls), NULL, 0, &lo, sizeof(lo)), -ENXIO);
	ls.whence = SEEK_SET;
	CHECK_EQ(fc_call(&e.c, FUSE_LSEEK, f.entry.nodeid, &ls, sizeof(ls), NULL, 0, &lo, sizeof(lo)), -EINVAL);
	env_close(&e);
}

TEST(offsets_and_sizes_that_lie)
{
	struct fuse_write_in in = { .size = 100 };
	struct fuse_read_in rd = { .size = UINT32_MAX };
	struct fuse_write_out wo;
	struct fc_created f;
	struct env e;
	size_t len;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	in.fh = rd.fh = f.open.fh;
	/* more than there is */
	CHECK_EQ(fc_call(&e.c, FUSE_WRITE, f.entry.nodeid, &in, sizeof(in), "x", 1, &wo, sizeof(wo)), -EINVAL);
	in.size = UINT32_MAX;
	CHECK_EQ(fc_call(&e.c, FUSE_WRITE, f.entry.nodeid, &in, sizeof(in), "x", 1, &wo, sizeof(wo)), -EINVAL);
	in.size = 1;
	in.offset = UINT64_MAX;
	CHECK_EQ(fc_call(&e.c, FUSE_WRITE, f.entry.nodeid, &in, sizeof(in), "x", 1, &wo, sizeof(wo)), -EINVAL);
	in.offset = INT64_MAX;
	CHECK(fc_call(&e.c, FUSE_WRITE, f.entry.nodeid, &in, sizeof(in), "x", 1, &wo, sizeof(wo)) < 0);
	/* a read larger than the buffer fills the buffer */
	fill_pattern(1);
	CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, 0, pattern, 5000, 0, 0), 5000);
	len = fc_build(&e.c, FUSE_READ, f.entry.nodeid, &rd, sizeof(rd), NULL, 0);
	CHECK_EQ(fc_raw(&e.c, 1, fc_in, len, fc_out, 16 + 100, 0), 16 + 100);
	CHECK_EQ(fc_raw(&e.c, 1, fc_in, len, fc_out, 16, 0), 16);
	rd.offset = UINT64_MAX;
	CHECK_EQ(fc_call(&e.c, FUSE_READ, f.entry.nodeid, &rd, sizeof(rd), NULL, 0, back, 100), -EINVAL);
	rd.offset = INT64_MAX - 10;
	CHECK_EQ(fc_call(&e.c, FUSE_READ, f.entry.nodeid, &rd, sizeof(rd), NULL, 0, back, 100) <= 0, 1);
	env_close(&e);
}

TEST(handles_are_checked)
{
	struct fuse_open_out r, w;
	uint64_t node, other, dirfh;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "hello");
	put_file(host(&e, "g"), "world");
	node = walk(&e, "f");
	other = walk(&e, "g");
	CHECK(fc_openf(&e.c, node, O_RDONLY, &r) > 0);
	CHECK(fc_openf(&e.c, node, O_WRONLY, &w) > 0);
	CHECK_EQ(fc_write(&e.c, node, r.fh, 0, "x", 1, 0, 0), -EBADF);
	CHECK_EQ(fc_read(&e.c, node, w.fh, 0, back, 1), -EBADF);
	CHECK_EQ(fc_read(&e.c, other, r.fh, 0, back, 1), -EBADF);
	CHECK_EQ(fc_read(&e.c, node, r.fh + 1, 0, back, 1), -EBADF);
	CHECK_EQ(fc_read(&e.c, node, r.fh + (1ull << 32), 0, back, 1), -EBADF);
	CHECK_EQ(fc_read(&e.c, node, 0, 0, back, 1), -EBADF);
	CHECK_EQ(fc_read(&e.c, node, UINT64_MAX, 0, back, 1), -EBADF);
	CHECK(fc_opendir(&e.c, e.vol, &dirfh) > 0);
	CHECK_EQ(fc_read(&e.c, e.vol, dirfh, 0, back, 1), -EBADF);
	CHECK_EQ(fc_readdir(&e.c, false, node, r.fh, 0, back, 1000), -EBADF);
	CHECK_EQ(fc_release(&e.c, node, r.fh), 0);
	CHECK_EQ(fc_release(&e.c, node, r.fh), -EBADF);
	CHECK_EQ(fc_read(&e.c, node, r.fh, 0, back, 1), -EBADF);
	CHECK_EQ(fc_openf(&e.c, node, 3, &r), -EINVAL);
	CHECK_EQ(fc_openf(&e.c, e.vol, O_RDONLY, &r), -EISDIR);
	CHECK_EQ(fc_opendir(&e.c, node, &dirfh), -ENOTDIR);
	env_close(&e);
}

TEST(append_goes_to_the_end_that_the_host_has)
{
	struct fuse_open_out o;
	uint64_t node;
	struct env e;
	char buf[32];
	int fd;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "log"), "one\n");
	node = walk(&e, "log");
	CHECK(fc_openf(&e.c, node, O_WRONLY | O_APPEND, &o) > 0);
	put_file(host(&e, "log"), "somebody else\n");
	/* the guest still believes in 4 bytes */
	CHECK_EQ(fc_write(&e.c, node, o.fh, 4, "two\n", 4, O_WRONLY | O_APPEND, 0), 4);
	/* dirty pages go where they belong, even through this file */
	CHECK_EQ(fc_write(&e.c, node, o.fh, 0, "S", 1, O_WRONLY | O_APPEND, FUSE_WRITE_CACHE), 1);
	memset(buf, 0, sizeof(buf));
	fd = open(host(&e, "log"), O_RDONLY);
	CHECK_EQ(read(fd, buf, 31), 18);
	close(fd);
	CHECK_STR(buf, "Somebody else\ntwo\n");
	env_close(&e);
}

TEST(open_truncates_atomically)
{
	struct fuse_open_out o;
	struct fc_created f;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "hello");
	CHECK(fc_openf(&e.c, walk(&e, "f"), O_RDWR | O_TRUNC, &o) > 0);
	CHECK_EQ(host_stat(&e, "f").st_size, 0);
	put_file(host(&e, "f"), "hello");
	CHECK(fc_create(&e.c, e.vol, "f", O_WRONLY | O_TRUNC, 0600, 0, &f) > 0);
	CHECK_EQ(f.entry.attr.size, 0);
	CHECK_EQ(host_stat(&e, "f").st_mode & 07777, 0644);
	CHECK_EQ(fc_create(&e.c, e.vol, "f", O_WRONLY | O_EXCL, 0600, 0, &f), -EEXIST);
	env_close(&e);
}

TEST(files_deleted_while_open_live_on)
{
	struct fuse_open_out o;
	struct fuse_attr a;
	uint64_t node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "hello");
	node = walk(&e, "f");
	CHECK(fc_openf(&e.c, node, O_RDWR, &o) > 0);
	CHECK_EQ(fc_unlink(&e.c, e.vol, "f"), 0);
	CHECK_EQ(fc_read(&e.c, node, o.fh, 0, back, 10), 5);
	CHECK_EQ(fc_write(&e.c, node, o.fh, 5, "!", 1, 0, 0), 1);
	CHECK(fc_getattr(&e.c, node, &a) > 0);
	CHECK_EQ(a.nlink, 0);
	CHECK_EQ(a.size, 6);
	/* and can be opened again as long as the guest knows it */
	CHECK(fc_openf(&e.c, node, O_RDONLY, &o) > 0);
	CHECK_EQ(fc_read(&e.c, node, o.fh, 0, back, 10), 6);
	env_close(&e);
}

TEST(tmpfiles_have_no_name_until_linked)
{
	struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	struct fuse_entry_out out;
	struct fc_created f;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK_EQ(fc_call(&e.c, FUSE_TMPFILE, e.vol, &in, sizeof(in), "/", 2, &f, sizeof(f)), sizeof(f));
	CHECK_EQ(f.entry.attr.nlink, 0);
	CHECK_EQ(f.entry.attr.mode, S_IFREG | 0600);
	CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, 0, "tmp", 3, 0, 0), 3);
	CHECK(fc_link(&e.c, f.entry.nodeid, e.vol, "now", &out) > 0);
	CHECK_EQ(out.nodeid, f.entry.nodeid);
	CHECK_EQ(host_stat(&e, "now").st_size, 3);
	in.flags |= O_EXCL; /* never to be linked */
	CHECK_EQ(fc_call(&e.c, FUSE_TMPFILE, e.vol, &in, sizeof(in), "/", 2, &f, sizeof(f)), sizeof(f));
	CHECK_EQ(fc_link(&e.c, f.entry.nodeid, e.vol, "never", &out), -ENOENT);
	env_close(&e);
}

TEST(fallocate_punches_and_keeps_size)
{
	struct fuse_fallocate_in in = { .length = 1 << 20 };
	struct fc_created f;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	in.fh = f.open.fh;
	CHECK_EQ(fc_call(&e.c, FUSE_FALLOCATE, f.entry.nodeid, &in, sizeof(in), NULL, 0, NULL, 0), 0);
	CHECK_EQ(host_stat(&e, "f").st_size, 1 << 20);
	in.mode = 1; /* KEEP_SIZE */
	in.length = 2 << 20;
	CHECK_EQ(fc_call(&e.c, FUSE_FALLOCATE, f.entry.nodeid, &in, sizeof(in), NULL, 0, NULL, 0), 0);
	CHECK_EQ(host_stat(&e, "f").st_size, 1 << 20);
	CHECK(host_stat(&e, "f").st_blocks >= 4096);
	in.mode = 3; /* PUNCH_HOLE */
	CHECK_EQ(fc_call(&e.c, FUSE_FALLOCATE, f.entry.nodeid, &in, sizeof(in), NULL, 0, NULL, 0), 0);
	CHECK(host_stat(&e, "f").st_blocks < 4096);
	in.mode = 0x1000;
	CHECK_EQ(fc_call(&e.c, FUSE_FALLOCATE, f.entry.nodeid, &in, sizeof(in), NULL, 0, NULL, 0), -EOPNOTSUPP);
	in.mode = 0;
	in.offset = UINT64_MAX;
	CHECK_EQ(fc_call(&e.c, FUSE_FALLOCATE, f.entry.nodeid, &in, sizeof(in), NULL, 0, NULL, 0), -EINVAL);
	env_close(&e);
}

TEST(copy_file_range_copies_and_respects_read_only)
{
	struct fuse_copy_file_range_in in = { .len = UINT64_MAX };
	struct fuse_entry_out out;
	struct fuse_write_out wo;
	struct fuse_open_out o;
	struct fc_created f;
	uint64_t ro;
	struct env e;

	REQUIRE(env_open(&e, 0));
	REQUIRE(mkdir(host(&e, "d"), 0755) == 0);
	put_file(host(&e, "d/src"), "0123456789");
	ro = share(&e, host(&e, "d"), "ro", CTL_SHARE_RO);
	CHECK(fc_lookup(&e.c, ro, "src", &out) > 0);
	CHECK(fc_openf(&e.c, out.nodeid, O_RDONLY, &o) > 0);
	CHECK(fc_create(&e.c, e.vol, "dst", O_RDWR, 0644, 0, &f) > 0);
	in.fh_in = o.fh;
	in.off_in = 4;
	in.nodeid_out = f.entry.nodeid;
	in.fh_out = f.open.fh;
	in.off_out = 2;
	in.len = 100;
	CHECK_EQ(fc_call(&e.c, FUSE_COPY_FILE_RANGE, out.nodeid, &in, sizeof(in), NULL, 0, &wo, sizeof(wo)),
		 sizeof(wo));
	CHECK_EQ(wo.size, 6);
	CHECK_EQ(fc_read(&e.c, f.entry.nodeid, f.open.fh, 0, back, 100), 8);
	CHECK_MEM(back, "\0\000456789", 8);
	/* into the read-only share */
	in.fh_in = f.open.fh;
	in.nodeid_out = out.nodeid;
	in.fh_out = o.fh;
	CHECK_EQ(fc_call(&e.c, FUSE_COPY_FILE_RANGE, f.entry.nodeid, &in, sizeof(in), NULL, 0, &wo, sizeof(wo)),
		 -EROFS);
	in.nodeid_out = 12345;
	CHECK_EQ(fc_call(&e.c, FUSE_COPY_FILE_RANGE, f.entry.nodeid, &in, sizeof(in), NULL, 0, &wo, sizeof(wo)),
		 -ESTALE);
	env_close(&e);
}

TEST(sync_operations_answer)
{
	struct fuse_fsync_in fi = { 0 };
	struct fuse_flush_in fl = { 0 };
	struct fuse_syncfs_in sf = { 0 };
	struct fc_created f;
	uint64_t fh;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	fi.fh = fl.fh = f.open.fh;
	CHECK_EQ(fc_call(&e.c, FUSE_FSYNC, f.entry.nodeid, &fi, sizeof(fi), NULL, 0, NULL, 0), 0);
	fi.fsync_flags = FUSE_FSYNC_FDATASYNC;
	CHECK_EQ(fc_call(&e.c, FUSE_FSYNC, f.entry.nodeid, &fi, sizeof(fi), NULL, 0, NULL, 0), 0);
	CHECK_EQ(fc_call(&e.c, FUSE_FLUSH, f.entry.nodeid, &fl, sizeof(fl), NULL, 0, NULL, 0), 0);
	CHECK(fc_opendir(&e.c, e.vol, &fh) > 0);
	fi.fh = fh;
	CHECK_EQ(fc_call(&e.c, FUSE_FSYNCDIR, e.vol, &fi, sizeof(fi), NULL, 0, NULL, 0), 0);
	CHECK_EQ(fc_call(&e.c, FUSE_SYNCFS, e.vol, &sf, sizeof(sf), NULL, 0, NULL, 0), 0);
	CHECK_EQ(fc_call(&e.c, FUSE_SYNCFS, FUSE_ROOT_ID, &sf, sizeof(sf), NULL, 0, NULL, 0), 0);
	CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, 0, "x", 1, O_RDWR | O_SYNC, 0), 1);
	CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, 0, "x", 1, O_RDWR | O_DSYNC | O_APPEND, 0), 1);
	CHECK_EQ(host_stat(&e, "f").st_size, 2);
	env_close(&e);
}

/* ---- attributes ---- */

TEST(attributes_are_the_host_s)
{
	struct fs_statx_out sx;
	struct fs_statx_in si = { .sx_mask = STATX_BASIC_STATS | STATX_BTIME };
	struct fuse_attr a;
	struct stat st;
	uint64_t node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "hello");
	REQUIRE(chmod(host(&e, "f"), 04751) == 0);
	node = walk(&e, "f");
	CHECK(fc_getattr(&e.c, node, &a) > 0);
	st = host_stat(&e, "f");
	CHECK_EQ(a.ino, st.st_ino);
	CHECK_EQ(a.size, st.st_size);
	CHECK_EQ(a.blocks, st.st_blocks);
	CHECK_EQ(a.mode, st.st_mode);
	CHECK_EQ(a.nlink, st.st_nlink);
	CHECK_EQ(a.uid, st.st_uid);
	CHECK_EQ(a.gid, st.st_gid);
	CHECK_EQ(a.mtime, st.st_mtim.tv_sec);
	CHECK_EQ(a.mtimensec, st.st_mtim.tv_nsec);
	CHECK_EQ(a.ctimensec, st.st_ctim.tv_nsec);
	CHECK_EQ(a.atimensec, st.st_atim.tv_nsec);
	CHECK_EQ(a.blksize, st.st_blksize);
	CHECK_EQ(fc_call(&e.c, FS_OP_STATX, node, &si, sizeof(si), NULL, 0, &sx, sizeof(sx)), sizeof(sx));
	CHECK_EQ(sx.stat.ino, st.st_ino);
	CHECK_EQ(sx.stat.mode, st.st_mode);
	CHECK_EQ(sx.stat.size, 5);
	CHECK(sx.stat.mask & STATX_BTIME);
	CHECK(sx.stat.btime.sec > 1500000000);
	CHECK_EQ(fc_call(&e.c, FS_OP_STATX, FUSE_ROOT_ID, &si, sizeof(si), NULL, 0, &sx, sizeof(sx)), sizeof(sx));
	CHECK_EQ(sx.stat.mode, S_IFDIR | 0555);
	env_close(&e);
}

TEST(setattr_sets_what_it_says_and_nothing_else)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = S_IFREG | 06711 };
	struct fc_created f;
	struct stat st;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &in) > 0);
	CHECK_EQ(host_stat(&e, "f").st_mode & 07777, 06711);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 12345 };
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &in) > 0);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_FH, .size = 4321, .fh = f.open.fh };
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &in) > 0);
	CHECK_EQ(host_stat(&e, "f").st_size, 4321);
	in = (struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtime = 1000000001, .mtimensec = 123456789, .atime = 5 };
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &in) > 0);
	st = host_stat(&e, "f");
	CHECK_EQ(st.st_mtim.tv_sec, 1000000001);
	CHECK_EQ(st.st_mtim.tv_nsec, 123456789);
	CHECK(st.st_atim.tv_sec > 5);
	in = (struct fuse_setattr_in){ .valid = FATTR_ATIME | FATTR_MTIME | FATTR_MTIME_NOW, .atime = 77 };
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &in) > 0);
	st = host_stat(&e, "f");
	CHECK_EQ(st.st_atim.tv_sec, 77);
	CHECK(st.st_mtim.tv_sec > 1000000001);
	CHECK_EQ(st.st_mode & 07777, 06711);
	CHECK_EQ(st.st_size, 4321);
	/* lies */
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = UINT64_MAX };
	CHECK_EQ(fc_setattr(&e.c, f.entry.nodeid, &in), -EFBIG);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_FH, .fh = 99 };
	CHECK_EQ(fc_setattr(&e.c, f.entry.nodeid, &in), -EBADF);
	in = (struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtimensec = 2000000000 };
	CHECK_EQ(fc_setattr(&e.c, f.entry.nodeid, &in), -EINVAL);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE };
	CHECK_EQ(fc_setattr(&e.c, e.vol, &in), -EISDIR);
	env_close(&e);
}

TEST(times_of_links_sockets_and_fifos_can_be_set)
{
	struct fuse_setattr_in in = { .valid = FATTR_MTIME, .mtime = 1000000002 };
	struct fuse_entry_out out;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_symlink(&e.c, e.vol, "l", "/nowhere", &out) > 0);
	CHECK(fc_setattr(&e.c, out.nodeid, &in) > 0);
	CHECK_EQ(host_stat(&e, "l").st_mtim.tv_sec, 1000000002);
	CHECK(fc_mknod(&e.c, e.vol, "fifo", S_IFIFO | 0644, 0, &out) > 0);
	CHECK(fc_setattr(&e.c, out.nodeid, &in) > 0);
	CHECK_EQ(host_stat(&e, "fifo").st_mtim.tv_sec, 1000000002);
	in = (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0600 };
	CHECK(fc_setattr(&e.c, out.nodeid, &in) > 0);
	CHECK_EQ(host_stat(&e, "fifo").st_mode, S_IFIFO | 0600);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE };
	CHECK_EQ(fc_setattr(&e.c, out.nodeid, &in), -EINVAL);
	env_close(&e);
}

TEST(statfs_is_the_share_s)
{
	struct fuse_statfs_out out;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK_EQ(fc_call(&e.c, FUSE_STATFS, e.vol, NULL, 0, NULL, 0, &out, sizeof(out)), sizeof(out));
	CHECK(out.st.blocks > 0 && out.st.bsize > 0 && out.st.namelen == 255);
	CHECK_EQ(fc_call(&e.c, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0, NULL, 0, &out, sizeof(out)), sizeof(out));
	env_close(&e);
}

/* ---- ownership ---- */

TEST(what_a_user_creates_is_the_users)
{
	struct fuse_create_in tin = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	struct fuse_entry_out out;
	struct fc_created f;
	struct env e;

	if (geteuid() != 0)
		return;
	REQUIRE(env_open(&e, 0));
	REQUIRE(chmod(e.dir, 0700) == 0); /* the guest's kernel has decided already */
	e.c.uid = 1234;
	e.c.gid = 5678;
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0666, 027, &f) > 0);
	CHECK_EQ(f.entry.attr.uid, 1234);
	CHECK_EQ(f.entry.attr.gid, 5678);
	CHECK_EQ(f.entry.attr.mode, S_IFREG | 0640);
	CHECK(fc_mkdir(&e.c, e.vol, "d", 0777, &out) > 0);
	CHECK_EQ(out.attr.uid, 1234);
	CHECK_EQ(out.attr.mode, S_IFDIR | 0777);
	CHECK(fc_symlink(&e.c, e.vol, "l", "x", &out) > 0);
	CHECK_EQ(out.attr.uid, 1234);
	CHECK(fc_mknod(&e.c, e.vol, "p", S_IFIFO | 0600, 0, &out) > 0);
	CHECK_EQ(out.attr.gid, 5678);
	CHECK_EQ(fc_call(&e.c, FUSE_TMPFILE, e.vol, &tin, sizeof(tin), "/", 2, &f, sizeof(f)), sizeof(f));
	CHECK_EQ(f.entry.attr.uid, 1234);
	e.c.uid = e.c.gid = 0;
	CHECK(fc_mkdir(&e.c, e.vol, "rootd", 0755, &out) > 0);
	CHECK_EQ(out.attr.uid, 0);
	CHECK_EQ(out.attr.gid, 0);
	/* no such id */
	e.c.uid = UINT32_MAX;
	CHECK_EQ(fc_mkdir(&e.c, e.vol, "nobody", 0755, &out), -EOVERFLOW);
	CHECK(access(host(&e, "nobody"), F_OK) != 0);
	env_close(&e);
}

TEST(set_gid_directories_give_their_group)
{
	struct fuse_entry_out out;
	struct fc_created f;
	struct env e;

	if (geteuid() != 0)
		return;
	REQUIRE(env_open(&e, 0));
	REQUIRE(mkdir(host(&e, "d"), 0755) == 0);
	REQUIRE(chown(host(&e, "d"), 0, 4242) == 0);
	REQUIRE(chmod(host(&e, "d"), 02777) == 0);
	e.c.uid = 1234;
	e.c.gid = 5678;
	CHECK(fc_create(&e.c, walk(&e, "d"), "f", O_RDWR, 0644, 0, &f) > 0);
	CHECK_EQ(f.entry.attr.gid, 4242);
	CHECK(fc_mkdir(&e.c, walk(&e, "d"), "sub", 0755, &out) > 0);
	CHECK_EQ(out.attr.gid, 4242);
	CHECK_EQ(out.attr.mode, S_IFDIR | 02755);
	env_close(&e);
}

TEST(default_acls_decide_instead_of_the_umask)
{
	/* user::rwx group::rwx other::---, in the form of the attribute */
	static const uint8_t acl[] = { 2, 0, 0,	  0,   1,   0,	 7,  0, 255, 255, 255, 255, 4,	 0,
				       7, 0, 255, 255, 255, 255, 32, 0, 0,   0,	  255, 255, 255, 255 };
	struct fuse_setxattr_in in = { .size = sizeof(acl) };
	char arg[64] = "system.posix_acl_default";
	struct fc_created f;
	struct env e;

	REQUIRE(env_open(&e, 0));
	memcpy(arg + 25, acl, sizeof(acl));
	CHECK_EQ(fc_call(&e.c, FUSE_SETXATTR, e.vol, &in, sizeof(in), arg, 25 + sizeof(acl), NULL, 0), 0);
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0666, 077, &f) > 0);
	CHECK_EQ(f.entry.attr.mode, S_IFREG | 0660);
	env_close(&e);
}

TEST(writes_clear_set_id_bits_when_the_guest_says_so)
{
	struct fuse_setattr_in sa = { .valid = FATTR_MODE, .mode = 06755 };
	struct fuse_open_in oi = { .flags = O_RDWR | O_TRUNC, .open_flags = FUSE_OPEN_KILL_SUIDGID };
	struct fuse_open_out oo;
	struct fc_created f;
	struct env e;

	if (geteuid() != 0)
		return;
	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0755, 0, &f) > 0);
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &sa) > 0);
	CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, 0, "x", 1, 0, 0), 1);
	CHECK_EQ(host_stat(&e, "f").st_mode & 07777, 06755);
	CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, 0, "x", 1, 0, FUSE_WRITE_KILL_SUIDGID), 1);
	CHECK_EQ(host_stat(&e, "f").st_mode & 07777, 0755);
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &sa) > 0);
	sa = (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_KILL_SUIDGID, .size = 10 };
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &sa) > 0);
	CHECK_EQ(host_stat(&e, "f").st_mode & 07777, 0755);
	sa = (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 06755 };
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &sa) > 0);
	CHECK(fc_call(&e.c, FUSE_OPEN, f.entry.nodeid, &oi, sizeof(oi), NULL, 0, &oo, sizeof(oo)) > 0);
	CHECK_EQ(host_stat(&e, "f").st_mode & 07777, 0755);
	/* a change of owner always does, unless a mode comes with it */
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &sa) > 0);
	sa = (struct fuse_setattr_in){ .valid = FATTR_UID, .uid = 1000 };
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &sa) > 0);
	CHECK_EQ(host_stat(&e, "f").st_mode & 07777, 0755);
	CHECK_EQ(host_stat(&e, "f").st_uid, 1000);
	sa = (struct fuse_setattr_in){ .valid = FATTR_GID | FATTR_MODE, .gid = 1001, .mode = 02755 };
	CHECK(fc_setattr(&e.c, f.entry.nodeid, &sa) > 0);
	CHECK_EQ(host_stat(&e, "f").st_mode & 07777, 02755);
	CHECK_EQ(host_stat(&e, "f").st_uid, 1000);
	CHECK_EQ(host_stat(&e, "f").st_gid, 1001);
	env_close(&e);
}

/* ---- renames ---- */

TEST(rename_has_its_flags)
{
	struct stat st;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "a"), "a");
	put_file(host(&e, "b"), "bb");
	REQUIRE(mkdir(host(&e, "d"), 0755) == 0);
	CHECK_EQ(fc_rename(&e.c, e.vol, "a", e.vol, "b", RENAME_NOREPLACE), -EEXIST);
	CHECK_EQ(fc_rename(&e.c, e.vol, "a", walk(&e, "d"), "a", RENAME_NOREPLACE), 0);
	CHECK_EQ(fc_rename(&e.c, walk(&e, "d"), "a", e.vol, "b", RENAME_EXCHANGE), 0);
	CHECK_EQ(host_stat(&e, "b").st_size, 1);
	CHECK_EQ(host_stat(&e, "d/a").st_size, 2);
	CHECK_EQ(fc_rename(&e.c, e.vol, "b", e.vol, "c", RENAME_WHITEOUT), 0);
	st = host_stat(&e, "b");
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	CHECK_EQ(host_stat(&e, "c").st_size, 1);
	CHECK_EQ(fc_rename(&e.c, e.vol, "c", e.vol, "x", 8), -EINVAL);
	CHECK_EQ(fc_rename(&e.c, e.vol, "nothing", e.vol, "x", 0), -ENOENT);
	CHECK_EQ(fc_rename(&e.c, e.vol, "c", walk(&e, "c"), "x", 0), -ENOTDIR);
	env_close(&e);
}

TEST(a_renamed_file_is_the_same_node)
{
	uint64_t node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "a"), "a");
	REQUIRE(mkdir(host(&e, "d"), 0755) == 0);
	node = walk(&e, "a");
	CHECK_EQ(fc_rename(&e.c, e.vol, "a", walk(&e, "d"), "b", 0), 0);
	CHECK_EQ(walk(&e, "d/b"), node);
	CHECK_EQ(walk(&e, "a"), 0);
	/* by the host, too */
	REQUIRE(rename(host(&e, "d/b"), host(&e, "c")) == 0);
	CHECK_EQ(walk(&e, "c"), node);
	env_close(&e);
}

/* ---- extended attributes ---- */

static int64_t set_xattr(struct env *e, uint64_t node, const char *name, const void *value, uint32_t size,
			 uint32_t flags)
{
	static char buf[70000];
	struct fuse_setxattr_in in = { .size = size, .flags = flags };
	size_t n = strlen(name) + 1;

	memcpy(buf, name, n);
	memcpy(buf + n, value, size);
	return fc_call(&e->c, FUSE_SETXATTR, node, &in, sizeof(in), buf, n + size, NULL, 0);
}

static int64_t get_xattr(struct env *e, uint64_t node, const char *name, void *value, uint32_t size)
{
	struct fuse_getxattr_in in = { .size = size };
	struct fuse_getxattr_out out;
	int64_t n;

	if (size)
		return fc_call(&e->c, FUSE_GETXATTR, node, &in, sizeof(in), name, strlen(name) + 1, value, size);
	n = fc_call(&e->c, FUSE_GETXATTR, node, &in, sizeof(in), name, strlen(name) + 1, &out, sizeof(out));
	return n < 0 ? n : out.size;
}

TEST(xattrs_go_to_the_host_by_policy)
{
	struct fuse_getxattr_in li = { .size = 1000 };
	struct fuse_getxattr_out lo;
	uint64_t node;
	char buf[1000];
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	node = walk(&e, "f");
	if (set_xattr(&e, node, "user.a", "value", 5, 0) == -EOPNOTSUPP)
		return; /* the file system of /tmp has none */
	CHECK_EQ(getxattr(host(&e, "f"), "user.a", buf, 100), 5);
	CHECK_EQ(get_xattr(&e, node, "user.a", buf, 100), 5);
	CHECK_MEM(buf, "value", 5);
	CHECK_EQ(get_xattr(&e, node, "user.a", buf, 0), 5);
	CHECK_EQ(get_xattr(&e, node, "user.a", buf, 4), -ERANGE);
	CHECK_EQ(get_xattr(&e, node, "user.none", buf, 100), -ENODATA);
	CHECK_EQ(set_xattr(&e, node, "user.a", "v", 1, XATTR_CREATE), -EEXIST);
	CHECK_EQ(set_xattr(&e, node, "user.b", "v", 1, XATTR_REPLACE), -ENODATA);
	CHECK_EQ(set_xattr(&e, node, "user.empty", "", 0, 0), 0);
	CHECK_EQ(get_xattr(&e, node, "user.empty", buf, 100), 0);
	CHECK_EQ(set_xattr(&e, node, "security.selinux", "x", 1, 0), -EOPNOTSUPP);
	CHECK_EQ(get_xattr(&e, node, "security.selinux", buf, 100), -EOPNOTSUPP);
	CHECK_EQ(set_xattr(&e, node, "security.ima", "x", 1, 0), -EOPNOTSUPP);
	CHECK_EQ(set_xattr(&e, node, "system.other", "x", 1, 0), -EOPNOTSUPP);
	CHECK_EQ(set_xattr(&e, node, "user.", "x", 1, 0), -EOPNOTSUPP);
	CHECK_EQ(set_xattr(&e, node, "nonsense", "x", 1, 0), -EOPNOTSUPP);
	CHECK_EQ(fc_call(&e.c, FUSE_REMOVEXATTR, node, "security.selinux", 17, NULL, 0, NULL, 0), -EOPNOTSUPP);
	CHECK_EQ(set_xattr(&e, node, "user.husk.trusted.a", "x", 1, 0), -EPERM);
	CHECK_EQ(get_xattr(&e, node, "user.husk.trusted.a", buf, 100), -ENODATA);
	if (geteuid() == 0) {
		CHECK_EQ(set_xattr(&e, node, "trusted.overlay.opaque", "y", 1, 0), 0);
		CHECK_EQ(get_xattr(&e, node, "trusted.overlay.opaque", buf, 100), 1);
		CHECK_EQ(setxattr(host(&e, "f"), "security.husk", "hidden", 6, 0), 0);
	}
	CHECK_EQ(fc_call(&e.c, FUSE_LISTXATTR, node, &li, sizeof(li), NULL, 0, buf, 1000),
		 7 + 11 + (geteuid() == 0 ? 23 : 0));
	li.size = 0;
	CHECK_EQ(fc_call(&e.c, FUSE_LISTXATTR, node, &li, sizeof(li), NULL, 0, &lo, sizeof(lo)), sizeof(lo));
	CHECK_EQ(lo.size, 7 + 11 + (geteuid() == 0 ? 23 : 0));
	li.size = 5;
	CHECK_EQ(fc_call(&e.c, FUSE_LISTXATTR, node, &li, sizeof(li), NULL, 0, buf, 1000), -ERANGE);
	CHECK_EQ(fc_call(&e.c, FUSE_REMOVEXATTR, node, "user.a", 7, NULL, 0, NULL, 0), 0);
	CHECK_EQ(fc_call(&e.c, FUSE_REMOVEXATTR, node, "user.a", 7, NULL, 0, NULL, 0), -ENODATA);
	/* the root has none */
	CHECK_EQ(get_xattr(&e, FUSE_ROOT_ID, "user.a", buf, 100), -ENODATA);
	env_close(&e);
}

/* In a user namespace, as in the jail, the host's trusted.* is out of reach. */
static void give_up_sys_admin(void *arg)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)arg;
	syscall(SYS_capget, &hdr, data);
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	data[0].permitted &= ~(1u << CAP_SYS_ADMIN);
	syscall(SYS_capset, &hdr, data);
}

TEST(trusted_xattrs_are_kept_aside_without_the_right_to_them)
{
	struct fuse_getxattr_in li = { .size = 1000 };
	struct fuse_entry_out out;
	char buf[1000];
	struct env e;
	struct fc *c = &e.c;
	uint64_t node;

	if (geteuid() != 0)
		return;
	memset(&e, 0, sizeof(e));
	fs_prepare();
	e.fds = count_fds();
	strcpy(e.dir, "/tmp/husk-fs-XXXXXX");
	REQUIRE(mkdtemp(e.dir) && fc_open(c, 1));
	REQUIRE(fs_start(c->d, give_up_sys_admin, NULL) == 0);
	REQUIRE(fc_start(c) == 0 && fc_init(c) > 0);
	e.vol = share(&e, e.dir, "vol", 0);
	put_file(host(&e, "f"), "x");
	node = walk(&e, "f");
	if (set_xattr(&e, node, "user.a", "v", 1, 0) == -EOPNOTSUPP)
		return;
	CHECK_EQ(get_xattr(&e, node, "trusted.overlay.x", buf, 100), -ENODATA);
	CHECK_EQ(set_xattr(&e, node, "trusted.overlay.x", "yes", 3, 0), 0);
	CHECK_EQ(get_xattr(&e, node, "trusted.overlay.x", buf, 100), 3);
	CHECK_EQ(get_xattr(&e, node, "trusted.overlay.x", buf, 0), 3);
	CHECK_EQ(getxattr(host(&e, "f"), "user.husk.trusted.overlay.x", buf, 100), 3);
	CHECK_EQ(getxattr(host(&e, "f"), "trusted.overlay.x", buf, 100), -1);
	CHECK_EQ(get_xattr(&e, node, "user.husk.trusted.overlay.x", buf, 100), -ENODATA);
	CHECK_EQ(set_xattr(&e, node, "trusted.overlay.x", "no", 2, XATTR_CREATE), -EEXIST);
	CHECK_EQ(fc_call(c, FUSE_LISTXATTR, node, &li, sizeof(li), NULL, 0, buf, 1000), 7 + 18);
	CHECK(memmem(buf, 25, "trusted.overlay.x", 18));
	CHECK(!memmem(buf, 25, "husk", 4));
	CHECK_EQ(fc_call(c, FUSE_REMOVEXATTR, node, "trusted.overlay.x", 18, NULL, 0, NULL, 0), 0);
	CHECK_EQ(fc_call(c, FUSE_REMOVEXATTR, node, "trusted.overlay.x", 18, NULL, 0, NULL, 0), -ENODATA);
	/* user attributes are of files and directories only, so these are, too */
	CHECK(fc_symlink(c, e.vol, "l", "x", &out) > 0);
	CHECK_EQ(set_xattr(&e, out.nodeid, "trusted.overlay.x", "v", 1, 0), -EPERM);
	env_close(&e);
}

TEST(xattrs_of_files_that_cannot_be_opened)
{
	struct fuse_entry_out out;
	struct env e;
	char buf[10];

	if (geteuid() != 0)
		return;
	REQUIRE(env_open(&e, 0));
	CHECK(fc_symlink(&e.c, e.vol, "l", "/etc/passwd", &out) > 0);
	if (set_xattr(&e, out.nodeid, "trusted.a", "v", 1, 0) != -EOPNOTSUPP) {
		CHECK_EQ(lgetxattr(host(&e, "l"), "trusted.a", buf, 10), 1);
		CHECK_EQ(getxattr("/etc/passwd", "trusted.a", buf, 10), -1);
		CHECK_EQ(get_xattr(&e, out.nodeid, "trusted.a", buf, 10), 1);
	}
	CHECK(fc_mknod(&e.c, e.vol, "p", S_IFIFO | 0600, 0, &out) > 0);
	CHECK_EQ(set_xattr(&e, out.nodeid, "trusted.a", "v", 1, 0), 0);
	CHECK_EQ(set_xattr(&e, out.nodeid, "user.a", "v", 1, 0), -EPERM);
	env_close(&e);
}

TEST(xattr_sizes_that_lie)
{
	static char big[65537];
	struct fuse_setxattr_in in = { .size = 100 };
	uint64_t node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	node = walk(&e, "f");
	CHECK_EQ(fc_call(&e.c, FUSE_SETXATTR, node, &in, sizeof(in), "user.a\0x", 8, NULL, 0), -EINVAL);
	in.size = UINT32_MAX;
	CHECK_EQ(fc_call(&e.c, FUSE_SETXATTR, node, &in, sizeof(in), "user.a\0x", 8, NULL, 0), -E2BIG);
	CHECK_EQ(fc_call(&e.c, FUSE_SETXATTR, node, &in, sizeof(in), "user.a", 6, NULL, 0), -EINVAL);
	CHECK_EQ(set_xattr(&e, node, "user.big", big, 65537, 0), -E2BIG);
	CHECK(set_xattr(&e, node, "user.big", big, 65536, 0) <= 0); /* as large as the file system allows */
	env_close(&e);
}

/* ---- directories ---- */

static unsigned int list(struct env *e, uint64_t node, bool plus, uint32_t size, bool *seen, unsigned int n)
{
	uint64_t fh, off = 0;
	unsigned int count = 0;
	int64_t got;

	memset(seen, 0, n);
	if (fc_opendir(&e->c, node, &fh) < 0)
		return 0;
	while ((got = fc_readdir(&e->c, plus, node, fh, off, back, size)) > 0) {
		for (int64_t at = 0; at < got;) {
			size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
			struct fuse_dirent *d = (void *)(back + at + head);
			struct fuse_entry_out *en = (void *)(back + at);
			char name[NAME_MAX + 1];
			unsigned int k;

			off = d->off;
			at += (int64_t)FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d->namelen);
			count++;
			/* names in a listing have no NUL */
			snprintf(name, sizeof(name), "%.*s", (int)d->namelen, d->name);
			if (sscanf(name, "entry-%u", &k) == 1 && k < n) {
				CHECK(!seen[k]);
				seen[k] = true;
				CHECK_EQ(d->type, DT_REG);
				if (plus) {
					CHECK(en->nodeid > 1);
					CHECK_EQ(en->attr.ino, d->ino);
				}
			} else if (plus) {
				CHECK_EQ(en->nodeid, 0); /* . and .. */
			}
		}
		CHECK(got <= size);
	}
	CHECK_EQ(got, 0);
	CHECK(fc_call(&e->c, FUSE_RELEASEDIR, node, &(struct fuse_release_in){ .fh = fh },
		      sizeof(struct fuse_release_in), NULL, 0, NULL, 0) == 0);
	return count;
}

TEST(directories_list_every_entry_once_at_any_size)
{
	static const uint32_t sizes[] = { 400, 512, 1000, 4096, 32768, 65536, 131072 };
	bool seen[700];
	struct fs_stats st;
	struct env e;
	char name[32];

	REQUIRE(env_open(&e, 0));
	for (unsigned int n = 0; n < 700; n++) {
		snprintf(name, sizeof(name), "entry-%u%.*s", n, (int)(n % 20), "-some-more-name-here");
		put_file(host(&e, name), "");
	}
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (int plus = 0; plus < 2; plus++) {
			CHECK_EQ(list(&e, e.vol, plus, sizes[s], seen, 700), 702);
			for (unsigned int n = 0; n < 700; n++)
				CHECK(seen[n]);
		}
	}
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.inodes, 701);
	CHECK_EQ(st.handles, 0);
	env_close(&e);
}

TEST(directories_can_be_read_from_any_offset_again)
{
	uint64_t fh, offs[64];
	unsigned int n = 0;
	int64_t got;
	struct env e;
	char name[32];

	REQUIRE(env_open(&e, 0));
	for (unsigned int k = 0; k < 50; k++) {
		snprintf(name, sizeof(name), "entry-%u", k);
		put_file(host(&e, name), "");
	}
	REQUIRE(fc_opendir(&e.c, e.vol, &fh) > 0);
	offs[n++] = 0;
	while (n < 53 && (got = fc_readdir(&e.c, false, e.vol, fh, offs[n - 1], back, 40)) > 0) {
		offs[n] = ((struct fuse_dirent *)(void *)back)->off;
		n++;
	}
	CHECK_EQ(n, 53);
	for (unsigned int k = n - 1; k-- > 0;) {
		CHECK(fc_readdir(&e.c, false, e.vol, fh, offs[k], back, 40) > 0);
		CHECK_EQ(((struct fuse_dirent *)(void *)back)->off, offs[k + 1]);
	}
	CHECK_EQ(fc_readdir(&e.c, false, e.vol, fh, 0, back, 16), -EINVAL); /* too small for any */
	CHECK_EQ(fc_readdir(&e.c, false, e.vol, fh, UINT64_MAX, back, 400), -EINVAL);
	env_close(&e);
}

TEST(dot_dot_of_a_share_tells_nothing_about_the_host)
{
	uint64_t fh;
	int64_t got;
	struct env e;

	REQUIRE(env_open(&e, 0));
	REQUIRE(fc_opendir(&e.c, e.vol, &fh) > 0);
	got = fc_readdir(&e.c, false, e.vol, fh, 0, back, 4096);
	CHECK(got > 0);
	for (int64_t at = 0; at < got;) {
		struct fuse_dirent *d = (void *)(back + at);

		if (d->namelen == 2 && memcmp(d->name, "..", 2) == 0)
			CHECK_EQ(d->ino, FUSE_ROOT_ID);
		at += (int64_t)FUSE_DIRENT_SIZE(d);
	}
	env_close(&e);
}

TEST(removed_directories_and_wrong_kinds)
{
	struct fuse_entry_out out;
	uint64_t fh, node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_mkdir(&e.c, e.vol, "d", 0755, &out) > 0);
	node = out.nodeid;
	CHECK_EQ(fc_unlink(&e.c, e.vol, "d"), -EISDIR);
	put_file(host(&e, "f"), "");
	CHECK_EQ(fc_rmdir(&e.c, e.vol, "f"), -ENOTDIR);
	put_file(host(&e, "d/x"), "");
	CHECK_EQ(fc_rmdir(&e.c, e.vol, "d"), -ENOTEMPTY);
	CHECK(fc_opendir(&e.c, node, &fh) > 0);
	CHECK_EQ(fc_unlink(&e.c, node, "x"), 0);
	CHECK_EQ(fc_rmdir(&e.c, e.vol, "d"), 0);
	CHECK_EQ(fc_readdir(&e.c, false, node, fh, 0, back, 4096) <= 0, 1);
	CHECK_EQ(fc_mkdir(&e.c, node, "n", 0755, &out), -ENOENT);
	CHECK_EQ(fc_lookup(&e.c, node, "n", &out), -ENOENT);
	env_close(&e);
}

/* ---- what the guest may cache ---- */

static uint32_t open_flags(struct env *e, uint64_t node)
{
	struct fuse_open_out o = { 0 };

	CHECK(fc_openf(&e->c, node, O_RDONLY, &o) > 0);
	CHECK_EQ(fc_release(&e->c, node, o.fh), 0);
	return o.open_flags;
}

TEST(pages_are_kept_only_while_nobody_else_wrote)
{
	struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	uint64_t node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "one");
	node = walk(&e, "f");
	CHECK_EQ(open_flags(&e, node) & FOPEN_KEEP_CACHE, 0);
	CHECK_EQ(open_flags(&e, node) & FOPEN_KEEP_CACHE, 0); /* too new to tell */
	sleep(3);
	CHECK_EQ(open_flags(&e, node) & FOPEN_KEEP_CACHE, 0);
	CHECK_EQ(open_flags(&e, node) & FOPEN_KEEP_CACHE, FOPEN_KEEP_CACHE);
	put_file(host(&e, "f"), "two"); /* same size */
	CHECK_EQ(open_flags(&e, node) & FOPEN_KEEP_CACHE, 0);
	sleep(3);
	CHECK_EQ(open_flags(&e, node) & FOPEN_KEEP_CACHE, 0);
	CHECK_EQ(open_flags(&e, node) & FOPEN_KEEP_CACHE, FOPEN_KEEP_CACHE);
	/* written, and the modification time set back */
	put_file(host(&e, "f"), "six");
	REQUIRE(utimensat(AT_FDCWD, host(&e, "f"), old, 0) == 0);
	CHECK_EQ(open_flags(&e, node) & FOPEN_KEEP_CACHE, 0);
	env_close(&e);
}

TEST(timeouts_follow_the_kind_of_share)
{
	struct fuse_entry_out out;
	uint64_t priv;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	CHECK(fc_lookup(&e.c, e.vol, "f", &out) > 0);
	CHECK(out.entry_valid == 0 && out.attr_valid == 0);
	CHECK(out.entry_valid_nsec > 0 && out.entry_valid_nsec < 1000000);
	CHECK_EQ(fc_lookup(&e.c, e.vol, "none", &out), -ENOENT); /* not remembered */
	priv = share(&e, e.dir, "rootfs", CTL_SHARE_PRIVATE);
	CHECK(fc_lookup(&e.c, priv, "f", &out) > 0);
	CHECK(out.entry_valid >= 1 && out.attr_valid >= 1);
	CHECK_EQ(open_flags(&e, out.nodeid) & FOPEN_KEEP_CACHE, FOPEN_KEEP_CACHE);
	CHECK(fc_lookup(&e.c, priv, "none", &out) > 0); /* remembered */
	CHECK_EQ(out.nodeid, 0);
	CHECK(out.entry_valid > 0);
	/* shares themselves come and go; they belong to the file system, where they have POSIX ACLs */
	CHECK(fc_lookup(&e.c, FUSE_ROOT_ID, "rootfs", &out) > 0);
	CHECK_EQ(out.entry_valid + out.entry_valid_nsec, 0);
	CHECK_EQ(out.attr.flags, 0);
	CHECK(fc_lookup(&e.c, FUSE_ROOT_ID, "vol", &out) > 0);
	CHECK_EQ(out.attr.flags, 0);
	env_close(&e);
}

TEST(changes_of_the_host_are_seen_by_the_next_request)
{
	struct fuse_entry_out out;
	struct fuse_attr a;
	uint64_t node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	node = walk(&e, "f");
	put_file(host(&e, "f"), "longer");
	CHECK(fc_getattr(&e.c, node, &a) > 0);
	CHECK_EQ(a.size, 6);
	put_file(host(&e, "g"), "replaced");
	REQUIRE(rename(host(&e, "g"), host(&e, "f")) == 0);
	CHECK(fc_lookup(&e.c, e.vol, "f", &out) > 0);
	CHECK(out.nodeid != node);
	CHECK_EQ(out.attr.size, 8);
	CHECK(fc_getattr(&e.c, node, &a) > 0);
	CHECK_EQ(a.nlink, 0);
	REQUIRE(unlink(host(&e, "f")) == 0);
	CHECK_EQ(fc_lookup(&e.c, e.vol, "f", &out), -ENOENT);
	env_close(&e);
}

/* ---- ioctl ---- */

TEST(inode_flags_by_ioctl)
{
	struct {
		struct fuse_ioctl_out out;
		uint32_t flags;
	} rep;
	struct fuse_ioctl_in in = { .cmd = FS_IOC_GETFLAGS, .out_size = 4 };
	uint32_t flags;
	struct fc_created f;
	struct env e;
	int64_t n;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	in.fh = f.open.fh;
	n = fc_call(&e.c, FUSE_IOCTL, f.entry.nodeid, &in, sizeof(in), NULL, 0, &rep, sizeof(rep));
	if (n != -ENOTTY && n != -EOPNOTSUPP) {
		CHECK_EQ(n, 20);
		flags = rep.flags | FS_NODUMP_FL;
		in.cmd = FS_IOC_SETFLAGS;
		in.in_size = 4;
		CHECK_EQ(fc_call(&e.c, FUSE_IOCTL, f.entry.nodeid, &in, sizeof(in), &flags, 4, &rep, sizeof(rep)), 16);
		flags |= FS_IMMUTABLE_FL;
		CHECK_EQ(fc_call(&e.c, FUSE_IOCTL, f.entry.nodeid, &in, sizeof(in), &flags, 4, &rep, sizeof(rep)),
			 -EPERM);
		CHECK_EQ(fc_call(&e.c, FUSE_IOCTL, f.entry.nodeid, &in, sizeof(in), &flags, 2, &rep, sizeof(rep)),
			 -EINVAL);
	}
	in.cmd = TCGETS;
	CHECK_EQ(fc_call(&e.c, FUSE_IOCTL, f.entry.nodeid, &in, sizeof(in), NULL, 0, &rep, sizeof(rep)), -ENOTTY);
	in.cmd = FS_IOC_FSSETXATTR;
	CHECK_EQ(fc_call(&e.c, FUSE_IOCTL, f.entry.nodeid, &in, sizeof(in), NULL, 0, &rep, sizeof(rep)), -ENOTTY);
	env_close(&e);
}
