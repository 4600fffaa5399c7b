/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON tree: what is refused, and that messages name the place. */
// link: oci
#include "tests/unit/unit.h"

#include "oci/json.h"

static struct error err;

static struct json *parse(struct arena *a, const char *text, size_t len)
{
	struct json *root = NULL;

	err.text[0] = '\0';
	return json_parse(a, "doc", text, len, &root, &err) < 0 ? NULL : root;
}

#define REFUSED(json, words)                           \
	do {                                           \
		struct arena *ra = arena_new();        \
		CHECK(!parse(ra, json, strlen(json))); \
		CHECK_CONTAINS(err.text, words);       \
		arena_free(ra);                        \
	} while (0)

TEST(what_is_not_json_is_refused_with_its_place)
{
	REFUSED("", "not valid JSON");
	REFUSED("{\n\"a\": tru }", "doc: not valid JSON at line 2");
	REFUSED("{\"a\":1,}", "not valid JSON");
	REFUSED("{\"a\":1} x", "not valid JSON");
	REFUSED("{\"a\":1}{}", "not valid JSON");
	REFUSED("{\"a\":", "not valid JSON");
	REFUSED("{\"a\":01}", "not valid JSON");
	REFUSED("{'a':1}", "not valid JSON");
	REFUSED("{\"a\":\"\\q\"}", "not valid JSON");
	REFUSED("{\"a\":\"\xff\xfe\"}", "not valid JSON");
	REFUSED("{/* no */}", "not valid JSON");
	REFUSED("[1]", "doc: expected an object, found an array");
	REFUSED("null", "doc: expected an object, found null");
	REFUSED("7", "doc: expected an object, found a number");
}

TEST(nul_characters_are_refused)
{
	struct arena *a = arena_new();

	REFUSED("{\"a\":{\"b\":\"x\\u0000y\"}}", "doc: a.b: contains a NUL");
	REFUSED("{\"a\":{\"b\\u0000\":1}}", "doc: a: the name of a member contains a NUL");
	CHECK(!parse(a, "{\"a\":\"x\0y\"}", 11));
	CHECK(!parse(a, "{}\0", 3));
	arena_free(a);
}

TEST(depth_is_bounded)
{
	struct arena *a = arena_new();
	char *text = malloc(3000000);
	size_t len = 0;

	memcpy(text, "{\"a\":", 5);
	len = 5;
	memset(text + len, '[', 250);
	len += 250;
	memset(text + len, ']', 250);
	len += 250;
	text[len++] = '}';
	CHECK(parse(a, text, len));
	memset(text + 5, '[', 2999995);
	CHECK(!parse(a, text, 3000000));
	CHECK_CONTAINS(err.text, "nested too deeply");
	free(text);
	arena_free(a);
}

TEST(the_number_of_values_is_bounded)
{
	struct arena *a = arena_new();
	size_t n = JSON_NODES_MAX + 10, len = 0;
	char *text = malloc(n * 2 + 16);

	len = (size_t)sprintf(text, "{\"a\":[0");
	for (size_t i = 0; i < n; i++) {
		text[len++] = ',';
		text[len++] = '0';
	}
	len += (size_t)sprintf(text + len, "]}");
	CHECK(!parse(a, text, len));
	CHECK_CONTAINS(err.text, "too many values");
	free(text);
	arena_free(a);
}

TEST(the_size_is_bounded)
{
	struct arena *a = arena_new();
	size_t len = SPEC_FILE_MAX + 1;
	char *text = malloc(len);

	memset(text, ' ', len);
	CHECK(!parse(a, text, len));
	CHECK_CONTAINS(err.text, "larger than 16 MiB");
	free(text);
	arena_free(a);
}

TEST(the_last_member_of_a_name_wins)
{
	struct arena *a = arena_new();
	static const char text[] = "{\"x\":1,\"y\":2,\"x\":\"three\",\"z\":[],\"x\":{\"k\":4,\"k\":5}}";
	struct json *root = parse(a, text, strlen(text)), *x;
	struct opt_i64 k = { 0 };

	REQUIRE(root);
	CHECK_EQ(root->n, 3);
	x = json_member(root, "x");
	REQUIRE(x && x->type == JSON_OBJECT);
	CHECK_EQ(x->n, 1);
	CHECK_EQ(json_get_i64(x, "k", 0, 9, &k, &err), 0);
	CHECK_EQ(k.v, 5);
	arena_free(a);
}

TEST(many_equal_and_different_names_take_no_quadratic_time)
{
	struct arena *a = arena_new();
	size_t n = 300000, len = 1;
	char *text = malloc(n * 16 + 64);
	struct json *root;

	text[0] = '{';
	for (size_t i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "%s\"k%zu\":1", i ? "," : "", i / 2);
	text[len++] = '}';
	root = parse(a, text, len);
	REQUIRE(root);
	CHECK_EQ(root->n, n / 2);
	free(text);
	arena_free(a);
}

