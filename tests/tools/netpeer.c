/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network peers for the suite, alike on the host's side and in a container:
 *
 *	netpeer resolver ADDR              DNS on port 53, UDP and TCP: 192.0.2.53 for each A query
 *	netpeer lookup udp|tcp ADDR NAME   the address that the resolver at ADDR gives
 *	netpeer echo ADDR PORT             a TCP server that sends back what it gets, half-close included
 *	netpeer talk ADDR PORT BYTES       a client of it: "echoed BYTES" when all came back right
 *	netpeer udpecho ADDR PORT, netpeer udptalk ADDR PORT COUNT   the same with datagrams of 1200 bytes
 *
 * Servers say "ready" when they listen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LIMIT_MS 30000

static void die(const char *what)
{
	fprintf(stderr, "netpeer: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A socket that is bound (server) or connected to the address. */
static int endpoint(const char *addr, int port, int type, int server)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int v6 = inet_pton(AF_INET6, addr, &six.sin6_addr) == 1, one = 1, fd, r;
	struct timeval limit = { .tv_sec = LIMIT_MS / 1000 };
	struct sockaddr *a = v6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
	socklen_t len = v6 ? sizeof(six) : sizeof(four);

	if (!v6 && inet_pton(AF_INET, addr, &four.sin_addr) != 1) {
		errno = EINVAL;
		die(addr);
	}
	fd = socket(v6 ? AF_INET6 : AF_INET, type, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!server)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	r = server ? bind(fd, a, len) : connect(fd, a, len);
	if (r < 0 || (server && type == SOCK_STREAM && listen(fd, 64) < 0))
		die(addr);
	return fd;
}

static void read_exactly(int fd, uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, p, len, 0);

		if (n <= 0)
			die("end of the connection");
		p += n;
		len -= (size_t)n;
	}
}

/* ---- DNS ---- */

/* The length of the question section's one entry, or 0. */
static size_t question_len(const uint8_t *msg, size_t len)
{
	size_t i = 12;

	while (i < len && msg[i])
		i += msg[i] + 1u;
	return i + 5 <= len ? i + 5 - 12 : 0;
}

static size_t answer_to(uint8_t *msg, size_t len, size_t cap)
{
	static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53 };
	size_t q = len > 12 ? question_len(msg, len) : 0;
	int is_a = q && msg[12 + q - 3] == 1;

	if (!q || 12 + q + sizeof(record) > cap)
		return 0;
	msg[2] = 0x81;
	msg[3] = 0x80;
	memset(msg + 6, 0, 6);
	msg[7] = (uint8_t)is_a;
	if (is_a)
		memcpy(msg + 12 + q, record, sizeof(record));
	return 12 + q + (is_a ? sizeof(record) : 0);
}

static void resolver_tcp(int listener)
{
	uint8_t msg[2 + 4096];
	int fd = accept(listener, NULL, NULL);
	size_t len;

	if (fd < 0)
		return;
	if (recv(fd, msg, 2, MSG_WAITALL) == 2) {
		len = (size_t)(msg[0] << 8 | msg[1]);
		if (len <= 4096 && recv(fd, msg + 2, len, MSG_WAITALL) == (ssize_t)len) {
			len = answer_to(msg + 2, len, 4096);
			msg[0] = (uint8_t)(len >> 8);
			msg[1] = (uint8_t)len;
			send(fd, msg, 2 + len, MSG_NOSIGNAL);
		}
	}
	close(fd);
}

static void resolver(const char *addr)
{
	struct pollfd p[2] = {
		{ .fd = endpoint(addr, 53, SOCK_DGRAM, 1), .events = POLLIN },
		{ .fd = endpoint(addr, 53, SOCK_STREAM, 1), .events = POLLIN },
	};

	puts("ready");
	fflush(stdout);
	for (;;) {
		poll(p, 2, -1);
		if (p[0].revents) {
			struct sockaddr_in peer;
			socklen_t plen = sizeof(peer);
			uint8_t msg[4096];
			ssize_t n = recvfrom(p[0].fd, msg, sizeof(msg), 0, (struct sockaddr *)&peer, &plen);
			size_t len = n > 0 ? answer_to(msg, (size_t)n, sizeof(msg)) : 0;

			if (len)
				sendto(p[0].fd, msg, len, 0, (struct sockaddr *)&peer, plen);
		}
		if (p[1].revents)
			resolver_tcp(p[1].fd);
	}
}

