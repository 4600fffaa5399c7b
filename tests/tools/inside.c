/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process inside a container finds, for the acceptance tests: a static program in the test
 * root file system. `inside facts` prints key=value lines about itself; the other verbs try one
 * thing each and print what came of it. It trusts nobody and decides nothing: the tests compare
 * its output with config.json.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	int resource;
} limits[] = {
	{ "cpu", RLIMIT_CPU },		 { "fsize", RLIMIT_FSIZE },
	{ "data", RLIMIT_DATA },	 { "stack", RLIMIT_STACK },
	{ "core", RLIMIT_CORE },	 { "rss", RLIMIT_RSS },
	{ "nproc", RLIMIT_NPROC },	 { "nofile", RLIMIT_NOFILE },
	{ "memlock", RLIMIT_MEMLOCK },	 { "as", RLIMIT_AS },
	{ "locks", RLIMIT_LOCKS },	 { "sigpending", RLIMIT_SIGPENDING },
	{ "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE },
	{ "rtprio", RLIMIT_RTPRIO },	 { "rttime", RLIMIT_RTTIME },
};

static void print_limit(const char *name, rlim_t value)
{
	if (value == RLIM_INFINITY)
		printf("%sunlimited", name);
	else
		printf("%s%llu", name, (unsigned long long)value);
}

static void facts_limits(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit r;

		if (getrlimit((__rlimit_resource_t)limits[i].resource, &r) < 0)
			continue;
		printf("rlimit_%s=", limits[i].name);
		print_limit("", r.rlim_cur);
		print_limit(":", r.rlim_max);
		putchar('\n');
	}
}

/* Lines "Key:\tvalue" of /proc/self/status, under the names the tests use. */
static void facts_status(void)
{
	static const char *const keys[][2] = {
		{ "CapInh", "cap_inheritable" }, { "CapPrm", "cap_permitted" },
		{ "CapEff", "cap_effective" },	 { "CapBnd", "cap_bounding" },
		{ "CapAmb", "cap_ambient" },	 { "NoNewPrivs", "no_new_privs" },
		{ "Seccomp", "seccomp" },	 { "SigBlk", "sig_blocked" },
		{ "SigIgn", "sig_ignored" },	 { "Seccomp_filters", "seccomp_filters" },
	};
	char line[512];
	FILE *f = fopen("/proc/self/status", "re");

	if (!f) {
		printf("status=unreadable\n");
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');

		if (!value)
			continue;
		*value++ = '\0';
		value += strspn(value, " \t");
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			if (!strcmp(line, keys[i][0]))
				printf("%s=%s", keys[i][1], value);
	}
	fclose(f);
}

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static void facts_fds(void)
{
	int fds[1024], n = 0;
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	if (!d) {
		printf("fds=unreadable\n");
		return;
	}
	while ((e = readdir(d)) && n < (int)ARRAY_SIZE(fds)) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		if (atoi(e->d_name) != dirfd(d))
			fds[n++] = atoi(e->d_name);
	}
	closedir(d);
	qsort(fds, (size_t)n, sizeof(fds[0]), compare_ints);
	printf("fds=");
	for (int i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", fds[i]);
	putchar('\n');
}

static void facts_namespaces(void)
{
	static const char *const names[] = { "pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64], text[128];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		n = readlink(path, text, sizeof(text) - 1);
		if (n < 0)
			continue;
		text[n] = '\0';
		printf("ns_%s=%s\n", names[i], text);
	}
}

static void facts_user(void)
{
	gid_t groups[4096];
	int n = getgroups((int)ARRAY_SIZE(groups), groups);
	mode_t mask = umask(0);

	umask(mask);
	printf("uid=%u\neuid=%u\ngid=%u\negid=%u\ngroups=", getuid(), geteuid(), getgid(), getegid());
	qsort(groups, n > 0 ? (size_t)n : 0, sizeof(groups[0]), compare_ints);
	for (int i = 0; i < n; i++)
		printf("%s%u", i ? "," : "", groups[i]);
	printf("\numask=%04o\n", mask);
}

static void facts_scheduling(void)
{
	struct sched_param p = { 0 };
	int policy = sched_getscheduler(0);
	long ioprio = syscall(SYS_ioprio_get, 1, 0);
	char text[32] = "";
	FILE *f = fopen("/proc/self/oom_score_adj", "re");

	sched_getparam(0, &p);
	printf("sched_policy=%d\nsched_priority=%d\nnice=%d\n", policy, p.sched_priority, getpriority(PRIO_PROCESS, 0));
	printf("ioprio_class=%ld\nioprio_level=%ld\n", ioprio >> 13, ioprio & 7);
	printf("personality=%#x\n", (unsigned)personality(0xffffffff));
	if (f) {
		if (fgets(text, sizeof(text), f))
			printf("oom_score_adj=%s", text);
		fclose(f);
	}
}

