/* SPDX-License-Identifier: Apache-2.0 */
// link: runtime oci
/* The relay between stdio and a session: order, loss, credit, ends, hostile agents. */
#include <fcntl.h>
#include <sys/socket.h>

#include "runtime/pump.h"
#include "runtime/util.h"
#include "tests/unit/fake_vm.h"
#include "tests/unit/unit.h"

/* A pump in this process against a scripted agent in a child that runs `args`. */
struct bench {
	struct evloop loop;
	struct pump pump;
	struct session *s;
	int in, out, err; /* our ends of the process's stdio */
	pid_t agent;
};

static void on_end(void *arg)
{
	((struct bench *)arg)->loop.stop = true;
}

static void bench_init(struct bench *b, const char *a0, const char *a1)
{
	int sv[2], in[2], out[2], err[2];

	*b = (struct bench){ 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) || pipe(in) || pipe(out) || pipe(err))
		abort();
	b->agent = fork();
	if (!b->agent) {
		static struct fake f;
		struct fake_shared sh = { 0 };

		close(sv[0]);
		for (int i = 0; i < 2; i++) {
			close(in[i]);
			close(out[i]);
			close(err[i]);
		}
		f = (struct fake){ .fd = sv[1], .sh = &sh, .nargs = 2 };
		strcpy(f.args[0], a0);
		strcpy(f.args[1], a1);
		fake_put(&f, WIRE_HELLO, 0, &(struct wire_hello){ .version = WIRE_VERSION }, sizeof(struct wire_hello));
		while (fake_frame(&f).type != WIRE_HELLO)
			;
		fake_run(&f);
		_exit(0);
	}
	close(sv[1]);
	b->in = in[1];
	b->out = out[0];
	b->err = err[0];
	evloop_init(&b->loop);
	b->s = session_new(sv[0]);
	pump_init(&b->pump, &b->loop, b->s, (int[3]){ in[0], out[1], err[1] }, false);
	b->pump.on_end = on_end;
	b->pump.arg = b;
}

static void bench_free(struct bench *b)
{
	pump_free(&b->pump);
	session_free(b->s);
	evloop_free(&b->loop);
	close(b->in);
	close(b->out);
	close(b->err);
	kill(b->agent, SIGKILL);
	waitpid(b->agent, NULL, 0);
}

/* Bytes that a reader child counts in fd; it reads slowly when asked. Its pid; the count is its exit by pipe. */
static pid_t reader(int fd, int other, unsigned int pause_ms, int result)
{
	pid_t pid = fork();

	if (!pid) {
		static char buf[65536];
		size_t total = 0;
		uint32_t sum = 0;
		ssize_t n;

		close(other);
		while ((n = read(fd, buf, sizeof(buf))) > 0) {
			for (ssize_t i = 0; i < n; i++)
				sum += (uint8_t)buf[i] == (uint8_t) "0123456789abcde\n"[(total + (size_t)i) % 16];
			total += (size_t)n;
			if (pause_ms)
				sleep_ms(pause_ms);
		}
		dprintf(result, "%zu %u", total, sum);
		_exit(0);
	}
	return pid;
}

static void count_through(const char *bytes, unsigned int pause_ms)
{
	struct bench b;
	int result[2];
	char text[64] = "", want[64];
	pid_t pid;

	bench_init(&b, "flood", bytes);
	REQUIRE(pipe(result) == 0);
	/* the reader must not hold the write end: it waits for the end of file */
	pid = reader(b.out, b.pump.out[0].io.fd, pause_ms, result[1]);
	pump_start(&b.pump);
	CHECK_EQ(evloop_run(&b.loop), 0);
	CHECK(b.pump.exited);
	CHECK_EQ(pump_status(&b.pump), 0);
	pump_free(&b.pump);
	waitpid(pid, NULL, 0);
	REQUIRE(read(result[0], text, sizeof(text) - 1) > 0);
	snprintf(want, sizeof(want), "%s %s", bytes, bytes);
	CHECK_STR(text, want);
	bench_free(&b);
}

TEST(every_byte_arrives_in_order)
{
	count_through("20000000", 0);
}

TEST(a_slow_reader_loses_nothing)
{
	count_through("1000000", 20);
}

TEST(stdin_reaches_the_process_and_its_end_too)
{
	struct bench b;
	char buf[16] = "";

	bench_init(&b, "cat", "");
	pump_start(&b.pump);
	REQUIRE(write(b.in, "hello", 5) == 5);
	close(b.in);
	b.in = -1;
	CHECK_EQ(evloop_run(&b.loop), 0);
	CHECK_EQ(pump_status(&b.pump), 0);
	CHECK_EQ(read(b.out, buf, sizeof(buf)), 5);
	CHECK_STR(buf, "hello");
	bench_free(&b);
}

