/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that describe husk: they parse, and they say no more than is true. */
// link: oci
#include "tests/unit/oci_help.h"

#include "oci/arena.h"
#include "oci/features.h"
#include "oci/json.h"
#include "oci/spec_mounts.h"

static struct arena *arena;

static struct json *features(unsigned serves)
{
	const struct features_input in = { .version = "1", .commit = "abc", .host_serves = serves };
	struct json *root = NULL;
	char *text;

	arena = arena_new();
	CHECK_EQ(features_document(&in, &text, &help_error), 0);
	CHECK_EQ(json_parse(arena, "features", text, strlen(text), &root, &help_error), 0);
	free(text);
	return root;
}

static struct json *at(struct json *node, const char *a, const char *b)
{
	node = node ? json_member(node, a) : NULL;
	return node && b ? json_member(node, b) : node;
}

static bool lists(struct json *array, const char *word)
{
	json_for_each(item, array) if (strcmp(item->text, word) == 0) return true;
	return false;
}

TEST(required_members_are_there)
{
	struct json *f = features(0);

	REQUIRE(f);
	CHECK_STR(at(f, "ociVersionMin", NULL)->text, "1.0.0");
	CHECK_STR(at(f, "ociVersionMax", NULL)->text, OCI_VERSION_MAX);
	CHECK_EQ(at(f, "hooks", NULL)->n, 6);
	CHECK_EQ(at(at(f, "linux", NULL), "namespaces", NULL)->n, 8);
	CHECK_EQ(at(at(f, "linux", NULL), "capabilities", NULL)->n, 41);
	CHECK(lists(at(at(f, "linux", "seccomp"), "actions", NULL), "SCMP_ACT_ERRNO"));
	CHECK(!lists(at(at(f, "linux", "seccomp"), "actions", NULL), "SCMP_ACT_NOTIFY"));
	CHECK(!at(at(f, "linux", "apparmor"), "enabled", NULL)->boolean);
	arena_free(arena);
}

TEST(what_the_runtime_does_not_serve_is_not_offered)
{
	struct json *f = features(0);

	REQUIRE(f);
	CHECK(lists(at(f, "mountOptions", NULL), "rro"));
	CHECK(!lists(at(f, "mountOptions", NULL), "idmap"));
	CHECK(!at(at(at(f, "linux", "mountExtensions"), "idmap", NULL), "enabled", NULL)->boolean);
	CHECK(!at(at(f, "linux", "netDevices"), "enabled", NULL)->boolean);
	CHECK(!at(f, "linux", "memoryPolicy"));
	arena_free(arena);
	f = features(HOST_SERVES_IDMAP | HOST_SERVES_MEMPOLICY);
	REQUIRE(f);
	CHECK(lists(at(f, "mountOptions", NULL), "idmap"));
	CHECK(at(at(at(f, "linux", "mountExtensions"), "idmap", NULL), "enabled", NULL)->boolean);
	CHECK(at(f, "linux", "memoryPolicy"));
	arena_free(arena);
}

TEST(every_listed_mount_option_is_taken_by_the_parser)
{
	struct json *f = features(HOST_SERVES_IDMAP);
	const char *last = "";

	REQUIRE(f);
	json_for_each(o, at(f, "mountOptions", NULL))
	{
		char text[256];

		CHECK(strcmp(last, o->text) < 0);
		last = o->text;
		if (strcmp(o->text, "tmpcopyup") == 0)
			snprintf(text, sizeof(text),
				 MOUNT("\"destination\":\"/t\",\"type\":\"tmpfs\",\"options\":[\"%s\"]"), o->text);
		else
			snprintf(text, sizeof(text),
				 MOUNT("\"destination\":\"/t\",\"source\":\"/s\",\"options\":[\"bind\",\"%s\"]"),
				 o->text);
		CHECK_ACCEPTED(text);
	}
	arena_free(arena);
}

TEST(the_default_spec_parses_and_compiles)
{
	const struct compile_input in = { .cid = "c", .bundle = "/b", .share_prefix = "s" };

	for (int rootless = 0; rootless < 2; rootless++) {
		struct spec *spec = NULL;
		struct host_plan host;
		struct buf plan;
		char *text;

		CHECK_EQ(default_spec_document(rootless, 1000, 1001, &text, &help_error), 0);
		if (spec_parse(text, strlen(text), &spec, &help_error) < 0)
			UNIT_FAIL("%s", help_error.text);
		free(text);
		REQUIRE(spec);
		CHECK_STR(spec->process->args.v[0], "sh");
		CHECK(spec->process->terminal && spec->root_readonly);
		CHECK_EQ(spec->process->caps.bounding, UINT64_C(1) << 29 | 1 << 5 | 1 << 10);
		CHECK_EQ(spec->lin.ns[NS_USER].present, rootless);
		if (rootless)
			CHECK_EQ(spec->lin.uids.v[0].host_id, 1000);
		CHECK_EQ(spec->warnings.n, 0);
		if (compile_container(spec, &in, &plan, &host, &help_error) < 0)
			UNIT_FAIL("%s", help_error.text);
		CHECK_EQ(host.warnings, 0);
		buf_free(&plan);
		host_plan_free(&host);
		spec_free(spec);
	}
}
