/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail around husk-vmm: what is left to it, and to each of its threads, when the guest starts.
 */
#ifndef HUSK_VMM_JAIL_H
#define HUSK_VMM_JAIL_H

#include <stdbool.h>

/* What a thread does decides which system calls it may make (seccomp.c). */
enum thread_kind {
	THREAD_LOOP, /* control socket and most devices: the main thread */
	THREAD_VCPU,
	THREAD_FS,  /* workers of the file server */
	THREAD_BLK, /* the worker of the disks */
	THREAD_KINDS,
};

/**
 * jail_isolate() - own user, mount, IPC, UTS and network namespaces, no new privileges
 *
 * Main thread, the only one yet, before it has secrets or much memory. Ends the process with a message on failure,
 * as all functions here but jail_thread() do.
 */
void jail_isolate(void);

/**
 * jail_detach() - make a descriptor of a directory or file the root of a mount of its own, so that ".." ends at it
 *
 * Main thread, before jail_isolate(). Needs the right to mount. Without it, or when the descriptor is of such a mount
 * already (the runtime's are), it stays as it is.
 */
void jail_detach(int fd);

/**
 * jail_close() - leave the file system behind, and all privileges but the file server's
 *
 * Main thread, the only one still, when everything that needs a path is open. The threads of the file server are
 * started after this.
 */
void jail_close(void);

/**
 * jail_drop() - give up the file server's privileges, too
 *
 * Main thread, after the file server's threads have been started; threads started later have none either.
 */
void jail_drop(void);

/**
 * jail_thread() - close the jail around the calling thread: file system access by Landlock, system calls by seccomp
 *
 * First thing that a thread does; last thing that the main thread does before the guest runs. A forbidden system
 * call ends the process with SIGSYS from then on. When it fails the process ends: a thread must not run outside.
 */
void jail_thread(enum thread_kind kind);

#endif
