/* SPDX-License-Identifier: Apache-2.0 */
/* The plan compiler: the root and its mounts. */
// link: oci,agent
#include "tests/unit/compile_env.h"

#include <linux/mount.h>

TEST(the_root_is_a_share_and_read_only_on_both_sides)
{
	struct plan_item item;

	COMPILE("\"root\":{\"path\":\"./r/../rootfs\",\"readonly\":true}");
	CHECK_STR(host.shares[0].source, "/bundle/rootfs");
	CHECK_STR(host.shares[0].name, "s0");
	CHECK(host.shares[0].readonly);
	CHECK(host.shares[0].dax);
	CHECK_EQ(host.shares[0].mount_index, -1);
	REQUIRE(find(OP_ROOT, 0, &item));
	CHECK_STR(item.str[0], PLAN_PRIVATE "/s0");
	CHECK_EQ(((const struct plan_root *)item.body)->propagation, 0);
	CHECK_EQ(count(OP_REMOUNT_ROOT), 1);
	release();
	COMPILE("\"root\":{\"path\":\"/abs\"}");
	CHECK_STR(host.shares[0].source, "/abs");
	CHECK(!host.shares[0].readonly);
	CHECK(!host.shares[0].dax);
	CHECK_EQ(count(OP_REMOUNT_ROOT), 0);
	release();
}

TEST(a_bind_is_a_share_and_a_bind_of_it)
{
	struct plan_item item;

	COMPILE(MOUNT("\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"/srv/d\",\"options\":"
		      "[\"rbind\",\"ro\",\"nosuid\",\"rslave\"]"));
	REQUIRE(host.nshares == 2);
	CHECK_STR(host.shares[1].source, "/srv/d");
	CHECK(host.shares[1].readonly && host.shares[1].recursive && !host.shares[1].readonly_tree);
	CHECK_EQ(host.shares[1].propagation, MS_SLAVE | MS_REC);
	CHECK_EQ(host.shares[1].mount_index, 0);
	REQUIRE(find_mount("/data", &item));
	CHECK_STR(item.str[0], PLAN_SHARES "/s1");
	CHECK_EQ(flags_of(&item)->flags, MS_BIND | MS_REC | MS_RDONLY | MS_NOSUID);
	CHECK_EQ(flags_of(&item)->opts, PLAN_MOUNT_BIND);
	CHECK_EQ(flags_of(&item)->propagation, MS_SLAVE | MS_REC);
	release();
}

