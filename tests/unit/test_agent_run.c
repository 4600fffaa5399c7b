/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's processes: create, start, exec, streams, credit, signals, exit; on this machine,
 * without a VM.
 */
// link: agent
#define UNIT_SECONDS 60
#include "tests/unit/agent_env.h"

AGENT_TEST(a_container_runs_and_its_output_comes_before_its_exit)
{
	struct pb p;
	struct host *s;

	pb_container(&p, "c1", "echo out; echo err >&2; exit 42");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_run(s));
	CHECK_STR(s->out[0], "out\n");
	CHECK_STR(s->out[1], "err\n");
	CHECK_EQ(s->exit.code, 42);
	CHECK_EQ(s->exit.signal, 0);
	CHECK_EQ(s->exit.oom, 0);
	CHECK(s->eof[0] && s->eof[1]);
	host_close(s);
}

AGENT_TEST(create_answers_before_the_process_runs)
{
	struct pb p;
	struct host *s = host_connect();

	pb_container(&p, "c1", "echo started");
	host_plan(s, &p, WIRE_CREATE);
	REQUIRE(host_ok(s));
	CHECK_EQ(s->h.len, 4);
	CHECK_EQ(host_next_within(s, 300), -1); /* nothing runs before START */
	CHECK(host_request(s, WIRE_START, "c1"));
	CHECK(host_run(s));
	CHECK_STR(s->out[0], "started\n");
	host_close(s);
}

AGENT_TEST(start_comes_from_any_session)
{
	struct pb p;
	struct host *s = host_connect(), *other = host_connect();

	pb_container(&p, "c1", "echo hello");
	host_plan(s, &p, WIRE_CREATE);
	REQUIRE(host_ok(s));
	CHECK(host_request(other, WIRE_START, "c1"));
	CHECK(host_run(s));
	CHECK_STR(s->out[0], "hello\n");
	host_close(other);
	host_close(s);
}

AGENT_TEST(standard_input_reaches_the_process_and_its_end_too)
{
	struct pb p;
	struct host *s;

	pb_container(&p, "c1", "cat; echo done");
	s = host_start(&p, "c1");
	REQUIRE(s);
	host_frame(s, WIRE_DATA, WIRE_STDIN, "one\n", 4);
	host_frame(s, WIRE_DATA, WIRE_STDIN, "two\n", 4);
	CHECK(host_expect(s, 0, "one\ntwo\n"));
	host_frame(s, WIRE_EOF, WIRE_STDIN, NULL, 0);
	CHECK(host_run(s));
	CHECK_STR(s->out[0], "one\ntwo\ndone\n");
	host_close(s);
}

AGENT_TEST(input_of_a_process_that_does_not_read_waits_within_credit)
{
	static uint8_t block[WIRE_PAYLOAD_MAX];
	struct pb p;
	struct host *s;
	uint64_t sent = 0;

	memset(block, 'x', sizeof(block));
	pb_container(&p, "c1", "sleep 1; wc -c");
	s = host_start(&p, "c1");
	REQUIRE(s);
	for (; sent < WIRE_CREDIT; sent += sizeof(block))
		host_frame(s, WIRE_DATA, WIRE_STDIN, block, sizeof(block));
	host_frame(s, WIRE_EOF, WIRE_STDIN, NULL, 0);
	CHECK(host_run(s));
	CHECK_CONTAINS(s->out[0], "262144");
	host_close(s);
}

AGENT_TEST(input_beyond_credit_ends_the_session_and_the_process)
{
	static uint8_t block[WIRE_PAYLOAD_MAX];
	struct pb p;
	struct host *s, *other = host_connect();
	int r;

	pb_container(&p, "c1", "sleep 100");
	s = host_start(&p, "c1");
	REQUIRE(s);
	for (int i = 0; i < 8; i++)
		host_frame(s, WIRE_DATA, WIRE_STDIN, block, sizeof(block));
	while ((r = host_next_within(s, ANSWER_MS)) > 0)
		;
	CHECK_EQ(r, 0);
	host_close(s);
	CHECK(host_request(other, WIRE_DESTROY, "c1"));
	host_close(other);
}

AGENT_TEST(the_answer_comes_before_the_output)
{
	struct pb p;
	struct host *init;

	pb_container(&p, "c1", "sleep 1000");
	init = host_start(&p, "c1");
	REQUIRE(init);
	pb_exec(&p, "c1", "echo quick");
	for (int i = 0; i < 50; i++) {
		struct host *s = host_connect();

		host_plan(s, &p, WIRE_EXEC);
		CHECK(host_ok(s));
		CHECK_EQ(s->out_total[0], 0);
		CHECK(host_run(s));
		CHECK_STR(s->out[0], "quick\n");
		host_close(s);
	}
	host_close(init);
}

