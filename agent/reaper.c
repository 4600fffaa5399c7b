/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of child processes. The loop runs it. Containers decide how many end, and when: all are
 * reaped in one go.
 */
#include "reaper.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job.h"
#include "loop.h"
#include "process.h"

static struct watch signals = { .fd = -1 };

static uint64_t to_us(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000000u + (uint64_t)tv.tv_usec;
}

static void on_child(void *arg, uint32_t events)
{
	struct signalfd_siginfo info;
	struct rusage ru;
	int status;
	pid_t pid;

	(void)arg;
	(void)events;
	if (read(signals.fd, &info, sizeof(info)) < 0 && errno != EAGAIN)
		return;
	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0) {
		if (WIFSTOPPED(status) || WIFCONTINUED(status))
			continue;
		if (!process_reaped(pid, status, to_us(ru.ru_utime), to_us(ru.ru_stime)))
			(void)job_reaped(pid, status);
	}
}

int reaper_init(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = (struct watch){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .fn = on_child };
	return signals.fd < 0 ? -errno : watch_set(&signals, EPOLLIN);
}