static void facts_identity(void)
{
	struct utsname u;
	char cwd[PATH_MAX];
	int pdeath = 0;

	uname(&u);
	prctl(PR_GET_PDEATHSIG, &pdeath);
	printf("hostname=%s\ndomainname=%s\nrelease=%s\nmachine=%s\n", u.nodename, u.domainname, u.release, u.machine);
	printf("cwd=%s\n", getcwd(cwd, sizeof(cwd)) ? cwd : strerror(errno));
	printf("pid=%d\nppid=%d\npgid=%d\nsid=%d\n", getpid(), getppid(), getpgrp(), getsid(0));
	printf("securebits=%d\ndumpable=%d\npdeathsig=%d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_DUMPABLE), pdeath);
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "other";
	}
}

static void facts_stdio(void)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat st;

		if (fstat(fd, &st) < 0)
			printf("fd%d=closed\n", fd);
		else
			printf("fd%d=%s uid=%u gid=%u mode=%04o\n", fd, kind_of(st.st_mode), st.st_uid, st.st_gid,
			       st.st_mode & 07777);
	}
}

static int do_facts(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	facts_identity();
	facts_user();
	facts_status();
	facts_limits();
	facts_scheduling();
	facts_namespaces();
	facts_fds();
	facts_stdio();
	return 0;
}

/* Wait for signals 1..64 (32 and 33 too, which libc hides) and say each; TERM ends it. */
static int do_signals(int argc, char **argv)
{
	uint64_t all = ~(1ull << (SIGCHLD - 1));

	(void)argc;
	(void)argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	puts("ready");
	for (;;) {
		siginfo_t info;
		long signo = syscall(SYS_rt_sigtimedwait, &all, &info, NULL, sizeof(all));

		if (signo < 0 && errno != EINTR)
			return 1;
		if (signo > 0)
			printf("signal %ld\n", signo);
		if (signo == SIGTERM)
			return 0;
	}
}

static int try_mount(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL);
}
static int try_umount(void)
{
	return umount2("/proc", MNT_DETACH);
}
static int try_chmod(void)
{
	return chmod("/bin/busybox", 0755);
}
static int try_chown(void)
{
	return chown("/bin/busybox", 0, 0);
}
static int try_mkdir(void)
{
	return mkdir("/tmp/inside-try", 0700);
}
static int try_mknod(void)
{
	return mknod("/dev/inside-null", S_IFCHR | 0600, makedev(1, 3));
}
static int try_unshare(void)
{
	return unshare(CLONE_NEWNS);
}
static int try_userns(void)
{
	return unshare(CLONE_NEWUSER);
}
static int try_sethostname(void)
{
	return sethostname("tried", 5);
}
static int try_setuid(void)
{
	return setuid(12345);
}
static int try_settime(void)
{
	return clock_settime(CLOCK_REALTIME, &(struct timespec){ .tv_sec = 1000000000 });
}
static int try_kexec(void)
{
	return (int)syscall(SYS_kexec_load, 0, 0, NULL, 0);
}
static int try_keyctl(void)
{
	return syscall(SYS_keyctl, 0, -3, 0) < 0 ? -1 : 0;
}
static int try_getcwd(void)
{
	return syscall(SYS_getcwd, (char[PATH_MAX]){ 0 }, PATH_MAX) < 0 ? -1 : 0;
}
static int try_getpriority(void)
{
	return syscall(SYS_getpriority, PRIO_PROCESS, 0) < 0 ? -1 : 0;
}
static int try_personality_query(void)
{
	return syscall(SYS_personality, 0xffffffff) < 0 ? -1 : 0;
}
static int try_personality_set(void)
{
	return syscall(SYS_personality, 8) < 0 ? -1 : 0;
}
static int try_rawsocket(void)
{
	return socket(AF_INET, SOCK_RAW, 1);
}
static int try_reboot(void)
{
	return (int)syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL);
} /* CAD off: harmless */
static int try_nice(void)
{
	return setpriority(PRIO_PROCESS, 0, -5);
}
static int try_bind80(void)
{
	/* port 80 of IPv4, in network byte order */
	static const unsigned char any[16] = { AF_INET, 0, 0, 80 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -1 : bind(fd, (const struct sockaddr *)any, sizeof(any));
}

static const struct {
	const char *name;
	int (*call)(void);
} tries[] = {
	{ "mount", try_mount },
	{ "umount", try_umount },
	{ "chmod", try_chmod },
	{ "chown", try_chown },
	{ "mkdir", try_mkdir },
	{ "mknod", try_mknod },
	{ "unshare", try_unshare },
	{ "userns", try_userns },
	{ "sethostname", try_sethostname },
	{ "setuid", try_setuid },
	{ "settime", try_settime },
	{ "kexec", try_kexec },
	{ "keyctl", try_keyctl },
	{ "getcwd", try_getcwd },
	{ "getpriority", try_getpriority },
	{ "personality_query", try_personality_query },
	{ "personality_set", try_personality_set },
	{ "rawsocket", try_rawsocket },
	{ "reboot", try_reboot },
	{ "nice", try_nice },
	{ "bind80", try_bind80 },
};

static int do_try(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		size_t k;

		for (k = 0; k < ARRAY_SIZE(tries) && strcmp(tries[k].name, argv[i]); k++)
			;
		if (k == ARRAY_SIZE(tries)) {
			fprintf(stderr, "inside: no try %s\n", argv[i]);
			return 2;
		}
		printf("%s=%s\n", argv[i], tries[k].call() < 0 ? strerrorname_np(errno) : "ok");
		fflush(stdout);
	}
	return 0;
}

