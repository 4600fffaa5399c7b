/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capability names: libcap's table, held to the names of the specification (libcap also takes bare numbers) and to
 * what the guest kernel has.
 */
#include "oci/caps.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <sys/capability.h>

int caps_number(const char *name)
{
	cap_value_t value;

	if (strncasecmp(name, "CAP_", 4) != 0 || !isalpha((unsigned char)name[4]))
		return -1;
	if (cap_from_name(name, &value) < 0 || value < 0 || value > CAPS_LAST)
		return -1;
	return value;
}

const char *caps_name(int number)
{
	static char names[CAPS_LAST + 1][32];
	char *name;

	if (number < 0 || number > CAPS_LAST)
		return NULL;
	if (names[number][0] == '\0') {
		name = cap_to_name(number);
		for (size_t i = 0; name && name[i] && i < sizeof(names[0]) - 1; i++)
			names[number][i] = (char)toupper((unsigned char)name[i]);
		cap_free(name);
	}
	return names[number];
}
