/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of what is known about files: modes, owners, permissions, set-id bits, times, extended attributes, ACLs.
 */
#include "suite.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#define UID 1234
#define GID 5678

PROPERTY(modes_are_set_and_masked)
{
	int fd;

	umask(027);
	fd = open("f", O_CREAT | O_WRONLY, 0666);
	EQ(stat_of("f").st_mode, S_IFREG | 0640);
	EQ(mkdir("d", 0777), 0);
	EQ(stat_of("d").st_mode, S_IFDIR | 0750);
	EQ(mkfifo("p", 0666), 0);
	EQ(stat_of("p").st_mode, S_IFIFO | 0640);
	umask(0);
	for (unsigned int m = 0; m < 010000; m += 0111)
		if (chmod("f", m) || (stat_of("f").st_mode & 07777) != m) {
			EQ(m, 0);
			break;
		}
	EQ(fchmod(fd, 0421), 0);
	EQ(stat_of("f").st_mode & 07777, 0421);
	EQ(chmod("d", 03755), 0);
	EQ(stat_of("d").st_mode & 07777, 03755);
	FAILS(chmod("none", 0), ENOENT);
	EQ(symlink("f", "l"), 0);
	EQ(chmod("l", 0644), 0); /* follows */
	EQ(stat_of("f").st_mode & 07777, 0644);
}

PROPERTY(owners_can_be_changed)
{
	SKIP_IF(!is_root(), "not root");
	make_file("f", "");
	EQ(chown("f", UID, GID), 0);
	EQ(stat_of("f").st_uid, UID);
	EQ(stat_of("f").st_gid, GID);
	EQ(chown("f", (uid_t)-1, 7), 0);
	EQ(stat_of("f").st_uid, UID);
	EQ(stat_of("f").st_gid, 7);
	EQ(chown("f", 3000000000u, (gid_t)-1), 0);
	EQ(stat_of("f").st_uid, 3000000000u);
	EQ(symlink("f", "l"), 0);
	EQ(lchown("l", UID, GID), 0);
	EQ(stat_of("l").st_uid, UID);
	EQ(stat_of("f").st_uid, 3000000000u);
	EQ(mkfifo("p", 0600), 0);
	EQ(chown("p", UID, GID), 0);
	EQ(stat_of("p").st_gid, GID);
}

static int create_things(void *arg)
{
	(void)arg;
	umask(0);
	return close(open("f", O_CREAT | O_WRONLY, 0640)) || mkdir("d", 0750) || symlink("x", "l") || mkfifo("p", 0600);
}

PROPERTY(what_a_user_creates_is_the_users)
{
	static const char *const names[] = { "f", "d", "l", "p" };

	SKIP_IF(!is_root(), "not root");
	EQ(chmod(".", 0777), 0);
	EQ(as_user(UID, GID, (gid_t)-1, create_things, NULL), 0);
	for (int n = 0; n < 4; n++) {
		EQ(stat_of(names[n]).st_uid, UID);
		EQ(stat_of(names[n]).st_gid, GID);
	}
	EQ(stat_of("f").st_mode & 07777, 0640);
}

static int try_everything(void *arg)
{
	(void)arg;
	if (open("f", O_RDONLY) >= 0 || errno != EACCES)
		return 1;
	if (open("d/x", O_RDONLY) >= 0 || errno != EACCES)
		return 2;
	if (open("d", O_RDONLY | O_DIRECTORY) >= 0 || errno != EACCES)
		return 3;
	if (open("new", O_CREAT | O_WRONLY, 0600) >= 0 || errno != EACCES)
		return 4;
	if (unlink("f") == 0 || errno != EACCES)
		return 5;
	if (chmod("f", 0777) == 0 || errno != EPERM)
		return 6;
	if (chown("f", UID, GID) == 0 || errno != EPERM)
		return 7;
	if (truncate("f", 0) == 0 || errno != EACCES)
		return 8;
	if (rename("f", "g") == 0 || errno != EACCES)
		return 9;
	return 0;
}

PROPERTY(permissions_keep_others_out)
{
	SKIP_IF(!is_root(), "not root");
	make_file("f", "secret");
	EQ(chmod("f", 0600), 0);
	EQ(mkdir("d", 0700), 0);
	make_file("d/x", "");
	EQ(as_user(UID, GID, (gid_t)-1, try_everything, NULL), 0);
	OK(has_text("f", "secret"));
}

