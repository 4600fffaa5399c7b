/* SPDX-License-Identifier: Apache-2.0 */
// link: runtime oci
/* The mount table against mounts made here. Needs root. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "runtime/mountinfo.h"
#include "tests/unit/unit.h"

#define ODD "/tmp/a \\\t\nb"

/* A private mount namespace, a tmpfs on /tmp, and another one at a name that has to be escaped. */
static bool begin(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("unit", "/tmp", "tmpfs", 0, NULL) < 0 || mkdir(ODD, 0755) < 0 ||
	    mount("sour ce", ODD, "tmpfs", MS_RDONLY, NULL) < 0) {
		printf("# needs root\n");
		return false;
	}
	return true;
}

static bool look(void *ctx, const struct mountinfo *m)
{
	int *seen = ctx;
	struct stat st;

	if (strcmp(m->point, ODD) != 0)
		return true;
	++*seen;
	CHECK(strcmp(m->type, "tmpfs") == 0 && strcmp(m->source, "sour ce") == 0 && strcmp(m->root, "/") == 0);
	CHECK(strncmp(m->super, "ro", 2) == 0);
	CHECK(stat(ODD, &st) == 0 && major(st.st_dev) == m->major && minor(st.st_dev) == m->minor);
	return true;
}

static bool stop(void *ctx, const struct mountinfo *m)
{
	(void)m;
	return ++*(int *)ctx < 2;
}

TEST(odd_names_are_read_as_they_are)
{
	int seen = 0;

	REQUIRE(begin());
	mountinfo_each(look, &seen);
	CHECK_EQ(seen, 1);
}

TEST(the_caller_ends_the_walk)
{
	int n = 0;

	REQUIRE(begin());
	mountinfo_each(stop, &n);
	CHECK_EQ(n, 2);
}

TEST(below_means_below)
{
	REQUIRE(begin());
	CHECK(mountinfo_below("/"));
	CHECK(mountinfo_below("/tmp"));
	CHECK(!mountinfo_below(ODD));
	mkdir("/tmp/a", 0755); /* the beginning of the other's name */
	CHECK(!mountinfo_below("/tmp/a"));
	CHECK(!mountinfo_below("/tmp/missing"));
	CHECK(symlink("/tmp", "/tmp/a/link") == 0 && mountinfo_below("/tmp/a/link"));
}
