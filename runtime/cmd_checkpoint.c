/* SPDX-License-Identifier: Apache-2.0 */
/* husk checkpoint, husk restore: engines offer them; here they are refused in words. */
#include "husk.h"

int cmd_checkpoint(const struct globals *g, int argc, char **argv, struct error *err)
{
	(void)g;
	(void)argc;
	(void)argv;
	return error_set(err, 0, "checkpoint is not supported: CRIU cannot dump processes that run in another kernel");
}

int cmd_restore(const struct globals *g, int argc, char **argv, struct error *err)
{
	(void)g;
	(void)argc;
	(void)argv;
	return error_set(err, 0, "restore is not supported: husk makes no checkpoints to restore from");
}
