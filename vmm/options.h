/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of husk-vmm (docs/architecture.md, husk-vmm(1)).
 */
#ifndef HUSK_VMM_OPTIONS_H
#define HUSK_VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_SHARES_MAX 512u
#define OPTIONS_DISKS_MAX 8u
#define OPTIONS_SHARE_NAME_MAX 255u
#define OPTIONS_SERIAL_MAX 20u

struct option_share {
	const char *name; /* not NUL-terminated */
	uint32_t name_len;
	int fd;
	uint32_t flags; /* CTL_SHARE_* */
};

struct option_disk {
	const char *serial; /* may be "" */
	int fd;
	uint32_t flags; /* CTL_DISK_* */
};

enum option_action { ACTION_RUN, ACTION_PROBE, ACTION_VERSION };

struct options {
	enum option_action action;
	int kernel_fd, initrd_fd;	   /* initrd -1: none */
	uint64_t mem_bytes, mem_max_bytes; /* at the start, and what it may grow to */
	bool mem_auto;			   /* the guest may ask for more itself */
	bool merge;			   /* KSM */
	uint64_t dax_bytes, dax_own_bytes; /* windows for shares, for private ones; 0: none */
	unsigned int cpus, max_cpus;
	const char *cmdline;		     /* "" when not given */
	int listen_fd, owner_fd, console_fd; /* -1: none */
	bool debug, jail, agent;
	bool plain_registers; /* every access to a device register exits; for measuring */
	unsigned int nics;
	uint32_t boot_timeout_ms;
	struct option_share share[OPTIONS_SHARES_MAX];
	unsigned int nshares;
	struct option_disk disk[OPTIONS_DISKS_MAX];
	unsigned int ndisks;
};

/**
 * options_close_others() - close every descriptor that the command line does not name, but standard error
 *
 * Standard input and output become /dev/null, unless the console goes there. The environment is emptied. Before
 * anything else is opened. Ends the process with a message when it cannot.
 */
void options_close_others(const struct options *o);

/* Fill *o from the command line. Ends the process with a message when it is wrong. */
void options_parse(struct options *o, int argc, char **argv);

#endif
