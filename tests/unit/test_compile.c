/* SPDX-License-Identifier: Apache-2.0 */
/* The plan compiler: its plans are read with the agent's own decoder. */
// link: oci,agent
#include "tests/unit/oci_help.h"

#include <linux/bpf.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/plan_decode.h"

/* ---- a compiled config ---- */

static struct spec *spec;
static struct buf bytes;
static struct host_plan host;
static struct plan plan;

/* Pretends that the sources of binds are what their names say. */
static int facts(void *ctx, const char *path, struct source_facts *out)
{
	(void)ctx;
	*out = (struct source_facts){ .kind = SOURCE_DIR, .fs_magic = EXT4_SUPER_MAGIC };
	if (strcmp(path, "/missing") == 0)
		return -ENOENT;
	if (strstr(path, "file") || strstr(path, "/etc") || strstr(path, "resolv.conf") || strstr(path, "host"))
		out->kind = SOURCE_FILE;
	else if (strstr(path, ".sock"))
		*out = (struct source_facts){ .kind = SOURCE_SOCKET, .mode = 0660, .gid = 998 };
	else if (strstr(path, "fifo"))
		out->kind = SOURCE_FIFO;
	else if (strcmp(path, "/dev/sda") == 0)
		*out = (struct source_facts){ .kind = SOURCE_BLOCK, .fs_magic = TMPFS_MAGIC, .major = 8 };
	else if (strcmp(path, "/dev/null") == 0)
		*out = (struct source_facts){ .kind = SOURCE_CHAR, .fs_magic = TMPFS_MAGIC, .major = 1, .minor = 3 };
	else if (strcmp(path, "/dev/snd/x") == 0)
		*out = (struct source_facts){ .kind = SOURCE_CHAR, .fs_magic = TMPFS_MAGIC, .major = 116, .minor = 3 };
	else if (strstr(path, "shm"))
		*out = (struct source_facts){ .kind = SOURCE_DIR, .fs_magic = TMPFS_MAGIC, .fs_bytes = 64 << 20 };
	else if (strncmp(path, "/proc", 5) == 0 || strstr(path, "procbind"))
		out->fs_magic = PROC_SUPER_MAGIC;
	else if (strcmp(path, "/sys") == 0)
		out->fs_magic = SYSFS_MAGIC;
	else if (strcmp(path, "/nosuid") == 0)
		out->mount_flags = MS_NOSUID | MS_NODEV;
	else if (strcmp(path, "/huge") == 0)
		out->fs_magic = HUGETLBFS_MAGIC;
	return 0;
}

static struct compile_input input = {
	.cid = "c1",
	.bundle = "/bundle",
	.share_prefix = "s",
	.stat_source = facts,
};

static void release(void)
{
	buf_free(&bytes);
	host_plan_free(&host);
	spec_free(spec);
	spec = NULL;
}

/* Compiles a config and opens its plan. False with help_error filled when it is refused. */
static bool compile(struct spec *s)
{
	struct fault f = { 0 };

	spec = s;
	if (!s)
		return false;
	if (compile_container(s, &input, &bytes, &host, &help_error) < 0) {
		CHECK(bytes.data == NULL && host.arena == NULL);
		release();
		return false;
	}
	if (plan_open(&plan, bytes.data, bytes.len, PLAN_CONTAINER, &f) < 0) {
		UNIT_FAIL("the agent refuses the plan: %s", f.text);
		release();
		return false;
	}
	return true;
}

#define COMPILE(members)                                                   \
	do {                                                               \
		if (!compile(config(members))) {                           \
			UNIT_FAIL("%.200s: %s", members, help_error.text); \
			return;                                            \
		}                                                          \
	} while (0)

/* The config parses, but cannot be compiled. */
#define CHECK_NOT_COMPILED(members, words)                                       \
	do {                                                                     \
		struct spec *parsed = config(members);                           \
		if (!parsed) {                                                   \
			UNIT_FAIL("refused by the parser: %s", help_error.text); \
		} else if (compile(parsed)) {                                    \
			UNIT_FAIL("compiled: %.200s", members);                  \
			release();                                               \
		} else {                                                         \
			CHECK_CONTAINS(help_error.text, words);                  \
		}                                                                \
	} while (0)

