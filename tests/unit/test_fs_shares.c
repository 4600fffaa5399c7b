/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The virtio-fs device: shares, what is told apart between them, and what is never opened on the host.
 */
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/unit/fs_env.h"

/* ---- shares ---- */

TEST(the_root_lists_shares_and_cannot_be_changed)
{
	struct fuse_entry_out out;
	struct fuse_setattr_in sa = { .valid = FATTR_MODE, .mode = 0777 };
	struct fc_created f;
	struct fuse_attr a;
	uint8_t buf[4096];
	struct env e;
	int64_t n;
	int names = 0;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "hosts"), "127.0.0.1");
	CHECK(share(&e, host(&e, "hosts"), "hosts", CTL_SHARE_RO));
	CHECK(fc_getattr(&e.c, FUSE_ROOT_ID, &a) > 0);
	CHECK_EQ(a.mode, S_IFDIR | 0555);
	for (int plus = 0; plus < 2; plus++) {
		uint64_t off = 0;

		names = 0;
		while ((n = fc_readdir(&e.c, plus, FUSE_ROOT_ID, 0, off, buf, plus ? 200 : 40)) > 0) {
			struct fuse_dirent *d = (void *)(buf + (plus ? sizeof(struct fuse_entry_out) : 0));

			off = d->off;
			names++;
			CHECK(names < 10);
		}
		CHECK_EQ(n, 0);
		CHECK_EQ(names, 4);
	}
	CHECK_EQ(fc_lookup(&e.c, FUSE_ROOT_ID, "nothing", &out), -ENOENT);
	CHECK_EQ(fc_mkdir(&e.c, FUSE_ROOT_ID, "d", 0755, &out), -EROFS);
	CHECK_EQ(fc_create(&e.c, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &f), -EROFS);
	CHECK_EQ(fc_unlink(&e.c, FUSE_ROOT_ID, "hosts"), -EROFS);
	CHECK_EQ(fc_rmdir(&e.c, FUSE_ROOT_ID, "vol"), -EROFS);
	CHECK_EQ(fc_rename(&e.c, FUSE_ROOT_ID, "vol", FUSE_ROOT_ID, "lov", 0), -EROFS);
	CHECK_EQ(fc_rename(&e.c, e.vol, "hosts", FUSE_ROOT_ID, "h", 0), -EXDEV);
	CHECK_EQ(fc_setattr(&e.c, FUSE_ROOT_ID, &sa), -EROFS);
	env_close(&e);
}

TEST(a_file_share_shows_the_file_and_nothing_around_it)
{
	struct fuse_entry_out out;
	struct fuse_open_out o;
	uint64_t node;
	char buf[16];
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "hosts"), "127.0.0.1");
	put_file(host(&e, "shadow"), "secret");
	node = share(&e, host(&e, "hosts"), "etc-hosts", 0);
	REQUIRE(node);
	CHECK_EQ(fc_lookup(&e.c, node, "shadow", &out), -ENOTDIR);
	CHECK_EQ(fc_lookup(&e.c, node, "..", &out), -EINVAL);
	CHECK(fc_openf(&e.c, node, O_RDWR, &o) > 0);
	CHECK_EQ(fc_read(&e.c, node, o.fh, 0, buf, 16), 9);
	CHECK_EQ(fc_write(&e.c, node, o.fh, 0, "X", 1, 0, 0), 1);
	CHECK_EQ(fc_release(&e.c, node, o.fh), 0);
	/* replaced on the host: the share stays what it was, as a bind mount does */
	put_file(host(&e, "new"), "other");
	REQUIRE(rename(host(&e, "new"), host(&e, "hosts")) == 0);
	CHECK(fc_lookup(&e.c, FUSE_ROOT_ID, "etc-hosts", &out) > 0);
	CHECK_EQ(out.nodeid, node);
	CHECK_EQ(out.attr.size, 9);
	env_close(&e);
}

