/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/* The DAX window: what it shows, what it refuses, and what it never lets anybody write. */
#include <sys/mman.h>

#include "tests/unit/fs_env.h"
#include "vmm/fs_internal.h"

#define UNIT (2u << 20)
#define UNITS 8u
#define FILE_SIZE (3 * UNIT + 5000)

struct dax {
	struct env e;
	uint64_t ro; /* nodeid of the read-only share with DAX */
	const uint8_t *window;
};

/* A byte of the test file. */
static uint8_t at(uint64_t off)
{
	return (uint8_t)(off * 2654435761u >> 13);
}

static void put_large(const char *path, size_t size)
{
	uint8_t *buf = malloc(size);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	for (size_t n = 0; buf && n < size; n++)
		buf[n] = at(n);
	if (!buf || fd < 0 || write(fd, buf, size) != (ssize_t)size)
		UNIT_FAIL("cannot write %s", path);
	close(fd);
	free(buf);
}

/* A device with a window, started; the share "ro" shows the environment's directory. */
static bool dax_open(struct dax *d)
{
	struct fuse_init_in in = { .major = 7, .minor = FS_MINOR, .flags = ~0u, .flags2 = ~0u };
	struct env *e = &d->e;

	memset(d, 0, sizeof(*d));
	umask(0);
	fs_prepare();
	e->fds = count_fds();
	strcpy(e->dir, FS_ENV_DIR "/husk-fs-XXXXXX");
	if (!mkdtemp(e->dir) || !fc_open(&e->c, 1))
		return false;
	if (fs_set_window(e->c.d, 1ull << 38, (uint64_t)UNITS * UNIT) || fc_start(&e->c))
		return false;
	if (fc_call(&e->c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0, &e->c.init, sizeof(e->c.init)) < 0)
		return false;
	d->window = fs_window(e->c.d);
	put_large(host(e, "large"), FILE_SIZE);
	put_file(host(e, "small"), "small");
	d->ro = share(e, e->dir, "ro", CTL_SHARE_RO | CTL_SHARE_DAX);
	return d->ro != 0;
}

static int64_t setup(struct dax *d, uint64_t node, uint64_t foffset, uint64_t moffset, uint64_t len, uint64_t flags)
{
	struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX, .foffset = foffset, .len = len, .flags = flags, .moffset = moffset
	};

	return fc_call(&d->e.c, FUSE_SETUPMAPPING, node, &in, sizeof(in), NULL, 0, NULL, 0);
}

static int64_t take_out(struct dax *d, uint32_t count, uint64_t moffset, uint64_t len)
{
	struct {
		struct fuse_removemapping_in in;
		uint32_t pad;
		struct fuse_removemapping_one one;
	} m = { .in.count = count };
	uint8_t bytes[sizeof(m.in) + sizeof(m.one)];

	m.one.moffset = moffset;
	m.one.len = len;
	memcpy(bytes, &m.in, sizeof(m.in));
	memcpy(bytes + sizeof(m.in), &m.one, sizeof(m.one));
	return fc_call(&d->e.c, FUSE_REMOVEMAPPING, 0, bytes, sizeof(bytes), NULL, 0, NULL, 0);
}

static bool shows(const struct dax *d, uint64_t moffset, uint64_t foffset, size_t len)
{
	for (size_t n = 0; n < len; n++)
		if (d->window[moffset + n] != at(foffset + n))
			return false;
	return true;
}

static bool is_zero(const struct dax *d, uint64_t moffset, size_t len)
{
	for (size_t n = 0; n < len; n++)
		if (d->window[moffset + n])
			return false;
	return true;
}

#define R FUSE_SETUPMAPPING_FLAG_READ

TEST(large_files_of_read_only_shares_are_shown_in_the_window)
{
	struct fuse_entry_out large, small;
	struct dax d;

	REQUIRE(dax_open(&d));
	CHECK_EQ(d.e.c.d->shm.len, (uint64_t)UNITS * UNIT);
	CHECK_EQ(d.e.c.init.map_alignment, 21);
	CHECK(fc_lookup(&d.e.c, d.ro, "large", &large) > 0);
	CHECK(fc_lookup(&d.e.c, d.ro, "small", &small) > 0);
	CHECK_EQ(large.attr.flags, FS_ATTR_DAX);
	CHECK_EQ(small.attr.flags, 0);
	CHECK(is_zero(&d, 0, UNITS * UNIT));
	CHECK(setup(&d, large.nodeid, UNIT, 2 * UNIT, UNIT, R) >= 0);
	CHECK(shows(&d, 2 * UNIT, UNIT, UNIT));
	CHECK(is_zero(&d, UNIT, UNIT));
	CHECK(is_zero(&d, 3 * UNIT, UNIT));
	/* the last piece ends with the file, and its last page with zeros */
	CHECK(setup(&d, large.nodeid, 3 * UNIT, 0, UNIT, R) >= 0);
	CHECK(shows(&d, 0, 3 * UNIT, 5000));
	CHECK(is_zero(&d, 5000, 8192 - 5000));
	/* over another one */
	CHECK(setup(&d, large.nodeid, 0, 2 * UNIT, 2 * UNIT, R) >= 0);
	CHECK(shows(&d, 2 * UNIT, 0, 2 * UNIT));
	CHECK(take_out(&d, 1, 2 * UNIT, UNIT) >= 0);
	CHECK(is_zero(&d, 2 * UNIT, UNIT));
	CHECK(shows(&d, 3 * UNIT, UNIT, UNIT));
	env_close(&d.e);
}

