/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: any bytes are parsed, and what parses is compiled; the agent's decoder must take every plan that comes
 * out. The first byte chooses what the compiler is told about the host.
 */
// link: oci,agent
// seconds: 60
#include <stdlib.h>
#include <string.h>

#include "agent/plan_decode.h"
#include "oci/compile.h"
#include "oci/features.h"

static int facts(void *ctx, const char *path, struct source_facts *out)
{
	static const uint64_t magics[] = { 0xef53, 0x01021994, 0x9fa0, 0x62656572, 0x63677270, 0x958458f6 };
	size_t len = strlen(path);

	(void)ctx;
	*out = (struct source_facts){
		.kind = (enum source_kind)(path[len - 1] % 6),
		.fs_magic = magics[(unsigned char)path[len / 2] % 6],
		.fs_bytes = len,
		.major = (uint32_t)len % 12,
		.minor = (unsigned char)path[len - 1] % 12,
	};
	return len % 13 == 0 ? -2 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct compile_input in = { .cid = "c", .bundle = "/b", .share_prefix = "s", .sandbox_cid = "p" };
	struct spec *spec;
	struct error err;
	struct buf bytes;
	struct host_plan host;
	struct fault f;
	struct plan plan;

	if (size < 1)
		return 0;
	in.host_serves = data[0] & 63;
	in.joins_vm = data[0] & 64;
	in.stat_source = data[0] & 128 ? facts : NULL;
	if (spec_parse((const char *)data + 1, size - 1, &spec, &err) < 0) {
		if (!err.text[0] || strchr(err.text, '\n'))
			abort();
		return 0;
	}
	if (compile_container(spec, &in, &bytes, &host, &err) == 0) {
		if (plan_open(&plan, bytes.data, bytes.len, PLAN_CONTAINER, &f) < 0)
			abort();
		buf_free(&bytes);
		host_plan_free(&host);
	}
	spec_free(spec);
	return 0;
}
