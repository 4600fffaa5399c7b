/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of names: creation and removal, directories and their listing, links, renames, temporary files.
 */
#include "suite.h"

#include <dirent.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* Entries of a directory but "." and ".."; bit n of *seen for "entry-n". -1 when it cannot be read. */
static int list(const char *path, uint8_t *seen, unsigned int n)
{
	DIR *d = opendir(path);
	int count = 0, dots = 0;

	if (!d)
		return -1;
	if (seen)
		memset(seen, 0, n);
	for (struct dirent *e; (e = readdir(d));) {
		unsigned int k;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
			dots++;
			continue;
		}
		count++;
		if (seen && sscanf(e->d_name, "entry-%u", &k) == 1 && k < n)
			seen[k]++;
	}
	closedir(d);
	return dots == 2 ? count : -2;
}

PROPERTY(a_file_exists_from_creation_to_removal)
{
	FAILS(access("f", F_OK), ENOENT);
	FAILS(unlink("f"), ENOENT);
	make_file("f", "");
	EQ(access("f", F_OK), 0);
	EQ(list(".", NULL, 0), 1);
	EQ(unlink("f"), 0);
	FAILS(access("f", F_OK), ENOENT);
	EQ(list(".", NULL, 0), 0);
	FAILS(open("f", O_RDONLY), ENOENT);
}

PROPERTY(names_may_have_255_bytes_and_any_byte_but_slash)
{
	char name[300];

	memset(name, 'x', sizeof(name));
	name[255] = 0;
	make_file(name, "long");
	OK(has_text(name, "long"));
	EQ(list(".", NULL, 0), 1);
	EQ(unlink(name), 0);
	name[255] = 'x';
	name[256] = 0;
	FAILS(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	FAILS(mkdir(name, 0755), ENAMETOOLONG);
	for (int c = 1; c < 256; c += 25) {
		char odd[30] = "n";

		for (int k = 0; k < 25 && c + k < 256; k++)
			odd[1 + k] = (char)(c + k == '/' ? 'x' : c + k);
		EQ(mkdir(odd, 0755), 0);
		EQ(access(odd, F_OK), 0);
		EQ(rmdir(odd), 0);
	}
	FAILS(open("", O_RDONLY), ENOENT);
	make_file("\xc3\xa9\xe2\x82\xac", "utf-8");
	OK(has_text("\xc3\xa9\xe2\x82\xac", "utf-8"));
}

PROPERTY(names_are_case_sensitive)
{
	make_file("name", "small");
	make_file("NAME", "large");
	OK(has_text("name", "small"));
	OK(has_text("NAME", "large"));
	EQ(list(".", NULL, 0), 2);
}

PROPERTY(deep_trees_can_be_made_walked_and_removed)
{
	char path[1200] = "";
	int depth = 0;

	for (; depth < 30; depth++) {
		strcat(path, depth ? "/deep" : "deep");
		if (mkdir(path, 0755))
			break;
	}
	EQ(depth, 30);
	strcat(path, "/f");
	make_file(path, "bottom");
	OK(has_text(path, "bottom"));
	EQ(unlink(path), 0);
	*strrchr(path, '/') = 0;
	for (; depth > 0; depth--) {
		if (rmdir(path))
			break;
		if (strrchr(path, '/'))
			*strrchr(path, '/') = 0;
	}
	EQ(depth, 0);
}

PROPERTY(directories_are_removed_only_when_empty)
{
	EQ(mkdir("d", 0755), 0);
	FAILS(mkdir("d", 0755), EEXIST);
	make_file("d/f", "");
	FAILS(rmdir("d"), ENOTEMPTY);
	FAILS(unlink("d"), EISDIR);
	FAILS(rmdir("d/f"), ENOTDIR);
	EQ(unlink("d/f"), 0);
	EQ(rmdir("d"), 0);
	FAILS(rmdir("d"), ENOENT);
	FAILS(mkdir("none/d", 0755), ENOENT);
	FAILS(rmdir("."), EINVAL);
}

PROPERTY(link_counts_of_directories_follow_their_children)
{
	struct statfs sf;

	NEED(statfs(".", &sf) == 0);
	EQ(mkdir("d", 0755), 0);
	SKIP_IF(stat_of("d").st_nlink != 2, "the file system doesn't count directories");
	EQ(mkdir("d/a", 0755), 0);
	EQ(mkdir("d/b", 0755), 0);
	EQ(stat_of("d").st_nlink, 4);
	EQ(rmdir("d/a"), 0);
	EQ(stat_of("d").st_nlink, 3);
	EQ(rename("d/b", "b"), 0);
	EQ(stat_of("d").st_nlink, 2);
}

PROPERTY(large_directories_list_every_entry_once)
{
	static uint8_t seen[800];
	char name[64];

	for (unsigned int n = 0; n < 800; n++) {
		snprintf(name, sizeof(name), "entry-%u%.*s", n, (int)(n % 30), "-padding-padding-padding-paddi");
		if (mknod(name, S_IFREG | 0644, 0))
			break;
	}
	EQ(list(".", seen, 800), 800);
	for (unsigned int n = 0; n < 800; n++)
		if (seen[n] != 1) {
			EQ(seen[n], 1);
			break;
		}
	/* removed while it is read: all of them go */
	{
		DIR *d = opendir(".");
		int removed = 0;

		for (struct dirent *e; (e = readdir(d));)
			if (e->d_name[0] == 'e')
				removed += unlink(e->d_name) == 0;
		closedir(d);
		EQ(removed, 800);
	}
	EQ(list(".", NULL, 0), 0);
}

PROPERTY(directory_positions_can_be_returned_to)
{
	char name[16], first[64] = "";
	DIR *d;
	long pos[40];
	char names[40][64];
	int n = 0;

	for (int k = 0; k < 30; k++) {
		snprintf(name, sizeof(name), "entry-%d", k);
		make_file(name, "");
	}
	d = opendir(".");
	NEED(d);
	for (struct dirent *e; pos[n] = telldir(d), n < 39 && (e = readdir(d)); n++)
		snprintf(names[n], sizeof(names[n]), "%.60s", e->d_name);
	EQ(n, 32);
	for (int k = n - 1; k >= 0; k--) {
		struct dirent *e;

		seekdir(d, pos[k]);
		e = readdir(d);
		OK(e && strcmp(e->d_name, names[k]) == 0);
	}
	rewinddir(d);
	snprintf(first, sizeof(first), "%.60s", readdir(d)->d_name);
	EQ(strcmp(first, names[0]), 0);
	closedir(d);
}

PROPERTY(listings_tell_types_and_inode_numbers)
{
	DIR *d;

	make_file("file", "");
	EQ(mkdir("dir", 0755), 0);
	EQ(symlink("x", "link"), 0);
	EQ(mkfifo("fifo", 0644), 0);
	d = opendir(".");
	NEED(d);
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		EQ(lstat(e->d_name, &st), 0);
		EQ(e->d_ino, st.st_ino);
		OK(e->d_type == DT_UNKNOWN || e->d_type == IFTODT(st.st_mode));
	}
	closedir(d);
}