AGENT_TEST(much_output_arrives_whole_and_in_order)
{
	struct pb p;
	struct host *s;
	uint64_t total = 0, bad = 0;

	/* lines of 8 bytes: position is content */
	pb_container(&p, "c1", "seq 1000000 1999999");
	s = host_start(&p, "c1");
	REQUIRE(s);
	while (!s->exited && host_next_within(s, ANSWER_MS) > 0) {
		if (s->h.type == WIRE_DATA)
			for (uint32_t i = 0; i < s->h.len; i++, total++)
				bad += total % 8 == 6 ? s->payload[i] != '0' + total / 8 % 10 : 0;
		host_stream(s);
	}
	CHECK_EQ(total, 8000000);
	CHECK_EQ(bad, 0);
	CHECK_EQ(s->exit.code, 0);
	host_close(s);
}

AGENT_TEST(output_stops_at_the_credit_and_goes_on_with_more)
{
	struct pb p;
	struct host *s;
	uint32_t more = 1000;

	pb_container(&p, "c1", "yes");
	s = host_start(&p, "c1");
	REQUIRE(s);
	s->no_window = true;
	while (host_next_within(s, 500) > 0)
		host_stream(s);
	CHECK_EQ(s->out_total[0], WIRE_CREDIT);
	host_frame(s, WIRE_WINDOW, WIRE_STDOUT, &more, 4);
	while (host_next_within(s, 500) > 0)
		host_stream(s);
	CHECK_EQ(s->out_total[0], WIRE_CREDIT + 1000);
	host_close(s);
}

AGENT_TEST(a_stalled_stdout_does_not_hold_up_stderr_signals_or_others)
{
	struct pb p;
	struct host *s, *other;

	pb_container(&p, "c1", "trap 'echo trapped >&2; kill $!; exit 5' TERM; yes & while :; do sleep 0.1; done");
	s = host_start(&p, "c1");
	REQUIRE(s);
	s->no_window = true;
	while (host_next_within(s, 500) > 0)
		host_stream(s);
	CHECK_EQ(s->out_total[0], WIRE_CREDIT);
	other = host_connect();
	pb_exec(&p, "c1", "echo also");
	host_plan(other, &p, WIRE_EXEC);
	CHECK(host_ok(other));
	CHECK(host_run(other));
	CHECK_STR(other->out[0], "also\n");
	host_signal(s, SIGTERM, 0, "");
	CHECK(host_expect(s, 1, "trapped\n"));
	host_close(other);
	host_close(s);
}

AGENT_TEST(output_of_before_the_exit_waits_for_credit)
{
	struct pb p;
	struct host *s;
	uint32_t more = 70000;

	/* a pipe's content, 64 KiB, is beyond the credit when the process ends */
	pb_container(&p, "c1", "dd if=/dev/zero bs=1024 count=316 2>/dev/null; exit 3");
	s = host_start(&p, "c1");
	REQUIRE(s);
	s->no_window = true;
	while (host_next_within(s, 1000) > 0)
		host_stream(s);
	CHECK_EQ(s->out_total[0], WIRE_CREDIT);
	CHECK(!s->exited);
	host_frame(s, WIRE_WINDOW, WIRE_STDOUT, &more, 4);
	CHECK(host_run(s));
	CHECK_EQ(s->out_total[0], 316 * 1024);
	CHECK_EQ(s->exit.code, 3);
	host_close(s);
}

AGENT_TEST(a_kill_shows_although_the_host_takes_no_output)
{
	struct pb p;
	struct host *s, *other;

	pb_container(&p, "c1", "yes");
	s = host_start(&p, "c1");
	REQUIRE(s);
	s->no_window = true;
	while (host_next_within(s, 300) > 0)
		host_stream(s);
	other = host_connect();
	host_signal(other, SIGKILL, 0, "c1");
	CHECK(host_ok(other));
	CHECK(host_run(s));
	CHECK_EQ(s->exit.signal, SIGKILL);
	host_close(other);
	host_close(s);
}

