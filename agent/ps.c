/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process list of a cgroup, from /proc. Runs in a job: to read a command line is to read the
 * process's memory, and a container can make that hang (userfaultfd, a FUSE mapping). Names,
 * command lines and the number of processes are the container's; all sizes are cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "ps.h"
#include "util.h"

#define PIDS_MAX 65536u
#define CMD_MAX 4096u
#define TICKS_PER_S 100u /* USER_HZ on x86 */

struct pids {
	pid_t *pid;
	size_t n;
};

static int pid_add(pid_t pid, void *arg)
{
	struct pids *p = arg;

	if (p->n == PIDS_MAX)
		return -E2BIG;
	if (p->n % 256 == 0) {
		pid_t *more = realloc(p->pid, (p->n + 256) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		p->pid = more;
	}
	p->pid[p->n++] = pid;
	return 0;
}

/*
 * /proc/PID/stat: fields 4 ppid, 14 utime, 15 stime, 22 start time, 24 rss; the name may hold
 * anything but its own end.
 */
static int parse_stat(char *text, struct wire_ps *ps)
{
	char *field = strrchr(text, ')'), *save = NULL;
	unsigned long long v[25] = { 0 };

	if (!field)
		return -EINVAL;
	field = strtok_r(field + 1, " ", &save); /* field 3, the state */
	for (int i = 3; field && i < 25; i++, field = strtok_r(NULL, " ", &save))
		v[i] = i > 3 ? strtoull(field, NULL, 10) : 0;
	ps->ppid = (uint32_t)v[4];
	ps->cpu_ms = (uint32_t)((v[14] + v[15]) * (1000 / TICKS_PER_S));
	ps->start_s = (uint32_t)(v[22] / TICKS_PER_S);
	ps->rss_kib = (uint32_t)(v[24] * 4);
	return 0;
}

/*
 * Number n (from 0) of the white-separated list behind `label` in a status file; false when there
 * is none.
 */
static bool status_number(const char *text, const char *label, int n, uint32_t *out)
{
	const char *p = strstr(text, label);
	char *end;

	if (!p)
		return false;
	p += strlen(label);
	for (;; n--, p = end) {
		unsigned long v = strtoul(p, &end, 10);

		if (end == p || memchr(p, '\n', (size_t)(end - p)))
			return false;
		if (n == 0) {
			*out = (uint32_t)v;
			return true;
		}
	}
}

/* /proc/PID/status: effective uid, and the pid in the namespace below ours. */
static void parse_status(const char *text, bool own_pid_ns, struct wire_ps *ps)
{
	(void)status_number(text, "\nUid:", 1, &ps->uid);
	if (!own_pid_ns || !status_number(text, "\nNSpid:", 1, &ps->ns_pid))
		ps->ns_pid = ps->pid;
}

/* Arguments separated by spaces; the name in brackets for one that has none. */
static uint32_t command_line(const char *dir, char *cmd, size_t max)
{
	char file[64], name[32];
	ssize_t n;

	(void)snprintf(file, sizeof(file), "%s/cmdline", dir);
	n = file_read(AT_FDCWD, file, cmd, max + 1);
	for (ssize_t i = 0; i < n; i++)
		if (!cmd[i])
			cmd[i] = ' ';
	while (n > 0 && cmd[n - 1] == ' ')
		n--;
	if (n > 0)
		return (uint32_t)n;
	(void)snprintf(file, sizeof(file), "%s/comm", dir);
	if (file_read(AT_FDCWD, file, name, sizeof(name)) < 0)
		return 0;
	name[strcspn(name, "\n")] = '\0';
	n = snprintf(cmd, max + 1, "[%s]", name);
	return n < 0 ? 0 : (uint32_t)((size_t)n > max ? max : (size_t)n);
}

/* One record. Processes that end meanwhile are left out. */
static int put_process(pid_t pid, bool own_pid_ns, size_t cmd_max, int out)
{
	struct wire_ps ps = { .pid = (uint32_t)pid };
	char dir[32], file[64], text[4096], record[sizeof(ps) + CMD_MAX + 1];

	(void)snprintf(dir, sizeof(dir), "/proc/%d", (int)pid);
	(void)snprintf(file, sizeof(file), "%s/stat", dir);
	if (file_read(AT_FDCWD, file, text, sizeof(text)) < 0 || parse_stat(text, &ps))
		return 0;
	(void)snprintf(file, sizeof(file), "%s/status", dir);
	if (file_read(AT_FDCWD, file, text, sizeof(text)) < 0)
		return 0;
	parse_status(text, own_pid_ns, &ps);
	ps.cmd_len = command_line(dir, record + sizeof(ps), cmd_max);
	memcpy(record, &ps, sizeof(ps));
	return write_all(out, record, sizeof(ps) + ps.cmd_len);
}

int ps_collect(void *args, int out, struct fault *f)
{
	const struct ps_args *a = args;
	struct pids p = { 0 };
	size_t cmd_max;
	int r = cgroup_each_pid(a->cgroup, pid_add, &p);

	/* so many bytes of each command line that all records fit into one frame, if that can be */
	cmd_max = p.n && p.n * sizeof(struct wire_ps) < WIRE_PAYLOAD_MAX
			  ? WIRE_PAYLOAD_MAX / p.n - sizeof(struct wire_ps)
			  : 0;
	if (cmd_max > CMD_MAX)
		cmd_max = CMD_MAX;
	for (size_t i = 0; r == 0 && i < p.n; i++)
		r = put_process(p.pid[i], a->own_pid_ns, cmd_max, out);
	free(p.pid);
	return r ? fault_set(f, STAGE_SETUP, r, "list processes") : 0;
}