TEST(share_names_and_kinds_are_checked)
{
	char name[300];
	struct env e;

	REQUIRE(env_open(&e, 0));
	memset(name, 'n', sizeof(name));
	name[256] = 0;
	CHECK_EQ(fs_add_share(e.c.d, "vol", open(e.dir, O_PATH), 0), -EEXIST);
	CHECK_EQ(fs_add_share(e.c.d, "", open(e.dir, O_PATH), 0), -EINVAL);
	CHECK_EQ(fs_add_share(e.c.d, ".", open(e.dir, O_PATH), 0), -EINVAL);
	CHECK_EQ(fs_add_share(e.c.d, "..", open(e.dir, O_PATH), 0), -EINVAL);
	CHECK_EQ(fs_add_share(e.c.d, "a/b", open(e.dir, O_PATH), 0), -EINVAL);
	CHECK_EQ(fs_add_share(e.c.d, name, open(e.dir, O_PATH), 0), -EINVAL);
	CHECK_EQ(fs_add_share(e.c.d, "x", open(e.dir, O_PATH), 64), -EINVAL);
	CHECK_EQ(fs_add_share(e.c.d, "x", 9999, 0), -EBADF);
	REQUIRE(symlink("/", host(&e, "l")) == 0);
	CHECK_EQ(fs_add_share(e.c.d, "x", open(host(&e, "l"), O_PATH | O_NOFOLLOW), 0), -ELOOP);
	CHECK_EQ(fs_del_share(e.c.d, "x"), -ENOENT);
	env_close(&e);
}

TEST(shares_have_a_cap_and_their_slots_come_back)
{
	struct env e;
	char name[16];

	REQUIRE(env_open(&e, 0));
	for (unsigned int n = 0; n < FS_SHARES_MAX - 1; n++) {
		snprintf(name, sizeof(name), "s%u", n);
		REQUIRE(fs_add_share(e.c.d, name, open(e.dir, O_PATH), 0) == 0);
	}
	CHECK_EQ(fs_add_share(e.c.d, "one", open(e.dir, O_PATH), 0), -ENOSPC);
	CHECK_EQ(fs_del_share(e.c.d, "s7"), 0);
	CHECK_EQ(fs_add_share(e.c.d, "one", open(e.dir, O_PATH), 0), 0);
	for (unsigned int n = 0; n < 600; n++) {
		CHECK_EQ(fs_del_share(e.c.d, "one"), 0);
		CHECK_EQ(fs_add_share(e.c.d, "one", open(e.dir, O_PATH), 0), 0);
	}
	env_close(&e);
}

TEST(a_deleted_share_is_estale_and_holds_nothing)
{
	struct fuse_entry_out out;
	struct fc_created f;
	struct fs_stats st;
	uint64_t dir, fh;
	char buf[16];
	struct env e;
	int before;

	REQUIRE(env_open(&e, 0));
	before = count_fds();
	dir = share(&e, e.dir, "second", 0);
	REQUIRE(dir);
	CHECK(fc_create(&e.c, dir, "f", O_RDWR, 0644, 0, &f) > 0);
	CHECK_EQ(fc_write(&e.c, f.entry.nodeid, f.open.fh, 0, "abc", 3, 0, 0), 3);
	CHECK_EQ(fc_opendir(&e.c, dir, &fh), sizeof(struct fuse_open_out));
	CHECK_EQ(fc_lock(&e.c, FUSE_SETLK, f.entry.nodeid, f.open.fh, 7, F_WRLCK, 0, 9, 0, NULL), 0);
	CHECK_EQ(fs_del_share(e.c.d, "second"), 0);
	CHECK_EQ(count_fds(), before);
	CHECK_EQ(fc_getattr(&e.c, dir, NULL), -ESTALE);
	CHECK_EQ(fc_lookup(&e.c, dir, "f", &out), -ESTALE);
	CHECK_EQ(fc_getattr(&e.c, f.entry.nodeid, NULL), -ESTALE);
	CHECK_EQ(fc_read(&e.c, f.entry.nodeid, f.open.fh, 0, buf, 3), -ESTALE);
	CHECK_EQ(fc_lookup(&e.c, FUSE_ROOT_ID, "second", &out), -ENOENT);
	/* the other share's file is a different node, though the same file */
	CHECK(fc_lookup(&e.c, e.vol, "f", &out) > 0);
	CHECK(out.nodeid != f.entry.nodeid);
	/* a new share in the old slot revives nothing */
	CHECK(share(&e, e.dir, "third", CTL_SHARE_RO));
	CHECK_EQ(fc_getattr(&e.c, f.entry.nodeid, NULL), -ESTALE);
	CHECK_EQ(fc_release(&e.c, f.entry.nodeid, f.open.fh), 0);
	CHECK_EQ(fc_forget(&e.c, f.entry.nodeid, 1), 0);
	CHECK_EQ(fc_forget(&e.c, dir, 1), 0);
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.locks, 0);
	env_close(&e);
}