TEST(mappings_outside_the_window_or_of_other_files_are_refused)
{
	const uint64_t all = (uint64_t)UNITS * UNIT, max = UINT64_MAX & ~(uint64_t)(UNIT - 1);
	struct fuse_entry_out large, small, plain;
	uint64_t ro, vol;
	struct dax d;

	REQUIRE(dax_open(&d));
	CHECK(fc_lookup(&d.e.c, d.ro, "large", &large) > 0);
	CHECK(fc_lookup(&d.e.c, d.ro, "small", &small) > 0);
	CHECK_EQ(setup(&d, large.nodeid, 0, all, UNIT, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, 0, all - UNIT, 2 * UNIT, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, 0, UNIT, max, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, 0, max, UNIT, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, max, 0, UNIT, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, INT64_MAX & ~(uint64_t)(UNIT - 1), 0, UNIT, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, 0, 4096, UNIT, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, 4096, 0, UNIT, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, 0, 0, 4096, R), -EINVAL);
	CHECK_EQ(setup(&d, large.nodeid, 0, 0, 0, R), -EINVAL);
	CHECK_EQ(setup(&d, small.nodeid, 0, 0, UNIT, R), -EINVAL);
	CHECK_EQ(setup(&d, d.ro, 0, 0, UNIT, R), -EINVAL);
	/* nothing is ever writable */
	CHECK_EQ(setup(&d, large.nodeid, 0, 0, UNIT, R | FUSE_SETUPMAPPING_FLAG_WRITE), -EROFS);
	CHECK_EQ(take_out(&d, 1, all, UNIT), -EINVAL);
	CHECK_EQ(take_out(&d, 2, 0, UNIT), -EINVAL);
	CHECK_EQ(take_out(&d, UINT32_MAX, 0, UNIT), -EINVAL);
	/* shares that were not given for it */
	ro = share(&d.e, d.e.dir, "plain-ro", CTL_SHARE_RO);
	vol = share(&d.e, d.e.dir, "rw", 0);
	CHECK(fc_lookup(&d.e.c, ro, "large", &plain) > 0);
	CHECK_EQ(plain.attr.flags, 0);
	CHECK_EQ(setup(&d, plain.nodeid, 0, 0, UNIT, R), -EINVAL);
	CHECK(fc_lookup(&d.e.c, vol, "large", &plain) > 0);
	CHECK_EQ(setup(&d, plain.nodeid, 0, 0, UNIT, R), -EINVAL);
	CHECK_EQ(fs_add_share(d.e.c.d, "rw-dax", open(d.e.dir, O_PATH | O_CLOEXEC), CTL_SHARE_DAX), -EINVAL);
	CHECK(is_zero(&d, 0, UNITS * UNIT));
	env_close(&d.e);
}

TEST(a_share_that_goes_takes_its_mappings_along)
{
	struct fuse_entry_out large;
	struct dax d;

	REQUIRE(dax_open(&d));
	CHECK(fc_lookup(&d.e.c, d.ro, "large", &large) > 0);
	CHECK(setup(&d, large.nodeid, 0, 0, 2 * UNIT, R) >= 0);
	CHECK(shows(&d, 0, 0, 2 * UNIT));
	CHECK_EQ(fs_del_share(d.e.c.d, "ro"), 0);
	CHECK(is_zero(&d, 0, UNITS * UNIT));
	CHECK_EQ(setup(&d, large.nodeid, 0, 0, UNIT, R), -ESTALE);
	env_close(&d.e);
}

TEST(a_reset_takes_all_mappings_out)
{
	struct fuse_entry_out large;
	struct dax d;

	REQUIRE(dax_open(&d));
	CHECK(fc_lookup(&d.e.c, d.ro, "large", &large) > 0);
	CHECK(setup(&d, large.nodeid, 0, 4 * UNIT, UNIT, R) >= 0);
	fc_reset(&d.e.c);
	CHECK(is_zero(&d, 0, UNITS * UNIT));
	env_close(&d.e);
}

TEST(a_file_cut_under_its_mapping_is_recognised)
{
	struct fuse_entry_out large;
	struct dax d;

	REQUIRE(dax_open(&d));
	CHECK(fc_lookup(&d.e.c, d.ro, "large", &large) > 0);
	CHECK(!fs_dax_broken(d.e.c.d));
	CHECK(setup(&d, large.nodeid, 0, 0, 2 * UNIT, R) >= 0);
	CHECK(setup(&d, large.nodeid, 2 * UNIT, 2 * UNIT, 2 * UNIT, R) >= 0); /* with what is behind its end */
	CHECK(!fs_dax_broken(d.e.c.d));
	REQUIRE(truncate(host(&d.e, "large"), UNIT + 100) == 0);
	CHECK(fs_dax_broken(d.e.c.d));
	CHECK(take_out(&d, 1, 0, 4 * UNIT) >= 0);
	CHECK(!fs_dax_broken(d.e.c.d));
	/* cut before it was mapped, which the guest has not heard of */
	CHECK(setup(&d, large.nodeid, 2 * UNIT, 0, UNIT, R) >= 0);
	CHECK(fs_dax_broken(d.e.c.d));
	env_close(&d.e);
}
