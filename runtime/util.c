/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small helpers of the CLI: cleanup attributes, memory that cannot fail, small files, time.
 */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

static void *checked(void *p)
{
	if (!p) {
		fputs("husk: out of memory\n", stderr);
		exit(1);
	}
	return p;
}

void *xmalloc(size_t len)
{
	return checked(malloc(len ? len : 1));
}

void *xcalloc(size_t n, size_t len)
{
	return checked(calloc(n ? n : 1, len ? len : 1));
}

void *xrealloc(void *p, size_t len)
{
	return checked(realloc(p, len ? len : 1));
}

char *xstrdup(const char *s)
{
	return checked(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
	char *out = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&out, fmt, ap);
	va_end(ap);
	return checked(n < 0 ? NULL : out);
}

char *file_read_at(int dirfd, const char *name, size_t max, size_t *len)
{
	CLEAN_FD int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t cap = 1024, n = 0;
	char *buf;

	if (fd < 0)
		return NULL;
	buf = xmalloc(cap + 1);
	for (;;) {
		ssize_t got;

		if (n == cap) {
			cap *= 2;
			buf = xrealloc(buf, cap + 1);
		}
		got = read(fd, buf + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || n + (size_t)got > max) {
			int e = got < 0 ? errno : EFBIG;

			free(buf);
			errno = e;
			return NULL;
		}
		if (!got)
			break;
		n += (size_t)got;
	}
	buf[n] = '\0';
	if (len)
		*len = n;
	return buf;
}

int file_write_at(int dirfd, const char *name, const char *text)
{
	CLEAN_FD int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int file_replace_at(int dirfd, const char *name, const char *text, size_t len, mode_t mode)
{
	CLEAN_FREE char *tmp = NULL;
	const char *base = strrchr(name, '/');
	int fd, rc;

	base = base ? base + 1 : name;
	tmp = xasprintf("%.*s.%s.%d", (int)(base - name), name, base, (int)getpid());
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, text, len);
	if (close(fd) < 0 && !rc)
		rc = -errno;
	if (!rc && renameat(dirfd, tmp, dirfd, name) < 0)
		rc = -errno;
	if (rc)
		unlinkat(dirfd, tmp, 0);
	return rc;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int read_all(int fd, void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!n)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

char *time_rfc3339(char *buf, size_t len)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(buf, len, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, len - n, ".%09ldZ", ts.tv_nsec);
	return buf;
}

bool parse_i64(const char *text, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long v;

	if ((*text < '0' || *text > '9') && *text != '-')
		return false;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end || v < min || v > max)
		return false;
	*out = v;
	return true;
}

int mkdir_parents(const char *path, mode_t mode)
{
	CLEAN_FREE char *copy = xstrdup(path);

	for (char *p = copy + 1;; p++) {
		char c = *p;

		if (c != '/' && c)
			continue;
		*p = '\0';
		if (*copy && mkdir(copy, mode) < 0 && errno != EEXIST) {
			int e = errno;
			struct stat st;

			/* a read-only file system says EROFS for a directory that is there */
			if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode))
				return -e;
		}
		if (!c)
			return 0;
		*p = c;
	}
}

char *path_absolute(const char *path)
{
	CLEAN_FREE char *full = NULL;
	char *out, *w;

	if (*path == '/') {
		full = xstrdup(path);
	} else {
		CLEAN_FREE char *cwd = getcwd(NULL, 0);

		full = xasprintf("%s/%s", cwd ? cwd : "", path);
	}
	w = out = xmalloc(strlen(full) + 2);
	for (const char *p = full; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (w > out && *--w != '/')
				;
		} else if (n && !(n == 1 && *p == '.')) {
			*w++ = '/';
			memcpy(w, p, n);
			w += n;
		}
		p += n + (p[n] == '/');
	}
	if (w == out)
		*w++ = '/';
	*w = '\0';
	return out;
}

uint64_t process_start_time(pid_t pid, char *state)
{
	char name[48];
	CLEAN_FREE char *text = NULL;
	uint64_t start = 0;
	const char *p;
	char st;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	text = file_read_at(AT_FDCWD, name, 8192, NULL);
	if (!text)
		return 0;
	/* the name in parentheses may hold anything, ')' included: look from the end */
	p = strrchr(text, ')');
	if (!p || sscanf(p, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
			 &st, &start) != 2)
		return 0;
	if (state)
		*state = st;
	return start;
}

int fd_send(int sock, int fd, const void *data, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

NOT_POISONED void signals_default(void)
{
	sigset_t none;

	for (int sig = 1; sig < 65; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33) /* 32, 33: the C library's own */
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void fds_keep_only(const int *keep, unsigned int n)
{
	unsigned int from = 3;

	for (;;) {
		unsigned int next = ~0U;

		for (unsigned int i = 0; i < n; i++)
			if (keep[i] >= (int)from && (unsigned int)keep[i] < next)
				next = (unsigned int)keep[i];
		if (next == ~0U)
			break;
		if (next > from)
			close_range(from, next - 1, 0);
		from = next + 1;
	}
	close_range(from, ~0U, 0);
}
