/* SPDX-License-Identifier: Apache-2.0 */
/* What programs ask of a kernel: system calls, namespaces, IPC, terminals, tracing, BPF. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *namespaces(void)
{
	static const struct {
		int flag;
		const char *file;
	} kinds[] = {
		{ CLONE_NEWNS, "mnt" },
		{ CLONE_NEWUTS, "uts" },
		{ CLONE_NEWIPC, "ipc" },
		{ CLONE_NEWPID, "pid" },
		{ CLONE_NEWNET, "net" },
		{ CLONE_NEWCGROUP, "cgroup" },
		{ 0x80 /* CLONE_NEWTIME */, "time" },
		{ CLONE_NEWUSER, "user" },
	};
	char path[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].file);
		if (access(path, F_OK) < 0 || unshare(kinds[i].flag) < 0)
			return problem("no %s namespace", kinds[i].file);
	}
	return NULL;
}

static const char *user_namespace_maps(void)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return problem("unshare");
	if (!file_write("/proc/self/setgroups", "deny"))
		return problem("setgroups");
	if (!file_write("/proc/self/uid_map", "0 0 1") || !file_write("/proc/self/gid_map", "0 0 1"))
		return problem("uid_map");
	return NULL;
}

static const char *time_namespace_offset(void)
{
	if (unshare(0x80 /* CLONE_NEWTIME */) < 0)
		return problem("unshare");
	if (!file_write("/proc/self/timens_offsets", "monotonic 86400 0"))
		return problem("timens_offsets");
	return NULL;
}

static const char *event_loops(void)
{
	sigset_t set;

	sigemptyset(&set);
	if (epoll_create1(0) < 0 || eventfd(0, 0) < 0 || timerfd_create(CLOCK_BOOTTIME, 0) < 0 ||
	    signalfd(-1, &set, 0) < 0)
		return problem("epoll, eventfd, timerfd or signalfd");
	return NULL;
}

static const char *file_watches(void)
{
	int fd = inotify_init1(IN_NONBLOCK), fan;
	char event[4096];

	if (fd < 0 || inotify_add_watch(fd, "/tmp", IN_CREATE) < 0)
		return problem("inotify");
	close(open("/tmp/watched", O_CREAT | O_WRONLY, 0600));
	unlink("/tmp/watched");
	if (read(fd, event, sizeof(event)) <= 0)
		return problem("inotify saw nothing");
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	if (fan < 0 || fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "/") < 0)
		return problem("fanotify");
	close(open("/init", O_RDONLY));
	if (read(fan, event, sizeof(event)) <= 0)
		return problem("fanotify saw nothing");
	return NULL;
}

static const char *asynchronous_io(void)
{
	struct io_uring_params params = { 0 };
	aio_context_t context = 0;

	if (syscall(SYS_io_uring_setup, 4, &params) < 0)
		return problem("io_uring_setup");
	if (syscall(SYS_io_setup, 4, &context) < 0)
		return problem("io_setup");
	return NULL;
}

static const char *ipc_objects(void)
{
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 16 };
	int id = shmget(IPC_PRIVATE, 4096, 0600);

	if (id < 0 || shmat(id, NULL, 0) == (void *)-1 || shmctl(id, IPC_RMID, NULL) < 0)
		return problem("shared memory");
	if ((id = semget(IPC_PRIVATE, 1, 0600)) < 0 || semctl(id, 0, IPC_RMID) < 0)
		return problem("semaphores");
	if ((id = msgget(IPC_PRIVATE, 0600)) < 0 || msgctl(id, IPC_RMID, NULL) < 0)
		return problem("message queues");
	if (mq_open("/probe", O_CREAT | O_RDWR, 0600, &attr) == (mqd_t)-1 || mq_unlink("/probe") < 0)
		return problem("POSIX message queues");
	return NULL;
}

static const char *memory_calls(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_api api = { .api = UFFD_API };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
		return problem("userfaultfd");
	if (memfd_create("probe", MFD_ALLOW_SEALING) < 0)
		return problem("memfd_create");
	if (page == MAP_FAILED || madvise(page, 4096, MADV_DONTNEED) < 0)
		return problem("madvise");
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0)
		return problem("membarrier");
	return NULL;
}