static int read_f(void *arg)
{
	(void)arg;
	return open("f", O_RDONLY) < 0 ? errno : 0;
}

PROPERTY(groups_count_supplementary_ones_too)
{
	SKIP_IF(!is_root(), "not root");
	make_file("f", "group");
	EQ(chown("f", 0, 4242), 0);
	EQ(chmod("f", 0040), 0);
	EQ(as_user(UID, GID, (gid_t)-1, read_f, NULL), EACCES);
	EQ(as_user(UID, 4242, (gid_t)-1, read_f, NULL), 0);
	EQ(as_user(UID, GID, 4242, read_f, NULL), 0);
	EQ(chmod("f", 0704), 0);
	EQ(as_user(UID, GID, 4242, read_f, NULL), EACCES);
	EQ(as_user(UID, GID, (gid_t)-1, read_f, NULL), 0);
}

static int create_in_d(void *arg)
{
	int fd = open("d/f", O_CREAT | O_WRONLY, (mode_t)(uintptr_t)arg);

	return fd < 0 || mkdir("d/sub", 0755);
}

PROPERTY(set_gid_directories_hand_down_their_group)
{
	SKIP_IF(!is_root(), "not root");
	umask(0);
	EQ(mkdir("d", 0777), 0);
	EQ(chown("d", 0, 4242), 0);
	EQ(chmod("d", 02777), 0);
	EQ(as_user(UID, GID, (gid_t)-1, create_in_d, (void *)(uintptr_t)0644), 0);
	EQ(stat_of("d/f").st_gid, 4242);
	EQ(stat_of("d/f").st_uid, UID);
	EQ(stat_of("d/sub").st_gid, 4242);
	EQ(stat_of("d/sub").st_mode & 02000, 02000);
	EQ(unlink("d/f"), 0);
	EQ(rmdir("d/sub"), 0);
	/* a stranger to the group cannot make a set-gid program in it, a member can */
	EQ(as_user(UID, GID, (gid_t)-1, create_in_d, (void *)(uintptr_t)02775), 0);
	EQ(stat_of("d/f").st_mode & 07777, 0775);
	EQ(unlink("d/f"), 0);
	EQ(rmdir("d/sub"), 0);
	EQ(as_user(UID, GID, 4242, create_in_d, (void *)(uintptr_t)02775), 0);
	EQ(stat_of("d/f").st_mode & 07777, 02775);
}

static int write_f(void *arg)
{
	int fd = open("f", O_WRONLY);

	(void)arg;
	return fd < 0 || write(fd, "x", 1) != 1;
}

static int truncate_f(void *arg)
{
	(void)arg;
	return truncate("f", 1);
}

PROPERTY(writing_clears_set_id_bits)
{
	SKIP_IF(!is_root(), "not root");
	make_file("f", "program");
	EQ(chmod("f", 06777), 0);
	EQ(as_user(UID, GID, (gid_t)-1, write_f, NULL), 0);
	EQ(stat_of("f").st_mode & 07777, 0777);
	EQ(chmod("f", 06777), 0);
	EQ(as_user(UID, GID, (gid_t)-1, truncate_f, NULL), 0);
	EQ(stat_of("f").st_mode & 07777, 0777);
	EQ(chmod("f", 06755), 0);
	EQ(chown("f", UID, GID), 0);
	EQ(stat_of("f").st_mode & 07777, 0755);
}

static int remove_sticky(void *arg)
{
	(void)arg;
	return unlink("d/f") ? errno : 0;
}

PROPERTY(sticky_directories_protect_names)
{
	SKIP_IF(!is_root(), "not root");
	EQ(mkdir("d", 0777), 0);
	EQ(chmod("d", 01777), 0);
	make_file("d/f", "");
	EQ(as_user(UID, GID, (gid_t)-1, remove_sticky, NULL), EPERM);
	EQ(chown("d/f", UID, GID), 0);
	EQ(as_user(UID, GID, (gid_t)-1, remove_sticky, NULL), 0);
}

/* ---- times ---- */

