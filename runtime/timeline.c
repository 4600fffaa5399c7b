/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the steps of a container's life happened.
 */
#include "timeline.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util.h"

static const struct {
	const char *name, *text;
} steps[STEP_COUNT] = {
	[STEP_CREATE] = { "create", "husk began" },
	[STEP_PROXY] = { "proxy", "proxy in its namespaces" },
	[STEP_VMM] = { "vmm", "husk-vmm started" },
	[STEP_KERNEL] = { "kernel", "guest kernel entered" },
	[STEP_AGENT] = { "agent", "agent ready in the guest" },
	[STEP_CREATED] = { "created", "container built" },
	[STEP_STARTED] = { "started", "process runs" },
	[STEP_EXITED] = { "exited", "process ended" },
};

void timeline_write(int dirfd, const char *name, const struct timeline *t)
{
	char text[STEP_COUNT * 40];
	size_t len = 0;

	for (int i = 0; i < STEP_COUNT; i++)
		if (t->ns[i])
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %" PRIu64 "\n", steps[i].name,
						t->ns[i]);
	file_replace_at(dirfd, name, text, len, 0600);
}

int timeline_read(int dirfd, const char *name, struct timeline *t)
{
	CLEAN_FREE char *text = file_read_at(dirfd, name, 4096, NULL);
	char *save = NULL;

	*t = (struct timeline){ 0 };
	if (!text)
		return -errno;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value++ = '\0';
		for (int i = 0; i < STEP_COUNT; i++)
			if (!strcmp(line, steps[i].name))
				t->ns[i] = strtoull(value, NULL, 10);
	}
	return 0;
}

void timeline_print(FILE *out, const struct timeline *t)
{
	uint64_t last = t->ns[STEP_CREATE];

	fprintf(out, "%10s %10s\n", "ms", "+ms");
	for (int i = 0; i < STEP_COUNT; i++) {
		if (!t->ns[i] || t->ns[i] < t->ns[STEP_CREATE])
			continue;
		fprintf(out, "%10.1f %10.1f  %s\n", (double)(t->ns[i] - t->ns[STEP_CREATE]) / 1e6,
			t->ns[i] < last ? 0.0 : (double)(t->ns[i] - last) / 1e6, steps[i].text);
		last = t->ns[i];
	}
}
