/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port of --debug. Transmits at once, receives nothing. vCPU threads, under its lock; the guest controls
 * every register access. Each byte is an exit, which is why the production path has none.
 */
#include "serial.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum reg { DATA = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define IER_THRI 0x02
#define IIR_NONE 0x01
#define IIR_THRI 0x02
#define IIR_FIFO 0xc0
#define FCR_ENABLE 0x01
#define LCR_DLAB 0x80
#define MCR_LOOP 0x10
#define LSR_EMPTY 0x60 /* holding and shift registers are empty */
#define MSR_READY 0xb0 /* carrier, data set ready, clear to send */

struct serial {
	pthread_mutex_t lock;
	struct sink *sink;
	int irq;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	bool empty_pending; /* "transmitter empty" not yet seen by the guest */
};

struct serial *serial_create(struct sink *sink, int irq)
{
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->sink = sink;
	s->irq = irq;
	return s;
}

void serial_free(struct serial *s)
{
	if (s)
		pthread_mutex_destroy(&s->lock);
	free(s);
}

static void transmitter_empty(struct serial *s)
{
	s->empty_pending = true;
	if (s->irq >= 0 && (s->ier & IER_THRI))
		eventfd_write(s->irq, 1);
}

static uint8_t read_reg(struct serial *s, enum reg reg)
{
	uint8_t v;

	switch (reg) {
	case DATA:
		return s->lcr & LCR_DLAB ? s->dll : 0;
	case IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case IIR_FCR:
		v = s->fcr & FCR_ENABLE ? IIR_FIFO : 0;
		if (!s->empty_pending || !(s->ier & IER_THRI))
			return v | IIR_NONE;
		s->empty_pending = false;
		return v | IIR_THRI;
	case LCR:
		return s->lcr;
	case MCR:
		return s->mcr;
	case LSR:
		return LSR_EMPTY;
	case MSR:
		/* Loop mode, by which drivers recognise the chip: the outputs come back as inputs. */
		if (s->mcr & MCR_LOOP)
			return (uint8_t)((s->mcr & 0x02) << 3 | (s->mcr & 0x01) << 5 | (s->mcr & 0x04) << 4 |
					 (s->mcr & 0x08) << 4);
		return MSR_READY;
	case SCR:
		return s->scr;
	}
	return 0xff;
}

static void write_reg(struct serial *s, enum reg reg, uint8_t v)
{
	switch (reg) {
	case DATA:
		if (s->lcr & LCR_DLAB) {
			s->dll = v;
		} else if (!(s->mcr & MCR_LOOP)) {
			sink_write(s->sink, &v, 1);
			transmitter_empty(s);
		}
		break;
	case IER:
		if (s->lcr & LCR_DLAB) {
			s->dlm = v;
		} else {
			uint8_t enabled = v & (uint8_t)~s->ier;

			s->ier = v & 0x0f;
			if (enabled & IER_THRI)
				transmitter_empty(s);
		}
		break;
	case IIR_FCR:
		s->fcr = v;
		break;
	case LCR:
		s->lcr = v;
		break;
	case MCR:
		s->mcr = v & 0x1f;
		break;
	case SCR:
		s->scr = v;
		break;
	case LSR:
	case MSR:
		break;
	}
}

void serial_io(struct serial *s, unsigned int reg, bool write, uint8_t *data, unsigned int size)
{
	if (reg > SCR || size == 0)
		return;
	pthread_mutex_lock(&s->lock);
	if (write) {
		write_reg(s, (enum reg)reg, data[0]);
	} else {
		memset(data, 0, size);
		data[0] = read_reg(s, (enum reg)reg);
	}
	pthread_mutex_unlock(&s->lock);
}
