/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says how files come into being in a directory, for the tests of what must appear by rename and
 * in which order: `dirwatch DIR` prints "ready", then one line "create|moved_to|write|delete NAME"
 * per event, until its stdin ends.
 */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

static void drain(int fd)
{
	_Alignas(struct inotify_event) char buf[64 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	ssize_t n = read(fd, buf, sizeof(buf));

	for (char *p = buf; n > 0 && p < buf + n;) {
		struct inotify_event *e = (struct inotify_event *)p;
		const char *what = e->mask & IN_CREATE	      ? "create"
				   : e->mask & IN_MOVED_TO    ? "moved_to"
				   : e->mask & IN_CLOSE_WRITE ? "write"
							      : "delete";

		printf("%s %s\n", what, e->len ? e->name : ".");
		p += sizeof(*e) + e->len;
	}
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = { { .fd = 0, .events = POLLIN }, { .events = POLLIN } };
	char byte;

	fds[1].fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (argc != 2 || fds[1].fd < 0 ||
	    inotify_add_watch(fds[1].fd, argv[1], IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE) < 0) {
		perror("dirwatch");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (poll(fds, 2, -1) > 0) {
		if (fds[1].revents)
			drain(fds[1].fd);
		else if (fds[0].revents && read(0, &byte, 1) <= 0)
			break;
	}
	drain(fds[1].fd);
	return 0;
}