/* Touch MIB mebibytes of fresh memory. */
static int do_alloc(int argc, char **argv)
{
	size_t mib = argc > 0 ? strtoul(argv[0], NULL, 10) : 1;
	char *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		printf("alloc=%s\n", strerrorname_np(errno));
		return 1;
	}
	for (size_t i = 0; i < mib << 20; i += 4096)
		p[i] = 1;
	printf("alloc=ok\n");
	return 0;
}

/* Fork up to N sleeping children, say how many there were at once. */
static int do_forks(int argc, char **argv)
{
	int want = argc > 0 ? atoi(argv[0]) : 16, n = 0, err = 0;
	pid_t pids[4096];

	while (n < want && n < (int)ARRAY_SIZE(pids)) {
		pid_t pid = fork();

		if (pid < 0) {
			err = errno;
			break;
		}
		if (!pid) {
			pause();
			_exit(0);
		}
		pids[n++] = pid;
	}
	printf("forks=%d\nforks_error=%s\n", n, err ? strerrorname_np(err) : "none");
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}

/* Run on each CPU in turn; a CPU that cannot be used is an error. */
static int do_cpus(int argc, char **argv)
{
	cpu_set_t mine;
	int ran = 0;

	(void)argc;
	(void)argv;
	if (sched_getaffinity(0, sizeof(mine), &mine) < 0)
		return 1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;

		if (!CPU_ISSET(cpu, &mine))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0 || sched_getcpu() != cpu) {
			printf("cpu%d=unusable\n", cpu);
			return 1;
		}
		ran++;
	}
	printf("cpus=%d\nonline=%ld\n", ran, sysconf(_SC_NPROCESSORS_ONLN));
	return 0;
}

static void print_size(const char *key)
{
	struct winsize w = { 0 };

	if (ioctl(0, TIOCGWINSZ, &w) < 0)
		printf("%s=%s\n", key, strerrorname_np(errno));
	else
		printf("%s=%ux%u\n", key, w.ws_row, w.ws_col);
}

static int do_tty(int argc, char **argv)
{
	struct termios t;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);

	(void)argc;
	(void)argv;
	printf("isatty=%d%d%d\n", isatty(0), isatty(1), isatty(2));
	printf("controlling=%s\n", fd < 0 ? strerrorname_np(errno) : "yes");
	printf("foreground=%s\n", tcgetpgrp(0) == getpgrp() ? "yes" : "no");
	printf("leader=%s\n", getsid(0) == getpid() ? "yes" : "no");
	printf("name=%s\n", ttyname(0) ? ttyname(0) : strerrorname_np(errno));
	if (!tcgetattr(0, &t))
		printf("icanon=%d\necho=%d\nisig=%d\nopost=%d\nonlcr=%d\n", !!(t.c_lflag & ICANON),
		       !!(t.c_lflag & ECHO), !!(t.c_lflag & ISIG), !!(t.c_oflag & OPOST), !!(t.c_oflag & ONLCR));
	print_size("size");
	return 0;
}

/* Say the size of the terminal now and at every SIGWINCH; TERM ends it. */
static int do_winch(int argc, char **argv)
{
	sigset_t set;
	int signo;

	(void)argc;
	(void)argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	do {
		print_size("size");
		if (sigwait(&set, &signo))
			return 1;
	} while (signo == SIGWINCH);
	return 0;
}

/* The grandchild outlives its parent and ends after SECONDS: PID 1 (or a reaper) inherits it. */
static int do_orphan(int argc, char **argv)
{
	unsigned seconds = argc > 0 ? (unsigned)atoi(argv[0]) : 0;
	pid_t pid = fork();

	if (pid < 0)
		return 1;
	if (!pid) {
		if (!fork()) {
			sleep(seconds);
			_exit(7);
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

static int do_clock(int argc, char **argv)
{
	struct timespec real, mono, boot;

	(void)argc;
	(void)argv;
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	printf("realtime_ms=%lld\n", (long long)real.tv_sec * 1000 + real.tv_nsec / 1000000);
	printf("monotonic_s=%lld\nboottime_s=%lld\n", (long long)mono.tv_sec, (long long)boot.tv_sec);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {
		{ "facts", do_facts },	 { "signals", do_signals }, { "try", do_try }, { "alloc", do_alloc },
		{ "forks", do_forks },	 { "cpus", do_cpus },	    { "tty", do_tty }, { "winch", do_winch },
		{ "orphan", do_orphan }, { "clock", do_clock },
	};

	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, argv[1])) {
			int rc = verbs[i].run(argc - 2, argv + 2);

			return fflush(stdout) ? 1 : rc;
		}
	fprintf(stderr, "usage: inside VERB [ARG...]; verbs:");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(stderr, " %s", verbs[i].name);
	fputc('\n', stderr);
	return 2;
}