TEST(what_the_sources_mount_forbids_stays_forbidden)
{
	struct plan_item item;

	COMPILE(MOUNT("\"destination\":\"/x\",\"source\":\"/nosuid\",\"options\":[\"bind\",\"noexec\"]"));
	REQUIRE(find_mount("/x", &item));
	CHECK_EQ(flags_of(&item)->flags, MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	release();
	COMPILE(MOUNT("\"destination\":\"/x\",\"source\":\"/nosuid\",\"options\":[\"bind\",\"suid\"]"));
	REQUIRE(find_mount("/x", &item));
	CHECK_EQ(flags_of(&item)->flags, MS_BIND | MS_NODEV);
	release();
}

TEST(a_recursive_read_only_bind_is_so_on_both_sides)
{
	struct plan_item item;

	COMPILE(MOUNT("\"destination\":\"/data\",\"source\":\"rel/d\",\"options\":[\"rbind\",\"rro\"]"));
	CHECK_STR(host.shares[1].source, "/bundle/rel/d");
	CHECK(host.shares[1].readonly_tree);
	REQUIRE(find_mount("/data", &item));
	CHECK_EQ(flags_of(&item)->attr_set, MOUNT_ATTR_RDONLY);
	release();
}

TEST(guest_file_systems_are_mounted_by_the_guest)
{
	struct plan_item item;

	REQUIRE(compile(config_file("docker")));
	REQUIRE(find_mount("/proc", &item));
	CHECK_STR(item.str[2], "proc");
	CHECK_EQ(flags_of(&item)->flags, MS_NOSUID | MS_NOEXEC | MS_NODEV);
	REQUIRE(find_mount("/dev/pts", &item));
	CHECK_STR(item.str[3], "newinstance,ptmxmode=0666,mode=0620,gid=5");
	REQUIRE(find_mount("/sys/fs/cgroup", &item));
	CHECK_STR(item.str[2], "cgroup2");
	CHECK_EQ(flags_of(&item)->opts, PLAN_MOUNT_CGROUP);
	CHECK(flags_of(&item)->flags & MS_RDONLY);
	/* rootfs, data and three files */
	CHECK_EQ(host.nshares, 5);
	CHECK(host.shares[2].is_file);
	CHECK(!host.shares[1].is_file);
	release();
}

TEST(copy_up_is_passed_on)
{
	struct plan_item item;

	REQUIRE(compile(config_file("podman")));
	REQUIRE(find_mount("/tmp", &item));
	CHECK_EQ(flags_of(&item)->opts, PLAN_MOUNT_COPYUP);
	CHECK_EQ(flags_of(&item)->propagation, MS_PRIVATE | MS_REC);
	release();
}

TEST(the_engines_shm_becomes_one_tmpfs_of_the_vm)
{
	struct plan_item item, mount;
	char first[256];

	REQUIRE(compile(config_file("podman")));
	REQUIRE(find(OP_VM_TMPFS, 0, &item));
	CHECK_STR(item.str[1], "mode=1777,size=67108864");
	CHECK(place(OP_VM_TMPFS) < place(OP_ROOT));
	REQUIRE(find_mount("/dev/shm", &mount));
	snprintf(first, sizeof(first), "%s/%s", PLAN_TMPFS, item.str[0]);
	CHECK_STR(mount.str[0], first);
	CHECK(flags_of(&mount)->flags & MS_NODEV);
	for (size_t i = 0; i < host.nshares; i++)
		CHECK(!strstr(host.shares[i].source, "shm"));
	release();

	/* two containers of a pod name the same source: the same tmpfs */
	REQUIRE(compile(config_file("cri-sandbox")));
	REQUIRE(find(OP_VM_TMPFS, 0, &item));
	snprintf(first, sizeof(first), "%s", item.str[0]);
	release();
	input.joins_vm = true;
	input.sandbox_cid = "6e0b";
	REQUIRE(compile(config_file("cri-container")));
	REQUIRE(find(OP_VM_TMPFS, 0, &item));
	CHECK_STR(item.str[0], first);
	release();
}

TEST(a_bind_of_the_hosts_proc_or_sys_is_the_guests_own)
{
	struct plan_item item;

	COMPILE(MOUNT("\"destination\":\"/host/proc\",\"source\":\"/proc\",\"options\":[\"bind\",\"ro\"]"));
	REQUIRE(find_mount("/host/proc", &item));
	CHECK_STR(item.str[0], "/proc");
	CHECK_EQ(host.nshares, 1);
	CHECK(warned("the guest's own, not the host's"));
	release();
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/var/procbind\",\"options\":[\"bind\"]"),
			   "is a view into the host's kernel");
}

TEST(devices_of_the_guest_can_be_bound_and_others_not)
{
	struct plan_item item;

	COMPILE(MOUNT("\"destination\":\"/etc/x\",\"source\":\"/dev/null\",\"options\":[\"bind\"]"));
	REQUIRE(find_mount("/etc/x", &item));
	CHECK_STR(item.str[0], "/dev/null");
	release();
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/dev/snd/x\",\"options\":[\"bind\"]"),
			   "mounts[0] (/x): /dev/snd/x is a device (116:3) of the host's kernel");
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/dev/sda\",\"options\":[\"bind\"]"),
			   "disks are not possible here");
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/dev/dri\",\"options\":[\"bind\"]"),
			   "holds device nodes");
}

TEST(a_socket_is_listened_to_by_the_agent_with_the_mode_and_owner_it_has)
{
	struct plan_item item, mount;
	struct plan_socket ps;

	input.host_serves |= HOST_SERVES_SOCKETS;
	COMPILE(MOUNT("\"destination\":\"/var/run/docker.sock\",\"source\":\"/run/docker.sock\","
		      "\"options\":[\"rbind\",\"ro\"]"));
	REQUIRE(find(OP_SOCKET, 0, &item));
	memcpy(&ps, item.body, sizeof(ps));
	CHECK_EQ(ps.mode, 0660);
	CHECK_EQ(ps.gid, 998);
	CHECK(place(OP_SOCKET) < place(OP_ROOT));
	REQUIRE(find_mount("/var/run/docker.sock", &mount));
	CHECK(!strncmp(mount.str[0], PLAN_SOCKETS "/", sizeof(PLAN_SOCKETS)));
	CHECK_STR(mount.str[0] + sizeof(PLAN_SOCKETS), item.str[0]);
	REQUIRE(host.nsockets == 1);
	CHECK_STR(host.sockets[0].source, "/run/docker.sock");
	release();
}

