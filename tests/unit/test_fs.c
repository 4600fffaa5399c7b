/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The virtio-fs device: session, shares, names and nodeids; what a hostile guest may try with them.
 */
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/unit/fs_env.h"

/* ---- device and session ---- */

TEST(config_space_has_tag_and_queues)
{
	struct fc c;
	struct {
		char tag[36];
		uint32_t n;
	} cfg;

	REQUIRE(fc_open(&c, 3));
	CHECK_EQ(c.d->nqueues, 4);
	CHECK_EQ(c.d->ops->config_len, sizeof(cfg));
	c.d->ops->config_read(c.d, 0, &cfg, sizeof(cfg));
	CHECK_STR(cfg.tag, "husk");
	CHECK_EQ(cfg.n, 3);
	c.d->ops->config_read(c.d, 36, &cfg.n, 4);
	CHECK_EQ(cfg.n, 3);
	fs_set_private(c.d, "husk-private");
	c.d->ops->config_read(c.d, 0, &cfg, 36);
	CHECK_STR(cfg.tag, "husk-private");
	fc_close(&c);
}

TEST(create_refuses_silly_queue_numbers)
{
	struct gmem m = { 0 };

	CHECK(!fs_create(&m, 0));
	CHECK(!fs_create(&m, FS_REQUEST_QUEUES_MAX + 1));
}

TEST(init_agrees_on_what_both_know)
{
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK_EQ(e.c.init.major, 7);
	CHECK_EQ(e.c.init.minor, 38);
	CHECK_EQ(e.c.init.max_write, 1u << 20);
	CHECK_EQ(e.c.init.max_pages, 256);
	CHECK_EQ(e.c.init.flags & ~(uint32_t)FC_FLAGS, 0);
	CHECK(e.c.init.flags & FUSE_POSIX_LOCKS);
	CHECK(e.c.init.flags & FUSE_SUBMOUNTS);
	CHECK(!(e.c.init.flags & FUSE_WRITEBACK_CACHE)); /* others may write */
	CHECK(!(e.c.init.flags & FUSE_EXPORT_SUPPORT));
	env_close(&e);
}

TEST(init_of_a_private_device_has_writeback_and_local_locks)
{
	struct env e;

	REQUIRE(env_open_with(&e, 0, true));
	CHECK(e.c.init.flags & FUSE_WRITEBACK_CACHE);
	CHECK(!(e.c.init.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS)));
	env_close(&e);
}

TEST(init_refuses_old_protocols_and_answers_newer_ones)
{
	struct fuse_init_in in = { .major = 8, .minor = 1 };
	struct fuse_init_out out;
	struct fc c;

	REQUIRE(fc_open(&c, 1));
	REQUIRE(fc_start(&c) == 0);
	CHECK_EQ(fc_call(&c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0, &out, sizeof(out)), sizeof(out));
	CHECK_EQ(out.major, 7);
	in = (struct fuse_init_in){ .major = 7, .minor = 30 };
	CHECK_EQ(fc_call(&c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0, &out, sizeof(out)), -EPROTO);
	in = (struct fuse_init_in){ .major = 6, .minor = 40 };
	CHECK_EQ(fc_call(&c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0, &out, sizeof(out)), -EPROTO);
	fc_close(&c);
}

TEST(nothing_works_before_init_and_after_destroy)
{
	struct fuse_entry_out out;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK_EQ(fc_call(&e.c, FUSE_DESTROY, 0, NULL, 0, NULL, 0, NULL, 0), 0);
	CHECK_EQ(fc_lookup(&e.c, FUSE_ROOT_ID, "vol", &out), -EIO);
	CHECK(fc_init(&e.c) > 0);
	CHECK_EQ(fc_getattr(&e.c, e.vol, NULL), -ESTALE); /* of the session before */
	CHECK(fc_lookup(&e.c, FUSE_ROOT_ID, "vol", &out) > 0);
	env_close(&e);
}

