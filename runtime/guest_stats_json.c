/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics in the form of runc's `events`, whose readers know cgroup v1's terms: v2's files translated as runc does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../oci/json.h"
#include "guest_stats.h"
#include "util.h"

static void put_cpu(struct json_writer *w, const struct guest_stats *g)
{
	json_write_object(w, "cpu");
	json_write_object(w, "usage");
	json_write_uint(w, "total", guest_stats_key(g, "cpu.stat", "usage_usec") * 1000);
	json_write_uint(w, "kernel", guest_stats_key(g, "cpu.stat", "system_usec") * 1000);
	json_write_uint(w, "user", guest_stats_key(g, "cpu.stat", "user_usec") * 1000);
	json_write_end(w, '}');
	json_write_object(w, "throttling");
	json_write_uint(w, "periods", guest_stats_key(g, "cpu.stat", "nr_periods"));
	json_write_uint(w, "throttledPeriods", guest_stats_key(g, "cpu.stat", "nr_throttled"));
	json_write_uint(w, "throttledTime", guest_stats_key(g, "cpu.stat", "throttled_usec") * 1000);
	json_write_end(w, '}');
	json_write_end(w, '}');
}

static void put_entry(struct json_writer *w, const char *key, uint64_t limit, uint64_t usage, uint64_t max)
{
	json_write_object(w, key);
	json_write_uint(w, "limit", limit);
	json_write_uint(w, "usage", usage);
	json_write_uint(w, "max", max);
	json_write_uint(w, "failcnt", 0);
	json_write_end(w, '}');
}

static void put_raw(struct json_writer *w, const char *text)
{
	json_write_object(w, "raw");
	while (text && *text) {
		const char *blank = strchr(text, ' '), *end = strchr(text, '\n');
		char key[64];

		if (!end)
			end = text + strlen(text);
		if (blank && blank < end && (size_t)(blank - text) < sizeof(key)) {
			snprintf(key, sizeof(key), "%.*s", (int)(blank - text), text);
			json_write_uint(w, key, strtoull(blank + 1, NULL, 10));
		}
		text = *end ? end + 1 : end;
	}
	json_write_end(w, '}');
}

static void put_memory(struct json_writer *w, const struct guest_stats *g)
{
	uint64_t current = guest_stats_number(g, "memory.current"), limit = guest_stats_number(g, "memory.max");
	uint64_t swap = guest_stats_number(g, "memory.swap.current"),
		 swap_limit = guest_stats_number(g, "memory.swap.max");

	json_write_object(w, "memory");
	json_write_uint(w, "cache", guest_stats_key(g, "memory.stat", "file"));
	put_entry(w, "usage", limit, current, guest_stats_number(g, "memory.peak"));
	/* as v1 counted it: memory and swap together */
	put_entry(w, "swap", swap_limit == UINT64_MAX || limit == UINT64_MAX ? UINT64_MAX : swap_limit + limit,
		  swap + current, 0);
	put_entry(w, "kernel", 0, 0, 0);
	put_entry(w, "kernelTCP", 0, 0, 0);
	put_raw(w, guest_stats_text(g, "memory.stat"));
	json_write_end(w, '}');
}

static void put_io(struct json_writer *w, uint64_t major, uint64_t minor, const char *op, uint64_t value)
{
	json_write_object(w, NULL);
	json_write_uint(w, "major", major);
	json_write_uint(w, "minor", minor);
	json_write_string(w, "op", op);
	json_write_uint(w, "value", value);
	json_write_end(w, '}');
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0" for each device */
static void put_io_list(struct json_writer *w, const char *key, const char *text, const char *rd, const char *wr)
{
	json_write_array(w, key);
	while (text && *text) {
		const char *end = strchr(text, '\n');
		CLEAN_FREE char *line = strndup(text, end ? (size_t)(end - text) : strlen(text));
		unsigned int major, minor;
		const char *v;

		if (line && sscanf(line, "%u:%u", &major, &minor) == 2) {
			v = strstr(line, rd);
			put_io(w, major, minor, "Read", v ? strtoull(v + strlen(rd), NULL, 10) : 0);
			v = strstr(line, wr);
			put_io(w, major, minor, "Write", v ? strtoull(v + strlen(wr), NULL, 10) : 0);
		}
		text = end ? end + 1 : NULL;
	}
	json_write_end(w, ']');
}

static void put_blkio(struct json_writer *w, const struct guest_stats *g)
{
	const char *text = guest_stats_text(g, "io.stat");

	json_write_object(w, "blkio");
	put_io_list(w, "ioServiceBytesRecursive", text, " rbytes=", " wbytes=");
	put_io_list(w, "ioServicedRecursive", text, " rios=", " wios=");
	json_write_end(w, '}');
}

/* "  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0": bytes packets errs drop, received then sent */
static void put_interfaces(struct json_writer *w, const struct guest_stats *g)
{
	const char *text = guest_stats_text(g, "net/dev");

	json_write_array(w, "network_interfaces");
	while (text && *text) {
		const char *end = strchr(text, '\n');
		uint64_t v[12];
		char name[32];

		if (sscanf(text,
			   " %31[^: \n]: %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %" SCNu64
			   " %" SCNu64 " %" SCNu64 " %" SCNu64,
			   name, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) == 9 &&
		    strcmp(name, "lo")) {
			static const char *const keys[] = { "RxBytes", "RxPackets", "RxErrors", "RxDropped",
							    "TxBytes", "TxPackets", "TxErrors", "TxDropped" };

			json_write_object(w, NULL);
			json_write_string(w, "Name", name);
			for (size_t i = 0; i < ARRAY_LEN(keys); i++)
				json_write_uint(w, keys[i], v[i]);
			json_write_end(w, '}');
		}
		text = end ? end + 1 : NULL;
	}
	json_write_end(w, ']');
}

char *guest_stats_document(const struct guest_stats *g, const char *id)
{
	struct json_writer w = { .flat = true };

	json_write_object(&w, NULL);
	json_write_string(&w, "type", "stats");
	json_write_string(&w, "id", id);
	json_write_object(&w, "data");
	put_cpu(&w, g);
	put_memory(&w, g);
	json_write_object(&w, "pids");
	json_write_uint(&w, "current", guest_stats_number(g, "pids.current"));
	json_write_uint(&w, "limit",
			guest_stats_number(g, "pids.max") == UINT64_MAX ? 0 : guest_stats_number(g, "pids.max"));
	json_write_end(&w, '}');
	put_blkio(&w, g);
	json_write_object(&w, "hugetlb");
	json_write_end(&w, '}');
	put_interfaces(&w, g);
	json_write_end(&w, '}');
	json_write_end(&w, '}');
	return json_write_done(&w, NULL);
}
