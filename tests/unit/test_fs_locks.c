/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * Locks through the file server: between owners of one guest, with the host, waiting, and their end.
 */
#include <sys/file.h>
#include <time.h>

#include "tests/unit/fs_env.h"

#define END INT64_MAX

struct lockenv {
	struct env e;
	uint64_t node;
	struct fuse_open_out a, b;
};

static bool lock_open(struct lockenv *l, unsigned int flags)
{
	if (!env_open(&l->e, flags))
		return false;
	put_file(host(&l->e, "f"), "lock me");
	l->node = walk(&l->e, "f");
	return fc_openf(&l->e.c, l->node, O_RDWR, &l->a) > 0 && fc_openf(&l->e.c, l->node, O_RDWR, &l->b) > 0;
}

static int64_t lk(struct lockenv *l, uint32_t op, uint64_t fh, uint64_t owner, uint32_t type, uint64_t start,
		  uint64_t end)
{
	return fc_lock(&l->e.c, op, l->node, fh, owner, type, start, end, 0, NULL);
}

static int64_t flk(struct lockenv *l, uint32_t op, uint64_t fh, uint32_t type)
{
	return fc_lock(&l->e.c, op, l->node, fh, fh, type, 0, END, FUSE_LK_FLOCK, NULL);
}

/* The guest closes a descriptor of the file in process `owner`. */
static int64_t flush(struct lockenv *l, uint64_t fh, uint64_t owner)
{
	struct fuse_flush_in in = { .fh = fh, .lock_owner = owner };

	return fc_call(&l->e.c, FUSE_FLUSH, l->node, &in, sizeof(in), NULL, 0, NULL, 0);
}

/* Start a blocking request in slot s. */
static void post_wait(struct lockenv *l, unsigned int s, uint64_t fh, uint64_t owner, uint32_t type, uint32_t flags)
{
	struct fuse_lk_in in = {
		.fh = fh, .owner = owner, .lk = { .end = END, .type = type, .pid = (uint32_t)owner }, .lk_flags = flags
	};
	size_t len = fc_build(&l->e.c, FUSE_SETLKW, l->node, &in, sizeof(in), NULL, 0);

	fc_post(&l->e.c, 1, s, fc_in, len, 16, 0);
	fc_kick(&l->e.c, 1);
}

/* Error of the answer in slot s. */
static int error_of(struct lockenv *l, unsigned int s)
{
	struct fuse_out_header *oh = (void *)(l->e.c.ram + FC_DATA + s * FC_SLOT + FC_REPLY);

	return oh->error;
}

TEST(posix_locks_are_of_owners_and_ranges)
{
	struct fuse_file_lock out;
	struct fs_stats st;
	struct lockenv l;

	REQUIRE(lock_open(&l, 0));
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, 9), 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 5, 20), 0); /* its own */
	CHECK_EQ(lk(&l, FUSE_SETLK, l.b.fh, 2, F_WRLCK, 9, 9), -EAGAIN);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 2, F_RDLCK, 20, END), -EAGAIN); /* even through the same open file */
	CHECK_EQ(lk(&l, FUSE_SETLK, l.b.fh, 2, F_RDLCK, 21, END), 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 3, F_RDLCK, 100, 200), 0); /* shared */
	CHECK_EQ(fc_lock(&l.e.c, FUSE_GETLK, l.node, l.a.fh, 3, F_WRLCK, 0, END, 0, &out), sizeof(out));
	CHECK_EQ(out.type, F_WRLCK);
	CHECK_EQ(out.start, 0);
	CHECK_EQ(out.end, 20);
	CHECK_EQ(out.pid, 1); /* the guest's process, not the server's */
	CHECK_EQ(fc_lock(&l.e.c, FUSE_GETLK, l.node, l.a.fh, 9, F_RDLCK, 21, END, 0, &out), sizeof(out));
	CHECK_EQ(out.type, F_UNLCK);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_UNLCK, 0, 9), 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.b.fh, 2, F_WRLCK, 0, 9), 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.b.fh, 2, F_WRLCK, 10, 10), -EAGAIN);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 4, F_UNLCK, 0, END), 0); /* has none */
	fs_stats(l.e.c.d, &st);
	CHECK_EQ(st.locks, 3);
	env_close(&l.e);
}

