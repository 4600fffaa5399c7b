/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-fs device (virtio 1.2, 5.11) with the FUSE server inside. How it works is told in fs.c.
 */
#ifndef HUSK_VMM_FS_H
#define HUSK_VMM_FS_H

#include <stdint.h>

#include "memory.h"
#include "virtio.h"

#define FS_SHARES_MAX 512u
#define FS_REQUEST_QUEUES_MAX 8u

/**
 * fs_prepare() - get what the server needs from outside the jail
 *
 * Raises RLIMIT_NOFILE to its hard limit, grows the descriptor table while the process has one thread (later each
 * growth waits for an RCU grace period), ignores SIGXFSZ, and opens /proc/self/fd. In the process that will run the
 * workers, before /proc is out of reach and before fs_create(). Calling it again is harmless.
 *
 * Return: 0 or -errno; without /proc no file can be opened, so there is no share.
 */
int fs_prepare(void);

/**
 * fs_create() - make the device
 * @mem:     guest memory, must outlive the device
 * @nqueues: request queues, 1..FS_REQUEST_QUEUES_MAX; one per vCPU pays with guest kernels from 6.10 on, which are the
 *           first to use more than one
 *
 * Return: the device, with no share and no thread yet, or NULL with errno set.
 */
struct virtio_dev *fs_create(const struct gmem *mem, unsigned int nqueues);

/**
 * fs_set_private() - every share of this device is used by this VM alone
 *
 * The guest may then keep a write-back cache and keep locks to itself, which FUSE allows for a whole connection only.
 * Each share is treated as CTL_SHARE_PRIVATE. Before the driver starts.
 * @tag: the device's tag in place of PLAN_FS_TAG, at most 36 bytes
 */
void fs_set_private(struct virtio_dev *d, const char *tag);

#define FS_WINDOW_MAX (64ull << 30)

/**
 * fs_set_window() - let the guest map files of CTL_SHARE_DAX shares from the host's page cache
 * @gpa:  where the guest shall see the window; not in RAM
 * @size: bytes; like gpa a multiple of 2 MiB, at most FS_WINDOW_MAX. It costs the guest 1/64 of it for its page
 *        structures, and limits what can be mapped at one time to size / 2 MiB pieces of files
 *
 * Once, before the device is attached. fs_window() then is the host's side, for a read-only memory slot.
 * Return: 0 or -errno.
 */
int fs_set_window(struct virtio_dev *d, uint64_t gpa, uint64_t size);
void *fs_window(const struct virtio_dev *d); /* NULL: none */

/**
 * fs_dax_broken() - can a page that the guest may see in the window not be had?
 *
 * Asked when KVM_RUN failed with EFAULT: a file was truncated under its mapping, or the disk has an error. Reads
 * whatever can be read. Any thread; d may be NULL.
 */
bool fs_dax_broken(struct virtio_dev *d);

/**
 * fs_start() - start the worker threads
 * @enter: called in each thread before it serves requests, for instance to drop capabilities and install the filter;
 *         may be NULL
 *
 * By the thread whose credentials and namespaces the workers are to inherit: after the jail is closed, before
 * the guest runs. The workers need the capabilities that fs_cred.c names. activate() calls it if nobody did.
 *
 * Return: 0 or -errno.
 */
int fs_start(struct virtio_dev *d, void (*enter)(void *arg), void *arg);

/**
 * fs_add_share() - make a directory or file visible as a child of the device's root
 * @name:  1..255 bytes without '/', not "." or ".."
 * @fd:    O_PATH descriptor of a directory or of any file but a symbolic link; owned by the device from now on, closed
 *         here on error
 * @flags: CTL_SHARE_*
 *
 * Any thread. Return: 0, -EEXIST, -EINVAL, -ELOOP (symbolic link), -ENOSPC (FS_SHARES_MAX), -errno.
 */
int fs_add_share(struct virtio_dev *d, const char *name, int fd, unsigned int flags);

/**
 * fs_del_share() - take a share away
 *
 * What the guest still knows of it answers ESTALE. On return no descriptor into the share is open, so that the host can
 * unmount it. Any thread but a worker.
 *
 * Return: 0, -ENOENT, or -EBUSY when a request still holds one after 5 s (a file system that hangs); those
 * are closed as soon as the request ends.
 */
int fs_del_share(struct virtio_dev *d, const char *name);

struct fs_stats {
	uint64_t requests, errors; /* answered; of these with an error other than ENOENT and ENODATA */
	uint64_t read_bytes, written_bytes;
	uint64_t evictions; /* descriptors closed because the budget was used up */
	uint32_t inodes, handles, locks, waiters;
	uint32_t fds; /* held for inodes, handles and locks */
	uint32_t inodes_max, fds_max;
};

/* Any thread; figures of running workers may lag behind by a request. */
void fs_stats(struct virtio_dev *d, struct fs_stats *st);

/* Stop the threads, drop all shares, free the device. Not while the transport may still use it. */
void fs_destroy(struct virtio_dev *d);

#endif
