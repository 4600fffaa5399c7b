/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk-vmm: one micro-VM per process. Order of the start: options, machine (everything that needs privileges or
 * paths), jail, threads, guest. The process ends by _exit(): the kernel takes all back, faster than we could.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "options.h"
#include "probe.h"
#include "version.h"
#include "vm.h"

int main(int argc, char **argv)
{
	static struct options options;
	static struct vm vm;
	int status;

	vm.t_start = clock_ns();
	/* One heap for all threads: what little is allocated is not worth an arena for each. */
	mallopt(M_ARENA_MAX, 1);
	signal(SIGPIPE, SIG_IGN);
	options_parse(&options, argc, argv);
	switch (options.action) {
	case ACTION_VERSION:
		printf("husk-vmm %s\n", HUSK_VERSION);
		return 0;
	case ACTION_PROBE:
		return probe_run();
	case ACTION_RUN:
		break;
	}
	options_close_others(&options);
	vm_create(&vm, &options);
	status = vm_run(&vm);
	_exit(status);
}
