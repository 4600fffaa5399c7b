/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte streams for the stdio and socket tests, at either end. `stream spew N` writes N bytes of a
 * pattern in which every byte depends on its offset, `stream drain` reads such a stream (as slowly
 * as asked) and says how much came and whether every byte was right: so loss, doubling and
 * reordering are told apart from mere length.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536u
#define PERIOD 65521u /* a prime below CHUNK: a lost or doubled block moves the pattern */

static unsigned char table[PERIOD];

static void table_fill(void)
{
	uint32_t x = 2463534242u;

	for (size_t i = 0; i < PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		table[i] = (unsigned char)(x >> 24);
	}
}

static void pause_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (ms && nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static int write_all(int fd, const unsigned char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* spew BYTES [FD] */
static int do_spew(int argc, char **argv)
{
	uint64_t left = argc > 0 ? strtoull(argv[0], NULL, 10) : 0, offset = 0;
	int fd = argc > 1 ? atoi(argv[1]) : 1;

	table_fill();
	while (left) {
		size_t at = (size_t)(offset % PERIOD), n = PERIOD - at;

		if (n > left)
			n = (size_t)left;
		if (write_all(fd, table + at, n) < 0) {
			fprintf(stderr, "spew=%s after %llu\n", strerrorname_np(errno), (unsigned long long)offset);
			return 1;
		}
		offset += n;
		left -= n;
	}
	return 0;
}

/* drain [STALL_MS [EVERY]]: after each EVERY bytes (default: never) stall. */
static int do_drain(int argc, char **argv)
{
	unsigned stall = argc > 0 ? (unsigned)atoi(argv[0]) : 0;
	uint64_t every = argc > 1 ? strtoull(argv[1], NULL, 10) : UINT64_MAX, offset = 0, next = every;
	static unsigned char buf[CHUNK];

	table_fill();
	for (;;) {
		ssize_t n = read(0, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			printf("drain=%s after %llu\n", strerrorname_np(errno), (unsigned long long)offset);
			return 1;
		}
		if (!n)
			break;
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != table[(offset + (uint64_t)i) % PERIOD]) {
				printf("drain=wrong byte at %llu\n", (unsigned long long)offset + (uint64_t)i);
				return 1;
			}
		offset += (uint64_t)n;
		if (offset >= next) {
			pause_ms(stall);
			next = offset + every;
		}
	}
	printf("drain=ok bytes=%llu\n", (unsigned long long)offset);
	return 0;
}

/* push: write lines to stdout until it fails, tell on stderr how. SIGPIPE is ignored so that the errno is seen. */
static int do_push(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < 6000; i++) {
		if (write_all(1, (const unsigned char *)"push\n", 5) < 0) {
			fprintf(stderr, "push=%s\n", strerrorname_np(errno));
			return 0;
		}
		pause_ms(10);
	}
	fprintf(stderr, "push=never failed\n");
	return 1;
}

static int unix_address(const char *path, struct sockaddr_un *sa)
{
	if (strlen(path) >= sizeof(sa->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(sa->sun_path, path);
	return 0;
}

/* serve PATH: one connection; sends back all it gets, in upper case, when the peer half-closes. */
static int do_serve(int argc, char **argv)
{
	static unsigned char buf[1 << 20];
	struct sockaddr_un sa;
	size_t len = 0;
	ssize_t n;
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), c;

	if (argc < 1 || l < 0 || unix_address(argv[0], &sa) < 0 || bind(l, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(l, 1) < 0) {
		perror("serve");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	c = accept(l, NULL, NULL);
	while (c >= 0 && len < sizeof(buf) && (n = read(c, buf + len, sizeof(buf) - len)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++)
		if (buf[i] >= 'a' && buf[i] <= 'z')
			buf[i] = (unsigned char)(buf[i] - 32);
	return c < 0 || write_all(c, buf, len) < 0;
}

/* dial PATH TEXT: sends TEXT, half-closes, prints what comes back. */
static int do_dial(int argc, char **argv)
{
	struct sockaddr_un sa;
	unsigned char buf[4096];
	ssize_t n;
	int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc < 2 || c < 0 || unix_address(argv[0], &sa) < 0 || connect(c, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		printf("dial=%s\n", strerrorname_np(errno));
		return 1;
	}
	if (write_all(c, (const unsigned char *)argv[1], strlen(argv[1])) < 0 || shutdown(c, SHUT_WR) < 0)
		return 1;
	while ((n = read(c, buf, sizeof(buf))) > 0)
		if (write_all(1, buf, (size_t)n) < 0)
			return 1;
	return n < 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = { { "spew", do_spew },
		      { "drain", do_drain },
		      { "push", do_push },
		      { "serve", do_serve },
		      { "dial", do_dial } };

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, argv[1]))
			return verbs[i].run(argc - 2, argv + 2);
	fprintf(stderr, "usage: stream spew N [FD] | drain [STALL_MS [EVERY]] | push | serve PATH | dial PATH TEXT\n");
	return 2;
}
