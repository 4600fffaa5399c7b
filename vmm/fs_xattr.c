/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. Worker threads; the guest controls names, values and sizes.
 *
 * Policy. Passed to the host's file as they are: user.*, trusted.*, security.capability, and the two POSIX ACLs.
 * Everything else, above all security.selinux and its like, means something to the host's own policy and does not
 * exist for the guest: EOPNOTSUPP, and left out of lists.
 *
 * trusted.*, which an overlay in the guest needs, is for CAP_SYS_ADMIN over the whole host. A server in a user
 * namespace, as in the jail, hasn't it, and keeps them aside as user.husk.trusted.*, a name that the guest can use
 * in no other way. (The guest's kernel lets only its own CAP_SYS_ADMIN at trusted.*.)
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

#define ASIDE "user.husk."
#define NAME_BUF (sizeof(ASIDE) + XATTR_NAME_MAX)

static bool is_trusted(const char *name)
{
	return has_prefix(name, XATTR_TRUSTED_PREFIX);
}

static bool allowed(const char *name)
{
	return has_prefix(name, XATTR_USER_PREFIX) || is_trusted(name) || strcmp(name, XATTR_NAME_CAPS) == 0 ||
	       strcmp(name, XATTR_NAME_POSIX_ACL_ACCESS) == 0 || strcmp(name, XATTR_NAME_POSIX_ACL_DEFAULT) == 0;
}

/* Where a trusted attribute is kept when the host doesn't let us set it; false when that is no name any more. */
static bool aside_name(const char *name, char buf[NAME_BUF])
{
	size_t len = strlen(name);

	if (len + sizeof(ASIDE) - 1 > XATTR_NAME_MAX)
		return false;
	memcpy(buf, ASIDE, sizeof(ASIDE) - 1);
	memcpy(buf + sizeof(ASIDE) - 1, name, len + 1);
	return true;
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

static ssize_t get(const char *file, const char *name, void *buf, size_t size)
{
	char aside[NAME_BUF];
	ssize_t n;

	if (has_prefix(name, ASIDE))
		return -ENODATA;
	n = getxattr(file, name, buf, size);
	if (n < 0 && errno == ENODATA && is_trusted(name) && aside_name(name, aside))
		n = getxattr(file, aside, buf, size);
	/* without user attributes there is none aside either */
	return n >= 0 ? n : errno == EOPNOTSUPP && is_trusted(name) ? -ENODATA : -errno;
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
	n = get(fs_fdname(r->node->fd).s, name, query ? NULL : r->out, query ? 0 : size);
	if (n < 0)
		return (int)n;
	if (query)
		return reply_size(r, n);
	r->outlen = (size_t)n;
	return 0;
}

/* Leave in a list what the guest may see, under the names that it knows; returns the list's new length. */
static size_t filter(char *list, size_t len)
{
	size_t kept = 0;

	for (size_t at = 0; at < len;) {
		size_t n = strnlen(list + at, len - at) + 1, skip = 0;

		if (at + n > len)
			break;
		if (has_prefix(list + at, ASIDE))
			skip = sizeof(ASIDE) - 1;
		if (allowed(list + at + skip) && (!skip || is_trusted(list + at + skip))) {
			memmove(list + kept, list + at + skip, n - skip);
			kept += n - skip;
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

static int set(const char *file, const char *name, const void *value, size_t size, int flags)
{
	char aside[NAME_BUF];

	if (has_prefix(name, ASIDE))
		return -EPERM;
	if (setxattr(file, name, value, size, flags) == 0)
		return 0;
	if (errno != EPERM || !is_trusted(name))
		return -errno;
	if (!aside_name(name, aside))
		return -ERANGE;
	return setxattr(file, aside, value, size, flags) ? -errno : 0;
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
	err = set(fs_fdname(r->node->fd).s, name, r->arg + r->argpos, in->size, (int)in->flags);
	if (strip)
		fs_cred_fsetid(r->w, true);
	return err;
}

int fs_op_removexattr(struct fs_req *r)
{
	struct fs_fdname file = fs_fdname(r->node->fd);
	int err = 0;
	const char *name = get_name(r, &err);
	char aside[NAME_BUF];

	if (!name)
		return err;
	if (has_prefix(name, ASIDE))
		return -ENODATA;
	if (removexattr(file.s, name) == 0)
		return 0;
	if ((errno == EPERM || errno == ENODATA) && is_trusted(name) && aside_name(name, aside))
		return removexattr(file.s, aside) ? -errno : 0;
	return -errno;
}
