/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk stats: what a container really costs the host, beside what its guest counts.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../oci/json.h"
#include "guest_stats.h"
#include "husk.h"
#include "options.h"
#include "util.h"
#include "vm.h"
#include "vmm.h"

#define ASK_NS (5ull * 1000000000u)

struct cost {
	uint64_t vmm_pss, vmm_private, proxy_pss; /* bytes */
	unsigned int vmm_threads, vmm_fds;
	struct ctl_status vm;
	bool vm_known;
	uint64_t guest_used, guest_limit;
	bool guest_known;
};

/* Bytes behind a key of /proc/PID/smaps_rollup. */
static uint64_t rollup(pid_t pid, const char *key)
{
	CLEAN_FREE char *name = xasprintf("/proc/%d/smaps_rollup", (int)pid);
	CLEAN_FREE char *text = file_read_at(AT_FDCWD, name, 65536, NULL);
	const char *p = text ? strstr(text, key) : NULL;

	return p ? strtoull(p + strlen(key), NULL, 10) * 1024 : 0;
}

static unsigned int entries(pid_t pid, const char *dir)
{
	CLEAN_FREE char *name = xasprintf("/proc/%d/%s", (int)pid, dir);
	DIR *d = opendir(name);
	unsigned int n = 0;
	struct dirent *e;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void measure(const struct container *c, struct cost *k)
{
	CLEAN_FREE char *path = vm_socket_path(c);
	CLEAN_FD int fd = unix_connect(path);
	uint64_t deadline = mono_ns() + ASK_NS;
	pid_t vmm = process_alive(c->state->vmm_pid, c->state->vmm_start) ? c->state->vmm_pid : 0;
	struct guest_stats *g = NULL;
	struct error ignored;
	struct session *s;

	*k = (struct cost){ .proxy_pss = rollup(c->state->pid, "\nPss:") };
	if (vmm) {
		k->vmm_pss = rollup(vmm, "\nPss:");
		k->vmm_private = rollup(vmm, "\nPrivate_Clean:") + rollup(vmm, "\nPrivate_Dirty:");
		k->vmm_threads = entries(vmm, "task");
		k->vmm_fds = entries(vmm, "fd");
	}
	k->vm_known = fd >= 0 && ctl_request(fd, CTL_STATUS, 0, NULL, 0, NULL, 0, &k->vm, sizeof(k->vm), deadline) >=
					 (int)sizeof(k->vm);
	s = vm_session(c, deadline, &ignored);
	if (s)
		g = guest_stats_read(s, c->id, deadline, &ignored);
	if (g) {
		k->guest_known = true;
		k->guest_used = guest_stats_number(g, "memory.current");
		k->guest_limit = guest_stats_number(g, "memory.max");
	}
	guest_stats_free(g);
	session_free(s);
}

static void print_json(const char *id, const struct cost *k)
{
	struct json_writer w = { 0 };
	CLEAN_FREE char *text = NULL;

	json_write_object(&w, NULL);
	json_write_string(&w, "id", id);
	json_write_uint(&w, "vmmPss", k->vmm_pss);
	json_write_uint(&w, "vmmPrivate", k->vmm_private);
	json_write_uint(&w, "vmmThreads", k->vmm_threads);
	json_write_uint(&w, "vmmFds", k->vmm_fds);
	json_write_uint(&w, "proxyPss", k->proxy_pss);
	if (k->vm_known) {
		json_write_uint(&w, "guestRam", k->vm.ram_bytes);
		json_write_uint(&w, "balloon", k->vm.balloon_bytes);
		json_write_uint(&w, "returned", k->vm.reported_bytes);
		json_write_uint(&w, "guestFree", k->vm.guest_free_bytes);
		json_write_uint(&w, "guestAvailable", k->vm.guest_available_bytes);
		json_write_uint(&w, "vcpus", k->vm.vcpus);
		json_write_uint(&w, "vmExits", k->vm.exits);
	}
	if (k->guest_known) {
		json_write_uint(&w, "guestUsed", k->guest_used);
		json_write_uint(&w, "guestLimit", k->guest_limit);
	}
	json_write_end(&w, '}');
	text = json_write_done(&w, NULL);
	fputs(text, stdout);
}

static void line(const char *name, uint64_t bytes, const char *note)
{
	printf("%-26s %10.1f MiB   %s\n", name, (double)bytes / 1048576.0, note);
}

static void print_text(const struct cost *k)
{
	line("host pays for the VM", k->vmm_pss, "PSS of husk-vmm, guest memory in use included");
	line("  of it private", k->vmm_private, "");
	line("host pays for the proxy", k->proxy_pss, "PSS");
	if (k->vm_known) {
		line("guest RAM", k->vm.ram_bytes, "what the guest sees");
		line("  of it free", k->vm.guest_free_bytes, "as its kernel said when it was asked last");
		line("in the balloon", k->vm.balloon_bytes, "given back to the host on request");
		line("returned so far", k->vm.reported_bytes, "free memory given back by itself, summed up");
	}
	if (k->guest_known) {
		line("container uses", k->guest_used, "as its cgroup in the guest counts");
		if (k->guest_limit != UINT64_MAX)
			line("container's limit", k->guest_limit, "");
	}
	if (k->vm_known)
		printf("%-26s %10u\n%-26s %10" PRIu64 "\n", "vCPUs", k->vm.vcpus, "VM exits so far", k->vm.exits);
	printf("%-26s %10u\n%-26s %10u\n", "threads of husk-vmm", k->vmm_threads, "open files of husk-vmm", k->vmm_fds);
}

int cmd_stats(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[--json] ID";
	bool json = false;
	const struct option table[] = {
		{ "json", 0, OPT_FLAG, &json, "", "numbers in bytes, as JSON" },
		{ 0 },
	};
	struct container c;
	struct cost k;
	int first, rc;

	first = verb_options(table, usage, "What a container really costs the host.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	rc = container_open(&c, g->root, argv[first], false, err);
	if (!rc && container_status(&c) == STATUS_STOPPED)
		rc = error_set(err, 0, "container not running");
	if (!rc) {
		measure(&c, &k);
		if (json)
			print_json(c.id, &k);
		else
			print_text(&k);
	}
	container_close(&c);
	return rc;
}
