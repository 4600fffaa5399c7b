/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's ERROR frames in the words that engines match: docker, podman and CRI-O decide between the exit
 * statuses 126 and 127 by them. The guest controls errno, stage and text: the text is cut and made printable.
 */
#include <errno.h>
#include <string.h>

#include "session.h"

/* Copy the guest's text: no control characters, no broken tail, bounded. */
static void text_copy(char *out, size_t cap, const uint8_t *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < cap; i++)
		out[n++] = text[i] < 0x20 || text[i] == 0x7f ? '?' : (char)text[i];
	out[n] = '\0';
}

int guest_error(struct error *err, const struct frame *f)
{
	struct wire_error e;
	char text[1024];
	int code;

	memcpy(&e, f->payload, sizeof(e));
	text_copy(text, sizeof(text), f->payload + sizeof(e), f->h.len - sizeof(e));
	code = e.err && e.err < 4096 ? (int)e.err : EIO;

	switch (e.stage) {
	case STAGE_LOOKUP:
		if (code == ENOENT && !strchr(text, '/'))
			error_set(err, 0, "exec: \"%s\": executable file not found in $PATH", text);
		else if (code == ENOENT || code == ENOTDIR)
			error_set(err, code, "exec: \"%s\": stat %s", text, text);
		else if (code == EISDIR) /* Docker before 25 makes 126 of this errno's text alone */
			error_set(err, EACCES, "exec: \"%s\": is a directory", text);
		else
			error_set(err, code, "exec: \"%s\"", text);
		break;
	case STAGE_EXEC:
		error_set(err, code, "exec %s", text);
		break;
	case STAGE_CWD:
		error_set(err, code, "chdir to cwd (\"%s\") set in config.json failed", text);
		break;
	case STAGE_HOOK:
		error_set(err, 0, "error running startContainer hook: %s", text);
		break;
	case STAGE_STATE:
		error_set(err, 0, "%s", *text ? text : error_errno_text(code));
		break;
	case STAGE_PROTOCOL:
		error_set(err, code, "the agent refused the request: %s", text);
		break;
	default:
		error_set(err, code, "error during container init: %s", text);
		break;
	}
	err->code = code;
	return -1;
}
