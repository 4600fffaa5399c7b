/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. Worker threads; the guest controls names, values and sizes.
 *
 * Policy. Passed to the host's file as they are: user.*, trusted.* (which an overlay in the guest needs; guest
 * processes need CAP_SYS_ADMIN for them, and so does the server), security.capability, and the two POSIX ACLs.
 * Everything else, above all security.selinux and its like, means something to the host's own policy and does not
 * exist for the guest: EOPNOTSUPP, and left out of lists.
 *
 * There are no calls for xattrs of an O_PATH descriptor, so they go by its name in the worker's current directory,
 * which is /proc/self/fd (fs_cred.c); that reaches symbolic links, sockets and fifos without opening anything.
 */
#include "fs_internal.h"

#include <errno.h>
#include <linux/xattr.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool has_prefix(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && name[n];
}

static bool allowed(const char *name)
{
	return has_prefix(name, XATTR_USER_PREFIX) || has_prefix(name, XATTR_TRUSTED_PREFIX) ||
	       strcmp(name, XATTR_NAME_CAPS) == 0 || strcmp(name, XATTR_NAME_POSIX_ACL_ACCESS) == 0 ||
	       strcmp(name, XATTR_NAME_POSIX_ACL_DEFAULT) == 0;
}

/* The attribute's name from the request. */
static const char *get_name(struct fs_req *r, int *err)
{
	const char *name = fs_req_string(r, XATTR_NAME_MAX, err);

	if (name && !allowed(name)) {
		*err = -EOPNOTSUPP;
		return NULL;
	}
	return name;
}

/* A size alone, which the guest asked for with size 0. */
static int reply_size(struct fs_req *r, ssize_t n)
{
	struct fuse_getxattr_out *out;

	if (r->room < sizeof(*out))
		return -EINVAL;
	out = fs_req_out(r, sizeof(*out));
	out->size = (uint32_t)n;
	return 0;
}

int fs_op_getxattr(struct fs_req *r)
{
	const struct fuse_getxattr_in *in = (const void *)r->arg;
	size_t size = in->size < r->room ? in->size : r->room;
	bool query = in->size == 0;
	const char *name;
	ssize_t n;
	int err = 0;

	r->argpos = sizeof(*in);
	name = get_name(r, &err);
	if (!name)
		return err;
	if (!r->node)
		return -ENODATA;
	n = getxattr(fs_fdname(r->node->fd).s, name, query ? NULL : r->out, query ? 0 : size);
	if (n < 0)
		return -errno;
	if (query)
		return reply_size(r, n);
	r->outlen = (size_t)n;
	return 0;
}

/* Take the names that the guest may not see out of a list; returns what is left of it. */
static size_t filter(char *list, size_t len)
{
	size_t kept = 0;

	for (size_t at = 0; at < len;) {
		size_t n = strnlen(list + at, len - at) + 1;

		if (at + n > len)
			break;
		if (allowed(list + at)) {
			memmove(list + kept, list + at, n);
			kept += n;
		}
		at += n;
	}
	return kept;
}

int fs_op_listxattr(struct fs_req *r)
{
	const struct fuse_getxattr_in in = *(const struct fuse_getxattr_in *)(const void *)r->arg;
	char *list = (char *)r->w->in; /* FS_IN_MAX is more than XATTR_LIST_MAX */
	size_t len;
	ssize_t n = 0;

	if (r->node)
		n = listxattr(fs_fdname(r->node->fd).s, list, XATTR_LIST_MAX);
	if (n < 0)
		return -errno;
	len = filter(list, (size_t)n);
	if (in.size == 0)
		return reply_size(r, (ssize_t)len);
	if (len > in.size || len > r->room)
		return -ERANGE;
	memcpy(r->out, list, len);
	r->outlen = len;
	return 0;
}

int fs_op_setxattr(struct fs_req *r)
{
	const struct fuse_setxattr_in *in = (const void *)r->arg;
	bool ext = r->fs->setxattr_ext, strip;
	size_t head = ext ? sizeof(*in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
	const char *name;
	int err = 0;

	if (r->arglen < head)
		return -EINVAL;
	strip = ext && (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID);
	r->argpos = head;
	name = get_name(r, &err);
	if (!name)
		return err;
	if (in->size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (in->size > r->arglen - r->argpos)
		return -EINVAL;
	/* The caller isn't in the file's group, so a new ACL takes the set-gid bit: as that caller it does. */
	if (strip) {
		err = fs_cred_take(r->w, &r->h, r->w->cred.umask);
		if (err)
			return err;
		fs_cred_fsetid(r->w, false);
	}
	if (setxattr(fs_fdname(r->node->fd).s, name, r->arg + r->argpos, in->size, (int)in->flags))
		err = -errno;
	if (strip)
		fs_cred_fsetid(r->w, true);
	return err;
}

int fs_op_removexattr(struct fs_req *r)
{
	int err = 0;
	const char *name = get_name(r, &err);

	if (!name)
		return err;
	return removexattr(fs_fdname(r->node->fd).s, name) ? -errno : 0;
}
