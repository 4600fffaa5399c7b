/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk ps: with --format json the host's pids that stand for the container's processes (engines run the host's ps
 * on them); as a table, the processes as they are in the guest.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exec_proxy.h"
#include "husk.h"
#include "options.h"
#include "util.h"
#include "vm.h"

#define PS_NS (10ull * 1000000000u)
#define PS_MAX (1u << 20) /* records taken from the agent */

static void ps_json(const struct container *c)
{
	size_t n;
	pid_t *pids = exec_list(c, &n);
	pid_t init = container_pid(c);

	printf("[");
	if (init)
		printf("%d", (int)init);
	for (size_t i = 0; i < n; i++)
		printf("%s%d", init || i ? "," : "", (int)pids[i]);
	printf("]\n");
	free(pids);
}

/* Whole records of one frame. The guest controls all of it. */
static int print_records(const uint8_t *p, size_t len, size_t *count, struct error *err)
{
	while (len) {
		struct wire_ps r;

		if (len < sizeof(r) || ++*count > PS_MAX)
			break;
		memcpy(&r, p, sizeof(r));
		p += sizeof(r);
		len -= sizeof(r);
		if (r.cmd_len > 4096 || r.cmd_len > len)
			break;
		printf("%-8u %7u %7u %7u %10u %10u %02u:%02u:%02u ", r.uid, r.pid, r.ppid, r.ns_pid, r.rss_kib,
		       r.start_s, r.cpu_ms / 3600000, r.cpu_ms / 60000 % 60, r.cpu_ms / 1000 % 60);
		for (uint32_t i = 0; i < r.cmd_len; i++) {
			bool end = !p[i] && i + 1 == r.cmd_len;

			if (!end)
				putchar(p[i] < 0x20 || p[i] == 0x7f ? ' ' : p[i]);
		}
		putchar('\n');
		p += r.cmd_len;
		len -= r.cmd_len;
	}
	return len ? error_set(err, 0, "the agent in the VM sent a broken process list") : 0;
}

static int ps_table(const struct container *c, struct error *err)
{
	uint64_t deadline = mono_ns() + PS_NS;
	struct session *s = vm_session(c, deadline, err);
	size_t count = 0;
	struct frame f;
	int rc;

	if (!s)
		return -1;
	printf("%-8s %7s %7s %7s %10s %10s %-8s %s\n", "UID", "PID", "PPID", "NSPID", "RSS(KiB)", "START(s)", "TIME",
	       "CMD");
	session_put(s, WIRE_PS, 0, c->id, strlen(c->id));
	for (;;) {
		rc = session_wait(s, &f, deadline);
		if (rc < 0) {
			rc = error_set(err, -rc, "the agent in the VM does not answer");
			break;
		}
		if (f.h.type == WIRE_ERROR) {
			rc = guest_error(err, &f);
			break;
		}
		if (f.h.type != WIRE_DATA && f.h.type != WIRE_OK) {
			rc = error_set(err, 0, "the agent in the VM breaks the protocol");
			break;
		}
		rc = print_records(f.payload, f.h.len, &count, err);
		if (rc < 0 || f.h.type == WIRE_OK)
			break;
	}
	session_free(s);
	return rc;
}

int cmd_ps(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[--format table|json] ID";
	const char *format = "table";
	const struct option table[] = {
		{ "format", 'f', OPT_STRING, &format, "FORMAT",
		  "table (processes in the guest) or json (pids on the host)" },
		{ 0 },
	};
	struct container c;
	int first, rc;

	first = verb_options(table, usage, "List the processes of a container.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	if (strcmp(format, "table") && strcmp(format, "json"))
		return error_set(err, 0, "--format %s: table or json", format);
	rc = container_open(&c, g->root, argv[first], false, err);
	if (!rc && container_status(&c) == STATUS_STOPPED)
		rc = error_set(err, 0, "container not running");
	if (!rc && !strcmp(format, "json"))
		ps_json(&c);
	else if (!rc)
		rc = ps_table(&c, err);
	container_close(&c);
	return rc;
}