AGENT_TEST(background_children_keep_stdout_open_after_exit)
{
	struct pb p;
	struct host *init, *s = host_connect();

	pb_container(&p, "c1", "sleep 100");
	init = host_start(&p, "c1");
	REQUIRE(init);
	pb_exec(&p, "c1", "(sleep 1; echo late) & echo early");
	host_plan(s, &p, WIRE_EXEC);
	REQUIRE(host_ok(s));
	CHECK(host_run(s));
	CHECK_STR(s->out[0], "early\n");
	CHECK(!s->eof[0]);
	CHECK(host_expect(s, 0, "late\n"));
	while (!s->eof[0] && host_next_within(s, ANSWER_MS) > 0)
		host_stream(s);
	CHECK(s->eof[0]);
	host_close(s);
	host_close(init);
}

AGENT_TEST(a_closed_reader_gives_the_process_sigpipe)
{
	struct pb p;
	struct host *s;

	pb_container(&p, "c1", "trap '' TERM; (yes; echo $? >&2) ; exit 7");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_expect(s, 0, "y\n"));
	host_frame(s, WIRE_EOF, WIRE_STDOUT, NULL, 0);
	CHECK(host_run(s));
	CHECK_EQ(s->exit.code, 7);
	CHECK_CONTAINS(s->out[1], "141"); /* 128 + SIGPIPE */
	host_close(s);
}

AGENT_TEST(a_process_that_closes_its_stdin_is_reported)
{
	struct pb p;
	struct host *s;
	bool told = false;

	pb_container(&p, "c1", "exec 0<&-; echo closed; sleep 1");
	s = host_start(&p, "c1");
	REQUIRE(s);
	while (!s->exited && host_next_within(s, ANSWER_MS) > 0) {
		told |= s->h.type == WIRE_EOF && s->h.chan == WIRE_STDIN;
		host_stream(s);
	}
	CHECK(told);
	host_close(s);
}

AGENT_TEST(exits_by_signal_tell_the_signal)
{
	struct pb p;
	struct host *s;

	pb_container(&p, "c1", "sleep 100");
	s = host_start(&p, "c1");
	REQUIRE(s);
	host_signal(s, SIGKILL, 0, "");
	CHECK(host_run(s));
	CHECK_EQ(s->exit.code, 0);
	CHECK_EQ(s->exit.signal, SIGKILL);
	host_close(s);
}

AGENT_TEST(closing_the_init_session_kills_the_container)
{
	struct pb p;
	struct host *s, *other = host_connect();
	char text[1100];

	pb_container(&p, "c1", "trap '' TERM HUP; while :; do sleep 1; done");
	s = host_start(&p, "c1");
	REQUIRE(s);
	host_close(s);
	for (int i = 0; i < 50; i++) { /* forgotten as soon as it is dead */
		host_signal(other, SIGTERM, 0, "c1");
		if (host_answer(other) == WIRE_ERROR)
			break;
		usleep(20000);
	}
	host_signal(other, SIGTERM, 0, "c1");
	CHECK(host_error(other, STAGE_STATE, ENOENT, text));
	CHECK_CONTAINS(text, "does not exist");
	host_close(other);
}

AGENT_TEST(closing_an_exec_session_kills_only_its_process)
{
	struct pb p;
	struct host *init, *s = host_connect(), *look = host_connect();

	pb_container(&p, "c1", "sleep 1000");
	init = host_start(&p, "c1");
	REQUIRE(init);
	pb_exec(&p, "c1", "trap '' TERM HUP; echo up; while :; do sleep 777; done");
	host_plan(s, &p, WIRE_EXEC);
	REQUIRE(host_ok(s));
	CHECK(host_expect(s, 0, "up"));
	host_close(s);
	usleep(300000);
	pb_exec(&p, "c1", "ps | grep -v grep | grep -c 'trap'; ps | grep -c 'sleep 1000'");
	host_plan(look, &p, WIRE_EXEC);
	CHECK(host_ok(look));
	CHECK(host_run(look));
	CHECK_CONTAINS(look->out[0], "0\n");
	CHECK_EQ(host_next_within(init, 0), -1); /* init lives */
	host_close(look);
	host_close(init);
}

