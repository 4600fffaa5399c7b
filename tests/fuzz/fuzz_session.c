/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile agent can send to the host: the first byte chooses who reads it (a relay with stdio, a request, a
 * request for statistics, an exec's answer and then a relay), the rest are the bytes of the session.
 */
// link: runtime oci
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/guest_stats.h"
#include "runtime/pump.h"
#include "runtime/util.h"

#define BYTES_MAX 150000u /* what a socket takes at once */

struct reader {
	struct evloop loop;
	struct pump pump;
};

static void on_end(void *arg)
{
	struct reader *r = arg;

	r->loop.stop = true;
}

static void relay(struct session *s, bool tty)
{
	struct reader r = { 0 };
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (evloop_init(&r.loop) < 0 || pump_init(&r.pump, &r.loop, s, fds, tty) < 0)
		abort();
	r.pump.on_end = on_end;
	r.pump.arg = &r;
	pump_start(&r.pump);
	evloop_run(&r.loop);
	if (pump_lingers(&r.pump)) {
		r.loop.stop = false;
		pump_linger(&r.pump);
		evloop_run(&r.loop);
	}
	if (pump_status(&r.pump) < 0 || pump_status(&r.pump) > 255)
		abort();
	pump_free(&r.pump);
	if (tty)
		close(fds[2]);
	evloop_free(&r.loop);
}

static void statistics(struct session *s)
{
	struct error err;
	struct guest_stats *g = guest_stats_read(s, "c", mono_ns() + 1000000000, &err);

	if (!g)
		return;
	free(guest_stats_document(g, "c"));
	(void)guest_stats_key(g, "memory.stat", "file");
	guest_stats_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_hdr head = { .len = sizeof(struct wire_hello), .type = WIRE_HELLO };
	struct wire_hello hello = { .version = WIRE_VERSION };
	struct session *s;
	struct error err;
	int sv[2];

	if (size < 1 || size > BYTES_MAX)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		abort();
	fcntl(sv[1], F_SETFL, O_NONBLOCK);
	/* bit 7: no proper greeting; the fuzzer shall not spend its time on one */
	if (!(data[0] & 0x80))
		if (write(sv[1], &head, sizeof(head)) < 0 || write(sv[1], &hello, sizeof(hello)) < 0)
			abort();
	(void)!write(sv[1], data + 1, size - 1);
	shutdown(sv[1], SHUT_WR);
	s = session_new(sv[0]);
	switch (data[0] & 0x7f) {
	case 0:
	case 1:
		relay(s, data[0] & 1);
		break;
	case 2:
		statistics(s);
		break;
	case 3:
		session_request(s, WIRE_PAUSE, "c", 1, mono_ns() + 1000000000, NULL, &err);
		break;
	default:
		if (session_request(s, WIRE_EXEC, NULL, 0, mono_ns() + 1000000000, NULL, &err) == 0)
			relay(s, false);
	}
	session_free(s);
	close(sv[1]);
	return 0;
}
