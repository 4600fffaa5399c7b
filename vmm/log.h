/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of husk-vmm: one line each on stderr, written by one write(2) so that threads never mix theirs.
 */
#ifndef HUSK_VMM_LOG_H
#define HUSK_VMM_LOG_H

/**
 * log_line() - say something to the operator
 *
 * A newline is added; longer lines are cut at 1023 bytes. Any thread.
 */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * log_guest() - say something that the guest caused
 *
 * As log_line(), but at most LOG_GUEST_MAX lines in the life of the process, so that a guest cannot fill the host's
 * log. The last line allowed says that the rest is left out.
 */
void log_guest(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define LOG_GUEST_MAX 64u

/**
 * log_die() - the VM cannot start: say what, why and how to mend it, and end with status 1
 *
 * Only before the guest runs; the process owns nothing then that its end does not free.
 */
void log_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
