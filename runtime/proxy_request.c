/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of proxy.sock.
 */
#include <errno.h>
#include <poll.h>

#include "proxy.h"
#include "util.h"

static int reply_wait(int sock, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		uint64_t now = mono_ns();
		int n;

		if (now >= deadline)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)((deadline - now) / 1000000 + 1));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

int proxy_request(const char *path, enum proxy_op op, uint64_t deadline, struct error *err)
{
	CLEAN_FD int sock = unix_connect(path);
	struct proxy_req req = { .magic = PROXY_MAGIC, .op = op };
	struct proxy_rep rep = { 0 };
	int rc;

	if (sock < 0) {
		error_set(err, 0, "the container's process is gone");
		err->code = -sock;
		return -1;
	}
	rc = write_all(sock, &req, sizeof(req));
	if (!rc)
		rc = reply_wait(sock, deadline);
	if (!rc)
		rc = read_all(sock, &rep, sizeof(rep));
	if (!rc && (rep.magic != PROXY_MAGIC || rep.len >= sizeof(err->text)))
		rc = -EPROTO;
	if (!rc && rep.len) {
		rc = read_all(sock, err->text, rep.len);
		if (!rc) {
			err->text[rep.len] = '\0';
			err->code = (int)rep.code;
		}
	}
	if (rc == -EPIPE || rc == -ECONNRESET)
		return error_set(err, 0, "the container ended before it could answer");
	if (rc == -ETIMEDOUT)
		return error_set(err, 0, "the container's proxy does not answer (timed out)");
	if (rc)
		return error_set(err, -rc, "the container's proxy");
	return rep.status ? -1 : 0;
}
