/* SPDX-License-Identifier: Apache-2.0 */
/* process.json of exec and the resources of update: any bytes; the agent's decoder must take every plan that comes out.
 */
// link: oci,agent
#include <stdlib.h>
#include <string.h>

#include "agent/plan_decode.h"
#include "oci/cgroup2.h"
#include "oci/compile.h"

static void check(struct buf *b, enum plan_kind kind)
{
	struct fault f;
	struct plan plan;

	if (plan_open(&plan, b->data, b->len, kind, &f) < 0)
		abort();
	buf_free(b);
}

static int ignore(void *ctx, const char *file, const char *value, struct error *err)
{
	(void)ctx;
	(void)err;
	/* a file name that leads out of the cgroup's directory, or a value of several lines */
	if (strchr(file, '/') || !value)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec_process *process;
	struct spec_resources *resources, host;
	struct error err;
	struct buf b;

	if (process_parse((const char *)data, size, &process, &err) == 0) {
		if (compile_process(process, NULL, "c", &b, &err) == 0)
			check(&b, PLAN_PROCESS);
		process_free(process);
	}
	if (resources_parse((const char *)data, size, &resources, &err) == 0) {
		if (compile_update(resources, "c", &b, &err) == 0)
			check(&b, PLAN_UPDATE);
		resources_for_host(resources, &host);
		cgroup2_settings(&host, CGROUP2_HOST, 1 << 20, ignore, NULL, &err);
		resources_free(resources);
	}
	return 0;
}
