/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit test runner itself: an example of its use, and what must not go
 * unnoticed in any other test.  A test that has to fail is run by hand here.
 */
// link:
#define UNIT_SECONDS 2
#include "tests/unit/unit.h"

#include <fcntl.h>

static void body_false(void)
{
	CHECK(1 + 1 == 3);
}

static void body_crash(void)
{
	raise(SIGKILL);
}

static void body_hang(void)
{
	alarm(1);
	for (;;)
		pause();
}

/* Runs it with its output thrown away. */
static bool passes(void (*run)(void))
{
	struct unit_test t = { "inner", run, NULL };
	int out, null;
	bool ok;

	fflush(stdout);
	out = dup(1);
	null = open("/dev/null", O_WRONLY);
	dup2(null, 1);
	ok = unit_run(&t);
	fflush(stdout);
	dup2(out, 1);
	close(out);
	close(null);
	return ok;
}

TEST(a_false_check_fails_the_test)
{
	CHECK(!passes(body_false));
}

TEST(a_crash_fails_the_test)
{
	CHECK(!passes(body_crash));
}

TEST(a_hang_fails_the_test)
{
	CHECK(!passes(body_hang));
}

TEST(equal_values_pass)
{
	CHECK_EQ((uint64_t)-1, (int64_t)-1);
	CHECK_STR("a", "a");
	CHECK_STR(NULL, NULL);
	CHECK_CONTAINS("no such file", "such");
	CHECK_MEM("abc", "abd", 2);
}
