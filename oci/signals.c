/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal names. The table is of the kernel's numbers, so that it holds for real-time signals as the guest counts them:
 * the C library keeps 32 and 33 for itself and begins SIGRTMIN at 34, as the tools do that name them.
 */
#include "oci/signals.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SIGNAL_MAX 64
#define RT_FIRST 34

static const struct {
	const char *name;
	int number;
} names[] = {
	{ "HUP", SIGHUP },
	{ "INT", SIGINT },
	{ "QUIT", SIGQUIT },
	{ "ILL", SIGILL },
	{ "TRAP", SIGTRAP },
	{ "ABRT", SIGABRT },
	{ "BUS", SIGBUS },
	{ "FPE", SIGFPE },
	{ "KILL", SIGKILL },
	{ "USR1", SIGUSR1 },
	{ "SEGV", SIGSEGV },
	{ "USR2", SIGUSR2 },
	{ "PIPE", SIGPIPE },
	{ "ALRM", SIGALRM },
	{ "TERM", SIGTERM },
	{ "STKFLT", SIGSTKFLT },
	{ "CHLD", SIGCHLD },
	{ "CONT", SIGCONT },
	{ "STOP", SIGSTOP },
	{ "TSTP", SIGTSTP },
	{ "TTIN", SIGTTIN },
	{ "TTOU", SIGTTOU },
	{ "URG", SIGURG },
	{ "XCPU", SIGXCPU },
	{ "XFSZ", SIGXFSZ },
	{ "VTALRM", SIGVTALRM },
	{ "PROF", SIGPROF },
	{ "WINCH", SIGWINCH },
	{ "IO", SIGIO },
	{ "PWR", SIGPWR },
	{ "SYS", SIGSYS },
	/* second names */
	{ "IOT", SIGABRT },
	{ "CLD", SIGCHLD },
	{ "POLL", SIGIO },
};

/* Digits only, at most 64; -1 otherwise. */
static int small_number(const char *s)
{
	size_t len = strlen(s);
	long n;

	if (len == 0 || len > 2 || strspn(s, "0123456789") != len)
		return -1;
	n = strtol(s, NULL, 10);
	return n <= SIGNAL_MAX ? (int)n : -1;
}

static int realtime_parse(const char *s)
{
	int n;

	if (strncasecmp(s, "RTMIN", 5) == 0) {
		if (s[5] == '\0')
			return RT_FIRST;
		n = s[5] == '+' ? small_number(s + 6) : -1;
		return n >= 0 && n <= SIGNAL_MAX - RT_FIRST ? RT_FIRST + n : -1;
	}
	if (strncasecmp(s, "RTMAX", 5) == 0) {
		if (s[5] == '\0')
			return SIGNAL_MAX;
		n = s[5] == '-' ? small_number(s + 6) : -1;
		return n >= 0 && n <= SIGNAL_MAX - RT_FIRST ? SIGNAL_MAX - n : -1;
	}
	return -1;
}

int signal_parse(const char *text)
{
	int n;

	if (isdigit((unsigned char)text[0])) {
		n = small_number(text);
		return n >= 1 ? n : -1;
	}
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i].name, text) == 0)
			return names[i].number;
	return realtime_parse(text);
}

const char *signal_name(int signo)
{
	static char text[SIGNAL_MAX + 1][16];

	if (signo < 1 || signo > SIGNAL_MAX)
		return "SIG0";
	if (text[signo][0])
		return text[signo];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == signo) {
			snprintf(text[signo], sizeof(text[signo]), "SIG%s", names[i].name);
			return text[signo];
		}
	if (signo < RT_FIRST) /* 32 and 33 have numbers only */
		snprintf(text[signo], sizeof(text[signo]), "SIG%d", signo);
	else if (signo == RT_FIRST)
		snprintf(text[signo], sizeof(text[signo]), "SIGRTMIN");
	else
		snprintf(text[signo], sizeof(text[signo]), "SIGRTMIN+%d", signo - RT_FIRST);
	return text[signo];
}
