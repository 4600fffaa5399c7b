/* SPDX-License-Identifier: Apache-2.0 */
// link: runtime oci
/* The D-Bus client against a manager in a child: greeting, calls, errors, jobs that end before the answer. */
#include <sys/socket.h>
#include <sys/un.h>

#include "runtime/dbus.h"
#include "runtime/util.h"
#include "tests/unit/unit.h"

#define SECOND 1000000000ull

static char path[64];
static pid_t server;

/* One message: type 2 return, 3 error, 4 signal. */
static void reply(int fd, uint8_t type, uint32_t serial, const char *member, const char *error, const char *signature,
		  const struct dbus_body *body)
{
	static const uint8_t zero[8];
	struct dbus_body b = { 0 };
	size_t mark;

	dbus_put_u8(&b, 'l');
	dbus_put_u8(&b, type);
	dbus_put_u8(&b, 0);
	dbus_put_u8(&b, 1);
	dbus_put_u32(&b, (uint32_t)body->len);
	dbus_put_u32(&b, 77);
	mark = dbus_array_begin(&b, 8);
	if (serial) {
		dbus_put_u8(&b, 5);
		dbus_put_signature(&b, "u");
		dbus_put_u32(&b, serial);
		dbus_align(&b, 8);
	}
	if (member) {
		dbus_put_u8(&b, 3);
		dbus_put_signature(&b, "s");
		dbus_put_string(&b, member);
		dbus_align(&b, 8);
	}
	if (error) {
		dbus_put_u8(&b, 4);
		dbus_put_signature(&b, "s");
		dbus_put_string(&b, error);
		dbus_align(&b, 8);
	}
	dbus_put_u8(&b, 8);
	dbus_put_signature(&b, "g");
	dbus_put_signature(&b, signature);
	dbus_array_end(&b, mark, 8);
	write_all(fd, b.data, b.len);
	write_all(fd, zero, (8 - b.len % 8) % 8);
	write_all(fd, body->data, body->len);
	dbus_body_free(&b);
}

static void job_removed(int fd, const char *job, const char *result)
{
	struct dbus_body b = { 0 };

	dbus_put_u32(&b, 1);
	dbus_put_string(&b, job);
	dbus_put_string(&b, "x.scope");
	dbus_put_string(&b, result);
	reply(fd, 4, 0, "JobRemoved", NULL, "uoss", &b);
	dbus_body_free(&b);
}

/* What the manager does with the one call it gets; member and body are checked by the caller's script. */
static void serve(int fd, const char *what)
{
	uint32_t body_len, fields_len, serial;
	struct dbus_body b = { 0 };
	char line[64], head[16], rest[4096];
	size_t n = 0;

	do {
		if (read(fd, line + n, 1) != 1)
			return;
	} while (line[n++] != '\n');
	if (strncmp(line + 1, "AUTH EXTERNAL ", 14)) /* a NUL comes first */
		return;
	if (!strcmp(what, "reject")) {
		write_all(fd, "REJECTED\r\n", 10);
		return;
	}
	write_all(fd, "OK 0123456789abcdef\r\n", 21);
	if (read_all(fd, line, 7) || memcmp(line, "BEGIN\r\n", 7) || read_all(fd, head, 16))
		return;
	memcpy(&body_len, head + 4, 4);
	memcpy(&serial, head + 8, 4);
	memcpy(&fields_len, head + 12, 4);
	if (read_all(fd, rest, ((fields_len + 7) & ~7u) + body_len))
		return;
	if (!strcmp(what, "early")) {
		job_removed(fd, "/job/other", "failed");
		job_removed(fd, "/job/1", "done");
	}
	if (!strcmp(what, "error")) {
		dbus_put_string(&b, "no way");
		reply(fd, 3, serial, NULL, "org.example.NoWay", "s", &b);
	} else if (!strcmp(what, "lie")) {
		dbus_put_u32(&b, 0x7fffffff); /* a string of that length */
		reply(fd, 2, serial, NULL, NULL, "o", &b);
	} else {
		dbus_put_string(&b, "/job/1");
		reply(fd, 2, serial, NULL, NULL, "o", &b);
	}
	if (!strcmp(what, "late"))
		job_removed(fd, "/job/1", "done");
	if (!strcmp(what, "failed"))
		job_removed(fd, "/job/1", "failed");
	dbus_body_free(&b);
	pause();
}

