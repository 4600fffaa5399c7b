/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of the agent from create to destroy: updates, pause, signals, processes, statistics; on this machine.
 */
// link: agent
#define UNIT_SECONDS 60
#include "tests/unit/agent_env.h"

AGENT_TEST(a_cgroup_file_of_the_plan_is_written_and_swap_is_no_matter)
{
	struct host *s, *u;
	char text[1100];
	struct pb p;

	pb_container(&p, "c1", "cat /sys/fs/cgroup/cgroup.max.descendants; cat");
	pb_op(&p, OP_CGROUP_WRITE, NULL, 0, "ss", "cgroup.max.descendants", "33");
	pb_op(&p, OP_CGROUP_WRITE, NULL, 0, "ss", "memory.swap.max", "0");
	s = host_start(&p, "c1");
	REQUIRE(s);
	u = host_connect();
	pb_begin(&p, PLAN_UPDATE);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "c1");
	pb_op(&p, OP_CGROUP_WRITE, NULL, 0, "ss", "cgroup.max.descendants", "44");
	host_plan(u, &p, WIRE_UPDATE);
	CHECK(host_ok(u));
	pb_op(&p, OP_CGROUP_WRITE, NULL, 0, "ss", "no.such", "1");
	host_plan(u, &p, WIRE_UPDATE);
	CHECK(host_error(u, STAGE_SETUP, 0, text));
	CHECK_CONTAINS(text, "no.such");
	host_close(u);
	host_close(s);
}

AGENT_TEST(pause_freezes_and_resume_thaws)
{
	struct host *s, *o;
	char text[1100];
	struct pb p;
	size_t before;

	pb_container(&p, "c1", "while :; do echo tick; sleep 0.05; done");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_expect(s, 0, "tick"));
	o = host_connect();
	CHECK(host_request(o, WIRE_PAUSE, "c1"));
	while (host_next_within(s, 200) > 0)
		host_stream(s);
	before = s->out_total[0];
	CHECK_EQ(host_next_within(s, 300), -1);
	host_frame(o, WIRE_PAUSE, 0, "c1", 2);
	CHECK(host_error(o, STAGE_STATE, EBUSY, text));
	pb_exec(&p, "c1", "true");
	host_frame(o, WIRE_PLAN, 0, p.data, p.len);
	host_frame(o, WIRE_EXEC, 0, NULL, 0);
	CHECK(host_error(o, STAGE_STATE, EBUSY, text));
	CHECK_CONTAINS(text, "cannot exec in a paused container");
	CHECK(host_request(o, WIRE_RESUME, "c1"));
	while (s->out_total[0] == before && host_next_within(s, ANSWER_MS) > 0)
		host_stream(s);
	CHECK(s->out_total[0] > before);
	host_frame(o, WIRE_RESUME, 0, "c1", 2);
	CHECK(host_error(o, STAGE_STATE, 0, text));
	CHECK_CONTAINS(text, "container not paused");
	CHECK(host_request(o, WIRE_PAUSE, "c1"));
	host_signal(o, SIGKILL, 0, "c1"); /* works on frozen ones */
	CHECK(host_ok(o));
	CHECK(host_run(s));
	CHECK_EQ(s->exit.signal, SIGKILL);
	host_close(o);
	host_close(s);
}

AGENT_TEST(signals_to_all_reach_every_process_and_no_other_container)
{
	struct host *a, *b, *o = host_connect();
	struct pb p;

	pb_container(&p, "a",
		     "trap 'echo init-got; wait; exit 1' USR1; sh -c 'trap \"echo child-got; exit 0\" USR1; "
		     "echo ready; while :; do sleep 0.1; done' & wait");
	a = host_start(&p, "a");
	pb_container(&p, "b", "trap 'echo wrong' USR1; echo ready; cat");
	b = host_start(&p, "b");
	REQUIRE(a && b);
	CHECK(host_expect(a, 0, "ready"));
	CHECK(host_expect(b, 0, "ready"));
	host_signal(o, SIGUSR1, 1, "a");
	CHECK(host_ok(o));
	CHECK(host_run(a));
	CHECK_CONTAINS(a->out[0], "init-got");
	CHECK_CONTAINS(a->out[0], "child-got");
	host_frame(b, WIRE_EOF, WIRE_STDIN, NULL, 0);
	CHECK(host_run(b));
	CHECK_STR(b->out[0], "ready\n");
	host_signal(o, SIGKILL, 1, "a"); /* dead already: no error */
	CHECK(host_ok(o));
	host_close(a);
	host_close(b);
	host_close(o);
}

