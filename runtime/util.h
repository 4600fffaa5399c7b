/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small helpers of the CLI: cleanup attributes, memory that cannot fail, small files, time.
 */
#ifndef HUSK_RUNTIME_UTIL_H
#define HUSK_RUNTIME_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "../oci/error.h"

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

#define CLEAN_FD __attribute__((cleanup(cleanup_close)))
#define CLEAN_FREE __attribute__((cleanup(cleanup_free)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Hand an fd or pointer on: the variable no longer owns it. */
static inline int take_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

/* Memory: these end the program with a message when there is none. */
void *xmalloc(size_t len);
void *xcalloc(size_t n, size_t len);
void *xrealloc(void *p, size_t len);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * file_read_at() - a whole small file as text
 * @dirfd: directory, or AT_FDCWD
 * @max:   refuse files longer than this many bytes (EFBIG)
 * @len:   bytes read, may be NULL
 *
 * Return: malloc'ed bytes with a NUL after them, or NULL with errno.
 */
char *file_read_at(int dirfd, const char *name, size_t max, size_t *len);

/* Write to an existing file (cgroup, proc) with one write(). 0 or -errno. */
int file_write_at(int dirfd, const char *name, const char *text);

/* Make or replace a file: temporary name in the same directory, then rename. No newline is added. 0 or -errno. */
int file_replace_at(int dirfd, const char *name, const char *text, size_t len, mode_t mode);

/* All of it, or -errno; EINTR is retried. */
int write_all(int fd, const void *data, size_t len);
/* Exactly len bytes; 0, -errno, or -EPIPE at an early end. */
int read_all(int fd, void *data, size_t len);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t mono_ns(void);
void sleep_ms(unsigned int ms);

/* RFC 3339 with nanoseconds, UTC, as Go's RFC3339Nano. buf: at least 40 bytes. */
char *time_rfc3339(char *buf, size_t len);

/* A decimal number in [min, max], nothing else around it. false: not one. */
bool parse_i64(const char *text, int64_t min, int64_t max, int64_t *out);

/* mkdir -p; 0 or -errno. */
int mkdir_parents(const char *path, mode_t mode);

/* Absolute form of a path: against the current directory, "." and ".." and "//" taken out as text. malloc'ed. */
char *path_absolute(const char *path);

/* Start time of a process, clock ticks since boot (field 22 of its stat), and its state letter; 0: no such process. */
uint64_t process_start_time(pid_t pid, char *state);

/* Send one fd with some data (at least a byte) over a unix stream socket. 0 or -errno. */
int fd_send(int sock, int fd, const void *data, size_t len);

/* Of functions in a child that shares our memory: what ASan marks of their stack would stay marked after the exec. */
#define NOT_POISONED __attribute__((no_sanitize("address")))

/* In a child that will exec: every signal with its default action, none blocked. */
void signals_default(void);

/* Close every fd from 3 up that is not in the list; entries of -1 are skipped. */
void fds_keep_only(const int *keep, unsigned int n);

#endif
