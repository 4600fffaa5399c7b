/* SPDX-License-Identifier: Apache-2.0 */
/* husk check: the files of a VM, KVM itself, and a measured boot to the agent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"
#include "util.h"
#include "vmm.h"

#define BOOT_LIMIT_MS 30000u
#define BOOT_MIB 128u

enum check_result check_files(struct check_line *l, struct vmm_files *files)
{
	struct error err = { 0 };
	struct stat k, i;

	if (vmm_find(files, &err) < 0)
		return check_say(l, CHECK_FAIL, "make && make install, or set HUSK_VMM, HUSK_KERNEL, HUSK_INITRAMFS",
				 "%s", err.text);
	if (fstat(files->kernel_fd, &k) < 0 || fstat(files->initrd_fd, &i) < 0)
		return check_say(l, CHECK_FAIL, "", "%s", error_errno_text(errno));
	return check_say(l, CHECK_PASS, "", "%s, kernel %.1f MiB, initramfs %.1f MiB", files->vmm,
			 (double)k.st_size / 1048576.0, (double)i.st_size / 1048576.0);
}

enum check_result check_kvm(struct check_line *l, const struct vmm_files *files)
{
	char line[VMM_PROBE_LINE];

	if (!files->vmm)
		return check_say(l, CHECK_FAIL, "mend the line above first", "not tried");
	switch (vmm_probe(files, line)) {
	case 1:
		return check_say(l, CHECK_PASS, "", "%s", *line ? line : "usable");
	case 0:
		return check_say(l, CHECK_FAIL, "see the reason; husk cannot work without KVM",
				 "husk-vmm --probe did not end well");
	default:
		return check_say(l, CHECK_FAIL, "see the reason; husk cannot work without KVM", "%s", line);
	}
}

/* Times of one boot in ms since the VMM's exec. */
struct boot {
	double entry, ready, answer;
};

static int boot_once(const struct vmm_files *files, uint32_t cpus, int listen, const struct sockaddr *sa,
		     socklen_t sa_len, int log, struct boot *b, struct error *err)
{
	uint32_t limit = files->boot_timeout_ms ? files->boot_timeout_ms : BOOT_LIMIT_MS;
	uint64_t t0, deadline = mono_ns() + (limit + 1000) * 1000000ull;
	CLEAN_FD int ctl = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ctl_status st;
	int owner[2], rc;
	pid_t pid;

	if (ctl < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, owner) < 0)
		return error_set(err, errno, "socket");
	struct vmm_config cfg = {
		.files = files,
		.listen_fd = listen,
		.owner_fd = owner[1],
		.log_fd = log,
		.mem_mib = BOOT_MIB,
		.cpus = cpus,
		.boot_timeout_ms = limit,
	};
	t0 = mono_ns();
	pid = vmm_spawn(&cfg, err);
	close(owner[1]);
	close(listen);
	if (pid < 0) {
		close(owner[0]);
		return -1;
	}
	rc = connect(ctl, sa, sa_len) < 0 ? -errno : 0;
	if (!rc)
		rc = ctl_request(ctl, CTL_CONNECT, WIRE_PORT, NULL, 0, NULL, 0, NULL, 0, deadline);
	b->answer = (double)(mono_ns() - t0) / 1e6;
	if (rc >= 0) {
		CLEAN_FD int again = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(again, sa, sa_len) == 0 &&
		    ctl_request(again, CTL_STATUS, 0, NULL, 0, NULL, 0, &st, sizeof(st), deadline) >= (int)sizeof(st)) {
			b->entry = (double)(st.t_entry - t0) / 1e6;
			b->ready = (double)(st.t_ready - t0) / 1e6;
		}
	}
	close(owner[0]);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return rc < 0 ? error_set(err, -rc, "the VM did not come up") : 0;
}

enum check_result check_boot(struct check_line *l, const struct vmm_files *files, uint32_t cpus)
{
	CLEAN_FREE char *path = xasprintf("/tmp/husk-check.%d", (int)getpid());
	struct error err = { 0 };
	char line[512] = "";
	struct boot b = { 0 };
	int log[2], listen, rc;
	ssize_t n;

	if (files->initrd_fd < 0)
		return check_say(l, CHECK_FAIL, "mend the lines above first", "not tried");
	listen = unix_listen(path, &err);
	if (listen < 0 || pipe2(log, O_CLOEXEC | O_NONBLOCK) < 0) {
		unlink(path);
		return check_say(l, CHECK_FAIL, "", "%s", err.text);
	}
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof(sa);

	getsockname(listen, (struct sockaddr *)&sa, &sa_len);
	rc = boot_once(files, cpus, listen, (struct sockaddr *)&sa, sa_len, log[1], &b, &err);
	unlink(path);
	n = read(log[0], line, sizeof(line) - 1);
	line[n > 0 ? strcspn(line, "\n") : 0] = '\0';
	close(log[0]);
	close(log[1]);
	if (rc < 0)
		return check_say(l, CHECK_FAIL, "run again with a guest kernel log: husk --debug run", "%s",
				 *line ? line : err.text);
	return check_say(l, CHECK_PASS, "", "%u MiB, %u vCPU: kernel entered after %.1f ms, agent ready after %.1f ms",
			 BOOT_MIB, cpus, b.entry, b.ready > 0 ? b.ready : b.answer);
}