/* The nth operation of a kind; false when there are not so many. */
static bool find(uint16_t op, unsigned n, struct plan_item *item)
{
	struct plan_iter it;

	plan_iter_init(&it, &plan);
	while (plan_next(&it, item))
		if (item->op == op && n-- == 0)
			return true;
	return false;
}

static unsigned count(uint16_t op)
{
	struct plan_item item;
	unsigned n = 0;

	while (find(op, n, &item))
		n++;
	return n;
}

/* Place of the first operation of a kind, -1: none. */
static int place(uint16_t op)
{
	struct plan_iter it;
	struct plan_item item;

	plan_iter_init(&it, &plan);
	for (int i = 0; plan_next(&it, &item); i++)
		if (item.op == op)
			return i;
	return -1;
}

static bool find_mount(const char *target, struct plan_item *item)
{
	for (unsigned i = 0; find(OP_MOUNT, i, item); i++)
		if (strcmp(item->str[1], target) == 0)
			return true;
	UNIT_FAIL("nothing is mounted at %s", target);
	return false;
}

static const struct plan_mount *flags_of(const struct plan_item *item)
{
	return item->body;
}

static bool warned(const char *words)
{
	for (uint32_t i = 0; i < host.warnings; i++)
		if (strstr(host.warn[i], words))
			return true;
	return false;
}

static bool has_ns(uint32_t flag, const char *cid)
{
	struct plan_item item;

	for (unsigned i = 0; find(OP_NAMESPACE, i, &item); i++)
		if (((const struct plan_ns *)item.body)->clone_flag == flag && strcmp(item.str[0], cid) == 0)
			return true;
	return false;
}

static bool has_write(const char *file, const char *value)
{
	struct plan_item item;

	for (unsigned i = 0; find(OP_CGROUP_WRITE, i, &item); i++)
		if (strcmp(item.str[0], file) == 0 && strcmp(item.str[1], value) == 0)
			return true;
	return false;
}

/* ---- the whole ---- */

TEST(operations_come_in_the_order_of_runc)
{
	static const uint16_t order[] = {
		OP_CONTAINER, OP_CGROUP_WRITE, OP_CGROUP_DEVICES, OP_NAMESPACE, OP_ROOT,   OP_MOUNT,	OP_MKNOD,
		OP_SYMLINK,   OP_PIVOT,	       OP_REMOUNT_ROOT,	  OP_HOSTNAME,	OP_SYSCTL, OP_READONLY, OP_MASK,
		OP_TTY,	      OP_RLIMIT,       OP_SECCOMP,	  OP_CWD,	OP_USER,   OP_CAPS,	OP_HOOK,
	};

	static const char process[] =
		PROCESS("\"terminal\":true,\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":2}]");
	static const char lin[] = LINUX("\"resources\":{\"pids\":{\"limit\":5}},\"sysctl\":{\"net.x\":\"1\"},"
					"\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/sys\"],"
					"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
	char everything[2048];

	snprintf(everything, sizeof(everything),
		 "\"root\":{\"path\":\"r\",\"readonly\":true},\"hostname\":\"h\",%s,%s,"
		 "\"hooks\":{\"startContainer\":[{\"path\":\"/h\"}]}",
		 process, lin);
	COMPILE(everything);
	for (size_t i = 1; i < sizeof(order) / sizeof(order[0]); i++)
		if (place(order[i]) <= place(order[i - 1]))
			UNIT_FAIL("%s is at %d, %s at %d", plan_op_name(order[i - 1]), place(order[i - 1]),
				  plan_op_name(order[i]), place(order[i]));
	release();
}

TEST(the_configs_of_the_engines_compile)
{
	static const char *const names[] = { "docker", "podman", "cri-sandbox" };

	for (size_t i = 0; i < 3; i++) {
		if (!compile(config_file(names[i]))) {
			UNIT_FAIL("%s: %s", names[i], help_error.text);
			continue;
		}
		CHECK_EQ(count(OP_ROOT), 1);
		CHECK_EQ(count(OP_SECCOMP), 1);
		CHECK_EQ(count(OP_CGROUP_DEVICES), 1);
		CHECK(host.shares[0].is_root);
		release();
	}
}

TEST(a_container_without_process_has_no_process_operations)
{
	struct plan_iter it;
	struct plan_item item;

	COMPILE("\"process\":null,\"hooks\":{\"startContainer\":[{\"path\":\"/h\"}]}");
	plan_iter_init(&it, &plan);
	while (plan_next(&it, &item))
		CHECK(item.op < OP_TTY);
	release();
}

