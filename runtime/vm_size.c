/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How big a VM is made for a container: guest RAM follows the memory limit, vCPUs follow the CPU quota.
 */
#include "vm_size.h"

#include <sched.h>
#include <unistd.h>

#define MIB (1024u * 1024u)
#define VM_MAX_MIB (1u << 20) /* 1 TiB */
#define VM_DEFAULT_CPUS 4u

struct vm_size vm_size(const struct spec *spec, const struct host_plan *host)
{
	struct vm_size s = { .mem_mib = VM_DEFAULT_MIB, .cpus = host->vcpus };
	uint64_t host_mib = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / MIB;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (host->memory_limit) {
		uint64_t mib = (host->memory_limit - 1) / MIB + 1 + VM_GUEST_EXTRA_MIB;

		/* a limit above what the host has says "no limit" */
		if (mib > host_mib)
			mib = host_mib > VM_DEFAULT_MIB ? host_mib : VM_DEFAULT_MIB;
		s.mem_mib = (uint32_t)(mib < VM_MAX_MIB ? mib : VM_MAX_MIB);
	}
	if (spec->husk.memory.set)
		s.mem_mib = spec->husk.memory.v;
	if (s.mem_mib < VM_MIN_MIB)
		s.mem_mib = VM_MIN_MIB;
	s.mem_mib = (s.mem_mib + 1) & ~1u; /* huge pages */

	if (!s.cpus)
		s.cpus = online > 0 && online < VM_DEFAULT_CPUS ? (uint32_t)online : VM_DEFAULT_CPUS;
	if (spec->husk.vcpus.set)
		s.cpus = spec->husk.vcpus.v;

	s.overhead = (uint64_t)VM_HOST_EXTRA_MIB * MIB;
	if (host->memory_limit && (uint64_t)s.mem_mib * MIB > host->memory_limit)
		s.overhead += (uint64_t)s.mem_mib * MIB - host->memory_limit;
	return s;
}
