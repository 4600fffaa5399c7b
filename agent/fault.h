/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, as the ERROR frame will say it: errno, stage and a text. Filled where the thing
 * goes wrong.
 */
#ifndef HUSK_AGENT_FAULT_H
#define HUSK_AGENT_FAULT_H

#include <stdint.h>

#include "wire.h"

struct fault {
	uint32_t err;	/* positive errno */
	uint32_t stage; /* enum wire_stage */
	char text[1024];
};

/**
 * fault_set() - fill *f
 * @stage: enum wire_stage; the host makes the final words of it: STAGE_LOOKUP, _EXEC and _CWD take
 * the bare path
 * @err:   positive or negative errno
 *
 * Return: -1, to be returned on.
 */
int fault_set(struct fault *f, uint32_t stage, int err, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