TEST(a_plan_that_the_agent_could_not_take_is_refused)
{
	char *text = malloc(9 << 20);
	size_t len = (size_t)sprintf(text, "%s", "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"");

	for (int i = 0; i < 80; i++) {
		len += (size_t)sprintf(text + len, ",\"%0110000d\"", 0);
	}
	sprintf(text + len, "]}");
	CHECK_NOT_COMPILED(text, "the container's description is too big");
	free(text);
}

/* ---- root and mounts ---- */

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

/* ---- /dev ---- */

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

/* ---- namespaces and network ---- */

TEST(namespaces_are_made_in_the_guest_but_the_network_is_the_vms)
{
	COMPILE("");
	CHECK(has_ns(CLONE_NEWPID, ""));
	CHECK(has_ns(CLONE_NEWIPC, ""));
	CHECK(has_ns(CLONE_NEWUTS, ""));
	CHECK(has_ns(CLONE_NEWNS, ""));
	CHECK(!has_ns(CLONE_NEWNET, ""));
	CHECK_EQ(host.net, HOST_NET_NEW);
	CHECK_EQ(host.warnings, 0);
	release();
}

TEST(the_hosts_network_is_refused_and_none_is_possible)
{
	CHECK_NOT_COMPILED("\"linux\":{\"namespaces\":[{\"type\":\"pid\"}]}",
			   "(--network host): not possible because the "
			   "container has its own kernel");
	COMPILE("\"linux\":{\"namespaces\":[{\"type\":\"pid\"}]},"
		"\"annotations\":{\"run.husk.network\":\"none\"}");
	CHECK_EQ(host.net, HOST_NET_NONE);
	release();
}

TEST(host_pid_and_ipc_are_the_vms_with_a_warning)
{
	COMPILE("\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"uts\"}]}");
	CHECK(!has_ns(CLONE_NEWPID, ""));
	CHECK(!has_ns(CLONE_NEWIPC, ""));
	CHECK(has_ns(CLONE_NEWNS, ""));
	CHECK(warned("no pid namespace is listed"));
	CHECK(warned("no ipc namespace is listed"));
	release();
}

TEST(a_network_path_is_the_hosts_business)
{
	REQUIRE(compile(config_file("podman")));
	CHECK_EQ(host.net, HOST_NET_PATH);
	CHECK_STR(host.net_path, "/run/netns/netns-1f0c");
	release();
}

TEST(containers_of_a_pod_join_the_namespaces_of_its_vm)
{
	input.joins_vm = true;
	input.sandbox_cid = "6e0b";
	REQUIRE(compile(config_file("cri-container")));
	CHECK(has_ns(CLONE_NEWIPC, "6e0b"));
	CHECK(has_ns(CLONE_NEWUTS, "6e0b"));
	CHECK(has_ns(CLONE_NEWPID, ""));
	CHECK(has_ns(CLONE_NEWCGROUP, ""));
	release();
}

TEST(namespaces_of_strangers_are_refused)
{
	CHECK_NOT_COMPILED("\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"ipc\","
			   "\"path\":\"/proc/9/ns/ipc\"}]}",
			   "the ipc namespace /proc/9/ns/ipc belongs to no container of the same VM");
	CHECK_NOT_COMPILED("\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"mount\","
			   "\"path\":\"/proc/9/ns/mnt\"}]}",
			   "joining the mount namespace");
}

TEST(pinned_namespaces_of_a_pod_are_made_by_its_first_container)
{
	COMPILE("\"annotations\":{\"io.kubernetes.cri-o.SandboxID\":\"p\"},"
		"\"linux\":{\"namespaces\":[{\"type\":\"network\","
		"\"path\":\"/run/netns/x\"},{\"type\":\"ipc\",\"path\":\"/run/ipcns/x\"}]}");
	CHECK(has_ns(CLONE_NEWIPC, ""));
	release();
}

static int owner(void *ctx, enum spec_ns_type type, const char *path, const char **cid)
{
	(void)ctx;
	*cid = type == NS_PID ? "target" : "";
	return strcmp(path, "/foreign") == 0 ? -1 : 0;
}

TEST(the_runtime_says_whose_a_namespace_is)
{
	input.namespace_owner = owner;
	COMPILE("\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"pid\","
		"\"path\":\"/proc/7/ns/pid\"},{\"type\":"
		"\"uts\",\"path\":\"/pinned\"}]}");
	CHECK(has_ns(CLONE_NEWPID, "target"));
	CHECK(has_ns(CLONE_NEWUTS, ""));
	release();
	CHECK_NOT_COMPILED(
		"\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"uts\",\"path\":\"/foreign\"}]}",
		"belongs to no container");
}

TEST(user_and_time_namespaces_bring_their_maps_and_offsets)
{
	struct plan_item item;
	const struct plan_idmap *m;

	COMPILE("\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"user\"},"
		"{\"type\":\"time\"}],\"uidMappings\":"
		"[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"
		"\"gidMappings\":[{\"containerID\":0,\"hostID\":200000,"
		"\"size\":65536}],\"timeOffsets\":{\"monotonic\":{\"secs\":10,\"nanosecs\":5}}}");
	CHECK(has_ns(CLONE_NEWUSER, ""));
	REQUIRE(find(OP_IDMAP, 1, &item));
	m = item.body;
	CHECK_EQ(m->gid, 1);
	CHECK_EQ(m->host_id, 200000);
	CHECK_EQ(count(OP_TIMEOFFSET), 1);
	REQUIRE(find(OP_TIMEOFFSET, 0, &item));
	CHECK_EQ(((const struct plan_timeoffset *)item.body)->sec, 10);
	release();
}

TEST(host_side_settings_need_a_host_that_serves_them)
{
	CHECK_NOT_COMPILED(LINUX("\"intelRdt\":{\"closID\":\"a\"}"), "linux.intelRdt: is not possible");
	CHECK_NOT_COMPILED(LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\"}"), "linux.memoryPolicy: is not possible");
	CHECK_NOT_COMPILED(LINUX("\"netDevices\":{\"eth1\":{}}"), "linux.netDevices: moving");
	input.host_serves = HOST_SERVES_RDT | HOST_SERVES_MEMPOLICY | HOST_SERVES_NETDEVS;
	COMPILE(LINUX("\"intelRdt\":{\"closID\":\"a\"},\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\"},"
		      "\"netDevices\":{\"eth1\":{}}"));
	release();
}

