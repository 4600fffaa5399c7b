/* SPDX-License-Identifier: Apache-2.0 */
/* Signal names and numbers, x86-64 numbering. */
#ifndef HUSK_OCI_SIGNALS_H
#define HUSK_OCI_SIGNALS_H

/* "SIGTERM", "TERM", "term", "RTMIN+3", "SIGRTMAX-1", "15": 1..64, or -1 when it is none of these. */
int signal_parse(const char *text);

/* "SIGTERM", "SIGRTMIN+3"; "SIG0" for a number that is no signal. Static storage. */
const char *signal_name(int signo);

#endif
