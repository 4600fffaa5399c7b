/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lifecycle hooks of config.json that run on the host.
 */
#ifndef HUSK_RUNTIME_HOOKS_H
#define HUSK_RUNTIME_HOOKS_H

#include <sys/types.h>

#include "../oci/spec.h"
#include "../oci/state.h"

/* The JSON that hooks get. malloc'ed; NULL with *err. */
char *hook_state(const struct state *s, enum container_status status, pid_t pid, struct error *err);

/**
 * hooks_run() - run a list of hooks in order
 * @name:   "prestart", ... for messages
 * @state:  JSON for their stdin
 * @cwd:    the bundle
 *
 * Environment and arguments are exactly what config.json says. Stops at the first that fails. 0 or -1 with *err.
 */
int hooks_run(const struct spec_hooks *hooks, const char *name, const char *state, const char *cwd, struct error *err);

/* The same for poststop: failures are only warned of, the rest still runs. */
void hooks_run_all(const struct spec_hooks *hooks, const char *name, const char *state, const char *cwd);

#endif