AGENT_TEST(exec_runs_inside_the_container)
{
	struct pb p;
	struct host *init, *s = host_connect();

	pb_container(&p, "c1", "sleep 1000");
	init = host_start(&p, "c1");
	REQUIRE(init);
	pb_exec(&p, "c1", "hostname; cat /proc/1/cmdline | tr '\\0' ' '; cat /proc/self/cgroup; ls -d /run/husk 2>&1");
	host_plan(s, &p, WIRE_EXEC);
	REQUIRE(host_ok(s));
	CHECK(host_run(s));
	CHECK_CONTAINS(s->out[0], "inside\n");
	CHECK_CONTAINS(s->out[0], "sleep 1000");
	CHECK_CONTAINS(s->out[0], "0::/\n"); /* the cgroup namespace's root */
	CHECK_CONTAINS(s->out[0], "No such file");
	host_close(s);
	host_close(init);
}

AGENT_TEST(many_sessions_at_once_do_not_mix)
{
	enum { N = 24 };
	struct pb p;
	struct host *init, *s[N];
	char script[64], want[32];

	pb_container(&p, "c1", "sleep 1000");
	init = host_start(&p, "c1");
	REQUIRE(init);
	for (int i = 0; i < N; i++) {
		s[i] = host_connect();
		snprintf(script, sizeof(script), "read x; echo $x-%d; exit %d", i, i);
		pb_exec(&p, "c1", script);
		host_plan(s[i], &p, WIRE_EXEC);
	}
	for (int i = N - 1; i >= 0; i--) {
		CHECK(host_ok(s[i]));
		snprintf(want, sizeof(want), "in%d\n", i);
		host_frame(s[i], WIRE_DATA, WIRE_STDIN, want, strlen(want));
		CHECK(host_run(s[i]));
		snprintf(want, sizeof(want), "in%d-%d\n", i, i);
		CHECK_STR(s[i]->out[0], want);
		CHECK_EQ(s[i]->exit.code, i);
		host_close(s[i]);
	}
	host_close(init);
}

AGENT_TEST(a_created_container_ends_by_sigterm)
{
	struct pb p;
	struct host *s = host_connect(), *other = host_connect();

	pb_container(&p, "c1", "echo never");
	host_plan(s, &p, WIRE_CREATE);
	REQUIRE(host_ok(s));
	host_signal(other, SIGTERM, 0, "c1");
	CHECK(host_ok(other));
	CHECK(host_run(s));
	CHECK_EQ(s->exit.code, 128 + SIGTERM);
	CHECK_STR(s->out[0], "");
	host_close(other);
	host_close(s);
}

AGENT_TEST(a_terminal_has_job_control_size_and_hangs_up)
{
	struct plan_tty tty = { .rows = 33, .cols = 77 };
	struct wire_winsize size = { .rows = 44, .cols = 99 };
	struct pb p;
	struct host *s;

	pb_environment(&p, "c1");
	pb_pivot(&p);
	pb_op(&p, OP_TTY, &tty, sizeof(tty), "");
	pb_op(&p, OP_CWD, NULL, 0, "s", "/");
	pb_user(&p, 1000, 1000);
	pb_shell(&p,
		 "tty; stty size; ls -l /dev/console; stat -c '%u %a' $(tty); trap 'stty size; exit 9' WINCH; echo go; "
		 "while :; do sleep 0.1; done");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_expect(s, 0, "go\r\n"));
	CHECK_CONTAINS(s->out[0], "/dev/pts/0\r\n33 77\r\n");
	CHECK_CONTAINS(s->out[0], "1000 620\r\n");
	host_frame(s, WIRE_RESIZE, 0, &size, sizeof(size));
	CHECK(host_run(s));
	CHECK_CONTAINS(s->out[0], "44 99\r\n");
	CHECK_EQ(s->exit.code, 9);
	host_close(s);
}

AGENT_TEST(control_c_reaches_the_foreground_of_a_terminal)
{
	struct plan_tty tty = { 0 };
	struct pb p;
	struct host *init, *s = host_connect();

	pb_container(&p, "c1", "sleep 1000");
	init = host_start(&p, "c1");
	REQUIRE(init);
	pb_exec(&p, "c1", "echo ready; sleep 100");
	pb_op(&p, OP_TTY, &tty, sizeof(tty), "");
	host_plan(s, &p, WIRE_EXEC);
	REQUIRE(host_ok(s));
	CHECK(host_expect(s, 0, "ready"));
	host_frame(s, WIRE_DATA, WIRE_STDIN, "\003", 1);
	CHECK(host_run(s));
	CHECK(s->exit.signal == SIGINT || s->exit.code == 130);
	host_close(s);
	host_close(init);
}

