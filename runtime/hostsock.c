/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNIX sockets of the host that a container has as mounts (a bound /var/run/docker.sock).
 *
 * One small process per container that has any, child of the init proxy, single-threaded. It holds an O_PATH
 * descriptor of each socket and connects by it, so what is reached is what was mounted, whatever its name points to
 * later. The agent tells of each connection in the guest (WIRE_CALL); the helper connects on the host and answers, or
 * refuses.
 *
 * The guest controls how many connections it makes and what is in them; their number is bounded, and nothing of their
 * content is looked into. Only bytes cross: no descriptors, and the peer that the server sees is this process.
 */
#include "hostsock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../agent/wire.h"
#include "evloop.h"
#include "session.h"
#include "stream.h"
#include "util.h"
#include "vmm.h"

#define CONNECT_LIMIT_NS (10ull * 1000000000u)
#define WARNINGS_MAX 32u

struct helper {
	const struct hostsock_config *c;
	int *fds;    /* O_PATH, one for each socket */
	int vm_dir;  /* where vm.sock is */
	int self_fd; /* directory: our own descriptors as names; in the parent /proc */
	struct evloop loop;
	struct watch parent_w, session_w;
	struct session *s;
	struct streams streams;
	unsigned int warnings;
};

struct reply {
	int32_t status;
	char text[512];
};

static struct session *connect_agent(void *arg)
{
	struct helper *h = arg;
	struct error err;

	return agent_connect_at(h->vm_dir, mono_ns() + CONNECT_LIMIT_NS, &err);
}

/* The socket is named through our own descriptors: connect(2) knows names only. fd or -errno. */
static int connect_socket(struct helper *h, uint32_t index)
{
	CLEAN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int r;

	if (fd < 0 || fchdir(h->self_fd) < 0)
		return -errno;
	snprintf(a.sun_path, sizeof(a.sun_path), "%d", h->fds[index]);
	r = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
	if (chdir("/") < 0)
		_exit(1);
	return r < 0 ? r : take_fd(&fd);
}

static void take_call(struct helper *h, const struct wire_call *q)
{
	int fd = -EINVAL;

	if (h->streams.n >= HOSTSOCK_STREAMS_MAX)
		fd = -EMFILE;
	else if (q->index < h->c->host->nsockets)
		fd = connect_socket(h, q->index);
	if (fd >= 0) {
		stream_new(&h->streams, fd, WIRE_ANSWER, &q->id, sizeof(q->id));
		return;
	}
	if (h->warnings++ < WARNINGS_MAX)
		dprintf(h->c->log_fd, "husk-sock: %s: %s\n",
			q->index < h->c->host->nsockets ? h->c->host->sockets[q->index].source : "no such socket",
			fd == -EPROTOTYPE ? "it is no stream socket, and only those can be relayed"
					  : error_errno_text(-fd));
	if (session_put(h->s, WIRE_REFUSE, 0, &q->id, sizeof(q->id)) < 0)
		_exit(0); /* the agent does not read any more */
}

static void on_session(void *arg, uint32_t events)
{
	struct helper *h = arg;
	struct wire_call q;
	struct frame f;
	int r = session_fill(h->s);

	(void)events;
	if (r == 0 || (r < 0 && r != -EAGAIN))
		_exit(0); /* the guest is gone */
	while ((r = session_next(h->s, &f)) > 0) {
		if (f.h.type != WIRE_CALL)
			_exit(0);
		memcpy(&q, f.payload, sizeof(q));
		take_call(h, &q);
	}
	if (r < 0 || session_flush(h->s) < 0 ||
	    watch_set(&h->loop, &h->session_w, EPOLLIN | (session_pending(h->s) ? EPOLLOUT : 0)) < 0)
		_exit(0);
}

static int serve(struct helper *h, struct error *err)
{
	int r;

	h->s = agent_connect_at(h->vm_dir, mono_ns() + CONNECT_LIMIT_NS, err);
	if (!h->s)
		return -1;
	if (session_request(h->s, WIRE_SOCKETS, h->c->id, strlen(h->c->id), mono_ns() + CONNECT_LIMIT_NS, NULL, err) <
	    0)
		return -1;
	h->session_w = (struct watch){ .fd = h->s->fd, .fn = on_session, .arg = h };
	r = watch_set(&h->loop, &h->session_w, EPOLLIN);
	return r < 0 ? error_set(err, -r, "watch the agent") : 0;
}

