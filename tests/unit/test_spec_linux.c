/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: mounts, and the linux object with resources and seccomp. */
// link: oci
#include "tests/unit/oci_help.h"

#include <linux/mount.h>
#include <seccomp.h>
#include <sys/mount.h>

/* ---- mounts ---- */

static struct spec_mount mount_of(const char *members, struct spec **keep)
{
	static const struct spec_mount none;
	struct spec *s = config(members);

	*keep = s;
	if (!s || s->nmounts != 1) {
		UNIT_FAIL("%s: %s", members, help_error.text);
		return none;
	}
	return s->mounts[0];
}

#define TMPFS(options)                                                          \
	MOUNT("\"destination\":\"/t\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"," \
	      "\"options\":[" options "]")
#define BIND(options) MOUNT("\"destination\":\"/t\",\"source\":\"/s\",\"options\":[" options "]")

TEST(mount_options_become_flags_and_data)
{
	struct spec *s;
	struct spec_mount m = mount_of(
		TMPFS("\"nosuid\",\"noexec\",\"nodev\",\"ro\",\"mode=1777\",\"size=64k\",\"strictatime\""), &s);

	CHECK_EQ(m.flags, MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY | MS_STRICTATIME);
	CHECK_STR(m.data, "mode=1777,size=64k");
	CHECK(!m.bind);
	spec_free(s);
}

TEST(a_later_mount_option_undoes_an_earlier_one)
{
	struct spec *s;
	struct spec_mount m = mount_of(TMPFS("\"ro\",\"nosuid\",\"rw\",\"suid\",\"noatime\",\"atime\""), &s);

	CHECK_EQ(m.flags, 0);
	CHECK_EQ(m.flags_clear, MS_RDONLY | MS_NOSUID | MS_NOATIME);
	spec_free(s);
	m = mount_of(BIND("\"bind\",\"rro\",\"rrw\""), &s);
	CHECK_EQ(m.rec_attr_set, 0);
	CHECK_EQ(m.rec_attr_clear, MOUNT_ATTR_RDONLY);
	spec_free(s);
}

TEST(every_option_of_the_specification_is_recognised)
{
	static const char *const options[] = {
		"async",	 "atime",	"bind",		"defaults",    "dev",	       "diratime",
		"dirsync",	 "exec",	"iversion",	"lazytime",    "loud",	       "noatime",
		"nodev",	 "nodiratime",	"noexec",	"noiversion",  "nolazytime",   "norelatime",
		"nostrictatime", "nosuid",	"private",	"rbind",       "relatime",     "ro",
		"rprivate",	 "rshared",	"rslave",	"runbindable", "rw",	       "shared",
		"silent",	 "slave",	"strictatime",	"suid",	       "sync",	       "unbindable",
		"mand",		 "nomand",	"rro",		"rrw",	       "rnosuid",      "rsuid",
		"rnodev",	 "rdev",	"rnoexec",	"rexec",       "rnodiratime",  "rdiratime",
		"rrelatime",	 "rnorelatime", "rnoatime",	"ratime",      "rstrictatime", "rnostrictatime",
		"nosymfollow",	 "symfollow",	"rnosymfollow", "rsymfollow",
	};
	char text[256];

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct spec *s;
		struct spec_mount m;

		snprintf(text, sizeof(text), BIND("\"bind\",\"%s\""), options[i]);
		m = mount_of(text, &s);
		CHECK_STR(m.data, "");
		CHECK(m.bind);
		spec_free(s);
	}
}

TEST(recursive_access_time_options_choose_one)
{
	struct spec *s;
	struct spec_mount m = mount_of(BIND("\"rbind\",\"rnoatime\",\"rstrictatime\",\"rnosuid\""), &s);

	CHECK_EQ(m.rec_attr_set, MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NOSUID);
	CHECK_EQ(m.rec_attr_clear, MOUNT_ATTR__ATIME);
	CHECK(m.recursive);
	spec_free(s);
}

TEST(propagation_is_separate)
{
	struct spec *s;
	struct spec_mount m = mount_of(BIND("\"rbind\",\"rslave\""), &s);

	CHECK_EQ(m.propagation, MS_SLAVE | MS_REC);
	CHECK_EQ(m.flags, 0);
	spec_free(s);
}

