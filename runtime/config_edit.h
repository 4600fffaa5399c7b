/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How husk is entered in, and taken out of, the configuration of each engine. Pure functions from text to text: they
 * touch the fewest lines, keep the rest byte for byte, and refuse what they do not understand, because a broken
 * configuration keeps an engine from starting. Everything they return lives in the arena.
 */
#ifndef HUSK_RUNTIME_CONFIG_EDIT_H
#define HUSK_RUNTIME_CONFIG_EDIT_H

#include "../oci/arena.h"
#include "../oci/error.h"

#define CONFIG_RUNTIME_NAME "husk"

/**
 * config_add_fn - enter the runtime
 * @doc:     what messages call the document
 * @text:    the whole document; "" when there is none
 * @program: absolute path of husk, checked by config_program_ok()
 * @out:     the document with the entry; equal to @text when it is there already. An entry with another path of ours
 *           gets the new path.
 */
typedef int (*config_add_fn)(struct arena *a, const char *doc, const char *text, const char *program, const char **out,
			     struct error *err);

/**
 * config_remove_fn - take the runtime out
 * @program: the path in the entry, or NULL when the runtime is not registered; then *out is @text
 *
 * Refused while something in the document still needs the runtime.
 */
typedef int (*config_remove_fn)(struct arena *a, const char *doc, const char *text, const char **program,
				const char **out, struct error *err);

int config_docker_add(struct arena *a, const char *doc, const char *text, const char *program, const char **out,
		      struct error *err);
int config_docker_remove(struct arena *a, const char *doc, const char *text, const char **program, const char **out,
			 struct error *err);
int config_containerd_add(struct arena *a, const char *doc, const char *text, const char *program, const char **out,
			  struct error *err);
int config_containerd_remove(struct arena *a, const char *doc, const char *text, const char **program, const char **out,
			     struct error *err);
int config_podman_add(struct arena *a, const char *doc, const char *text, const char *program, const char **out,
		      struct error *err);
int config_podman_remove(struct arena *a, const char *doc, const char *text, const char **program, const char **out,
			 struct error *err);

/* podman's main file, beside which the drop-in is: 0, or -1 when it needs the runtime (@removing) or has its own. */
int config_podman_main(struct arena *a, const char *doc, const char *text, int removing, struct error *err);

/* A path that can stand in JSON and TOML as it is: absolute, no quotes, backslashes, control or non-ASCII bytes. */
int config_program_ok(const char *program, struct error *err);

/* @text with the bytes from @from to @to replaced. */
const char *config_splice(struct arena *a, const char *text, size_t from, size_t to, const char *replacement);

#endif