AGENT_TEST(ps_lists_the_containers_processes_only)
{
	struct host *s, *o = host_connect();
	const uint8_t *at;
	unsigned int n = 0;
	bool sleeper = false;
	struct pb p;

	pb_container(&p, "c1", "sleep 777 & sleep 778 & echo up; wait");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_expect(s, 0, "up"));
	usleep(100000);
	CHECK(host_request(o, WIRE_PS, "c1"));
	at = o->payload;
	for (uint32_t left = o->h.len; left >= sizeof(struct wire_ps); n++) {
		struct wire_ps ps;

		memcpy(&ps, at, sizeof(ps));
		REQUIRE(ps.cmd_len <= left - sizeof(ps));
		sleeper |= ps.cmd_len == 9 && !memcmp(at + sizeof(ps), "sleep 777", 9) && ps.ns_pid == 2 && ps.rss_kib;
		CHECK(ps.pid > 1 && ps.ns_pid < 10);
		at += sizeof(ps) + ps.cmd_len;
		left -= sizeof(ps) + ps.cmd_len;
	}
	CHECK_EQ(n, 3);
	CHECK(sleeper);
	host_close(s);
	host_close(o);
}

/* Whole records in a frame's payload; -1: a broken one. */
static int ps_records(const struct host *o)
{
	const uint8_t *at = o->payload;
	uint32_t left = o->h.len;
	int n = 0;

	for (; left; n++) {
		struct wire_ps ps;

		if (left < sizeof(ps))
			return -1;
		memcpy(&ps, at, sizeof(ps));
		if (ps.cmd_len > left - sizeof(ps))
			return -1;
		at += sizeof(ps) + ps.cmd_len;
		left -= (uint32_t)sizeof(ps) + ps.cmd_len;
	}
	return n;
}

AGENT_TEST(ps_of_thousands_of_processes_takes_several_frames)
{
	struct host *s, *o = host_connect();
	int processes = 0, frames = 0, n;
	struct pb p;

	pb_container(&p, "c1", "i=0; while [ $i -lt 2500 ]; do sleep 777 & i=$((i + 1)); done; echo up; wait");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_expect(s, 0, "up"));
	host_frame(o, WIRE_PS, 0, "c1", 2);
	do {
		REQUIRE(host_next_within(o, ANSWER_MS) > 0);
		if (o->h.type == WIRE_HELLO)
			continue;
		REQUIRE(o->h.type == WIRE_OK || (o->h.type == WIRE_DATA && o->h.chan == WIRE_STDOUT));
		n = ps_records(o);
		REQUIRE(n >= 0);
		processes += n;
		frames++;
	} while (o->h.type != WIRE_OK);
	CHECK_EQ(processes, 2501);
	CHECK(frames > 1);
	host_close(s);
	host_close(o);
}

AGENT_TEST(stats_are_whole_records_of_files)
{
	struct host *s, *o = host_connect();
	bool cpu = false, net = false;
	struct pb p;

	pb_container(&p, "c1", "sleep 777");
	s = host_start(&p, "c1");
	REQUIRE(s);
	host_frame(o, WIRE_STATS, 0, "c1", 2);
	while (host_next_within(o, ANSWER_MS) > 0 && o->h.type != WIRE_OK) {
		const uint8_t *at = o->payload;
		uint32_t left = o->h.len, len;

		if (o->h.type != WIRE_DATA)
			continue;
		while (left) {
			uint32_t name = (uint32_t)strnlen((const char *)at, left) + 1;

			REQUIRE(name + 4 <= left);
			memcpy(&len, at + name, 4);
			REQUIRE(len <= left - name - 4);
			cpu |= !strcmp((const char *)at, "cpu.stat") && len > 10;
			net |= !strcmp((const char *)at, "net/dev") && len > 10;
			at += name + 4 + len;
			left -= name + 4 + len;
		}
	}
	CHECK_EQ(o->h.type, WIRE_OK);
	CHECK(cpu && net);
	host_close(s);
	host_close(o);
}