TEST(locks_end_with_close_and_with_the_owner)
{
	struct fs_stats st;
	struct lockenv l;

	REQUIRE(lock_open(&l, 0));
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, 9), 0);
	CHECK_EQ(flush(&l, l.b.fh, 2), 0); /* somebody else's close */
	CHECK_EQ(lk(&l, FUSE_SETLK, l.b.fh, 2, F_WRLCK, 0, 9), -EAGAIN);
	CHECK_EQ(flush(&l, l.b.fh, 1), 0); /* any close by the owner */
	CHECK_EQ(lk(&l, FUSE_SETLK, l.b.fh, 2, F_WRLCK, 0, 9), 0);
	/* what belongs to the open file ends with it, though no FLUSH names its owner */
	CHECK_EQ(fc_release(&l.e.c, l.node, l.b.fh), 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, END), 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_UNLCK, 0, END), 0);
	fs_stats(l.e.c.d, &st);
	CHECK_EQ(st.locks, 0);
	env_close(&l.e);
}

TEST(locks_are_the_host_s_too)
{
	struct fuse_file_lock out;
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
	struct lockenv l;
	int fd;

	REQUIRE(lock_open(&l, 0));
	fd = open(host(&l.e, "f"), O_RDWR);
	REQUIRE(fcntl(fd, F_OFD_SETLK, &fl) == 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 5, 5), -EAGAIN);
	CHECK_EQ(fc_lock(&l.e.c, FUSE_GETLK, l.node, l.a.fh, 1, F_WRLCK, 0, END, 0, &out), sizeof(out));
	CHECK_EQ(out.type, F_WRLCK);
	CHECK_EQ(out.end, 9);
	CHECK_EQ(out.pid, 0); /* nobody in the guest */
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 10, END), 0);
	fl = (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 50, .l_len = 1 };
	CHECK(fcntl(fd, F_OFD_SETLK, &fl) != 0);
	CHECK_EQ(flk(&l, FUSE_SETLK, l.a.fh, F_WRLCK), 0);
	CHECK(flock(fd, LOCK_SH | LOCK_NB) != 0);
	close(fd);
	env_close(&l.e);
}

TEST(flock_is_of_open_files)
{
	struct lockenv l;

	REQUIRE(lock_open(&l, 0));
	CHECK_EQ(flk(&l, FUSE_SETLK, l.a.fh, F_RDLCK), 0);
	CHECK_EQ(flk(&l, FUSE_SETLK, l.b.fh, F_RDLCK), 0);
	CHECK_EQ(flk(&l, FUSE_SETLK, l.b.fh, F_WRLCK), -EAGAIN);
	CHECK_EQ(flk(&l, FUSE_SETLK, l.a.fh, F_UNLCK), 0);
	CHECK_EQ(flk(&l, FUSE_SETLK, l.b.fh, F_WRLCK), 0);
	CHECK_EQ(flk(&l, FUSE_SETLK, l.a.fh, F_WRLCK), -EAGAIN);
	CHECK_EQ(fc_release(&l.e.c, l.node, l.b.fh), 0);
	CHECK_EQ(flk(&l, FUSE_SETLK, l.a.fh, F_WRLCK), 0);
	CHECK_EQ(flk(&l, FUSE_SETLK, 12345, F_WRLCK), -EBADF);
	env_close(&l.e);
}

/* Wait until n lock requests are parked: workers serve side by side, so an answer to a later one says nothing. */
static void wait_parked(struct lockenv *l, uint32_t n)
{
	struct fs_stats st;

	for (int ms = 0; ms < 5000; ms++) {
		fs_stats(l->e.c.d, &st);
		if (st.waiters == n)
			return;
		usleep(1000);
	}
	UNIT_FAIL("%u waiters, not %u", st.waiters, n);
}

