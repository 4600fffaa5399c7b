/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody gets who runs code in a thread of the VMM: this guest does, through the hole of a build with BREACH=1
 * (tests/breach), and prints for each kind of thread which system calls are let through and what of the host can
 * be opened, connected, executed, signalled and mapped with them. Lines: KIND: SUBJECT: what.
 */
#define HUSK_GUEST 1
#include "bare.h"

#include "tests/breach/breach.h"

enum { LOOP, VCPU, FS, BLK, KINDS };
static const char *const kind_name[KINDS] = { "loop", "vcpu", "fs", "blk" };

#define NR_LAST 460
#define FDS 96
#define AT_FDCWD (-100ll)
#define O_PATH 010000000ull
#define PIDS 300
#define HOST_FILE "/lib64/ld-linux-x86-64.so.2" /* on the host, and not in the container's root */

static struct breach_call call __attribute__((aligned(64)));
static uint8_t buffer[8192] __attribute__((aligned(4096)));
static int kind;

static long long ask(long long nr, uint32_t pointers, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	call = (struct breach_call){ (uint32_t)kind, pointers, nr, { a, b, c, d, e, 0 }, -1 };
	__asm__ volatile("outl %0, %1" ::"a"((uint32_t)(uint64_t)&call), "d"((uint16_t)BREACH_PORT) : "memory");
	return *(volatile int64_t *)&call.result;
}

static void say_number(long long n)
{
	char b[24];
	int i = sizeof(b) - 1;

	b[i] = 0;
	do
		b[--i] = (char)('0' + n % 10);
	while (n /= 10);
	say(b + i);
}

static void report(const char *subject, const char *what, long long result)
{
	if (result < 0)
		return;
	say(kind_name[kind]);
	say(": ");
	say(subject);
	say(": ");
	say(what);
	say("\n");
}

/* ---- system calls ---- */

static bool ends_the_thread(int nr)
{
	return nr == 15 || nr == 60 || nr == 231; /* rt_sigreturn, exit, exit_group */
}

/* With arguments that can do nothing: is it refused? Conditions on arguments refuse these. */
static void list_calls(void)
{
	say(kind_name[kind]);
	say(": calls:");
	for (int nr = 0; nr <= NR_LAST; nr++) {
		if (!ends_the_thread(nr) && ask(nr, 0, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull) != -BREACH_REFUSED) {
			say(" ");
			say_number(nr);
		}
	}
	say("\n");
}

/* ---- files ---- */

struct open_how {
	uint64_t flags, mode, resolve;
};

static uint64_t text(const char *s)
{
	return (uint64_t)s;
}

static long long open_at(long long dir, const char *path, uint64_t flags)
{
	struct open_how *how = (struct open_how *)buffer;
	long long fd;

	fd = ask(2, 1, text(path), flags, 0, 0, 0);
	if (fd < 0 || dir != AT_FDCWD)
		fd = ask(257, 2, (uint64_t)dir, text(path), flags, 0, 0);
	if (fd >= 0)
		return fd;
	*how = (struct open_how){ flags, 0, 0 };
	return ask(437, 6, (uint64_t)dir, text(path), (uint64_t)how, sizeof(*how), 0);
}

/* Inode and device of what fd is, 0: unknown. */
static uint64_t identity(long long fd)
{
	uint32_t *stx = (uint32_t *)buffer;

	clear(buffer, 256);
	if (ask(332, 2 | 16, (uint64_t)fd, text(""), 0x1000, 0xfff, (uint64_t)buffer) < 0)
		return 0;
	return ((uint64_t *)buffer)[4] << 20 ^ (uint64_t)stx[34] << 8 ^ stx[35];
}

static void close_fd(long long fd)
{
	if (fd >= 0)
		ask(3, 0, (uint64_t)fd, 0, 0, 0, 0);
}

static void try_path(const char *path)
{
	long long fd = open_at(AT_FDCWD, path, O_PATH);

	report("opens", path, fd);
	close_fd(fd);
}

