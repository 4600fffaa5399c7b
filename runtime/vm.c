/* SPDX-License-Identifier: Apache-2.0 */
/* Reaching the VM of a container from a command. */
#include "vm.h"

#include <string.h>

#include "util.h"
#include "vmm.h"

char *vm_socket_path(const struct container *c)
{
	/* in a pod, the VM belongs to another container of the same root */
	if (c->state && c->state->vm_id && strcmp(c->state->vm_id, c->id))
		return xasprintf("%s/%s/" FILE_VM_SOCK, c->root, c->state->vm_id);
	return container_socket_path(c, FILE_VM_SOCK);
}

struct session *vm_session(const struct container *c, uint64_t deadline, struct error *err)
{
	CLEAN_FREE char *path = vm_socket_path(c);

	return agent_connect(path, deadline, err);
}

int vm_simple_request(const struct container *c, uint8_t type, uint64_t deadline, struct error *err)
{
	struct session *s = vm_session(c, deadline, err);
	int rc;

	if (!s)
		return -1;
	rc = session_request(s, type, c->id, strlen(c->id), deadline, NULL, err);
	session_free(s);
	return rc;
}
