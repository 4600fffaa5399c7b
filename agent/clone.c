/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a child. The only place where the agent forks a process of a container.
 *
 * A pid namespace cannot be entered by a process that exists, only by its children: the agent sets
 * that of its children for the one call, and sets it back.
 */
#include "clone.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "setup.h"
#include "sys.h"
#include "util.h"

static int use_pid_ns(int pidfd)
{
	return setns(pidfd, CLONE_NEWPID) ? -errno : 0;
}

static int leave_pid_ns(void)
{
	int fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 || setns(fd, CLONE_NEWPID) ? -errno : 0;

	fd_close(&fd);
	return r;
}

int clone_child(const struct setup *setup, int cgroup, int pid_ns, int *pidfd)
{
	struct sys_clone_args a = {
		.flags = setup->clone_flags | SYS_CLONE_PIDFD | SYS_CLONE_INTO_CGROUP,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup,
	};
	struct setup late = *setup;
	int pid, r = pid_ns >= 0 ? use_pid_ns(pid_ns) : 0;

	if (r)
		return r;
	pid = sys_clone3(&a);
	if (pid == -EAGAIN && setup->is_exec) {
		/*
		 * The container is full of processes. Who comes to look, or to kill them, gets in all the same:
		 * pids.max is about forks, not about entering.
		 */
		late.enter_cgroup = cgroup;
		a.flags &= ~(uint64_t)SYS_CLONE_INTO_CGROUP;
		a.cgroup = 0;
		pid = sys_clone3(&a);
	}
	if (pid == 0)
		setup_run(&late);
	if (pid_ns >= 0 && leave_pid_ns()) {
		/* every later child would land in that container */
		log_line("cannot return to the own pid namespace");
		abort();
	}
	return pid;
}
