/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After kill -9 of a container's proxy nobody of it is left to take the redirects off the engine's interfaces, and
 * without their TAP they swallow what arrives. `delete` comes for every container that ended: it runs this, in a child
 * that enters the namespace. Nothing here comes from the guest.
 */
#include "net_clean.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_tc.h"
#include "net_view.h"
#include "netlink.h"
#include "util.h"

/* A TAP of ours is there: another VM has the namespace already, and its redirects are in use. */
static bool in_use(void)
{
	struct if_nameindex *all = if_nameindex();
	bool found = !all;

	for (const struct if_nameindex *i = all; i && i->if_name; i++)
		if (strncmp(i->if_name, NET_TAP_PREFIX, strlen(NET_TAP_PREFIX)) == 0)
			found = true;
	if (all)
		if_freenameindex(all);
	return found;
}

static void __attribute__((noreturn)) child(int ns)
{
	struct net_view v;
	struct error err;
	struct nl_sock *nl;

	if (setns(ns, CLONE_NEWNET) < 0 || in_use())
		_exit(1);
	nl = netlink_open();
	if (!nl || net_view_read(nl, &v, &err) < 0)
		_exit(1);
	for (unsigned int i = 0; i < v.nlinks; i++)
		tc_leave(nl, v.link[i].ifindex);
	_exit(0);
}

void net_clean(const char *path)
{
	CLEAN_FD int ns = -1, own = -1;
	struct stat st, mine;
	struct statfs fs;
	pid_t pid;

	if (strncmp(path, "/proc/", 6) == 0)
		return;
	ns = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ns < 0 || own < 0 || fstatfs(ns, &fs) < 0 || fs.f_type != NSFS_MAGIC || fstat(ns, &st) < 0 ||
	    fstat(own, &mine) < 0 || (st.st_dev == mine.st_dev && st.st_ino == mine.st_ino))
		return;
	pid = fork();
	if (pid == 0)
		child(ns);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
