/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's statistics as its guest counts them. The guest controls names, lengths and contents: all are
 * bounded, and numbers are parsed as numbers.
 */
#include "guest_stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

#define FILES_MAX 128u
#define BYTES_MAX (1u << 20) /* of all files */
#define NAME_MAX_LEN 64u

struct guest_stats {
	struct {
		char name[NAME_MAX_LEN];
		char *text;
	} file[FILES_MAX];
	unsigned int n;
	size_t bytes;
};

void guest_stats_free(struct guest_stats *g)
{
	if (!g)
		return;
	for (unsigned int i = 0; i < g->n; i++)
		free(g->file[i].text);
	free(g);
}

/* Records "NAME NUL len32 CONTENT" of one frame. false: malformed or too much. */
static bool records_take(struct guest_stats *g, const uint8_t *p, size_t len)
{
	while (len) {
		const uint8_t *nul = memchr(p, 0, len < NAME_MAX_LEN ? len : NAME_MAX_LEN);
		size_t name = nul ? (size_t)(nul - p) : 0;
		uint32_t size;

		if (!nul || !name || len - name - 1 < sizeof(size))
			return false;
		memcpy(&size, nul + 1, sizeof(size));
		len -= name + 1 + sizeof(size);
		if (size > len || size > BYTES_MAX - g->bytes || g->n == FILES_MAX)
			return false;
		memcpy(g->file[g->n].name, p, name + 1);
		g->file[g->n].text = xmalloc(size + 1);
		p = nul + 1 + sizeof(size);
		memcpy(g->file[g->n].text, p, size);
		g->file[g->n++].text[size] = '\0';
		g->bytes += size;
		p += size;
		len -= size;
	}
	return true;
}

struct guest_stats *guest_stats_read(struct session *s, const char *cid, uint64_t deadline, struct error *err)
{
	struct guest_stats *g = xcalloc(1, sizeof(*g));
	struct frame f;
	int rc;

	session_put(s, WIRE_STATS, 0, cid, strlen(cid));
	for (;;) {
		rc = session_wait(s, &f, deadline);
		if (rc < 0) {
			error_set(err, -rc, "the agent in the VM does not answer");
			break;
		}
		if (f.h.type == WIRE_OK)
			return g;
		if (f.h.type == WIRE_ERROR) {
			guest_error(err, &f);
			break;
		}
		if (f.h.type == WIRE_OOM)
			continue;
		if (f.h.type != WIRE_DATA || !records_take(g, f.payload, f.h.len)) {
			error_set(err, 0, "the agent in the VM sent broken statistics");
			break;
		}
	}
	guest_stats_free(g);
	return NULL;
}

const char *guest_stats_text(const struct guest_stats *g, const char *name)
{
	for (unsigned int i = 0; i < g->n; i++)
		if (!strcmp(g->file[i].name, name))
			return g->file[i].text;
	return NULL;
}

uint64_t guest_stats_number(const struct guest_stats *g, const char *name)
{
	const char *text = guest_stats_text(g, name);

	if (!text)
		return 0;
	return !strncmp(text, "max", 3) ? UINT64_MAX : strtoull(text, NULL, 10);
}

uint64_t guest_stats_key(const struct guest_stats *g, const char *name, const char *key)
{
	const char *p = guest_stats_text(g, name);
	size_t len = strlen(key);

	while (p && *p) {
		if (!strncmp(p, key, len) && p[len] == ' ')
			return strtoull(p + len + 1, NULL, 10);
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return 0;
}
