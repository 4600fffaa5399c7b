/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating a container: what `create` and `run` share.
 */
#ifndef HUSK_RUNTIME_LAUNCH_H
#define HUSK_RUNTIME_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "container.h"
#include "husk.h"

/* state.extra: the cgroups are named, but not known to be ours yet: nothing in them may be killed. */
#define EXTRA_CGROUPS_PLANNED "cgroups_planned"

struct launch_options {
	const char *bundle;	    /* NULL: current directory */
	const char *pid_file;	    /* NULL: none */
	const char *console_socket; /* NULL: none */
	const char *pidfd_socket;   /* NULL: none */
	const char *preserve_fds;   /* NULL: none */
	bool foreground;	    /* `run` without --detach: a terminal may be our own stdio */
};

struct launched {
	struct container c; /* locked */
	pid_t pid;	    /* the proxy, our child */
	int sync;	    /* to it */
	struct spec *spec;
};

/**
 * launch() - from a bundle to a created container, up to and including the pid file
 *
 * When it fails nothing is left. 0 or -1 with *err; launched_close() in both cases.
 */
int launch(const struct globals *g, const struct launch_options *o, const char *id, struct launched *l,
	   struct error *err);

/* Ask the freshly created container to run its process; poststart hooks. 0 or -1 with *err. */
int launch_start(struct launched *l, struct error *err);
void launched_close(struct launched *l);

/* Run a created container's poststart hooks; a failing one kills the container. 0 or -1 with *err. */
int poststart_run(struct container *c, const struct spec *spec, struct error *err);

/**
 * destroy() - undo all that create made
 * @force: kill what runs
 *
 * Works on half-made containers (c->state NULL). poststop hooks run when @spec is given. 0 or -1 with *err.
 */
int destroy(struct container *c, const struct spec *spec, struct error *err);

/* Ask the agent to kill, then make sure: the proxy and with it the VM are gone within about @ms. */
void kill_hard(struct container *c, unsigned int ms);

#endif
