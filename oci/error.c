/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error object. Texts may quote a hostile config.json, so control characters are replaced: one error is one line,
 * in a log too.
 */
#include "oci/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ERRNO_MAX 134

static void text_clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	if (code != 0)
		snprintf(err->text + len, sizeof(err->text) - len, ": %s", error_errno_text(code));
	text_clean(err->text);
	return -1;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	size_t len;

	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	/* what happened matters more than where: a long prefix gives way */
	if (len > sizeof(err->text) / 2)
		len = sizeof(err->text) / 2;
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", old);
	text_clean(err->text);
	return -1;
}

const char *error_errno_text(int code)
{
	static char table[ERRNO_MAX][64];
	const char *text;

	if (code <= 0 || code >= ERRNO_MAX)
		return "unknown error";
	if (table[code][0] == '\0') {
		text = strerrordesc_np(code);
		snprintf(table[code], sizeof(table[code]), "%s", text ? text : "unknown error");
		/* "Permission denied" is "permission denied"; "RFS specific error" stays */
		if (!isupper((unsigned char)table[code][1]))
			table[code][0] = (char)tolower((unsigned char)table[code][0]);
	}
	return table[code];
}
