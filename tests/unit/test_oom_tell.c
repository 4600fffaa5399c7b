/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own count of OOM kills, moved by oom_tell. A child stands for the init proxy, in a cgroup of its own;
 * where this machine has no memory controller that we may use, nothing can be told, and nothing is tested.
 */
// link: runtime oci
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "runtime/cgroup.h"
#include "runtime/oom_tell.h"
#include "runtime/util.h"

static char dir[256]; /* the cgroup that the child gets */
static bool v1;

/* A cgroup for memory in the place where this machine has them. */
static bool make_cgroup(void)
{
	char *mounts[CGROUP_HIERARCHIES];
	unsigned int n = cgroup_v1_mounts(mounts);

	*dir = '\0';
	v1 = cgroup_host_mode() == CGROUP_V1;
	if (!v1)
		snprintf(dir, sizeof(dir), CGROUP_ROOT "/husk-oom.%d", getpid());
	while (n--) {
		char *file = xasprintf("%s/memory.limit_in_bytes", mounts[n]);

		if (v1 && access(file, W_OK) == 0)
			snprintf(dir, sizeof(dir), "%.200s/husk-oom.%d", mounts[n], getpid());
		free(file);
		free(mounts[n]);
	}
	if (geteuid() == 0 && *dir && mkdir(dir, 0755) == 0)
		return true;
	printf("# no memory controller\n");
	return false;
}

/* A file of the cgroup, by its path from outside. */
static char *cgroup_file(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name), *text = file_read_at(AT_FDCWD, path, 4096, NULL);

	free(path);
	return text ? text : xstrdup("");
}

static const char *limit_file(void)
{
	return v1 ? "memory.limit_in_bytes" : "memory.max";
}

static int in_cgroup(int (*fn)(void))
{
	pid_t pid = fork();
	int st = -1;

	if (pid == 0) {
		char *procs = xasprintf("%s/cgroup.procs", dir);

		_exit(file_write_at(AT_FDCWD, procs, "0") < 0 ? 100 : fn());
	}
	waitpid(pid, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

/* One kill, and the limit is as before. */
static int tell(void)
{
	struct oom_tell o = { .dir = -1 };
	char *limit = cgroup_file(limit_file()), *after;
	pid_t pid;

	oom_tell_open(&o);
	if (o.dir < 0 || o.v1 != v1)
		return 1;
	oom_tell_now(&o);
	pid = waitpid(-1, NULL, 0);
	if (pid <= 0 || !oom_tell_reaped(&o, pid))
		return 2;
	after = cgroup_file(limit_file());
	return strcmp(limit, after) == 0 ? 0 : 3;
}

TEST(a_kill_is_counted_and_the_limit_is_as_before)
{
	char *limit, *events;

	if (!make_cgroup())
		return;
	limit = cgroup_file(limit_file());
	if (*limit) {
		CHECK_EQ(in_cgroup(tell), 0);
		events = cgroup_file(v1 ? "memory.oom_control" : "memory.events");
		CHECK_CONTAINS(events, "oom_kill 1");
		free(events);
	} else {
		printf("# the memory controller is not delegated\n");
	}
	free(limit);
	CHECK_EQ(rmdir(dir), 0);
}

/* The memory controller is mounted, but not where distributions do it. */
static int tell_elsewhere(void)
{
	struct oom_tell o = { .dir = -1 };

	oom_tell_open(&o);
	return o.dir >= 0 && o.v1 ? 0 : 1;
}

TEST(the_v1_controller_is_found_wherever_it_is_mounted)
{
	char place[] = "/tmp/husk-oom.XXXXXX", *at, *name;
	pid_t pid;
	int st;

	if (!make_cgroup())
		return;
	name = strrchr(dir, '/');
	*name = '\0';
	if (v1 && mkdtemp(place)) {
		pid = fork();
		if (pid == 0) {
			if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			    mount("none", place, "cgroup", 0, "memory") < 0 || umount2(dir, MNT_DETACH) < 0)
				_exit(50);
			at = xasprintf("%s/%s", place, name + 1);
			snprintf(dir, sizeof(dir), "%s", at);
			_exit(in_cgroup(tell_elsewhere));
		}
		waitpid(pid, &st, 0);
		CHECK(WIFEXITED(st));
		if (WEXITSTATUS(st) != 50) /* may not mount it: its hierarchy has more controllers */
			CHECK_EQ(WEXITSTATUS(st), 0);
		else
			printf("# cannot mount the memory controller\n");
		rmdir(place);
	}
	*name = '/';
	CHECK_EQ(rmdir(dir), 0);
}
