/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The id maps of a user namespace: written by the agent for a child that has just entered it.
 */
#include "idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

int idmap_add(struct idmap *m, const struct plan_idmap *line)
{
	int kind = line->gid ? 1 : 0;
	struct plan_idmap *p;

	if (line->gid > 1 || !line->size || line->size - 1 > UINT32_MAX - line->container_id ||
	    line->size - 1 > UINT32_MAX - line->host_id)
		return -EINVAL;
	if (m->n[kind] == IDMAP_LINES)
		return -E2BIG;
	p = realloc(m->line[kind], (m->n[kind] + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	p[m->n[kind]++] = *line;
	m->line[kind] = p;
	return 0;
}

int idmap_copy(struct idmap *to, const struct idmap *from)
{
	to->active = from->active;
	for (int kind = 0; kind < 2; kind++) {
		for (unsigned int i = 0; i < from->n[kind]; i++) {
			int r = idmap_add(to, &from->line[kind][i]);

			if (r)
				return r;
		}
	}
	return 0;
}

void idmap_free(struct idmap *m)
{
	free(m->line[0]);
	free(m->line[1]);
	memset(m, 0, sizeof(*m));
}

uint32_t idmap_outside(const struct idmap *m, int kind, uint32_t id)
{
	if (!m->active)
		return id;
	for (unsigned int i = 0; i < m->n[kind]; i++) {
		const struct plan_idmap *l = &m->line[kind][i];

		if (id >= l->container_id && id - l->container_id < l->size)
			return l->host_id + (id - l->container_id);
	}
	return UINT32_MAX;
}

int idmap_write(const struct idmap *m, pid_t pid)
{
	/*
	 * the gid map first: the order does not matter to the kernel, but a failure shows before
	 * ids change
	 */
	for (int kind = 1; kind >= 0; kind--) {
		char file[64], text[IDMAP_LINES * 36];
		size_t len = 0;
		int r;

		for (unsigned int i = 0; i < m->n[kind]; i++) {
			const struct plan_idmap *l = &m->line[kind][i];

			len += (size_t)snprintf(text + len, sizeof(text) - len, "%u %u %u\n", l->container_id,
						l->host_id, l->size);
		}
		(void)snprintf(file, sizeof(file), "/proc/%d/%cid_map", (int)pid, kind ? 'g' : 'u');
		r = len ? file_write(AT_FDCWD, file, text, len) : 0;
		if (r)
			return r;
	}
	return 0;
}
