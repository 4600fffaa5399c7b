/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Global options, and the verbs: one file per verb, cmd_VERB.c.
 */
#ifndef HUSK_RUNTIME_HUSK_H
#define HUSK_RUNTIME_HUSK_H

#include <stdbool.h>
#include <stdint.h>

#include "../oci/error.h"

struct globals {
	char *root; /* state root, absolute */
	bool debug;
	bool systemd;	  /* --systemd-cgroup */
	bool rootless;	  /* no privilege on the host */
	bool no_cgroup;	  /* --cgroup-manager=disabled */
	uint64_t t_begin; /* CLOCK_MONOTONIC ns at the program's start */
};

/*
 * A verb. argv[0] is the verb's name. Returns the exit status, or -1 with *err for the caller to report (status 1).
 */
typedef int (*verb_fn)(const struct globals *g, int argc, char **argv, struct error *err);

int cmd_create(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_start(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_run(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_exec(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_kill(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_delete(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_state(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_list(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_ps(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_pause(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_resume(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_update(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_events(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_stats(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_spec(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_features(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_check(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_install(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_uninstall(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_checkpoint(const struct globals *g, int argc, char **argv, struct error *err);
int cmd_restore(const struct globals *g, int argc, char **argv, struct error *err);

/* ---- helpers of the verbs ---- */

struct option;

#define VERB_HELP (-2) /* --help was printed: return 0 */

/**
 * verb_options() - parse a verb's options; --help prints usage
 * @usage: "[options] ID", without "husk VERB"
 *
 * Return: index of the first positional word, VERB_HELP, or -1 with *err.
 */
int verb_options(const struct option *table, const char *usage, const char *about, int argc, char **argv,
		 struct error *err);

/* The words after the options: between min and max of them, else -1 with *err. */
int verb_words(int argc, char **argv, int first, int min, int max, const char *usage, struct error *err);

#endif
