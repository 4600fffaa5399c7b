/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of a VM's disks: opening them so that nobody else writes to them.
 */
#ifndef HUSK_RUNTIME_DISK_H
#define HUSK_RUNTIME_DISK_H

#include "../oci/compile.h"
#include "../vmm/control.h"

/**
 * disk_open() - the fd to hand to the VMM
 *
 * A writable device is taken for this VM alone (O_EXCL: not while the host has it mounted), an image file is locked
 * against other VMs (flock): shared by those that read, alone for one that writes.
 * Return: fd, or -1 with *err.
 */
int disk_open(const struct host_disk *d, struct error *err);

/* False: it has none. */
bool disk_limits(const struct host_disk *d, struct ctl_disk_limits *out);

/* What disk_root_find() allocates. */
struct disk_root {
	struct root_disk root;
	char *source, *fstype;
};

/**
 * disk_root_find() - is the root file system a block device's that the host itself cannot write to?
 * @rootfs: absolute path
 *
 * Only then the guest may mount the device, too: two kernels that write to one file system destroy it. True with *out
 * filled, to be released with disk_root_free(); else the root is shared as a directory.
 */
bool disk_root_find(const char *rootfs, struct disk_root *out);
void disk_root_free(struct disk_root *r);

#endif
