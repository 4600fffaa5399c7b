/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the CLI: the --log file (text, or JSON lines that engines parse) and stderr.
 *
 * Engines take the last record of level "error" as the command's error, and some parse the whole file as one
 * document: so a failed command writes exactly one record, and nothing else is written without --debug.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../oci/json.h"
#include "util.h"

static int log_fd = -1;
static bool log_json, log_verbose;

int log_open(const char *path, bool json, bool debug, struct error *err)
{
	log_json = json;
	log_verbose = debug;
	if (!path || !*path)
		return 0;
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (log_fd < 0)
		return error_set(err, errno, "--log %s: cannot open", path);
	return 0;
}

/* One write() per record: several commands may append to one file. */
static void log_record(const char *level, const char *msg)
{
	char now[48];

	if (log_fd < 0)
		return;
	time_rfc3339(now, sizeof(now));
	if (log_json) {
		struct json_writer w = { .flat = true };
		CLEAN_FREE char *line = NULL;
		size_t len;

		json_write_object(&w, NULL);
		json_write_string(&w, "level", level);
		json_write_string(&w, "msg", msg);
		json_write_string(&w, "time", now);
		json_write_end(&w, '}');
		line = json_write_done(&w, &len);
		(void)write_all(log_fd, line, len);
	} else {
		CLEAN_FREE char *line = xasprintf("%s %s: %s\n", now, level, msg);

		(void)write_all(log_fd, line, strlen(line));
	}
}

void log_error(const struct error *err)
{
	log_record("error", err->text);
	fprintf(stderr, "husk: %s\n", err->text);
}

static void log_verbosely(const char *level, const char *fmt, va_list ap)
{
	char msg[4096];

	vsnprintf(msg, sizeof(msg), fmt, ap);
	if (log_fd >= 0)
		log_record(level, msg);
	else
		fprintf(stderr, "husk: %s: %s\n", level, msg);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	if (!log_verbose)
		return;
	va_start(ap, fmt);
	log_verbosely("warning", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!log_verbose)
		return;
	va_start(ap, fmt);
	log_verbosely("debug", fmt, ap);
	va_end(ap);
}
