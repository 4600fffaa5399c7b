/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of a VMM's control socket: `ctlcall SOCKET OP ARG [PAYLOAD [FILE]]` sends one request (vmm/control.h) with
 * the NUL-terminated payload and an open descriptor of FILE, prints the answer's status, and ends with 0 when it came.
 * `ctlcall SOCKET garbage` sends bytes that are no request; 0: the socket was closed. `ctlcall SOCKET listen CMD..`
 * makes the socket and runs CMD with it as descriptor 3.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/control.h"

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		perror(path);
		exit(2);
	}
	return fd;
}

static int run_listening(const char *path, char **cmd)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 16) || (fd != 3 && dup2(fd, 3) != 3)) {
		perror(path);
		return 2;
	}
	execvp(cmd[0], cmd);
	perror(cmd[0]);
	return 2;
}

int main(int argc, char **argv)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	const char *payload = argc > 4 ? argv[4] : NULL;
	struct ctl_req req = { .magic = CTL_MAGIC };
	struct ctl_rep rep;
	struct iovec iov[2] = { { &req, sizeof(req) }, { (void *)(uintptr_t)payload, 0 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = payload ? 2 : 1 };
	int fd;

	if (argc == 3 && strcmp(argv[2], "garbage") == 0) {
		fd = connect_to(argv[1]);
		memset(&req, 0x5a, sizeof(req));
		return send(fd, &req, sizeof(req), MSG_NOSIGNAL) == sizeof(req) && recv(fd, &rep, sizeof(rep), 0) <= 0
			       ? 0
			       : 1;
	}
	if (argc > 3 && strcmp(argv[2], "listen") == 0)
		return run_listening(argv[1], argv + 3);
	if (argc < 4 || argc > 6) {
		fprintf(stderr, "usage: ctlcall SOCKET OP ARG [PAYLOAD [FILE]] | garbage | listen CMD..\n");
		return 2;
	}
	fd = connect_to(argv[1]);
	req.op = (uint32_t)strtoul(argv[2], NULL, 0);
	req.arg = (uint32_t)strtoul(argv[3], NULL, 0);
	req.len = payload ? (uint32_t)strlen(payload) + 1 : 0;
	iov[1].iov_len = req.len;
	if (argc == 6) {
		int file = open(argv[5], O_RDWR | O_CLOEXEC);
		struct cmsghdr *c;

		if (file < 0)
			file = open(argv[5], O_PATH | O_CLOEXEC);
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &file, sizeof(file));
	}
	if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0 || recv(fd, &rep, sizeof(rep), MSG_WAITALL) != sizeof(rep))
		return 1;
	printf("%d\n", rep.status);
	return 0;
}
