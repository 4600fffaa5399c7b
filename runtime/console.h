/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host-side pseudo terminals: the one whose master goes to the engine, and raw mode of the user's own terminal.
 */
#ifndef HUSK_RUNTIME_CONSOLE_H
#define HUSK_RUNTIME_CONSOLE_H

#include <stdint.h>

#include "../oci/error.h"

/**
 * console_open() - a pty, its slave raw and non-blocking
 * @rows, @cols: initial size, 0: leave
 *
 * The line discipline that users talk to is the guest's pty; this one only carries bytes. 0 or -1 with *err.
 */
int console_open(uint16_t rows, uint16_t cols, int *master, int *slave, struct error *err);

/* Send one message with exactly one fd to the listening unix socket. 0 or -1 with *err. */
int console_send(const char *socket_path, int fd, const char *name, struct error *err);

/* Raw mode for the terminal that is stdin, remembered until terminal_restore() (also safe without terminal_raw()). */
void terminal_raw(int fd);
void terminal_restore(void);

#endif