PROPERTY(names_made_and_removed_by_others_are_seen)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	for (int n = 0; n < 20; n++) {
		FAILS(faccessat(fd, "f", F_OK, 0), ENOENT); /* remembered as missing */
		make_file("f", "");
		EQ(faccessat(fd, "f", F_OK, 0), 0);
		EQ(rename("f", "g"), 0);
		FAILS(faccessat(fd, "f", F_OK, 0), ENOENT);
		EQ(faccessat(fd, "g", F_OK, 0), 0);
		EQ(unlink("g"), 0);
	}
}

PROPERTY(deleted_files_work_while_open)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	char buf[16];
	struct stat st;

	EQ(write(fd, "alive", 5), 5);
	EQ(unlink("f"), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_nlink, 0);
	EQ(st.st_size, 5);
	EQ(pread(fd, buf, 16, 0), 5);
	EQ(pwrite(fd, "!", 1, 5), 1);
	EQ(pread(fd, buf, 16, 0), 6);
	EQ(ftruncate(fd, 2), 0);
	EQ(fchmod(fd, 0600), 0);
	make_file("f", "another");
	EQ(pread(fd, buf, 16, 0), 2);
	OK(has_text("f", "another"));
	EQ(fsync(fd), 0);
	close(fd);
}

PROPERTY(removed_directories_work_as_far_as_they_can)
{
	int fd;
	struct stat st;

	EQ(mkdir("d", 0755), 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	EQ(rmdir("d"), 0);
	EQ(fstat(fd, &st), 0);
	OK(S_ISDIR(st.st_mode));
	FAILS(openat(fd, "f", O_CREAT | O_WRONLY, 0644), ENOENT);
	FAILS(mkdirat(fd, "sub", 0755), ENOENT);
}

PROPERTY(hard_links_are_one_file)
{
	make_file("a", "text");
	EQ(link("a", "b"), 0);
	EQ(stat_of("a").st_nlink, 2);
	EQ(stat_of("a").st_ino, stat_of("b").st_ino);
	make_file("b", "changed");
	OK(has_text("a", "changed"));
	EQ(chmod("b", 0600), 0);
	EQ(stat_of("a").st_mode & 07777, 0600);
	EQ(mkdir("d", 0755), 0);
	EQ(link("a", "d/c"), 0);
	EQ(stat_of("b").st_nlink, 3);
	EQ(unlink("a"), 0);
	OK(has_text("d/c", "changed"));
	EQ(stat_of("b").st_nlink, 2);
	FAILS(link("b", "d/c"), EEXIST);
	FAILS(link("none", "x"), ENOENT);
	FAILS(link("d", "x"), EPERM);
	/* a link to a symbolic link is one, unless it is to be followed */
	EQ(symlink("b", "s"), 0);
	EQ(link("s", "s2"), 0);
	OK(S_ISLNK(stat_of("s2").st_mode));
	EQ(linkat(AT_FDCWD, "s", AT_FDCWD, "h", AT_SYMLINK_FOLLOW), 0);
	EQ(stat_of("h").st_ino, stat_of("b").st_ino);
}

PROPERTY(symbolic_links_hold_any_text_and_are_followed)
{
	char text[4200], buf[4200];

	make_file("target", "found");
	EQ(symlink("target", "l"), 0);
	OK(has_text("l", "found"));
	OK(S_ISLNK(stat_of("l").st_mode));
	EQ(stat_of("l").st_size, 6);
	EQ(readlink("l", buf, sizeof(buf)), 6);
	EQ(memcmp(buf, "target", 6), 0);
	EQ(readlink("l", buf, 3), 3);
	FAILS(readlink("target", buf, 10), EINVAL);
	FAILS(symlink("x", "l"), EEXIST);
	FAILS(symlink("", "e"), ENOENT);
	memset(text, 't', sizeof(text));
	text[4000] = 0;
	SKIP_IF(symlink(text, "long") && errno == ENAMETOOLONG, "no long links");
	EQ(readlink("long", buf, sizeof(buf)), 4000);
	text[4000] = 't';
	text[4096] = 0;
	FAILS(symlink(text, "toolong"), ENAMETOOLONG);
	EQ(symlink("loop2", "loop1"), 0);
	EQ(symlink("loop1", "loop2"), 0);
	FAILS(open("loop1", O_RDONLY), ELOOP);
	FAILS(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	EQ(symlink("/proc/self/status", "abs"), 0);
	EQ(access("abs", R_OK), 0);
	EQ(mkdir("d", 0755), 0);
	EQ(symlink("../target", "d/up"), 0);
	OK(has_text("d/up", "found"));
	EQ(symlink("d", "dirlink"), 0);
	OK(has_text("dirlink/up", "found"));
	FAILS(rmdir("dirlink"), ENOTDIR);
	EQ(unlink("dirlink"), 0);
	EQ(access("d", F_OK), 0);
}

PROPERTY(rename_replaces_atomically)
{
	char buf[8];
	int fd;

	make_file("a", "a");
	make_file("b", "b");
	fd = open("b", O_RDONLY);
	EQ(rename("a", "b"), 0);
	FAILS(access("a", F_OK), ENOENT);
	OK(has_text("b", "a"));
	EQ(pread(fd, buf, 8, 0), 1); /* the one that was replaced */
	EQ(buf[0], 'b');
	EQ(rename("b", "b"), 0);
	OK(has_text("b", "a"));
	EQ(link("b", "c"), 0);
	EQ(rename("b", "c"), 0); /* the same file: nothing happens */
	EQ(access("b", F_OK), 0);
	FAILS(rename("none", "x"), ENOENT);
	FAILS(rename("b", "none/x"), ENOENT);
}

PROPERTY(rename_of_directories)
{
	EQ(mkdir("d", 0755), 0);
	EQ(mkdir("d/sub", 0755), 0);
	make_file("d/sub/f", "moved");
	EQ(mkdir("e", 0755), 0);
	EQ(rename("d", "e"), 0); /* onto an empty one */
	OK(has_text("e/sub/f", "moved"));
	EQ(mkdir("full", 0755), 0);
	make_file("full/x", "");
	FAILS(rename("e", "full"), ENOTEMPTY);
	FAILS(rename("e", "e/sub/under"), EINVAL);
	make_file("f", "");
	FAILS(rename("e", "f"), ENOTDIR);
	FAILS(rename("f", "e"), EISDIR);
	EQ(rename("e/sub", "sub"), 0);
	OK(has_text("sub/f", "moved"));
	{
		struct stat up, here;

		EQ(stat("sub/..", &up), 0);
		EQ(stat(".", &here), 0);
		EQ(up.st_ino, here.st_ino);
	}
}

PROPERTY(rename_flags_noreplace_and_exchange)
{
	make_file("a", "a");
	make_file("b", "b");
	SKIP_IF(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE) && errno == EINVAL, "no rename flags");
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	EQ(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE), 0);
	EQ(mkdir("d", 0755), 0);
	make_file("d/x", "x");
	EQ(renameat2(AT_FDCWD, "c", AT_FDCWD, "d/x", RENAME_EXCHANGE), 0);
	OK(has_text("c", "x"));
	OK(has_text("d/x", "a"));
	EQ(renameat2(AT_FDCWD, "b", AT_FDCWD, "d", RENAME_EXCHANGE), 0); /* a file and a directory */
	OK(has_text("d", "b"));
	OK(has_text("b/x", "a"));
	FAILS(renameat2(AT_FDCWD, "d", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
	FAILS(renameat2(AT_FDCWD, "d", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
}

PROPERTY(rename_leaves_a_whiteout)
{
	struct stat st;

	make_file("a", "a");
	SKIP_IF(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT) && (errno == EINVAL || errno == EPERM),
		"no RENAME_WHITEOUT");
	st = stat_of("a");
	OK(S_ISCHR(st.st_mode));
	EQ(st.st_rdev, makedev(0, 0));
	OK(has_text("b", "a"));
	EQ(unlink("a"), 0);
	EQ(mknod("w", S_IFCHR, makedev(0, 0)), 0);
	OK(S_ISCHR(stat_of("w").st_mode));
}

static int rename_back_and_forth(void *arg)
{
	(void)arg;
	for (int n = 0; n < 60; n++) {
		char tmp[32];
		int fd;

		snprintf(tmp, sizeof(tmp), "tmp-%d", n);
		fd = open(tmp, O_CREAT | O_WRONLY, 0644);
		if (fd < 0 || write(fd, "whole", 5) != 5 || close(fd) || rename(tmp, "file"))
			return 1;
	}
	return 0;
}

PROPERTY(a_file_replaced_by_rename_is_never_missing_or_partial)
{
	pid_t pid;
	int bad = 0;

	make_file("file", "whole");
	pid = start_child(rename_back_and_forth, NULL);
	for (int n = 0; n < 60; n++)
		bad += !has_text("file", "whole");
	EQ(end_child(pid), 0);
	EQ(bad, 0);
}

static int race_create(void *arg)
{
	int won = 0;
	char name[16];

	(void)arg;
	for (int n = 0; n < 30; n++) {
		int fd;

		snprintf(name, sizeof(name), "n%d", n);
		fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
		won += fd >= 0;
		close(fd);
	}
	return won;
}

PROPERTY(each_exclusive_name_is_won_once)
{
	pid_t pid[3];
	int won = 0;

	for (int k = 0; k < 3; k++)
		pid[k] = start_child(race_create, NULL);
	for (int k = 0; k < 3; k++)
		won += end_child(pid[k]);
	EQ(won, 30);
}

PROPERTY(temporary_files_have_no_name_until_linked)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	char path[64];
	struct stat st;

	SKIP_IF(fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR), "no O_TMPFILE");
	NEED(fd >= 0);
	EQ(list(".", NULL, 0), 0);
	EQ(write(fd, "tmp", 3), 3);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_nlink, 0);
	EQ(st.st_mode, S_IFREG | 0600);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EQ(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
	OK(has_text("named", "tmp"));
	EQ(fstat(fd, &st), 0);
	EQ(st.st_nlink, 1);
	close(fd);
	fd = open(".", O_TMPFILE | O_EXCL | O_WRONLY, 0600);
	OK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT);
}

PROPERTY(relative_calls_follow_a_moved_directory)
{
	char cwd[PATH_MAX];
	int fd;

	EQ(mkdir("d", 0755), 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	EQ(rename("d", "moved"), 0);
	EQ(mkdirat(fd, "in", 0755), 0);
	EQ(access("moved/in", F_OK), 0);
	EQ(fchdir(fd), 0);
	NEED(getcwd(cwd, sizeof(cwd)));
	OK(strlen(cwd) > 6 && strcmp(cwd + strlen(cwd) - 6, "/moved") == 0);
	EQ(access("../moved/in", F_OK), 0);
	EQ(renameat(fd, "in", fd, "out"), 0);
	EQ(unlinkat(fd, "out", AT_REMOVEDIR), 0);
}
