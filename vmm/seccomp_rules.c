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
#include <sched.h>
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

/* What every thread does. */
#define COMMON                                                                                                      \
	CALL(futex, "locks and conditions between threads"), CALL(close, "descriptors come and go"),                \
		CALL(brk, "malloc"), CALL_IF(mmap, 2, CHECK_NO_BITS, "malloc; never executable", PROT_EXEC),        \
		CALL_IF(mprotect, 2, CHECK_NO_BITS, "malloc; never executable", PROT_EXEC), CALL(munmap, "malloc"), \
		CALL(rt_sigprocmask, "end of a thread"), CALL(exit, "end of a thread"),                             \
		CALL(exit_group, "end of the VM"), CALL(clock_gettime, "where the vDSO has no clock")

static const struct seccomp_rule vcpu_rules[] = {
	CALL_IF(ioctl, 1, CHECK_IS32, "run the vCPU; its state for error texts; TAP settings when the driver starts",
		KVM_RUN, KVM_GET_REGS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_KVMCLOCK_CTRL, TUNSETOFFLOAD,
		TUNSETQUEUE),
	CALL(write, "eventfds of devices, messages, console to a file"),
	CALL(rt_sigreturn, "the signal that makes KVM_RUN return"),
	CALL(epoll_ctl, "devices start and stop"),
	CALL(read, "eventfds of devices that stop"),
	CALL(timerfd_settime, "devices start and stop"),
	CALL_IF(madvise, 2, CHECK_IS32, "end of the thread: its stack; is a DAX page missing?", MADV_DONTNEED,
		MADV_POPULATE_READ),
	COMMON,
};

static const struct seccomp_rule loop_rules[] = {
	CALL(epoll_wait, "the loop"),
	CALL(read, "eventfds, timers"),
	CALL(write, "eventfds, console, messages"),
	CALL(sendmsg, "vsock streams, control replies"),
	CALL(recvmsg, "vsock streams, control requests"),
	CALL(readv, "frames from a TAP"),
	CALL(writev, "frames to a TAP"),
	CALL(epoll_ctl, "watches"),
	CALL_IF(madvise, 2, CHECK_IS32, "memory given back by the balloon", MADV_DONTNEED),
	CALL(getrandom, "random device"),
	CALL(timerfd_settime, "time limits of streams"),
	CALL(shutdown, "half-closed streams"),
	CALL(accept4, "clients of the control socket"),
	CALL_IF(getsockopt, 2, CHECK_IS32, "who the client is", SO_PEERCRED),
	CALL_IF(fcntl, 1, CHECK_IS32, "a new share or disk", F_GETFL, F_GETFD, F_DUPFD_CLOEXEC),
	CALL(eventfd2, "a new device"),
	CALL_IF(ioctl, 1, CHECK_IS32, "a new device: its events; its TAP", KVM_IOEVENTFD, KVM_IRQFD, TUNSETVNETHDRSZ,
		BLKGETSIZE64),
	CALL(statx, "a new share"),
	CALL(newfstatat, "a new share"),
	CALL(fstatfs, "a new share"),
	CALL(nanosleep, "the end of a share waits for requests in it"),
	CALL(clock_nanosleep, "the end of a share waits for requests in it"),
	CALL(tgkill, "pause"),
	CALL(getpid, "pause"),
	CALL(rt_sigreturn, "the end"),
	CALL(poll, "the last bytes of streams and console at the end"),
	COMMON,
};

static const struct seccomp_rule fs_rules[] = {
	CALL(epoll_wait, "requests"),
	CALL(read, "eventfds"),
	CALL(write, "eventfds, messages"),
	CALL(preadv2, "read of a file"),
	CALL(pwritev2, "write of a file"),
	CALL(preadv, "read of a file"),
	CALL(pwritev, "write of a file"),
	CALL(openat2, "one name beneath a directory of a share"),
	CALL(openat, "a file that is known, by its descriptor"),
	CALL(statx, "attributes"),
	CALL(newfstatat, "attributes"),
	CALL(getdents64, "directories"),
	CALL(readlinkat, "symbolic links; present names of known files"),
	CALL(setfsuid, "what is created belongs to the caller"),
	CALL(setfsgid, "what is created belongs to the caller"),
	CALL(umask, "modes of what is created"),
	CALL(capset, "CAP_FSETID off and on"),
	CALL(capget, "CAP_FSETID off and on"),
	CALL(lseek, "holes and data"),
	CALL(ftruncate, "sizes"),
	CALL(truncate, "sizes"),
	CALL(fallocate, "space"),
	CALL(fchmodat, "modes"),
	CALL(fchownat, "owners"),
	CALL(utimensat, "times"),
	CALL(unlinkat, "names"),
	CALL(renameat, "names"),
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
	CALL_IF(fcntl, 1, CHECK_IS32, "locks; direct I/O and append of an open file", F_OFD_SETLK, F_OFD_GETLK, F_GETFL,
		F_SETFL, F_DUPFD_CLOEXEC),
	CALL_IF(ioctl, 1, CHECK_IS32, "inode flags", FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR),
	CALL(dup, "a descriptor whose close tells errors of writing"),
	CALL(epoll_ctl, "waiting for requests"),
	CALL(epoll_create1, "waiting for requests"),
	CALL(madvise, "buffers given back"),
	CALL(getrandom, "generations of node ids; malloc"),
	CALL(nanosleep, "waiting for a lock"),
	CALL(clock_nanosleep, "waiting for a lock"),
	CALL(sched_yield, "waiting for another thread"),
	COMMON,
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
	CALL_IF(madvise, 2, CHECK_IS32, "end of the thread: its stack", MADV_DONTNEED),
	COMMON,
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
