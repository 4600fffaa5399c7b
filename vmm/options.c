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
#define NICS_NOT_GIVEN UINT32_MAX
#define BOOT_TIMEOUT_DEFAULT 30000u
#define BOOT_TIMEOUT_MAX 3600000u

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

/* One option: its value goes where the pointer that is set says. */
struct option {
	const char *name;
	enum option_action action; /* instead of a run: nothing further is looked at */
	bool *on, *off;		   /* these two have no value */
	int *file, *fd;		   /* PATH or fd:N; fd:N */
	unsigned int *number;
	uint64_t *mib; /* in bytes there, rounded up to `step` MiB */
	const char **text;
	void (*add)(struct options *o, const char *text);
	uint64_t min, max, step;
};

static bool has_value(const struct option *opt)
{
	return !opt->action && !opt->on && !opt->off;
}

static void set(struct options *o, const struct option *opt, const char *val)
{
	if (opt->action)
		o->action = opt->action;
	else if (opt->on)
		*opt->on = true;
	else if (opt->off)
		*opt->off = false;
	else if (opt->file)
		*opt->file = open_file(opt->name, val);
	else if (opt->fd)
		*opt->fd = plain_descriptor(opt->name, val);
	else if (opt->number)
		*opt->number = (unsigned int)number(opt->name, val, opt->min, opt->max);
	else if (opt->mib)
		*opt->mib = ((number(opt->name, val, opt->min, opt->max) + opt->step - 1) & ~(opt->step - 1)) << 20;
	else if (opt->text)
		*opt->text = val;
	else
		opt->add(o, val);
}

static void check(struct options *o)
{
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
	if (o->nics == NICS_NOT_GIVEN)
		o->nics = o->agent ? NICS_DEFAULT : 0;
}

void options_parse(struct options *o, int argc, char **argv)
{
	/* Memory is handed out in huge pages; for a window the guest makes page structures 128 MiB at a time. */
	const struct option options[] = {
		{ "--probe", .action = ACTION_PROBE },
		{ "--version", .action = ACTION_VERSION },
		{ "--debug", .on = &o->debug },
		{ "--no-jail", .off = &o->jail },
		{ "--no-agent", .off = &o->agent },
		{ "--plain-registers", .on = &o->plain_registers },
		{ "--mem-auto", .on = &o->mem_auto },
		{ "--ksm", .on = &o->merge },
		{ "--kernel", .file = &o->kernel_fd },
		{ "--initrd", .file = &o->initrd_fd },
		{ "--cmdline", .text = &o->cmdline },
		{ "--mem", .mib = &o->mem_bytes, .min = MEM_MIB_MIN, .max = GMEM_SIZE_MAX >> 20, .step = 2 },
		{ "--mem-max", .mib = &o->mem_max_bytes, .min = MEM_MIB_MIN, .max = GMEM_SIZE_MAX >> 21, .step = 2 },
		{ "--dax", .mib = &o->dax_bytes, .min = 1, .max = FS_WINDOW_MAX >> 20, .step = 128 },
		{ "--dax-own", .mib = &o->dax_own_bytes, .min = 1, .max = FS_WINDOW_MAX >> 20, .step = 128 },
		{ "--cpus", .number = &o->cpus, .min = 1, .max = BOOT_VCPUS_MAX },
		{ "--max-cpus", .number = &o->max_cpus, .min = 1, .max = BOOT_VCPUS_MAX },
		{ "--nics", .number = &o->nics, .max = NICS_MAX },
		{ "--boot-timeout", .number = &o->boot_timeout_ms, .min = 1, .max = BOOT_TIMEOUT_MAX },
		{ "--listen", .fd = &o->listen_fd },
		{ "--owner", .fd = &o->owner_fd },
		{ "--console", .fd = &o->console_fd },
		{ "--share", .add = add_share },
		{ "--disk", .add = add_disk },
	};

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
		.nics = NICS_NOT_GIVEN,
		.boot_timeout_ms = BOOT_TIMEOUT_DEFAULT,
	};
	for (int i = 1; i < argc; i++) {
		const struct option *opt = options, *end = options + sizeof(options) / sizeof(options[0]);

		while (opt < end && strcmp(argv[i], opt->name))
			opt++;
		if (opt == end)
			log_die("%s: unknown option; see husk-vmm(1)", argv[i]);
		if (has_value(opt) && ++i == argc)
			log_die("%s: its value is missing; see husk-vmm(1)", opt->name);
		set(o, opt, argv[i]);
		if (o->action != ACTION_RUN)
			return;
	}
	check(o);
}