TEST(reset_drops_what_the_guest_had_and_keeps_shares)
{
	struct fuse_entry_out out;
	struct fc_created f;
	struct fs_stats st;
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK(fc_create(&e.c, e.vol, "f", O_RDWR, 0644, 0, &f) > 0);
	fc_reset(&e.c);
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.inodes, 0);
	CHECK_EQ(st.handles, 0);
	CHECK_EQ(st.fds, 0);
	e.c.d->ops->reset(e.c.d); /* idempotent */
	REQUIRE(fc_start(&e.c) == 0);
	CHECK_EQ(fc_lookup(&e.c, FUSE_ROOT_ID, "vol", &out), -EIO); /* INIT first */
	CHECK(fc_init(&e.c) > 0);
	CHECK(fc_lookup(&e.c, FUSE_ROOT_ID, "vol", &out) > 0);
	CHECK_EQ(fc_getattr(&e.c, e.vol, NULL), -ESTALE);
	env_close(&e);
}

TEST(many_resets_with_requests_in_flight)
{
	struct fuse_entry_out out;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "hello");
	for (int round = 0; round < 50; round++) {
		for (unsigned int s = 0; s < 8; s++) {
			size_t len = fc_build(&e.c, FUSE_LOOKUP, e.vol, "f", 2, NULL, 0);

			fc_post(&e.c, 1 + s % 2, s, fc_in, len, 256, 0);
		}
		fc_kick(&e.c, 1);
		fc_kick(&e.c, 2);
		fc_reset(&e.c);
		REQUIRE(fc_start(&e.c) == 0);
		REQUIRE(fc_init(&e.c) > 0);
		REQUIRE(fc_lookup(&e.c, FUSE_ROOT_ID, "vol", &out) > 0);
		e.vol = out.nodeid;
	}
	env_close(&e);
}

/* ---- malformed requests ---- */

TEST(unknown_operations_are_enosys)
{
	struct env e;

	REQUIRE(env_open(&e, 0));
	CHECK_EQ(fc_call(&e.c, 0, e.vol, NULL, 0, NULL, 0, NULL, 0), -ENOSYS);
	CHECK_EQ(fc_call(&e.c, 7, e.vol, NULL, 0, NULL, 0, NULL, 0), -ENOSYS);
	CHECK_EQ(fc_call(&e.c, FUSE_POLL, e.vol, NULL, 0, NULL, 0, NULL, 0), -ENOSYS);
	CHECK_EQ(fc_call(&e.c, 53, e.vol, NULL, 0, NULL, 0, NULL, 0), -ENOSYS);
	CHECK_EQ(fc_call(&e.c, 4096, e.vol, NULL, 0, NULL, 0, NULL, 0), -ENOSYS);
	CHECK_EQ(fc_call(&e.c, UINT32_MAX, e.vol, NULL, 0, NULL, 0, NULL, 0), -ENOSYS);
	env_close(&e);
}

TEST(every_operation_survives_every_short_length)
{
	static const uint8_t zeros[512];
	uint8_t out[288];
	struct env e;

	REQUIRE(env_open(&e, 0));
	for (uint32_t op = 1; op < 60; op++) {
		if (op == FUSE_DESTROY || op == FUSE_FORGET || op == FUSE_BATCH_FORGET || op == FUSE_INTERRUPT)
			continue;
		for (size_t len = 0; len < 140; len += 4) {
			int64_t n = fc_call(&e.c, op, e.vol, zeros, len, NULL, 0, out, sizeof(out));

			if (n == -9999)
				UNIT_FAIL("operation %u with %zu bytes: no sane answer", op, len);
		}
	}
	CHECK(fc_init(&e.c) > 0);
	env_close(&e);
}

TEST(every_operation_survives_a_short_reply_buffer)
{
	static const uint8_t body[512] = { [24] = 'a', [40] = 'a', [60] = 'b' };
	struct env e;

	REQUIRE(env_open(&e, 0));
	for (uint32_t op = 1; op < 60; op++) {
		if (op == FUSE_DESTROY)
			continue;
		for (size_t room = 0; room < 20; room++) {
			size_t len = fc_build(&e.c, op, e.vol, body, 200, NULL, 0);
			int64_t n = fc_raw(&e.c, 1, fc_in, len, fc_out, room, 0);

			CHECK(n >= 0 && n <= (int64_t)room);
		}
	}
	env_close(&e);
}

