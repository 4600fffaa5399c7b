/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the CLI: the --log file (text, or JSON lines that engines parse) and stderr.
 */
#ifndef HUSK_RUNTIME_LOG_H
#define HUSK_RUNTIME_LOG_H

#include <stdbool.h>

#include "../oci/error.h"

/**
 * log_open() - where messages go from now on
 * @path:   --log FILE, appended to and made when missing; NULL: stderr only
 * @json:   JSON lines {"level","msg","time"} in the file
 * @debug:  also write debug records and warnings
 *
 * Return: 0, or -1 with *err (bad path).
 */
int log_open(const char *path, bool json, bool debug, struct error *err);

/* The one error of a failed command: to the file, and to stderr with the program's name. */
void log_error(const struct error *err);

/* Written only with --debug: engines that parse the file as one document expect one record at most. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
