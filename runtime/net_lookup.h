/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to localhost, whatever the port, steered to one listening socket.
 */
#ifndef HUSK_RUNTIME_NET_LOOKUP_H
#define HUSK_RUNTIME_NET_LOOKUP_H

/**
 * net_lookup_attach() - in the current network namespace, from now on
 * @v4, @v6: listening TCP sockets of that namespace for 127.0.0.0/8 (but 127.0.0.11) and for ::1; v6 may be -1
 *
 * An accepted socket's own address and port are those that the client asked for.
 * Return: a descriptor whose close ends it, or -errno (-EPERM, -EINVAL: this kernel does not do it).
 */
int net_lookup_attach(int v4, int v6);

#endif