/* From each descriptor, does a step up lead anywhere else? */
static void climb(void)
{
	for (long long fd = 0; fd < FDS; fd++) {
		uint64_t own = identity(fd), up;
		long long dir = own ? open_at(fd, "..", O_PATH) : -1;

		if (dir < 0)
			continue;
		up = identity(dir);
		if (up != own)
			report("climbs", "from a descriptor to its parent", 0);
		close_fd(dir);
		report("opens", "a file of the host from a descriptor",
		       open_at(fd, "../../../../../../.." HOST_FILE, O_PATH));
	}
}

static void files(void)
{
	static const char *const path[] = { "/",
					    "/etc/passwd",
					    "/etc/shadow",
					    "/proc/self/mem",
					    "/proc/1/environ",
					    "/dev/kvm",
					    "/dev/mem",
					    "/sys/kernel/uevent_helper",
					    "/run",
					    ("../../.." HOST_FILE),
					    ("1/../.." HOST_FILE),
					    ("/proc/1/root" HOST_FILE),
					    "../mem",
					    "../../1/environ" };
	long long root;

	for (unsigned int i = 0; i < sizeof(path) / sizeof(path[0]); i++)
		try_path(path[i]);
	climb();
	root = open_at(AT_FDCWD, "/", 0);
	if (root >= 0) {
		long long n = ask(217, 2, (uint64_t)root, (uint64_t)buffer, sizeof(buffer), 0, 0);

		if (n > 48) /* more than . and .. */
			report("lists", "files in the root", 0);
		report("creates", "a file in the root", ask(259, 2, (uint64_t)root, text("x"), 0100644, 0, 0));
		close_fd(root);
	}
	/* a device where files may be made: the memory of the host (1, 1) */
	for (long long fd = 0; fd < FDS; fd++)
		report("creates", "a device node", ask(259, 2, (uint64_t)fd, text("husk-mem"), 020600, 0x101, 0));
	report("changes", "the root directory", ask(161, 1, text("/"), 0, 0, 0, 0));
	report("mounts", "a file system", ask(165, 7, text("none"), text("/"), text("tmpfs"), 0, 0));
	report("opens", "by handle", ask(304, 2, 3, (uint64_t)buffer, 0, 0, 0));
}

/* ---- the rest ---- */

static void network(void)
{
	static const uint32_t family[] = { 1, 2, 10, 16, 17, 38, 40 };
	static uint8_t abstract[8] = { 1, 0, 0, 'h', 'u', 's', 'k', 'y' };

	for (unsigned int i = 0; i < sizeof(family) / sizeof(family[0]); i++)
		for (uint32_t type = 1; type < 4; type++)
			report("connects", "a new socket", ask(41, 0, family[i], type, 0, 0, 0));
	report("connects", "a pair of sockets", ask(53, 8, 1, 1, 0, (uint64_t)buffer, 0));
	for (long long fd = 0; fd < FDS; fd++) {
		report("connects", "a descriptor", ask(42, 2, (uint64_t)fd, (uint64_t)abstract, 8, 0, 0));
		report("connects", "a descriptor's name", ask(49, 2, (uint64_t)fd, (uint64_t)abstract, 8, 0, 0));
	}
}

static void programs(void)
{
	report("executes", "a program", ask(59, 1, text("/proc/self/exe"), 0, 0, 0, 0));
	for (long long fd = 0; fd < FDS; fd++)
		report("executes", "a descriptor", ask(322, 2, (uint64_t)fd, text(""), 0, 0, 0x1000));
	report("executes", "a new process", ask(56, 0, 17, 0, 0, 0, 0));
	report("executes", "a new process", ask(57, 0, 0, 0, 0, 0, 0));
	report("executes", "a new process", ask(435, 1, (uint64_t)buffer, 88, 0, 0, 0));
}

