/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console, output only, with --debug or --console: where its bytes go, and the virtio device they come by.
 */
#ifndef HUSK_VMM_CONSOLE_H
#define HUSK_VMM_CONSOLE_H

#include <stddef.h>

#include "loop.h"
#include "virtio.h"

struct sink;

#define SINK_SIZE (64u << 10)

/**
 * sink_create() - a bounded buffer in front of a descriptor
 * @fd: where the bytes go; stays the caller's. Its file status flags are not changed: others may share them
 *
 * What does not fit is dropped, and the gap is marked in the output. Return: NULL with errno set.
 */
struct sink *sink_create(struct loop *loop, int fd);

/* Any thread; never blocks. */
void sink_write(struct sink *s, const void *buf, size_t len);

/* Write out what is left, waiting at most about a tenth of a second for a slow reader, and free. */
void sink_free(struct sink *s);

/* virtio-console, one port, no control queue (virtio 1.2, 5.3). NULL with errno set. */
struct virtio_dev *console_create(const struct gmem *mem, struct loop *loop, struct sink *sink);

#endif
