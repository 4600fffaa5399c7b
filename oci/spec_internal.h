/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that turn JSON into struct spec share. Every parse_*() gets the node that it reads (never NULL) and
 * fills its part of the spec; 0, or -1 with *p->err filled.
 */
#ifndef HUSK_OCI_SPEC_INTERNAL_H
#define HUSK_OCI_SPEC_INTERNAL_H

#include "oci/json.h"
#include "oci/spec.h"

struct parse {
	struct arena *arena;
	struct error *err;
	struct strings *warnings;
};

int parse_process(struct parse *p, const struct json *process, struct spec_process *out);
int parse_mounts(struct parse *p, const struct json *array, struct spec *out);
/* Mounts by annotation, behind those of the list. */
int parse_volumes(struct parse *p, const struct json *annotations, struct spec *out);
#define VOLUME_PREFIX "run.husk.volume."
int parse_linux(struct parse *p, const struct json *lin, struct spec *out);
int parse_resources(struct parse *p, const struct json *resources, struct spec_resources *out);
int parse_seccomp(struct parse *p, const struct json *seccomp, struct spec_seccomp **out);
int parse_rdt(struct parse *p, const struct json *rdt, struct spec_rdt *out);
int parse_mempolicy(struct parse *p, const struct json *policy, struct spec_mempolicy *out);
int parse_vm(struct parse *p, const struct json *vm, struct spec_vm *out);
int parse_husk(struct parse *p, const struct json *annotations, struct spec *out);

/* uidMappings or gidMappings of @obj. */
int parse_idmaps(struct parse *p, const struct json *obj, const char *key, struct spec_idmaps *out);

/* The mount propagation "rslave"...; UINT64_MAX when @text is none. */
uint64_t propagation_parse(const char *text);

/* One line that tells what is ignored on purpose. After the first 64 only their number grows. */
void parse_warn(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* An absolute path without "." "..", double or trailing '/'; a relative one is taken from the root. */
const char *path_clean(struct arena *a, const char *path);

/* An absolute path at most PATH_MAX long, or an error about @node. */
int path_check(const struct json *node, const char *path, struct error *err);

/* Name to number in a table that ends with a NULL name. */
struct name_value {
	const char *name;
	uint64_t value;
};

/* What the parser knows, also listed by `features`; sorted. */
extern const struct name_value seccomp_actions[], seccomp_operators[], seccomp_archs[], seccomp_flags[];
extern const struct name_value mempolicy_modes[], mempolicy_flags[];

const struct name_value *name_find(const struct name_value *table, const char *name);

/* Number of CPUs (or nodes) in a list such as "0-3,8", or -1 when it is no such list. */
int cpulist_count(const char *text);

#endif
