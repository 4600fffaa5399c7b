/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error object: filled where a thing goes wrong, printed once at the top of the CLI.
 * Functions that take `struct error *err` return 0 (or a value >= 0) on success and -1 with *err filled on failure.
 */
#ifndef HUSK_OCI_ERROR_H
#define HUSK_OCI_ERROR_H

#include <stdarg.h>

struct error {
	int code;	 /* positive errno, or 0 when none fits */
	char text[4096]; /* one line, no newline: what, why, how to mend it */
};

/* Fill *err with a printf message; when code != 0, ": <errno text>" (Go's lower-case words) is added. Returns -1. */
int error_set(struct error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Put "fmt: " in front of an error that is already there. Returns -1. */
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The lower-case text that engines match ("no such file or directory", "permission denied"...). Never NULL. */
const char *error_errno_text(int code);

#endif
