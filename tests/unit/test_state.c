/* SPDX-License-Identifier: Apache-2.0 */
/* state.json and the documents made from it. */
// link: oci
#include "tests/unit/oci_help.h"

#include "oci/arena.h"
#include "oci/json.h"
#include "oci/state.h"

static struct spec_pair pairs[] = { { "a.b/c", "v\n\"" }, { "x", "" } };
static const char *cgroups[] = { "/sys/fs/cgroup/docker/id", NULL };

static struct state sample(void)
{
	return (struct state){
		.id = "web-1",
		.bundle = "/run/b",
		.rootfs = "/run/b/rootfs",
		.oci_version = "1.0.2-dev",
		.owner = "root",
		.husk_version = "0.1",
		.boot_id = "e8b3",
		.vm_id = "web-1",
		.status = STATUS_RUNNING,
		.created_ns = 1672628645123456789,
		.pid = 4711,
		.pid_start = UINT64_MAX,
		.vmm_pid = 4712,
		.cgroups = { cgroups, 1 },
		.systemd = true,
		.annotations = { pairs, 2 },
	};
}

static char *sample_text(size_t *len)
{
	struct state s = sample();
	char *text = NULL;

	CHECK_EQ(state_format(&s, &text, len, &help_error), 0);
	return text;
}

TEST(what_is_written_is_read_back)
{
	struct state *s = NULL;
	size_t len;
	char *text = sample_text(&len);

	CHECK_EQ(strlen(text), len);
	CHECK_EQ(text[len - 1], '\n');
	if (state_parse(text, len, &s, &help_error) < 0)
		UNIT_FAIL("%s", help_error.text);
	REQUIRE(s);
	CHECK_STR(s->id, "web-1");
	CHECK_STR(s->rootfs, "/run/b/rootfs");
	CHECK_STR(s->sandbox_id, NULL);
	CHECK_STR(s->systemd_unit, NULL);
	CHECK_EQ(s->status, STATUS_RUNNING);
	CHECK_EQ(s->created_ns, 1672628645123456789);
	CHECK_EQ(s->pid, 4711);
	CHECK(s->pid_start == UINT64_MAX);
	CHECK_EQ(s->cgroups.n, 1);
	CHECK_STR(s->cgroups.v[0], cgroups[0]);
	CHECK_EQ(s->annotations.n, 2);
	CHECK_STR(s->annotations.v[0].value, "v\n\"");
	CHECK(s->systemd);
	state_free(s);
	free(text);
}

TEST(every_truncation_is_found)
{
	struct state *s;
	size_t len;
	char *text = sample_text(&len);

	for (size_t i = 0; i < len; i++)
		CHECK_EQ(state_parse(text, i, &s, &help_error), -1);
	free(text);
}

TEST(every_flipped_bit_is_found)
{
	struct state *s;
	size_t len;
	char *text = sample_text(&len);

	for (size_t i = 0; i < len * 8; i++) {
		text[i / 8] ^= (char)(1 << i % 8);
		CHECK_EQ(state_parse(text, len, &s, &help_error), -1);
		text[i / 8] ^= (char)(1 << i % 8);
	}
	CHECK_EQ(state_parse(text, len, &s, &help_error), 0);
	state_free(s);
	free(text);
}

TEST(another_version_and_another_runtimes_file_are_told_apart)
{
	struct state *s;
	size_t len;
	char *text = sample_text(&len), *version = strstr(text, "\"version\": 1");
	static const char foreign[] = "{\"id\":\"x\",\"init_process_pid\":5}";

	version[strlen("\"version\": ")] = '2';
	CHECK_EQ(state_parse(text, len, &s, &help_error), -1);
	CHECK_CONTAINS(help_error.text, "version 2");
	CHECK_EQ(state_parse(foreign, strlen(foreign), &s, &help_error), -1);
	CHECK_CONTAINS(help_error.text, "not a state file");
	CHECK_EQ(state_parse("", 0, &s, &help_error), -1);
	free(text);
}

/* A state with a member changed and the hash made right again, as somebody with an editor could. */
static int parse_with(struct state st)
{
	struct state *s;
	char *text;
	size_t len;
	int r;

	CHECK_EQ(state_format(&st, &text, &len, &help_error), 0);
	r = state_parse(text, len, &s, &help_error);
	if (r == 0)
		state_free(s);
	free(text);
	return r;
}