TEST(nothing_passes_between_shares)
{
	struct fuse_entry_out out;
	struct fuse_open_out o;
	uint64_t other, a, b;
	char buf[8];
	struct env e;

	REQUIRE(env_open(&e, 0));
	REQUIRE(mkdir(host(&e, "ro"), 0755) == 0);
	put_file(host(&e, "ro/f"), "protected");
	other = share(&e, host(&e, "ro"), "ro", CTL_SHARE_RO);
	REQUIRE(other);
	CHECK(fc_lookup(&e.c, other, "f", &out) > 0);
	a = out.nodeid;
	b = walk(&e, "ro/f");
	CHECK(a && b && a != b); /* one file, two nodes with different rights */
	CHECK_EQ(fc_link(&e.c, a, e.vol, "stolen", &out), -EXDEV);
	CHECK_EQ(fc_rename(&e.c, e.vol, "ro", other, "x", 0), -EXDEV);
	CHECK_EQ(fc_rename(&e.c, other, "f", e.vol, "x", 0), -EROFS);
	/* a handle works only with the node that it was opened for */
	CHECK(fc_openf(&e.c, b, O_RDWR, &o) > 0);
	CHECK_EQ(fc_write(&e.c, a, o.fh, 0, "X", 1, 0, 0), -EROFS);
	CHECK_EQ(fc_read(&e.c, a, o.fh, 0, buf, 1), -EBADF);
	env_close(&e);
}

