/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of a test guest: runs every probe of the kernel and writes one line each, "ok NAME" or "not ok NAME: why", then
 * "done N failed". The guest has no console, so lines go out byte by byte on the port of a debug console (0xe9).
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONSOLE_PORT 0xe9
#define PROBE_SECONDS 20

static unsigned int failed;

const char *problem(const char *format, ...)
{
	static char text[512];
	int error = errno;
	va_list args;
	size_t length;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	length = strlen(text);
	if (error)
		snprintf(text + length, sizeof(text) - length, ": %s", strerror(error));
	return text;
}

bool file_read(const char *path, char *text, unsigned long size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned long used = 0;
	ssize_t got;

	if (fd < 0)
		return false;
	while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
		used += (unsigned long)got;
	close(fd);
	if (used && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	return true;
}

bool file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t put;

	if (fd < 0)
		return false;
	put = write(fd, text, strlen(text));
	close(fd);
	return put == (ssize_t)strlen(text);
}

bool file_has_word(const char *path, const char *word)
{
	static char text[1 << 16];
	char *save = NULL;

	if (!file_read(path, text, sizeof(text)))
		return false;
	for (char *w = strtok_r(text, " \t\n[]", &save); w; w = strtok_r(NULL, " \t\n[]", &save))
		if (!strcmp(w, word))
			return true;
	return false;
}

const char *words_missing(const char *path, const char *const *words)
{
	for (; *words; words++)
		if (!file_has_word(path, *words))
			return *words;
	return NULL;
}

bool debug_variant(void)
{
	struct utsname name;

	return uname(&name) == 0 && strstr(name.release, "-debug");
}

static void emit(const char *text)
{
	for (; *text; text++)
		outb((unsigned char)*text, CONSOLE_PORT);
}

static void probe_run(const struct probe *probe)
{
	char why[512] = "", line[768];
	int fds[2], status;
	ssize_t got;
	pid_t pid;

	if (pipe(fds) < 0 || (pid = fork()) < 0) {
		emit("not ok harness: pipe or fork failed\n");
		failed++;
		return;
	}
	if (!pid) {
		const char *text;

		close(fds[0]);
		alarm(PROBE_SECONDS);
		errno = 0;
		text = probe->run();
		if (text && write(fds[1], text, strlen(text)) < 0)
			_exit(2);
		_exit(text ? 1 : 0);
	}
	close(fds[1]);
	got = read(fds[0], why, sizeof(why) - 1);
	why[got > 0 ? got : 0] = '\0';
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "ended by signal %d", WTERMSIG(status));
	if (status) {
		snprintf(line, sizeof(line), "not ok %s: %s\n", probe->name, why);
		failed++;
	} else {
		snprintf(line, sizeof(line), "ok %s\n", probe->name);
	}
	emit(line);
}

int main(void)
{
	static const struct probe *const tables[] = { device_probes, process_probes, cgroup_probes,
						      fs_probes,     net_probes,     filter_probes };
	struct utsname name;
	char line[256];

	if (getpid() != 1) /* run as the interpreter of a script, by a probe */
		return 42;
	if (ioperm(CONSOLE_PORT, 1, 1) < 0)
		return 1;
	mkdir("/mnt", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) < 0 || mount("sysfs", "/sys", "sysfs", 0, NULL) < 0 ||
	    mount("dev", "/dev", "devtmpfs", 0, NULL) < 0 || mount("cgroup", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0)
		emit("not ok base: cannot mount proc, sysfs, devtmpfs and cgroup2\n");
	uname(&name);
	snprintf(line, sizeof(line), "kernel %s %s\n", name.release, name.version);
	emit(line);
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct probe *probe = tables[t]; probe->name; probe++)
			probe_run(probe);
	snprintf(line, sizeof(line), "done %u failed\n", failed);
	emit(line);
	reboot(RB_AUTOBOOT);
	return 1;
}
