/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk-vmm --probe: can this host's /dev/kvm run a guest?
 */
#ifndef HUSK_VMM_PROBE_H
#define HUSK_VMM_PROBE_H

/* Prints one line on stdout: usable, or what, why and how to mend it. Returns the exit status, 0 or 1. At most 6 s. */
int probe_run(void);

#endif
