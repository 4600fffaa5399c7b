/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsevents PATH...: print "watching", then what inotify tells of these files and directories: one line for each event,
 * "PATH NAME kind", until its stdin ends.
 */
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

static const struct {
	uint32_t bit;
	const char *name;
} kinds[] = {
	{ IN_CREATE, "create" },	   { IN_DELETE, "delete" },
	{ IN_MOVED_FROM, "from" },	   { IN_MOVED_TO, "to" },
	{ IN_MODIFY, "modify" },	   { IN_ATTRIB, "attrib" },
	{ IN_CLOSE_WRITE, "close_write" }, { IN_DELETE_SELF, "gone" },
	{ IN_MOVE_SELF, "moved" },	   { IN_Q_OVERFLOW, "overflow" },
};

static void drain(int fd, char **paths)
{
	_Alignas(struct inotify_event) char buf[64 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	ssize_t n = read(fd, buf, sizeof(buf));

	for (char *p = buf; n > 0 && p < buf + n;) {
		struct inotify_event *e = (struct inotify_event *)p;

		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			if (e->mask & kinds[k].bit)
				printf("%s %s %s%s\n", e->wd > 0 ? paths[e->wd - 1] : "-", e->len ? e->name : ".",
				       kinds[k].name, e->mask & IN_ISDIR ? " dir" : "");
		p += sizeof(*e) + e->len;
	}
}

int main(int argc, char **argv)
{
	struct pollfd p[2] = { { .fd = inotify_init1(IN_CLOEXEC), .events = POLLIN },
			       { .fd = STDIN_FILENO, .events = POLLIN } };
	char c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int k = 1; k < argc; k++) {
		if (inotify_add_watch(p[0].fd, argv[k],
				      IN_ALL_EVENTS & ~(uint32_t)(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE)) != k) {
			perror(argv[k]);
			return 1;
		}
	}
	puts("watching");
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents)
			drain(p[0].fd, argv + 1);
		if (p[1].revents && read(STDIN_FILENO, &c, 1) <= 0)
			return 0;
	}
	return 1;
}
