/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan decoder: what is well-formed is read as written; everything else is refused as a whole.
 */
// link: agent
#include "tests/unit/agent_env.h"

#include "agent/plan_decode.h"

static int open_pb(const struct pb *p, enum plan_kind kind, struct fault *f)
{
	struct plan plan;

	return plan_open(&plan, p->data, p->len, kind, f);
}

static bool refused(const struct pb *p, enum plan_kind kind, const char *why)
{
	struct fault f = { 0 };

	if (open_pb(p, kind, &f) == 0) {
		printf("# taken, though: %s\n", why);
		return false;
	}
	if (f.stage != STAGE_PROTOCOL || !strstr(f.text, why)) {
		printf("# refused for another reason: %s\n", f.text);
		return false;
	}
	return true;
}

TEST(a_whole_container_plan_is_read_as_written)
{
	const char *args[] = { "a", "", "c d", NULL }, *env[] = { NULL };
	uint32_t gids[] = { 5, 6 };
	struct plan_user u = { .uid = 1, .gid = 2, .umask = 3, .ngids = 2 };
	struct plan_int limit = { .value = 9 };
	struct plan_item i;
	struct plan_iter it;
	struct plan plan;
	struct fault f;
	unsigned int n = 0;
	struct pb p;

	pb_environment(&p, "some.id");
	pb_op(&p, OP_USER, &u, sizeof(u), "b", gids, sizeof(gids));
	pb_op(&p, OP_HOOK, &limit, sizeof(limit), "slls", "/hook", args, env, "{}");
	REQUIRE(plan_open(&plan, p.data, p.len, PLAN_CONTAINER, &f) == 0);
	CHECK_STR(plan.cid, "some.id");
	plan_iter_init(&it, &plan);
	while (plan_next(&it, &i))
		n++;
	CHECK_EQ(n, pb_hdr(&p)->nops);
	REQUIRE(plan_find(&plan, OP_USER, &i));
	CHECK_EQ(((const struct plan_user *)i.body)->umask, 3);
	CHECK_EQ(i.tail_len, 8);
	CHECK_MEM(i.tail, gids, 8);
	REQUIRE(plan_find(&plan, OP_HOOK, &i));
	CHECK_STR(i.str[0], "/hook");
	CHECK_EQ(i.list[0].count, 3);
	CHECK_STR(plan_list_next(plan_list_next(i.list[0].first)), "c d");
	CHECK_EQ(i.list[1].count, 0);
	CHECK_STR(i.str[1], "{}");
	CHECK(!plan_find(&plan, OP_SECCOMP, &i));
}

TEST(bad_headers_are_refused)
{
	struct pb p, q;
	struct fault f;

	pb_container(&p, "c", "true");
	q = p;
	pb_hdr(&q)->magic++;
	CHECK(refused(&q, PLAN_CONTAINER, "version"));
	q = p;
	pb_hdr(&q)->version = 2;
	CHECK(refused(&q, PLAN_CONTAINER, "version"));
	CHECK(refused(&p, PLAN_PROCESS, "header"));
	q = p;
	pb_hdr(&q)->total += 8;
	CHECK(refused(&q, PLAN_CONTAINER, "header"));
	q = p;
	pb_hdr(&q)->nops = 0;
	CHECK(refused(&q, PLAN_CONTAINER, "header"));
	pb_hdr(&q)->nops = PLAN_OPS_MAX + 1;
	CHECK(refused(&q, PLAN_CONTAINER, "header"));
	q = p;
	pb_hdr(&q)->nops--;
	CHECK(refused(&q, PLAN_CONTAINER, "bytes after"));
	q = p;
	pb_hdr(&q)->nops++;
	CHECK(refused(&q, PLAN_CONTAINER, "ends early"));
	q.len = 7;
	CHECK(open_pb(&q, PLAN_CONTAINER, &f) < 0);
	q.len = 0;
	CHECK(open_pb(&q, PLAN_CONTAINER, &f) < 0);
}

TEST(no_prefix_of_a_plan_is_a_plan)
{
	struct pb p;
	struct fault f;

	pb_container(&p, "c", "true");
	for (uint32_t len = p.len - 1; len; len--) {
		struct plan plan;

		if (plan_open(&plan, p.data, len, PLAN_CONTAINER, &f) == 0)
			UNIT_FAIL("%u of %u bytes were taken", len, p.len);
		pb_hdr(&p)->total = len; /* nor with a header that agrees */
		if (plan_open(&plan, p.data, len, PLAN_CONTAINER, &f) == 0)
			UNIT_FAIL("%u of %u bytes were taken", len, p.len);
	}
}

