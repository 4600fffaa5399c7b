/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --pid-file and --pidfd-socket, in the command. Clients take the pid file for success: it is written last.
 */
#include "announce.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"
#include "vmm.h"

int announce_pid(const char *path, pid_t pid, struct error *err)
{
	char text[16];
	int rc;

	if (!path)
		return 0;
	snprintf(text, sizeof(text), "%d", (int)pid);
	rc = file_replace_at(AT_FDCWD, path, text, strlen(text), 0644);
	return rc < 0 ? error_set(err, -rc, "pid file %s", path) : 0;
}

int announce_pidfd(const char *path, pid_t pid, struct error *err)
{
	CLEAN_FD int fd = path ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	CLEAN_FD int sock = -1;
	int rc;

	if (!path)
		return 0;
	if (fd < 0)
		return error_set(err, errno, "pidfd of process %d", (int)pid);
	sock = unix_connect(path);
	rc = sock < 0 ? sock : fd_send(sock, fd, "pidfd", 5);
	return rc < 0 ? error_set(err, -rc, "pidfd socket %s", path) : 0;
}
