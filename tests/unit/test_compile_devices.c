/* SPDX-License-Identifier: Apache-2.0 */
/* The plan compiler: /dev, disks, device rules. */
// link: oci,agent
#include "tests/unit/compile_env.h"

#include <linux/bpf.h>
#include <sys/stat.h>

TEST(dev_is_filled_after_the_mounts)
{
	struct plan_item item;

	COMPILE(MOUNT("\"destination\":\"/dev\",\"type\":\"tmpfs\",\"options\":[\"mode=755\"]"));
	CHECK_EQ(count(OP_MKNOD), 6);
	CHECK_EQ(count(OP_SYMLINK), 5);
	REQUIRE(find(OP_SYMLINK, 0, &item));
	CHECK_STR(item.str[0], "/proc/self/fd");
	CHECK_STR(item.str[1], "/dev/fd");
	CHECK_EQ(count(OP_MOUNT), 1);
	release();
}

TEST(a_root_without_a_mount_at_dev_gets_one)
{
	struct plan_item item;

	COMPILE("");
	REQUIRE(find_mount("/dev", &item));
	CHECK_STR(item.str[2], "tmpfs");
	REQUIRE(host.nmountpoints == 1);
	CHECK_STR(host.mountpoints[0].path, "/dev");
	release();
}

TEST(a_bound_dev_is_left_alone)
{
	COMPILE(MOUNT("\"destination\":\"/dev\",\"source\":\"/my/dev\",\"options\":[\"bind\"]"));
	CHECK_EQ(count(OP_MKNOD), 0);
	CHECK_EQ(count(OP_SYMLINK), 0);
	release();
}

TEST(a_read_only_dev_becomes_so_after_it_is_filled)
{
	struct plan_item item;
	unsigned n;

	COMPILE(MOUNT("\"destination\":\"/dev\",\"type\":\"tmpfs\",\"options\":[\"ro\","
		      "\"nosuid\"]") "," PROCESS("\"terminal\":true"));
	REQUIRE(find_mount("/dev", &item));
	CHECK(!(flags_of(&item)->flags & MS_RDONLY));
	n = count(OP_MOUNT);
	REQUIRE(find(OP_MOUNT, n - 1, &item));
	CHECK_EQ(flags_of(&item)->flags, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID);
	REQUIRE(find(OP_MOUNT, n - 2, &item));
	CHECK_STR(item.str[1], "/dev/console");
	release();
}

TEST(listed_devices_of_the_guest_get_nodes)
{
	struct plan_item item;
	const struct plan_mknod *n;

	COMPILE(LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"/dev/fuse\",\"major\":10,\"minor\":229,"
		      "\"fileMode\":438,"
		      "\"uid\":3,\"gid\":4},{\"type\":\"p\",\"path\":\"/dev/p\"},{\"type\":\"c\","
		      "\"path\":\"/dev/null\","
		      "\"major\":1,\"minor\":3,\"fileMode\":384}]"));
	CHECK_EQ(count(OP_MKNOD), 8); /* 5 defaults, null from the list */
	REQUIRE(find(OP_MKNOD, 5, &item));
	n = item.body;
	CHECK_STR(item.str[0], "/dev/fuse");
	CHECK_EQ(n->mode, S_IFCHR | 0666);
	CHECK_EQ(n->major, 10);
	CHECK_EQ(n->uid, 3);
	REQUIRE(find(OP_MKNOD, 6, &item));
	n = item.body;
	CHECK_EQ(n->mode, S_IFIFO | 0666);
	REQUIRE(find(OP_MKNOD, 7, &item));
	n = item.body;
	CHECK_EQ(n->mode, S_IFCHR | 0600);
	release();
}

TEST(devices_outside_the_guests_file_systems_are_bound)
{
	struct plan_item item;
	bool listed = false;

	char members[1024];

	snprintf(members, sizeof(members), "%s,%s",
		 LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"/my/null\",\"major\":1,\"minor\":3},"
		       "{\"type\":\"c\",\"path\":\"/tmp/fuse\",\"major\":10,\"minor\":229}]"),
		 MOUNT("\"destination\":\"/tmp\",\"type\":\"tmpfs\""));
	COMPILE(members);
	REQUIRE(find_mount("/my/null", &item));
	CHECK_STR(item.str[0], "/dev/null");
	CHECK_EQ(count(OP_MKNOD), 7); /* the defaults, and the one on the tmpfs */
	for (size_t i = 0; i < host.nmountpoints; i++)
		listed |= strcmp(host.mountpoints[i].path, "/my/null") == 0 && host.mountpoints[i].is_file;
	CHECK(listed);
	release();
}

TEST(a_device_that_the_guest_lacks_is_refused_by_name)
{
	CHECK_NOT_COMPILED(
		LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"/dev/ttyUSB0\",\"major\":188,\"minor\":0}]"),
		"linux.devices[0]: /dev/ttyUSB0 (character device 188:0) needs a driver of the host's kernel");
	CHECK_NOT_COMPILED(LINUX("\"devices\":[{\"type\":\"b\",\"path\":\"/dev/sda\","
				 "\"major\":8,\"minor\":0}]"),
			   "linux.devices[0]: /dev/sda: disks are not possible here");
}

