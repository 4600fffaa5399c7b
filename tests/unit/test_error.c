/* SPDX-License-Identifier: Apache-2.0 */
/* The error object. */
// link: oci
#include "tests/unit/unit.h"

#include "oci/error.h"

TEST(errno_text_is_in_the_words_that_engines_match)
{
	CHECK_STR(error_errno_text(ENOENT), "no such file or directory");
	CHECK_STR(error_errno_text(EACCES), "permission denied");
	CHECK_STR(error_errno_text(ENOTDIR), "not a directory");
	CHECK_STR(error_errno_text(EISDIR), "is a directory");
	CHECK_STR(error_errno_text(ENOEXEC), "exec format error");
	CHECK_STR(error_errno_text(EPERM), "operation not permitted");
	CHECK_STR(error_errno_text(ESRCH), "no such process");
	CHECK_STR(error_errno_text(EIO), "input/output error");
	CHECK_STR(error_errno_text(ESRMNT), "srmount error");
	CHECK_STR(error_errno_text(EDOTDOT), "RFS specific error");
}

TEST(errno_text_is_never_null)
{
	for (int i = -2; i < 5000; i++)
		CHECK(error_errno_text(i) && error_errno_text(i)[0]);
}

TEST(set_adds_the_errno_text_and_returns_minus_one)
{
	struct error e;

	CHECK_EQ(error_set(&e, ENOENT, "open %s", "/x"), -1);
	CHECK_EQ(e.code, ENOENT);
	CHECK_STR(e.text, "open /x: no such file or directory");
	error_set(&e, 0, "plain");
	CHECK_STR(e.text, "plain");
}

TEST(wrap_puts_the_context_in_front)
{
	struct error e;

	error_set(&e, EPERM, "mount");
	CHECK_EQ(error_wrap(&e, "container %s", "a"), -1);
	CHECK_STR(e.text, "container a: mount: operation not permitted");
	CHECK_EQ(e.code, EPERM);
}

TEST(an_error_is_one_line_whatever_it_quotes)
{
	struct error e;

	error_set(&e, 0, "a\nb\tc\x7f\x1b[31m");
	CHECK_STR(e.text, "a b c  [31m");
	error_wrap(&e, "x\ny");
	CHECK(!strchr(e.text, '\n'));
}

TEST(long_texts_are_cut_and_keep_the_cause)
{
	struct error e;
	char *big = calloc(1, 10001);

	memset(big, 'x', 10000);
	error_set(&e, ENOENT, "cause");
	for (int i = 0; i < 3; i++)
		error_wrap(&e, "%s", big);
	CHECK(strlen(e.text) < sizeof(e.text));
	error_set(&e, ENOENT, "%s", big);
	CHECK_EQ(strlen(e.text), sizeof(e.text) - 1);
	error_set(&e, ENOENT, "cause");
	error_wrap(&e, "%s", big);
	CHECK_CONTAINS(e.text, "cause: no such file or directory");
	free(big);
}
