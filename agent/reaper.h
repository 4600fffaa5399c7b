/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of child processes: ours, jobs', and orphans that PID 1 inherits.
 */
#ifndef HUSK_AGENT_REAPER_H
#define HUSK_AGENT_REAPER_H

/* Blocks SIGCHLD and takes it as an event of the loop; ignores SIGPIPE. 0 or -errno. */
int reaper_init(void);

#endif
