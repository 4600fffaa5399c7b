/* SPDX-License-Identifier: Apache-2.0 */
// link: runtime oci
/* Shares as the host's kernel sees them, and mount points made inside a root that tries to lead out. Needs root. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/shares.h"
#include "runtime/util.h"
#include "tests/unit/unit.h"
#include "vmm/control.h"

static char dir[64];

static char *at(const char *name)
{
	static char path[8][256];
	static int n;

	n = (n + 1) % 8;
	snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
	return path[n];
}

/* A private mount namespace and a fresh directory on a tmpfs of its own: nothing to clean. */
static bool begin(void)
{
	strcpy(dir, "/tmp");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("unit", dir, "tmpfs", 0, NULL) < 0) {
		printf("# needs root\n");
		return false;
	}
	return true;
}

TEST(mount_points_are_made_as_directories_and_files)
{
	struct mountpoint m[] = { { .path = (char *)"/a/b/c" },
				  { .path = (char *)"/etc/hosts", .is_file = true },
				  { .path = (char *)"//x//y/" } };
	struct host_plan plan = { .mountpoints = m, .nmountpoints = 3 };
	struct stat st;

	REQUIRE(begin());
	mkdir(at("root"), 0755);
	mountpoints_make(at("root"), &plan);
	CHECK(stat(at("root/a/b/c"), &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(stat(at("root/etc/hosts"), &st) == 0 && S_ISREG(st.st_mode));
	CHECK(stat(at("root/x/y"), &st) == 0 && S_ISDIR(st.st_mode));
	/* what is there stays as it is */
	chmod(at("root/a/b/c"), 0700);
	mountpoints_make(at("root"), &plan);
	CHECK(stat(at("root/a/b/c"), &st) == 0 && (st.st_mode & 07777) == 0700);
}

TEST(links_in_the_root_cannot_lead_a_mount_point_out)
{
	struct mountpoint m[] = { { .path = (char *)"/abs/made" },
				  { .path = (char *)"/up/made" },
				  { .path = (char *)"/up/file", .is_file = true } };
	struct host_plan plan = { .mountpoints = m, .nmountpoints = 3 };
	struct stat st;

	REQUIRE(begin());
	mkdir(at("root"), 0755);
	mkdir(at("outside"), 0755);
	REQUIRE(symlink(at("outside"), at("root/abs")) == 0);
	REQUIRE(symlink("../../../outside", at("root/up")) == 0);
	mkdir(at("root/outside"), 0755);
	mountpoints_make(at("root"), &plan);
	CHECK(stat(at("outside/made"), &st) < 0);
	CHECK(stat(at("outside/file"), &st) < 0);
	/* links are followed inside the root, as a container would */
	CHECK(stat(at("root/outside/made"), &st) == 0);
	CHECK(stat(at("root/outside/file"), &st) == 0);
}

static int try_create(int tree)
{
	int fd = openat(tree, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), e = errno;

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : e;
}

TEST(a_read_only_share_is_read_only_to_the_host_s_kernel_too)
{
	struct share s = { .source = at("src"), .readonly = true };
	struct error err;
	int fd;

	REQUIRE(begin());
	s.source = at("src");
	mkdir(s.source, 0755);
	fd = share_open(&s, NULL, &err);
	REQUIRE(fd >= 0);
	CHECK_EQ(try_create(fd), EROFS);
	CHECK_EQ(share_flags(&s), CTL_SHARE_RO);
	/* the source itself is untouched */
	CHECK_EQ(close(open(at("src/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
}

TEST(only_a_recursive_share_shows_submounts)
{
	struct share s = { 0 };
	struct error err;
	struct stat st;
	int fd;

	REQUIRE(begin());
	s.source = at("src");
	mkdir(s.source, 0755);
	mkdir(at("src/sub"), 0755);
	REQUIRE(mount("unit", at("src/sub"), "tmpfs", 0, NULL) == 0);
	close(open(at("src/sub/inner"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	fd = share_open(&s, NULL, &err);
	REQUIRE(fd >= 0);
	CHECK(fstatat(fd, "sub/inner", &st, 0) < 0);
	close(fd);
	s.recursive = true;
	fd = share_open(&s, NULL, &err);
	REQUIRE(fd >= 0);
	CHECK(fstatat(fd, "sub/inner", &st, 0) == 0);
	CHECK_EQ(try_create(openat(fd, "sub", O_PATH | O_CLOEXEC)), 0);
	close(fd);
	s.readonly_tree = true;
	fd = share_open(&s, NULL, &err);
	REQUIRE(fd >= 0);
	CHECK_EQ(try_create(openat(fd, "sub", O_PATH | O_CLOEXEC)), EROFS);
}

TEST(devices_cannot_be_opened_through_a_share)
{
	struct share s = { 0 };
	struct error err;
	int fd;

	REQUIRE(begin());
	s.source = at("src");
	mkdir(s.source, 0755);
	REQUIRE(mknod(at("src/null"), S_IFCHR | 0666, 0x103) == 0);
	fd = share_open(&s, NULL, &err);
	REQUIRE(fd >= 0);
	CHECK(openat(fd, "null", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
}

TEST(ids_of_an_id_mapped_share_are_mapped)
{
	struct spec_idmap map = { .container_id = 0, .host_id = 5000, .size = 1000 };
	struct share s = { .idmap = IDMAP_PLAIN, .uids = { &map, 1 }, .gids = { &map, 1 } };
	struct error err = { 0 };
	struct stat st;
	int fd;

	REQUIRE(begin());
	s.source = at("src");
	mkdir(s.source, 0755);
	if (mount("unit", s.source, "tmpfs", 0, NULL) < 0)
		return;
	close(open(at("src/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	fd = share_open(&s, NULL, &err);
	if (fd < 0) { /* tmpfs maps ids since 6.3 */
		printf("# skipped: %s\n", err.text);
		return;
	}
	CHECK(fstatat(fd, "file", &st, 0) == 0);
	CHECK_EQ(st.st_uid, 5000u);
}

TEST(a_source_that_is_missing_is_named)
{
	struct share s = { .source = (char *)"/no/such/place" };
	struct error err;

	REQUIRE(begin());
	CHECK_EQ(share_open(&s, NULL, &err), -1);
	CHECK_STR(err.text, "mount source /no/such/place: no such file or directory");
}

TEST(facts_of_a_source)
{
	struct source_facts f;

	CHECK_EQ(share_facts(NULL, "/dev/null", &f), 0);
	CHECK_EQ(f.kind, SOURCE_CHAR);
	CHECK_EQ(f.major, 1u);
	CHECK_EQ(f.minor, 3u);
	CHECK_EQ(share_facts(NULL, "/proc", &f), 0);
	CHECK_EQ(f.kind, SOURCE_DIR);
	CHECK_EQ(share_facts(NULL, "/no/such", &f), -ENOENT);
}
