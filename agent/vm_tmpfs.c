/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OP_VM_TMPFS: a tmpfs that containers of a pod share (their /dev/shm). Runs in the agent, whose mount namespace the
 * children are cloned from; each is mounted once and stays as long as the VM.
 */
#include "vm_tmpfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan_decode.h"

#define VM_TMPFS_MAX 64u

static unsigned int count;

static int add(const char *name, const char *data)
{
	char path[sizeof(PLAN_TMPFS) + 256];
	int err;

	if (!plan_cid_valid(name, strlen(name)) || strlen(name) > 255)
		return -EINVAL;
	if (mkdir(PLAN_TMPFS, 0711) && errno != EEXIST)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/%s", PLAN_TMPFS, name);
	if (mkdir(path, 0755))
		return errno == EEXIST ? 0 : -errno; /* the directory is there: so is the mount */
	err = count >= VM_TMPFS_MAX ? ENOSPC : 0;
	if (!err && mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, *data ? data : NULL))
		err = errno;
	if (err) {
		rmdir(path);
		return -err;
	}
	count++;
	return 0;
}

int vm_tmpfs_make(const struct plan *p, struct fault *f)
{
	struct plan_iter it;
	struct plan_item i;
	int r;

	plan_iter_init(&it, p);
	while (plan_next(&it, &i)) {
		if (i.op != OP_VM_TMPFS)
			continue;
		r = add(i.str[0], i.str[1]);
		if (r)
			return fault_set(f, STAGE_SETUP, r, "shared tmpfs %s", i.str[0]);
	}
	return 0;
}
