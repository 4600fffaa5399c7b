/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk: the OCI runtime that engines call. Global options in any order, then a verb; one file per verb.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "../oci/features.h"
#include "husk.h"
#include "log.h"
#include "options.h"
#include "util.h"
#include "version.h"

static const struct {
	const char *name;
	verb_fn fn;
	const char *help;
} verbs[] = {
	{ "create", cmd_create, "create a container from a bundle; its process waits for start" },
	{ "start", cmd_start, "run the process of a created container" },
	{ "run", cmd_run, "create and start, in the foreground or detached" },
	{ "exec", cmd_exec, "run one more process in a container" },
	{ "kill", cmd_kill, "send a signal to a container's process" },
	{ "delete", cmd_delete, "remove a container and all that create made" },
	{ "state", cmd_state, "a container's state as JSON" },
	{ "list", cmd_list, "the containers of this state root" },
	{ "ps", cmd_ps, "the processes of a container" },
	{ "pause", cmd_pause, "freeze a container's processes" },
	{ "resume", cmd_resume, "let them go on" },
	{ "update", cmd_update, "change resource limits" },
	{ "events", cmd_events, "statistics and out-of-memory events as JSON lines" },
	{ "stats", cmd_stats, "what a container really costs the host" },
	{ "spec", cmd_spec, "write a config.json to begin with" },
	{ "features", cmd_features, "what this runtime honours, as JSON" },
	{ "check", cmd_check, "can this host run husk? line by line, with a measured boot" },
	{ "install", cmd_install, "register husk with docker, containerd or podman" },
	{ "uninstall", cmd_uninstall, "take it out of their configuration again" },
	{ "checkpoint", cmd_checkpoint, NULL },
	{ "restore", cmd_restore, NULL },
};

static void usage(const struct option *table)
{
	printf("husk runs OCI containers, each in a micro-VM with a kernel of its own.\n\n"
	       "usage: husk [global options] VERB [options] ...      (husk VERB --help)\n\nverbs:\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (verbs[i].help)
			printf("  %-12s %s\n", verbs[i].name, verbs[i].help);
	printf("\nglobal options:\n");
	options_print(table);
}

int verb_options(const struct option *table, const char *usage_words, const char *about, int argc, char **argv,
		 struct error *err)
{
	CLEAN_FREE char *what = xasprintf("husk %s", argv[0]);

	for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h") || !strcmp(argv[i], "-help")) {
			printf("%s\n\nusage: %s %s\n\n", about, what, usage_words);
			options_print(table);
			return VERB_HELP;
		}
	}
	return options_parse(what, table, argc, argv, err);
}

int verb_words(int argc, char **argv, int first, int min, int max, const char *usage_words, struct error *err)
{
	int n = argc - first;

	if (n < min)
		return error_set(err, 0, "%s missing; usage: husk %s %s",
				 n ? "an argument is" : "the container's id is", argv[0], usage_words);
	if (max >= 0 && n > max)
		return error_set(err, 0, "too many arguments at \"%s\"; usage: husk %s %s", argv[first + max], argv[0],
				 usage_words);
	return 0;
}

/* Engines may start us with 0, 1 or 2 closed; then a file of ours would get that number. */
static void stdio_ensure(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd < 3);
	if (fd >= 0)
		close(fd);
}

static char *default_root(void)
{
	const char *dir = secure_getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return xstrdup("/run/husk");
	if (dir && *dir == '/')
		return xasprintf("%s/husk", dir);
	return xasprintf("/tmp/husk-%u", (unsigned int)geteuid());
}

static int run_verb(const struct globals *g, int argc, char **argv, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (!strcmp(argv[0], verbs[i].name))
			return verbs[i].fn(g, argc, argv, err);
	return error_set(err, 0, "unknown command \"%s\" (see husk --help)", argv[0]);
}

int main(int argc, char **argv)
{
	const char *root = NULL, *log = NULL, *format = "text", *rootless = "auto", *cgroup_manager = "cgroupfs";
	struct globals g = { .t_begin = mono_ns() };
	struct error err = { 0 };
	bool version = false, help = false;
	const struct option table[] = {
		{ "root", 0, OPT_STRING, &root, "DIR", "state directory (default /run/husk)" },
		{ "log", 0, OPT_STRING, &log, "FILE", "also append messages to this file" },
		{ "log-format", 0, OPT_STRING, &format, "FORMAT", "of that file: text or json" },
		{ "debug", 0, OPT_FLAG, &g.debug, "", "more messages; run: the guest kernel's log on stderr" },
		{ "systemd-cgroup", 0, OPT_FLAG, &g.systemd, "", "cgroupsPath is slice:prefix:name, made by systemd" },
		{ "cgroup-manager", 0, OPT_STRING, &cgroup_manager, "NAME", "cgroupfs, systemd or disabled" },
		{ "rootless", 0, OPT_MAYBE, &rootless, "", "tolerate missing privileges: true, false or auto" },
		{ "criu", 0, OPT_STRING, NULL, NULL, NULL },
		{ "version", 'v', OPT_FLAG, &version, "", "print the version" },
		{ "help", 'h', OPT_FLAG, &help, "", "this text" },
		{ 0 },
	};
	int first, status;

	stdio_ensure();
	first = options_parse("husk", table, argc, argv, &err);
	if (first < 0) {
		log_error(&err);
		return 1;
	}
	if (version) {
		printf("husk version %s\ncommit: %s\nspec: %s\n", HUSK_VERSION, HUSK_COMMIT, OCI_VERSION_MAX);
		return 0;
	}
	if (help || (first < argc && !strcmp(argv[first], "help"))) {
		usage(table);
		return 0;
	}
	if (strcmp(format, "text") && strcmp(format, "json"))
		status = error_set(&err, 0, "--log-format %s: text or json", format);
	else
		status = log_open(log, !strcmp(format, "json"), g.debug, &err);
	if (!status && first >= argc)
		status = error_set(&err, 0, "no command given (see husk --help)");
	if (!status) {
		g.root = root && *root ? path_absolute(root) : default_root();
		g.rootless = !strcmp(rootless, "true") || (!strcmp(rootless, "auto") && geteuid() != 0);
		g.no_cgroup = !strcmp(cgroup_manager, "disabled");
		g.systemd |= !strcmp(cgroup_manager, "systemd");
		log_debug("husk %s (%s): %s %s", HUSK_VERSION, HUSK_COMMIT, argv[first], argv[argc - 1]);
		status = run_verb(&g, argc - first, argv + first, &err);
	}
	if (*err.text)
		log_error(&err);
	free(g.root);
	return status < 0 ? 1 : status;
}
