/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much D-Bus as it takes to ask systemd for a scope: a client of its private socket, no bus daemon between. Written
 * here because libsystemd comes as a shared library only, and husk is one static file.
 */
#ifndef HUSK_RUNTIME_DBUS_H
#define HUSK_RUNTIME_DBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../oci/error.h"

/* Marshalled values, little-endian; alignment counts from the start of the text. */
struct dbus_body {
	uint8_t *data;
	size_t len, cap;
};

void dbus_put_u8(struct dbus_body *b, uint8_t v);
void dbus_put_u32(struct dbus_body *b, uint32_t v); /* also booleans */
void dbus_put_u64(struct dbus_body *b, uint64_t v);
void dbus_put_string(struct dbus_body *b, const char *s); /* also object paths */
void dbus_put_signature(struct dbus_body *b, const char *s);
void dbus_align(struct dbus_body *b, size_t n);
/* An array whose elements are aligned to @align; the mark goes to dbus_array_end(). */
size_t dbus_array_begin(struct dbus_body *b, size_t align);
void dbus_array_end(struct dbus_body *b, size_t mark, size_t align);
void dbus_body_free(struct dbus_body *b);

#define DBUS_JOBS 8u
#define DBUS_NAME 256u

struct dbus {
	int fd;
	uint32_t serial;
	/* jobs that ended: JobRemoved may come before the answer that names the job */
	struct {
		char path[DBUS_NAME], result[64];
	} job[DBUS_JOBS];
	unsigned int njobs;
};

/* Connect and authenticate as our user. 0 or -1 with *err; dbus_close() in both cases. */
int dbus_open(struct dbus *d, const char *socket_path, uint64_t deadline, struct error *err);
void dbus_close(struct dbus *d);

/**
 * dbus_call() - call a method of systemd's manager and wait for its answer
 * @signature:  of @body, "" for none
 * @object:     out: the object path that the answer begins with (DBUS_NAME bytes); may be NULL
 * @error_name: out: the D-Bus error's name (DBUS_NAME bytes), "" when it is none; may be NULL
 *
 * 0 or -1 with *err.
 */
int dbus_call(struct dbus *d, const char *member, const char *signature, const struct dbus_body *body, char *object,
	      char *error_name, uint64_t deadline, struct error *err);

/* Wait until the job has ended; it must have ended well. 0 or -1 with *err. */
int dbus_wait_job(struct dbus *d, const char *job, uint64_t deadline, struct error *err);

#endif
