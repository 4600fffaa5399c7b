/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing of the command line. Main thread, at the very start. It comes from the runtime, which is trusted, and from
 * people, who err: each mistake is named with its mend.
 */
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "boot.h"
#include "control.h"
#include "fs.h"
#include "log.h"
#include "memory.h"

#define MEM_MIB_MIN 32u
#define NICS_DEFAULT 4u
#define NICS_MAX 8u
#define BOOT_TIMEOUT_DEFAULT 30000u

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] < '0' || text[0] > '9' || v < min || v > max)
		log_die("%s %s: a number from %llu to %llu is needed", option, text, (unsigned long long)min,
			(unsigned long long)max);
	return v;
}

/* Parses "fd:N" at the start of text; *rest is what follows the number. The descriptor must be open. */
static int descriptor(const char *option, const char *text, const char **rest)
{
	unsigned long v;
	char *end;

	errno = 0;
	if (strncmp(text, "fd:", 3) || text[3] < '0' || text[3] > '9')
		log_die("%s %s: fd:N is needed, the number of an inherited file descriptor", option, text);
	v = strtoul(text + 3, &end, 10);
	if (errno || v > INT32_MAX || fcntl((int)v, F_GETFD) < 0)
		log_die("%s %s: this file descriptor is not open", option, text);
	if (v <= STDERR_FILENO && strcmp(option, "--console"))
		log_die("%s %s: standard input, output and error cannot be used here", option, text);
	/* Nobody is exec'ed, but a descriptor table without holes in this habit is easier to trust. */
	if (v > STDERR_FILENO)
		fcntl((int)v, F_SETFD, FD_CLOEXEC);
	*rest = end;
	return (int)v;
}

static int plain_descriptor(const char *option, const char *text)
{
	const char *rest;
	int fd = descriptor(option, text, &rest);

	if (*rest)
		log_die("%s %s: nothing may follow the number", option, text);
	return fd;
}

static int open_file(const char *option, const char *text)
{
	int fd;

	if (!strncmp(text, "fd:", 3))
		return plain_descriptor(option, text);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		log_die("%s %s: %s", option, text, strerror(errno));
	return fd;
}

/* NAME:fd:N[:ro][:private][:dax] */
static void add_share(struct options *o, const char *text)
{
	const char *colon = strstr(text, ":fd:"), *rest;
	struct option_share *s;

	if (o->nshares == OPTIONS_SHARES_MAX)
		log_die("--share: more than %u", OPTIONS_SHARES_MAX);
	if (!colon || colon == text || (size_t)(colon - text) > OPTIONS_SHARE_NAME_MAX)
		log_die("--share %s: NAME:fd:N[:ro][:private][:dax] is needed, NAME of 1 to %u bytes", text,
			OPTIONS_SHARE_NAME_MAX);
	s = &o->share[o->nshares++];
	s->name = text;
	s->name_len = (uint32_t)(colon - text);
	s->fd = descriptor("--share", colon + 1, &rest);
	s->flags = 0;
	while (*rest) {
		if (!strncmp(rest, ":ro", 3) && (rest[3] == ':' || !rest[3])) {
			s->flags |= CTL_SHARE_RO;
			rest += 3;
		} else if (!strncmp(rest, ":private", 8) && (rest[8] == ':' || !rest[8])) {
			s->flags |= CTL_SHARE_PRIVATE;
			rest += 8;
		} else if (!strncmp(rest, ":dax", 4) && (rest[4] == ':' || !rest[4])) {
			s->flags |= CTL_SHARE_DAX;
			rest += 4;
		} else {
			log_die("--share %s: only :ro, :private and :dax may follow the number", text);
		}
	}
	if ((s->flags & CTL_SHARE_DAX) && !(s->flags & CTL_SHARE_RO))
		log_die("--share %s: :dax needs :ro, only what nobody writes is mapped", text);
}

/* fd:N[:ro][:SERIAL] */
static void add_disk(struct options *o, const char *text)
{
	struct option_disk *d;
	const char *rest;

	if (o->ndisks == OPTIONS_DISKS_MAX)
		log_die("--disk: more than %u", OPTIONS_DISKS_MAX);
	d = &o->disk[o->ndisks++];
	d->fd = descriptor("--disk", text, &rest);
	d->flags = 0;
	d->serial = "";
	if (!strncmp(rest, ":ro", 3) && (rest[3] == ':' || !rest[3])) {
		d->flags |= CTL_DISK_RO;
		rest += 3;
	}
	if (*rest == ':')
		d->serial = ++rest;
	else if (*rest)
		log_die("--disk %s: only :ro and :SERIAL may follow the number", text);
	if (strlen(rest) > OPTIONS_SERIAL_MAX)
		log_die("--disk %s: the serial is longer than %u bytes", text, OPTIONS_SERIAL_MAX);
}

