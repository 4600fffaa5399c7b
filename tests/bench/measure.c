/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures one command from outside, the same way for every VMM and runtime. Runs as root inside the KVM host.
 *
 *   measure run CMD...    prints "total NS STATUS": just before execve to the end of wait
 *   measure boot CMD...   prints "entry NS", "mark NS", "total NS STATUS" and "exit REASON COUNT" lines: entry is the first
 *                         KVM_RUN (tracepoint kvm_fpu, load), mark the guest's CPUID of leaf MARK_LEAF (kvm_cpuid)
 *   measure memory PID    prints the private memory of the process in KiB, guest RAM and the rest apart
 *
 * Under instruction counting (one virtual ns per instruction) NS are instructions, of host and guest together.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/"
#define MARK_LEAF "0x4d41524b"

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "measure: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(125);
}

static void put(const char *file, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("write \"%s\" to %s", text, path);
	close(fd);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Start and wait; times are CLOCK_MONOTONIC ns. The child waits for our stamp, so that fork is not counted. */
static int run(char **argv, uint64_t *start, uint64_t *end)
{
	int go[2], status;
	char c = 0;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (read(go[0], &c, 1) != 1)
			_exit(125);
		execvp(argv[0], argv);
		die("exec %s", argv[0]);
	}
	*start = now();
	if (write(go[1], &c, 1) != 1)
		die("start the child");
	if (waitpid(pid, &status, 0) < 0)
		die("wait");
	*end = now();
	close(go[0]);
	close(go[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void trace_on(void)
{
	put("tracing_on", "0");
	put("trace_clock", "mono");
	put("options/overwrite", "0");
	put("buffer_size_kb", "4096");
	put("trace", "\n");
	put("events/kvm/kvm_fpu/filter", "load==1");
	put("events/kvm/kvm_cpuid/filter", "function==" MARK_LEAF);
	put("events/kvm/kvm_fpu/enable", "1");
	put("events/kvm/kvm_cpuid/enable", "1");
	put("events/kvm/kvm_exit/trigger", "hist:keys=exit_reason:sort=hitcount.descending");
	put("tracing_on", "1");
}

static void trace_off(void)
{
	put("tracing_on", "0");
	put("events/kvm/kvm_fpu/enable", "0");
	put("events/kvm/kvm_cpuid/enable", "0");
	put("events/kvm/kvm_exit/trigger", "!hist:keys=exit_reason:sort=hitcount.descending");
}

/* Time of the first trace line that holds `what`, in ns since boot; 0 when there is none. */
static uint64_t first_stamp(const char *what)
{
	FILE *f = fopen(TRACING "trace", "re");
	char line[512];
	uint64_t t = 0;

	if (!f)
		die("open the trace");
	while (!t && fgets(line, sizeof(line), f)) {
		unsigned long s, us;
		char *p = strstr(line, what);

		if (!p || line[0] == '#')
			continue;
		*p = 0; /* "task-pid [cpu] flags seconds.micros: " stands before the event's name */
		p = strrchr(line, '.');
		while (p && p > line && p[-1] != ' ')
			p--;
		if (p && sscanf(p, "%lu.%lu", &s, &us) == 2)
			t = s * 1000000000u + us * 1000u;
	}
	fclose(f);
	return t;
}

static void print_exits(void)
{
	FILE *f = fopen(TRACING "events/kvm/kvm_exit/hist", "re");
	char line[256];

	if (!f)
		die("open the exit histogram");
	while (fgets(line, sizeof(line), f)) {
		unsigned long long reason, count;

		if (sscanf(line, "{ exit_reason: %llu } hitcount: %llu", &reason, &count) == 2)
			printf("exit 0x%llx %llu\n", reason, count);
	}
	fclose(f);
}

static int boot(char **argv)
{
	uint64_t start, end, entry, mark;
	int status;

	trace_on();
	status = run(argv, &start, &end);
	entry = first_stamp("kvm_fpu:");
	mark = first_stamp("kvm_cpuid:");
	printf("entry %lld\n", entry ? (long long)(entry - start) : -1);
	printf("mark %lld\n", mark ? (long long)(mark - start) : -1);
	printf("total %llu %d\n", (unsigned long long)(end - start), status);
	print_exits();
	trace_off();
	return mark ? 0 : 1;
}

/* Private pages of a process; the largest anonymous mapping is guest RAM. */
static int memory(const char *pid)
{
	unsigned long kib, size = 0, priv = 0, ram = 0, largest = 0, total = 0, lo, hi;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
	f = fopen(path, "re");
	if (!f)
		die("open %s", path);
	for (;;) {
		bool more = fgets(line, sizeof(line), f);

		if (!more || sscanf(line, "%lx-%lx ", &lo, &hi) == 2) {
			total += priv;
			if (size > largest) {
				largest = size;
				ram = priv;
			}
			size = priv = 0;
			if (!more)
				break;
			size = (hi - lo) / 1024;
		} else if (sscanf(line, "Private_Clean: %lu", &kib) == 1 || sscanf(line, "Private_Dirty: %lu", &kib) == 1) {
			priv += kib;
		}
	}
	fclose(f);
	printf("guest %lu\nrest %lu\n", ram, total - ram);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t start, end;

	if (argc > 2 && !strcmp(argv[1], "run")) {
		int status = run(argv + 2, &start, &end);

		printf("total %llu %d\n", (unsigned long long)(end - start), status);
		return 0;
	}
	if (argc > 2 && !strcmp(argv[1], "boot"))
		return boot(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "memory"))
		return memory(argv[2]);
	fprintf(stderr, "usage: measure run|boot CMD... | measure memory PID\n");
	return 2;
}
