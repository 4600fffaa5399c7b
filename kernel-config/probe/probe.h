/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes of a running guest kernel. Each one runs in a process of its own, so it may change namespaces, limits and
 * mounts; it returns NULL when the kernel behaves, otherwise what is wrong.
 */
#ifndef HUSK_PROBE_H
#define HUSK_PROBE_H

#include <stdbool.h>

struct probe {
	const char *name; /* the property that holds; NULL ends a table */
	const char *(*run)(void);
};

extern const struct probe device_probes[], process_probes[], cgroup_probes[], fs_probes[], net_probes[],
	filter_probes[];

/** problem - formats a message with the text of errno; valid until the next call. Never NULL. */
__attribute__((format(printf, 1, 2))) const char *problem(const char *format, ...);

/** file_read - reads at most size - 1 bytes of a file as a string, final newline removed; false on error. */
bool file_read(const char *path, char *text, unsigned long size);

/** file_write - writes a string to an existing file in one write; false with errno on error. */
bool file_write(const char *path, const char *text);

/** file_has_word - is the blank-separated word in the file? False also when there is no such file. */
bool file_has_word(const char *path, const char *word);

/** words_missing - the first of a NULL-terminated list that the file lacks, or NULL. */
const char *words_missing(const char *path, const char *const *words);

/** debug_variant - is this the debug variant of the kernel? By its release string. */
bool debug_variant(void);

#endif