TEST(a_read_only_share_refuses_every_change)
{
	struct fuse_setattr_in sa = { .valid = FATTR_MODE, .mode = 0777 };
	struct fuse_setxattr_in sx = { .size = 1 };
	struct fuse_fallocate_in fa = { .length = 1 };
	struct fuse_entry_out out;
	struct fuse_open_out o;
	struct fc_created f;
	uint64_t ro, node;
	struct stat st;
	struct env e;

	REQUIRE(env_open(&e, 0));
	REQUIRE(mkdir(host(&e, "d"), 0755) == 0);
	put_file(host(&e, "d/f"), "protected");
	ro = share(&e, host(&e, "d"), "ro", CTL_SHARE_RO);
	REQUIRE(ro);
	CHECK(fc_lookup(&e.c, ro, "f", &out) > 0);
	node = out.nodeid;
	CHECK_EQ(fc_openf(&e.c, node, O_WRONLY, &o), -EROFS);
	CHECK_EQ(fc_openf(&e.c, node, O_RDWR, &o), -EROFS);
	CHECK_EQ(fc_openf(&e.c, node, O_RDONLY | O_TRUNC, &o), -EROFS);
	CHECK_EQ(fc_create(&e.c, ro, "f", O_RDONLY, 0644, 0, &f), -EROFS);
	CHECK_EQ(fc_create(&e.c, ro, "n", O_RDWR, 0644, 0, &f), -EROFS);
	CHECK_EQ(fc_mkdir(&e.c, ro, "n", 0755, &out), -EROFS);
	CHECK_EQ(fc_mknod(&e.c, ro, "n", S_IFIFO | 0644, 0, &out), -EROFS);
	CHECK_EQ(fc_symlink(&e.c, ro, "n", "x", &out), -EROFS);
	CHECK_EQ(fc_link(&e.c, node, ro, "n", &out), -EROFS);
	CHECK_EQ(fc_unlink(&e.c, ro, "f"), -EROFS);
	CHECK_EQ(fc_rmdir(&e.c, ro, "f"), -EROFS);
	CHECK_EQ(fc_rename(&e.c, ro, "f", ro, "g", 0), -EROFS);
	CHECK_EQ(fc_setattr(&e.c, node, &sa), -EROFS);
	sa = (struct fuse_setattr_in){ .valid = FATTR_SIZE };
	CHECK_EQ(fc_setattr(&e.c, node, &sa), -EROFS);
	sa = (struct fuse_setattr_in){ .valid = FATTR_MTIME_NOW };
	CHECK_EQ(fc_setattr(&e.c, node, &sa), -EROFS);
	CHECK_EQ(fc_call(&e.c, FUSE_SETXATTR, node, &sx, sizeof(sx), "user.a\0x", 8, NULL, 0), -EROFS);
	CHECK_EQ(fc_call(&e.c, FUSE_REMOVEXATTR, node, "user.a", 7, NULL, 0, NULL, 0), -EROFS);
	CHECK(fc_openf(&e.c, node, O_RDONLY, &o) > 0);
	fa.fh = o.fh;
	CHECK_EQ(fc_write(&e.c, node, o.fh, 0, "X", 1, 0, 0), -EROFS);
	CHECK_EQ(fc_call(&e.c, FUSE_FALLOCATE, node, &fa, sizeof(fa), NULL, 0, NULL, 0), -EROFS);
	CHECK_EQ(fc_lock(&e.c, FUSE_SETLK, node, o.fh, 1, F_RDLCK, 0, 1, 0, NULL), 0); /* changes nothing */
	CHECK_EQ(stat(host(&e, "d/f"), &st), 0);
	CHECK_EQ(st.st_size, 9);
	CHECK_EQ(st.st_mode & 07777, 0644);
	env_close(&e);
}

/* ---- what is never opened ---- */

TEST(devices_fifos_and_sockets_are_never_opened)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct fuse_open_out o;
	uint64_t fh;
	struct env e;
	int s;

	REQUIRE(env_open(&e, 0));
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/sock", e.dir);
	REQUIRE(bind(s, (void *)&sun, sizeof(sun)) == 0);
	REQUIRE(mkfifo(host(&e, "fifo"), 0666) == 0);
	if (geteuid() == 0) {
		REQUIRE(mknod(host(&e, "null"), S_IFCHR | 0666, makedev(1, 3)) == 0);
		REQUIRE(mknod(host(&e, "blk"), S_IFBLK | 0666, makedev(7, 99)) == 0);
	}
	for (int k = 0; k < (geteuid() == 0 ? 4 : 2); k++) {
		static const char *const names[] = { "sock", "fifo", "null", "blk" };
		uint64_t node = walk(&e, names[k]);

		CHECK(node);
		CHECK_EQ(fc_openf(&e.c, node, O_RDONLY, &o), -EPERM); /* and returns at once */
		CHECK_EQ(fc_openf(&e.c, node, O_RDWR, &o), -EPERM);
		CHECK_EQ(fc_opendir(&e.c, node, &fh), -ENOTDIR);
		CHECK_EQ(fc_lock(&e.c, FUSE_SETLK, node, 0, 1, F_RDLCK, 0, 1, 0, NULL), -EINVAL);
	}
	close(s);
	env_close(&e);
}

