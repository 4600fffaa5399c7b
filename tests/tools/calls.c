/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which lines of husk-vmm's filters (vmm/seccomp_rules.c) are used? One process, one thread, as root.
 *
 *   HUSK_VMM=DIR/calls husk run ...   stands in for husk-vmm: starts the real one, whose path is in DIR/vmm, under
 *                                     ptrace, and appends one line per call and argument value that a thread made
 *                                     behind its filter to DIR/calls.log
 *   calls --unused FILE               the lines of the tables that no line of FILE shows; status 1 when there are any
 *   calls --numbers                   per kind of thread the numbers of the calls that no argument makes forbidden
 *   calls --table                     the tables, for reading
 *
 * A filter that stops at every call is put around husk-vmm, so that there is one stop for each and none is missed. The
 * kind of a thread is known from the program that it gives to seccomp(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/seccomp.h"

#define THREADS_MAX 4096

static const char *const kind_name[THREAD_KINDS] = {
	[THREAD_LOOP] = "loop", [THREAD_VCPU] = "vcpu", [THREAD_FS] = "fs", [THREAD_BLK] = "blk"
};

static struct {
	pid_t tid;
	int kind; /* -1: not behind its filter yet */
} thread[THREADS_MAX];
static unsigned int nthreads;

static bool used[THREAD_KINDS][SECCOMP_RULES_MAX][SECCOMP_VALUES_MAX]; /* one that compares nothing: value 0 */
static int log_fd = -1;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "calls: %s: %s\n", what, strerror(errno));
	exit(125);
}

static int *kind_of(pid_t tid)
{
	for (unsigned int i = 0; i < nthreads; i++)
		if (thread[i].tid == tid)
			return &thread[i].kind;
	if (nthreads == THREADS_MAX)
		die("too many threads");
	thread[nthreads].tid = tid;
	thread[nthreads].kind = -1;
	return &thread[nthreads++].kind;
}

static void peek(pid_t tid, uint64_t at, void *to, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)at, len };

	if (process_vm_readv(tid, &local, 1, &remote, 1, 0) != (ssize_t)len)
		die("read the VMM's memory");
}

/* The thread is about to put a filter on itself: which? */
static int kind_of_filter(pid_t tid, uint64_t at)
{
	struct sock_filter given[SECCOMP_PROGRAM_MAX], prog[SECCOMP_PROGRAM_MAX];
	struct sock_fprog fprog = { 0 };

	peek(tid, at, &fprog, sizeof(fprog));
	if (fprog.len > SECCOMP_PROGRAM_MAX)
		return -1;
	peek(tid, (uintptr_t)fprog.filter, given, fprog.len * sizeof(given[0]));
	for (int kind = 0; kind < THREAD_KINDS; kind++) {
		const struct seccomp_rule *rules;
		size_t n = seccomp_rules((enum thread_kind)kind, &rules);

		if (seccomp_assemble(rules, n, prog) == fprog.len &&
		    memcmp(prog, given, fprog.len * sizeof(prog[0])) == 0)
			return kind;
	}
	errno = EINVAL;
	die("this husk-vmm has other filters; build both from one tree");
}

/* Lines of a table that have values to be told apart: the others count as a whole. */
static unsigned int nvalues(const struct seccomp_rule *r)
{
	return r->check == CHECK_IS || r->check == CHECK_IS32 ? r->nvalues : 0;
}

static void name_line(char *buf, size_t size, int kind, const struct seccomp_rule *r, unsigned int v)
{
	if (nvalues(r))
		snprintf(buf, size, "%s %s %#llx", kind_name[kind], r->name, (unsigned long long)r->value[v]);
	else
		snprintf(buf, size, "%s %s", kind_name[kind], r->name);
}

/* A line for what is seen for the first time: the VM may be killed at any moment, and this process with it. */
static void note(int kind, const struct __ptrace_syscall_info *info)
{
	const struct seccomp_rule *rules;
	size_t n = seccomp_rules((enum thread_kind)kind, &rules);

	for (size_t i = 0; i < n; i++) {
		const struct seccomp_rule *r = &rules[i];
		char line[128];

		if (r->nr != info->seccomp.nr)
			continue;
		for (unsigned int v = 0; v < (nvalues(r) ? nvalues(r) : 1); v++) {
			if (used[kind][i][v] ||
			    (nvalues(r) && (uint32_t)info->seccomp.args[r->arg] != (uint32_t)r->value[v]))
				continue;
			used[kind][i][v] = true;
			name_line(line, sizeof(line), kind, r, v);
			dprintf(log_fd, "%s\n", line);
		}
	}
}

