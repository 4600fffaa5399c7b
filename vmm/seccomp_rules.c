/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that each kind of thread may make, with the reason. Constant data.
 *
 * A call that is not here ends the VM, so a new call in the code needs its line here, and a line that nothing needs
 * any more has to go: the tests see to both.
 */
#include "seccomp.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/prctl.h>
#include <linux/vhost.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define CALL(call, reason)                                     \
	{                                                      \
		.nr = SYS_##call, .name = #call, .why = reason \
	}
#define RARE(call, reason)                                                   \
	{                                                                    \
		.nr = SYS_##call, .name = #call, .why = reason, .rare = true \
	}
#define CALL_IF(call, argument, how, reason, ...)                                              \
	{                                                                                      \
		.nr = SYS_##call, .name = #call, .why = reason, .check = how, .arg = argument, \
		.nvalues = sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, .value = {                 \
			__VA_ARGS__                                                            \
		}                                                                              \
	}

#define RARE_IF(call, argument, how, reason, ...)                                                            \
	{                                                                                                    \
		.nr = SYS_##call, .name = #call, .why = reason, .rare = true, .check = how, .arg = argument, \
		.nvalues = sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, .value = {                               \
			__VA_ARGS__                                                                          \
		}                                                                                            \
	}

/* No thread makes memory executable: mprotect is nobody's, and mmap only without PROT_EXEC. */
#define COMMON                                                                                               \
	CALL(futex, "locks and conditions between threads"), RARE(close, "descriptors come and go"),         \
		RARE(clock_gettime, "where the vDSO has no clock"), RARE(brk, "malloc grows, free shrinks"), \
		RARE_IF(mmap, 2, CHECK_NO_BITS, "malloc of large pieces, DAX; never executable", PROT_EXEC), \
		RARE(munmap, "free of large pieces"), RARE(rt_sigprocmask, "end of a thread that cannot go on")

#define THREAD_END RARE(exit, "end of a thread that cannot go on")
#define THREAD_MEMORY RARE_IF(madvise, 2, CHECK_IS32, "end of a thread: its stack; tables that shrink", MADV_DONTNEED)

static const struct seccomp_rule vcpu_rules[] = {
	{ .nr = SYS_ioctl,
	  .name = "ioctl",
	  .why = "run the vCPU; its state for error texts; TAP settings when the driver starts; vhost-net, where the "
		 "host has it; a fault for the guest when a mapped file was cut short",
	  .check = CHECK_IS32,
	  .arg = 1,
	  .nvalues = 14,
	  .value = { KVM_RUN, KVM_GET_REGS, KVM_KVMCLOCK_CTRL, TUNSETOFFLOAD, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
		     VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE, VHOST_SET_VRING_NUM, VHOST_SET_VRING_BASE,
		     VHOST_SET_VRING_ADDR, VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL, VHOST_NET_SET_BACKEND },
	  .rare_values = 0x3ffu << 4 },
	CALL(write, "eventfds of devices, messages, console to a file"),
	CALL(rt_sigreturn, "the signal that makes KVM_RUN return"),
	CALL(epoll_ctl, "devices start and stop"),
	RARE(read, "eventfds of devices that stop while they are kicked"),
	RARE(timerfd_settime, "the stream device is reset while a time limit runs"),
	RARE_IF(madvise, 2, CHECK_IS32, "end of the thread: its stack; is a page of a mapped file missing?",
		MADV_DONTNEED, MADV_POPULATE_READ),
	COMMON,
	THREAD_END,
};

static const struct seccomp_rule loop_rules[] = {
	CALL(epoll_wait, "the loop"),
	CALL(read, "eventfds, timers"),
	CALL(write, "eventfds, console, messages"),
	CALL(sendmsg, "vsock streams, control replies"),
	CALL(recvmsg, "vsock streams, control requests"),
	RARE(readv, "frames from a TAP where there is no vhost-net"),
	RARE(writev, "frames to a TAP where there is no vhost-net"),
	CALL(epoll_ctl, "watches"),
	CALL_IF(madvise, 2, CHECK_IS32, "memory given back by the balloon", MADV_DONTNEED),
	CALL(exit_group, "end of the VM"),
	CALL(getrandom, "random device"),
	CALL(timerfd_settime, "time limits of streams"),
	RARE(shutdown, "streams that one side ends before the other"),
	CALL(accept4, "clients of the control socket"),
	CALL_IF(getsockopt, 2, CHECK_IS32, "who the client is", SO_PEERCRED),
	CALL(eventfd2, "a new device"),
	{ .nr = SYS_ioctl,
	  .name = "ioctl",
	  .why = "a new device: its events; its TAP; vhost-net, where the host has it; a block device's new size; how "
		 "many queues of its TAP the guest uses",
	  .check = CHECK_IS32,
	  .arg = 1,
	  .nvalues = 8,
	  .value = { KVM_IOEVENTFD, KVM_IRQFD, TUNSETVNETHDRSZ, VHOST_SET_OWNER, VHOST_GET_FEATURES,
		     VHOST_NET_SET_BACKEND, BLKGETSIZE64, TUNSETQUEUE },
	  .rare_values = 0x1fu << 3 },
	CALL(statx, "a new share"),
	CALL(newfstatat, "a disk's new size"),
	CALL(fstatfs, "a new share"),
	RARE(clock_nanosleep, "the end of a share waits for requests in it"),
	CALL_IF(tgkill, 2, CHECK_IS32, "pause: the signal that makes KVM_RUN return", SIGUSR1),
	CALL(getpid, "pause"),
	RARE(poll, "streams and console that did not take all at the end"),
	COMMON,
};

