/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup version 2: the controllers are there and they do what linux.resources asks for. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"

static const char *controllers(void)
{
	static const char *const names[] = { "cpuset", "cpu", "io", "memory", "hugetlb", "pids", NULL };
	const char *missing = words_missing(ROOT "/cgroup.controllers", names);

	if (missing)
		return problem("no controller %s", missing);
	if (!file_write(ROOT "/cgroup.subtree_control", "+cpuset +cpu +io +memory +hugetlb +pids"))
		return problem("cgroup.subtree_control");
	return NULL;
}

static const char *group_files(void)
{
	static const char *const files[] = { "cgroup.freeze",
					     "cgroup.kill",
					     "cgroup.events",
					     "cgroup.threads",
					     "memory.max",
					     "memory.high",
					     "memory.low",
					     "memory.min",
					     "memory.events",
					     "memory.oom.group",
					     "memory.stat",
					     "memory.current",
					     "memory.peak",
					     "memory.pressure",
					     "cpu.max",
					     "cpu.max.burst",
					     "cpu.weight",
					     "cpu.idle",
					     "cpu.stat",
					     "cpu.pressure",
					     "cpuset.cpus",
					     "cpuset.mems",
					     "cpuset.cpus.effective",
					     "io.max",
					     "io.stat",
					     "io.pressure",
					     "pids.max",
					     "pids.current",
					     "hugetlb.2MB.max",
					     "hugetlb.2MB.current",
					     NULL };
	char path[128];

	mkdir(ROOT "/files", 0755);
	for (const char *const *file = files; *file; file++) {
		snprintf(path, sizeof(path), ROOT "/files/%s", *file);
		if (access(path, F_OK) < 0)
			return problem("no %s", *file);
	}
	rmdir(ROOT "/files");
	return NULL;
}

/* Forks into a new group that has one setting; the child runs job and ends. Returns the wait status, -1 on error. */
static int run_in_group(const char *name, const char *file, const char *setting, void (*job)(void))
{
	char path[128];
	int status = -1;
	pid_t pid;

	snprintf(path, sizeof(path), ROOT "/%s", name);
	if (mkdir(path, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), ROOT "/%s/%s", name, file);
	if (!file_write(path, setting))
		return -1;
	snprintf(path, sizeof(path), ROOT "/%s/cgroup.procs", name);
	pid = fork();
	if (!pid) {
		if (!file_write(path, "0"))
			_exit(99);
		job();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void job_memory(void)
{
	memset(mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, 32 << 20);
}

static const char *memory_limit_kills(void)
{
	int status = run_in_group("memory", "memory.max", "8388608", job_memory);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return problem("status %#x, not killed", (unsigned int)status);
	errno = 0;
	if (!file_has_word(ROOT "/memory/memory.events", "oom_kill") ||
	    file_has_word(ROOT "/memory/memory.events", "oom_kill 0"))
		return problem("not counted");
	return NULL;
}

static void job_fork(void)
{
	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();

		if (!pid)
			pause();
		if (pid < 0)
			_exit(errno == EAGAIN ? 55 : 1);
	}
}

static const char *pid_limit_refuses(void)
{
	int status = run_in_group("pids", "pids.max", "4", job_fork);

	file_write(ROOT "/pids/cgroup.kill", "1");
	errno = 0;
	return status == 55 << 8 ? NULL : problem("status %#x", (unsigned int)status);
}

static void job_spin(void)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec - begin.tv_sec < 2);
}

static const char *cpu_limit_throttles(void)
{
	int status = run_in_group("cpu", "cpu.max", "20000 100000", job_spin);
	static char text[4096];
	const char *throttled;
	long count;

	if (status)
		return problem("status %#x", (unsigned int)status);
	errno = 0;
	if (!file_read(ROOT "/cpu/cpu.stat", text, sizeof(text)))
		return problem("cpu.stat");
	throttled = strstr(text, "nr_throttled ");
	count = throttled ? strtol(throttled + strlen("nr_throttled "), NULL, 10) : -1;
	if (count < 5)
		return problem("a busy loop of 2 s at 20 %% was throttled %ld times", count);
	return NULL;
}

static const char *freezer_stops(void)
{
	pid_t pid;

	mkdir(ROOT "/freeze", 0755);
	pid = fork();
	if (!pid) {
		file_write(ROOT "/freeze/cgroup.procs", "0");
		for (;;)
			pause();
	}
	for (int i = 0; i < 100 && !file_has_word(ROOT "/freeze/cgroup.events", "populated"); i++)
		usleep(10000);
	usleep(50000);
	if (!file_write(ROOT "/freeze/cgroup.freeze", "1"))
		return problem("cgroup.freeze");
	for (int i = 0; i < 200; i++) {
		char text[128];

		if (file_read(ROOT "/freeze/cgroup.events", text, sizeof(text)) && strstr(text, "frozen 1")) {
			file_write(ROOT "/freeze/cgroup.kill", "1");
			waitpid(pid, NULL, 0);
			return NULL;
		}
		usleep(10000);
	}
	errno = 0;
	return problem("never frozen");
}

/* A device program that allows nothing but /dev/null (1:3), loaded by bpf() as the agent does. */
static const char *device_program_denies(void)
{
	struct bpf_insn program[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = 4 }, /* major */
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 1, .off = 8 }, /* minor */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 2, .imm = 1 },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 3, .off = 1, .imm = 3 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { 0 };
	int fd, group;

	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uintptr_t) "Apache";
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return problem("BPF_PROG_LOAD");
	if (mkdir(ROOT "/device", 0755) < 0 || (group = open(ROOT "/device", O_RDONLY | O_DIRECTORY)) < 0)
		return problem("mkdir");
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (unsigned int)group;
	attr.attach_bpf_fd = (unsigned int)fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0)
		return problem("BPF_PROG_ATTACH");
	if (!file_write(ROOT "/device/cgroup.procs", "0"))
		return problem("cgroup.procs");
	if (open("/dev/null", O_RDWR) < 0)
		return problem("/dev/null was refused");
	if (open("/dev/zero", O_RDWR) >= 0 || errno != EPERM)
		return problem("/dev/zero was allowed");
	return NULL;
}

static const char *clone_into_group(void)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	char text[256];
	int status;
	pid_t pid;

	mkdir(ROOT "/clone", 0755);
	args.cgroup = (uint64_t)open(ROOT "/clone", O_RDONLY | O_DIRECTORY);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		_exit(file_read("/proc/self/cgroup", text, sizeof(text)) && strstr(text, "0::/clone") ? 0 : 1);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return problem("clone3 with CLONE_INTO_CGROUP");
	return NULL;
}

static const char *version_1_hierarchies(void)
{
	static const char *const names[] = { "devices", "freezer", "cpuacct", NULL };

	for (const char *const *name = names; *name; name++) {
		if (mount("cgroup", "/mnt", "cgroup", 0, *name) < 0)
			return problem("%s", *name);
		umount("/mnt");
	}
	return NULL;
}

const struct probe cgroup_probes[] = {
	{ "cgroup controllers", controllers },
	{ "cgroup files that limits and statistics need", group_files },
	{ "a memory limit kills and counts", memory_limit_kills },
	{ "a pids limit refuses a fork", pid_limit_refuses },
	{ "a cpu limit throttles", cpu_limit_throttles },
	{ "a cgroup freezes and is killed whole", freezer_stops },
	{ "a device program allows and denies", device_program_denies },
	{ "a process is born in its cgroup", clone_into_group },
	{ "version 1 hierarchies for engines inside", version_1_hierarchies },
	{ 0 },
};
