/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The file server's semantics: attributes, ownership, extended attributes. What is expected is what the host's own file
 * system does. Some of it needs root.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "tests/unit/fs_env.h"

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
