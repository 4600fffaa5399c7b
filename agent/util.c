/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small helpers for whole files of /proc, /sys and cgroups, numbers, time.
 * Used by the loop and by forked children; nothing here keeps state.
 */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "sys.h"

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

ssize_t file_read(int dir, const char *path, char *buf, size_t cap)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + len, cap - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < cap - 1) || (n < 0 && errno == EINTR));
	if (n < 0)
		n = -errno;
	close(fd);
	buf[len] = '\0';
	return n < 0 ? n : (ssize_t)len;
}

int file_write(int dir, const char *path, const char *data, size_t len)
{
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	do {
		n = write(fd, data, len);
	} while (n < 0 && errno == EINTR);
	err = n < 0 ? errno : ((size_t)n < len ? EIO : 0);
	close(fd);
	return -err;
}

int file_write_str(int dir, const char *path, const char *text)
{
	return file_write(dir, path, text, strlen(text));
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

void fd_close(int *fd)
{
	int keep = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = keep;
}

void fds_close_except(int *keep, size_t n)
{
	unsigned int next = 3;

	for (size_t i = 1; i < n; i++) {
		for (size_t k = i; k > 0 && keep[k] < keep[k - 1]; k--) {
			int t = keep[k];

			keep[k] = keep[k - 1];
			keep[k - 1] = t;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int)next)
			continue;
		if (keep[i] > (int)next)
			sys_close_range(next, (unsigned int)keep[i] - 1);
		next = (unsigned int)keep[i] + 1;
	}
	sys_close_range(next, ~0u);
}

int number_parse(const char *text, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || v > (UINT64_MAX - 9) / 10)
			return -EINVAL;
		v = v * 10 + (uint64_t)(*text - '0');
	}
	*out = v;
	return 0;
}

/* One number at *text, which is moved behind it. */
static int list_number(const char **text, uint64_t *out)
{
	char digits[12];
	size_t n = strspn(*text, "0123456789");

	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, *text, n);
	digits[n] = '\0';
	*text += n;
	return number_parse(digits, out);
}

int list_parse(const char *text, unsigned int limit, void (*each)(unsigned int n, void *arg), void *arg)
{
	while (*text && *text != '\n') {
		uint64_t first, last;
		int r = list_number(&text, &first);

		if (r)
			return r;
		last = first;
		if (*text == '-') {
			text++;
			r = list_number(&text, &last);
			if (r || last < first)
				return -EINVAL;
		}
		for (uint64_t n = first; n <= last && n < limit; n++)
			each((unsigned int)n, arg);
		if (*text == ',')
			text++;
		else if (*text && *text != '\n')
			return -EINVAL;
	}
	return 0;
}

int fault_set(struct fault *f, uint32_t stage, int err, const char *fmt, ...)
{
	va_list ap;

	f->err = (uint32_t)(err < 0 ? -err : err);
	f->stage = stage;
	va_start(ap, fmt);
	if (vsnprintf(f->text, sizeof(f->text), fmt, ap) < 0)
		f->text[0] = '\0';
	va_end(ap);
	return -1;
}
