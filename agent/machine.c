/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clock and CPUs of the VM. Setting CPUs runs in a job: bringing one on or off line stops the
 * machine for a moment.
 */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "util.h"

#define CPUS_MAX 1024u

int machine_set_time(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / (int64_t)NS_PER_S, .tv_nsec = ns % (int64_t)NS_PER_S };

	return clock_settime(CLOCK_REALTIME, &ts) ? -errno : 0;
}

struct cpus {
	uint8_t present[CPUS_MAX], online[CPUS_MAX];
	uint8_t *set;
};

static void cpu_mark(unsigned int n, void *arg)
{
	((struct cpus *)arg)->set[n] = 1;
}

static int read_cpus(struct cpus *c)
{
	char text[1024];
	int r;

	for (int online = 0; online < 2; online++) {
		ssize_t n = file_read(AT_FDCWD,
				      online ? "/sys/devices/system/cpu/online" : "/sys/devices/system/cpu/present",
				      text, sizeof(text));

		if (n < 0)
			return (int)n;
		c->set = online ? c->online : c->present;
		r = list_parse(text, CPUS_MAX, cpu_mark, c);
		if (r)
			return r;
	}
	return 0;
}

static int switch_cpu(unsigned int n, int on)
{
	char file[64];

	(void)snprintf(file, sizeof(file), "/sys/devices/system/cpu/cpu%u/online", n);
	return file_write_str(AT_FDCWD, file, on ? "1" : "0");
}

int machine_set_cpus(void *args, int out, struct fault *f)
{
	uint32_t want = *(const uint32_t *)args, have = 0, present = 0;
	struct cpus c = { 0 };
	int r = read_cpus(&c);

	(void)out;
	if (r)
		return fault_set(f, STAGE_SETUP, r, "read the list of CPUs");
	for (unsigned int n = 0; n < CPUS_MAX; n++) {
		have += c.online[n];
		present += c.present[n];
	}
	if (!want || want > present)
		return fault_set(f, STAGE_SETUP, EINVAL, "%u CPUs wanted, the VM has %u", want, present);
	/* up from the lowest, down from the highest; CPU 0 stays */
	for (unsigned int n = 1; n < CPUS_MAX && have < want; n++) {
		if (!c.present[n] || c.online[n])
			continue;
		r = switch_cpu(n, 1);
		if (r)
			return fault_set(f, STAGE_SETUP, r, "bring CPU %u online", n);
		have++;
	}
	for (unsigned int n = CPUS_MAX - 1; n > 0 && have > want; n--) {
		if (!c.online[n])
			continue;
		r = switch_cpu(n, 0);
		if (r)
			return fault_set(f, STAGE_SETUP, r, "take CPU %u offline", n);
		have--;
	}
	return 0;
}