/* ---- limits ---- */

TEST(limits_go_to_the_guests_cgroup)
{
	REQUIRE(compile(config_file("podman")));
	CHECK(has_write("memory.max", "134217728"));
	CHECK(has_write("pids.max", "2048"));
	CHECK_EQ(host.memory_limit, 134217728);
	CHECK(!host.resources.pids.set);
	CHECK(host.resources.memory.swap.set);
	CHECK_EQ(host.resources.ndevices, 0);
	release();
}

TEST(vcpus_follow_quota_and_cpuset)
{
	COMPILE(RESOURCES("\"cpu\":{\"quota\":150000,\"period\":100000}"));
	CHECK_EQ(host.vcpus, 2);
	release();
	COMPILE(RESOURCES("\"cpu\":{\"quota\":800000,\"cpus\":\"0,2-3\"}"));
	CHECK_EQ(host.vcpus, 3);
	release();
	COMPILE(RESOURCES("\"cpu\":{\"cpus\":\"1\"}"));
	CHECK_EQ(host.vcpus, 1);
	release();
	COMPILE(RESOURCES("\"cpu\":{\"quota\":9223372036854775807,\"period\":1}"));
	CHECK_EQ(host.vcpus, 254);
	release();
	COMPILE("");
	CHECK_EQ(host.vcpus, 0);
	release();
	input.joins_vm = false;
	REQUIRE(compile(config_file("cri-sandbox")));
	CHECK_EQ(host.vcpus, 2);
	CHECK_EQ(host.memory_limit, 536870912);
	release();
}

TEST(limits_that_the_guest_cannot_have_are_refused)
{
	CHECK_NOT_COMPILED(RESOURCES("\"unified\":{\"nosuch.max\":\"1\"}"), "there is no such controller");
	CHECK_NOT_COMPILED(RESOURCES("\"rdma\":{\"a\":{\"hcaHandles\":1}}"), "RDMA");
}