static const char *restartable_sequences(void)
{
	/* An unaligned area is refused with EINVAL; a kernel without rseq says ENOSYS. */
	if (syscall(SYS_rseq, 1, 32, 0, 0) < 0 && errno == ENOSYS)
		return problem("rseq");
	return NULL;
}

static const char *process_handles(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return problem("pidfd_open");
	if (syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) < 0)
		return problem("pidfd_send_signal");
	if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) != 0)
		return problem("kcmp");
	return NULL;
}

static const char *foreign_memory(void)
{
	char from[] = "probe", to[sizeof(from)] = "";
	struct iovec local = { to, sizeof(to) }, remote = { from, sizeof(from) };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof(from) || strcmp(to, "probe"))
		return problem("process_vm_readv");
	return NULL;
}

static const char *tracing(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(7);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return problem("the child did not stop");
	if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7)
		return problem("the child did not go on");
	return NULL;
}

static const char *performance_events(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_CPU_CLOCK };

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) < 0 ? problem("perf_event_open") : NULL;
}

static const char *keyrings(void)
{
	if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) < 0)
		return problem("keyctl");
	if (syscall(SYS_add_key, "user", "probe", "x", 1, -3 /* KEY_SPEC_SESSION_KEYRING */) < 0)
		return problem("add_key");
	return NULL;
}

static const char *timers(void)
{
	timer_t timer;

	return timer_create(CLOCK_MONOTONIC, NULL, &timer) < 0 ? problem("timer_create") : NULL;
}

static const char *file_handles(void)
{
	struct {
		struct file_handle handle;
		char space[128];
	} buffer = { .handle.handle_bytes = 128 };
	int mount_id;

	if (mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0 ||
	    name_to_handle_at(AT_FDCWD, "/mnt", &buffer.handle, &mount_id, 0) < 0)
		return problem("name_to_handle_at");
	umount("/mnt");
	return NULL;
}

static const char *seccomp_filter(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };
	static const unsigned int actions[] = { SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP, SECCOMP_RET_USER_NOTIF,
						SECCOMP_RET_TRACE, SECCOMP_RET_LOG };

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]) < 0)
			return problem("action %#x", actions[i]);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return problem("filter refused");
	errno = 0;
	if (syscall(SYS_getppid) != -1 || errno != 77)
		return problem("filter did not work");
	return NULL;
}

static const char *core_dumps(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct stat st;
	int status;
	pid_t pid;

	if (!file_write("/proc/sys/kernel/core_pattern", "/tmp/core.probe"))
		return problem("core_pattern");
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_CORE, &unlimited);
		abort();
	}
	if (waitpid(pid, &status, 0) != pid || !WCOREDUMP(status))
		return problem("no core dumped");
	if (stat("/tmp/core.probe", &st) < 0 || st.st_size < 4096)
		return problem("no core file");
	unlink("/tmp/core.probe");
	return NULL;
}

static const char *terminals(void)
{
	char name[32], text[8] = "";
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), slave, zero = 0;
	unsigned int number;
	struct winsize size = { .ws_row = 25, .ws_col = 80 };

	if (mkdir("/dev/pts", 0755) < 0 && errno != EEXIST)
		return problem("mkdir /dev/pts");
	close(master);
	if (mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620") < 0)
		return problem("mount devpts");
	master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY);
	if (master < 0 || ioctl(master, TIOCGPTN, &number) < 0 || ioctl(master, TIOCSPTLCK, &zero) < 0)
		return problem("ptmx");
	snprintf(name, sizeof(name), "/dev/pts/%u", number);
	slave = open(name, O_RDWR | O_NOCTTY);
	if (slave < 0 || ioctl(master, TIOCSWINSZ, &size) < 0 || write(master, "hi\n", 3) != 3 ||
	    read(slave, text, sizeof(text)) != 3)
		return problem("%s", name);
	close(slave);
	close(master);
	umount("/dev/pts");
	return NULL;
}

