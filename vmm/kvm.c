/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's system and VM descriptors: opening, capabilities, memory slots, event descriptors.
 * Main thread before the guest runs; kvm_ioeventfd() and kvm_irqfd() also from the loop when a device is plugged.
 */
#include "kvm.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KVM_PATH "/dev/kvm"

/* Three pages that KVM on Intel needs in the guest's address space for real mode, above all RAM below 4 GiB. */
#define TSS_ADDR 0xfffbd000ul
#define IDENTITY_MAP_ADDR 0xfffbc000ull

static bool cpu_has_virtualisation(void)
{
	unsigned int a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5))
		return true;						 /* VMX */
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 2); /* SVM */
}

static void explain_open(int err, char *text, size_t size)
{
	struct stat st;

	switch (err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		if (cpu_has_virtualisation())
			snprintf(text, size,
				 "no " KVM_PATH
				 ": the KVM module is not loaded, or virtualisation is off in the firmware; "
				 "try `modprobe kvm_intel` or `modprobe kvm_amd`, and in a container pass the device");
		else
			snprintf(text, size,
				 "no " KVM_PATH
				 ": this CPU shows no hardware virtualisation; switch VT-x or AMD-V on in the "
				 "firmware, or nested virtualisation when this is itself a virtual machine");
		break;
	case EACCES:
		if (stat(KVM_PATH, &st) == 0 && (st.st_mode & 0060) == 0060)
			snprintf(text, size,
				 "no permission for " KVM_PATH ": add this user to the group that has it, gid %u "
				 "(usually `usermod -aG kvm USER`, then log in again), or run as root",
				 (unsigned int)st.st_gid);
		else
			snprintf(text, size,
				 "no permission for " KVM_PATH
				 ", and no group has it: run as root, or `chgrp kvm " KVM_PATH "; chmod 660 " KVM_PATH
				 "` and add this user to group kvm");
		break;
	case EPERM:
		snprintf(text, size,
			 "opening " KVM_PATH
			 " is forbidden by this cgroup's device rules: allow character device 10:232");
		break;
	default:
		snprintf(text, size, "cannot open " KVM_PATH ": %s", strerror(err));
	}
}

int kvm_open(struct kvm *k, char *text, size_t text_size)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{ KVM_CAP_USER_MEMORY, "user memory" },
		{ KVM_CAP_IRQCHIP, "in-kernel interrupt controllers" },
		{ KVM_CAP_IRQFD, "irqfd" },
		{ KVM_CAP_IOEVENTFD, "ioeventfd" },
		{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
		{ KVM_CAP_SET_TSS_ADDR, "TSS address" },
		{ KVM_CAP_EXT_CPUID, "CPUID" },
	};
	int n;

	memset(k, 0, sizeof(*k));
	k->vm = -1;
	k->sys = open(KVM_PATH, O_RDWR | O_CLOEXEC);
	if (k->sys < 0) {
		int err = errno;

		explain_open(err, text, text_size);
		return -err;
	}
	n = ioctl(k->sys, KVM_GET_API_VERSION, 0);
	if (n != KVM_API_VERSION) {
		snprintf(text, text_size, KVM_PATH " is not KVM (API version %d, %d is needed)", n, KVM_API_VERSION);
		kvm_close(k);
		return -ENOTTY;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (ioctl(k->sys, KVM_CHECK_EXTENSION, needed[i].cap) > 0)
			continue;
		snprintf(text, text_size,
			 "this host's KVM lacks a feature (%s): a Linux kernel of 4.12 or newer is needed",
			 needed[i].name);
		kvm_close(k);
		return -ENOTSUP;
	}
	n = ioctl(k->sys, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	k->vcpus_max = n > 0 ? (unsigned int)n : 4;
	k->readonly_mem = ioctl(k->sys, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) > 0;
	k->kvmclock_ctrl = ioctl(k->sys, KVM_CHECK_EXTENSION, KVM_CAP_KVMCLOCK_CTRL) > 0;
	n = ioctl(k->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (n < 4096) {
		snprintf(text, text_size, KVM_PATH " gives no size for a vCPU's shared page");
		kvm_close(k);
		return -ENOTSUP;
	}
	k->run_size = (size_t)n;
	return 0;
}

int kvm_create(struct kvm *k, char *text, size_t text_size)
{
	uint64_t identity = IDENTITY_MAP_ADDR;
	const char *step = "create the VM";
	int ret = 0;

	do
		k->vm = ioctl(k->sys, KVM_CREATE_VM, 0);
	while (k->vm < 0 && errno == EINTR);
	if (k->vm < 0)
		goto fail;
	step = "place its real-mode pages";
	if (ioctl(k->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) || ioctl(k->vm, KVM_SET_TSS_ADDR, TSS_ADDR))
		goto fail;
	step = "create its interrupt controllers";
	if (ioctl(k->vm, KVM_CREATE_IRQCHIP, 0))
		goto fail;
	return 0;
fail:
	ret = -errno;
	snprintf(text, text_size, "KVM cannot %s: %s%s", step, strerror(-ret),
		 ret == -EBUSY	  ? " (another hypervisor holds the CPU's virtualisation; stop it)"
		 : ret == -ENOMEM ? " (the host is short of memory, or this cgroup's limit is)"
				  : "");
	return ret;
}

void kvm_close(struct kvm *k)
{
	if (k->vm >= 0)
		close(k->vm);
	if (k->sys >= 0)
		close(k->sys);
	k->vm = k->sys = -1;
}

int kvm_map(struct kvm *k, uint64_t gpa, uint64_t size, void *host, bool readonly)
{
	struct kvm_userspace_memory_region r = {
		.slot = k->slots,
		.flags = readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &r))
		return -errno;
	k->slots++;
	return 0;
}

int kvm_map_ram(struct kvm *k, const struct gmem *mem)
{
	for (unsigned int i = 0; i < mem->nregions; i++) {
		const struct gmem_region *r = &mem->region[i];
		int ret = kvm_map(k, r->gpa, r->size, r->host, false);

		if (ret)
			return ret;
	}
	return mem->hot.size ? kvm_map(k, mem->hot.gpa, mem->hot.size, mem->hot.host, false) : 0;
}

int kvm_ioeventfd(const struct kvm *k, uint64_t gpa, uint32_t len, uint64_t value, int fd, bool on)
{
	struct kvm_ioeventfd e = {
		.addr = gpa,
		.len = len,
		.fd = fd,
		.datamatch = value,
		.flags = (len ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) | (on ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(k->vm, KVM_IOEVENTFD, &e) ? -errno : 0;
}

int kvm_irqfd(const struct kvm *k, uint32_t gsi, int fd, bool on)
{
	struct kvm_irqfd e = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = on ? 0u : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(k->vm, KVM_IRQFD, &e) ? -errno : 0;
}