static int manager(struct dbus *d, const char *what, struct error *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	snprintf(path, sizeof(path), "/tmp/husk-dbus.%d", (int)getpid());
	strcpy(sa.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 1))
		abort();
	server = fork();
	if (!server) {
		serve(accept(fd, NULL, NULL), what);
		_exit(0);
	}
	close(fd);
	rc = dbus_open(d, path, mono_ns() + SECOND, err);
	unlink(path);
	return rc;
}

static void done(struct dbus *d)
{
	dbus_close(d);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static void job_case(const char *what, int want)
{
	char job[DBUS_NAME] = "", name[DBUS_NAME] = "x";
	struct dbus_body b = { 0 };
	struct error err = { 0 };
	struct dbus d;

	REQUIRE(manager(&d, what, &err) == 0);
	dbus_put_string(&b, "x.scope");
	CHECK_EQ(dbus_call(&d, "StopUnit", "s", &b, job, name, mono_ns() + SECOND, &err), 0);
	CHECK_STR(job, "/job/1");
	CHECK_STR(name, "");
	CHECK_EQ(dbus_wait_job(&d, job, mono_ns() + SECOND / 5, &err), want);
	dbus_body_free(&b);
	done(&d);
}

TEST(a_job_that_ends_after_the_answer_is_waited_for)
{
	job_case("late", 0);
}

TEST(a_job_that_ended_before_the_answer_is_remembered)
{
	job_case("early", 0);
}

TEST(a_job_that_fails_is_an_error)
{
	job_case("failed", -1);
}

TEST(a_job_that_never_ends_is_given_up)
{
	job_case("never", -1);
}

TEST(an_error_of_the_manager_is_passed_on_with_its_name)
{
	char name[DBUS_NAME] = "";
	struct error err = { 0 };
	struct dbus d;

	REQUIRE(manager(&d, "error", &err) == 0);
	CHECK_EQ(dbus_call(&d, "X", "", NULL, NULL, name, mono_ns() + SECOND, &err), -1);
	CHECK_STR(err.text, "systemd: X: no way");
	CHECK_STR(name, "org.example.NoWay");
	done(&d);
}

TEST(lengths_that_lie_are_noticed)
{
	char job[DBUS_NAME] = "?";
	struct error err = { 0 };
	struct dbus d;

	REQUIRE(manager(&d, "lie", &err) == 0);
	dbus_call(&d, "X", "", NULL, job, NULL, mono_ns() + SECOND, &err);
	CHECK_STR(job, "");
	done(&d);
}

TEST(a_manager_that_does_not_want_us_is_an_error)
{
	struct error err = { 0 };
	struct dbus d;

	CHECK_EQ(manager(&d, "reject", &err), -1);
	CHECK_CONTAINS(err.text, "permission denied");
	done(&d);
}

TEST(values_are_aligned_and_arrays_have_their_length_without_padding)
{
	static const uint8_t want[] = { 7, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 's', 0 };
	struct dbus_body b = { 0 };
	size_t mark;

	dbus_put_u8(&b, 7);
	mark = dbus_array_begin(&b, 8);
	dbus_put_u64(&b, 1);
	dbus_array_end(&b, mark, 8);
	dbus_put_signature(&b, "s");
	REQUIRE(b.len == sizeof(want));
	CHECK_MEM(b.data, want, sizeof(want));
	dbus_body_free(&b);
}
