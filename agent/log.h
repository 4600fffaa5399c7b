/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel log.
 */
#ifndef HUSK_AGENT_LOG_H
#define HUSK_AGENT_LOG_H

/* A line in the kernel log (/dev/kmsg, so the console too, with --debug). Bounded, never blocks. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