static const struct seccomp_rule fs_rules[] = {
	CALL(epoll_wait, "requests"),
	RARE(read, "a share that holds /proc: which process an entry is"),
	CALL(write, "eventfds, messages"),
	CALL(preadv2, "read of a file"),
	CALL(pwritev2, "write of a file"),
	CALL(openat2, "one name beneath a directory of a share; a file that is known, by its descriptor"),
	CALL(statx, "attributes"),
	CALL(getdents64, "directories"),
	CALL(readlinkat, "symbolic links; present names of known files"),
	CALL(setfsuid, "what is created belongs to the caller"),
	CALL(setfsgid, "what is created belongs to the caller"),
	CALL(umask, "modes of what is created"),
	CALL(capset, "CAP_FSETID off and on"),
	CALL(lseek, "holes and data"),
	CALL(ftruncate, "sizes"),
	CALL(truncate, "sizes"),
	CALL(fallocate, "space"),
	CALL(fchmodat, "modes"),
	CALL(fchownat, "owners"),
	CALL(utimensat, "times"),
	CALL(unlinkat, "names"),
	CALL(renameat2, "names, exchanged or not replaced"),
	CALL(linkat, "names"),
	CALL(symlinkat, "names"),
	CALL(mkdirat, "names"),
	CALL(mknodat, "names"),
	CALL(getxattr, "extended attributes"),
	CALL(setxattr, "extended attributes"),
	CALL(listxattr, "extended attributes"),
	CALL(removexattr, "extended attributes"),
	CALL(fsync, "durability"),
	CALL(fdatasync, "durability"),
	CALL(syncfs, "durability"),
	CALL(fstatfs, "free space"),
	CALL(copy_file_range, "copies"),
	CALL(flock, "locks"),
	CALL_IF(fcntl, 1, CHECK_IS32, "locks; the root of a share; a descriptor whose close tells errors", F_OFD_SETLK,
		F_OFD_GETLK, F_DUPFD_CLOEXEC),
	CALL_IF(ioctl, 1, CHECK_IS32, "inode flags", FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR),
	CALL(epoll_ctl, "waiting for requests"),
	RARE(sched_yield, "waiting for another thread"),
	THREAD_MEMORY,
	COMMON,
	THREAD_END,
};

static const struct seccomp_rule blk_rules[] = {
	CALL(epoll_wait, "kicks, completions"),
	CALL(io_uring_enter, "file I/O; the ring itself allows four operations on the disks' files"),
	CALL_IF(io_uring_register, 1, CHECK_IS32, "a disk's file in and out of the ring", IORING_REGISTER_FILES_UPDATE),
	RARE(preadv2, "file I/O where there is no io_uring"),
	RARE(pwritev2, "file I/O where there is no io_uring"),
	RARE(fdatasync, "file I/O where there is no io_uring"),
	RARE(fallocate, "file I/O where there is no io_uring"),
	CALL(epoll_ctl, "queues come and go"),
	CALL(read, "its wake-up"),
	CALL(write, "interrupts, messages"),
	THREAD_MEMORY,
	COMMON,
	THREAD_END,
};

size_t seccomp_rules(enum thread_kind kind, const struct seccomp_rule **rules)
{
	switch (kind) {
	case THREAD_VCPU:
		*rules = vcpu_rules;
		return sizeof(vcpu_rules) / sizeof(vcpu_rules[0]);
	case THREAD_LOOP:
		*rules = loop_rules;
		return sizeof(loop_rules) / sizeof(loop_rules[0]);
	case THREAD_FS:
		*rules = fs_rules;
		return sizeof(fs_rules) / sizeof(fs_rules[0]);
	case THREAD_BLK:
		*rules = blk_rules;
		return sizeof(blk_rules) / sizeof(blk_rules[0]);
	case THREAD_KINDS:
		break;
	}
	*rules = NULL;
	return 0;
}
