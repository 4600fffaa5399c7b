/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUSK_TESTS_HOSTCMD_H
#define HUSK_TESTS_HOSTCMD_H

#include <sys/types.h>

struct host_start;

struct command {
	int in, out, err; /* our ends of its streams; -1: closed */
	int pty;	  /* our end of its terminal, or -1; then the others are -1 */
	pid_t pid;	  /* leader of its session and group; 0: none runs */
	char cgroup[256]; /* its own group; empty: none */
};
#define COMMAND_NONE                                      \
	{                                                 \
		.in = -1, .out = -1, .err = -1, .pty = -1 \
	}

/*
 * Start a command in a cgroup of its own below top, whose name has the port in it.
 * Returns 0, or a negative errno and nothing was started; command_end() either way.
 */
int command_start(struct command *c, const struct host_start *st, const char *top, unsigned int port, const char *cwd,
		  char **env, char **argv);

/* Signal its process group; with SIGKILL all of its cgroup. */
void command_signal(const struct command *c, int sig);

void command_resize(const struct command *c, unsigned short rows, unsigned short cols);

/* Close our ends of its streams. */
void command_close(struct command *c);

/*
 * Forget the command.  When it still runs (pid is not 0) it and its whole cgroup are
 * ended, with two seconds between SIGTERM and SIGKILL, without waiting for that.
 */
void command_end(struct command *c);

/* Write text to an existing file.  Returns 0 or a negative errno. */
int file_write(const char *path, const char *text);

#endif
