/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small helpers: whole files of /proc, /sys and cgroups, numbers, time. Errors are negative errno.
 */
#ifndef HUSK_AGENT_UTIL_H
#define HUSK_AGENT_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

uint64_t now_ns(void); /* CLOCK_MONOTONIC */

/* Read a file, at most cap - 1 bytes, and end it with NUL. Bytes read or -errno. */
ssize_t file_read(int dir, const char *path, char *buf, size_t cap);

/* Write a file that exists in one write(2). 0 or -errno. */
int file_write(int dir, const char *path, const char *data, size_t len);
int file_write_str(int dir, const char *path, const char *text);

/* Write all of it, through EINTR and short writes. For pipes and files that block. 0 or -errno. */
int write_all(int fd, const void *data, size_t len);

/* Close and forget; keeps errno. */
void fd_close(int *fd);

/*
 * In a forked child: close every fd from 3 on but those in keep[] (which is sorted; -1 entries are
 * ignored).
 */
void fds_close_except(int *keep, size_t n);

/*
 * "0-3,7": calls back for each number below `limit`. 0 or -EINVAL. Unlimited ranges are cut at
 * limit.
 */
int list_parse(const char *text, unsigned int limit, void (*each)(unsigned int n, void *arg), void *arg);

/* Decimal digits only, the whole string. 0 or -EINVAL. */
int number_parse(const char *text, uint64_t *out);

#endif
