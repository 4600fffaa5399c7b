/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Take a pid that a dead process had: `pidtake PID` starts a child with exactly that pid, which
 * sleeps until it is killed, prints "taken" and waits for it. For the tests of stale state.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t want = argc > 1 ? atoi(argv[1]) : 0;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&want,
		.set_tid_size = 1,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0) {
		fprintf(stderr, "pidtake: %s\n", strerror(errno));
		return 1;
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	puts("taken");
	fflush(stdout);
	waitpid((pid_t)pid, NULL, 0);
	return 0;
}
