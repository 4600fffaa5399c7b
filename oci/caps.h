/* SPDX-License-Identifier: Apache-2.0 */
/* Capability names and numbers. */
#ifndef HUSK_OCI_CAPS_H
#define HUSK_OCI_CAPS_H

#include <stdint.h>

#define CAPS_LAST 40 /* the guest kernel's last one, CAP_CHECKPOINT_RESTORE */
#define CAPS_ALL ((UINT64_C(1) << (CAPS_LAST + 1)) - 1)

/* "CAP_CHOWN" (any case) to 0..CAPS_LAST; -1 when the guest has none of this name. */
int caps_number(const char *name);

/* "CAP_CHOWN"; NULL beyond CAPS_LAST. Static storage. */
const char *caps_name(int number);

#endif
