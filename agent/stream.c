/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte streams between the host and sockets of the guest. The loop runs them. Both ends may stall or close at any time,
 * which costs their own stream only; who begins one bounds their number.
 */
#include "stream.h"

#include <stdlib.h>
#include <unistd.h>

#include "duplex.h"
#include "loop.h"
#include "session.h"

struct stream {
	struct duplex d;
	struct watch w[2];
	void (*over)(void);
};

static void stream_run(struct stream *t, int i, uint32_t events)
{
	void (*over)(void) = t->over;

	if (duplex_event(&t->d, i, events) > 0) {
		for (int k = 0; k < 2; k++)
			watch_set(&t->w[k], duplex_wants(&t->d, k));
		return;
	}
	for (int k = 0; k < 2; k++)
		watch_set(&t->w[k], 0);
	duplex_close(&t->d);
	free(t);
	over();
}

static void on_first(void *arg, uint32_t events)
{
	stream_run(arg, 0, events);
}

static void on_second(void *arg, uint32_t events)
{
	stream_run(arg, 1, events);
}

void stream_begin(struct session *s, int fd, void (*over)(void))
{
	int host = session_detach(s); /* when it fails, the session ends by itself */
	struct stream *t = host < 0 ? NULL : calloc(1, sizeof(*t));

	if (!t || duplex_init(&t->d, host, fd)) {
		if (!t) {
			close(fd);
			if (host >= 0)
				close(host);
		}
		free(t);
		over();
		return;
	}
	t->over = over;
	t->w[0] = (struct watch){ .fd = host, .fn = on_first, .arg = t };
	t->w[1] = (struct watch){ .fd = fd, .fn = on_second, .arg = t };
	stream_run(t, 0, 0);
}
