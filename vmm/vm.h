/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine: what its parts share, how it is put together, and how it ends.
 */
#ifndef HUSK_VMM_VM_H
#define HUSK_VMM_VM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot.h"
#include "kvm.h"
#include "loop.h"
#include "memory.h"
#include "mmio.h"
#include "options.h"
#include "vcpu.h"

struct blk_worker;
struct ctl;
struct ctl_client;
struct serial;
struct sink;

struct vm {
	struct kvm kvm;
	struct gmem mem;
	struct loop *loop;
	struct mmio_bus bus;
	struct vcpus vcpus;
	struct ctl *ctl;		    /* NULL: no control socket */
	struct sink *sink;		    /* NULL: no console */
	struct serial *serial;		    /* NULL: none */
	struct virtio_dev *fs, *own_fs;	    /* shares; those that only this VM writes. NULL: none */
	struct virtio_dev *vsock, *balloon; /* NULL: none */
	struct virtio_dev *hot;		    /* RAM that comes later; NULL: none */
	bool mem_auto;			    /* the guest may ask for it */
	struct blk_worker *blk;		    /* NULL: no disks */
	struct virtio_dev *disk[OPTIONS_DISKS_MAX];
	unsigned int ndisks;
	struct loop_watch owner, boot_timer;

	bool agent;  /* an agent will say when it is ready */
	bool jailed; /* see jail.h */
	uint32_t boot_timeout_ms;
	struct ctl_client *pausing; /* waits for the vCPUs to stand still */

	/* CLOCK_MONOTONIC ns, 0: not reached */
	uint64_t t_start;
	_Atomic uint64_t t_entry, t_ready;

	/* the end: the first thread that says so decides */
	atomic_bool ended;
	int end_status;
	char end_text[384]; /* empty: nothing to say */
};

/* Put the machine together up to the point where the vCPUs can start. Ends the process with a message on failure. */
void vm_create(struct vm *vm, const struct options *o);

/* Start the guest and serve it until it ends. Returns the exit status of husk-vmm; its message is out. */
int vm_run(struct vm *vm);

/**
 * vm_end() - end the VM: the loop stops, and husk-vmm exits
 * @status: exit status of husk-vmm (docs/architecture.md)
 * @fmt:    NULL, or one line for the operator
 *
 * Any thread, any number of times; the first call counts.
 */
void vm_end(struct vm *vm, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The device for a share with these CTL_SHARE_* flags. */
struct virtio_dev *vm_fs_of(const struct vm *vm, uint32_t flags);

/* The guest's memory is short: give it more, if it may have more. Loop thread. */
void vm_grow(void *vm);

/* requests.c: a request on the control socket; a ctl_handler with the VM as its argument. */
struct ctl_req;
void vm_request(void *vm, struct ctl_client *c, const struct ctl_req *req, const char *payload, int *fds,
		unsigned int nfds);

#endif
