/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json: any bytes as they are, and any bytes with the head and the right hash in front, so that the members are
 * reached; what parses must be written and read back the same. Also cgroupsPath and signal names, which come from
 * outside, too.
 */
// link: oci
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci/cgroup2.h"
#include "oci/signals.h"
#include "oci/state.h"

static void round_trip(const char *text, size_t len)
{
	struct state *s, *again;
	struct error err;
	char *out;
	size_t out_len;

	if (state_parse(text, len, &s, &err) < 0)
		return;
	if (state_format(s, &out, &out_len, &err) < 0 || state_parse(out, out_len, &again, &err) < 0)
		abort();
	if (strcmp(s->id, again->id) != 0 || s->pid != again->pid || s->annotations.n != again->annotations.n)
		abort();
	state_free(again);
	free(out);
	if (state_document(s, s->status, s->pid, &out, &err) < 0)
		abort();
	free(out);
	state_free(s);
}

static void names(const char *text)
{
	struct cgroup_path path;
	struct error err;
	int signo = signal_parse(text);

	if (signo != -1 && (signo < 1 || signo > 64))
		abort();
	for (int systemd = 0; systemd < 2; systemd++)
		if (cgroup_path_parse(text, systemd, "id", false, &path, &err) == 0 &&
		    (path.path[0] != '/' || strstr(path.path, "/../")))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325;
	char *text = malloc(size + 128);
	int head;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * 0x100000001b3;
	head = sprintf(text, "{\n    \"version\": 1,\n    \"hash\": \"%016" PRIx64 "\",\n", hash);
	memcpy(text + head, data, size);
	round_trip(text, (size_t)head + size);
	memmove(text, text + head, size);
	text[size] = '\0';
	round_trip(text, size);
	names(text);
	free(text);
	return 0;
}
