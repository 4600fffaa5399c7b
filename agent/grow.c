/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM without a memory limit begins small. In the loop; only when the kernel's command line says husk.grow.
 *
 * Theory of operation. The cgroup above all containers has a brake, memory.high, a little below what the guest has:
 * whoever allocates beyond it is slowed down by the kernel, not killed, and the kernel tells us. When it is not just
 * page cache that could be dropped, the host is asked for more by a byte on an I/O port; it plugs memory, and the brake
 * moves up. When nothing comes for a while, the host has no more to give: the brake is released, and the guest's
 * kernel does what any kernel does when memory runs out.
 */
#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/io.h>
#include <unistd.h>

#include "boot.h"
#include "log.h"
#include "loop.h"
#include "util.h"
#include "wire.h"

#define MIB (1024ull * 1024)
#define RESERVE_MIN (48 * MIB) /* between the brake and the end */
#define LOOK_NS (20 * NS_PER_MS)
#define PATIENCE 250 /* looks without more memory */

static struct watch events;
static struct timer timer;
static int dir = -1; /* the cgroup's */
static uint64_t total;
static unsigned int waited;
static bool given_up;

/* A line of /proc/meminfo, in bytes. */
static uint64_t meminfo(const char *key)
{
	char text[2048], *p;

	if (file_read(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) < 0)
		return 0;
	p = strstr(text, key);
	return p ? strtoull(p + strlen(key) + 1, NULL, 10) * 1024 : 0; /* "Key:  123 kB" */
}

static uint64_t reserve(void)
{
	return total / 8 > RESERVE_MIN ? total / 8 : RESERVE_MIN;
}

static void set_brake(bool on)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, total > reserve() ? total - reserve() : total);
	(void)file_write_str(dir, "memory.high", on ? text : "max");
}

/* Memory that can be had at once is less than the reserve: dropping page cache would not help for long. */
static bool is_short(void)
{
	return meminfo("MemAvailable") < 2 * reserve();
}

static void look(void *arg)
{
	uint64_t now = meminfo("MemTotal");

	(void)arg;
	if (now > total) {
		total = now;
		waited = 0;
		given_up = false;
		set_brake(true);
	}
	if (!is_short())
		return;
	if (++waited > PATIENCE) {
		if (!given_up)
			log_line("the host gives no more memory");
		given_up = true;
		set_brake(false);
		return;
	}
	outb(1, WIRE_GROW_PORT);
	timer_start(&timer, LOOK_NS);
}

static void on_events(void *arg, uint32_t what)
{
	char buf[4096];

	(void)arg;
	(void)what;
	while (read(events.fd, buf, sizeof(buf)) > 0)
		;
	if (!timer.due && !given_up) {
		waited = 0;
		look(NULL);
	}
}

int grow_init(const char *cgroup)
{
	char file[PATH_MAX];
	int r;

	if (!boot_word("husk.grow", NULL, 0))
		return 0;
	if (ioperm(WIRE_GROW_PORT, 1, 1))
		return -errno;
	dir = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	timer.fn = look;
	events = (struct watch){ .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .fn = on_events };
	(void)snprintf(file, sizeof(file), "%s/memory.events", cgroup);
	if (events.fd < 0 || inotify_add_watch(events.fd, file, IN_MODIFY) < 0)
		return -errno;
	r = watch_set(&events, EPOLLIN);
	total = meminfo("MemTotal");
	if (r == 0)
		set_brake(true);
	return r;
}
