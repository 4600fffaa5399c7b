/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small configs for the tests of oci/: a valid document, into which a test puts the members that it is about. A member
 * that is given again replaces the first one, so any part can be overridden.
 */
#ifndef HUSK_TESTS_UNIT_OCI_HELP_H
#define HUSK_TESTS_UNIT_OCI_HELP_H

#include <fcntl.h>

#include "oci/compile.h"
#include "oci/spec.h"
#include "tests/unit/unit.h"

#define BASE_PROCESS "\"args\":[\"true\"],\"cwd\":\"/\""
#define BASE_NAMESPACES \
	"{\"type\":\"network\"},{\"type\":\"uts\"},{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"mount\"}"
#define BASE                                                                                  \
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{" BASE_PROCESS \
	"},\"linux\":{\"namespaces\":[" BASE_NAMESPACES "]}"

/* Members of process, linux or linux.resources, in a full config. */
#define PROCESS(members) "\"process\":{" BASE_PROCESS "," members "}"
#define LINUX(members) "\"linux\":{\"namespaces\":[" BASE_NAMESPACES "]," members "}"
#define RESOURCES(members) LINUX("\"resources\":{" members "}")
#define MOUNT(members) "\"mounts\":[{" members "}]"

static struct error help_error __attribute__((unused));

/* The base with further members, or NULL with help_error filled. */
__attribute__((unused)) static struct spec *config(const char *members)
{
	struct spec *spec = NULL;
	char *text;
	int len;

	help_error.text[0] = '\0';
	len = asprintf(&text, BASE "%s%s}", members[0] ? "," : "", members);
	if (len < 0)
		abort();
	if (spec_parse(text, (size_t)len, &spec, &help_error) < 0)
		spec = NULL;
	free(text);
	return spec;
}

/* The members make the config invalid, and the message says so with these words. */
#define CHECK_REFUSED(members, words)                           \
	do {                                                    \
		struct spec *refused_spec = config(members);    \
		if (refused_spec)                               \
			UNIT_FAIL("accepted: %.200s", members); \
		else                                            \
			CHECK_CONTAINS(help_error.text, words); \
		spec_free(refused_spec);                        \
	} while (0)

#define CHECK_ACCEPTED(members)                                                     \
	do {                                                                        \
		struct spec *accepted_spec = config(members);                       \
		if (!accepted_spec)                                                 \
			UNIT_FAIL("refused: %.200s: %s", members, help_error.text); \
		spec_free(accepted_spec);                                           \
	} while (0)

/* A config of tests/data. */
__attribute__((unused)) static struct spec *config_file(const char *name)
{
	struct spec *spec = NULL;
	char path[256];

	snprintf(path, sizeof(path), "tests/data/%s.json", name);
	if (spec_load_file(path, &spec, &help_error) < 0) {
		UNIT_FAIL("%s: %s", path, help_error.text);
		return NULL;
	}
	return spec;
}

#endif
