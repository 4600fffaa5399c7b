/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources as cgroup v2 files: the conversions of v1 terms (shares, weights, memory+swap) that engines expect, used
 * for the guest's cgroup by the plan compiler and for the host's by the runtime.
 */
#ifndef HUSK_OCI_CGROUP2_H
#define HUSK_OCI_CGROUP2_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "spec.h"

enum cgroup2_side { CGROUP2_GUEST, CGROUP2_HOST };

/* One file to write, in order. Returns 0, or -1 to stop (with the error filled by the callee). */
typedef int (*cgroup2_emit)(void *ctx, const char *file, const char *value, struct error *err);

/**
 * cgroup2_settings() - turn resources into writes to cgroup v2 files
 * @r:		resources; unset members yield nothing
 * @side:	which files: those of the guest's cgroup or of the host's
 * @overhead:	bytes that the VM needs beyond the container's memory limit; added to memory.max of the host
 *
 * Values that contradict each other (swap below memory, burst above quota) are errors. A line "io.weight"
 * is emitted for the host's blkio weight: where io.bfq.weight exists, the caller writes cgroup2_bfq_weight() instead.
 */
int cgroup2_settings(const struct spec_resources *r, enum cgroup2_side side, uint64_t overhead, cgroup2_emit emit,
		     void *ctx, struct error *err);

/* cpu.shares (2..262144) to cpu.weight (1..10000), the quadratic form of runc and crun: 1024 gives 100. */
uint64_t cgroup2_cpu_weight(uint64_t shares);

/* blkio weight (10..1000) to io.weight (1..10000). */
uint64_t cgroup2_io_weight(uint32_t weight);

/* linux.cgroupsPath taken apart. */
struct cgroup_path {
	char path[4096];  /* cgroupfs driver: absolute below the mount, cleaned */
	char slice[256];  /* systemd driver: "system.slice" */
	char prefix[256]; /* may be empty */
	char name[256];
	char unit[600]; /* "PREFIX-NAME.scope", or NAME when it ends in ".slice" */
};

/**
 * cgroup_path_parse() - where the container's cgroup is
 * @text:	linux.cgroupsPath, or NULL
 * @systemd:	the systemd driver is used: text is "slice:prefix:name"
 * @id:		container id: the defaults are /husk/ID and system.slice:husk:ID
 * @rootless:	the default slice is user.slice
 *
 * With systemd, .path is filled too: the slice expanded ("a-b.slice" is /a.slice/a-b.slice), then the unit.
 */
int cgroup_path_parse(const char *text, bool systemd, const char *id, bool rootless, struct cgroup_path *out,
		      struct error *err);

#endif