TEST(an_option_that_a_bind_cannot_have_is_refused)
{
	CHECK_REFUSED(BIND("\"bind\","
			   "\"size=5\""),
		      "mounts[0].options[1]: \"size=5\" is not an option of a bind mount");
	CHECK_REFUSED(BIND("\"bind\",\"tmpcopyup\""), "tmpcopyup is an option of tmpfs only");
	CHECK_REFUSED(TMPFS("\"idmap\""), "only a bind mount");
	CHECK_REFUSED(TMPFS("\"idmap=uids=0-1-2\""), "give the mappings as uidMappings");
}

TEST(mounts_need_a_destination_and_something_to_mount)
{
	CHECK_REFUSED(MOUNT("\"type\":\"proc\""), "mounts[0]: destination is missing");
	CHECK_REFUSED(MOUNT("\"destination\":\"/x\""), "neither a type nor the option bind");
	CHECK_REFUSED(MOUNT("\"destination\":\"/x\",\"type\":\"bind\""), "needs the path of its source");
	CHECK_REFUSED(MOUNT("\"destination\":\"/\","
			    "\"type\":\"tmpfs\""),
		      "not a path below the container's root");
	CHECK_REFUSED(MOUNT("\"destination\":\"/a/../..\",\"type\":\"tmpfs\""), "not a path below");
	CHECK_REFUSED(MOUNT("\"destination\":\"\",\"type\":\"tmpfs\""), "not a path below");
	CHECK_REFUSED("\"mounts\":[\"x\"]", "mounts[0]: expected an object, found a string");
	CHECK_REFUSED("\"mounts\":{}", "mounts: expected an array, found an object");
	CHECK_REFUSED(MOUNT("\"destination\":\"/x\",\"type\":\"tmpfs\","
			    "\"options\":[1]"),
		      "mounts[0].options[0]");
}

TEST(destinations_are_made_clean_and_absolute)
{
	struct spec *s;
	struct spec_mount m = mount_of(MOUNT("\"destination\":\"a/./b//../c/\",\"type\":\"tmpfs\""), &s);

	CHECK_STR(m.destination, "/a/c");
	CHECK_STR(m.source, "tmpfs");
	spec_free(s);
}

TEST(id_mappings_of_a_mount_come_together)
{
	CHECK_ACCEPTED(MOUNT("\"destination\":\"/x\",\"source\":\"/s\",\"options\":[\"bind\"],"
			     "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":10}],"
			     "\"gidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":10}]"));
	CHECK_REFUSED(MOUNT("\"destination\":\"/x\",\"source\":\"/s\",\"options\":[\"bind\"],"
			    "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":10}]"),
		      "must be given together");
}

/* ---- linux ---- */

TEST(namespaces_are_known_unique_and_absolute)
{
	CHECK_REFUSED("\"linux\":{\"namespaces\":[{\"type\":\"net\"}]}",
		      "linux.namespaces[0]: \"net\" is not a type of namespace");
	CHECK_REFUSED("\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}", "is there twice");
	CHECK_REFUSED("\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"proc/1/ns/pid\"}]}",
		      "is not an absolute path");
	CHECK_REFUSED("\"linux\":{\"namespaces\":[{}]}", "type is missing");
}

#define USER_NS(members) "\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"user\"}]," members "}"
#define MAP(c, h, s) "{\"containerID\":" c ",\"hostID\":" h ",\"size\":" s "}"

TEST(user_namespaces_and_mappings_go_together)
{
	CHECK_ACCEPTED(USER_NS(
		"\"uidMappings\":[" MAP("0", "100000", "65536") "],"
								"\"gidMappings\":[" MAP("0", "100000", "65536") "]"));
	CHECK_REFUSED(USER_NS("\"uidMappings\":[" MAP("0", "100000", "65536") "]"),
		      "needs uidMappings and gidMappings");
	CHECK_REFUSED(LINUX("\"uidMappings\":[" MAP("0", "1", "1") "]"), "need a user namespace");
	CHECK_REFUSED(USER_NS("\"uidMappings\":[" MAP("0", "1", "0") "]"), "uidMappings[0]: the range is empty");
	CHECK_REFUSED(USER_NS("\"uidMappings\":[" MAP("1", "0", "4294967295") "]"), "beyond the ids that exist");
}