static int64_t ns(struct timespec t)
{
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

PROPERTY(times_are_set_to_the_nanosecond)
{
	struct timespec ts[2] = { { 1000000001, 123456789 }, { 1500000002, 987654321 } };
	struct stat st;

	make_file("f", "");
	EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	st = stat_of("f");
	SKIP_IF(st.st_mtim.tv_sec == ts[1].tv_sec && st.st_mtim.tv_nsec % 1000 == 0, "the file system has no ns");
	EQ(ns(st.st_atim), ns(ts[0]));
	EQ(ns(st.st_mtim), ns(ts[1]));
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1] = (struct timespec){ 5, 6 };
	EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	st = stat_of("f");
	EQ(st.st_atim.tv_sec, 1000000001);
	EQ(ns(st.st_mtim), 5000000006ll);
	ts[1].tv_nsec = UTIME_NOW;
	EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	OK(stat_of("f").st_mtim.tv_sec >= time(NULL) - 2);
	EQ(symlink("f", "l"), 0);
	ts[0] = ts[1] = (struct timespec){ 77, 0 };
	EQ(utimensat(AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW), 0);
	EQ(stat_of("l").st_mtim.tv_sec, 77);
	OK(stat_of("f").st_mtim.tv_sec != 77);
	EQ(mkdir("d", 0755), 0);
	EQ(utimensat(AT_FDCWD, "d", ts, 0), 0);
	EQ(stat_of("d").st_mtim.tv_sec, 77);
	/* before 1970 and after 2038 */
	ts[0] = ts[1] = (struct timespec){ -1000, 0 };
	EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	EQ(stat_of("f").st_mtim.tv_sec, -1000);
	ts[0] = ts[1] = (struct timespec){ 4000000000, 0 };
	EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	EQ(stat_of("f").st_mtim.tv_sec, 4000000000);
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

PROPERTY(times_follow_what_happens)
{
	struct stat before, after;
	int fd;

	make_file("f", "x");
	before = stat_of("f");
	pause_ms(50);
	fd = open("f", O_WRONLY | O_APPEND);
	EQ(write(fd, "y", 1), 1);
	close(fd);
	after = stat_of("f");
	OK(ns(after.st_mtim) > ns(before.st_mtim));
	OK(ns(after.st_ctim) > ns(before.st_ctim));
	before = after;
	pause_ms(50);
	EQ(chmod("f", 0600), 0);
	after = stat_of("f");
	EQ(ns(after.st_mtim), ns(before.st_mtim));
	OK(ns(after.st_ctim) > ns(before.st_ctim));
	before = after;
	pause_ms(50);
	EQ(link("f", "g"), 0);
	after = stat_of("f");
	OK(ns(after.st_ctim) > ns(before.st_ctim));
	before = after;
	pause_ms(50);
	EQ(truncate("f", 0), 0);
	after = stat_of("f");
	OK(ns(after.st_mtim) > ns(before.st_mtim));
	before = stat_of(".");
	pause_ms(50);
	make_file("new", "");
	after = stat_of(".");
	OK(ns(after.st_mtim) > ns(before.st_mtim));
	before = after;
	pause_ms(50);
	EQ(rename("new", "newer"), 0);
	after = stat_of(".");
	OK(ns(after.st_mtim) > ns(before.st_mtim));
}

PROPERTY(a_file_keeps_its_inode_number)
{
	ino_t ino;
	int fd;
	struct stat st;

	make_file("f", "x");
	ino = stat_of("f").st_ino;
	OK(ino != 0);
	EQ(rename("f", "g"), 0);
	EQ(stat_of("g").st_ino, ino);
	fd = open("g", O_RDWR);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_ino, ino);
	EQ(st.st_dev, stat_of(".").st_dev);
	EQ(write(fd, "longer", 6), 6);
	EQ(stat_of("g").st_ino, ino);
	make_file("h", "");
	OK(stat_of("h").st_ino != ino);
}

PROPERTY(blocks_and_sizes_are_told)
{
	static char buf[100000];
	struct statvfs sv;
	int fd = open("f", O_CREAT | O_WRONLY, 0644);

	memset(buf, 1, sizeof(buf));
	EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
	EQ(fsync(fd), 0);
	EQ(stat_of("f").st_size, sizeof(buf));
	close(fd);
	fd = open("f", O_RDONLY);
	OK(stat_of("f").st_blocks * 512 >= (blkcnt_t)sizeof(buf) / 2);
	OK(stat_of("f").st_blksize >= 512);
	EQ(statvfs(".", &sv), 0);
	OK(sv.f_blocks > 0 && sv.f_frsize > 0 && sv.f_namemax == 255);
	EQ(fstatvfs(fd, &sv), 0);
}