/* Which of several waiters comes first depends on which worker was the first to park its request. */
TEST(waiting_locks_block_nothing_and_are_granted_one_at_a_time)
{
	unsigned int holder = 0; /* slot of the waiter that has the lock; 0: the first owner */
	bool granted[9] = { false };
	struct fuse_attr a;
	struct fs_stats st;
	struct lockenv l;

	REQUIRE(lock_open(&l, 0));
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, END), 0);
	for (unsigned int s = 1; s <= 8; s++) {
		post_wait(&l, s, l.b.fh, 10 + s, F_WRLCK, 0);
		/* every request behind it is served */
		CHECK(fc_getattr(&l.e.c, l.node, &a) > 0);
	}
	wait_parked(&l, 8);
	CHECK_EQ(fc_wait(&l.e.c, 1, NULL, 100), -1);
	for (unsigned int n = 1; n <= 8; n++) {
		/* the holder closes: one waiter gets it, and the answers are the close's and that one's */
		struct fuse_flush_in in = { .fh = l.b.fh, .lock_owner = holder ? 10 + holder : 1 };
		size_t len = fc_build(&l.e.c, FUSE_FLUSH, l.node, &in, sizeof(in), NULL, 0);
		int first, second;

		fc_post(&l.e.c, 1, 0, fc_in, len, 16, 0);
		fc_kick(&l.e.c, 1);
		first = fc_wait(&l.e.c, 1, NULL, 10000);
		second = fc_wait(&l.e.c, 1, NULL, 10000);
		REQUIRE((first == 0) != (second == 0)); /* slot 0 is the close */
		holder = (unsigned int)(first + second);
		REQUIRE(holder >= 1 && holder <= 8 && !granted[holder]);
		granted[holder] = true;
		CHECK_EQ(error_of(&l, holder), 0);
		CHECK_EQ(fc_wait(&l.e.c, 1, NULL, 50), -1); /* nobody else */
		fs_stats(l.e.c.d, &st);
		CHECK_EQ(st.waiters, 8 - n);
	}
	env_close(&l.e);
}

TEST(a_waiting_lock_is_granted_when_the_host_lets_go)
{
	struct lockenv l;
	uint32_t written = 0;
	int fd;

	REQUIRE(lock_open(&l, 0));
	fd = open(host(&l.e, "f"), O_RDWR);
	REQUIRE(flock(fd, LOCK_EX) == 0);
	post_wait(&l, 1, l.a.fh, 1, F_WRLCK, FUSE_LK_FLOCK);
	CHECK_EQ(fc_wait(&l.e.c, 1, NULL, 200), -1);
	close(fd);
	CHECK_EQ(fc_wait(&l.e.c, 1, &written, 1000), 1);
	CHECK_EQ(written, 16);
	CHECK_EQ(error_of(&l, 1), 0);
	env_close(&l.e);
}

TEST(a_waiting_lock_can_be_interrupted)
{
	struct fuse_interrupt_in in;
	struct lockenv l;
	size_t len;

	REQUIRE(lock_open(&l, 0));
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, END), 0);
	post_wait(&l, 1, l.b.fh, 2, F_WRLCK, 0);
	in.unique = l.e.c.unique;
	CHECK_EQ(fc_wait(&l.e.c, 1, NULL, 50), -1);
	len = fc_build(&l.e.c, FUSE_INTERRUPT, 0, &in, sizeof(in), NULL, 0);
	CHECK_EQ(fc_raw(&l.e.c, 0, fc_in, len, fc_out, 0, 0), 0);
	CHECK_EQ(fc_wait(&l.e.c, 1, NULL, 1000), 1);
	CHECK_EQ(error_of(&l, 1), -EINTR);
	/* of what isn't there */
	CHECK_EQ(fc_raw(&l.e.c, 0, fc_in, len, fc_out, 0, 0), 0);
	env_close(&l.e);
}

