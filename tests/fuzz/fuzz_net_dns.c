/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile agent may send on the session of the engine's resolver: any bytes, in pieces, after the answer to
 * WIRE_RESOLVER. Nobody listens at 127.0.0.11 here, so the relay's sockets fail at once.
 */
// link: runtime oci
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/wire.h"
#include "runtime/net_dns.h"

#define TURNS 40

static unsigned int turns;

/* Ends the loop when it had time to take everything. */
static bool idle(void *arg)
{
	struct evloop *loop = arg;

	loop->stop = ++turns >= TURNS;
	return true;
}

static void begin(int fd)
{
	struct {
		struct wire_hdr h;
		struct wire_hello hello;
		struct wire_hdr ok;
	} m = {
		.h = { .len = sizeof(struct wire_hello), .type = WIRE_HELLO },
		.hello = { .version = WIRE_VERSION },
		.ok = { .type = WIRE_OK },
	};

	if (send(fd, &m, sizeof(m), 0) != (ssize_t)sizeof(m))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evloop loop;
	struct net_dns *d;
	struct error err;
	int sv[2];

	if (size > 65536)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0 || evloop_init(&loop) < 0)
		abort();
	begin(sv[0]);
	d = net_dns_start(&loop, session_new(sv[1]), &err);
	if (!d)
		abort();
	if (size && send(sv[0], data, size, MSG_DONTWAIT) < 0)
		abort();
	turns = 0;
	loop.idle = idle;
	loop.idle_arg = &loop;
	evloop_run(&loop);
	net_dns_stop(d);
	evloop_free(&loop);
	close(sv[0]);
	return 0;
}
