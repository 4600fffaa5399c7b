/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PID 1 does before the loop. Nothing here depends on a guest process; the host controls the
 * command line.
 *
 * The initramfs is the root of the mount tree and cannot be pivoted away (pivot_root(2)). So its
 * copy is mounted over it first, and everything else on that copy: a container's pivot then drops
 * all of the agent's mounts, and what is left at the bottom is an initramfs with nothing mounted on
 * it.
 */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "cgroup.h"
#include "log.h"
#include "mount.h"
#include "net.h"
#include "plan.h"
#include "sys.h"
#include "util.h"
#include "wire.h"

#define CGROUP BOOT_CGROUP
#define THREAD_BYTES 32768u /* what a thread costs the kernel, generously */

void boot_fatal(int err, const char *what)
{
	log_line("fatal: %s: %s", what, strerror(err < 0 ? -err : err));
	dprintf(2, "husk-agent: fatal: %s: %s\n", what, strerror(err < 0 ? -err : err));
	sync();
	reboot(RB_AUTOBOOT);
	_exit(1);
}

void boot_poweroff(void)
{
	sync();
	if (ioperm(WIRE_POWEROFF_PORT, 1, 1) == 0)
		outb(1, WIRE_POWEROFF_PORT);
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	_exit(1);
}

static int own_root(void)
{
	int fd = sys_open_tree(AT_FDCWD, "/", SYS_OPEN_TREE_CLONE | SYS_OPEN_TREE_CLOEXEC), top, r;

	if (fd < 0)
		return fd;
	top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = top < 0 ? -errno : sys_move_mount_fd(fd, top);
	if (r == 0 && (fchdir(fd) || chroot(".")))
		r = -errno;
	fd_close(&top);
	close(fd);
	return r;
}

static const struct boot_mount {
	const char *source, *target, *type, *data;
	unsigned long flags;
	bool needed;
} mounts[] = {
	{ "proc", "/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true },
	{ "sysfs", "/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true },
	{ "devtmpfs", "/dev", "devtmpfs", "mode=0755", MS_NOSUID, true },
	{ "devpts", "/dev/pts", "devpts", "mode=0620,gid=5,ptmxmode=0666", MS_NOSUID | MS_NOEXEC, false },
	{ "mqueue", "/dev/mqueue", "mqueue", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false },
	{ "tmpfs", "/run", "tmpfs", "mode=0755", MS_NOSUID | MS_NODEV, true },
	/* nsdelegate: a container that may write to its cgroup cannot raise its own limits */
	{ "cgroup2", CGROUP, "cgroup2", "nsdelegate", MS_NOSUID | MS_NODEV | MS_NOEXEC, true },
};

/* Children put theirs over these three: they must be taken. */
static void standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd < 3);
	if (fd >= 3)
		close(fd);
}

void boot_mounts(void)
{
	int r = own_root();

	if (r)
		boot_fatal(r, "put the root file system over itself");
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		const struct boot_mount *m = &mounts[i];

		if (mount(m->source, m->target, m->type, m->flags, m->data) == 0)
			continue;
		if (errno == ENOENT && mkdir(m->target, 0755) == 0 &&
		    mount(m->source, m->target, m->type, m->flags, m->data) == 0)
			continue;
		if (m->needed)
			boot_fatal(errno, m->target);
		log_line("mount %s: %s", m->target, strerror(errno));
	}
	standard_fds();
	r = boot_dirs();
	if (r)
		boot_fatal(r, MOUNT_RUN);
}

int boot_dirs(void)
{
	static const char *const dirs[] = { MOUNT_RUN, MOUNT_STAGE, MOUNT_ROOT, PLAN_SHARES, PLAN_PRIVATE };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (mkdir(dirs[i], 0755) && errno != EEXIST)
			return -errno;
	return 0;
}

bool boot_word(const char *word, char *value, unsigned long cap)
{
	char line[4096], *save = NULL;
	size_t n = strlen(word);

	if (file_read(AT_FDCWD, "/proc/cmdline", line, sizeof(line)) < 0)
		return false;
	for (char *w = strtok_r(line, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		if (strncmp(w, word, n) != 0 || (word[n - 1] != '=' && w[n]))
			continue;
		if (value)
			(void)snprintf(value, cap, "%s", w + n);
		return true;
	}
	return false;
}

/*
 * The kernel's own default allows a guest of little memory a few hundred threads: less than a
 * container of a host has.
 */
static void thread_limit(void)
{
	struct sysinfo info;
	char text[32];
	uint64_t max;

	if (sysinfo(&info))
		return;
	max = (uint64_t)info.totalram * info.mem_unit / THREAD_BYTES;
	(void)snprintf(text, sizeof(text), "%llu",
		       (unsigned long long)(max < 2048	     ? 2048
					    : max > 1u << 20 ? 1u << 20
							     : max));
	(void)file_write_str(AT_FDCWD, "/proc/sys/kernel/threads-max", text);
}

static void set_limit(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit r = { soft, hard };

	if (setrlimit(resource, &r))
		log_line("rlimit %d: %s", resource, strerror(errno));
}

/* What a service of a distribution's host gives its containers when the spec says nothing. */
static void limits(void)
{
	(void)file_write_str(AT_FDCWD, "/proc/sys/fs/nr_open", "1073741816");
	/*
	 * The guest is as small as its limits allow: the kernel's guess would refuse an allocation that
	 * a large host grants. What is used too much ends by the cgroup's limit, as everywhere.
	 */
	(void)file_write_str(AT_FDCWD, "/proc/sys/vm/overcommit_memory", "1");
	(void)file_write_str(AT_FDCWD, "/proc/sys/fs/file-max", "9223372036854775807");
	(void)file_write_str(AT_FDCWD, "/proc/sys/kernel/pid_max", "4194304");
	thread_limit();
	set_limit(RLIMIT_NOFILE, 1048576, 1048576);
	set_limit(RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY);
	set_limit(RLIMIT_SIGPENDING, 65536, 65536);
}

/* No such device: an error when the first container wants a share of it. */
static void mount_shares(const char *tag, const char *at)
{
	if (mount(tag, at, "virtiofs", 0, NULL) && errno != ENOENT && errno != ENODEV && errno != EINVAL)
		log_line("mount %s: %s", at, strerror(errno));
}

/*
 * What a container writes to its root and keeps open shall be on the host, for whoever looks at it there, within two
 * seconds instead of thirty. (What is closed is there at once.)
 */
static void writeback_soon(void)
{
	(void)file_write_str(AT_FDCWD, "/proc/sys/vm/dirty_expire_centisecs", "100");
	(void)file_write_str(AT_FDCWD, "/proc/sys/vm/dirty_writeback_centisecs", "100");
}

void boot_settings(void)
{
	int r;

	(void)file_write_str(AT_FDCWD, "/proc/self/oom_score_adj", "-1000");
	limits();
	writeback_soon();
	r = cgroup_init(CGROUP);
	if (r)
		boot_fatal(r, CGROUP);
	r = net_loopback_up();
	if (r)
		log_line("loopback interface: %s", strerror(-r));
	mount_shares(PLAN_FS_TAG, PLAN_SHARES);
	mount_shares(PLAN_PRIVATE_TAG, PLAN_PRIVATE);
}
