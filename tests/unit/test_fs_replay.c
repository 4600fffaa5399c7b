/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/* Requests by which the agent repeats a change of the host: answered as done, and nothing is done. */
#include "agent/plan.h"
#include "tests/unit/fs_env.h"

static void as(struct env *e, uint32_t uid)
{
	e->c.uid = uid;
}

TEST(a_touched_file_is_not_changed)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE | FATTR_SIZE, .mode = 0777, .size = 1 };
	struct fuse_open_out o;
	struct fuse_attr a;
	struct stat st;
	uint64_t node;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "content");
	REQUIRE(chmod(host(&e, "f"), 0640) == 0);
	as(&e, PLAN_TOUCH_UID);
	node = walk(&e, "f");
	CHECK(fc_setattr(&e.c, node, &in) >= 0);
	CHECK(fc_getattr(&e.c, node, &a) > 0);
	CHECK_EQ(a.size, 7);
	CHECK(fc_openf(&e.c, node, O_RDWR | O_TRUNC, &o) >= 0);
	CHECK_EQ(fc_write(&e.c, node, o.fh, 0, "x", 1, 0, 0), -EPERM);
	as(&e, 0);
	CHECK_EQ(fc_write(&e.c, node, o.fh, 0, "x", 1, 0, 0), -EBADF);
	REQUIRE(stat(host(&e, "f"), &st) == 0);
	CHECK_EQ(st.st_size, 7);
	CHECK_EQ(st.st_mode & 07777, 0640);
	env_close(&e);
}

TEST(a_replay_finds_what_was_there_before)
{
	struct fuse_entry_out known, out;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "old");
	CHECK(fc_lookup(&e.c, e.vol, "f", &known) > 0);
	as(&e, PLAN_REPLAY_UID);
	/* what is there and not older than the guest's knowledge has not been there before */
	CHECK_EQ(fc_lookup(&e.c, e.vol, "f", &out), -ENOENT);
	put_file(host(&e, "g"), "new");
	REQUIRE(rename(host(&e, "g"), host(&e, "f")) == 0);
	CHECK(fc_lookup(&e.c, e.vol, "f", &out) > 0);
	CHECK_EQ(out.nodeid, known.nodeid);
	CHECK(out.attr.nlink > 0);
	REQUIRE(unlink(host(&e, "f")) == 0);
	CHECK(fc_lookup(&e.c, e.vol, "f", &out) > 0);
	CHECK_EQ(out.nodeid, known.nodeid);
	/* a name that the guest never heard of */
	CHECK(fc_lookup(&e.c, e.vol, "unknown", &out) > 0);
	CHECK_EQ(out.attr.mode & S_IFMT, S_IFREG);
	as(&e, PLAN_REPLAY_DIR_UID);
	CHECK(fc_lookup(&e.c, e.vol, "unknown-dir", &out) > 0);
	CHECK_EQ(out.attr.mode & S_IFMT, S_IFDIR);
	as(&e, 0);
	CHECK_EQ(fc_lookup(&e.c, e.vol, "unknown", &out), -ENOENT);
	env_close(&e);
}

TEST(a_replayed_change_of_names_changes_none)
{
	struct fuse_entry_out out;
	struct fc_created f;
	struct stat st;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	put_file(host(&e, "g"), "y");
	REQUIRE(mkdir(host(&e, "d"), 0755) == 0);
	as(&e, PLAN_REPLAY_UID);
	CHECK(fc_unlink(&e.c, e.vol, "f") >= 0);
	CHECK(fc_rmdir(&e.c, e.vol, "d") >= 0);
	CHECK(fc_rename(&e.c, e.vol, "f", e.vol, "g", 0) >= 0);
	CHECK(fc_mknod(&e.c, e.vol, "f", S_IFREG | 0600, 0, &out) > 0);
	CHECK_EQ(out.attr.size, 1);
	CHECK(fc_mkdir(&e.c, e.vol, "d", 0700, &out) > 0);
	CHECK(fc_mknod(&e.c, e.vol, "not-there", S_IFREG | 0600, 0, &out) > 0);
	CHECK(stat(host(&e, "not-there"), &st) != 0);
	CHECK(stat(host(&e, "f"), &st) == 0 && stat(host(&e, "g"), &st) == 0 && stat(host(&e, "d"), &st) == 0);
	/* nothing else that changes something */
	CHECK_EQ(fc_create(&e.c, e.vol, "n", O_RDWR, 0644, 0, &f), -EPERM);
	CHECK_EQ(fc_link(&e.c, walk(&e, "g"), e.vol, "l", &out), -EPERM);
	env_close(&e);
}

TEST(a_stand_in_takes_no_memory_of_the_host)
{
	struct fuse_entry_out out;
	struct fuse_open_out o;
	char big[4096] = { 0 };
	struct env e;

	REQUIRE(env_open(&e, 0));
	as(&e, PLAN_REPLAY_UID);
	CHECK(fc_lookup(&e.c, e.vol, "gone", &out) > 0);
	as(&e, 0);
	if (fc_openf(&e.c, out.nodeid, O_RDWR, &o) >= 0)
		CHECK(fc_write(&e.c, out.nodeid, o.fh, 0, big, sizeof(big), 0, 0) < 0);
	env_close(&e);
}

TEST(replays_work_on_read_only_shares_and_mean_nothing_to_a_private_device)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0600 };
	struct fuse_entry_out out;
	uint64_t ro;
	struct env e;

	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	ro = share(&e, e.dir, "ro", CTL_SHARE_RO);
	CHECK(fc_lookup(&e.c, ro, "f", &out) > 0);
	as(&e, PLAN_TOUCH_UID);
	CHECK(fc_setattr(&e.c, out.nodeid, &in) >= 0);
	as(&e, PLAN_REPLAY_UID);
	CHECK(fc_unlink(&e.c, ro, "f") >= 0);
	CHECK_EQ(fc_symlink(&e.c, e.vol, "l", "x", &out) < 0, 0);
	as(&e, 0);
	CHECK_EQ(fc_unlink(&e.c, ro, "f"), -EROFS);
	env_close(&e);

	REQUIRE(env_open_with(&e, 0, true));
	put_file(host(&e, "f"), "x");
	as(&e, PLAN_REPLAY_UID);
	CHECK(fc_lookup(&e.c, e.vol, "f", &out) > 0);
	CHECK(fc_unlink(&e.c, e.vol, "f") >= 0);
	CHECK(access(host(&e, "f"), F_OK) != 0);
	env_close(&e);
}