static int lookup(int tcp, const char *addr, const char *name)
{
	uint8_t msg[2 + 4096] = { 0, 0, 0x12, 0x34, 1, 0, 0, 1 };
	size_t len = 14, label = len++;
	int fd = endpoint(addr, 53, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	ssize_t n;

	for (const char *c = name; *c && len < 500; c++) {
		if (*c == '.')
			label = len++;
		else
			msg[len++] = (uint8_t)*c, msg[label]++;
	}
	len++;
	msg[len + 1] = msg[len + 3] = 1; /* A, IN */
	len += 4;
	msg[1] = (uint8_t)(len - 2);
	if (send(fd, tcp ? msg : msg + 2, tcp ? len : len - 2, 0) < 0)
		die("send");
	if (tcp) {
		read_exactly(fd, msg, 2);
		n = msg[0] << 8 | msg[1];
		if (n > 4096)
			die("a long answer");
		read_exactly(fd, msg + 2, (size_t)n);
	} else {
		n = recv(fd, msg + 2, 4096, 0);
	}
	if (n < 28 || msg[2] != 0x12 || msg[3] != 0x34)
		die("no answer");
	printf("%u.%u.%u.%u\n", msg[n - 2], msg[n - 1], msg[n], msg[n + 1]);
	return 0;
}

/* ---- echo ---- */

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

static void echo(const char *addr, int port)
{
	int listener = endpoint(addr, port, SOCK_STREAM, 1);

	signal(SIGCHLD, SIG_IGN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		static uint8_t buf[65536];
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd >= 0 && fork() == 0) {
			while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
				for (ssize_t off = 0, w; off < n; off += w)
					if ((w = send(fd, buf + off, (size_t)(n - off), MSG_NOSIGNAL)) <= 0)
						_exit(1);
			_exit(0);
		}
		close(fd);
	}
}

static int talk(const char *addr, int port, size_t total)
{
	static uint8_t buf[65536];
	int fd = endpoint(addr, port, SOCK_STREAM, 0);
	size_t sent = 0, got = 0;

	if (!total)
		shutdown(fd, SHUT_WR);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = (short)(POLLIN | (sent < total ? POLLOUT : 0)) };
		ssize_t n;

		if (poll(&p, 1, LIMIT_MS) <= 0)
			die("stalled");
		if (p.revents & POLLOUT) {
			size_t len = total - sent < sizeof(buf) ? total - sent : sizeof(buf);

			for (size_t i = 0; i < len; i++)
				buf[i] = pattern(sent + i);
			n = send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				die("send");
			sent += n > 0 ? (size_t)n : 0;
			if (sent == total)
				shutdown(fd, SHUT_WR);
		}
		if (!(p.revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			die("receive");
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != pattern(got + (size_t)i)) {
				fprintf(stderr, "netpeer: byte %zu differs\n", got + (size_t)i);
				return 1;
			}
		got += n > 0 ? (size_t)n : 0;
		if (n == 0)
			break;
	}
	printf("echoed %zu\n", got);
	return got == total ? 0 : 1;
}

static void udp_echo(const char *addr, int port)
{
	int fd = endpoint(addr, port, SOCK_DGRAM, 1);

	puts("ready");
	fflush(stdout);
	for (;;) {
		struct sockaddr_in6 peer;
		socklen_t len = sizeof(peer);
		uint8_t buf[2048];
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &len);

		if (n > 0)
			sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&peer, len);
	}
}

static int udp_talk(const char *addr, int port, size_t count)
{
	int fd = endpoint(addr, port, SOCK_DGRAM, 0);
	uint8_t out[1200], in[2048];

	for (size_t k = 0; k < count; k++) {
		for (size_t i = 0; i < sizeof(out); i++)
			out[i] = pattern(k + i);
		if (send(fd, out, sizeof(out), 0) < 0)
			die("send");
		if (recv(fd, in, sizeof(in), 0) != sizeof(out) || memcmp(in, out, sizeof(out)) != 0)
			die("the datagram's echo");
	}
	printf("echoed %zu\n", count);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	if (!strcmp(verb, "resolver"))
		resolver(argv[2]);
	else if (!strcmp(verb, "lookup") && argc == 5)
		return lookup(!strcmp(argv[2], "tcp"), argv[3], argv[4]);
	else if (!strcmp(verb, "echo") && argc == 4)
		echo(argv[2], atoi(argv[3]));
	else if (!strcmp(verb, "talk") && argc == 5)
		return talk(argv[2], atoi(argv[3]), strtoul(argv[4], NULL, 10));
	else if (!strcmp(verb, "udpecho") && argc == 4)
		udp_echo(argv[2], atoi(argv[3]));
	else if (!strcmp(verb, "udptalk") && argc == 5)
		return udp_talk(argv[2], atoi(argv[3]), strtoul(argv[4], NULL, 10));
	fprintf(stderr, "netpeer resolver|lookup|echo|talk|udpecho|udptalk ...\n");
	return 2;
}