TEST(waiting_locks_go_with_a_reset)
{
	struct lockenv l;
	struct fs_stats st;

	REQUIRE(lock_open(&l, 0));
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, END), 0);
	for (unsigned int k = 0; k < 22; k++)
		post_wait(&l, 1 + k, l.b.fh, 100 + k, F_WRLCK, 0);
	CHECK_EQ(fc_wait(&l.e.c, 1, NULL, 100), -1);
	wait_parked(&l, 22);
	/* they go away with a reset, unanswered */
	fc_reset(&l.e.c);
	fs_stats(l.e.c.d, &st);
	CHECK_EQ(st.waiters, 0);
	CHECK_EQ(st.locks, 0);
	CHECK_EQ(st.fds, 0);
	env_close(&l.e);
}

TEST(waiting_locks_of_a_deleted_share_are_answered)
{
	struct lockenv l;

	REQUIRE(lock_open(&l, 0));
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, END), 0);
	post_wait(&l, 1, l.b.fh, 2, F_WRLCK, 0);
	CHECK_EQ(fc_wait(&l.e.c, 1, NULL, 50), -1);
	CHECK_EQ(fs_del_share(l.e.c.d, "vol"), 0);
	CHECK_EQ(fc_wait(&l.e.c, 1, NULL, 1000), 1);
	CHECK_EQ(error_of(&l, 1), -ESTALE);
	env_close(&l.e);
}

TEST(lock_arguments_that_lie)
{
	struct lockenv l;
	struct fuse_file_lock out;

	REQUIRE(lock_open(&l, 0));
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 10, 5), -EINVAL);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, UINT64_MAX), -EINVAL);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, UINT64_MAX, UINT64_MAX), -EINVAL);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, 77, 0, 5), -EINVAL);
	CHECK_EQ(fc_lock(&l.e.c, FUSE_GETLK, l.node, l.a.fh, 1, F_UNLCK, 0, 5, 0, &out), -EINVAL);
	CHECK_EQ(fc_lock(&l.e.c, FUSE_SETLK, l.e.vol, 0, 1, F_WRLCK, 0, 5, 0, NULL), -EINVAL);
	env_close(&l.e);
}

TEST(lock_owners_have_a_cap)
{
	struct lockenv l;
	int64_t err = 0;
	uint64_t n;

	REQUIRE(lock_open(&l, 0));
	for (n = 0; n < 10000 && err == 0; n++)
		err = lk(&l, FUSE_SETLK, l.a.fh, 1000 + n, F_RDLCK, n, n);
	CHECK(err == -ENOLCK || err == -ENFILE);
	CHECK(n > 1000 && n < 9999);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1000, F_UNLCK, 0, END), 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 5, F_RDLCK, 0, END), 0);
	env_close(&l.e);
}

/* Two containers that share a file coordinate by locks: whoever has taken one must not believe what it knew before. */
TEST(attributes_of_locked_files_are_not_believed)
{
	struct fuse_entry_out before, after;
	struct lockenv l;

	REQUIRE(lock_open(&l, 0));
	CHECK(fc_lookup(&l.e.c, l.e.vol, "f", &before) > 0);
	CHECK(before.attr_valid_nsec > 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, END), 0);
	CHECK(fc_lookup(&l.e.c, l.e.vol, "f", &before) > 0);
	CHECK_EQ(before.attr_valid + before.attr_valid_nsec, 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_UNLCK, 0, END), 0);
	CHECK_EQ(lk(&l, FUSE_SETLK, l.a.fh, 1, F_WRLCK, 0, END), 0);
	CHECK(fc_lookup(&l.e.c, l.e.vol, "f", &after) > 0);
	/* the guest drops its pages when the time differs */
	CHECK_EQ(after.attr.mtime, before.attr.mtime);
	CHECK(after.attr.mtimensec != before.attr.mtimensec);
	CHECK(after.attr.mtimensec / 1000 == before.attr.mtimensec / 1000);
	env_close(&l.e);
}
