/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel parameters: the plan's names, written through a /proc of the agent's. Which namespaces a
 * parameter belongs to is decided by the kernel from the process that writes.
 */
#include "sysctl.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "util.h"

bool sysctl_is_net(const char *key)
{
	return strncmp(key, "net.", 4) == 0 || strncmp(key, "net/", 4) == 0;
}

/*
 * The first separator decides which of '.' and '/' is one; the other then stands for itself, as
 * sysctl(8) has it.
 */
int sysctl_write(int proc, const char *key, const char *value)
{
	char file[512] = "sys/";
	size_t head = strlen(file), n = strlen(key);
	bool dots = key[strcspn(key, "./")] == '.';

	if (!n || n >= sizeof(file) - head)
		return -EINVAL;
	for (size_t i = 0; i <= n; i++) {
		char ch = key[i];

		if (dots && ch == '.')
			ch = '/';
		else if (dots && ch == '/')
			ch = '.';
		file[head + i] = ch;
	}
	for (const char *p = file; (p = strstr(p, "..")) != NULL; p++)
		if (p[-1] == '/' && (p[2] == '/' || !p[2])) /* "file" starts with "sys/" */
			return -EINVAL;
	return file_write_str(proc, file, value);
}