TEST(lengths_in_the_header_that_lie)
{
	static const uint32_t lies[] = { 0, 1, 39, 41, 200, 0x7fffffff, 0x80000000, 0xffffffff };
	struct fuse_in_header *h = (void *)fc_in;
	struct env e;

	REQUIRE(env_open(&e, 0));
	for (size_t n = 0; n < sizeof(lies) / sizeof(lies[0]); n++) {
		size_t len = fc_build(&e.c, FUSE_LOOKUP, e.vol, "f", 2, NULL, 0);

		h->len = lies[n];
		CHECK_EQ(fc_raw(&e.c, 1, fc_in, len, fc_out, 200, 0), 16);
		CHECK_EQ(((struct fuse_out_header *)(void *)fc_out)->error, -EINVAL);
	}
	/* no header at all, half of one, nothing to answer into */
	CHECK_EQ(fc_raw(&e.c, 1, fc_in, 0, fc_out, 16, 0), 0);
	CHECK_EQ(fc_raw(&e.c, 1, fc_in, 20, fc_out, 16, 0), 0);
	fc_build(&e.c, FUSE_GETATTR, e.vol, lies, 16, NULL, 0);
	CHECK_EQ(fc_raw(&e.c, 1, fc_in, 56, fc_out, 0, 0), 0);
	env_close(&e);
}

TEST(requests_in_tiny_pieces_are_the_same)
{
	struct fuse_entry_out *out = (void *)(fc_out + 16);
	struct env e;
	size_t len;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "somefile"), "x");
	for (size_t split = 1; split < 64; split += 3) {
		len = fc_build(&e.c, FUSE_LOOKUP, e.vol, "somefile", 9, NULL, 0);
		CHECK_EQ(fc_raw(&e.c, 1, fc_in, len, fc_out, 16 + sizeof(*out), split), 16 + sizeof(*out));
		CHECK(out->nodeid > 1);
		CHECK_EQ(out->attr.size, 1);
	}
	env_close(&e);
}

TEST(broken_chains_fault_the_device_and_reset_mends_it)
{
	struct fc_desc *desc;
	struct env e;
	size_t len;

	REQUIRE(env_open(&e, 0));
	len = fc_build(&e.c, FUSE_LOOKUP, e.vol, "f", 2, NULL, 0);
	fc_post(&e.c, 1, 0, fc_in, len, 200, 0);
	desc = (void *)fc_ring(&e.c, 1, 0);
	desc[0].next = 0; /* a loop */
	fc_kick(&e.c, 1);
	CHECK_EQ(fc_wait(&e.c, 1, NULL, 1000), -1);
	CHECK(e.c.d->status & 64);
	fc_reset(&e.c);
	REQUIRE(fc_start(&e.c) == 0);
	CHECK(fc_init(&e.c) > 0);
	env_close(&e);
}

TEST(hiprio_queue_takes_only_what_belongs_there)
{
	struct env e;
	size_t len;

	REQUIRE(env_open(&e, 0));
	len = fc_build(&e.c, FUSE_LOOKUP, e.vol, "f", 2, NULL, 0);
	CHECK_EQ(fc_raw(&e.c, 0, fc_in, len, fc_out, 200, 0), 16);
	CHECK_EQ(((struct fuse_out_header *)(void *)fc_out)->error, -EINVAL);
	env_close(&e);
}

TEST(event_idx_and_all_queues_work)
{
	struct fuse_entry_out out;
	struct env e;
	size_t len;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	fc_reset(&e.c);
	e.c.event_idx = true;
	REQUIRE(fc_start(&e.c) == 0);
	REQUIRE(fc_init(&e.c) > 0);
	CHECK(fc_lookup(&e.c, FUSE_ROOT_ID, "vol", &out) > 0);
	e.vol = out.nodeid;
	for (int k = 0; k < 200; k++) {
		len = fc_build(&e.c, FUSE_LOOKUP, e.vol, "f", 2, NULL, 0);
		CHECK_EQ(fc_raw(&e.c, 1 + k % 2, fc_in, len, fc_out, 16 + sizeof(out), 0), 16 + sizeof(out));
	}
	env_close(&e);
}

