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
#include <yajl/yajl_gen.h>

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

bool log_is_debug(void)
{
	return log_verbose;
}

void log_close(void)
{
	if (log_fd >= 0)
		close(log_fd);
	log_fd = -1;
}

static void json_member(yajl_gen g, const char *key, const char *value)
{
	yajl_gen_string(g, (const unsigned char *)key, strlen(key));
	yajl_gen_string(g, (const unsigned char *)value, strlen(value));
}

/* One write() per record: several commands may append to one file. */
static void log_record(const char *level, const char *msg)
{
	char now[48];

	if (log_fd < 0)
		return;
	time_rfc3339(now, sizeof(now));
	if (log_json) {
		yajl_gen g = yajl_gen_alloc(NULL);
		const unsigned char *text;
		size_t len;

		if (!g)
			return;
		yajl_gen_map_open(g);
		json_member(g, "level", level);
		json_member(g, "msg", msg);
		json_member(g, "time", now);
		yajl_gen_map_close(g);
		if (yajl_gen_get_buf(g, &text, &len) == yajl_gen_status_ok) {
			CLEAN_FREE char *line = xasprintf("%.*s\n", (int)len, text);

			(void)write_all(log_fd, line, len + 1);
		}
		yajl_gen_free(g);
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
