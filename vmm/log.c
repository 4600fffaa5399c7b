/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages on stderr. Called from every thread; holds no lock and no memory but its own stack.
 * What the guest can cause goes through log_guest(), which is bounded.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "husk-vmm: "

static atomic_uint guest_lines;

__attribute__((format(printf, 1, 0))) static void emit(const char *fmt, va_list ap)
{
	char line[1024] = PREFIX;
	const size_t start = sizeof(PREFIX) - 1;
	int saved = errno;
	int n = vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap);
	size_t len = start + (n < 0 ? 0 : (size_t)n);

	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	/* Nobody is left to tell when stderr fails. */
	if (write(STDERR_FILENO, line, len) < 0)
		errno = 0;
	errno = saved;
}

void log_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(fmt, ap);
	va_end(ap);
}

void log_guest(const char *fmt, ...)
{
	unsigned int n = atomic_fetch_add(&guest_lines, 1);
	va_list ap;

	if (n > LOG_GUEST_MAX) {
		atomic_store(&guest_lines, LOG_GUEST_MAX + 1); /* never wraps */
		return;
	}
	if (n == LOG_GUEST_MAX) {
		log_line("the guest caused %u messages; further ones are left out", LOG_GUEST_MAX);
		return;
	}
	va_start(ap, fmt);
	emit(fmt, ap);
	va_end(ap);
}

void log_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(fmt, ap);
	va_end(ap);
	_exit(1);
}