/* ---- names ---- */

TEST(names_that_are_not_one_component_are_refused)
{
	static const char *const bad[] = { "", ".", "..", "/", "a/b", "../x", "/etc", "a/", "./a" };
	struct fuse_entry_out out;
	struct fc_created f;
	struct env e;

	REQUIRE(env_open(&e, 0));
	REQUIRE(mkdir(host(&e, "a"), 0755) == 0);
	put_file(host(&e, "a/b"), "secret");
	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		CHECK_EQ(fc_lookup(&e.c, e.vol, bad[n], &out), -EINVAL);
		CHECK_EQ(fc_lookup(&e.c, FUSE_ROOT_ID, bad[n], &out), -EINVAL);
		CHECK_EQ(fc_mkdir(&e.c, e.vol, bad[n], 0755, &out), -EINVAL);
		CHECK_EQ(fc_mknod(&e.c, e.vol, bad[n], S_IFREG | 0644, 0, &out), -EINVAL);
		CHECK_EQ(fc_symlink(&e.c, e.vol, bad[n], "x", &out), -EINVAL);
		CHECK_EQ(fc_create(&e.c, e.vol, bad[n], O_RDWR, 0644, 0, &f), -EINVAL);
		CHECK_EQ(fc_unlink(&e.c, e.vol, bad[n]), -EINVAL);
		CHECK_EQ(fc_rmdir(&e.c, e.vol, bad[n]), -EINVAL);
		CHECK_EQ(fc_rename(&e.c, e.vol, bad[n], e.vol, "x", 0), -EINVAL);
		CHECK_EQ(fc_rename(&e.c, e.vol, "a", e.vol, bad[n], 0), -EINVAL);
		CHECK_EQ(fc_link(&e.c, walk(&e, "a/b"), e.vol, bad[n], &out), -EINVAL);
	}
	env_close(&e);
}

TEST(names_have_255_bytes_at_most_and_must_end)
{
	char name[300];
	struct fuse_entry_out out;
	struct env e;

	REQUIRE(env_open(&e, 0));
	memset(name, 'n', sizeof(name));
	name[255] = 0;
	CHECK(fc_mkdir(&e.c, e.vol, name, 0755, &out) > 0);
	CHECK_EQ(access(host(&e, name), F_OK), 0);
	name[255] = 'n';
	name[256] = 0;
	CHECK_EQ(fc_mkdir(&e.c, e.vol, name, 0755, &out), -ENAMETOOLONG);
	/* no NUL within the request */
	CHECK_EQ(fc_call(&e.c, FUSE_LOOKUP, e.vol, "abc", 3, NULL, 0, &out, sizeof(out)), -EINVAL);
	/* a second name that isn't there */
	CHECK_EQ(fc_call(&e.c, FUSE_SYMLINK, e.vol, "abc\0", 4, NULL, 0, &out, sizeof(out)), -EINVAL);
	/* any other byte is fine */
	CHECK(fc_mkdir(&e.c, e.vol, "\x01\xff \n*", 0755, &out) > 0);
	CHECK_EQ(access(host(&e, "\x01\xff \n*"), F_OK), 0);
	env_close(&e);
}