TEST(block_devices_become_disks_where_the_runtime_serves_them)
{
	struct plan_item disk, node;

	input.host_serves = HOST_SERVES_DISKS;
	COMPILE(LINUX("\"devices\":[{\"type\":\"b\",\"path\":\"/dev/xvda\",\"major\":8,\"minor\":0,"
		      "\"fileMode\":432,\"uid\":7}],"
		      "\"resources\":{\"devices\":[{\"allow\":false},{\"allow\":true,\"type\":\"b\","
		      "\"major\":8,\"minor\":0,"
		      "\"access\":\"rm\"}],\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":"
		      "4096},{\"major\":8,\"minor\":1,\"rate\":1}],\"throttleWriteIOPSDevice\":[{\"major\":8,"
		      "\"minor\":0,\"rate\":9}]}}"));
	REQUIRE(host.ndisks == 1);
	CHECK_STR(host.disks[0].source, "/dev/xvda");
	CHECK_EQ(host.disks[0].major, 8);
	CHECK(host.disks[0].readonly && host.disks[0].is_device);
	CHECK_EQ(host.disks[0].read_bps, 4096);
	CHECK_EQ(host.disks[0].write_iops, 9);
	CHECK_EQ(host.disks[0].write_bps, 0);
	REQUIRE(find(OP_DISK, 0, &disk) && find(OP_DISK_NODE, 0, &node));
	CHECK_EQ(((const struct plan_disk *)disk.body)->access, BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ);
	CHECK_STR(disk.str[0], host.disks[0].serial);
	CHECK_STR(disk.str[1], "");
	CHECK_STR(node.str[0], "/dev/xvda");
	CHECK_STR(node.str[1], host.disks[0].serial);
	CHECK_EQ(((const struct plan_mknod *)node.body)->mode & 07777, 0660);
	CHECK_EQ(((const struct plan_mknod *)node.body)->uid, 7);
	release();

	/* a later rule beats an earlier one, for each access by itself */
	COMPILE(LINUX("\"devices\":[{\"type\":\"b\",\"path\":\"/dev/xvda\",\"major\":8,\"minor\":0}],"
		      "\"resources\":{\"devices\":[{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":\"rwm\"},"
		      "{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":0,\"access\":\"r\"}]}"));
	REQUIRE(find(OP_DISK, 0, &disk));
	CHECK_EQ(((const struct plan_disk *)disk.body)->access, BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_WRITE);
	CHECK(!host.disks[0].readonly);
	release();
}

TEST(a_bound_block_device_is_a_disk_with_a_node_at_its_place)
{
	struct plan_item disk, node;

	input.host_serves = HOST_SERVES_DISKS;
	COMPILE(MOUNT("\"destination\":\"/dev/data\",\"type\":\"bind\",\"source\":\"/dev/sda\""));
	REQUIRE(host.ndisks == 1 && find(OP_DISK, 0, &disk) && find(OP_DISK_NODE, 0, &node));
	CHECK_STR(node.str[0], "/dev/data");
	CHECK(host.disks[0].readonly); /* no rule lets it be used: as with any runtime */
	CHECK_EQ(((const struct plan_disk *)disk.body)->access, BPF_DEVCG_ACC_MKNOD);
	release();
}

TEST(an_image_with_a_file_system_is_mounted_by_the_guest)
{
	struct plan_item disk, mnt;

	input.host_serves = HOST_SERVES_DISKS | HOST_SERVES_FSTYPE;
	COMPILE(MOUNT("\"destination\":\"/data\",\"type\":\"ext4\",\"source\":\"/img/file\","
		      "\"options\":[\"loop\",\"nosuid\",\"data=journal\"]},"
		      "{\"destination\":\"/ro\",\"type\":\"ext4\",\"source\":\"file2\",\"options\":[\"ro\"]},"
		      "{\"destination\":\"/e\",\"type\":\"erofs\",\"source\":\"/dev/sda\""));
	REQUIRE(host.ndisks == 3);
	CHECK_STR(host.disks[0].source, "/img/file");
	CHECK(!host.disks[0].readonly && !host.disks[0].is_device);
	CHECK_STR(host.disks[1].source, "/bundle/file2");
	CHECK(host.disks[1].readonly);
	CHECK(host.disks[2].readonly && host.disks[2].is_device);
	REQUIRE(find(OP_DISK, 0, &disk));
	CHECK_STR(disk.str[1], "ext4");
	CHECK_STR(disk.str[2], "data=journal");
	CHECK_EQ(((const struct plan_disk *)disk.body)->access, BPF_DEVCG_ACC_MKNOD);
	CHECK_EQ(((const struct plan_disk *)disk.body)->mount_flags, MS_NOSUID);
	REQUIRE(find(OP_DISK, 1, &disk));
	CHECK_STR(disk.str[2], "noload");
	CHECK_EQ(((const struct plan_disk *)disk.body)->mount_flags, MS_RDONLY);
	REQUIRE(find_mount("/data", &mnt));
	CHECK_STR(mnt.str[0], PLAN_DISKS "/sd0");
	CHECK(flags_of(&mnt)->flags & MS_NOSUID && flags_of(&mnt)->opts & PLAN_MOUNT_BIND);
	CHECK_EQ(host.nshares, 1); /* the root */
	release();
}

