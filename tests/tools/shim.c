/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container engine is to a runtime, for the acceptance tests: a child subreaper that runs
 * the runtime's CLI, takes the pid from the pid file, and waits for that process as containerd's
 * shim and conmon do.
 *
 *   shim [-t SECONDS] -p PIDFILE -- RUNTIME create ...      then, from somewhere else, start, kill, delete
 *
 * prints, one per line: cli=STATUS, pid=N, child=yes|no (its parent is this shim), reaped=... for
 * a process that nobody announced, init=exit:N or init=signal:N, and last left=N: children that
 * outlive init by more than a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say_status(const char *key, int status)
{
	if (WIFSIGNALED(status))
		printf("%s=signal:%d\n", key, WTERMSIG(status));
	else
		printf("%s=exit:%d\n", key, WEXITSTATUS(status));
}

static pid_t read_pid(const char *path)
{
	char text[32] = "", *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long pid;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	pid = strtol(text, &end, 10);
	return *end || pid <= 0 ? -1 : (pid_t)pid; /* as strict as containerd: a newline is an error */
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512], *p;
	int fd, ppid = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %*c %d", &ppid) != 1)
		return -1;
	return ppid;
}

static int children_left(void)
{
	struct timespec tick = { .tv_nsec = 20000000 };
	int status;

	for (int i = 0; i < 50; i++) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0)
			return 0;
		if (pid > 0) {
			say_status("reaped", status);
			continue;
		}
		nanosleep(&tick, NULL);
	}
	return 1;
}

int main(int argc, char **argv)
{
	const char *pidfile = NULL;
	unsigned seconds = 60;
	int opt, status;
	pid_t cli, init, pid;

	while ((opt = getopt(argc, argv, "+p:t:")) != -1) {
		if (opt == 'p')
			pidfile = optarg;
		else if (opt == 't')
			seconds = (unsigned)atoi(optarg);
		else
			return 2;
	}
	if (!pidfile || optind >= argc) {
		fprintf(stderr, "usage: shim [-t SECONDS] -p PIDFILE -- COMMAND...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(seconds);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || (cli = fork()) < 0) {
		perror("shim");
		return 2;
	}
	if (!cli) {
		int out = open("/dev/null", O_WRONLY);

		/*
		 * Stdout is the report: the container gets the two files that the caller gave as
		 * 3 and 4, or nothing.
		 */
		alarm(0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fcntl(3, F_GETFD) < 0 ? dup2(out, 1) < 0 : dup2(3, 1) < 0)
			_exit(126);
		if (fcntl(4, F_GETFD) >= 0 && dup2(4, 2) < 0)
			_exit(126);
		close_range(3, ~0u, 0);
		execvp(argv[optind], argv + optind);
		_exit(127);
	}
	close(3);
	close(4);
	while (waitpid(cli, &status, 0) < 0 && errno == EINTR)
		;
	say_status("cli", status);
	init = read_pid(pidfile);
	printf("pid=%d\n", init);
	if (init < 0)
		return 1;
	printf("child=%s\n", parent_of(init) == getpid() ? "yes" : "no");
	while ((pid = waitpid(-1, &status, 0)) >= 0 || errno == EINTR) {
		if (pid < 0)
			continue;
		if (pid != init) {
			say_status("reaped", status);
			continue;
		}
		say_status("init", status);
		break;
	}
	printf("left=%d\n", children_left());
	return 0;
}