TEST(symbolic_links_are_files_and_never_followed)
{
	struct fuse_entry_out out;
	struct fuse_open_out o;
	struct fc_created f;
	char text[64] = "";
	struct env e;

	REQUIRE(env_open(&e, 0));
	REQUIRE(symlink("/etc", host(&e, "abs")) == 0);
	REQUIRE(symlink("../..", host(&e, "up")) == 0);
	REQUIRE(symlink("/etc/passwd", host(&e, "file")) == 0);
	CHECK(fc_lookup(&e.c, e.vol, "abs", &out) > 0);
	CHECK_EQ(out.attr.mode & S_IFMT, S_IFLNK);
	CHECK_EQ(fc_call(&e.c, FUSE_READLINK, out.nodeid, NULL, 0, NULL, 0, text, 64), 4);
	CHECK_MEM(text, "/etc", 4);
	CHECK_EQ(fc_lookup(&e.c, out.nodeid, "passwd", &out), -ENOTDIR);
	CHECK_EQ(fc_lookup(&e.c, walk(&e, "up"), "etc", &out), -ENOTDIR);
	CHECK_EQ(fc_openf(&e.c, walk(&e, "file"), O_RDONLY, &o), -EPERM);
	CHECK_EQ(fc_create(&e.c, e.vol, "file", O_RDWR, 0644, 0, &f), -ESTALE);
	CHECK_EQ(fc_create(&e.c, e.vol, "file", O_RDWR | O_EXCL, 0644, 0, &f), -EEXIST);
	CHECK_EQ(fc_create(&e.c, walk(&e, "abs"), "new", O_RDWR, 0644, 0, &f), -ENOTDIR);
	CHECK_EQ(fc_mkdir(&e.c, walk(&e, "up"), "new", 0755, &out), -ENOTDIR);
	CHECK(access("/etc/new", F_OK) != 0);
	env_close(&e);
}

/* The host or another guest swaps a directory that is known for a link to somewhere else. */
TEST(a_directory_swapped_for_a_link_stays_itself)
{
	struct fuse_entry_out out;
	struct fc_created f;
	uint64_t dir;
	struct env e;

	REQUIRE(env_open(&e, 0));
	REQUIRE(mkdir(host(&e, "d"), 0755) == 0);
	put_file(host(&e, "d/inside"), "x");
	dir = walk(&e, "d");
	REQUIRE(rename(host(&e, "d"), host(&e, "moved")) == 0);
	REQUIRE(symlink("/etc", host(&e, "d")) == 0);
	CHECK(fc_lookup(&e.c, dir, "inside", &out) > 0);
	CHECK_EQ(fc_lookup(&e.c, dir, "passwd", &out), -ENOENT);
	CHECK(fc_create(&e.c, dir, "husk-was-here", O_RDWR, 0644, 0, &f) > 0);
	CHECK_EQ(access(host(&e, "moved/husk-was-here"), F_OK), 0);
	CHECK(access("/etc/husk-was-here", F_OK) != 0);
	/* by name it is the link now */
	CHECK(fc_lookup(&e.c, e.vol, "d", &out) > 0);
	CHECK_EQ(out.attr.mode & S_IFMT, S_IFLNK);
	env_close(&e);
}

TEST(forged_and_stale_nodeids_are_estale)
{
	struct fuse_entry_out out;
	uint64_t node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	node = walk(&e, "f");
	CHECK_EQ(fc_getattr(&e.c, 0, NULL), -ESTALE);
	CHECK_EQ(fc_getattr(&e.c, 2, NULL), -ESTALE);
	CHECK_EQ(fc_getattr(&e.c, (node & UINT32_MAX) + 2, NULL), -ESTALE);
	CHECK_EQ(fc_getattr(&e.c, node + 1, NULL), -ESTALE);
	CHECK_EQ(fc_getattr(&e.c, node + (1ull << 32), NULL), -ESTALE);
	CHECK_EQ(fc_getattr(&e.c, UINT64_MAX, NULL), -ESTALE);
	for (uint64_t k = 1; k < 64; k++)
		if (1ull << k != e.vol && 1ull << k != node)
			CHECK_EQ(fc_getattr(&e.c, 1ull << k, NULL), -ESTALE);
	/* forgotten, and its slot used again */
	CHECK_EQ(fc_forget(&e.c, node, 1), 0);
	CHECK_EQ(fc_getattr(&e.c, node, NULL), -ESTALE);
	put_file(host(&e, "g"), "y");
	CHECK(fc_lookup(&e.c, e.vol, "g", &out) > 0);
	CHECK_EQ((uint32_t)out.nodeid, (uint32_t)node);
	CHECK(out.nodeid != node);
	CHECK_EQ(fc_getattr(&e.c, node, NULL), -ESTALE);
	CHECK_EQ(fc_link(&e.c, node, e.vol, "l", &out), -ESTALE);
	CHECK_EQ(fc_rename(&e.c, e.vol, "g", node, "l", 0), -ESTALE);
	env_close(&e);
}