TEST(hostname_is_not_a_sysctl)
{
	CHECK_NOT_COMPILED(LINUX("\"sysctl\":{\"kernel.hostname\":\"x\"}"), "use hostname");
	CHECK_NOT_COMPILED(LINUX("\"sysctl\":{\"kernel/domainname\":\"x\"}") ","
									     "\"domainname\":\"y\"",
			   "contradicts");
	COMPILE(LINUX("\"sysctl\":{\"kernel.domainname\":\"y\"}") ",\"domainname\":\"y\"");
	release();
}

/* ---- the process ---- */

TEST(the_process_is_described_in_full)
{
	struct plan_item item;
	const struct plan_user *u;
	const struct plan_caps *caps;

	REQUIRE(compile(config_file("podman")));
	REQUIRE(find(OP_USER, 0, &item));
	u = item.body;
	CHECK_EQ(u->uid, 1000);
	CHECK_EQ(u->umask, 022);
	CHECK_EQ(u->ngids, 1);
	CHECK_EQ(*(const uint32_t *)item.tail, 1000);
	REQUIRE(find(OP_ARGS, 0, &item));
	CHECK_EQ(item.list[0].count, 2);
	CHECK_STR(item.list[0].first, "sleep");
	CHECK_STR(plan_list_next(item.list[0].first), "100");
	REQUIRE(find(OP_ENV, 0, &item));
	CHECK_EQ(item.list[0].count, 5);
	REQUIRE(find(OP_CWD, 0, &item));
	CHECK_STR(item.str[0], "/srv");
	REQUIRE(find(OP_CAPS, 0, &item));
	caps = item.body;
	CHECK_EQ(caps->bounding, caps->inheritable);
	CHECK_EQ(caps->ambient, 0);
	CHECK_EQ(count(OP_RLIMIT), 2);
	REQUIRE(find(OP_RLIMIT, 1, &item));
	CHECK_EQ(((const struct plan_rlimit *)item.body)->resource, RLIMIT_NPROC);
	REQUIRE(find(OP_OOM_SCORE, 0, &item));
	CHECK_EQ(((const struct plan_int *)item.body)->value, 0);
	release();
}