PROPERTY(statx_agrees_with_stat)
{
	struct statx sx;
	struct stat st;

	make_file("f", "12345");
	EQ(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx), 0);
	st = stat_of("f");
	EQ(sx.stx_size, 5);
	EQ(sx.stx_ino, st.st_ino);
	EQ(sx.stx_mode, st.st_mode);
	EQ(sx.stx_nlink, 1);
	EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	EQ(makedev(sx.stx_dev_major, sx.stx_dev_minor), st.st_dev);
	EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
}

/* ---- extended attributes ---- */

PROPERTY(user_attributes)
{
	char buf[200];

	make_file("f", "");
	SKIP_IF(setxattr("f", "user.a", "value", 5, 0) && errno == EOPNOTSUPP, "no user xattrs");
	EQ(getxattr("f", "user.a", buf, 100), 5);
	EQ(memcmp(buf, "value", 5), 0);
	EQ(getxattr("f", "user.a", NULL, 0), 5);
	FAILS(getxattr("f", "user.a", buf, 2), ERANGE);
	FAILS(getxattr("f", "user.b", buf, 2), ENODATA);
	FAILS(setxattr("f", "user.a", "x", 1, XATTR_CREATE), EEXIST);
	FAILS(setxattr("f", "user.b", "x", 1, XATTR_REPLACE), ENODATA);
	EQ(setxattr("f", "user.a", "new", 3, XATTR_REPLACE), 0);
	EQ(getxattr("f", "user.a", buf, 100), 3);
	EQ(setxattr("f", "user.empty", "", 0, 0), 0);
	EQ(getxattr("f", "user.empty", buf, 100), 0);
	EQ(listxattr("f", NULL, 0), 7 + 11);
	EQ(listxattr("f", buf, sizeof(buf)), 7 + 11);
	FAILS(listxattr("f", buf, 3), ERANGE);
	EQ(removexattr("f", "user.a"), 0);
	FAILS(removexattr("f", "user.a"), ENODATA);
	EQ(mkdir("d", 0755), 0);
	EQ(setxattr("d", "user.a", "dir", 3, 0), 0);
	EQ(getxattr("d", "user.a", buf, 100), 3);
	EQ(symlink("f", "l"), 0);
	FAILS(lsetxattr("l", "user.a", "x", 1, 0), EPERM);
	EQ(mkfifo("p", 0600), 0);
	FAILS(setxattr("p", "user.a", "x", 1, 0), EPERM);
}

PROPERTY(large_and_many_attributes)
{
	static char big[2000], buf[2000];
	char name[32];
	int n;

	make_file("f", "");
	memset(big, 'v', sizeof(big));
	SKIP_IF(setxattr("f", "user.big", big, sizeof(big), 0) && errno == EOPNOTSUPP, "no user xattrs");
	EQ(getxattr("f", "user.big", buf, sizeof(buf)), sizeof(big));
	EQ(memcmp(big, buf, sizeof(big)), 0);
	for (n = 0; n < 20; n++) {
		snprintf(name, sizeof(name), "user.many-%d", n);
		if (setxattr("f", name, name, strlen(name), 0))
			break;
	}
	EQ(n, 20);
	for (n = 0; n < 20; n++) {
		snprintf(name, sizeof(name), "user.many-%d", n);
		EQ(getxattr("f", name, buf, 100), strlen(name));
	}
}

PROPERTY(trusted_attributes_are_roots)
{
	char buf[16];

	make_file("f", "");
	SKIP_IF(!is_root(), "not root");
	SKIP_IF(setxattr("f", "trusted.a", "v", 1, 0) && (errno == EOPNOTSUPP || errno == EPERM), "no trusted xattrs");
	EQ(getxattr("f", "trusted.a", buf, 16), 1);
	EQ(listxattr("f", buf, 16), 10);
	EQ(removexattr("f", "trusted.a"), 0);
	FAILS(getxattr("f", "trusted.a", buf, 16), ENODATA);
	EQ(mkdir("d", 0755), 0);
	EQ(setxattr("d", "trusted.overlay.opaque", "y", 1, 0), 0);
	EQ(getxattr("d", "trusted.overlay.opaque", buf, 16), 1);
}