TEST(a_volume_of_an_annotation_is_mounted_behind_the_others)
{
	struct plan_item mnt;

	input.host_serves = HOST_SERVES_DISKS;
	COMPILE("\"annotations\":{\"run.husk.volume.a\":\"type=ext4,source=/img/file,target=/a,ro,nodev\","
		"\"run.husk.volume.b\":\"target=/b/../c,type=squashfs,source=/img/file2,errors=continue\"}," MOUNT(
			"\"destination\":\"/x\",\"source\":\"/d\",\"options\":[\"bind\"]"));
	REQUIRE(host.ndisks == 2);
	CHECK_STR(host.disks[0].source, "/img/file");
	CHECK(host.disks[0].readonly && host.disks[1].readonly);
	REQUIRE(find_mount("/a", &mnt) && flags_of(&mnt)->flags & MS_NODEV);
	CHECK(find_mount("/c", &mnt) && find_mount("/x", &mnt));
	release();
	CHECK(!config("\"annotations\":{\"run.husk.volume.a\":\"type=ext4,source=img,target=/a\"}"));
	CHECK_CONTAINS(help_error.text, "expected type=TYPE,source=/PATH,target=/PATH");
	CHECK(!config("\"annotations\":{\"run.husk.volume.a\":\"type=ext4,source=/img,target=/\"}"));
	CHECK(!config("\"annotations\":{\"run.husk.volume.a\":\"type=ext4,source=/img,target=/a,rbind\"}"));
	CHECK_CONTAINS(help_error.text, "rbind is not an option of a volume");
}

TEST(images_that_the_guest_cannot_mount_are_refused_by_their_type)
{
	input.host_serves = HOST_SERVES_DISKS | HOST_SERVES_FSTYPE;
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/d\",\"type\":\"xfs\",\"source\":\"/img/file\""),
			   "an image with a file system of type xfs cannot be mounted");
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/d\",\"type\":\"ext4\",\"source\":\"/missing\""),
			   "mounts[0] (/d): source \"/missing\"");
	/* a device with a file system that only the host has: mounted there, then shared */
	COMPILE(MOUNT("\"destination\":\"/d\",\"type\":\"xfs\",\"source\":\"/dev/sda\""));
	CHECK_EQ(host.ndisks, 0);
	CHECK_STR(host.shares[1].fstype, "xfs");
	release();
	input.joins_vm = true;
	input.sandbox_cid = "pause";
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/d\",\"type\":\"ext4\",\"source\":\"/img/file\""),
			   "only the first container of a pod can have disks");
	input.joins_vm = false;
}

TEST(a_root_on_a_device_is_mounted_by_the_guest)
{
	const struct root_disk root = { .source = "/dev/dm-3", .fstype = "ext4", .major = 253, .minor = 3 };
	struct plan_item disk, op;

	input.host_serves = HOST_SERVES_DISKS;
	input.root_disk = &root;
	COMPILE("");
	input.root_disk = NULL;
	REQUIRE(host.ndisks == 1 && find(OP_DISK, 0, &disk) && find(OP_ROOT, 0, &op));
	CHECK(host.disks[0].readonly);
	CHECK_EQ(host.nshares, 0);
	CHECK_STR(op.str[0], PLAN_DISKS "/sd0");
	CHECK_STR(disk.str[2], "noload");
	release();
}

TEST(privileged_lists_are_skipped_with_one_warning)
{
	char text[8192];
	size_t len = (size_t)sprintf(text, "%s", "\"linux\":{\"namespaces\":[" BASE_NAMESPACES "],\"devices\":[");

	COMPILE(LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"/dev/x\",\"major\":99,\"minor\":1}],"
		      "\"resources\":{\"devices\":[{\"allow\":false},{\"allow\":true,\"type\":\"a\"}]}"));
	CHECK(warned("1 devices of the host are skipped"));
	CHECK_EQ(count(OP_CGROUP_DEVICES), 0);
	release();
	for (int i = 0; i < 30; i++)
		len += (size_t)sprintf(text + len,
				       "%s{\"type\":\"b\",\"path\":\"/dev/sd%d\","
				       "\"major\":8,\"minor\":%d}",
				       i ? "," : "", i, i);
	sprintf(text + len, "]}");
	COMPILE(text);
	CHECK(warned("30 devices of the host are skipped"));
	release();
}
