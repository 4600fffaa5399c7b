/* SPDX-License-Identifier: Apache-2.0 */
// link: runtime oci
/* Options in the forms that engines use; sizes and durations as users write them. */
#include "runtime/options.h"
#include "runtime/size_parse.h"
#include "runtime/util.h"
#include "tests/unit/unit.h"

static const char *bundle, *rootless;
static bool detach;
static struct option_list env;

static const struct option table[] = {
	{ "bundle", 'b', OPT_STRING, &bundle, "DIR", "" }, { "detach", 'd', OPT_FLAG, &detach, "", "" },
	{ "env", 'e', OPT_LIST, &env, "NAME=VALUE", "" },  { "rootless", 0, OPT_MAYBE, &rootless, "", "" },
	{ "no-subreaper", 0, OPT_FLAG, NULL, NULL, NULL }, { 0 },
};

static struct error err;

static int parse(int argc, const char **argv)
{
	bundle = rootless = NULL;
	detach = false;
	env = (struct option_list){ 0 };
	err = (struct error){ 0 };
	return options_parse("husk test", table, argc, (char **)argv, &err);
}

#define PARSE(...) \
	parse(sizeof((const char *[]){ "v", __VA_ARGS__ }) / sizeof(char *), (const char *[]){ "v", __VA_ARGS__, NULL })

TEST(values_come_behind_a_blank_or_an_equals_sign_and_after_one_or_two_dashes)
{
	CHECK_EQ(PARSE("--bundle", "/x", "id"), 3);
	CHECK_STR(bundle, "/x");
	CHECK_EQ(PARSE("--bundle=/y", "id"), 2);
	CHECK_STR(bundle, "/y");
	CHECK_EQ(PARSE("-bundle", "/z"), 3);
	CHECK_STR(bundle, "/z");
	CHECK_EQ(PARSE("-b", "/w", "-no-subreaper"), 4);
	CHECK_STR(bundle, "/w");
	CHECK_EQ(PARSE("-b=/v=1"), 2);
	CHECK_STR(bundle, "/v=1");
}

TEST(the_last_value_wins_and_lists_grow)
{
	CHECK_EQ(PARSE("-b", "1", "-b", "2", "-e", "A=1", "--env=B=2"), 8);
	CHECK_STR(bundle, "2");
	REQUIRE(env.n == 2);
	CHECK_STR(env.v[0], "A=1");
	CHECK_STR(env.v[1], "B=2");
	option_list_free(&env);
}

TEST(flags_take_true_and_false)
{
	CHECK_EQ(PARSE("-d"), 2);
	CHECK(detach);
	CHECK_EQ(PARSE("--detach=false"), 2);
	CHECK(!detach);
	CHECK_EQ(PARSE("--detach=maybe"), -1);
	CHECK_CONTAINS(err.text, "expected true or false");
}

TEST(an_optional_value_needs_its_equals_sign_unless_it_is_true_false_or_auto)
{
	CHECK_EQ(PARSE("--rootless", "id"), 2);
	CHECK_STR(rootless, "true");
	CHECK_EQ(PARSE("--rootless", "false", "id"), 3);
	CHECK_STR(rootless, "false");
	CHECK_EQ(PARSE("--rootless", "auto"), 3);
	CHECK_STR(rootless, "auto");
	CHECK_EQ(PARSE("--rootless=auto", "id"), 2);
	CHECK_STR(rootless, "auto");
}

TEST(parsing_stops_at_the_first_word_and_after_two_dashes)
{
	CHECK_EQ(PARSE("-d", "id", "-b", "x"), 2);
	CHECK(!bundle);
	CHECK_EQ(PARSE("-d", "--", "-b", "x"), 3);
	CHECK(!bundle);
	CHECK_EQ(PARSE("-"), 1);
}

TEST(an_unknown_flag_is_an_error_with_a_guess)
{
	CHECK_EQ(PARSE("--bundel", "x"), -1);
	CHECK_STR(err.text, "unknown flag --bundel; did you mean --bundle? (see husk test --help)");
	CHECK_EQ(PARSE("--zzz"), -1);
	CHECK_STR(err.text, "unknown flag --zzz (see husk test --help)");
	CHECK_EQ(PARSE("--=x"), -1);
}

TEST(a_missing_value_is_an_error)
{
	CHECK_EQ(PARSE("--bundle"), -1);
	CHECK_CONTAINS(err.text, "needs a value: --bundle DIR");
}

static int64_t size_of(const char *text)
{
	int64_t v = -99;

	return size_parse(text, &v) ? v : -99;
}

TEST(sizes)
{
	CHECK_EQ(size_of("1048576"), 1048576);
	CHECK_EQ(size_of("64M"), 64 << 20);
	CHECK_EQ(size_of("64m"), 64 << 20);
	CHECK_EQ(size_of("64MiB"), 64 << 20);
	CHECK_EQ(size_of("64mb"), 64 << 20);
	CHECK_EQ(size_of("1.5g"), 3LL << 29);
	CHECK_EQ(size_of("12b"), 12);
	CHECK_EQ(size_of("0"), 0);
	CHECK_EQ(size_of("-1"), -1);
	CHECK_EQ(size_of(""), -99);
	CHECK_EQ(size_of("-2"), -99);
	CHECK_EQ(size_of("M"), -99);
	CHECK_EQ(size_of("1x"), -99);
	CHECK_EQ(size_of("1Mx"), -99);
	CHECK_EQ(size_of("99999999999999999999"), -99);
	CHECK_EQ(size_of("9p9"), -99);
}

static int64_t ms_of(const char *text)
{
	int64_t v = -99;

	return duration_parse(text, &v) ? v : -99;
}

TEST(durations)
{
	CHECK_EQ(ms_of("5s"), 5000);
	CHECK_EQ(ms_of("250ms"), 250);
	CHECK_EQ(ms_of("1m30s"), 90000);
	CHECK_EQ(ms_of("1.5h"), 5400000);
	CHECK_EQ(ms_of("5"), -99);
	CHECK_EQ(ms_of(""), -99);
	CHECK_EQ(ms_of("s"), -99);
	CHECK_EQ(ms_of("-5s"), -99);
}

static void path_is(const char *in, const char *want)
{
	char *got = path_absolute(in);

	CHECK_STR(got, want);
	free(got);
}

TEST(paths_are_made_absolute_as_text)
{
	path_is("/a/b", "/a/b");
	path_is("/a//b/./c/", "/a/b/c");
	path_is("/a/../../b", "/b");
	path_is("/..", "/");
	path_is("/", "/");
	REQUIRE(chdir("/tmp") == 0);
	path_is("x", "/tmp/x");
	path_is(".", "/tmp");
	path_is("../x", "/x");
}

TEST(numbers_are_whole_and_in_range)
{
	int64_t v;

	CHECK(parse_i64("42", 0, 100, &v) && v == 42);
	CHECK(parse_i64("-1", -1, 100, &v) && v == -1);
	CHECK(!parse_i64("101", 0, 100, &v));
	CHECK(!parse_i64("", 0, 100, &v));
	CHECK(!parse_i64(" 1", 0, 100, &v));
	CHECK(!parse_i64("1 ", 0, 100, &v));
	CHECK(!parse_i64("+1", 0, 100, &v));
	CHECK(!parse_i64("0x10", 0, 100, &v));
	CHECK(!parse_i64("99999999999999999999", INT64_MIN, INT64_MAX, &v));
}