static void on_parent(void *arg, uint32_t events)
{
	struct helper *h = arg;
	struct reply reply = { .status = 0 };
	struct error err = { .code = 0 };
	char c;

	(void)events;
	if (h->s || recv(h->parent_w.fd, &c, 1, 0) <= 0)
		_exit(0);
	if (serve(h, &err) < 0) {
		reply.status = -1;
		snprintf(reply.text, sizeof(reply.text), "%.500s", err.text);
	}
	if (send(h->parent_w.fd, &reply, sizeof(reply), MSG_NOSIGNAL) < 0 || reply.status)
		_exit(1);
	if (h->s->in_len > h->s->in_used) /* a call may have come with the answer */
		on_session(h, 0);
}

static void __attribute__((noreturn)) helper_main(struct helper *h)
{
	prctl(PR_SET_NAME, "husk-sock");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (evloop_init(&h->loop) < 0)
		_exit(1);
	h->parent_w.fn = on_parent;
	h->parent_w.arg = h;
	h->streams = (struct streams){ .loop = &h->loop, .connect = connect_agent, .arg = h };
	if (watch_set(&h->loop, &h->parent_w, EPOLLIN) == 0)
		evloop_run(&h->loop);
	_exit(1);
}

/* ---- the parent's side ---- */

static int sockets_open(struct helper *h, struct error *err)
{
	const struct host_plan *host = h->c->host;
	CLEAN_FREE char *dir = xstrdup(h->c->vm_sock);

	*strrchr(dir, '/') = '\0';
	h->vm_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (h->vm_dir < 0)
		return error_set(err, errno, "%s", dir);
	for (size_t i = 0; i < host->nsockets; i++) {
		h->fds[i] = open(host->sockets[i].source, O_PATH | O_CLOEXEC);
		if (h->fds[i] < 0)
			return error_set(err, errno, "socket %s", host->sockets[i].source);
	}
	/* the parent changes the root while the helper begins */
	h->self_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return h->self_fd < 0 ? error_set(err, errno, "/proc") : 0;
}

static void sockets_close(struct helper *h)
{
	for (size_t i = 0; i < h->c->host->nsockets; i++)
		if (h->fds[i] >= 0)
			close(h->fds[i]);
	if (h->vm_dir >= 0)
		close(h->vm_dir);
	if (h->self_fd >= 0)
		close(h->self_fd);
	free(h->fds);
}

static void __attribute__((noreturn)) child(struct helper *h, int sock)
{
	size_t n = h->c->host->nsockets;
	int *keep = xcalloc(n + 4, sizeof(*keep));
	int proc = h->self_fd;

	h->self_fd = openat(proc, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (h->self_fd < 0)
		_exit(1);
	memcpy(keep, h->fds, n * sizeof(*keep));
	keep[n] = sock;
	keep[n + 1] = h->vm_dir;
	keep[n + 2] = h->c->log_fd;
	keep[n + 3] = h->self_fd;
	/* the container's stdio above all: engines wait for its end */
	fds_keep_only(keep, (unsigned int)(n + 4));
	free(keep);
	h->parent_w.fd = sock;
	helper_main(h);
}

int hostsock_start(struct hostsock *out, const struct hostsock_config *c, struct error *err)
{
	struct helper h = { .c = c, .vm_dir = -1, .self_fd = -1 };
	int sv[2], rc;

	out->sock = -1;
	if (!c->host->nsockets)
		return 0;
	h.fds = xcalloc(c->host->nsockets, sizeof(*h.fds));
	memset(h.fds, 0xff, c->host->nsockets * sizeof(*h.fds)); /* -1 */
	rc = sockets_open(&h, err);
	if (rc == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		rc = error_set(err, errno, "socketpair for the socket helper");
	if (rc == 0) {
		out->pid = fork();
		if (out->pid == 0)
			child(&h, sv[1]);
		close(sv[1]);
		out->sock = sv[0];
		if (out->pid < 0) {
			rc = error_set(err, errno, "fork the socket helper");
			close(sv[0]);
			out->sock = -1;
		}
	}
	sockets_close(&h);
	return rc;
}

int hostsock_serve(struct hostsock *h, struct error *err)
{
	struct reply reply;

	if (h->sock < 0)
		return 0;
	if (send(h->sock, "s", 1, MSG_NOSIGNAL) != 1 || recv(h->sock, &reply, sizeof(reply), 0) != sizeof(reply))
		return error_set(err, 0, "the socket helper died; the container's sockets cannot be served");
	reply.text[sizeof(reply.text) - 1] = '\0';
	return reply.status < 0 ? error_set(err, 0, "sockets: %s", reply.text) : 0;
}