AGENT_TEST(wait_tells_the_exit_to_any_session)
{
	struct host *s, *w = host_connect(), *late = host_connect();
	char text[1100];
	struct pb p;

	pb_container(&p, "c1", "read x; exit 11");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_request(w, WIRE_WAIT, "c1"));
	host_frame(s, WIRE_EOF, WIRE_STDIN, NULL, 0);
	CHECK(host_run(w));
	CHECK_EQ(w->exit.code, 11);
	CHECK(host_request(late, WIRE_WAIT, "c1")); /* not forgotten while its session is open */
	CHECK(host_run(late));
	CHECK_EQ(late->exit.code, 11);
	host_close(s);
	CHECK_EQ(host_next_within(w, ANSWER_MS), 0);
	host_close(w);
	w = host_connect();
	host_frame(w, WIRE_WAIT, 0, "c1", 2);
	CHECK(host_error(w, STAGE_STATE, ENOENT, text));
	host_close(w);
	host_close(late);
}

AGENT_TEST(destroy_kills_removes_and_may_be_repeated)
{
	struct host *s, *o = host_connect();
	struct pb p;

	pb_environment(&p, "c1");
	pb_mount(&p, "cgroup", "/sys", "cgroup2", "", 0, PLAN_MOUNT_CGROUP);
	pb_pivot(&p);
	pb_user(&p, 0, 0);
	pb_caps(&p, ALL_CAPS);
	pb_shell(&p, "mkdir -p /sys/a/b/c /sys/d; trap '' TERM; echo $$ >/sys/d/cgroup.procs; echo up; "
		     "while :; do sleep 1; done");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_expect(s, 0, "up"));
	CHECK(host_request(o, WIRE_DESTROY, "c1"));
	CHECK(host_run(s));
	CHECK_EQ(s->exit.signal, SIGKILL);
	CHECK(host_request(o, WIRE_DESTROY, "c1"));
	CHECK(host_request(o, WIRE_DESTROY, "never-was"));
	host_close(s);
	pb_container(&p, "c1", "echo again"); /* the id is free */
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_run(s));
	host_close(s);
	host_close(o);
}

AGENT_TEST(an_id_in_use_is_refused)
{
	struct host *s, *o = host_connect();
	char text[1100];
	struct pb p;

	pb_container(&p, "c1", "sleep 777");
	s = host_start(&p, "c1");
	REQUIRE(s);
	host_plan(o, &p, WIRE_CREATE);
	CHECK(host_error(o, STAGE_STATE, EEXIST, text));
	CHECK_CONTAINS(text, "container with given ID already exists");
	host_close(o);
	host_close(s);
}

AGENT_TEST(an_exec_needs_a_running_container)
{
	struct host *s, *o = host_connect();
	char text[1100];
	struct pb p;

	pb_exec(&p, "nobody", "true");
	host_plan(o, &p, WIRE_EXEC);
	CHECK(host_error(o, STAGE_STATE, ENOENT, text));
	pb_container(&p, "c1", "exit 0");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_run(s));
	host_close(o);
	o = host_connect();
	pb_exec(&p, "c1", "true");
	host_plan(o, &p, WIRE_EXEC);
	CHECK(host_error(o, STAGE_STATE, 0, text));
	CHECK_CONTAINS(text, "cannot exec in a stopped container");
	host_close(o);
	host_close(s);
}

AGENT_TEST(orderly_ends_under_random_kills)
{
	enum { ROUNDS = 40 };
	struct pb p;

	srand(4711);
	for (int i = 0; i < ROUNDS; i++) {
		struct host *s = host_connect(), *o = host_connect(), *e = NULL;
		char cid[16];

		snprintf(cid, sizeof(cid), "k%d", i % 3);
		CHECK(host_request(o, WIRE_DESTROY, cid));
		pb_container(&p, cid, "sleep 0.01 & (sleep 1 &) ; yes | head -c 100000; sleep 0.02");
		host_plan(s, &p, WIRE_CREATE);
		host_frame(s, WIRE_START, 0, cid, strlen(cid));
		usleep((unsigned int)rand() % 12000);
		if (rand() % 2) {
			e = host_connect();
			pb_exec(&p, cid, "echo x");
			host_plan(e, &p, WIRE_EXEC);
			usleep((unsigned int)rand() % 5000);
		}
		switch (rand() % 4) {
		case 0:
			host_frame(o, WIRE_DESTROY, 0, cid, strlen(cid));
			CHECK(host_ok(o));
			break;
		case 1:
			host_signal(o, SIGKILL, 1, cid);
			break;
		case 2:
			host_signal(o, SIGKILL, 0, cid);
			break;
		default:
			break;
		}
		if (e)
			host_close(e);
		host_close(s);
		host_close(o);
	}
}