TEST(the_exit_status_is_the_process_s)
{
	struct bench b;

	bench_init(&b, "exit", "42");
	pump_start(&b.pump);
	evloop_run(&b.loop);
	CHECK_EQ(pump_status(&b.pump), 42);
	CHECK(!pump_lingers(&b.pump));
	bench_free(&b);
}

TEST(a_signal_that_kills_shows_as_128_plus_n)
{
	struct bench b;

	bench_init(&b, "wait", "");
	pump_start(&b.pump);
	pump_signal(&b.pump, SIGTERM);
	evloop_run(&b.loop);
	CHECK_EQ(pump_status(&b.pump), 128 + SIGTERM);
	bench_free(&b);
}

TEST(a_reader_that_goes_away_gives_the_process_sigpipe)
{
	struct bench b;

	bench_init(&b, "flood", "100000000");
	close(b.out);
	b.out = -1;
	signal(SIGPIPE, SIG_IGN);
	pump_start(&b.pump);
	evloop_run(&b.loop);
	CHECK_EQ(pump_status(&b.pump), 128 + SIGPIPE);
	bench_free(&b);
}

TEST(a_broken_session_is_137)
{
	struct bench b;

	bench_init(&b, "wait", "");
	pump_start(&b.pump);
	kill(b.agent, SIGKILL);
	evloop_run(&b.loop);
	CHECK(!b.pump.exited);
	CHECK_EQ(pump_status(&b.pump), 137);
	bench_free(&b);
}

TEST(an_agent_that_sends_beyond_its_credit_ends_the_session)
{
	struct bench b;

	/* nobody reads stdout: pipe and ring fill up, and the agent goes on */
	bench_init(&b, "lie", "2000000");
	pump_start(&b.pump);
	evloop_run(&b.loop);
	CHECK(!b.pump.exited);
	CHECK_EQ(pump_status(&b.pump), 137);
	bench_free(&b);
}

TEST(background_holders_of_stdout_are_noticed)
{
	struct bench b;
	char buf[16] = "";

	bench_init(&b, "hold", "");
	pump_start(&b.pump);
	evloop_run(&b.loop);
	CHECK(b.pump.exited);
	CHECK(pump_lingers(&b.pump));
	/* go on as the lingering child does; stdin's end lets the holder go */
	session_put(b.s, WIRE_EOF, WIRE_STDIN, NULL, 0);
	b.loop.stop = false;
	pump_linger(&b.pump);
	pump_kick(&b.pump);
	evloop_run(&b.loop);
	CHECK_EQ(read(b.out, buf, sizeof(buf)), 5);
	CHECK_STR(buf, "late\n");
	bench_free(&b);
}

TEST(a_killed_process_does_not_wait_for_a_dead_reader)
{
	struct bench b;
	uint64_t t0 = mono_ns();

	bench_init(&b, "wait", "");
	/* something is left in the ring, and nobody reads it */
	b.pump.out[0].ring = xmalloc(WIRE_CREDIT);
	while (write(b.pump.out[0].io.fd, "x", 1) == 1)
		;
	b.pump.out[0].len = 100;
	pump_start(&b.pump);
	pump_signal(&b.pump, SIGKILL);
	evloop_run(&b.loop);
	CHECK_EQ(pump_status(&b.pump), 137);
	CHECK(mono_ns() - t0 < 10000000000ull);
	bench_free(&b);
}

TEST(a_regular_file_serves_as_stdin)
{
	struct bench b;
	char name[] = "/tmp/husk-pump.XXXXXX", buf[16] = "";
	int fd = mkstemp(name);

	unlink(name);
	REQUIRE(write(fd, "file", 4) == 4);
	lseek(fd, 0, SEEK_SET);
	bench_init(&b, "cat", "");
	stdio_close(&b.pump.in.io);
	stdio_adopt(&b.pump.in.io, fd, false);
	pump_start(&b.pump);
	evloop_run(&b.loop);
	CHECK_EQ(pump_status(&b.pump), 0);
	CHECK_EQ(read(b.out, buf, sizeof(buf)), 4);
	CHECK_STR(buf, "file");
	bench_free(&b);
}

TEST(o_nonblock_is_not_set_on_the_engine_s_own_pipe)
{
	struct stdio s;
	int p[2], kept;

	REQUIRE(pipe(p) == 0);
	kept = dup(p[1]);
	stdio_adopt(&s, p[1], true);
	CHECK_EQ(s.kind, STDIO_NONBLOCK);
	CHECK(fcntl(s.fd, F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(kept, F_GETFL) & O_NONBLOCK));
	stdio_close(&s);
}
