/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds that several documents share. */
#ifndef HUSK_OCI_SPEC_LIMITS_H
#define HUSK_OCI_SPEC_LIMITS_H

#include <stdbool.h>

#define DEV_MAJOR_MAX 4095u    /* 12 bits, linux/kdev_t.h */
#define DEV_MINOR_MAX 1048575u /* 20 bits */
#define IDMAPS_MAX 340	       /* lines of uid_map, user_namespaces(7) */

/* 1..15 bytes, as the kernel's dev_valid_name(). */
bool ifname_valid(const char *name);

#endif
