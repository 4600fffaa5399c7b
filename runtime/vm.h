/* SPDX-License-Identifier: Apache-2.0 */
/* Reaching the VM of a container from a command. */
#ifndef HUSK_RUNTIME_VM_H
#define HUSK_RUNTIME_VM_H

#include <stdint.h>

#include "container.h"
#include "session.h"

/* Path that reaches the control socket of the VM that the container runs in. malloc'ed. */
char *vm_socket_path(const struct container *c);

/* A session with the agent of the container's VM, or NULL with *err. */
struct session *vm_session(const struct container *c, uint64_t deadline, struct error *err);

/* One request whose payload is the container's id. 0 or -1 with *err. */
int vm_simple_request(const struct container *c, uint8_t type, uint64_t deadline, struct error *err);

#endif