TEST(members_are_checked_even_when_the_hash_is_right)
{
	static const char *const ids[] = { "", "..", ".", "a/b" };
	static const char *up[] = { "/sys/fs/cgroup/../../etc", NULL }, *relative[] = { "x", NULL };
	struct state s = sample();

	for (size_t i = 0; i < 4; i++) {
		s = sample();
		s.id = ids[i];
		CHECK_EQ(parse_with(s), -1);
	}
	s = sample();
	s.pid = -1;
	CHECK_EQ(parse_with(s), -1);
	s.pid = 0x7fffffff;
	CHECK_EQ(parse_with(s), -1);
	s = sample();
	s.bundle = "run/b";
	CHECK_EQ(parse_with(s), -1);
	s = sample();
	s.cgroups.v = up;
	CHECK_EQ(parse_with(s), -1);
	s.cgroups.v = relative;
	CHECK_EQ(parse_with(s), -1);
	s = sample();
	s.created_ns = -1;
	CHECK_EQ(parse_with(s), -1);
	CHECK_EQ(parse_with(sample()), 0);
}

TEST(times_are_rfc_3339)
{
	char text[40];

	time_format(1672628645123456789, text);
	CHECK_STR(text, "2023-01-02T03:04:05.123456789Z");
	time_format(0, text);
	CHECK_STR(text, "1970-01-01T00:00:00.000000000Z");
	time_format(-1, text);
	CHECK_STR(text, "1969-12-31T23:59:59.999999999Z");
	time_format(INT64_MAX, text);
	time_format(INT64_MIN, text);
}

TEST(the_state_document_has_what_clients_read)
{
	struct state s = sample();
	struct arena *a = arena_new();
	struct json *root;
	char *text;

	CHECK_EQ(state_document(&s, STATUS_STOPPED, 0, &text, &help_error), 0);
	CHECK_EQ(json_parse(a, "state", text, strlen(text), &root, &help_error), 0);
	CHECK_STR(json_member(root, "ociVersion")->text, "1.0.2-dev");
	CHECK_STR(json_member(root, "status")->text, "stopped");
	CHECK_STR(json_member(root, "pid")->text, "0");
	CHECK_STR(json_member(root, "bundle")->text, "/run/b");
	CHECK_STR(json_member(root, "rootfs")->text, "/run/b/rootfs");
	CHECK_STR(json_member(root, "created")->text, "2023-01-02T03:04:05.123456789Z");
	CHECK_STR(json_member(root, "owner")->text, "root");
	CHECK_EQ(json_member(root, "annotations")->n, 2);
	CHECK_EQ(text[strlen(text) - 1], '\n');
	free(text);
	s.annotations.n = 0;
	CHECK_EQ(state_document(&s, STATUS_CREATED, 5, &text, &help_error), 0);
	CHECK(!strstr(text, "annotations"));
	free(text);
	arena_free(a);
}

TEST(the_hook_document_has_the_specifications_members_only)
{
	struct state s = sample();
	char *text;

	s.annotations.n = 0;
	CHECK_EQ(state_hook_document(&s, STATUS_CREATING, 12, &text, &help_error), 0);
	CHECK_STR(text, "{\"ociVersion\":\"1.0.2-dev\",\"id\":\"web-1\",\"status\":\"creating\",\"pid\":12,"
			"\"bundle\":\"/run/b\"}\n");
	free(text);
}

TEST(an_empty_list_is_an_empty_array)
{
	const struct state one = sample(), *all[] = { &one, &one };
	const enum container_status status[] = { STATUS_PAUSED, STATUS_RUNNING };
	const pid_t pids[] = { 1, 2 };
	char *text;

	CHECK_EQ(state_list_document(NULL, NULL, NULL, 0, &text, &help_error), 0);
	CHECK_STR(text, "[]\n");
	free(text);
	CHECK_EQ(state_list_document(all, status, pids, 2, &text, &help_error), 0);
	CHECK_CONTAINS(text, "\"paused\"");
	CHECK_CONTAINS(text, "\"running\"");
	free(text);
}