TEST(lookups_are_counted_and_forgotten_exactly)
{
	struct fuse_entry_out out;
	struct fs_stats st;
	struct env e;
	uint64_t node = 0;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	for (int k = 0; k < 5; k++) {
		CHECK(fc_lookup(&e.c, e.vol, "f", &out) > 0);
		CHECK(!node || node == out.nodeid);
		node = out.nodeid;
	}
	CHECK_EQ(fc_forget(&e.c, node, 3), 0);
	CHECK(fc_getattr(&e.c, node, NULL) > 0);
	CHECK_EQ(fc_forget(&e.c, node, 2), 0);
	CHECK_EQ(fc_getattr(&e.c, node, NULL), -ESTALE);
	/* more than there were; of what isn't there; of the root */
	CHECK(fc_lookup(&e.c, e.vol, "f", &out) > 0);
	CHECK_EQ(fc_forget(&e.c, out.nodeid, UINT64_MAX), 0);
	CHECK_EQ(fc_forget(&e.c, out.nodeid, 1), 0);
	CHECK_EQ(fc_forget(&e.c, FUSE_ROOT_ID, 1000), 0);
	CHECK(fc_getattr(&e.c, FUSE_ROOT_ID, NULL) > 0);
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.inodes, 1);
	CHECK_EQ(st.fds, 1);
	env_close(&e);
}

TEST(batch_forget_takes_as_many_as_there_are)
{
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[200];
	} b = { .in.count = 200 };
	struct fs_stats st;
	struct env e;
	char name[16];
	size_t len;

	REQUIRE(env_open(&e, 0));
	for (int k = 0; k < 200; k++) {
		snprintf(name, sizeof(name), "f%d", k);
		put_file(host(&e, name), "");
		b.one[k] = (struct fuse_forget_one){ .nodeid = walk(&e, name), .nlookup = 1 };
	}
	len = fc_build(&e.c, FUSE_BATCH_FORGET, 0, &b, sizeof(b.in) + 100 * sizeof(b.one[0]), NULL, 0);
	CHECK_EQ(fc_raw(&e.c, 0, fc_in, len, fc_out, 0, 0), 0); /* says 200, has 100 */
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.inodes, 101);
	b.in.count = UINT32_MAX;
	len = fc_build(&e.c, FUSE_BATCH_FORGET, 0, &b, sizeof(b), NULL, 0);
	CHECK_EQ(fc_raw(&e.c, 0, fc_in, len, fc_out, 0, 0), 0);
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.inodes, 1);
	env_close(&e);
}

TEST(hard_links_are_one_node)
{
	struct fuse_entry_out a, b;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "a"), "x");
	REQUIRE(mkdir(host(&e, "d"), 0755) == 0);
	CHECK(fc_lookup(&e.c, e.vol, "a", &a) > 0);
	CHECK(fc_link(&e.c, a.nodeid, walk(&e, "d"), "b", &b) > 0);
	CHECK_EQ(a.nodeid, b.nodeid);
	CHECK_EQ(b.attr.nlink, 2);
	CHECK_EQ(walk(&e, "d/b"), a.nodeid);
	CHECK_EQ(fc_unlink(&e.c, e.vol, "a"), 0);
	CHECK(fc_getattr(&e.c, a.nodeid, &b.attr) > 0);
	CHECK_EQ(b.attr.nlink, 1);
	/* symbolic links can be linked, too; directories cannot */
	CHECK(fc_symlink(&e.c, e.vol, "s", "nowhere", &a) > 0);
	CHECK(fc_link(&e.c, a.nodeid, e.vol, "s2", &b) > 0);
	CHECK_EQ(a.nodeid, b.nodeid);
	CHECK_EQ(fc_link(&e.c, walk(&e, "d"), e.vol, "d2", &b), -EPERM);
	env_close(&e);
}

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
