/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launching husk-vmm, and the client of its control socket. Helpers are found by absolute path: engines start us
 * with an empty PATH.
 */
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container.h"
#include "util.h"

#define VMM_ARGS (28 + 2 * VMM_DISKS_MAX)
#define VMM_FD_LISTEN 3 /* fds as the VMM sees them */
#define VMM_FD_OWNER 4
#define VMM_FD_KERNEL 5
#define VMM_FD_INITRD 6
#define VMM_FD_DISK 7 /* and the following */
#define VMM_FDS_MAX (VMM_FD_DISK + VMM_DISKS_MAX)
#define VMM_START_STACK 16384
#define BOOT_TIMEOUT_MIN 100 /* ms, as in run.husk.boot_timeout */
#define BOOT_TIMEOUT_MAX 600000

/* ---- files ---- */

/* One file: from the environment, else the first of the places that has it. */
static char *file_find(const char *env, const char *const places[2], const char *dir, int mode, struct error *err)
{
	const char *given = secure_getenv(env);
	CLEAN_FREE char *tried = NULL;
	char *path = NULL;

	if (given && *given) {
		path = path_absolute(given);
		if (access(path, mode) == 0)
			return path;
		error_set(err, errno, "%s=%s", env, given);
		free(path);
		return NULL;
	}
	for (int i = 0; i < 2; i++) {
		path = xasprintf("%s/%s", dir, places[i]);
		if (access(path, mode) == 0)
			return path;
		if (!i)
			tried = path;
	}
	error_set(err, 0, "cannot find %s (looked for %s and %s); install husk completely (make install), or set %s",
		  places[0], tried, path, env);
	free(path);
	return NULL;
}

/* How long guests may take to start where the whole machine is slow, and the engine cannot give annotations. */
static int boot_timeout_find(uint32_t *ms, struct error *err)
{
	const char *given = secure_getenv("HUSK_BOOT_TIMEOUT");
	int64_t v = 0;

	if (given && *given && !parse_i64(given, BOOT_TIMEOUT_MIN, BOOT_TIMEOUT_MAX, &v))
		return error_set(err, 0, "HUSK_BOOT_TIMEOUT=%.64s: expected milliseconds, %d to %d", given,
				 BOOT_TIMEOUT_MIN, BOOT_TIMEOUT_MAX);
	*ms = (uint32_t)v;
	return 0;
}

