/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that the guest asks for, made by twins of the VMM's threads. Linked into husk-vmm by BREACH=1 only.
 * Each twin is made by the thread it is a twin of, just before that one enters the jail, and then enters it the same
 * way.
 */
#include "tests/breach/breach.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/log.h"

/* One call at a time: the guest has one CPU that asks. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool twin[THREAD_KINDS];
	int turn; /* whose it is, -1: nobody's */
	struct breach_call call;
} hole = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .turn = -1 };

static void *twin_main(void *arg)
{
	int kind = (int)(intptr_t)arg;

	jail_thread((enum thread_kind)kind);
	pthread_mutex_lock(&hole.lock);
	for (;;) {
		struct breach_call *c = &hole.call;

		while (hole.turn != kind)
			pthread_cond_wait(&hole.cond, &hole.lock);
		c->result = syscall(c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]);
		if (c->result == -1)
			c->result = -errno;
		hole.turn = -1;
		pthread_cond_broadcast(&hole.cond);
	}
	return NULL;
}

void breach_twin(enum thread_kind kind)
{
	pthread_t thread;
	bool have;

	pthread_mutex_lock(&hole.lock);
	have = hole.twin[kind];
	hole.twin[kind] = true;
	pthread_mutex_unlock(&hole.lock);
	if (!have && pthread_create(&thread, NULL, twin_main, (void *)(intptr_t)kind))
		log_die("cannot start a twin");
}

void breach_serve(const struct gmem *mem, uint64_t gpa)
{
	struct breach_call *guest = gmem_span(mem, gpa, sizeof(*guest)), c;

	if (!guest)
		return;
	memcpy(&c, guest, sizeof(c));
	for (int i = 0; i < 6; i++)
		if (c.pointers >> i & 1)
			c.arg[i] = (uintptr_t)gmem_span(mem, c.arg[i], 1);
	pthread_mutex_lock(&hole.lock);
	if (c.kind < THREAD_KINDS && hole.twin[c.kind]) {
		hole.call = c;
		hole.turn = (int)c.kind;
		pthread_cond_broadcast(&hole.cond);
		while (hole.turn >= 0)
			pthread_cond_wait(&hole.cond, &hole.lock);
		guest->result = hole.call.result;
	} else {
		guest->result = -ESRCH;
	}
	pthread_mutex_unlock(&hole.lock);
}
