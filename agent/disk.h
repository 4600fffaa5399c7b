/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's disks: found by their serial, mounted for a container, and its rights to use them (plan.h, OP_DISK).
 */
#ifndef HUSK_AGENT_DISK_H
#define HUSK_AGENT_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fault.h"
#include "plan_decode.h"

#define DISKS_MAX 8u

/* Take the disks that the plan names for container `cid`: mount them, or make them known. 0, or -1 with *f. */
int disks_take(const struct plan *p, struct fault *f);

/* Does a container have any? */
bool disks_any(const char *cid);

/* Write all back and unmount the container's. Blocks. 0 or -errno. */
int disks_settle(const char *cid);

/* The container is gone. */
void disks_forget(const char *cid);

/* The device of the disk with this serial. 0 or -errno. */
int disk_device(const char *serial, dev_t *dev);

#define DISK_RULES_INSNS (3u + 10u * DISKS_MAX)

/**
 * disk_rules() - the beginning of a device program: what a container may do with its disks
 * @insns: room for DISK_RULES_INSNS instructions of 8 bytes each; the container's own program follows them
 *
 * The numbers of disks are the guest's, so the host's compiler cannot know them. Return: instructions written.
 */
unsigned int disk_rules(const struct plan *p, uint64_t *insns);

#endif
