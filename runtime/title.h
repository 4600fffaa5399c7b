/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `ps` shows for a proxy: the command line of the process that it stands for, as users of `docker top` expect.
 */
#ifndef HUSK_RUNTIME_TITLE_H
#define HUSK_RUNTIME_TITLE_H

#include "../oci/spec.h"

/* Works where the kernel allows it (CAP_SYS_RESOURCE); otherwise the command's own line stays. */
void title_set(const struct strings *args);

#endif
