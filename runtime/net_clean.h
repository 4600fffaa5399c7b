/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM that was killed left in a network namespace that outlives it. */
#ifndef HUSK_RUNTIME_NET_CLEAN_H
#define HUSK_RUNTIME_NET_CLEAN_H

/**
 * net_clean() - take our filters off the interfaces of a pinned network namespace
 * @path: where it is pinned. One that is gone is all right; below /proc nothing is done: such a namespace ends with its
 *	  processes, and the number may be another's by now
 */
void net_clean(const char *path);

#endif
