/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's voice: lines in the kernel log. Containers can be the reason for a line, never its
 * length or number of lines per event.
 */
#include "log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void log_line(const char *fmt, ...)
{
	static int kmsg = -1;
	char line[512] = "<3>husk-agent: ";
	size_t head = strlen(line);
	va_list ap;
	int n;

	if (kmsg < 0)
		kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	va_start(ap, fmt);
	n = vsnprintf(line + head, sizeof(line) - head - 1, fmt, ap);
	va_end(ap);
	if (n < 0 || kmsg < 0)
		return;
	head = strlen(line);
	line[head++] = '\n';
	if (write(kmsg, line, head) < 0)
		return; /* there is nobody else to tell */
}