TEST(seccomp_comes_last_with_no_new_privs_and_before_the_user_without)
{
	static const char profile[] = LINUX("\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
	char text[2048];

	snprintf(text, sizeof(text), "%s,%s", profile, PROCESS("\"noNewPrivileges\":true"));
	COMPILE(text);
	CHECK(place(OP_NO_NEW_PRIVS) >= 0 && place(OP_NO_NEW_PRIVS) < place(OP_USER));
	CHECK(place(OP_SECCOMP) > place(OP_CAPS));
	release();
	COMPILE(profile);
	CHECK(place(OP_SECCOMP) < place(OP_USER));
	release();
}

TEST(rare_settings_of_the_process_are_passed_on)
{
	struct plan_item item;

	COMPILE(PROCESS("\"scheduler\":{\"policy\":\"SCHED_IDLE\",\"nice\":3},"
			"\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\"},"
			"\"terminal\":true,\"consoleSize\":{\"height\":5,"
			"\"width\":6}") "," LINUX("\"personality\":{\"domain\":\"LINUX32\"}"));
	REQUIRE(find(OP_SCHED, 0, &item));
	CHECK_EQ(((const struct plan_sched *)item.body)->policy, SCHED_IDLE);
	CHECK_EQ(((const struct plan_sched *)item.body)->nice, 3);
	REQUIRE(find(OP_IOPRIO, 0, &item));
	CHECK_EQ(((const struct plan_int *)item.body)->value, 3 << 13);
	REQUIRE(find(OP_PERSONALITY, 0, &item));
	CHECK_EQ(((const struct plan_int *)item.body)->value, 8);
	REQUIRE(find(OP_TTY, 0, &item));
	CHECK_EQ(((const struct plan_tty *)item.body)->cols, 6);
	release();
}

TEST(start_hooks_carry_the_state)
{
	struct plan_item item;

	input.state_json = "{\"id\":\"c1\"}";
	COMPILE("\"hooks\":{\"startContainer\":[{\"path\":\"/h\",\"args\":[\"h\"],"
		"\"env\":[\"A=1\",\"B=2\"],\"timeout\":7}]}");
	REQUIRE(find(OP_HOOK, 0, &item));
	CHECK_STR(item.str[0], "/h");
	CHECK_EQ(item.list[1].count, 2);
	CHECK_STR(item.str[1], "{\"id\":\"c1\"}");
	CHECK_EQ(((const struct plan_int *)item.body)->value, 7);
	release();
}

/* ---- exec and update ---- */

static bool open_other(struct buf *b, enum plan_kind kind)
{
	struct fault f = { 0 };

	bytes = *b;
	if (plan_open(&plan, bytes.data, bytes.len, kind, &f) == 0)
		return true;
	UNIT_FAIL("the agent refuses the plan: %s", f.text);
	return false;
}

TEST(an_exec_takes_from_the_container_what_it_does_not_say)
{
	static const char text[] = "{\"args\":[\"id\"],\"cwd\":\"/a/../b\",\"user\":{\"uid\":5}}";
	struct spec_process *p = NULL;
	struct spec *c = config_file("podman");
	struct plan_item item;
	struct buf b;

	REQUIRE(c);
	REQUIRE(process_parse(text, strlen(text), &p, &help_error) == 0);
	REQUIRE(compile_process(p, c, "c1", &b, &help_error) == 0);
	REQUIRE(open_other(&b, PLAN_PROCESS));
	CHECK_STR(plan.cid, "c1");
	CHECK_EQ(count(OP_SECCOMP), 1);
	CHECK_EQ(count(OP_RLIMIT), 2);
	REQUIRE(find(OP_CAPS, 0, &item));
	CHECK(((const struct plan_caps *)item.body)->bounding != 0);
	REQUIRE(find(OP_USER, 0, &item));
	CHECK_EQ(((const struct plan_user *)item.body)->uid, 5);
	CHECK_EQ(((const struct plan_user *)item.body)->umask, 022);
	CHECK_EQ(((const struct plan_user *)item.body)->ngids, 0);
	REQUIRE(find(OP_CWD, 0, &item));
	CHECK_STR(item.str[0], "/b");
	CHECK_EQ(count(OP_MOUNT), 0);
	CHECK_EQ(count(OP_NAMESPACE), 0);
	process_free(p);
	spec_free(c);
	buf_free(&b);
}

TEST(an_exec_without_a_container_has_no_capability_and_no_filter)
{
	static const char text[] = "{\"args\":[\"id\"],\"cwd\":\"/\"}";
	struct spec_process *p = NULL;
	struct plan_item item;
	struct buf b;

	REQUIRE(process_parse(text, strlen(text), &p, &help_error) == 0);
	REQUIRE(compile_process(p, NULL, "c1", &b, &help_error) == 0);
	REQUIRE(open_other(&b, PLAN_PROCESS));
	CHECK_EQ(count(OP_SECCOMP), 0);
	REQUIRE(find(OP_CAPS, 0, &item));
	CHECK_EQ(((const struct plan_caps *)item.body)->bounding, 0);
	process_free(p);
	buf_free(&b);
}

TEST(an_update_writes_what_is_given_and_nothing_else)
{
	static const char text[] = "{\"memory\":{\"limit\":67108864,\"swap\":134217728},"
				   "\"cpu\":{\"shares\":512},"
				   "\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}";
	struct spec_resources *r = NULL, on_host;
	struct buf b;

	REQUIRE(resources_parse(text, strlen(text), &r, &help_error) == 0);
	REQUIRE(compile_update(r, "c1", &b, &help_error) == 0);
	REQUIRE(open_other(&b, PLAN_UPDATE));
	CHECK(has_write("memory.max", "67108864"));
	CHECK_EQ(count(OP_CGROUP_WRITE), 2);
	CHECK_EQ(count(OP_CGROUP_DEVICES), 0);
	resources_for_host(r, &on_host);
	CHECK_EQ(on_host.memory.swap.v, 134217728);
	CHECK(!on_host.devices_set);
	resources_free(r);
	buf_free(&b);
}

TEST(a_contradicting_update_is_refused_and_leaves_nothing)
{
	static const char text[] = "{\"cpu\":{\"quota\":5,\"burst\":6}}";
	struct spec_resources *r = NULL;
	struct buf b;

	REQUIRE(resources_parse(text, strlen(text), &r, &help_error) == 0);
	CHECK_EQ(compile_update(r, "c1", &b, &help_error), -1);
	CHECK(b.data == NULL);
	resources_free(r);
}
