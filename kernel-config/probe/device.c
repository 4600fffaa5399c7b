/* SPDX-License-Identifier: Apache-2.0 */
/* The machine: CPUs, clocks, memory, drivers; and that what was left out is really absent. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static const char *release_name(void)
{
	struct utsname name;

	uname(&name);
	if (!strstr(name.release, "-husk"))
		return problem("release is %s", name.release);
	return NULL;
}

static const char *cpu_hotplug(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) != 2)
		return problem("%ld CPUs online, not 2", sysconf(_SC_NPROCESSORS_ONLN));
	if (!file_write("/sys/devices/system/cpu/cpu1/online", "0") || sysconf(_SC_NPROCESSORS_ONLN) != 1)
		return problem("cannot take CPU 1 offline");
	if (!file_write("/sys/devices/system/cpu/cpu1/online", "1") || sysconf(_SC_NPROCESSORS_ONLN) != 2)
		return problem("cannot bring CPU 1 online");
	return NULL;
}

/* Not by a nap: an emulated machine that is busy sleeps longer than it should. */
static const char *timers_below_a_tick(void)
{
	struct timespec resolution;

	if (clock_getres(CLOCK_MONOTONIC, &resolution) < 0 || resolution.tv_sec || resolution.tv_nsec != 1)
		return problem("timers have a resolution of %ld ns", resolution.tv_nsec);
	return NULL;
}

static const char *memory_blocks(void)
{
	char text[64];

	if (!file_read("/sys/devices/system/memory/block_size_bytes", text, sizeof(text)))
		return problem("no memory hotplug");
	if (!file_has_word("/sys/devices/system/memory/auto_online_blocks", "online"))
		return problem("new memory does not go online by itself");
	return NULL;
}

static const char *huge_pages_on_advice(void)
{
	char text[64];

	if (!file_read("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text)))
		return problem("no transparent huge pages");
	return strstr(text, "[madvise]") ? NULL : problem("mode is %s", text);
}

static const char *hugetlb_pages(void)
{
	void *page;

	if (!file_write("/proc/sys/vm/nr_hugepages", "2"))
		return problem("cannot reserve huge pages");
	page = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (page == MAP_FAILED)
		return problem("cannot map one");
	memset(page, 1, 2 << 20);
	munmap(page, 2 << 20);
	file_write("/proc/sys/vm/nr_hugepages", "0");
	return NULL;
}

static const char *virtio_drivers(void)
{
	static const char *const drivers[] = { "virtio_blk",
					       "virtio_net",
					       "virtio_rng",
					       "virtio_balloon",
					       "virtio_console",
					       "virtiofs",
					       "vmw_vsock_virtio_transport",
					       "virtio_mem",
					       NULL };
	char path[128];

	for (const char *const *driver = drivers; *driver; driver++) {
		snprintf(path, sizeof(path), "/sys/bus/virtio/drivers/%s", *driver);
		if (access(path, F_OK) < 0)
			return problem("no driver %s", *driver);
	}
	if (access("/sys/bus/platform/drivers/virtio-mmio", F_OK) < 0)
		return problem("no virtio-mmio");
	return NULL;
}

static const char *virtio_devices_bound(void)
{
	static const char *const paths[] = { "/sys/class/block/vda", "/sys/class/net/eth0", "/dev/hwrng", "/dev/hvc0",
					     NULL };
	char path[96];

	for (const char *const *p = paths; *p; p++)
		if (access(*p, F_OK) < 0)
			return problem("%s", *p);
	/* The balloon has no node of its own, and may be any device. */
	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "/sys/bus/virtio/drivers/virtio_balloon/virtio%d", i);
		if (access(path, F_OK) == 0)
			return NULL;
	}
	return problem("no balloon");
}

/* The harness looks for this line on the other side. */
static const char *console_written(void)
{
	return file_write("/dev/hvc0", "console probe\n") ? NULL : problem("/dev/hvc0");
}

static const char *device_nodes(void)
{
	static const char *const nodes[] = { "null", "zero",	"full", "random",	"urandom", "tty",
					     "ptmx", "console", "fuse", "loop-control", "net/tun", NULL };
	char path[64];
	struct stat st;

	for (const char *const *node = nodes; *node; node++) {
		snprintf(path, sizeof(path), "/dev/%s", *node);
		if (stat(path, &st) < 0 || !S_ISCHR(st.st_mode))
			return problem("%s", path);
	}
	return NULL;
}

static const char *random_ready(void)
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != sizeof(bytes))
		return problem("no random bytes yet");
	return NULL;
}

static const char *absent_parts(void)
{
	static const char *const paths[] = { "/proc/modules",	   "/dev/mem",
					     "/dev/port",	   "/dev/kmem",
					     "/proc/kcore",	   "/sys/bus/pci",
					     "/sys/firmware/acpi", "/sys/bus/acpi",
					     "/sys/bus/serio",	   "/sys/class/rtc",
					     "/sys/class/input",   "/sys/class/vtconsole",
					     "/dev/tty0",	   "/proc/swaps",
					     "/proc/config.gz",	   "/dev/ptyp0",
					     "/sys/kernel/mm/ksm", "/sys/kernel/slab/kmalloc-64",
					     "/dev/ttyS0",	   "/proc/sysrq-trigger",
					     "/sys/kernel/debug",  NULL };

	/* The last three are what the debug variant adds. */
	for (const char *const *path = paths; *path; path++) {
		if (debug_variant() && !strcmp(*path, "/dev/ttyS0"))
			break;
		errno = 0;
		if (access(*path, F_OK) == 0)
			return problem("%s is there", *path);
	}
	return NULL;
}

static const char *debug_parts(void)
{
	static const char *const paths[] = { "/dev/ttyS0", "/proc/sysrq-trigger", "/sys/kernel/debug", NULL };

	for (const char *const *path = paths; debug_variant() && *path; path++)
		if (access(*path, F_OK) < 0)
			return problem("%s", *path);
	return NULL;
}

static const char *panic_ends_at_once(void)
{
	char text[32];

	if (!file_read("/proc/sys/kernel/panic", text, sizeof(text)) || strcmp(text, "-1"))
		return problem("kernel.panic is %s", text);
	if (!file_read("/proc/sys/kernel/panic_on_oops", text, sizeof(text)) || strcmp(text, "1"))
		return problem("kernel.panic_on_oops is %s", text);
	return NULL;
}

const struct probe device_probes[] = {
	{ "release says husk", release_name },
	{ "a CPU goes offline and comes back", cpu_hotplug },
	{ "timers are finer than a tick", timers_below_a_tick },
	{ "memory can be added and goes online", memory_blocks },
	{ "transparent huge pages on advice", huge_pages_on_advice },
	{ "hugetlb pages can be mapped", hugetlb_pages },
	{ "virtio drivers are built in", virtio_drivers },
	{ "virtio-mmio devices of the command line work", virtio_devices_bound },
	{ "the virtio console takes text", console_written },
	{ "device nodes appear", device_nodes },
	{ "random bytes are ready", random_ready },
	{ "parts without use are absent", absent_parts },
	{ "the debug variant has its parts", debug_parts },
	{ "a panic ends the machine at once", panic_ends_at_once },
	{ 0 },
};