int vmm_find(struct vmm_files *f, struct error *err)
{
	static const char *const vmm[] = { "husk-vmm", "../libexec/husk/husk-vmm" };
	static const char *const kernel[] = { "vmlinux", "../lib/husk/vmlinux" };
	static const char *const initrd[] = { "initramfs.cpio", "../lib/husk/initramfs.cpio" };
	char dir[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	*f = (struct vmm_files){ .kernel_fd = -1, .initrd_fd = -1 };
	if (n < 0)
		return error_set(err, errno, "/proc/self/exe (is /proc mounted?)");
	dir[n] = '\0';
	*strrchr(dir, '/') = '\0';

	f->vmm = file_find("HUSK_VMM", vmm, dir, X_OK, err);
	f->kernel = f->vmm ? file_find("HUSK_KERNEL", kernel, dir, R_OK, err) : NULL;
	f->initrd = f->kernel ? file_find("HUSK_INITRAMFS", initrd, dir, R_OK, err) : NULL;
	if (!f->initrd)
		return -1;
	f->kernel_fd = open(f->kernel, O_RDONLY | O_CLOEXEC);
	if (f->kernel_fd < 0)
		return error_set(err, errno, "guest kernel %s", f->kernel);
	f->initrd_fd = open(f->initrd, O_RDONLY | O_CLOEXEC);
	if (f->initrd_fd < 0)
		return error_set(err, errno, "guest initramfs %s", f->initrd);
	return boot_timeout_find(&f->boot_timeout_ms, err);
}

void vmm_files_free(struct vmm_files *f)
{
	free(f->vmm);
	free(f->kernel);
	free(f->initrd);
	if (f->kernel_fd >= 0)
		close(f->kernel_fd);
	if (f->initrd_fd >= 0)
		close(f->initrd_fd);
	*f = (struct vmm_files){ .kernel_fd = -1, .initrd_fd = -1 };
}

/* ---- start ---- */

struct vmm_start {
	const struct vmm_config *cfg;
	char *const *argv;
	int null;
};

/* In a child that shares our memory while we wait: only system calls, no memory of ours is changed. */
static NOT_POISONED int vmm_exec(void *arg)
{
	const struct vmm_start *start = arg;
	const struct vmm_config *cfg = start->cfg;
	static char *const env[] = { NULL };
	/* sources first to numbers out of the way, so that no target overwrites a source */
	int src[VMM_FDS_MAX] = { start->null,	cfg->log_fd,	       cfg->log_fd,	     cfg->listen_fd,
				 cfg->owner_fd, cfg->files->kernel_fd, cfg->files->initrd_fd };
	unsigned int n = VMM_FD_DISK;
	int tmp[VMM_FDS_MAX];

	for (unsigned int i = 0; i < cfg->ndisks; i++)
		src[n++] = cfg->disks[i].fd;
	for (unsigned int i = 0; i < n; i++) {
		tmp[i] = fcntl(src[i], F_DUPFD_CLOEXEC, 2 * VMM_FDS_MAX);
		if (tmp[i] < 0)
			_exit(127);
	}
	for (unsigned int i = 0; i < n; i++)
		if (dup2(tmp[i], (int)i) < 0)
			_exit(127);
	close_range(n, ~0U, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signals_default();
	execve(start->argv[0], start->argv, env);
	_exit(127);
}

pid_t vmm_spawn(const struct vmm_config *cfg, struct error *err)
{
	char mem[16], max[16], cpus[16], dax_own[16], dax[16], timeout[16], listen[16], owner[16], kernel[16],
		initrd[16];
	CLEAN_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char disk[VMM_DISKS_MAX][48];
	const char *argv[VMM_ARGS];
	const struct vmm_start start = { .cfg = cfg, .argv = (char *const *)argv, .null = null };
	_Alignas(16) char stack[VMM_START_STACK];
	unsigned int n = 0;
	pid_t pid;

	if (null < 0)
		return error_set(err, errno, "/dev/null");
	snprintf(mem, sizeof(mem), "%u", cfg->mem_mib);
	snprintf(max, sizeof(max), "%u", cfg->max_mib);
	snprintf(cpus, sizeof(cpus), "%u", cfg->cpus);
	snprintf(timeout, sizeof(timeout), "%u", cfg->boot_timeout_ms);
	snprintf(listen, sizeof(listen), "fd:%d", VMM_FD_LISTEN);
	snprintf(owner, sizeof(owner), "fd:%d", VMM_FD_OWNER);
	snprintf(kernel, sizeof(kernel), "fd:%d", VMM_FD_KERNEL);
	snprintf(initrd, sizeof(initrd), "fd:%d", VMM_FD_INITRD);

	argv[n++] = cfg->files->vmm;
	argv[n++] = "--kernel";
	argv[n++] = kernel;
	argv[n++] = "--initrd";
	argv[n++] = initrd;
	argv[n++] = "--mem";
	argv[n++] = mem;
	argv[n++] = "--cpus";
	argv[n++] = cpus;
	argv[n++] = "--listen";
	argv[n++] = listen;
	argv[n++] = "--owner";
	argv[n++] = owner;
	if (cfg->dax_own_mib) {
		snprintf(dax_own, sizeof(dax_own), "%u", cfg->dax_own_mib);
		argv[n++] = "--dax-own";
		argv[n++] = dax_own;
	}
	if (cfg->dax_mib) {
		snprintf(dax, sizeof(dax), "%u", cfg->dax_mib);
		argv[n++] = "--dax";
		argv[n++] = dax;
	}
	if (cfg->max_mib > cfg->mem_mib) {
		argv[n++] = "--mem-max";
		argv[n++] = max;
	}
	if (cfg->grows)
		argv[n++] = "--mem-auto";
	if (cfg->ksm)
		argv[n++] = "--ksm";
	if (cfg->boot_timeout_ms) {
		argv[n++] = "--boot-timeout";
		argv[n++] = timeout;
	}
	for (unsigned int i = 0; i < cfg->ndisks; i++) {
		snprintf(disk[i], sizeof(disk[i]), "fd:%u%s:%s", VMM_FD_DISK + i, cfg->disks[i].readonly ? ":ro" : "",
			 cfg->disks[i].serial);
		argv[n++] = "--disk";
		argv[n++] = disk[i];
	}
	if (cfg->debug)
		argv[n++] = "--debug";
	argv[n] = NULL;

	/* Like vfork(), in a pid namespace of its own: nobody is there whom the VMM could signal or look at. */
	pid = clone(vmm_exec, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_NEWPID | SIGCHLD, (void *)&start);
	if (pid < 0)
		return error_set(err, errno, "cannot start %s in a pid namespace of its own%s", cfg->files->vmm,
				 errno == ENOSPC ? " (sysctl user.max_pid_namespaces)" : "");
	return pid;
}

int vmm_probe(const struct vmm_files *files, char *line)
{
	int p[2], status = 0;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	line[0] = '\0';
	if (pipe2(p, O_CLOEXEC) < 0)
		return 0;
	pid = fork();
	if (!pid) {
		char *const argv[] = { files->vmm, "--probe", NULL }, *const env[] = { NULL };

		if (dup2(p[1], 1) < 0 || dup2(p[1], 2) < 0)
			_exit(127);
		execve(argv[0], argv, env);
		_exit(127);
	}
	close(p[1]);
	while (pid > 0 && len < VMM_PROBE_LINE - 1 && (n = read(p[0], line + len, VMM_PROBE_LINE - 1 - len)) > 0)
		len += (size_t)n;
	close(p[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		return 0;
	return WEXITSTATUS(status) ? -1 : 1;
}

/* ---- control socket ---- */

static int unix_address(struct sockaddr_un *sa, const char *path)
{
	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(sa->sun_path)) {
		errno = ENAMETOOLONG;
		return -errno;
	}
	strcpy(sa->sun_path, path);
	return 0;
}

int unix_listen(const char *path, struct error *err)
{
	CLEAN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;

	if (fd < 0 || unix_address(&sa, path) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 256) < 0)
		return error_set(err, errno, "socket %s", path);
	return take_fd(&fd);
}

int unix_connect(const char *path)
{
	CLEAN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CLEAN_FD int dir = -1;
	struct sockaddr_un sa;

	if (fd < 0)
		return -errno;
	if (unix_address(&sa, path) < 0) {
		const char *base = strrchr(path, '/');
		CLEAN_FREE char *folder = base ? strndup(path, (size_t)(base - path) + 1) : NULL;

		if (!folder)
			return -ENAMETOOLONG;
		dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return -errno;
		if (snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", dir, base + 1) >=
		    (int)sizeof(sa.sun_path))
			return -ENAMETOOLONG;
	}
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return take_fd(&fd);
}

static int wait_readable(int fd, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = mono_ns();
		int n;

		n = poll(&p, 1, now >= deadline ? 0 : (int)((deadline - now) / 1000000 + 1));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n && mono_ns() >= deadline)
			return -ETIMEDOUT;
	}
}

