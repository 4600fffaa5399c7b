/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is a command line of husk-vmm, one argument in each line. It is refused with a message, or what comes out
 * keeps the limits that the machine is built on. Messages and the end of the process (vmm/log.h) are ours.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/boot.h"
#include "vmm/control.h"
#include "vmm/fs.h"
#include "vmm/log.h"
#include "vmm/memory.h"
#include "vmm/options.h"

#define ARGS_MAX 256
#define FD_FIRST 100 /* these are open; what the parser opens itself comes below */
#define FD_END 108

static jmp_buf refused;

static void format(const char *fmt, va_list ap)
{
	char line[1024];

	if (vsnprintf(line, sizeof(line), fmt, ap) < 8)
		abort(); /* it says nothing */
}

void log_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format(fmt, ap);
	va_end(ap);
	longjmp(refused, 1);
}

void log_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format(fmt, ap);
	va_end(ap);
}

void log_guest(const char *fmt, ...)
{
	(void)fmt;
	abort(); /* there is no guest yet */
}

static bool was_open[FD_FIRST];

static void begin_once(void)
{
	static bool begun;

	if (begun)
		return;
	begun = true;
	for (int fd = FD_FIRST; fd < FD_END; fd++)
		if (dup2(STDERR_FILENO, fd) < 0)
			abort();
	for (int fd = 0; fd < FD_FIRST; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

static void close_opened(void)
{
	for (int fd = 0; fd < FD_FIRST; fd++)
		if (!was_open[fd])
			close(fd);
}

static void want(bool holds)
{
	if (!holds)
		abort();
}

static void want_fd(int fd, bool optional)
{
	want((optional && fd == -1) || fcntl(fd, F_GETFD) >= 0);
}

/* Parts of an argument stay inside the command line. */
static bool inside(const char *p, size_t len, const char *text, size_t size)
{
	return p >= text && p <= text + size && len <= (size_t)(text + size - p);
}

static void look(const struct options *o, const char *text, size_t size)
{
	want_fd(o->kernel_fd, false);
	want_fd(o->initrd_fd, true);
	want_fd(o->listen_fd, true);
	want_fd(o->owner_fd, true);
	want_fd(o->console_fd, true);
	want(o->listen_fd == -1 || o->listen_fd > STDERR_FILENO);
	want(o->mem_bytes && o->mem_bytes % (2u << 20) == 0 && o->mem_bytes <= GMEM_SIZE_MAX);
	want(o->mem_max_bytes >= o->mem_bytes && o->mem_max_bytes % (2u << 20) == 0);
	want(o->mem_max_bytes - o->mem_bytes <= GMEM_SIZE_MAX / 2);
	want(o->dax_bytes <= FS_WINDOW_MAX && o->dax_bytes % (128u << 20) == 0);
	want(o->dax_own_bytes <= FS_WINDOW_MAX && o->dax_own_bytes % (128u << 20) == 0);
	want(o->cpus >= 1 && o->cpus <= o->max_cpus && o->max_cpus <= BOOT_VCPUS_MAX);
	want(o->nics <= 8 && o->boot_timeout_ms >= 1);
	want(!*o->cmdline || inside(o->cmdline, strlen(o->cmdline), text, size));
	want(o->nshares <= OPTIONS_SHARES_MAX && o->ndisks <= OPTIONS_DISKS_MAX);
	for (unsigned int i = 0; i < o->nshares; i++) {
		const struct option_share *s = &o->share[i];

		want_fd(s->fd, false);
		want(s->name_len >= 1 && s->name_len <= OPTIONS_SHARE_NAME_MAX);
		want(inside(s->name, s->name_len, text, size));
		want(!(s->flags & CTL_SHARE_DAX) || (s->flags & CTL_SHARE_RO));
	}
	for (unsigned int i = 0; i < o->ndisks; i++) {
		want_fd(o->disk[i].fd, false);
		want(strlen(o->disk[i].serial) <= OPTIONS_SERIAL_MAX);
		want(!*o->disk[i].serial || inside(o->disk[i].serial, 1, text, size));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct options o;
	char *text = malloc(size + 1), *argv[ARGS_MAX + 2] = { (char *)(uintptr_t) "husk-vmm" };
	static char null[] = "/dev/null";
	int argc = 1;

	begin_once();
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *rest = text, *arg; argc <= ARGS_MAX && (arg = strsep(&rest, "\n"));) {
		const char *before = argv[argc - 1];

		/* no file of this machine is opened by a name that is made up */
		if ((!strcmp(before, "--kernel") || !strcmp(before, "--initrd")) && strncmp(arg, "fd:", 3))
			arg = null;
		argv[argc++] = arg;
	}
	if (setjmp(refused) == 0) {
		options_parse(&o, argc, argv);
		if (o.action == ACTION_RUN)
			look(&o, text, size);
	}
	close_opened();
	free(text);
	return 0;
}