TEST(time_offsets_need_a_time_namespace)
{
	struct spec *s = config("\"linux\":{\"namespaces\":[{\"type\":\"time\"}],\"timeOffsets\":{\"boottime\":"
				"{\"secs\":-5,\"nanosecs\":7}}}");

	REQUIRE(s);
	CHECK_EQ(s->lin.boottime.sec, -5);
	CHECK_EQ(s->lin.boottime.nsec, 7);
	CHECK(!s->lin.monotonic.set);
	spec_free(s);
	CHECK_REFUSED(LINUX("\"timeOffsets\":{\"monotonic\":{\"secs\":1}}"), "needs a new time namespace");
	CHECK_REFUSED(LINUX("\"timeOffsets\":{\"realtime\":{\"secs\":1}}"), "not a clock with an offset");
	CHECK_REFUSED("\"linux\":{\"namespaces\":[{\"type\":\"time\"}],\"timeOffsets\":{\"boottime\":"
		      "{\"nanosecs\":1000000000}}}",
		      "nanosecs");
}

TEST(devices_are_checked)
{
	struct spec *s = config(LINUX("\"devices\":[{\"type\":\"u\",\"path\":\"/dev//x\","
				      "\"major\":1,\"minor\":3,"
				      "\"fileMode\":8630,\"uid\":5},{\"type\":\"p\",\"path\":\"/dev/f\"}]"));

	REQUIRE(s);
	CHECK_EQ(s->lin.devices[0].type, 'c');
	CHECK_STR(s->lin.devices[0].path, "/dev/x");
	CHECK_EQ(s->lin.devices[0].mode, 0666); /* without the type bits */
	CHECK_EQ(s->lin.devices[0].uid, 5);
	CHECK_EQ(s->lin.devices[1].mode, 0666);
	spec_free(s);
	CHECK_REFUSED(LINUX("\"devices\":[{\"type\":\"x\",\"path\":\"/d\"}]"), "type \"x\" is not one of");
	CHECK_REFUSED(LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"/d\",\"major\":1}]"),
		      "major and minor are needed");
	CHECK_REFUSED(LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"d\",\"major\":1,"
			    "\"minor\":1}]"),
		      "absolute");
	CHECK_REFUSED(LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"/d\",\"major\":4096,"
			    "\"minor\":1}]"),
		      "major");
}

TEST(network_devices_are_interface_names)
{
	struct spec *s = config(LINUX("\"netDevices\":{\"eth5\":{},\"wg0\":{\"name\":\"vpn\"}}"));

	REQUIRE(s);
	CHECK_STR(s->lin.netdevs[0].container_name, "eth5");
	CHECK_STR(s->lin.netdevs[1].container_name, "vpn");
	spec_free(s);
	CHECK_REFUSED(LINUX("\"netDevices\":{\"a/b\":{}}"), "not an interface name");
	CHECK_REFUSED(LINUX("\"netDevices\":{\"eth0\":{\"name\":\"0123456789abcdef\"}}"), "not an interface name");
}

TEST(sysctl_names_stay_below_proc_sys)
{
	CHECK_ACCEPTED(LINUX("\"sysctl\":{\"net.ipv4.ip_forward\":\"1\","
			     "\"net/ipv4/conf/eth0.100/rp_filter\":\"0\"}"));
	CHECK_REFUSED(LINUX("\"sysctl\":{\"net/../../self/oom_score_adj\":\"1\"}"), "is not the name of a sysctl");
	CHECK_REFUSED(LINUX("\"sysctl\":{\"..\":\"1\"}"), "is not the name of a sysctl");
	CHECK_REFUSED(LINUX("\"sysctl\":{\"\":\"1\"}"), "is not the name of a sysctl");
	CHECK_REFUSED(LINUX("\"sysctl\":{\"/etc/passwd\":\"1\"}"), "is not the name of a sysctl");
	CHECK_REFUSED(LINUX("\"sysctl\":{\"net.x\":1}"), "expected a string, found a number");
}

TEST(covered_paths_are_absolute)
{
	CHECK_ACCEPTED(LINUX("\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/sys\"]"));
	CHECK_REFUSED(LINUX("\"maskedPaths\":[\"proc\"]"), "linux.maskedPaths[0]: \"proc\" is not an absolute path");
	CHECK_REFUSED(LINUX("\"readonlyPaths\":[\"\"]"), "linux.readonlyPaths[0]");
}

