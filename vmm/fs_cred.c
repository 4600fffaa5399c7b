/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a worker is for the host kernel. Each worker thread for itself; the guest controls uid, gid and umask.
 *
 * The guest's kernel checks permissions (virtio-fs always runs with default_permissions), so the server only has to
 * see to it that what is created belongs to the caller, and must never be refused what the guest granted: it
 * keeps CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_CHOWN, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP, and
 * CAP_SETUID and CAP_SETGID to change file system ids, while those are the caller's. Owner, group of set-gid
 * directories, default ACLs and quotas are then the host kernel's work, in one step with the creation. With CAP_FSETID
 * it leaves the set-gid bit alone; the guest, who knows the caller's groups, has already decided about it.
 *
 * Ids and umask are left as they are until somebody else creates something: no other operation depends on them.
 * A server without CAP_SETUID serves a single user, to whom everything belongs.
 */
#include "fs_internal.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HAS(set, cap) ((set)[CAP_TO_INDEX(cap)] & CAP_TO_MASK(cap))

/* The C library's wrappers would change all threads, or do not exist; the kernel's calls change this thread. */
static int thread_caps(bool set, struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(set ? SYS_capset : SYS_capget, &hdr, data) ? -errno : 0;
}

static void set_effective(struct fs_worker *w, bool fsetid)
{
	struct __user_cap_data_struct data[2] = {
		{ .effective = w->cred.effective[0], .permitted = w->cred.permitted[0] },
		{ .effective = w->cred.effective[1], .permitted = w->cred.permitted[1] },
	};

	if (!fsetid)
		data[CAP_TO_INDEX(CAP_FSETID)].effective &= ~CAP_TO_MASK(CAP_FSETID);
	thread_caps(true, data);
}

int fs_cred_prepare(struct fs_worker *w)
{
	/* A current directory of its own, which is where fs_fdname() is looked up, and a umask of its own. */
	if (unshare(CLONE_FS) || fchdir(fs_proc_fd))
		return -errno;
	umask(0);
	/* The server's own groups must not count as the caller's. Who may not drop them switches no ids either. */
	syscall(SYS_setgroups, 0, NULL);
	/* Else a change from fsuid 0 takes the capabilities, and they have to be set again (this needs CAP_SETPCAP). */
	w->cred.keeps_caps = prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) == 0;
	return 0;
}

int fs_cred_init(struct fs_worker *w)
{
	struct fs_cred *c = &w->cred;
	struct __user_cap_data_struct data[2];
	int err = thread_caps(false, data);

	if (err)
		return err;
	c->effective[0] = data[0].effective;
	c->effective[1] = data[1].effective;
	c->permitted[0] = data[0].permitted;
	c->permitted[1] = data[1].permitted;
	c->has_fsetid = HAS(c->effective, CAP_FSETID);
	c->can_switch = HAS(c->effective, CAP_SETUID) && HAS(c->effective, CAP_SETGID);
	c->uid = (uid_t)setfsuid((uid_t)-1);
	c->gid = (gid_t)setfsgid((gid_t)-1);
	return 0;
}

int fs_cred_take(struct fs_worker *w, const struct fuse_in_header *h, uint32_t mask)
{
	struct fs_cred *c = &w->cred;

	mask &= 0777;
	if (c->umask != mask) {
		umask(mask);
		c->umask = mask;
	}
	if (!c->can_switch || (c->uid == h->uid && c->gid == h->gid))
		return 0;
	/* These two calls report nothing but the old value; asked with -1 they change nothing. */
	setfsgid(h->gid);
	setfsuid(h->uid);
	c->gid = (gid_t)setfsgid((gid_t)-1);
	c->uid = (uid_t)setfsuid((uid_t)-1);
	if (!c->keeps_caps)
		set_effective(w, true);
	/* an id that the server's user namespace doesn't map */
	return c->uid == h->uid && c->gid == h->gid ? 0 : -EOVERFLOW;
}

void fs_cred_fsetid(struct fs_worker *w, bool on)
{
	if (w->cred.has_fsetid)
		set_effective(w, on);
}