int ctl_send(int fd, uint32_t op, uint32_t arg, const void *payload, uint32_t len, const int *fds, unsigned int nfds)
{
	struct ctl_req req = { .magic = CTL_MAGIC, .op = op, .arg = arg, .len = len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * CTL_FDS_MAX)];
	} control;
	struct iovec iov[2] = {
		{ .iov_base = &req, .iov_len = sizeof(req) },
		{ .iov_base = (void *)payload, .iov_len = len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	ssize_t n;

	if (nfds > CTL_FDS_MAX || len > CTL_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (nfds) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)n == sizeof(req) + len ? 0 : -EIO;
}

static int read_until(int fd, void *data, size_t len, uint64_t deadline)
{
	char *p = data;

	while (len) {
		int rc = wait_readable(fd, deadline);
		ssize_t n;

		if (rc < 0)
			return rc;
		n = recv(fd, p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return !n || errno == ECONNRESET ? -EPIPE : -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int ctl_answer(int fd, void *reply, uint32_t cap, uint64_t deadline)
{
	uint8_t rest[CTL_PAYLOAD_MAX];
	struct ctl_rep rep;
	int rc = read_until(fd, &rep, sizeof(rep), deadline);

	if (rc)
		return rc;
	if (rep.magic != CTL_MAGIC || rep.len > CTL_PAYLOAD_MAX || rep.status > 0 || rep.status < -4095)
		return -EPROTO;
	rc = read_until(fd, rest, rep.len, deadline);
	if (rc)
		return rc;
	if (rep.status)
		return rep.status;
	if (reply)
		memcpy(reply, rest, rep.len < cap ? rep.len : cap);
	return (int)rep.len;
}

int ctl_request(int fd, uint32_t op, uint32_t arg, const void *payload, uint32_t len, const int *fds, unsigned int nfds,
		void *reply, uint32_t cap, uint64_t deadline)
{
	int rc = ctl_send(fd, op, arg, payload, len, fds, nfds);

	return rc < 0 ? rc : ctl_answer(fd, reply, cap, deadline);
}

/* Takes the control connection, or -errno in its place. */
static struct session *agent_session(int control, uint64_t deadline, struct error *err)
{
	CLEAN_FD int fd = control;
	int rc;

	if (fd < 0) {
		error_set(err, fd == -ECONNREFUSED || fd == -ENOENT ? 0 : -fd, "the container's VM is not running");
		err->code = -fd;
		return NULL;
	}
	rc = ctl_request(fd, CTL_CONNECT, WIRE_PORT, NULL, 0, NULL, 0, NULL, 0, deadline);
	if (rc < 0) {
		if (rc == -ETIMEDOUT)
			error_set(err, 0, "the agent in the VM does not answer (timed out)");
		else if (rc == -EPIPE)
			error_set(err, 0, "the VM ended before its agent answered");
		else
			error_set(err, -rc, "cannot reach the agent in the VM");
		err->code = -rc;
		return NULL;
	}
	return session_new(take_fd(&fd));
}

struct session *agent_connect(const char *path, uint64_t deadline, struct error *err)
{
	return agent_session(unix_connect(path), deadline, err);
}

struct session *agent_connect_at(int state_dir, uint64_t deadline, struct error *err)
{
	int fd;

	/* by a short relative name: the path may be long, and is not below the root any more */
	if (fchdir(state_dir) < 0) {
		error_set(err, errno, "cannot enter the VM's state directory");
		return NULL;
	}
	fd = unix_connect(FILE_VM_SOCK);
	if (chdir("/") < 0)
		_exit(1);
	return agent_session(fd, deadline, err);
}
