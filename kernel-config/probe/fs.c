/* SPDX-License-Identifier: Apache-2.0 */
/* File systems: each kind mounts and does what images and volumes need. Disks: vda ext4, vdb squashfs, vdc erofs. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A minimal access list with one named user, in the kernel's on-disk form: what setfacl would write. */
static const unsigned char acl[] = {
	2,    0, 0, 0, 0x01, 0,	   6,	 0,    0xff, 0xff, 0xff, 0xff, /* owner rw- */
	0x02, 0, 4, 0, 1,    0,	   0,	 0,			       /* user 1 r-- */
	0x04, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,			       /* group r-- */
	0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,			       /* mask r-- */
	0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,			       /* others --- */
};

/* File capabilities, version 2: cap_net_bind_service, effective. */
static const unsigned char capability[] = { 1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

static const char *registered(void)
{
	static const char *const names[] = { "ext4",	"ext2",	    "ext3",	   "erofs",   "squashfs",  "overlay",
					     "tmpfs",	"fuse",	    "fuseblk",	   "fusectl", "virtiofs",  "proc",
					     "sysfs",	"devtmpfs", "devpts",	   "mqueue",  "hugetlbfs", "cgroup",
					     "cgroup2", "bpf",	    "binfmt_misc", NULL };
	const char *missing = words_missing("/proc/filesystems", names);

	return missing ? problem("no %s", missing) : NULL;
}

/* Owner, mode, ACL, capability and user attributes survive on a file of the mounted directory. */
static const char *attributes(const char *directory)
{
	char path[128], back[64];
	int fd;

	snprintf(path, sizeof(path), "%s/attributes", directory);
	fd = open(path, O_CREAT | O_RDWR, 0640);
	if (fd < 0 || fchown(fd, 1000, 1000) < 0)
		return problem("create and chown");
	if (fsetxattr(fd, "system.posix_acl_access", acl, sizeof(acl), 0) < 0)
		return problem("POSIX ACL");
	if (fsetxattr(fd, "security.capability", capability, sizeof(capability), 0) < 0)
		return problem("security.capability");
	if (fsetxattr(fd, "trusted.probe", "x", 1, 0) < 0 || fgetxattr(fd, "trusted.probe", back, sizeof(back)) != 1)
		return problem("trusted.probe");
	close(fd);
	return NULL;
}

static const char *ext4_disk(void)
{
	const char *why;

	if (mount("/dev/vda", "/mnt", "ext4", 0, NULL) < 0)
		return problem("mount");
	why = attributes("/mnt");
	umount("/mnt");
	return why;
}

/* The image holds one file "marker" with the text "husk", mode 04755, as the harness wrote it. */
static const char *image(const char *device, const char *type, const char *options)
{
	char text[16] = "";
	struct stat st;

	if (access(device, F_OK) < 0)
		return problem("%s", device);
	if (mount(device, "/mnt", type, MS_RDONLY, options) < 0)
		return problem("mount");
	if (!file_read("/mnt/marker", text, sizeof(text)) || strcmp(text, "husk"))
		return problem("wrong content '%s'", text);
	if (stat("/mnt/marker", &st) < 0 || (st.st_mode & 07777) != 04755)
		return problem("wrong mode %o", st.st_mode);
	umount("/mnt");
	return NULL;
}

static const char *squashfs_disk(void)
{
	return image("/dev/vdb", "squashfs", NULL);
}

static const char *erofs_disk(void)
{
	return image("/dev/vdc", "erofs", NULL);
}

static const char *loop_device(void)
{
	int control = open("/dev/loop-control", O_RDWR), number, disk, loop;
	char path[32];

	if (control < 0 || (number = ioctl(control, LOOP_CTL_GET_FREE)) < 0)
		return problem("/dev/loop-control");
	snprintf(path, sizeof(path), "/dev/loop%d", number);
	disk = open("/dev/vdb", O_RDONLY);
	loop = open(path, O_RDWR);
	if (loop < 0)
		loop = open(path, O_RDONLY);
	if (disk < 0 || loop < 0 || ioctl(loop, LOOP_SET_FD, disk) < 0)
		return problem("%s", path);
	if (mount(path, "/mnt", "squashfs", MS_RDONLY, NULL) < 0)
		return problem("mount %s", path);
	umount("/mnt");
	ioctl(loop, LOOP_CLR_FD, 0);
	return NULL;
}

static const char *tmpfs_attributes(void)
{
	const char *why;

	if (mount("tmpfs", "/mnt", "tmpfs", 0, "size=1m,mode=0755,nr_inodes=64") < 0)
		return problem("mount");
	why = attributes("/mnt");
	umount("/mnt");
	return why;
}

static const char *overlay_writes_to_upper(void)
{
	char text[16];

	if (mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0)
		return problem("tmpfs");
	mkdir("/mnt/lower", 0755);
	mkdir("/mnt/upper", 0755);
	mkdir("/mnt/work", 0755);
	mkdir("/mnt/merged", 0755);
	close(open("/mnt/lower/file", O_CREAT | O_WRONLY, 0644));
	if (mount("overlay", "/mnt/merged", "overlay", 0, "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work") <
	    0)
		return problem("mount");
	if (!file_write("/mnt/merged/file", "new") || unlink("/mnt/merged/file") < 0)
		return problem("write and unlink");
	errno = 0;
	if (access("/mnt/lower/file", F_OK) < 0 || file_read("/mnt/merged/file", text, sizeof(text)))
		return problem("the lower file changed");
	umount("/mnt/merged");
	umount("/mnt");
	return NULL;
}

static const char *kernel_mounts(void)
{
	static const struct {
		const char *type, *options, *file;
	} kinds[] = {
		{ "mqueue", NULL, "." },
		{ "hugetlbfs", "size=2M", "." },
		{ "bpf", NULL, "." },
		{ "binfmt_misc", NULL, "register" },
		{ "fusectl", NULL, "." },
		{ "proc", "hidepid=invisible", "self" },
		{ "sysfs", NULL, "class" },
		{ "cgroup2", "nsdelegate", "cgroup.procs" },
		{ "devpts", "newinstance,gid=5", "ptmx" },
	};
	char path[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		errno = 0;
		if (mount("none", "/mnt", kinds[i].type, MS_NOSUID | MS_NOEXEC, kinds[i].options) < 0)
			return problem("%s", kinds[i].type);
		snprintf(path, sizeof(path), "/mnt/%s", kinds[i].file);
		if (access(path, F_OK) < 0)
			return problem("%s", path);
		umount("/mnt");
	}
	return NULL;
}

static const char *fuse_starts(void)
{
	char options[96], request[FUSE_MIN_READ_BUFFER * 2];
	struct fuse_in_header header;
	int fd = open("/dev/fuse", O_RDWR);

	if (fd < 0)
		return problem("/dev/fuse");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("probe", "/mnt", "fuse", 0, options) < 0)
		return problem("mount");
	if (read(fd, request, sizeof(request)) < (ssize_t)sizeof(header))
		return problem("no request");
	memcpy(&header, request, sizeof(header));
	umount2("/mnt", MNT_DETACH);
	errno = 0;
	return header.opcode == FUSE_INIT ? NULL : problem("first request is %u", header.opcode);
}

