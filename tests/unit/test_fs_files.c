/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The file server's semantics: data, renames, directories, caching. What is expected is what the host's own file
 * system does. Some of it needs root.
 */
#include <dirent.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "tests/unit/fs_env.h"

static uint8_t pattern[1 << 20], back[1 << 20];

static void fill_pattern(unsigned int seed)
{
	for (size_t n = 0; n < sizeof(pattern); n++)
		pattern[n] = (uint8_t)((n * 131 + seed) >> 3);
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
