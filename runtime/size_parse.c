/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and durations on the command line, in the forms that runc's users know. */
#include "size_parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool size_parse(const char *text, int64_t *out)
{
	static const char units[] = "bkmgtp";
	double value, scale = 1;
	const char *unit;
	char *end;

	if (!strcmp(text, "-1")) {
		*out = -1;
		return true;
	}
	if (!isdigit((unsigned char)*text))
		return false;
	value = strtod(text, &end);
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit || !*unit)
			return false;
		for (; unit > units; unit--)
			scale *= 1024;
		end++;
		if (*end && strcasecmp(end, "b") && strcasecmp(end, "ib"))
			return false;
	}
	value *= scale;
	if (!(value >= 0 && value < 9.2e18))
		return false;
	*out = (int64_t)value;
	return true;
}

bool duration_parse(const char *text, int64_t *ms)
{
	double total = 0;

	if (!*text)
		return false;
	while (*text) {
		char *end;
		double v;

		if (!isdigit((unsigned char)*text) && *text != '.')
			return false;
		v = strtod(text, &end);
		if (!strncmp(end, "ms", 2)) {
			end += 2;
		} else if (*end == 's') {
			v *= 1e3;
			end++;
		} else if (*end == 'm') {
			v *= 60e3;
			end++;
		} else if (*end == 'h') {
			v *= 3600e3;
			end++;
		} else {
			return false;
		}
		total += v;
		text = end;
	}
	if (!(total >= 0 && total < 1e12))
		return false;
	*ms = (int64_t)total;
	return true;
}
