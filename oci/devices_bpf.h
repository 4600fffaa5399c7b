/* SPDX-License-Identifier: Apache-2.0 */
/* Device rules as a program of type BPF_PROG_TYPE_CGROUP_DEVICE. */
#ifndef HUSK_OCI_DEVICES_BPF_H
#define HUSK_OCI_DEVICES_BPF_H

#include <linux/bpf.h>
#include <stddef.h>

#include "oci/arena.h"
#include "oci/spec.h"

#define DEVICES_INSNS_MAX 8192 /* what the agent takes: 64 KiB */

/**
 * devices_bpf_compile() - make the program
 * @rules:	in the order of the document; a later one beats an earlier one; what none allows is denied
 * @insns:	out, in @a
 * @count:	out
 *
 * Returns 1 when the rules allow everything and no program is needed (*count is 0), 0, or -E2BIG.
 */
int devices_bpf_compile(const struct spec_device_rule *rules, size_t n, struct arena *a, struct bpf_insn **insns,
			size_t *count);

#endif