PROPERTY(links_have_trusted_attributes_of_their_own)
{
	char buf[16];

	make_file("f", "");
	SKIP_IF(!is_root(), "not root");
	EQ(symlink("f", "l"), 0);
	SKIP_IF(lsetxattr("l", "trusted.l", "v", 1, 0) && (errno == EOPNOTSUPP || errno == EPERM),
		"no trusted xattrs of links");
	EQ(lgetxattr("l", "trusted.l", buf, 16), 1);
	FAILS(getxattr("f", "trusted.l", buf, 16), ENODATA);
}

PROPERTY(file_capabilities_are_kept_until_a_write)
{
	/* version 2, effective, CAP_NET_RAW */
	const uint32_t cap[5] = { VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, 1u << CAP_NET_RAW };
	char buf[64];
	int fd;

	make_file("f", "program");
	SKIP_IF(!is_root(), "not root");
	SKIP_IF(setxattr("f", "security.capability", cap, sizeof(cap), 0) && (errno == EOPNOTSUPP || errno == EPERM),
		"no file capabilities");
	EQ(getxattr("f", "security.capability", buf, sizeof(buf)), sizeof(cap));
	EQ(memcmp(buf, cap, sizeof(cap)), 0);
	fd = open("f", O_WRONLY);
	EQ(write(fd, "x", 1), 1);
	close(fd);
	FAILS(getxattr("f", "security.capability", buf, sizeof(buf)), ENODATA);
	EQ(setxattr("f", "security.capability", cap, sizeof(cap), 0), 0);
	EQ(chown("f", UID, GID), 0);
	FAILS(getxattr("f", "security.capability", buf, sizeof(buf)), ENODATA);
}

/* ---- ACLs, in the attribute's own form ---- */

struct acl {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} e[5];
};

PROPERTY(acls_grant_and_show_in_the_mode)
{
	/* user::rw- user:1234:r-- group::--- mask::r-- other::--- */
	const struct acl acl = { 2, { { 1, 6, -1u }, { 2, 4, UID }, { 4, 0, -1u }, { 16, 4, -1u }, { 32, 0, -1u } } };
	char buf[64];

	make_file("f", "acl");
	EQ(chmod("f", 0600), 0);
	SKIP_IF(!is_root(), "not root");
	SKIP_IF(setxattr("f", "system.posix_acl_access", &acl, sizeof(acl), 0) && errno == EOPNOTSUPP, "no ACLs");
	EQ(getxattr("f", "system.posix_acl_access", buf, sizeof(buf)), sizeof(acl));
	EQ(stat_of("f").st_mode & 0777, 0640); /* the group's bits are the mask */
	EQ(as_user(UID, GID, (gid_t)-1, read_f, NULL), 0);
	EQ(as_user(UID + 1, GID, (gid_t)-1, read_f, NULL), EACCES);
	EQ(chmod("f", 0600), 0); /* takes it from the mask */
	EQ(as_user(UID, GID, (gid_t)-1, read_f, NULL), EACCES);
	EQ(removexattr("f", "system.posix_acl_access"), 0);
	FAILS(getxattr("f", "system.posix_acl_access", buf, sizeof(buf)), ENODATA);
}

PROPERTY(default_acls_are_inherited_instead_of_the_umask)
{
	/* user::rwx group::rwx other::--- */
	const struct acl acl = { 2, { { 1, 7, -1u }, { 4, 7, -1u }, { 32, 0, -1u } } };
	char buf[64];

	EQ(mkdir("d", 0755), 0);
	SKIP_IF(setxattr("d", "system.posix_acl_default", &acl, 4 + 3 * 8, 0) && errno == EOPNOTSUPP, "no ACLs");
	umask(077);
	make_file("d/f", "");
	EQ(stat_of("d/f").st_mode & 0777, 0640);
	EQ(mkdir("d/sub", 0777), 0);
	EQ(stat_of("d/sub").st_mode & 0777, 0770);
	EQ(getxattr("d/sub", "system.posix_acl_default", buf, sizeof(buf)), 4 + 3 * 8);
}

PROPERTY(inode_flags)
{
	int fd = open("f", O_CREAT | O_RDWR, 0644), flags = 0;

	SKIP_IF(ioctl(fd, FS_IOC_GETFLAGS, &flags) && (errno == ENOTTY || errno == EOPNOTSUPP), "no inode flags");
	flags |= FS_NODUMP_FL;
	SKIP_IF(ioctl(fd, FS_IOC_SETFLAGS, &flags) && errno == EOPNOTSUPP, "no inode flags");
	flags = 0;
	EQ(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
	OK(flags & FS_NODUMP_FL);
}