static void signals(void)
{
	long long pid = ask(39, 0, 0, 0, 0, 0, 0);

	for (long long p = -1; p < PIDS; p++) {
		report("signals", "a process", ask(62, 0, (uint64_t)p, 0, 0, 0, 0));
		if (pid >= 0 && p > 0 && p != pid)
			report("signals", "a thread of another process",
			       ask(234, 0, (uint64_t)p, (uint64_t)p, 0, 0, 0));
		report("signals", "a thread", ask(200, 0, (uint64_t)p, 0, 0, 0, 0));
		report("signals", "by descriptor", ask(434, 0, (uint64_t)p, 0, 0, 0, 0));
		report("signals", "with a value", ask(129, 4, (uint64_t)p, 10, (uint64_t)buffer, 0, 0));
		report("traces", "a process", ask(101, 0, 16, (uint64_t)p, 0, 0, 0));
		report("traces", "a process's memory", ask(310, 2, (uint64_t)p, (uint64_t)buffer, 1, 0, 0));
	}
}

static void memory(void)
{
	call.result = 0;
	report("maps", "code", ask(9, 0, 0, 4096, 7, 0x22, (uint64_t)-1));
	report("maps", "code from a descriptor", ask(9, 0, 0, 4096, 5, 2, 0));
	report("maps", "guest memory as code", ask(10, 1, (uint64_t)buffer, 4096, 7, 0, 0));
	report("maps", "guest memory as code", ask(329, 1, (uint64_t)buffer, 4096, 7, (uint64_t)-1, 0));
	report("maps", "all that is readable as code", ask(135, 0, 0x0400000, 0, 0, 0, 0));
	report("maps", "a file in memory", ask(319, 1, text("x"), 0, 0, 0, 0));
	report("maps", "page faults", ask(323, 0, 0, 0, 0, 0, 0));
	report("maps", "shared memory", ask(29, 0, 0, 4096, 0777, 0, 0));
}

static void privileges(void)
{
	report("gains", "a user id", ask(105, 0, 0, 0, 0, 0, 0));
	report("gains", "a group id", ask(106, 0, 0, 0, 0, 0, 0));
	report("gains", "a namespace", ask(272, 0, 0x10000000, 0, 0, 0, 0));
	report("gains", "another's namespace", ask(308, 0, 0, 0, 0, 0, 0));
	report("gains", "kernel modules", ask(313, 2, 0, text(""), 0, 0, 0));
	report("gains", "programs in the kernel", ask(321, 2, 5, (uint64_t)buffer, 64, 0, 0));
	report("gains", "keys", ask(250, 0, 0, (uint64_t)-3, 0, 0, 0));
	report("gains", "limits", ask(302, 4, 0, 7, (uint64_t)buffer, 0, 0));
	report("gains", "settings of the process", ask(157, 0, 4, 1, 0, 0, 0));
	for (long long fd = 0; fd < FDS; fd++) {
		report("gains", "a virtual machine", ask(16, 0, (uint64_t)fd, 0xae01, 0, 0, 0));
		report("gains", "host memory as the guest's",
		       ask(16, 4, (uint64_t)fd, 0x4020ae46, (uint64_t)buffer, 0, 0));
		report("gains", "an interface", ask(16, 4, (uint64_t)fd, 0x400454ca, (uint64_t)buffer, 0, 0));
		report("gains", "a terminal's input", ask(16, 4, (uint64_t)fd, 0x5412, (uint64_t)buffer, 0, 0));
	}
	report("gains", "an asynchronous ring", ask(425, 2, 4, (uint64_t)buffer, 0, 0, 0));
}

int guest_main(const char *cmdline)
{
	(void)cmdline;
	for (kind = 0; kind < KINDS; kind++) {
		if (ask(39, 0, 0, 0, 0, 0, 0) == -3) {
			say(kind_name[kind]);
			say(": there is no such thread\n");
			continue;
		}
		files();
		network();
		programs();
		signals();
		memory();
		privileges();
		list_calls();
	}
	return 0;
}