TEST(personality_and_propagation_are_known_values)
{
	struct spec *s = config(LINUX("\"personality\":{\"domain\":\"LINUX32\"},"
				      "\"rootfsPropagation\":\"rslave\""));

	REQUIRE(s);
	CHECK_EQ(s->lin.personality.v, 8);
	CHECK_EQ(s->lin.rootfs_propagation, MS_SLAVE | MS_REC);
	spec_free(s);
	CHECK_REFUSED(LINUX("\"personality\":{\"domain\":\"BSD\"}"), "neither LINUX nor LINUX32");
	CHECK_REFUSED(LINUX("\"personality\":{\"domain\":\"LINUX\","
			    "\"flags\":[\"x\"]}"),
		      "no personality flags");
	CHECK_REFUSED(LINUX("\"rootfsPropagation\":\"ro\""), "not shared, slave, private or unbindable");
}

TEST(resctrl_and_numa_settings_are_checked)
{
	struct spec *s = config(LINUX("\"intelRdt\":{\"closID\":\"g\","
				      "\"memBwSchema\":\"MB:0=20\",\"l3CacheSchema\":"
				      "\"L3:0=f\",\"schemata\":[\"L2:0=1\"],\"enableMonitoring\":true},"
				      "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0-1\",\"flags\":"
				      "[\"MPOL_F_STATIC_NODES\"]}"));

	REQUIRE(s);
	CHECK_EQ(s->lin.rdt.schemata.n, 3);
	CHECK_STR(s->lin.rdt.schemata.v[0], "L3:0=f");
	CHECK_STR(s->lin.rdt.schemata.v[2], "L2:0=1");
	CHECK(s->lin.rdt.monitoring);
	CHECK_EQ(s->lin.mempolicy.mode, 2);
	spec_free(s);
	CHECK_REFUSED(LINUX("\"intelRdt\":{\"closID\":\"../x\"}"), "not a directory name");
	CHECK_REFUSED(LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_X\"}"), "not a memory policy");
	CHECK_REFUSED(LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BIND\"}"), "needs nodes");
	CHECK_REFUSED(LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\",\"nodes\":\"0\"}"), "takes neither");
}

/* ---- resources ---- */

TEST(zero_resources_mean_unset)
{
	struct spec *s = config(RESOURCES("\"memory\":{\"limit\":0,\"disableOOMKiller\":false},"
					  "\"cpu\":{\"shares\":0,"
					  "\"quota\":0,\"cpus\":\"\"},\"blockIO\":{\"weight\":0}"));

	REQUIRE(s);
	CHECK(!s->lin.resources.memory.limit.set);
	CHECK(!s->lin.resources.cpu.shares.set);
	CHECK(!s->lin.resources.cpu.quota.set);
	CHECK(!s->lin.resources.cpu.cpus);
	CHECK(!s->lin.resources.io.weight.set);
	CHECK_EQ(s->warnings.n, 0);
	spec_free(s);
}

TEST(resource_values_are_checked)
{
	CHECK_REFUSED(RESOURCES("\"memory\":{\"limit\":-2}"), "memory.limit");
	CHECK_REFUSED(RESOURCES("\"memory\":{\"limit\":\"64m\"}"), "memory.limit: expected a number, found a string");
	CHECK_REFUSED(RESOURCES("\"memory\":{\"swappiness\":101}"), "101 is not from 0 to 100");
	CHECK_REFUSED(RESOURCES("\"cpu\":{\"cpus\":\"0-\"}"), "not a list of CPUs");
	CHECK_REFUSED(RESOURCES("\"cpu\":{\"idle\":2}"), "cpu.idle");
	CHECK_REFUSED(RESOURCES("\"blockIO\":{\"weight\":5}"), "5 is not a weight from 10 to 1000");
	CHECK_REFUSED(RESOURCES("\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0}]}"),
		      "weightDevice[0]: has neither weight nor leafWeight");
	CHECK_REFUSED(RESOURCES("\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0}]}"),
		      "rate is missing");
	CHECK_REFUSED(RESOURCES("\"hugepageLimits\":[{\"pageSize\":\"2M\","
				"\"limit\":1}]"),
		      "not of the form 2MB");
	CHECK_REFUSED(RESOURCES("\"rdma\":{\"mlx\":{}}"), "neither hcaHandles nor hcaObjects");
	CHECK_REFUSED(RESOURCES("\"unified\":{\"../x.y\":\"1\"}"), "not the name of a cgroup file");
	CHECK_REFUSED(RESOURCES("\"unified\":{\"memory\":\"1\"}"), "not the name of a cgroup file");
	CHECK_REFUSED(RESOURCES("\"unified\":{\"memory.max\":1}"), "expected a string, found a number");
	CHECK_REFUSED(RESOURCES("\"network\":{\"priorities\":[{\"name\":\"\",\"priority\":1}]}"),
		      "not an interface name");
	CHECK_REFUSED(RESOURCES("\"devices\":[{\"allow\":true,"
				"\"type\":\"d\"}]"),
		      "type \"d\" is not one of a, b, c");
	CHECK_REFUSED(RESOURCES("\"devices\":[{\"allow\":true,"
				"\"access\":\"rx\"}]"),
		      "is not made of r, w and m");
	CHECK_REFUSED(RESOURCES("\"pids\":{\"limit\":1.5}"), "pids.limit");
}