static const char *mount_calls(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	int context, tree;

	context = (int)syscall(SYS_fsopen, "tmpfs", 0);
	if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return problem("fsopen");
	tree = (int)syscall(SYS_fsmount, context, 0, 0);
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return problem("fsmount and mount_setattr");
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, "/mnt", 4 /* MOVE_MOUNT_F_EMPTY_PATH */) < 0)
		return problem("move_mount");
	if (open("/mnt/file", O_CREAT | O_WRONLY, 0600) >= 0 || errno != EROFS)
		return problem("read-only was not applied");
	umount("/mnt");
	return NULL;
}

/* An ext4 mount seen through the ids of a user namespace: linux.mounts with idmap. */
static const char *idmapped_mount(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	char path[64];
	int tree, pipes[2];
	pid_t pid;

	if (pipe(pipes) < 0 || mount("/dev/vda", "/mnt", "ext4", 0, NULL) < 0)
		return problem("mount");
	pid = fork();
	if (!pid) {
		unshare(CLONE_NEWUSER);
		if (write(pipes[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	if (read(pipes[0], path, 1) != 1)
		return problem("child");
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	file_write(path, "0 100000 1000");
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	file_write(path, "0 100000 1000");
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	attr.userns_fd = (unsigned int)open(path, O_RDONLY);
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/mnt", 1 /* OPEN_TREE_CLONE */);
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return problem("mount_setattr with MOUNT_ATTR_IDMAP");
	kill(pid, SIGKILL);
	close(tree);
	umount("/mnt");
	return NULL;
}

const struct probe fs_probes[] = {
	{ "file system types are registered", registered },
	{ "ext4 keeps ACLs and capabilities", ext4_disk },
	{ "squashfs image", squashfs_disk },
	{ "erofs image", erofs_disk },
	{ "a loop device mounts an image", loop_device },
	{ "tmpfs keeps ACLs and capabilities", tmpfs_attributes },
	{ "overlay writes to its upper layer", overlay_writes_to_upper },
	{ "kernel file systems mount", kernel_mounts },
	{ "a fuse mount sends its first request", fuse_starts },
	{ "the new mount calls", mount_calls },
	{ "an idmapped mount", idmapped_mount },
	{ 0 },
};