/* A plan of one container and one further operation whose payload is given. */
static struct pb *with_op(uint16_t kind, uint16_t op, const void *payload, uint32_t len)
{
	static struct pb p;

	pb_begin(&p, kind);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "c");
	pb_op(&p, op, payload, len, "");
	return &p;
}

TEST(payloads_of_the_wrong_shape_are_refused)
{
	struct plan_user many = { .ngids = 2 };
	struct plan_seccomp filter = { .count = 1 };
	uint32_t list[4] = { 3, 0 };
	struct pb *p;

	CHECK(refused(with_op(PLAN_CONTAINER, OP_CWD, "no end", 6), PLAN_CONTAINER, "a string has no end"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_CWD, "", 0), PLAN_CONTAINER, "a string has no end"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_CWD, "/\0more", 7), PLAN_CONTAINER, "wrong length"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_NO_NEW_PRIVS, "x", 1), PLAN_CONTAINER, "wrong length"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_USER, &many, 4), PLAN_CONTAINER, "too short"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_USER, &many, sizeof(many)), PLAN_CONTAINER, "wrong length"));
	many.ngids = 0x40000000; /* times 4 is 0 */
	CHECK(refused(with_op(PLAN_CONTAINER, OP_USER, &many, sizeof(many)), PLAN_CONTAINER, "wrong length"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_SECCOMP, &filter, sizeof(filter)), PLAN_CONTAINER, "wrong length"));
	filter.count = 0x20000000; /* times 8 is 0 */
	CHECK(refused(with_op(PLAN_CONTAINER, OP_SECCOMP, &filter, sizeof(filter)), PLAN_CONTAINER, "wrong length"));
	filter.count = 0;
	CHECK(refused(with_op(PLAN_CONTAINER, OP_SECCOMP, &filter, sizeof(filter)), PLAN_CONTAINER, "wrong length"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_ARGS, list, 2), PLAN_CONTAINER, "a list has no end"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_ARGS, list, 6), PLAN_CONTAINER, "a list has no end"));
	list[0] = UINT32_MAX;
	CHECK(refused(with_op(PLAN_CONTAINER, OP_ARGS, list, 16), PLAN_CONTAINER, "a list has no end"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_CGROUP_DEVICES, list, 4), PLAN_CONTAINER, "wrong length"));
	CHECK(refused(with_op(PLAN_CONTAINER, 999, "", 0), PLAN_CONTAINER, "unknown operation"));
	CHECK(refused(with_op(PLAN_CONTAINER, 0, "", 0), PLAN_CONTAINER, "unknown operation"));

	p = with_op(PLAN_CONTAINER, OP_CWD, "/x", 3);
	p->data[p->len - 1] = 1;
	CHECK(refused(p, PLAN_CONTAINER, "padding"));
	p = with_op(PLAN_CONTAINER, OP_CWD, "/x", 3);
	((struct plan_op *)(p->data + p->len - 16))->len = 0xfffffff9; /* rounds up to 0 */
	CHECK(refused(p, PLAN_CONTAINER, "bad header"));
	p = with_op(PLAN_CONTAINER, OP_CWD, "/x", 3);
	((struct plan_op *)(p->data + p->len - 16))->zero = 1;
	CHECK(refused(p, PLAN_CONTAINER, "bad header"));
}

TEST(operations_belong_to_kinds_of_plans)
{
	struct plan_pivot pivot = { 0 };
	struct pb p;

	CHECK(refused(with_op(PLAN_PROCESS, OP_PIVOT, &pivot, sizeof(pivot)), PLAN_PROCESS, "kind"));
	CHECK(refused(with_op(PLAN_UPDATE, OP_CWD, "/", 2), PLAN_UPDATE, "kind"));
	CHECK(refused(with_op(PLAN_CONTAINER, OP_CONTAINER, "d", 2), PLAN_CONTAINER, "first operation"));
	pb_begin(&p, PLAN_CONTAINER);
	pb_op(&p, OP_CWD, NULL, 0, "s", "/");
	CHECK(refused(&p, PLAN_CONTAINER, "first operation"));
}

TEST(container_ids_cannot_be_paths)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/", "a b", "a\nb", "\x7f", "\xc3\xa4" };
	struct pb p;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pb_begin(&p, PLAN_PROCESS);
		pb_op(&p, OP_CONTAINER, NULL, 0, "s", bad[i]);
		CHECK(refused(&p, PLAN_PROCESS, "invalid container id"));
	}
	CHECK(plan_cid_valid("...", 3));
	CHECK(plan_cid_valid("A_b+c.d-e", 9));
}