static const char *scripts_run(void)
{
	static const char script[] = "#!/init\n";
	int fd = open("/tmp/script", O_CREAT | O_WRONLY | O_CLOEXEC, 0755), status;
	pid_t pid;

	/* The interpreter is this program, which as a process other than 1 ends at once with status 42. */
	if (fd < 0 || write(fd, script, sizeof(script) - 1) < 0)
		return problem("write");
	close(fd);
	pid = fork();
	if (!pid) {
		execl("/tmp/script", "script", NULL);
		_exit(1);
	}
	if (waitpid(pid, &status, 0) != pid || status != 42 << 8)
		return problem("the interpreter was not run");
	unlink("/tmp/script");
	return NULL;
}

static const char *checkpoint_fields(void)
{
	static const char *const paths[] = { "/proc/sys/kernel/ns_last_pid", "/proc/self/map_files",
					     "/proc/1/task/1/children", NULL };

	for (const char *const *path = paths; *path; path++)
		if (access(*path, F_OK) < 0)
			return problem("%s", *path);
	return NULL;
}

static const char *proc_fields(void)
{
	static const char *const paths[] = { "/proc/self/smaps",
					     "/proc/self/pagemap",
					     "/proc/self/oom_score_adj",
					     "/proc/self/timens_offsets",
					     "/proc/self/cgroup",
					     "/proc/self/mountinfo",
					     "/proc/pressure/cpu",
					     "/proc/pressure/memory",
					     "/proc/pressure/io",
					     "/proc/keys",
					     "/proc/sys/kernel/seccomp",
					     "/proc/sys/net/ipv4/ip_unprivileged_port_start",
					     "/proc/sys/net/ipv4/ping_group_range",
					     "/proc/sys/fs/mqueue/msg_max",
					     "/proc/sys/kernel/shmmax",
					     "/proc/sys/user/max_user_namespaces",
					     "/proc/sys/vm/overcommit_memory",
					     "/proc/sys/kernel/core_pattern",
					     NULL };

	for (const char *const *path = paths; *path; path++)
		if (access(*path, F_OK) < 0)
			return problem("%s", *path);
	return NULL;
}

static const char *vsyscall_page(void)
{
	/* Binaries older than glibc 2.14 call fixed addresses; execute-only is enough for them. */
	long (*old_time)(long *) = (long (*)(long *))0xffffffffff600400UL;
	long now = old_time(NULL), then = time(NULL);

	return then - now > 2 || now > then ? problem("vsyscall time() says %ld", now) : NULL;
}

static const char *no_32_bit(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		/* int 0x80, getpid: without 32-bit support a general protection fault. */
		__asm__ volatile("int $0x80" : : "a"(20L) : "memory");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? NULL : problem("32-bit system calls work");
}

const struct probe process_probes[] = {
	{ "every namespace kind can be made", namespaces },
	{ "a user namespace takes its maps", user_namespace_maps },
	{ "a time namespace takes its offset", time_namespace_offset },
	{ "epoll eventfd timerfd signalfd", event_loops },
	{ "inotify and fanotify report", file_watches },
	{ "io_uring and aio", asynchronous_io },
	{ "System V and POSIX IPC", ipc_objects },
	{ "userfaultfd memfd madvise membarrier", memory_calls },
	{ "restartable sequences", restartable_sequences },
	{ "pidfd and kcmp", process_handles },
	{ "memory of another process can be read", foreign_memory },
	{ "ptrace stops and goes on", tracing },
	{ "software performance events", performance_events },
	{ "session keyrings and keys", keyrings },
	{ "POSIX timers", timers },
	{ "file handles", file_handles },
	{ "a seccomp filter filters", seccomp_filter },
	{ "a crash leaves a core file", core_dumps },
	{ "a devpts instance gives terminals", terminals },
	{ "scripts run by their interpreter", scripts_run },
	{ "checkpoint fields in proc", checkpoint_fields },
	{ "proc has what runtimes read", proc_fields },
	{ "the vsyscall page serves old programs", vsyscall_page },
	{ "32-bit system calls are refused", no_32_bit },
	{ 0 },
};
