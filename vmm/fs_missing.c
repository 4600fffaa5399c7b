/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the file server while it is being written: its functions are weak and refuse. To be removed with it.
 */
#include <errno.h>
#include <stddef.h>

#include "fs.h"

#define WEAK __attribute__((weak))

WEAK int fs_prepare(void)
{
	return 0;
}

WEAK struct virtio_dev *fs_create(const struct gmem *mem, unsigned int nqueues)
{
	(void)mem;
	(void)nqueues;
	errno = ENOSYS;
	return NULL;
}

WEAK int fs_start(struct virtio_dev *d, void (*enter)(void *arg), void *arg)
{
	(void)d;
	(void)enter;
	(void)arg;
	return -ENOSYS;
}

WEAK int fs_add_share(struct virtio_dev *d, const char *name, int fd, unsigned int flags)
{
	(void)d;
	(void)name;
	(void)fd;
	(void)flags;
	return -ENOSYS;
}

WEAK int fs_del_share(struct virtio_dev *d, const char *name)
{
	(void)d;
	(void)name;
	return -ENOSYS;
}
