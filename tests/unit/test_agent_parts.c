/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small parts of the agent: output queues, CPU lists, id maps, paths inside a root.
 */
// link: agent
#include "tests/unit/agent_env.h"

#include "agent/frame.h"
#include "agent/idmap.h"
#include "agent/path.h"
#include "agent/sysctl.h"
#include "agent/util.h"

TEST(frames_come_out_of_a_queue_whole_and_in_order)
{
	struct outq q = { 0 };
	uint8_t got[20000];
	size_t len = 0;
	int fds[2], frames = 0;

	REQUIRE(pipe2(fds, O_NONBLOCK) == 0);
	fcntl(fds[1], F_SETPIPE_SZ, 4096);
	for (uint32_t i = 0; i < 1000; i++)
		REQUIRE(outq_frame(&q, WIRE_OK, 0, &i, sizeof(i), "abc", 3) == 0);
	while (outq_pending(&q)) {
		ssize_t n;

		CHECK(outq_write(&q, fds[1]) >= 0);
		while ((n = read(fds[0], got + len, sizeof(got) - len)) > 0)
			len += (size_t)n;
	}
	CHECK_EQ(len, 1000 * (8 + 7));
	for (size_t off = 0; off < len; frames++) {
		struct wire_hdr h;
		uint32_t i;

		memcpy(&h, got + off, sizeof(h));
		memcpy(&i, got + off + 8, 4);
		CHECK_EQ(h.len, 7);
		CHECK_EQ(i, frames);
		off += 8 + h.len;
	}
	CHECK_EQ(q.cap <= 16384, 1);
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	outq_frame(&q, WIRE_OK, 0, NULL, 0, NULL, 0);
	CHECK_EQ(outq_write(&q, fds[1]), -EPIPE);
	outq_free(&q);
	close(fds[1]);
}

static void add(unsigned int n, void *arg)
{
	*(uint64_t *)arg |= 1ull << n;
}

