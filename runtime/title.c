/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `ps` shows for a proxy: the command line of the process that it stands for.
 */
#include "title.h"

#include <string.h>
#include <sys/prctl.h>

#include "util.h"

#define TITLE_MAX 4096u

void title_set(const struct strings *args)
{
	/* lives as long as the process: the kernel reads it from here */
	static char title[TITLE_MAX];
	size_t len = 0;

	for (size_t i = 0; i < args->n; i++) {
		size_t n = strlen(args->v[i]) + 1;

		if (n > sizeof(title) - len)
			break;
		memcpy(title + len, args->v[i], n);
		len += n;
	}
	if (!len)
		return;
	/* each step must leave start <= end: the old line lies on the stack, above us */
	if (prctl(PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 0) == 0)
		prctl(PR_SET_MM, PR_SET_MM_ARG_END, title + len, 0, 0);
}
