/* SPDX-License-Identifier: Apache-2.0 */
/* husk spec: write a config.json to begin with; husk features: what this runtime honours. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "../oci/features.h"
#include "host_serves.h"
#include "husk.h"
#include "options.h"
#include "util.h"
#include "version.h"

int cmd_spec(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options]";
	const char *bundle = ".";
	bool rootless = false;
	const struct option table[] = {
		{ "bundle", 'b', OPT_STRING, &bundle, "DIR", "write DIR/config.json (default: the current directory)" },
		{ "rootless", 0, OPT_FLAG, &rootless, "", "for use without privileges" },
		{ 0 },
	};
	CLEAN_FREE char *path = NULL, *json = NULL;
	CLEAN_FD int fd = -1;
	int first, rc;

	(void)g;
	first = verb_options(table, usage, "Write a config.json to begin with.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 0, 0, usage, err) < 0)
		return -1;
	if (default_spec_document(rootless, (unsigned int)getuid(), (unsigned int)getgid(), &json, err) < 0)
		return -1;
	path = xasprintf("%s/config.json", bundle);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		return error_set(err, 0, "file %s exists. Remove it first", path);
	if (fd < 0)
		return error_set(err, errno, "%s", path);
	rc = write_all(fd, json, strlen(json));
	return rc < 0 ? error_set(err, -rc, "%s", path) : 0;
}

int cmd_features(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "";
	static const struct option table[] = { { 0 } };
	const struct features_input in = {
		.version = HUSK_VERSION,
		.commit = HUSK_COMMIT,
		.host_serves = RUNTIME_SERVES,
		.systemd = RUNTIME_SYSTEMD,
	};
	CLEAN_FREE char *json = NULL;
	int first;

	(void)g;
	first = verb_options(table, usage, "Print what this runtime honours, as JSON.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 0, 0, usage, err) < 0)
		return -1;
	if (features_document(&in, &json, err) < 0)
		return -1;
	fputs(json, stdout);
	return 0;
}
