/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests: each TEST runs in a process of its own with a time limit, so that
 * a crash, a hang or a leak is one failure and the others still run.
 *
 *	// link: vmm
 *	#include "tests/unit/unit.h"
 *
 *	TEST(queue_refuses_a_chain_longer_than_the_queue)
 *	{
 *		CHECK_EQ(queue_pop(...), -EINVAL);
 *	}
 *
 * `// link:` in the first lines names the archives to link with (oci runtime vmm
 * agent).  main() is here.  Output: "ok FILE: NAME" or "not ok FILE: NAME" with
 * the failures before it as "# file:line: ..." lines.  Arguments: names of tests
 * to run (parts of a name are enough); none: all.  With -d they run in this one
 * process, for a debugger.
 */
#ifndef HUSK_TESTS_UNIT_H
#define HUSK_TESTS_UNIT_H

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef UNIT_SECONDS
#define UNIT_SECONDS 20 /* for each test; define it before including this for slower ones */
#endif

struct unit_test {
	const char *name;
	void (*run)(void);
	struct unit_test *next;
};

static struct unit_test *unit_first, **unit_last = &unit_first;
static int unit_failures;

#define TEST(test_name)                                                             \
	static void test_name(void);                                                \
	static struct unit_test unit_##test_name = { #test_name, test_name, NULL }; \
	__attribute__((constructor)) static void unit_add_##test_name(void)         \
	{                                                                           \
		*unit_last = &unit_##test_name;                                     \
		unit_last = &unit_##test_name.next;                                 \
	}                                                                           \
	static void test_name(void)

#define UNIT_FAIL(...)                                   \
	do {                                             \
		printf("# %s:%d: ", __FILE__, __LINE__); \
		printf(__VA_ARGS__);                     \
		printf("\n");                            \
		fflush(stdout);                          \
		unit_failures++;                         \
	} while (0)

/* The condition holds.  The test goes on when it does not. */
#define CHECK(expr)                                    \
	do {                                           \
		if (!(expr))                           \
			UNIT_FAIL("false: %s", #expr); \
	} while (0)

/* The condition holds; otherwise the test ends here. */
#define REQUIRE(expr)                                  \
	do {                                           \
		if (!(expr)) {                         \
			UNIT_FAIL("false: %s", #expr); \
			return;                        \
		}                                      \
	} while (0)

/* Two integers of any type are equal. */
#define CHECK_EQ(got, want)                                                                                          \
	do {                                                                                                         \
		__typeof__(got) unit_g = (got);                                                                      \
		__typeof__(want) unit_w = (want);                                                                    \
		if (!((long long)unit_g == (long long)unit_w))                                                       \
			UNIT_FAIL("%s is %lld (0x%llx), not %s = %lld (0x%llx)", #got, (long long)unit_g,            \
				  (unsigned long long)unit_g, #want, (long long)unit_w, (unsigned long long)unit_w); \
	} while (0)

/* Two strings are equal; either may be NULL. */
#define CHECK_STR(got, want)                                                                    \
	do {                                                                                    \
		const char *unit_g = (got), *unit_w = (want);                                   \
		if (unit_g != unit_w && (!unit_g || !unit_w || strcmp(unit_g, unit_w) != 0))    \
			UNIT_FAIL("%s is \"%s\", not \"%s\"", #got, unit_g ? unit_g : "(null)", \
				  unit_w ? unit_w : "(null)");                                  \
	} while (0)

/* The string contains the part. */
#define CHECK_CONTAINS(got, part)                                                                            \
	do {                                                                                                 \
		const char *unit_g = (got), *unit_p = (part);                                                \
		if (!unit_g || !strstr(unit_g, unit_p))                                                      \
			UNIT_FAIL("%s is \"%s\", without \"%s\"", #got, unit_g ? unit_g : "(null)", unit_p); \
	} while (0)

/* len bytes are equal. */
#define CHECK_MEM(got, want, len)                                                                                 \
	do {                                                                                                      \
		const uint8_t *unit_g = (const void *)(got), *unit_w = (const void *)(want);                      \
		size_t unit_n = (len), unit_i = 0;                                                                \
		while (unit_i < unit_n && unit_g[unit_i] == unit_w[unit_i])                                       \
			unit_i++;                                                                                 \
		if (unit_i < unit_n)                                                                              \
			UNIT_FAIL("%s[%zu] is 0x%02x, not 0x%02x", #got, unit_i, unit_g[unit_i], unit_w[unit_i]); \
	} while (0)

/* Runs one test in a child.  Returns true when it passed. */
static bool unit_run(const struct unit_test *t)
{
	int st;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		printf("# fork: %s\n", strerror(errno));
		return false;
	}
	if (pid == 0) {
		alarm(UNIT_SECONDS);
		t->run();
		fflush(stdout);
		exit(unit_failures ? 1 : 0); /* leak checkers run at exit */
	}
	while (waitpid(pid, &st, 0) < 0)
		if (errno != EINTR)
			return false;
	if (WIFSIGNALED(st))
		printf(WTERMSIG(st) == SIGALRM ? "# not done after %d s\n" : "# killed by signal %d\n",
		       WTERMSIG(st) == SIGALRM ? UNIT_SECONDS : WTERMSIG(st));
	else if (WEXITSTATUS(st) > 1)
		printf("# exit status %d\n", WEXITSTATUS(st));
	return WIFEXITED(st) && WEXITSTATUS(st) == 0;
}

static bool unit_wanted(const struct unit_test *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(t->name, argv[i]))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	const char *file = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	bool debug = argc > 1 && strcmp(argv[1], "-d") == 0;
	int passed = 0, failed = 0;

	if (debug) {
		argv[1] = argv[0];
		argc--, argv++;
	}
	for (const struct unit_test *t = unit_first; t; t = t->next) {
		int before = unit_failures;
		bool ok;

		if (!unit_wanted(t, argc, argv))
			continue;
		if (debug)
			t->run();
		ok = debug ? unit_failures == before : unit_run(t);
		printf("%s %s: %s\n", ok ? "ok" : "not ok", file, t->name);
		ok ? passed++ : failed++;
	}
	printf("# %s: %d passed, %d failed\n", file, passed, failed);
	return failed || !passed;
}

#endif