AGENT_TEST(all_terminal_output_comes_before_the_exit)
{
	struct plan_tty tty = { 0 };
	struct pb p;
	struct host *s;

	pb_container(&p, "c1", "seq 1 20000");
	pb_op(&p, OP_TTY, &tty, sizeof(tty), "");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_run(s));
	/* digits, CR and LF of each line */
	CHECK_EQ(s->out_total[0], 9 * 3 + 90 * 4 + 900 * 5 + 9000 * 6 + 10001 * 7);
	host_close(s);
}

AGENT_TEST(a_session_has_one_process_and_a_version)
{
	struct wire_hello wrong = { .version = 99 };
	struct host *s = host_connect_silent();
	char text[1100];
	struct pb p;

	host_frame(s, WIRE_HELLO, 0, &wrong, sizeof(wrong));
	CHECK(host_error(s, STAGE_PROTOCOL, EPROTO, text));
	CHECK_EQ(host_next_within(s, ANSWER_MS), 0);
	host_close(s);

	s = host_connect();
	pb_container(&p, "c1", "sleep 1000");
	host_plan(s, &p, WIRE_CREATE);
	CHECK(host_ok(s));
	pb_exec(&p, "c1", "true");
	host_plan(s, &p, WIRE_EXEC);
	CHECK(host_error(s, STAGE_PROTOCOL, EBUSY, text));
	CHECK_EQ(host_next_within(s, ANSWER_MS), 0);
	host_close(s);
}

AGENT_TEST(malformed_frames_end_the_session)
{
	static const struct wire_hdr bad[] = {
		{ .len = WIRE_PAYLOAD_MAX + 1, .type = WIRE_PLAN },
		{ .len = 0xffffffff, .type = WIRE_DATA },
		{ .type = 200 },
		{ .type = 0 },
		{ .type = WIRE_OK },
		{ .type = WIRE_EOF, .chan = 3 },
		{ .type = WIRE_EOF, .zero = 1 },
		{ .type = WIRE_DATA, .chan = WIRE_STDOUT },
		{ .len = 3, .type = WIRE_WINDOW, .chan = WIRE_STDOUT },
		{ .len = 1, .type = WIRE_CREATE },
		{ .len = WIRE_CID_MAX + 1, .type = WIRE_START },
		{ .len = 0, .type = WIRE_PS },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct host *s = host_connect();
		char text[1100];

		send(s->fd, &bad[i], sizeof(bad[i]), MSG_NOSIGNAL);
		if (!host_error(s, STAGE_PROTOCOL, EPROTO, text))
			UNIT_FAIL("frame %zu was taken", i);
		CHECK_EQ(host_next_within(s, ANSWER_MS), 0);
		host_close(s);
	}
}

AGENT_TEST(requests_that_arrive_in_pieces_or_together_are_the_same)
{
	struct wire_hello hello = { .version = WIRE_VERSION };
	static uint8_t all[80000];
	struct wire_hdr h = { .len = sizeof(hello), .type = WIRE_HELLO };
	struct host *s = host_connect_silent();
	struct pb p;
	size_t n = 0;

	pb_container(&p, "c1", "echo pieces; cat");
#define ADD(ptr, len) (memcpy(all + n, ptr, len), n += (len))
	ADD(&h, sizeof(h));
	ADD(&hello, sizeof(hello));
	h = (struct wire_hdr){ .len = p.len / 2, .type = WIRE_PLAN };
	ADD(&h, sizeof(h));
	ADD(p.data, p.len / 2);
	h.len = p.len - p.len / 2;
	ADD(&h, sizeof(h));
	ADD(p.data + p.len / 2, h.len);
	h = (struct wire_hdr){ .type = WIRE_CREATE };
	ADD(&h, sizeof(h));
	h = (struct wire_hdr){ .len = 2, .type = WIRE_START };
	ADD(&h, sizeof(h));
	ADD("c1", 2);
	h = (struct wire_hdr){ .len = 4, .type = WIRE_DATA };
	ADD(&h, sizeof(h));
	ADD("abc\n", 4);
	h = (struct wire_hdr){ .type = WIRE_EOF };
	ADD(&h, sizeof(h));
	for (size_t i = 0; i < n; i++) /* byte by byte, then the rest at once */
		if (i < 200)
			send(s->fd, all + i, 1, MSG_NOSIGNAL);
	send(s->fd, all + 200, n - 200, MSG_NOSIGNAL);
	CHECK(host_ok(s));
	CHECK(host_ok(s));
	CHECK(host_run(s));
	CHECK_STR(s->out[0], "pieces\nabc\n");
	host_close(s);
}
