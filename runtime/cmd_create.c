/* SPDX-License-Identifier: Apache-2.0 */
/* husk create: a container from a bundle; its process waits for start. */
#include <stddef.h>

#include "husk.h"
#include "launch.h"
#include "options.h"

int cmd_create(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options] ID";
	struct launch_options o = { 0 };
	const struct option table[] = {
		{ "bundle", 'b', OPT_STRING, &o.bundle, "DIR", "directory of config.json (default: the current one)" },
		{ "pid-file", 0, OPT_STRING, &o.pid_file, "FILE", "write the pid of the container's process to FILE" },
		{ "console-socket", 0, OPT_STRING, &o.console_socket, "SOCKET",
		  "send the terminal's master to this unix socket" },
		{ "pidfd-socket", 0, OPT_STRING, &o.pidfd_socket, "SOCKET",
		  "send a pidfd of the process to this unix socket" },
		{ "preserve-fds", 0, OPT_STRING, &o.preserve_fds, "N", "0: none can cross into a VM" },
		{ "no-pivot", 0, OPT_FLAG, NULL, "", "accepted; the guest's root is its own" },
		{ "no-new-keyring", 0, OPT_FLAG, NULL, "", "accepted; the guest's keyrings are its own" },
		{ 0 },
	};
	struct launched l;
	int first, rc;

	first = verb_options(table, usage, "Create a container.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	rc = launch(g, &o, argv[first], &l, err);
	launched_close(&l);
	return rc;
}
