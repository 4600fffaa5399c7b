/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the plan compiler begin with: a config, compiled with sources that are what their names say, and its
 * plan, read with the agent's own decoder.
 */
#ifndef HUSK_TESTS_COMPILE_ENV_H
#define HUSK_TESTS_COMPILE_ENV_H

#include <linux/magic.h>
#include <sys/mount.h>

#include "agent/plan_decode.h"
#include "tests/unit/oci_help.h"

static struct spec *spec;
static struct buf bytes;
static struct host_plan host;
static struct plan plan;

/* Pretends that the sources of binds are what their names say. */
static inline int facts(void *ctx, const char *path, struct source_facts *out)
{
	(void)ctx;
	*out = (struct source_facts){ .kind = SOURCE_DIR, .fs_magic = EXT4_SUPER_MAGIC };
	if (strcmp(path, "/missing") == 0)
		return -ENOENT;
	if (strstr(path, "file") || strstr(path, "/etc") || strstr(path, "resolv.conf") || strstr(path, "host"))
		out->kind = SOURCE_FILE;
	else if (strstr(path, ".sock"))
		*out = (struct source_facts){ .kind = SOURCE_SOCKET, .mode = 0660, .gid = 998 };
	else if (strstr(path, "fifo"))
		out->kind = SOURCE_FIFO;
	else if (strcmp(path, "/dev/sda") == 0)
		*out = (struct source_facts){ .kind = SOURCE_BLOCK, .fs_magic = TMPFS_MAGIC, .major = 8 };
	else if (strcmp(path, "/dev/null") == 0)
		*out = (struct source_facts){ .kind = SOURCE_CHAR, .fs_magic = TMPFS_MAGIC, .major = 1, .minor = 3 };
	else if (strcmp(path, "/dev/snd/x") == 0)
		*out = (struct source_facts){ .kind = SOURCE_CHAR, .fs_magic = TMPFS_MAGIC, .major = 116, .minor = 3 };
	else if (strstr(path, "shm"))
		*out = (struct source_facts){ .kind = SOURCE_DIR, .fs_magic = TMPFS_MAGIC, .fs_bytes = 64 << 20 };
	else if (strncmp(path, "/proc", 5) == 0 || strstr(path, "procbind"))
		out->fs_magic = PROC_SUPER_MAGIC;
	else if (strcmp(path, "/sys") == 0)
		out->fs_magic = SYSFS_MAGIC;
	else if (strcmp(path, "/nosuid") == 0)
		out->mount_flags = MS_NOSUID | MS_NODEV;
	else if (strcmp(path, "/huge") == 0)
		out->fs_magic = HUGETLBFS_MAGIC;
	return 0;
}

static struct compile_input input __attribute__((unused)) = {
	.cid = "c1",
	.bundle = "/bundle",
	.share_prefix = "s",
	.stat_source = facts,
};

static inline void release(void)
{
	buf_free(&bytes);
	host_plan_free(&host);
	spec_free(spec);
	spec = NULL;
}

/* Compiles a config and opens its plan. False with help_error filled when it is refused. */
static inline bool compile(struct spec *s)
{
	struct fault f = { 0 };

	spec = s;
	if (!s)
		return false;
	if (compile_container(s, &input, &bytes, &host, &help_error) < 0) {
		CHECK(bytes.data == NULL && host.arena == NULL);
		release();
		return false;
	}
	if (plan_open(&plan, bytes.data, bytes.len, PLAN_CONTAINER, &f) < 0) {
		UNIT_FAIL("the agent refuses the plan: %s", f.text);
		release();
		return false;
	}
	return true;
}

#define COMPILE(members)                                                   \
	do {                                                               \
		if (!compile(config(members))) {                           \
			UNIT_FAIL("%.200s: %s", members, help_error.text); \
			return;                                            \
		}                                                          \
	} while (0)

/* The config parses, but cannot be compiled. */
#define CHECK_NOT_COMPILED(members, words)                                       \
	do {                                                                     \
		struct spec *parsed = config(members);                           \
		if (!parsed) {                                                   \
			UNIT_FAIL("refused by the parser: %s", help_error.text); \
		} else if (compile(parsed)) {                                    \
			UNIT_FAIL("compiled: %.200s", members);                  \
			release();                                               \
		} else {                                                         \
			CHECK_CONTAINS(help_error.text, words);                  \
		}                                                                \
	} while (0)

/* The nth operation of a kind; false when there are not so many. */
static inline bool find(uint16_t op, unsigned n, struct plan_item *item)
{
	struct plan_iter it;

	plan_iter_init(&it, &plan);
	while (plan_next(&it, item))
		if (item->op == op && n-- == 0)
			return true;
	return false;
}

static inline unsigned count(uint16_t op)
{
	struct plan_item item;
	unsigned n = 0;

	while (find(op, n, &item))
		n++;
	return n;
}

/* Place of the first operation of a kind, -1: none. */
static inline int place(uint16_t op)
{
	struct plan_iter it;
	struct plan_item item;

	plan_iter_init(&it, &plan);
	for (int i = 0; plan_next(&it, &item); i++)
		if (item.op == op)
			return i;
	return -1;
}

static inline bool find_mount(const char *target, struct plan_item *item)
{
	for (unsigned i = 0; find(OP_MOUNT, i, item); i++)
		if (strcmp(item->str[1], target) == 0)
			return true;
	UNIT_FAIL("nothing is mounted at %s", target);
	return false;
}

static inline const struct plan_mount *flags_of(const struct plan_item *item)
{
	return item->body;
}

static inline bool warned(const char *words)
{
	for (uint32_t i = 0; i < host.warnings; i++)
		if (strstr(host.warn[i], words))
			return true;
	return false;
}

static inline bool has_ns(uint32_t flag, const char *cid)
{
	struct plan_item item;

	for (unsigned i = 0; find(OP_NAMESPACE, i, &item); i++)
		if (((const struct plan_ns *)item.body)->clone_flag == flag && strcmp(item.str[0], cid) == 0)
			return true;
	return false;
}

static inline bool has_write(const char *file, const char *value)
{
	struct plan_item item;

	for (unsigned i = 0; find(OP_CGROUP_WRITE, i, &item); i++)
		if (strcmp(item.str[0], file) == 0 && strcmp(item.str[1], value) == 0)
			return true;
	return false;
}

#endif
