/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DNS resolver's address in the guest, answered by the host's side (WIRE_RESOLVER).
 */
#ifndef HUSK_AGENT_RESOLVER_H
#define HUSK_AGENT_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct session;
struct resolver;

/**
 * resolver_open() - listen on the address, UDP and TCP port 53
 * @s: queries go there as WIRE_DNS frames; it must outlive the resolver
 *
 * Return: the resolver, or NULL with errno.
 */
struct resolver *resolver_open(struct session *s, const struct wire_resolver *q);
void resolver_close(struct resolver *r);

/* The payload of a WIRE_DNS frame of the host, checked for its length. */
void resolver_answer(struct resolver *r, const uint8_t *payload, size_t len);

/* The session's queue is empty again: take TCP queries. */
void resolver_resume(struct resolver *r);

#endif
