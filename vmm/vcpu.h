/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual CPUs: one thread each.
 */
#ifndef HUSK_VMM_VCPU_H
#define HUSK_VMM_VCPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot.h"

struct kvm_run;
struct vm;

struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run; /* shared with KVM */
	pthread_t thread;
	bool started;
	_Atomic uint64_t exits; /* KVM_RUN returns */
};

struct vcpus {
	struct vcpu *v;
	unsigned int n;

	/* pause: under the lock */
	pthread_mutex_t lock;
	pthread_cond_t resume;
	bool pause;
	unsigned int parked;
	void (*paused)(void *arg); /* called in the loop thread once all are parked */
	void *paused_arg;
};

/**
 * vcpus_create() - make the vCPUs and set the registers of the first
 * @text: when it fails, one line for the operator
 *
 * Main thread. Return: 0 or -errno.
 */
int vcpus_create(struct vm *vm, unsigned int n, const struct boot_regs *regs, char *text, size_t text_size);

/* Start all threads; they wait at a gate, paused, for vcpus_resume(). 0 or -errno. */
int vcpus_start(struct vm *vm);

/**
 * vcpus_pause() - stop all vCPUs; vcpus_resume() - let them run on
 * @done: called in the loop thread when all stand still
 *
 * Loop thread. Return: 0, -EALREADY when they are paused or about to be.
 */
int vcpus_pause(struct vm *vm, void (*done)(void *arg), void *arg);
int vcpus_resume(struct vm *vm);
bool vcpus_paused(struct vm *vm);

/* KVM_RUN returns of all vCPUs. */
uint64_t vcpus_exits(const struct vm *vm);

#endif
