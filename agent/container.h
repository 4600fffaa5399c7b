/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers of this VM: table and life, from CREATE to DESTROY. All functions are the loop's;
 * none blocks. Requests answer through session_ok() and session_fail(), at once or later.
 */
#ifndef HUSK_AGENT_CONTAINER_H
#define HUSK_AGENT_CONTAINER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "fault.h"
#include "idmap.h"
#include "loop.h"
#include "wire.h"

#define CONTAINERS_MAX 256u
#define DESTROYERS_MAX 8u

struct process;
struct session;
struct job;

enum container_state {
	CONTAINER_BUILDING,
	CONTAINER_CREATED,
	CONTAINER_STARTING,
	CONTAINER_RUNNING,
	CONTAINER_STOPPED, /* its init is dead */
};

struct container {
	struct container *next;
	char *cid;
	unsigned int slot;
	enum container_state state;
	struct process *init; /* NULL before and after */
	int cgroup;	      /* O_DIRECTORY fd */
	char cgroup_path[PATH_MAX];
	int devices;			/* program of its device rules, -1: none */
	int watch_events, watch_memory; /* inotify descriptors, -1: none */
	uint64_t namespaces;		/* CLONE_NEW*: those that are not the agent's */
	int oom_score;			/* oom_score_adj of its init */
	bool writes_shares;		/* dirty files of the host are possible */
	struct idmap ids;
	int64_t oom_kills;
	bool oom;
	bool paused;  /* from the request to freeze on */
	bool settled; /* all of it is dead and written back: EXIT may be sent */
	bool doomed;  /* to be removed as soon as it is empty */
	struct session *starter;
	struct session *pauser; /* whose PAUSE is not done */
	struct job *pause_job;
	struct timer pause_limit;
	struct session *destroyer[DESTROYERS_MAX];
	struct timer remover, settle_limit, remove_limit;
	struct job *sync_job, *remove_job;
};

/* 0 or -errno. */
int container_init(void);

struct container *container_find(const char *cid, size_t len);
unsigned int container_count(void);

/* Requests. */
void container_create(struct session *s, const uint8_t *plan, size_t len);
void container_exec(struct session *s, const uint8_t *plan, size_t len);
void container_start(struct session *s, const char *cid, size_t len);
void container_destroy(struct session *s, const char *cid, size_t len);

/* Write dirty files of the host's shares back, in a job. NULL when it cannot be started. */
struct job *container_writeback(void (*done)(void *ctx, const struct fault *f, const uint8_t *data, size_t len),
				void *ctx);

/* What happened to a process of it. */
void container_process_maps(struct process *p);
void container_process_ready(struct process *p);
void container_process_started(struct process *p);
/*
 * Before it was executed; answered here. p is freed by the caller unless its container was created
 * already.
 */
void container_process_failed(struct process *p, const struct fault *f);
void container_process_dead(struct process *p);
void container_process_gone(struct process *p); /* EXIT is sent, or nobody wants it */
void container_hangup(struct process *init);	/* the init session closed */

#endif
