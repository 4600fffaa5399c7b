/* SPDX-License-Identifier: Apache-2.0 */
/* From linux.seccomp to the instructions that the guest's kernel takes. */
#ifndef HUSK_OCI_SECCOMP_H
#define HUSK_OCI_SECCOMP_H

#include <linux/filter.h>
#include <stddef.h>

#include "oci/arena.h"
#include "oci/error.h"
#include "oci/spec.h"

#define SECCOMP_INSNS_MAX 4096 /* BPF_MAXINSNS */

/**
 * seccomp_compile() - make the filter
 * @insns:	out, in @a
 * @count:	out, 1..SECCOMP_INSNS_MAX
 *
 * System calls that libseccomp does not know are left out, as runc does. Calls newer than every one that the profile
 * names give ENOSYS instead of the default action when that one denies, so that programs fall back to older calls.
 */
int seccomp_compile(const struct spec_seccomp *s, struct arena *a, struct sock_filter **insns, size_t *count,
		    struct error *err);

#endif
