/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The virtio-fs device: session, names and nodeids; what a hostile guest may try with them.
 */

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