/* Rounded up to 128 MiB, for which the guest makes page structures at a time. */
static uint64_t window_size(const char *option, const char *text)
{
	return ((number(option, text, 1, FS_WINDOW_MAX >> 20) + 127) & ~127ull) << 20;
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void close_between(unsigned int first, unsigned int last)
{
	if (first <= last && syscall(SYS_close_range, first, last, 0))
		log_die("cannot close inherited file descriptors: %s (Linux 5.9 or newer is needed)", strerror(errno));
}

void options_close_others(const struct options *o)
{
	int keep[OPTIONS_SHARES_MAX + OPTIONS_DISKS_MAX + 8], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned int n = 0, next = STDERR_FILENO + 1;

	if (null < 0)
		log_die("/dev/null: %s", strerror(errno));
	for (int fd = STDIN_FILENO; fd <= STDOUT_FILENO; fd++) {
		if (fd != o->console_fd && fd != null && dup2(null, fd) < 0)
			log_die("/dev/null: %s", strerror(errno));
	}
	keep[n++] = o->kernel_fd;
	keep[n++] = o->initrd_fd;
	keep[n++] = o->listen_fd;
	keep[n++] = o->owner_fd;
	keep[n++] = o->console_fd;
	for (unsigned int i = 0; i < o->nshares; i++)
		keep[n++] = o->share[i].fd;
	for (unsigned int i = 0; i < o->ndisks; i++)
		keep[n++] = o->disk[i].fd;
	qsort(keep, n, sizeof(keep[0]), compare_fds);
	for (unsigned int i = 0; i < n; i++) {
		if (keep[i] < (int)next)
			continue; /* not given, standard, or named twice */
		close_between(next, (unsigned int)keep[i] - 1);
		next = (unsigned int)keep[i] + 1;
	}
	close_between(next, UINT32_MAX);
	clearenv();
}

void options_parse(struct options *o, int argc, char **argv)
{
	bool nics_given = false;

	*o = (struct options){
		.kernel_fd = -1,
		.initrd_fd = -1,
		.cpus = 1,
		.cmdline = "",
		.listen_fd = -1,
		.owner_fd = -1,
		.console_fd = -1,
		.jail = true,
		.agent = true,
		.nics = NICS_DEFAULT,
		.boot_timeout_ms = BOOT_TIMEOUT_DEFAULT,
	};
	for (int i = 1; i < argc; i++) {
		const char *opt = argv[i], *val = argv[i + 1];

		if (!strcmp(opt, "--probe")) {
			o->action = ACTION_PROBE;
			return;
		}
		if (!strcmp(opt, "--version")) {
			o->action = ACTION_VERSION;
			return;
		}
		if (!strcmp(opt, "--debug")) {
			o->debug = true;
			continue;
		}
		if (!strcmp(opt, "--no-jail")) {
			o->jail = false;
			continue;
		}
		if (!strcmp(opt, "--plain-registers")) {
			o->plain_registers = true;
			continue;
		}
		if (!strcmp(opt, "--mem-auto")) {
			o->mem_auto = true;
			continue;
		}
		if (!strcmp(opt, "--ksm")) {
			o->merge = true;
			continue;
		}
		if (!strcmp(opt, "--no-agent")) {
			o->agent = false;
			continue;
		}
		if (!val)
			log_die("%s: unknown option, or its value is missing; see husk-vmm(1)", opt);
		i++;
		if (!strcmp(opt, "--kernel")) {
			o->kernel_fd = open_file(opt, val);
		} else if (!strcmp(opt, "--initrd")) {
			o->initrd_fd = open_file(opt, val);
		} else if (!strcmp(opt, "--mem")) {
			/* Rounded up: memory is handed out in huge pages. */
			o->mem_bytes = ((number(opt, val, MEM_MIB_MIN, GMEM_SIZE_MAX >> 20) + 1) & ~1ull) << 20;
		} else if (!strcmp(opt, "--mem-max")) {
			o->mem_max_bytes = ((number(opt, val, MEM_MIB_MIN, GMEM_SIZE_MAX >> 21) + 1) & ~1ull) << 20;
		} else if (!strcmp(opt, "--cpus")) {
			o->cpus = (unsigned int)number(opt, val, 1, BOOT_VCPUS_MAX);
		} else if (!strcmp(opt, "--max-cpus")) {
			o->max_cpus = (unsigned int)number(opt, val, 1, BOOT_VCPUS_MAX);
		} else if (!strcmp(opt, "--cmdline")) {
			o->cmdline = val;
		} else if (!strcmp(opt, "--listen")) {
			o->listen_fd = plain_descriptor(opt, val);
		} else if (!strcmp(opt, "--owner")) {
			o->owner_fd = plain_descriptor(opt, val);
		} else if (!strcmp(opt, "--console")) {
			o->console_fd = plain_descriptor(opt, val);
		} else if (!strcmp(opt, "--share")) {
			add_share(o, val);
		} else if (!strcmp(opt, "--disk")) {
			add_disk(o, val);
		} else if (!strcmp(opt, "--nics")) {
			o->nics = (unsigned int)number(opt, val, 0, NICS_MAX);
			nics_given = true;
		} else if (!strcmp(opt, "--dax")) {
			o->dax_bytes = window_size(opt, val);
		} else if (!strcmp(opt, "--dax-own")) {
			o->dax_own_bytes = window_size(opt, val);
		} else if (!strcmp(opt, "--boot-timeout")) {
			o->boot_timeout_ms = (uint32_t)number(opt, val, 1, 3600000);
		} else {
			log_die("%s: unknown option; see husk-vmm(1)", opt);
		}
	}
	if (o->kernel_fd < 0)
		log_die("--kernel is missing: the path of an uncompressed Linux kernel (vmlinux)");
	if (!o->mem_bytes)
		log_die("--mem is missing: the guest's memory in MiB");
	if (o->mem_max_bytes < o->mem_bytes)
		o->mem_max_bytes = o->mem_bytes;
	if (o->max_cpus < o->cpus)
		o->max_cpus = o->cpus;
	if (o->debug && o->console_fd < 0)
		o->console_fd = STDERR_FILENO;
	if (!o->agent && !nics_given)
		o->nics = 0;
}