TEST(what_cgroup_v2_has_not_is_a_warning)
{
	struct spec *s = config(RESOURCES("\"memory\":{\"kernel\":5,\"disableOOMKiller\":true}"));

	REQUIRE(s);
	CHECK_EQ(s->warnings.n, 2);
	CHECK_CONTAINS(s->warnings.v[0], "linux.resources.memory: kernel");
	spec_free(s);
}

TEST(device_rules_have_defaults)
{
	struct spec *s = config(RESOURCES("\"devices\":[{\"allow\":false},{\"allow\":true,\"type\":\"c\","
					  "\"major\":5}]"));

	REQUIRE(s);
	CHECK(s->lin.resources.devices_set);
	CHECK_EQ(s->lin.resources.devices[0].type, 'a');
	CHECK_EQ(s->lin.resources.devices[0].access, DEV_READ | DEV_WRITE | DEV_MKNOD);
	CHECK_EQ(s->lin.resources.devices[1].major, 5);
	CHECK_EQ(s->lin.resources.devices[1].minor, -1);
	spec_free(s);
}

/* ---- seccomp ---- */

#define SECCOMP(members) LINUX("\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"," members "}")
#define RULE(members) SECCOMP("\"syscalls\":[{" members "}]")

TEST(the_notify_action_is_refused_with_the_reason)
{
	CHECK_REFUSED(RULE("\"names\":[\"mount\"],\"action\":\"SCMP_ACT_NOTIFY\""),
		      "linux.seccomp.syscalls[0]: SCMP_ACT_NOTIFY is not possible");
}

TEST(seccomp_values_are_checked)
{
	CHECK_REFUSED(LINUX("\"seccomp\":{}"), "defaultAction is missing");
	CHECK_REFUSED(LINUX("\"seccomp\":{\"defaultAction\":\"ALLOW\"}"), "not a seccomp action");
	CHECK_REFUSED(SECCOMP("\"defaultErrnoRet\":5"), "defaultErrnoRet does not go with SCMP_ACT_ALLOW");
	CHECK_REFUSED(SECCOMP("\"architectures\":[\"SCMP_ARCH_VAX\"]"), "not an architecture");
	CHECK_REFUSED(SECCOMP("\"flags\":[\"X\"]"), "not a seccomp flag");
	CHECK_REFUSED(SECCOMP("\"listenerMetadata\":\"x\""), "listenerMetadata without listenerPath");
	CHECK_REFUSED(RULE("\"names\":[],\"action\":\"SCMP_ACT_KILL\""), "syscalls[0]: names is empty");
	CHECK_REFUSED(RULE("\"names\":[\"a\"]"), "action is missing");
	CHECK_REFUSED(RULE("\"names\":[\"a\"],\"action\":\"SCMP_ACT_KILL\",\"errnoRet\":1"),
		      "errnoRet does not go with");
	CHECK_REFUSED(RULE("\"names\":[\"a\"],\"action\":\"SCMP_ACT_ERRNO\","
			   "\"errnoRet\":5000"),
		      "more than 4095");
	CHECK_REFUSED(RULE("\"names\":[\"a\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":6,\"value\":1,"
			   "\"op\":\"SCMP_CMP_EQ\"}]"),
		      "args[0]: index 6");
	CHECK_REFUSED(RULE("\"names\":[\"a\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":0,\"value\":1,"
			   "\"op\":\"EQ\"}]"),
		      "\"EQ\" is not a comparison");
}

TEST(foreign_architectures_are_left_out_and_the_native_one_is_there)
{
	struct spec *s = config(SECCOMP("\"architectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_AARCH64\","
					"\"SCMP_ARCH_X86\"]"));

	REQUIRE(s);
	CHECK_EQ(s->lin.seccomp->narchs, 2);
	CHECK_EQ(s->lin.seccomp->archs[0], SCMP_ARCH_X86_64);
	CHECK_EQ(s->lin.seccomp->archs[1], SCMP_ARCH_X86);
	spec_free(s);
}
