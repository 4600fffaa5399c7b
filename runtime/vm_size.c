/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How big a VM is made for a container: guest RAM follows the memory limit, vCPUs follow the CPU quota.
 */
#include "vm_size.h"

#include <sched.h>
#include <unistd.h>

#define MIB (1024u * 1024u)
#define VM_MAX_MIB (1u << 20)	  /* 1 TiB */
#define VM_GROWN_MIB (192u << 10) /* what fits below the windows for files */
#define VM_DEFAULT_CPUS 4u
#define VM_DAX_MIN_MIB 128u
#define VM_DAX_MAX_MIB 1024u

/*
 * A DAX window costs the guest 1/64 of its size in page structures: half of the RAM, so 1/128 of it. Less than 128 MiB
 * makes no sense, since structures are made for so much at once; more than 1 GiB is 512 files mapped at a time.
 */
static uint32_t window_mib(uint32_t mem_mib)
{
	uint32_t mib = mem_mib / 2 / VM_DAX_MIN_MIB * VM_DAX_MIN_MIB;

	return mib < VM_DAX_MIN_MIB ? VM_DAX_MIN_MIB : mib > VM_DAX_MAX_MIB ? VM_DAX_MAX_MIB : mib;
}

static void windows(struct vm_size *s, const struct host_plan *host)
{
	for (size_t i = 0; i < host->nshares; i++) {
		if (host->shares[i].dax && host->shares[i].is_root)
			s->dax_own_mib = window_mib(s->mem_mib);
		else if (host->shares[i].dax)
			s->dax_mib = window_mib(s->mem_mib);
	}
}

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
	windows(&s, host);

	s.max_mib = (uint32_t)(host_mib < VM_GROWN_MIB ? host_mib : VM_GROWN_MIB) & ~1u;
	if (s.max_mib < s.mem_mib)
		s.max_mib = s.mem_mib;
	s.grows = !host->memory_limit && !spec->husk.memory.set;

	if (!s.cpus)
		s.cpus = online > 0 && online < VM_DEFAULT_CPUS ? (uint32_t)online : VM_DEFAULT_CPUS;
	if (spec->husk.vcpus.set)
		s.cpus = spec->husk.vcpus.v;

	s.overhead = (uint64_t)VM_HOST_EXTRA_MIB * MIB;
	if (host->memory_limit && (uint64_t)s.mem_mib * MIB > host->memory_limit)
		s.overhead += (uint64_t)s.mem_mib * MIB - host->memory_limit;
	return s;
}
