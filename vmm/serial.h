/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART, output only, for --debug: the earliest messages of a debug kernel.
 */
#ifndef HUSK_VMM_SERIAL_H
#define HUSK_VMM_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "console.h"

struct serial;

/* irq: eventfd that raises the port's interrupt, -1: none. NULL when out of memory. */
struct serial *serial_create(struct sink *sink, int irq);
void serial_free(struct serial *s);

/* One access to register reg (0..7); data has size bytes, all but the first read as 0. vCPU threads. */
void serial_io(struct serial *s, unsigned int reg, bool write, uint8_t *data, unsigned int size);

#endif
