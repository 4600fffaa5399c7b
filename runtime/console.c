/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host-side pseudo terminals: the one whose master goes to the engine, and raw mode of the user's own terminal.
 */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "util.h"
#include "vmm.h"

int console_open(uint16_t rows, uint16_t cols, int *master, int *slave, struct error *err)
{
	CLEAN_FD int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	CLEAN_FD int s = -1;
	struct winsize ws = { .ws_row = rows, .ws_col = cols };
	struct termios t;

	if (m < 0)
		return error_set(err, errno, "cannot make a terminal: /dev/ptmx");
	if (unlockpt(m) < 0)
		return error_set(err, errno, "cannot unlock the new terminal");
	s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (s < 0)
		return error_set(err, errno, "cannot open the new terminal");
	if (tcgetattr(s, &t) < 0)
		return error_set(err, errno, "tcgetattr");
	cfmakeraw(&t);
	if (tcsetattr(s, TCSANOW, &t) < 0)
		return error_set(err, errno, "tcsetattr");
	if ((rows || cols) && ioctl(s, TIOCSWINSZ, &ws) < 0)
		return error_set(err, errno, "cannot set the terminal's size");
	*master = take_fd(&m);
	*slave = take_fd(&s);
	return 0;
}

int console_send(const char *socket_path, int fd, const char *name, struct error *err)
{
	CLEAN_FD int sock = unix_connect(socket_path);
	int rc = sock < 0 ? sock : fd_send(sock, fd, name, strlen(name));

	if (rc < 0)
		return error_set(err, -rc, "console socket %s", socket_path);
	return 0;
}

static struct termios saved_termios;
static int saved_fd = -1;

void terminal_restore(void)
{
	if (saved_fd >= 0)
		tcsetattr(saved_fd, TCSANOW, &saved_termios);
	saved_fd = -1;
}

void terminal_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return;
	saved_termios = t;
	saved_fd = fd;
	cfmakeraw(&t);
	tcsetattr(fd, TCSANOW, &t);
}
