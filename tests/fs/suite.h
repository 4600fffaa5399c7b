/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A suite of file system semantics that runs in any directory: on the host's own file system it proves itself, on a
 * share in a guest it proves the share. Each property runs in a directory of its own, which is the current directory.
 */
#ifndef HUSK_TESTS_FS_SUITE_H
#define HUSK_TESTS_FS_SUITE_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct property {
	const char *name;
	void (*run)(void);
	struct property *next;
};

void suite_add(struct property *p);
void suite_check(bool ok, const char *file, int line, const char *what, long long got, long long want);
void suite_skip(const char *why);

/* A property: what the file system does. */
#define PROPERTY(property_name)                                                                \
	static void property_name(void);                                                       \
	static struct property prop_##property_name = { #property_name, property_name, NULL }; \
	__attribute__((constructor)) static void add_##property_name(void)                     \
	{                                                                                      \
		suite_add(&prop_##property_name);                                              \
	}                                                                                      \
	static void property_name(void)

/* The condition holds. */
#define OK(expr) suite_check(!!(expr), __FILE__, __LINE__, #expr, errno, 0)

/* Two numbers are equal. */
#define EQ(got, want)                                                                                   \
	do {                                                                                            \
		long long eq_got = (long long)(got), eq_want = (long long)(want);                       \
		suite_check(eq_got == eq_want, __FILE__, __LINE__, #got " == " #want, eq_got, eq_want); \
	} while (0)

/* The call fails with this errno. */
#define FAILS(call, error)                                                                                        \
	do {                                                                                                      \
		errno = 0;                                                                                        \
		int fails_ret = (int)(call), fails_errno = errno;                                                 \
		suite_check(fails_ret < 0 && fails_errno == (error), __FILE__, __LINE__, #call " fails: " #error, \
			    fails_ret < 0 ? fails_errno : 0, error);                                              \
	} while (0)

/* The rest makes no sense without it. */
#define NEED(expr)                                                         \
	do {                                                               \
		bool need_ok = (expr);                                     \
		suite_check(need_ok, __FILE__, __LINE__, #expr, errno, 0); \
		if (!need_ok)                                              \
			return;                                            \
	} while (0)

/* The file system, or we, cannot do this: the same on the host and on the share. */
#define SKIP_IF(expr, why)               \
	do {                             \
		if (expr) {              \
			suite_skip(why); \
			return;          \
		}                        \
	} while (0)

/* ---- helpers ---- */

/* A file with this text; ends the suite when it cannot be made. */
void make_file(const char *path, const char *text);
/* len bytes of a pattern that depends on the offset and seed. */
void fill(uint8_t *buf, size_t len, unsigned int seed);
/* The file consists of this text. */
bool has_text(const char *path, const char *text);
struct stat stat_of(const char *path); /* lstat; all zero when it fails */
/* fn's return value in a child with these ids (no supplementary groups but `group` if not -1), capabilities gone. */
int as_user(uid_t uid, gid_t gid, gid_t group, int (*fn)(void *), void *arg);
/* fn's return value (0..255) in a child. */
int in_child(int (*fn)(void *), void *arg);
pid_t start_child(int (*fn)(void *), void *arg);
int end_child(pid_t pid);
bool is_root(void);
int64_t ms_now(void);

#endif
