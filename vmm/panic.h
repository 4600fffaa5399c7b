/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's kernel said last, read out of its memory.
 */
#ifndef HUSK_VMM_PANIC_H
#define HUSK_VMM_PANIC_H

#include <stddef.h>

#include "memory.h"

#define PANIC_TEXT_MAX 256u

/**
 * panic_text() - the reason of a Linux guest's panic
 * @mem:  guest memory; no vCPU needs to stand still
 * @text: result, printable ASCII: the reason, and the address where the kernel stood when it said one; at least 1 byte
 * @size: bytes of @text, PANIC_TEXT_MAX is enough
 *
 * Return: whether the guest's log tells of a panic. What it tells is the guest's word: for people to read.
 */
bool panic_text(const struct gmem *mem, char *text, size_t size);

#endif
