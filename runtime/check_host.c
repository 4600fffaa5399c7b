/* SPDX-License-Identifier: Apache-2.0 */
/* husk check: what the host's kernel offers. Everything is tried, not guessed from names. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "check.h"
#include "util.h"

enum check_result check_say(struct check_line *l, enum check_result r, const char *mend, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->detail, sizeof(l->detail), fmt, ap);
	va_end(ap);
	snprintf(l->mend, sizeof(l->mend), "%s", r == CHECK_PASS ? "" : mend);
	return r;
}

enum check_result check_kernel(struct check_line *l)
{
	struct utsname u;
	unsigned long version;
	char *minor;

	uname(&u);
	version = strtoul(u.release, &minor, 10) * 1000;
	if (*minor == '.')
		version += strtoul(minor + 1, NULL, 10);
	if (strcmp(u.machine, "x86_64"))
		return check_say(l, CHECK_FAIL, "husk runs on x86_64 only", "%s on %s", u.release, u.machine);
	if (version < 5012) /* mount_setattr; clone3 into a cgroup and close_range are older */
		return check_say(l, CHECK_FAIL, "use Linux 5.12 or newer", "%s", u.release);
	if (version < 5014)
		return check_say(l, CHECK_WARN, "Linux 5.14 or newer kills cgroups in one step", "%s", u.release);
	return check_say(l, CHECK_PASS, "", "%s", u.release);
}

enum check_result check_cpu(struct check_line *l)
{
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, "/proc/cpuinfo", 64u << 20, NULL);
	const char *flags = text ? strstr(text, "\nflags") : NULL;
	CLEAN_FREE char *line = flags ? strndup(flags + 1, strcspn(flags + 1, "\n")) : NULL;
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (line && strstr(line, " vmx"))
		return check_say(l, CHECK_PASS, "", "Intel VT-x, %ld CPUs", n);
	if (line && strstr(line, " svm"))
		return check_say(l, CHECK_PASS, "", "AMD-V, %ld CPUs", n);
	return check_say(
		l, CHECK_WARN,
		"enable virtualization (VT-x, AMD-V/SVM) in the firmware; in a cloud VM, enable nested virtualization",
		"the CPU shows neither vmx nor svm");
}

static enum check_result device(struct check_line *l, const char *path, enum check_result bad, const char *missing,
				const char *denied)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int e = errno;

	if (fd >= 0) {
		close(fd);
		return check_say(l, CHECK_PASS, "", "%s", path);
	}
	return check_say(l, bad, e == EACCES || e == EPERM ? denied : missing, "%s: %s", path, error_errno_text(e));
}

enum check_result check_tun(struct check_line *l)
{
	return device(l, "/dev/net/tun", CHECK_FAIL,
		      "modprobe tun (without devtmpfs: mknod /dev/net/tun c 10 200); networks need it",
		      "run husk as root, or give the user access to /dev/net/tun");
}

enum check_result check_vhost(struct check_line *l)
{
	return device(l, "/dev/vhost-net", CHECK_WARN, "modprobe vhost_net: networks are faster with it",
		      "run husk as root, or give the user access to /dev/vhost-net");
}

/* Built in, loaded, or a module that can be loaded. */
static bool module_there(const char *release, const char *name)
{
	static const char *const lists[] = { "modules.builtin", "modules.dep" };
	CLEAN_FREE char *loaded = xasprintf("/sys/module/%s", name);
	CLEAN_FREE char *needle = xasprintf("/%s.ko", name);

	if (access(loaded, F_OK) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		CLEAN_FREE char *path = xasprintf("/lib/modules/%s/%s", release, lists[i]);
		CLEAN_FREE char *text = file_read_at(AT_FDCWD, path, 16u << 20, NULL);

		if (text && strstr(text, needle))
			return true;
	}
	return false;
}

enum check_result check_tc(struct check_line *l)
{
	static const char *const modules[] = { "sch_ingress", "act_mirred" };
	struct utsname u;

	uname(&u);
	for (size_t i = 0; i < ARRAY_LEN(modules); i++)
		if (!module_there(u.release, modules[i]))
			return check_say(l, CHECK_WARN,
					 "install the kernel's full module package; containers with a network need it",
					 "kernel module %s is not there", modules[i]);
	return check_say(l, CHECK_PASS, "", "sch_ingress and act_mirred are there");
}

enum check_result check_cgroup(struct check_line *l)
{
	CLEAN_FREE char *text = NULL;

	switch (cgroup_host_mode()) {
	case CGROUP_V2:
		text = file_read_at(AT_FDCWD, CGROUP_ROOT "/cgroup.controllers", 4096, NULL);
		if (text)
			text[strcspn(text, "\n")] = '\0';
		if (!text || !strstr(text, "memory") || !strstr(text, "cpu"))
			return check_say(l, CHECK_WARN, "boot without cgroup_disable=, and delegate cpu and memory",
					 "v2, controllers: %s", text ? text : "none");
		return check_say(l, CHECK_PASS, "", "v2, controllers: %s", text);
	case CGROUP_V1:
		return check_say(l, CHECK_PASS, "", "v1 (or hybrid)");
	default:
		return check_say(l, CHECK_FAIL, "mount -t cgroup2 none " CGROUP_ROOT, "no hierarchy on " CGROUP_ROOT);
	}
}

enum check_result check_userns(struct check_line *l)
{
	int status = 0;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(0);
	if (pid < 0)
		return check_say(l, CHECK_WARN, "sysctl -w user.max_user_namespaces=15000: the VMM's jail uses one",
				 "cannot make one: %s", error_errno_text(errno));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return check_say(l, CHECK_PASS, "", "available");
}

enum check_result check_landlock(struct check_line *l)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 0)
		return check_say(l, CHECK_WARN,
				 "boot with lsm=landlock,...: it is one more wall around the VMM, not a condition",
				 "%s", errno == ENOSYS ? "not in this kernel" : "switched off");
	return check_say(l, CHECK_PASS, "", "ABI %ld", abi);
}

enum check_result check_seccomp(struct check_line *l)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		return check_say(l, CHECK_FAIL, "use a kernel with CONFIG_SECCOMP_FILTER", "%s",
				 error_errno_text(errno));
	return check_say(l, CHECK_PASS, "", "filters available");
}

enum check_result check_thp(struct check_line *l)
{
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", 256, NULL);

	if (text && (strstr(text, "[always]") || strstr(text, "[madvise]")))
		return check_say(l, CHECK_PASS, "", "%s", strstr(text, "[always]") ? "always" : "madvise");
	return check_say(l, CHECK_WARN,
			 "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled: VMs start a third faster", "%s",
			 text ? "never" : "not in this kernel");
}

enum check_result check_root_dir(struct check_line *l, const char *root)
{
	int rc = mkdir_parents(root, 0700);

	if (!rc && access(root, W_OK | X_OK) < 0)
		rc = -errno;
	if (rc < 0)
		return check_say(l, CHECK_FAIL, "choose a writable one with --root", "%s: %s", root,
				 error_errno_text(-rc));
	return check_say(l, CHECK_PASS, "", "%s", root);
}