/* Traced until exec: everything that it and its threads do from here on stops. */
static _Noreturn void start(const char *path, char **argv)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	struct sock_fprog prog = { .len = 1, .filter = &all };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(125);
	raise(SIGSTOP);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		_exit(125);
	argv[0] = (char *)(uintptr_t)path;
	execv(path, argv);
	_exit(125);
}

/* One stop of one thread. The signal to go on with. */
static int serve_stop(pid_t tid, int status)
{
	struct __ptrace_syscall_info info;
	int sig = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_SECCOMP) {
		int *kind = kind_of(tid);

		if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) < 0)
			return 0; /* killed meanwhile */
		if (*kind >= 0)
			note(*kind, &info);
		else if (info.seccomp.nr == SYS_seccomp && info.seccomp.args[0] == SECCOMP_SET_MODE_FILTER)
			*kind = kind_of_filter(tid, info.seccomp.args[2]);
		return 0;
	}
	if (event)
		return 0;
	/* ours, or a new thread's first stop */
	return sig == SIGSTOP && *kind_of(tid) < 0 ? 0 : sig;
}

static int trace(pid_t pid)
{
	long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
		       PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) || ptrace(PTRACE_SETOPTIONS, pid, 0, options))
		die("trace husk-vmm");
	kind_of(pid);
	ptrace(PTRACE_CONT, pid, 0, 0);
	for (;;) {
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			die("wait for husk-vmm");
		if (tid == pid && (WIFEXITED(status) || WIFSIGNALED(status)))
			return status;
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, tid, 0, serve_stop(tid, status));
	}
}

static int stand_in(char **argv)
{
	char self[4096], path[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int dir, fd, status;
	pid_t pid;

	if (n <= 0)
		die("/proc/self/exe");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	dir = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = dir < 0 ? -1 : openat(dir, "vmm", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, path, sizeof(path) - 1);
	if (n <= 0)
		die("the file vmm beside this program, with the path of the real husk-vmm");
	path[n] = '\0';
	path[strcspn(path, "\n")] = '\0';
	log_fd = openat(dir, "calls.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log_fd < 0)
		die("calls.log");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		start(path, argv);
	status = trace(pid);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "calls: husk-vmm was killed by signal %d\n", WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

static bool file_has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *p = text; (p = strstr(p, line)); p += len)
		if ((p == text || p[-1] == '\n') && p[len] == '\n')
			return true;
	return false;
}

static int report_unused(const char *file)
{
	static char text[8 << 20];
	FILE *f = fopen(file, "re");
	int bad = 0;

	if (!f)
		die(file);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	for (int kind = 0; kind < THREAD_KINDS; kind++) {
		const struct seccomp_rule *rules;
		size_t n = seccomp_rules((enum thread_kind)kind, &rules);

		for (size_t i = 0; i < n; i++)
			for (unsigned int v = 0; v < (nvalues(&rules[i]) ? nvalues(&rules[i]) : 1); v++) {
				char line[128];

				name_line(line, sizeof(line), kind, &rules[i], v);
				if (rules[i].rare || (rules[i].rare_values >> v & 1) || file_has_line(text, line))
					continue;
				printf("%s: never used (%s)\n", line, rules[i].why);
				bad = 1;
			}
	}
	return bad;
}

static int print_numbers(void)
{
	for (int kind = 0; kind < THREAD_KINDS; kind++) {
		const struct seccomp_rule *rules;
		size_t n = seccomp_rules((enum thread_kind)kind, &rules);

		printf("%s: calls:", kind_name[kind]);
		for (uint32_t nr = 0; nr < 1024; nr++)
			for (size_t i = 0; i < n; i++)
				if (rules[i].nr == nr && rules[i].check == CHECK_NONE)
					printf(" %u", nr);
		printf("\n");
	}
	return 0;
}

static int print_table(void)
{
	for (int kind = 0; kind < THREAD_KINDS; kind++) {
		const struct seccomp_rule *rules;
		size_t n = seccomp_rules((enum thread_kind)kind, &rules);

		printf("%s: %zu calls\n", kind_name[kind], n);
		for (size_t i = 0; i < n; i++)
			printf("  %-16s %s%s\n", rules[i].name, rules[i].why, rules[i].rare ? " [rare]" : "");
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--unused") == 0)
		return report_unused(argv[2]);
	if (argc == 2 && strcmp(argv[1], "--numbers") == 0)
		return print_numbers();
	if (argc == 2 && strcmp(argv[1], "--table") == 0)
		return print_table();
	return stand_in(argv);
}
