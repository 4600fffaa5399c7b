/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's end of a console socket, for the acceptance tests.
 *
 *   recvtty [-s ROWSxCOLS] [-c CONTROL] SOCKET
 *
 * listens on SOCKET, prints "ready" on stderr, takes the one message, says on stderr how it looked
 * (name=, fds=, cmsg=, eof= whether the sender closed), sets the size if asked, then relays: stdin
 * to the terminal, the terminal to stdout. Each line "ROWS COLS" read from the fifo CONTROL
 * resizes it, "hangup" closes it. Ends when the terminal's other side is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void resize(int master, unsigned short rows, unsigned short cols)
{
	struct winsize w = { .ws_row = rows, .ws_col = cols };

	if (ioctl(master, TIOCSWINSZ, &w) < 0)
		fprintf(stderr, "resize=%s\n", strerrorname_np(errno));
}

static int receive_master(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char name[4097] = "", control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = { name, sizeof(name) - 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c;
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), conn, fd = -1;
	ssize_t n;
	char byte;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -1;
	strcpy(sa.sun_path, path);
	if (l < 0 || bind(l, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(l, 4) < 0)
		return -1;
	fprintf(stderr, "ready\n");
	conn = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	fprintf(stderr, "name=%s\nbytes=%zd\ncmsg=%s\n", name, n,
		c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
				c->cmsg_len == CMSG_LEN(sizeof(int)) && msg.msg_controllen == CMSG_SPACE(sizeof(int))
			? "one fd"
			: "wrong");
	if (c && c->cmsg_len >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	fprintf(stderr, "eof=%s\n", read(conn, &byte, 1) == 0 ? "yes" : "no");
	close(conn);
	close(l);
	unlink(path);
	return fd;
}

static int copy(int from, int to)
{
	char buf[65536];
	ssize_t n = read(from, buf, sizeof(buf)), done = 0;

	if (n <= 0)
		return -1;
	while (done < n) {
		ssize_t k = write(to, buf + done, (size_t)(n - done));

		if (k < 0)
			return -1;
		done += k;
	}
	return 0;
}

static int command(int master, int ctl)
{
	char line[128];
	ssize_t n = read(ctl, line, sizeof(line) - 1);
	unsigned short rows, cols;

	if (n <= 0)
		return 0;
	line[n] = '\0';
	if (!strncmp(line, "hangup", 6))
		return -1;
	if (sscanf(line, "%hu %hu", &rows, &cols) == 2)
		resize(master, rows, cols);
	return 0;
}

int main(int argc, char **argv)
{
	struct pollfd fds[3];
	unsigned short rows = 0, cols = 0;
	int opt, master, ctl = -1;

	while ((opt = getopt(argc, argv, "s:c:")) != -1) {
		if (opt == 's' && sscanf(optarg, "%hux%hu", &rows, &cols) == 2)
			continue;
		if (opt == 'c' && (ctl = open(optarg, O_RDWR | O_CLOEXEC)) >= 0)
			continue;
		return 2;
	}
	if (optind >= argc || (master = receive_master(argv[optind])) < 0) {
		perror("recvtty");
		return 1;
	}
	if (rows)
		resize(master, rows, cols);
	fds[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = master, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = ctl, .events = POLLIN };
	while (poll(fds, 3, -1) > 0) {
		if (fds[1].revents && copy(master, 1) < 0)
			break;
		if (fds[0].revents && copy(0, master) < 0)
			fds[0].fd = -1;
		if (fds[2].revents && command(master, ctl) < 0)
			break;
	}
	close(master);
	return 0;
}
