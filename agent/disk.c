/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks. Runs in the agent; disks_settle() in a job, disk_device() also in a container's child. What is on a disk is
 * the container's: its file system is parsed by this guest's kernel, never by the host's.
 *
 * A disk is known by its serial, which the host chose. One with a file system is mounted in the agent's own mount
 * namespace and bound from there, so a container needs no right to the device, and its end can unmount it in order.
 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util.h"

#define BLOCK "/sys/block"
#define SERIAL_MAX 20

static struct disk {
	char cid[WIRE_CID_MAX + 1]; /* "": free */
	char serial[SERIAL_MAX + 1];
	bool mounted;
} disks[DISKS_MAX];

/* ---- finding ---- */

static bool has_serial(const char *name, const char *serial)
{
	char path[64 + 256], text[64];

	(void)snprintf(path, sizeof(path), BLOCK "/%s/serial", name);
	if (file_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, serial) == 0;
}

/* The name below /dev of the disk with this serial. */
static int find(const char *serial, char name[64])
{
	DIR *d = opendir(BLOCK);
	struct dirent *e;
	int r = -ENODEV;

	if (!d)
		return -errno;
	while (r && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "vd", 2) == 0 && strlen(e->d_name) < 64 && has_serial(e->d_name, serial)) {
			memcpy(name, e->d_name, strlen(e->d_name) + 1);
			r = 0;
		}
	closedir(d);
	return r;
}

int disk_device(const char *serial, dev_t *dev)
{
	char name[64], path[64 + sizeof(name)], text[32];
	unsigned long major, minor;
	char *colon;
	int r = find(serial, name);

	if (r)
		return r;
	(void)snprintf(path, sizeof(path), BLOCK "/%s/dev", name);
	r = (int)file_read(AT_FDCWD, path, text, sizeof(text));
	if (r < 0)
		return r;
	major = strtoul(text, &colon, 10); /* "MAJOR:MINOR" */
	if (*colon != ':')
		return -EINVAL;
	minor = strtoul(colon + 1, NULL, 10);
	*dev = makedev((unsigned int)major, (unsigned int)minor);
	return 0;
}

/* ---- taking and leaving ---- */

static void place_of(const char *serial, char path[64])
{
	(void)snprintf(path, 64, PLAN_DISKS "/%s", serial);
}

static int mount_disk(struct disk *k, const struct plan_disk *pd, const char *type, const char *data)
{
	char name[64], source[5 + sizeof(name)], path[64];
	int r = find(k->serial, name);

	if (r)
		return r;
	if (mkdir(PLAN_DISKS, 0711) && errno != EEXIST)
		return -errno;
	place_of(k->serial, path);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	(void)snprintf(source, sizeof(source), "/dev/%s", name);
	if (mount(source, path, type, (unsigned long)pd->mount_flags, *data ? data : NULL)) {
		r = -errno;
		rmdir(path);
		return r;
	}
	k->mounted = true;
	return 0;
}

static bool serial_valid(const char *serial)
{
	size_t n = strlen(serial);

	return plan_cid_valid(serial, n) && n <= SERIAL_MAX;
}

static struct disk *disk_new(const char *cid, const char *serial)
{
	struct disk *free = NULL;

	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		if (disks[i].cid[0] && strcmp(disks[i].serial, serial) == 0)
			return NULL;
		if (!disks[i].cid[0] && !free)
			free = &disks[i];
	}
	if (free) {
		(void)snprintf(free->cid, sizeof(free->cid), "%s", cid);
		(void)snprintf(free->serial, sizeof(free->serial), "%s", serial);
		free->mounted = false;
	}
	return free;
}

static int take(const char *cid, const struct plan_disk *pd, const char *serial, const char *type, const char *data)
{
	struct disk *k;
	dev_t dev;

	if (!serial_valid(serial))
		return -EINVAL;
	k = disk_new(cid, serial);
	if (!k)
		return -EBUSY;
	return *type ? mount_disk(k, pd, type, data) : disk_device(serial, &dev);
}

int disks_take(const struct plan *p, struct fault *f)
{
	struct plan_iter it;
	struct plan_item i;

	plan_iter_init(&it, p);
	while (plan_next(&it, &i)) {
		int r = i.op == OP_DISK ? take(p->cid, i.body, i.str[0], i.str[1], i.str[2]) : 0;

		if (!r)
			continue;
		(void)disks_settle(p->cid);
		disks_forget(p->cid);
		if (*i.str[1])
			return fault_set(f, STAGE_SETUP, r, "mount the %s file system of disk %s", i.str[1], i.str[0]);
		return fault_set(f, STAGE_SETUP, r, "disk %s", i.str[0]);
	}
	return 0;
}

bool disks_any(const char *cid)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (strcmp(disks[i].cid, cid) == 0)
			return true;
	return false;
}

int disks_settle(const char *cid)
{
	char path[64];
	int r = 0;

	/* first: the container's own mounts of them may still be on their way out, and keep them in use */
	sync();
	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		if (strcmp(disks[i].cid, cid) != 0 || !disks[i].mounted)
			continue;
		place_of(disks[i].serial, path);
		if (umount2(path, 0) && errno != EINVAL) /* EINVAL: it is done */
			r = -errno;
	}
	return r;
}

void disks_forget(const char *cid)
{
	char path[64];

	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		if (strcmp(disks[i].cid, cid) != 0)
			continue;
		if (disks[i].mounted) {
			place_of(disks[i].serial, path);
			(void)umount2(path, MNT_DETACH);
			(void)rmdir(path);
		}
		memset(&disks[i], 0, sizeof(disks[i]));
	}
}

/* ---- rights ---- */

/* One instruction of the kernel's 8 bytes: code, registers, jump, constant. */
static uint64_t insn(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	return code | (uint64_t)(dst | src << 4) << 8 | (uint64_t)(uint16_t)off << 16 | (uint64_t)(uint32_t)imm << 32;
}

unsigned int disk_rules(const struct plan *p, uint64_t *insns)
{
	struct plan_iter it;
	struct plan_item i;
	unsigned int n = 0;
	dev_t dev;

	/* r1 is the context, and stays: the container's own program begins with it */
	insns[n++] = insn(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
	insns[n++] = insn(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
	insns[n++] = insn(BPF_LDX | BPF_MEM | BPF_W, 4, 1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
	plan_iter_init(&it, p);
	while (plan_next(&it, &i)) {
		const struct plan_disk *pd = i.body;

		if (i.op != OP_DISK || disk_device(i.str[0], &dev) || n + 10 > DISK_RULES_INSNS)
			continue;
		/* not this device: on to the next */
		insns[n++] = insn(BPF_JMP | BPF_JNE | BPF_K, 3, 0, 9, (int32_t)major(dev));
		insns[n++] = insn(BPF_JMP | BPF_JNE | BPF_K, 4, 0, 8, (int32_t)minor(dev));
		insns[n++] = insn(BPF_ALU | BPF_MOV | BPF_X, 0, 2, 0, 0);
		insns[n++] = insn(BPF_ALU | BPF_AND | BPF_K, 0, 0, 0, 0xffff);
		insns[n++] = insn(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 5, BPF_DEVCG_DEV_BLOCK);
		insns[n++] = insn(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, (int32_t)(~pd->access << 16));
		insns[n++] = insn(BPF_ALU | BPF_MOV | BPF_K, 0, 0, 0, 0);
		insns[n++] = insn(BPF_JMP | BPF_JNE | BPF_K, 2, 0, 1, 0);
		insns[n++] = insn(BPF_ALU | BPF_MOV | BPF_K, 0, 0, 0, 1);
		insns[n++] = insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	}
	return n;
}
