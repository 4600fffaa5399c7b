/* SPDX-License-Identifier: Apache-2.0 */
/* What engines are told of a process: pid file and pidfd. */
// link: runtime oci
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/announce.h"
#include "runtime/util.h"
#include "runtime/vmm.h"

static char dir[] = "/tmp/announce.XXXXXX";
static char path[64];

static bool begin(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", mkdtemp(dir), name);
	return access(dir, F_OK) == 0;
}

static void end(void)
{
	unlink(path);
	CHECK_EQ(rmdir(dir), 0);
}

TEST(the_pid_file_holds_the_number_alone)
{
	struct error err;
	struct stat st;
	char *text;

	REQUIRE(begin("pid"));
	CHECK_EQ(announce_pid(path, 4711, &err), 0);
	text = file_read_at(AT_FDCWD, path, 64, NULL);
	CHECK_STR(text, "4711");
	free(text);
	CHECK_EQ(announce_pid(path, 5, &err), 0); /* replaced */
	REQUIRE(stat(path, &st) == 0);
	CHECK_EQ(st.st_size, 1);
	CHECK_EQ(announce_pid("/nonexistent/pid", 5, &err), -1);
	CHECK_CONTAINS(err.text, "pid file /nonexistent/pid");
	end();
}

TEST(what_is_not_asked_for_is_not_told)
{
	struct error err;

	CHECK_EQ(announce_pid(NULL, 5, &err), 0);
	CHECK_EQ(announce_pidfd(NULL, 5, &err), 0);
}

TEST(the_pidfd_arrives_at_the_socket_and_is_the_processs)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	char data[16] = "";
	struct iovec iov = { data, sizeof(data) - 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf) };
	struct error err;
	int listener, peer, fd = -1, st;
	pid_t pid;

	REQUIRE(begin("sock"));
	listener = unix_listen(path, &err);
	REQUIRE(listener >= 0);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK_EQ(announce_pidfd(path, pid, &err), 0);
	peer = accept(listener, NULL, NULL);
	CHECK_EQ(recvmsg(peer, &m, 0), 5);
	CHECK_STR(data, "pidfd");
	REQUIRE(CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), 0);
	waitpid(pid, &st, 0);
	CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM);
	CHECK_EQ(announce_pidfd(path, pid, &err), -1); /* it is gone */
	CHECK_CONTAINS(err.text, "no such process");
	CHECK_EQ(announce_pidfd("/nonexistent/sock", getpid(), &err), -1);
	CHECK_CONTAINS(err.text, "pidfd socket /nonexistent/sock");
	close(fd);
	close(peer);
	close(listener);
	end();
}
