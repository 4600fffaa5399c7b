/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures one command from outside, the same way for every VMM and runtime. Runs as root inside the KVM host.
 *
 *   measure [-w] run CMD...    prints "total NS STATUS": just before execve to the end of wait
 *   measure [-w] exits CMD...  the same, and "exit REASON COUNT" of the processor, "vmm REASON COUNT" of KVM_RUN
 *   measure [-w] boot CMD...   the same and "entry NS", "mark NS": entry is the first KVM_RUN (tracepoint
 *                              kvm_fpu, load), mark the guest's CPUID of leaf MARK_LEAF
 *   measure memory PID         prints the private memory of the process in KiB, guest RAM and the rest apart
 *
 * Under instruction counting a nanosecond of the host's only CPU is one instruction, of host and guest together, but
 * while that CPU idles its clock leaps to the next timer: idle stretches (sched_switch to and from pid 0) are taken
 * out, so NS are executed instructions. -w leaves them in: wall time, for a host whose clock is real.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
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

static bool wall;

/* What the trace tells, CLOCK_MONOTONIC ns; 0: not seen. */
struct trace {
	uint64_t entry, mark;
	struct {
		uint64_t from, to;
	} idle[65536];
	size_t nidle;
};

static const char *const events[][2] = {
	{ "kvm/kvm_fpu", "load==1" },
	{ "kvm/kvm_cpuid", "function==" MARK_LEAF },
	{ "sched/sched_switch", "prev_pid==0 || next_pid==0" },
};

static void events_set(bool on)
{
	char file[64];

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		snprintf(file, sizeof(file), "events/%s/filter", events[i][0]);
		put(file, on ? events[i][1] : "0");
		snprintf(file, sizeof(file), "events/%s/enable", events[i][0]);
		put(file, on ? "1" : "0");
	}
}

/* Histograms of the tracer: VM exits by the processor's reason, and returns to the VMM's process by KVM's reason. */
static const struct histogram {
	const char *dir, *key, *name;
} histograms[] = {
	{ TRACING "events/kvm/kvm_exit/", "exit_reason", "exit" },
	{ TRACING "events/kvm/kvm_userspace_exit/", "reason", "vmm" },
};

static void histograms_set(const char *off)
{
	for (size_t i = 0; i < sizeof(histograms) / sizeof(histograms[0]); i++) {
		char path[96], text[96];

		snprintf(path, sizeof(path), "%strigger", histograms[i].dir + strlen(TRACING));
		snprintf(text, sizeof(text), "%shist:keys=%s:sort=hitcount.descending", off, histograms[i].key);
		put(path, text);
	}
}

static void trace_on(void)
{
	if (access(TRACING "trace", F_OK) && mount("tracefs", TRACING, "tracefs", 0, NULL))
		die("mount tracefs on %s", TRACING);
	put("tracing_on", "0");
	put("trace_clock", "mono");
	put("options/overwrite", "0");
	put("buffer_size_kb", "16384");
	put("trace", "\n");
	events_set(true);
	histograms_set("");
	put("tracing_on", "1");
}

static void trace_off(void)
{
	put("tracing_on", "0");
	events_set(false);
	histograms_set("!");
}

/* The stamp of a trace line: "task-pid [cpu] flags seconds.micros: event: ..." */
static uint64_t stamp(const char *line, const char *event)
{
	const char *p = event;
	unsigned long s, us;

	while (p > line && *p != '.')
		p--;
	while (p > line && p[-1] != ' ')
		p--;
	return sscanf(p, "%lu.%lu", &s, &us) == 2 ? s * 1000000000u + us * 1000u : 0;
}

static void trace_read(struct trace *t, uint64_t start)
{
	FILE *f = fopen(TRACING "trace", "re");
	uint64_t from = 0;
	char line[512];

	if (!f)
		die("open the trace");
	while (fgets(line, sizeof(line), f)) {
		const char *p = line[0] == '#' ? NULL : strstr(line, ": ");
		uint64_t ns;

		if (!p)
			continue;
		ns = stamp(line, p);
		if (ns < start) /* of the fork, or of an earlier command */
			continue;
		if (strstr(p, "kvm_fpu:") && !t->entry) {
			t->entry = ns;
		} else if (strstr(p, "kvm_cpuid:") && !t->mark) {
			t->mark = ns;
		} else if (strstr(p, " next_pid=0 ")) {
			from = ns;
		} else if (strstr(p, " prev_pid=0 ") && from) {
			if (t->nidle == sizeof(t->idle) / sizeof(t->idle[0]))
				die("more idle stretches than expected");
			t->idle[t->nidle].from = from;
			t->idle[t->nidle++].to = ns;
			from = 0;
		}
	}
	fclose(f);
}

/* Executed ns between start and end. */
static long long busy(const struct trace *t, uint64_t start, uint64_t end)
{
	long long ns = (long long)(end - start);

	for (size_t i = 0; !wall && i < t->nidle && t->idle[i].from < end; i++)
		ns -= (long long)((t->idle[i].to < end ? t->idle[i].to : end) - t->idle[i].from);
	return ns;
}

static void print_histogram(const struct histogram *h)
{
	char path[96], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "%shist", h->dir);
	f = fopen(path, "re");
	if (!f)
		die("open %s", path);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long reason, count;

		if (sscanf(line, "{ %*[a-z_]: %llu } hitcount: %llu", &reason, &count) == 2)
			printf("%s 0x%llx %llu\n", h->name, reason, count);
	}
	fclose(f);
}

static int measure(char **argv, bool is_boot, bool exits)
{
	static struct trace t;
	uint64_t start, end;
	int status;

	trace_on();
	status = run(argv, &start, &end);
	put("tracing_on", "0");
	trace_read(&t, start);
	if (is_boot) {
		printf("entry %lld\n", t.entry ? busy(&t, start, t.entry) : -1);
		printf("mark %lld\n", t.mark ? busy(&t, start, t.mark) : -1);
	}
	printf("total %lld %d\n", busy(&t, start, end), status);
	for (size_t i = 0; exits && i < sizeof(histograms) / sizeof(histograms[0]); i++)
		print_histogram(&histograms[i]);
	trace_off();
	return is_boot && !t.mark;
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
		} else if (sscanf(line, "Private_Clean: %lu", &kib) == 1 ||
			   sscanf(line, "Private_Dirty: %lu", &kib) == 1) {
			priv += kib;
		}
	}
	fclose(f);
	printf("guest %lu\nrest %lu\n", ram, total - ram);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-w")) {
		wall = true;
		argv++;
		argc--;
	}
	if (argc > 2 && (!strcmp(argv[1], "run") || !strcmp(argv[1], "exits") || !strcmp(argv[1], "boot")))
		return measure(argv + 2, argv[1][0] == 'b', argv[1][0] != 'r');
	if (argc == 3 && !strcmp(argv[1], "memory"))
		return memory(argv[2]);
	fprintf(stderr, "usage: measure [-w] run|exits|boot CMD... | measure memory PID\n");
	return 2;
}