TEST(what_cannot_connect_two_kernels_is_refused)
{
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/run/docker.sock\","
				 "\"options\":[\"bind\"]"),
			   "/run/docker.sock is a socket");
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/run/fifo\",\"options\":[\"bind\"]"),
			   "is a fifo");
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/huge\","
				 "\"options\":[\"bind\"]"),
			   "huge pages");
}

TEST(a_missing_source_is_named)
{
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/missing\",\"options\":[\"bind\"]"),
			   "mounts[0] (/x): source \"/missing\": no such file or directory");
	CHECK_EQ(help_error.code, ENOENT);
}

TEST(mounts_inside_proc_are_limited_as_in_runc)
{
	COMPILE(MOUNT("\"destination\":\"/proc/cpuinfo\",\"source\":\"/lxcfs/cpufile\","
		      "\"options\":[\"bind\"]"));
	release();
	COMPILE(MOUNT("\"destination\":\"/proc/scsi\",\"type\":\"tmpfs\",\"options\":[\"ro\"]"));
	release();
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/proc/sys/x\",\"source\":\"/file\",\"options\":[\"bind\"]"),
			   "cannot be mounted because it is inside /proc");
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/proc\",\"source\":\"/dir\",\"options\":[\"bind\"]"),
			   "only a proc file system can be mounted at /proc");
	CHECK_NOT_COMPILED(
		MOUNT("\"destination\":\"/proc/self/../1/attr\",\"source\":\"/file\",\"options\":[\"bind\"]"),
		"inside /proc");
}

TEST(file_systems_that_only_the_host_can_mount_need_its_help)
{
	static const char overlay[] =
		MOUNT("\"destination\":\"/o\",\"type\":\"overlay\",\"source\":\"overlay\",\"options\":"
		      "[\"lowerdir=/l\",\"upperdir=/u\",\"workdir=/w\",\"nodev\"]");

	CHECK_NOT_COMPILED(overlay, "type overlay cannot be mounted");
	input.host_serves = HOST_SERVES_FSTYPE;
	COMPILE(overlay);
	CHECK_STR(host.shares[1].fstype, "overlay");
	CHECK_STR(host.shares[1].fs_data, "lowerdir=/l,upperdir=/u,workdir=/w");
	CHECK_EQ(host.shares[1].fs_flags, MS_NODEV);
	release();
}

TEST(id_mapped_binds_carry_their_maps)
{
	static const char mapped[] =
		"\"linux\":{\"namespaces\":[" BASE_NAMESPACES
		",{\"type\":\"user\"}],\"uidMappings\":[{\"containerID\":0,"
		"\"hostID\":5,\"size\":9}],\"gidMappings\":[{\"containerID\":0,\"hostID\":6,"
		"\"size\":9}]}," MOUNT("\"destination\":\"/x\",\"source\":\"/d\",\"options\":[\"rbind\",\"ridmap\"]");

	CHECK_NOT_COMPILED(mapped, "mapping the ids");
	input.host_serves = HOST_SERVES_IDMAP;
	COMPILE(mapped);
	CHECK_EQ(host.shares[1].idmap, IDMAP_RECURSIVE);
	CHECK_EQ(host.shares[1].uids.v[0].host_id, 5);
	release();
	CHECK_NOT_COMPILED(MOUNT("\"destination\":\"/x\",\"source\":\"/d\",\"options\":[\"bind\",\"idmap\"]"),
			   "the option idmap needs mappings");
}

TEST(mount_points_of_the_root_are_listed_for_the_host)
{
	REQUIRE(compile(config_file("podman")));
	bool tmp = false, shm = false, hosts = false, cwd = false;

	for (size_t i = 0; i < host.nmountpoints; i++) {
		tmp |= strcmp(host.mountpoints[i].path, "/tmp") == 0;
		shm |= strcmp(host.mountpoints[i].path, "/dev/shm") == 0;
		cwd |= strcmp(host.mountpoints[i].path, "/srv") == 0;
		hosts |= strcmp(host.mountpoints[i].path, "/etc/hosts") == 0 && host.mountpoints[i].is_file;
	}
	CHECK(tmp && hosts && cwd);
	CHECK(!shm); /* below /dev, which the guest makes */
	release();
}