TEST(messages_name_the_place)
{
	struct arena *a = arena_new();
	static const char text[] =
		"{\"process\":{\"args\":[\"a\",7]},\"annotations\":{\"a.b/c\":1},\"n\":[{\"v\":1.5}]}";
	struct json *root = parse(a, text, strlen(text)), *n = NULL;
	struct strings s = { 0 };
	struct spec_map m = { 0 };
	struct opt_u32 v = { 0 };

	REQUIRE(root);
	CHECK_EQ(json_get_strings(a, json_member(root, "process"), "args", &s, &err), -1);
	CHECK_STR(err.text, "doc: process.args[1]: expected a string, found a number");
	CHECK_EQ(json_get_map(a, root, "annotations", &m, &err), -1);
	CHECK_STR(err.text, "doc: annotations[\"a.b/c\"]: expected a string, found a number");
	CHECK_EQ(json_get_array(root, "n", &n, &err), 0);
	CHECK_EQ(json_get_u32(n->first, "v", &v, &err), -1);
	CHECK_STR(err.text, "doc: n[0].v: 1.5 is not an integer from 0 to 4294967295");
	arena_free(a);
}

TEST(numbers_outside_their_range_are_refused)
{
	struct arena *a = arena_new();
	static const char text[] = "{\"big\":18446744073709551615,\"huge\":18446744073709551616,\"neg\":-1,\"min\":"
				   "-9223372036854775808,\"under\":-9223372036854775809,\"exp\":1e3,\"zero\":-0}";
	struct json *root = parse(a, text, strlen(text));
	struct opt_u64 u = { 0 };
	struct opt_i64 i = { 0 };

	REQUIRE(root);
	CHECK_EQ(json_get_u64(root, "big", &u, &err), 0);
	CHECK(u.set && u.v == UINT64_MAX);
	CHECK_EQ(json_get_u64(root, "huge", &u, &err), -1);
	CHECK_EQ(json_get_u64(root, "neg", &u, &err), -1);
	CHECK_EQ(json_get_u64(root, "exp", &u, &err), -1);
	CHECK_EQ(json_get_u64(root, "zero", &u, &err), 0);
	CHECK_EQ(json_get_i64(root, "min", INT64_MIN, INT64_MAX, &i, &err), 0);
	CHECK(i.v == INT64_MIN);
	CHECK_EQ(json_get_i64(root, "under", INT64_MIN, INT64_MAX, &i, &err), -1);
	CHECK_EQ(json_get_i64(root, "big", INT64_MIN, INT64_MAX, &i, &err), -1);
	CHECK_EQ(json_get_i64(root, "neg", 0, 5, &i, &err), -1);
	CHECK_EQ(json_get_u64(root, "absent", &u, &err), 0);
	arena_free(a);
}

TEST(null_counts_as_absent)
{
	struct arena *a = arena_new();
	struct json *root = parse(a, "{\"a\":null}", 10), *obj = NULL;
	const char *s = "left";

	REQUIRE(root);
	CHECK(!json_member(root, "a"));
	CHECK_EQ(json_get_string(root, "a", &s, &err), 0);
	CHECK_STR(s, "left");
	CHECK_EQ(json_get_object(root, "a", &obj, &err), 0);
	CHECK(!obj);
	CHECK_EQ(json_need_string(root, "a", &s, &err), -1);
	CHECK_STR(err.text, "doc: a is missing");
	arena_free(a);
}

TEST(written_text_parses_back_whatever_the_strings_hold)
{
	static const char nasty[] = "q\"b\\n\n\t\x01\x7f \xc3\xa9 \xf0\x9f\x90\xb3 \xff\xc3( \xed\xa0\x80 end";
	struct arena *a = arena_new();
	struct json_writer w = { 0 };
	const char *back = NULL;
	struct json *root;
	size_t len;
	char *text;

	json_write_object(&w, NULL);
	json_write_string(&w, nasty, nasty);
	json_write_uint(&w, "u", UINT64_MAX);
	json_write_int(&w, "i", INT64_MIN);
	json_write_array(&w, "empty");
	json_write_end(&w, ']');
	json_write_end(&w, '}');
	text = json_write_done(&w, &len);
	CHECK_EQ(strlen(text), len);
	root = parse(a, text, len);
	REQUIRE(root);
	back = root->first->text;
	CHECK_STR(back, "q\"b\\n\n\t\x01\x7f \xc3\xa9 \xf0\x9f\x90\xb3 \xef\xbf\xbd\xef\xbf\xbd( "
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd end");
	CHECK_CONTAINS(text, "\"empty\": []");
	free(text);
	arena_free(a);
}

TEST(flat_text_is_one_line)
{
	struct json_writer w = { .flat = true };
	char *text;

	json_write_object(&w, NULL);
	json_write_string(&w, "a", "b");
	json_write_bool(&w, "c", true);
	json_write_end(&w, '}');
	text = json_write_done(&w, NULL);
	CHECK_STR(text, "{\"a\":\"b\",\"c\":true}\n");
	free(text);
}
