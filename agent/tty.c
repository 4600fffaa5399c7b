/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals. The child opens the pty, because only it is in the container's mount namespace; the
 * container controls what stands at /dev/pts, so what was opened is checked to be a pty.
 */
#include "tty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "path.h"
#include "util.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

int tty_peer(int master)
{
	int fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int tty_resize(int master, uint16_t rows, uint16_t cols, uint16_t xpixel, uint16_t ypixel)
{
	struct winsize ws = { .ws_row = rows, .ws_col = cols, .ws_xpixel = xpixel, .ws_ypixel = ypixel };

	return ioctl(master, TIOCSWINSZ, &ws) ? -errno : 0;
}

int tty_open(int root, uint16_t rows, uint16_t cols, uint32_t uid, int *master, int *slave)
{
	int unlocked = 0, r = 0;
	struct statfs fs;

	*slave = -1;
	*master = path_open(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (*master < 0)
		return *master;
	if (fstatfs(*master, &fs) || (unsigned long)fs.f_type != DEVPTS_SUPER_MAGIC)
		r = -ENODEV;
	else if (ioctl(*master, TIOCSPTLCK, &unlocked))
		r = -errno;
	if (r == 0)
		r = *slave = tty_peer(*master);
	if (r >= 0 && fchown(*slave, uid, (gid_t)-1))
		r = -errno;
	if (r >= 0 && (rows || cols))
		r = tty_resize(*master, rows, cols, 0, 0);
	if (r < 0) {
		fd_close(master);
		fd_close(slave);
		return r;
	}
	return 0;
}

int tty_adopt(int slave)
{
	for (int fd = 0; fd < 3; fd++)
		if (dup2(slave, fd) < 0)
			return -errno;
	return ioctl(0, TIOCSCTTY, 0) ? -errno : 0;
}
