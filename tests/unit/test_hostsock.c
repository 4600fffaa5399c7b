/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket helper: the test is the VM, its agent, and the servers of the host's sockets. The helper's parent is a
 * child, as the init proxy would be.
 */
// link: runtime oci
#define UNIT_SECONDS 30
#include "tests/unit/unit.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "agent/wire.h"
#include "runtime/hostsock.h"
#include "vmm/control.h"

static char dir[] = "/tmp/hostsock.XXXXXX";
static int vm; /* listens as the VM does */
static int session;
static pid_t proxy;
static struct host_socket sockets[2];

/* REQUIRE for functions that return something. */
#define MUST(x)                              \
	do {                                 \
		if (!(x)) {                  \
			UNIT_FAIL("%s", #x); \
			exit(1);             \
		}                            \
	} while (0)

static struct sockaddr_un address(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, name);
	return a;
}

static int serve(const char *name, int type)
{
	struct sockaddr_un a = address(name);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	if (type == SOCK_STREAM)
		MUST(listen(fd, 8) == 0);
	return fd;
}

static int accept_soon(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 ? accept(fd, NULL, NULL) : -1;
}

static void frame_send(int fd, uint8_t type, const void *data, uint32_t len)
{
	struct wire_hdr h = { .len = len, .type = type };

	MUST(send(fd, &h, sizeof(h), MSG_NOSIGNAL) == sizeof(h));
	MUST(!len || send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* Its type; the payload goes to *data. */
static int frame_take(int fd, void *data, size_t cap)
{
	struct wire_hdr h;

	if (recv(fd, &h, sizeof(h), MSG_WAITALL) != sizeof(h) || h.len > cap)
		return -1;
	if (h.len && recv(fd, data, h.len, MSG_WAITALL) != (ssize_t)h.len)
		return -1;
	return h.type;
}

/* The helper connects, by way of the VM: its first frame after HELLO, of that type. */
static int agent_accept(uint8_t type, void *data, size_t cap)
{
	struct wire_hello hello = { .version = WIRE_VERSION };
	struct ctl_rep rep = { .magic = CTL_MAGIC };
	struct ctl_req req;
	uint8_t theirs[64];
	int fd = accept_soon(vm, 5000);

	MUST(fd >= 0);
	MUST(recv(fd, &req, sizeof(req), MSG_WAITALL) == sizeof(req));
	CHECK_EQ(req.op, CTL_CONNECT);
	MUST(send(fd, &rep, sizeof(rep), 0) == sizeof(rep));
	CHECK_EQ(frame_take(fd, theirs, sizeof(theirs)), WIRE_HELLO);
	CHECK_EQ(frame_take(fd, data, cap), type);
	frame_send(fd, WIRE_HELLO, &hello, sizeof(hello));
	return fd;
}

static void begin(const char *first, const char *second)
{
	struct host_plan host = { .sockets = sockets, .nsockets = second ? 2 : 1 };
	char path[128], cid[64] = "";
	struct hostsock_config cfg = { .id = "c1", .host = &host, .vm_sock = path, .log_fd = 2 };

	snprintf(path, sizeof(path), "%s/vm.sock", dir);
	sockets[0].source = strdup(address(first).sun_path);
	sockets[1].source = second ? strdup(address(second).sun_path) : NULL;
	proxy = fork();
	if (!proxy) {
		struct hostsock h;
		struct error err = { 0 };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (hostsock_start(&h, &cfg, &err) < 0 || hostsock_serve(&h, &err) < 0) {
			printf("# %s\n", err.text);
			_exit(1);
		}
		pause();
	}
	session = agent_accept(WIRE_SOCKETS, cid, sizeof(cid));
	CHECK_STR(cid, "c1");
	frame_send(session, WIRE_OK, NULL, 0);
}

static void call(uint32_t id, uint32_t index)
{
	struct wire_call q = { .id = id, .index = index };

	frame_send(session, WIRE_CALL, &q, sizeof(q));
}

static void refused(uint32_t id)
{
	uint32_t got = 0;

	CHECK_EQ(frame_take(session, &got, sizeof(got)), WIRE_REFUSE);
	CHECK_EQ(got, id);
}

static void place(void)
{
	MUST(mkdtemp(dir) != NULL);
	vm = serve("vm.sock", SOCK_STREAM);
}

static void end(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	kill(proxy, SIGKILL);
	waitpid(proxy, NULL, 0);
	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
	free(sockets[0].source);
	free(sockets[1].source);
}

TEST(a_call_reaches_the_socket_that_was_mounted_even_when_its_name_is_anothers_by_now)
{
	uint32_t id = 0;
	int real, other, client, stream;
	char buf[8];

	place();
	real = serve("real", SOCK_STREAM);
	begin("real", NULL);
	unlink(address("real").sun_path);
	other = serve("real", SOCK_STREAM);
	call(7, 0);
	stream = agent_accept(WIRE_ANSWER, &id, sizeof(id));
	CHECK_EQ(id, 7);
	client = accept_soon(real, 5000);
	REQUIRE(client >= 0);
	CHECK_EQ(accept_soon(other, 0), -1);
	frame_send(stream, WIRE_OK, NULL, 0);
	CHECK_EQ(send(stream, "ask", 3, 0), 3);
	CHECK_EQ(shutdown(stream, SHUT_WR), 0);
	CHECK_EQ(recv(client, buf, sizeof(buf), MSG_WAITALL), 3); /* and its end */
	CHECK_EQ(send(client, "reply", 5, 0), 5);
	close(client);
	CHECK_EQ(recv(stream, buf, sizeof(buf), MSG_WAITALL), 5);
	end();
}

TEST(what_cannot_be_connected_is_refused_and_the_helper_goes_on)
{
	uint32_t id;
	int real, stream;

	place();
	real = serve("real", SOCK_STREAM);
	serve("datagrams", SOCK_DGRAM);
	begin("real", "datagrams");
	call(1, 1); /* no stream socket */
	refused(1);
	call(2, 9); /* no such socket: a hostile agent */
	refused(2);
	call(3, 0);
	stream = agent_accept(WIRE_ANSWER, &id, sizeof(id));
	CHECK_EQ(id, 3);
	close(stream); /* the caller is gone: so is the connection */
	stream = accept_soon(real, 5000);
	REQUIRE(stream >= 0);
	CHECK_EQ(recv(stream, &id, sizeof(id), 0), 0);
	shutdown(real, SHUT_RDWR);
	call(4, 0); /* nobody listens any more */
	refused(4);
	end();
}

/* Nothing more comes on the session; a helper that ended before it had read our answer leaves a reset. */
static bool session_ended(void)
{
	char c;
	ssize_t n = recv(session, &c, 1, 0);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

TEST(the_helper_ends_with_the_agents_session_and_with_its_parent)
{
	place();
	serve("real", SOCK_STREAM);
	begin("real", NULL);
	frame_send(session, WIRE_OK, NULL, 0); /* out of turn */
	CHECK(session_ended());
	end();
	strcpy(dir, "/tmp/hostsock.XXXXXX");
	place();
	serve("real", SOCK_STREAM);
	begin("real", NULL);
	kill(proxy, SIGKILL);
	CHECK(session_ended());
	end();
}