TEST(cpu_lists_are_read_and_nonsense_is_refused)
{
	static const char *const bad[] = { "x", "1-", "-1", "3-1", "1,,2", "1;2", "99999999999999999999" };
	uint64_t set = 0;

	CHECK_EQ(list_parse("0-3,7,10-11\n", 64, add, &set), 0);
	CHECK_EQ(set, 0xc8f);
	set = 0;
	CHECK_EQ(list_parse("62-4000000000", 64, add, &set), 0);
	CHECK_EQ(set, 3ull << 62);
	CHECK_EQ(list_parse("", 64, add, &set), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (list_parse(bad[i], 64, add, &set) != -EINVAL)
			UNIT_FAIL("\"%s\" was taken", bad[i]);
}

TEST(id_maps_do_not_wrap_and_have_a_limit)
{
	struct plan_idmap l = { .container_id = 0, .host_id = 1000, .size = 10 };
	struct idmap m = { .active = true };

	CHECK_EQ(idmap_add(&m, &l), 0);
	CHECK_EQ(idmap_outside(&m, 0, 9), 1009);
	CHECK_EQ(idmap_outside(&m, 0, 10), UINT32_MAX);
	CHECK_EQ(idmap_outside(&m, 1, 0), UINT32_MAX);
	l = (struct plan_idmap){ .container_id = 0xfffffff0, .size = 0x10 };
	CHECK_EQ(idmap_add(&m, &l), 0);
	l.size = 0x11;
	CHECK_EQ(idmap_add(&m, &l), -EINVAL);
	l.size = 0;
	CHECK_EQ(idmap_add(&m, &l), -EINVAL);
	l = (struct plan_idmap){ .gid = 2, .size = 1 };
	CHECK_EQ(idmap_add(&m, &l), -EINVAL);
	l.gid = 1;
	for (unsigned int i = 0; i < IDMAP_LINES; i++)
		CHECK_EQ(idmap_add(&m, &l), 0);
	CHECK_EQ(idmap_add(&m, &l), -E2BIG);
	idmap_free(&m);
}

/* A directory with hostile links; `outside` stands beside the root. */
static int make_root(char dir[64])
{
	char path[128];

	snprintf(dir, 64, "/tmp/husk-path-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/outside", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/root", dir);
	mkdir(path, 0755);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void remove_root(const char *dir, int root)
{
	char cmd[128];

	close(root);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		printf("# %s\n", cmd);
}

TEST(paths_stay_inside_the_root_and_what_is_missing_is_made_there)
{
	char dir[64], name[PATH_NAME_MAX], outside[128];
	int root = make_root(dir), fd;
	struct stat a, b;

	REQUIRE(root >= 0);
	CHECK(symlinkat("/../../outside", root, "abs") == 0);
	CHECK(symlinkat("../outside", root, "rel") == 0);
	CHECK(symlinkat("self", root, "self") == 0);
	CHECK(symlinkat("/a/b/../new", root, "dangling") == 0);
	CHECK_EQ(path_open(root, "/abs", O_PATH), -ENOENT);
	fd = path_make(root, "/abs/made", PATH_DIR, 0755); /* root/outside/made */
	CHECK(fd >= 0 && fstat(fd, &a) == 0 && fstatat(root, "outside/made", &b, 0) == 0 && a.st_ino == b.st_ino);
	close(fd);
	fd = path_make(root, "dangling/file", PATH_FILE, 0640);
	CHECK(fd >= 0 && fstat(fd, &a) == 0 && S_ISREG(a.st_mode) && fstatat(root, "a/new/file", &b, 0) == 0 &&
	      a.st_ino == b.st_ino);
	close(fd);
	snprintf(outside, sizeof(outside), "%s/outside", dir);
	CHECK(rmdir(outside) == 0); /* still empty */
	CHECK_EQ(path_make(root, "/self/x", PATH_DIR, 0755), -ELOOP);
	CHECK_EQ(path_make(root, "/dangling/file/below", PATH_DIR, 0755), -ENOTDIR);
	CHECK_EQ(path_make_nolinks(root, "/rel"), -ELOOP);
	fd = path_make_nolinks(root, "/p/q");
	CHECK(fd >= 0);
	close(fd);
	fd = path_parent(root, "/x/y/z//", name);
	CHECK(fd >= 0);
	CHECK_STR(name, "z");
	close(fd);
	CHECK_EQ(path_parent(root, "/", name), -EINVAL);
	CHECK_EQ(path_parent(root, "/a/..", name), -EINVAL);
	fd = path_make(root, "/../../climb/./here/../there", PATH_DIR, 0700);
	CHECK(fd >= 0 && fstatat(root, "climb/there", &b, 0) == 0 && fstat(fd, &a) == 0 && a.st_ino == b.st_ino);
	close(fd);
	remove_root(dir, root);
}

TEST(a_copied_tree_keeps_owners_modes_links_and_content)
{
	char dir[64], text[64];
	int root = make_root(dir), from, to;
	struct stat st;

	if (geteuid()) {
		printf("# skipped: needs root\n");
		remove_root(dir, root);
		return;
	}
	mkdirat(root, "from", 0750);
	mkdirat(root, "to", 0755);
	mkdirat(root, "from/sub", 0711);
	to = openat(root, "from/sub/file", O_CREAT | O_WRONLY, 0644);
	CHECK(write(to, "content", 7) == 7 && fchown(to, 12, 34) == 0 && fchmod(to, 04755) == 0);
	close(to);
	CHECK(symlinkat("/etc/shadow", root, "from/link") == 0);
	CHECK(mknodat(root, "from/fifo", S_IFIFO | 0600, 0) == 0);
	from = openat(root, "from", O_RDONLY | O_DIRECTORY);
	to = openat(root, "to", O_RDONLY | O_DIRECTORY);
	CHECK_EQ(path_copy_tree(from, to), 0);
	CHECK(fstatat(to, "sub/file", &st, 0) == 0 && st.st_uid == 12 && st.st_gid == 34 &&
	      (st.st_mode & 07777) == 04755);
	CHECK_EQ(file_read(to, "sub/file", text, sizeof(text)), 7);
	CHECK_STR(text, "content");
	CHECK(fstatat(to, "link", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode));
	CHECK(fstatat(to, "fifo", &st, 0) == 0 && S_ISFIFO(st.st_mode));
	CHECK(fstatat(to, "sub", &st, 0) == 0 && (st.st_mode & 07777) == 0711);
	CHECK(fstat(to, &st) == 0 && (st.st_mode & 07777) == 0750);
	close(from);
	close(to);
	remove_root(dir, root);
}

TEST(sysctl_names_cannot_leave_proc_sys)
{
	static const char *const bad[] = { "", "..", "../x", "a/../b", "net...", "a/..", "kernel.//self" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sysctl_write(AT_FDCWD, bad[i], "1") == 0)
			UNIT_FAIL("\"%s\" was written", bad[i]);
	CHECK(sysctl_is_net("net.ipv4.x") && sysctl_is_net("net/ipv4") && !sysctl_is_net("network"));
}
