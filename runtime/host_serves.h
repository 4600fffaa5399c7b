/* SPDX-License-Identifier: Apache-2.0 */
/* What this runtime does on the host's side, for the plan compiler and for `husk features`. */
#ifndef HUSK_RUNTIME_HOST_SERVES_H
#define HUSK_RUNTIME_HOST_SERVES_H

#include "../oci/compile.h"

#define RUNTIME_SERVES \
	(HOST_SERVES_DISKS | HOST_SERVES_IDMAP | HOST_SERVES_FSTYPE | HOST_SERVES_MEMPOLICY | HOST_SERVES_SOCKETS)
#define RUNTIME_SYSTEMD true /* the systemd cgroup driver */

#endif
