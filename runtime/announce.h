/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How create, run and exec tell engines of the process that stands for a guest's: --pid-file and --pidfd-socket.
 */
#ifndef HUSK_RUNTIME_ANNOUNCE_H
#define HUSK_RUNTIME_ANNOUNCE_H

#include <sys/types.h>

#include "../oci/error.h"

/* Write the pid to a file, whole or not at all; to none when @path is NULL. 0 or -1 with *err. */
int announce_pid(const char *path, pid_t pid, struct error *err);

/* Send a pidfd to the unix socket @path; none when it is NULL. 0 or -1 with *err. */
int announce_pidfd(const char *path, pid_t pid, struct error *err);

#endif
