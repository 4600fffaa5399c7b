/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal of a container process: a pty of the container's own devpts.
 */
#ifndef HUSK_AGENT_TTY_H
#define HUSK_AGENT_TTY_H

#include <stdint.h>

/**
 * tty_open() - a new pty
 * @root: the container's root
 * @rows, @cols: 0: leave
 * @uid: becomes the owner of the slave
 * @master, @slave: out, O_CLOEXEC
 *
 * Return: 0 or -errno; -ENODEV when the container's /dev/pts/ptmx is no devpts.
 */
int tty_open(int root, uint16_t rows, uint16_t cols, uint32_t uid, int *master, int *slave);

/*
 * Make the slave stdin, stdout, stderr and controlling terminal of this session leader. 0 or
 * -errno.
 */
int tty_adopt(int slave);

/* A new descriptor of a master's slave, not as a controlling terminal. -errno. */
int tty_peer(int master);

/* 0 or -errno. */
int tty_resize(int master, uint16_t rows, uint16_t cols, uint16_t xpixel, uint16_t ypixel);

#endif
