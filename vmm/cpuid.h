/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest sees of its CPU.
 */
#ifndef HUSK_VMM_CPUID_H
#define HUSK_VMM_CPUID_H

struct kvm_cpuid2;

/**
 * cpuid_get() - what this host's KVM can show, cut down to what husk's guests shall see
 * @sys: /dev/kvm
 *
 * Return: a table that cpuid_apply() adapts to each vCPU, to be freed with free(); NULL with errno set.
 */
struct kvm_cpuid2 *cpuid_get(int sys);

/**
 * cpuid_apply() - write the topology of vCPU @id of @n into the table, and give it to the vCPU
 *
 * One package, n cores, one thread each; APIC id = id. Return: 0 or -errno.
 */
int cpuid_apply(struct kvm_cpuid2 *c, int vcpu_fd, unsigned int id, unsigned int n);

#endif
