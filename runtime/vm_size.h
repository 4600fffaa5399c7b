/* SPDX-License-Identifier: Apache-2.0 */
/* How big a VM is made for a container. */
#ifndef HUSK_RUNTIME_VM_SIZE_H
#define HUSK_RUNTIME_VM_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "../oci/compile.h"
#include "../oci/spec.h"

#define VM_GUEST_EXTRA_MIB 48u /* guest kernel, agent and page tables, beside the container's limit */
#define VM_HOST_EXTRA_MIB 32u  /* VMM, proxies, page tables on the host, beside the guest's RAM */
#define VM_DEFAULT_MIB 512u    /* without a limit, at the start */
#define VM_MIN_MIB 64u

struct vm_size {
	uint32_t mem_mib;
	uint32_t max_mib; /* what it may grow to */
	bool grows;	  /* by itself: nobody limits it */
	uint32_t cpus;
	uint32_t dax_own_mib, dax_mib; /* DAX windows for the root, for other shares; 0: none */
	uint64_t overhead;	       /* bytes to add to a memory limit for the host's cgroup */
};

struct vm_size vm_size(const struct spec *spec, const struct host_plan *host);

#endif
