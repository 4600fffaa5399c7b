/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about a container that is there: signals, pause, limits, statistics, waiting. Each
 * answers its session.
 */
#ifndef HUSK_AGENT_CONTROL_H
#define HUSK_AGENT_CONTROL_H

#include "container.h"

void control_signal(struct session *s, const char *cid, size_t len, const struct wire_signal *sig);
void control_pause(struct session *s, const char *cid, size_t len);
void control_resume(struct session *s, const char *cid, size_t len);
void control_update(struct session *s, const uint8_t *plan, size_t len);
void control_ps(struct session *s, const char *cid, size_t len);
void control_stats(struct session *s, const char *cid, size_t len);
/* The container that the session waits for from now on, or NULL; answered. */
struct container *control_wait(struct session *s, const char *cid, size_t len);

/* Its cgroup changed, or its init died: a PAUSE may be done. */
void control_pause_event(struct container *c);

/* The container is being forgotten. */
void control_forget(struct container *c);

#endif