TEST(device_nodes_are_made_in_private_shares_only)
{
	struct fuse_entry_out out;
	uint64_t priv;
	struct stat st;
	struct env e;

	REQUIRE(env_open(&e, 0));
	REQUIRE(mkdir(host(&e, "root"), 0755) == 0);
	priv = share(&e, host(&e, "root"), "rootfs", CTL_SHARE_PRIVATE);
	REQUIRE(priv);
	CHECK_EQ(fc_mknod(&e.c, e.vol, "sda", S_IFBLK | 0666, 8 << 8, &out), -EPERM);
	CHECK_EQ(fc_mknod(&e.c, e.vol, "null", S_IFCHR | 0666, 1 << 8 | 3, &out), -EPERM);
	CHECK(fc_mknod(&e.c, e.vol, "whiteout", S_IFCHR, 0, &out) > 0); /* overlayfs's */
	CHECK(fc_mknod(&e.c, e.vol, "fifo", S_IFIFO | 0644, 0, &out) > 0);
	CHECK(fc_mknod(&e.c, e.vol, "sock", S_IFSOCK | 0644, 0, &out) > 0);
	CHECK(fc_mknod(&e.c, e.vol, "reg", S_IFREG | 0644, 0, &out) > 0);
	CHECK_EQ(fc_mknod(&e.c, e.vol, "dir", S_IFDIR | 0644, 0, &out), -EINVAL);
	CHECK_EQ(fc_mknod(&e.c, e.vol, "lnk", S_IFLNK | 0644, 0, &out), -EINVAL);
	if (geteuid() == 0) {
		CHECK(fc_mknod(&e.c, priv, "dev", S_IFCHR | 0600, 0x12300 | 0x45 | 0x67800000, &out) > 0);
		CHECK_EQ(out.attr.rdev, 0x12300 | 0x45 | 0x67800000);
		CHECK_EQ(stat(host(&e, "root/dev"), &st), 0);
		CHECK_EQ(major(st.st_rdev), 0x123);
		CHECK_EQ(minor(st.st_rdev), 0x67845);
	}
	env_close(&e);
}

TEST(a_shared_proc_does_not_lead_to_the_vmm)
{
	struct fuse_entry_out out;
	struct fuse_open_out o;
	uint64_t proc;
	char buf[4096], pid[16];
	struct env e;

	REQUIRE(env_open(&e, 0));
	proc = share(&e, "/proc", "proc", 0);
	REQUIRE(proc);
	snprintf(pid, sizeof(pid), "%d", getpid());
	CHECK_EQ(fc_lookup(&e.c, proc, pid, &out), -ENOENT);
	/* nor by the number of one of its threads */
	snprintf(buf, sizeof(buf), "/proc/self/task");
	{
		DIR *d = opendir(buf);

		for (struct dirent *t; (t = readdir(d));)
			if (t->d_name[0] != '.')
				CHECK_EQ(fc_lookup(&e.c, proc, t->d_name, &out), -ENOENT);
		closedir(d);
	}
	/* others: what everybody may read, and nothing to write */
	CHECK(fc_lookup(&e.c, proc, "1", &out) > 0);
	CHECK(fc_lookup(&e.c, out.nodeid, "environ", &out) > 0);
	CHECK_EQ(fc_openf(&e.c, out.nodeid, O_RDONLY, &o), -EACCES);
	CHECK(fc_lookup(&e.c, proc, "sys", &out) > 0);
	CHECK(fc_lookup(&e.c, out.nodeid, "kernel", &out) > 0);
	CHECK(fc_lookup(&e.c, out.nodeid, "hostname", &out) > 0);
	CHECK_EQ(fc_openf(&e.c, out.nodeid, O_WRONLY, &o), -EROFS);
	CHECK(fc_lookup(&e.c, proc, "uptime", &out) > 0);
	CHECK(fc_openf(&e.c, out.nodeid, O_RDONLY, &o) > 0);
	CHECK(o.open_flags & FOPEN_DIRECT_IO);
	CHECK(fc_read(&e.c, out.nodeid, o.fh, 0, buf, 4096) > 3);
	env_close(&e);
}
