/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NIC slots, by sysfs. Runs in the network job. An empty slot is a virtio-mmio device of type 0,
 * which the driver refused at boot; when the VMM has plugged a NIC, binding the driver again probes
 * it.
 */
#include "net_slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define PLATFORM "/sys/bus/platform"
#define DEVICES_MAX 256

static struct {
	uint32_t first, count;
	bool known;
} layout;

void net_slot_layout(uint32_t first, uint32_t count)
{
	layout.first = first;
	layout.count = count;
	layout.known = true;
}

/* The directory entry whose name begins with `prefix`, in `name`. */
static bool entry_with_prefix(const char *dir, const char *prefix, char *name, size_t cap)
{
	struct dirent *e;
	bool found = false;
	DIR *d = opendir(dir);

	if (!d)
		return false;
	while (!found && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			found = (size_t)snprintf(name, cap, "%s", e->d_name) < cap;
	closedir(d);
	return found;
}

/* The number of the slot's device. */
static int device_of(uint32_t slot)
{
	if (!layout.known)
		return slot < DEVICES_MAX ? (int)slot : -ENODEV;
	return slot < layout.count ? (int)(layout.first + slot) : -ENODEV;
}

static bool has_driver(int device)
{
	char path[128];

	(void)snprintf(path, sizeof(path), PLATFORM "/devices/virtio-mmio.%d/driver", device);
	return access(path, F_OK) == 0;
}

static int set_driver(int device, const char *verb)
{
	char name[32], path[128];

	(void)snprintf(name, sizeof(name), "virtio-mmio.%d", device);
	(void)snprintf(path, sizeof(path), PLATFORM "/drivers/virtio-mmio/%s", verb);
	return file_write_str(AT_FDCWD, path, name);
}

int net_slot_find(uint32_t slot, bool bind, char name[IF_NAMESIZE], const char **what)
{
	int device = device_of(slot), r;
	char path[160], virtio[64];
	unsigned int index;

	*what = "there is no such device";
	if (device < 0)
		return device;
	*what = "the driver does not take the device";
	if (bind && !has_driver(device)) {
		r = set_driver(device, "bind");
		if (r)
			return r;
	}
	(void)snprintf(path, sizeof(path), PLATFORM "/devices/virtio-mmio.%d", device);
	if (!entry_with_prefix(path, "virtio", virtio, sizeof(virtio)))
		return -ENODEV;
	*what = "the network driver makes no interface";
	(void)snprintf(path, sizeof(path), PLATFORM "/devices/virtio-mmio.%d/%.40s/net", device, virtio);
	if (!entry_with_prefix(path, "", name, IF_NAMESIZE))
		return -ENODEV;
	index = if_nametoindex(name);
	return index ? (int)index : -errno;
}

int net_slot_unbind(uint32_t slot)
{
	int device = device_of(slot);

	if (device < 0 || !has_driver(device))
		return 0;
	return set_driver(device, "unbind");
}
