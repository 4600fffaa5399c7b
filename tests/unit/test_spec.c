/* SPDX-License-Identifier: Apache-2.0 */
/* config.json and process.json to checked structs: what is honoured, what is refused and in which words. */
// link: oci
#include "tests/unit/oci_help.h"

#include <linux/mount.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "oci/arena.h"

/* ---- the document ---- */

TEST(the_smallest_config_is_accepted)
{
	struct spec *s = config("");

	REQUIRE(s);
	CHECK_STR(s->root_path, "rootfs");
	CHECK_STR(s->process->args.v[0], "true");
	CHECK(s->process->args.v[1] == NULL);
	CHECK(!s->process->caps.set);
	CHECK(!s->lin.resources.memory.limit.set);
	CHECK_EQ(s->warnings.n, 0);
	spec_free(s);
}

TEST(versions_1_x_are_accepted_and_others_refused)
{
	CHECK_ACCEPTED("\"ociVersion\":\"1.0.0\"");
	CHECK_ACCEPTED("\"ociVersion\":\"1.0.2-dev\"");
	CHECK_ACCEPTED("\"ociVersion\":\"1.3.0\"");
	CHECK_ACCEPTED("\"ociVersion\":\"1.2.1+build.5\"");
	CHECK_REFUSED("\"ociVersion\":\"0.9.0\"", "ociVersion: version 0.9.0 of the specification is not supported");
	CHECK_REFUSED("\"ociVersion\":\"2.0.0\"", "not supported");
	CHECK_REFUSED("\"ociVersion\":\"1.0\"", "not a semantic version");
	CHECK_REFUSED("\"ociVersion\":\"v1.0.0\"", "not a semantic version");
	CHECK_REFUSED("\"ociVersion\":\"1.0.0x\"", "not a semantic version");
	CHECK_REFUSED("\"ociVersion\":null", "config.json: ociVersion is missing");
	CHECK_REFUSED("\"ociVersion\":1", "ociVersion: expected a string, found a number");
}

TEST(a_newer_minor_version_is_a_warning)
{
	struct spec *s = config("\"ociVersion\":\"1.9.0\"");

	REQUIRE(s);
	CHECK_EQ(s->warnings.n, 1);
	CHECK_CONTAINS(s->warnings.v[0], "1.9.0");
	spec_free(s);
}

TEST(unknown_properties_are_ignored)
{
	CHECK_ACCEPTED("\"nosuch\":{\"a\":[1,2]},\"x-y\":null");
	CHECK_ACCEPTED(LINUX("\"future\":true"));
	CHECK_ACCEPTED(PROCESS("\"future\":true"));
}

TEST(root_is_mandatory)
{
	CHECK_REFUSED("\"root\":null", "config.json: root is missing");
	CHECK_REFUSED("\"root\":{}", "config.json: root: path is missing");
	CHECK_REFUSED("\"root\":{\"path\":\"\"}", "root: path is empty");
	CHECK_REFUSED("\"root\":\"rootfs\"", "root: expected an object, found a string");
	CHECK_REFUSED("\"root\":{\"path\":\"r\","
		      "\"readonly\":1}",
		      "root.readonly: expected a boolean, found a number");
}

TEST(a_config_without_process_is_legal)
{
	struct spec *s = config("\"process\":null");

	REQUIRE(s);
	CHECK(!s->process);
	spec_free(s);
}

TEST(names_need_a_uts_namespace_and_fit_the_kernel)
{
	CHECK_ACCEPTED("\"hostname\":\"h\",\"domainname\":\"d\"");
	CHECK_REFUSED("\"hostname\":\"h\",\"linux\":{\"namespaces\":[]}", "need a uts namespace");
	CHECK_REFUSED("\"hostname\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"",
		      "hostname: longer than 64 bytes");
}

/* ---- process ---- */

TEST(args_and_cwd_are_needed)
{
	CHECK_REFUSED("\"process\":{\"cwd\":\"/\"}", "process: args is empty");
	CHECK_REFUSED("\"process\":{\"cwd\":\"/\",\"args\":[]}", "process: args is empty");
	CHECK_REFUSED("\"process\":{\"args\":[\"a\"]}", "process: cwd is missing");
	CHECK_REFUSED("\"process\":{\"args\":[\"a\"],"
		      "\"cwd\":\"tmp\"}",
		      "process.cwd: \"tmp\" is not an absolute path");
	CHECK_REFUSED("\"process\":{\"args\":[\"a\",7],\"cwd\":\"/\"}",
		      "config.json: process.args[1]: expected a string, found a number");
	CHECK_REFUSED("\"process\":{\"args\":\"a\","
		      "\"cwd\":\"/\"}",
		      "process.args: expected an array, found a string");
}

TEST(the_environment_is_names_and_values)
{
	CHECK_ACCEPTED(PROCESS("\"env\":[\"A=b\",\"C=\",\"D=e=f\"]"));
	CHECK_REFUSED(PROCESS("\"env\":[\"A=b\",\"C\"]"), "process.env[1]: \"C\" is not NAME=VALUE");
	CHECK_REFUSED(PROCESS("\"env\":[\"=b\"]"), "process.env[0]");
	CHECK_REFUSED(PROCESS("\"env\":{}"), "process.env: expected an array, found an object");
}

TEST(user_ids_are_checked)
{
	struct spec *s = config(PROCESS("\"user\":{\"uid\":1000,\"gid\":7,\"umask\":63,"
					"\"additionalGids\":[5,4294967295]}"));

	REQUIRE(s);
	CHECK_EQ(s->process->user.uid, 1000);
	CHECK_EQ(s->process->user.gid, 7);
	CHECK_EQ(s->process->user.umask.v, 077);
	CHECK_EQ(s->process->user.ngids, 2);
	CHECK_EQ(s->process->user.gids[0], 5);
	spec_free(s);
	CHECK_REFUSED(PROCESS("\"user\":{\"uid\":-1}"), "process.user.uid: -1 is not an integer from 0");
	CHECK_REFUSED(PROCESS("\"user\":{\"uid\":4294967296}"), "process.user.uid");
	CHECK_REFUSED(PROCESS("\"user\":{\"uid\":4294967295}"), "not a valid id");
	CHECK_REFUSED(PROCESS("\"user\":{\"umask\":512}"), "umask");
	CHECK_REFUSED(PROCESS("\"user\":{\"additionalGids\":[1,"
			      "\"2\"]}"),
		      "additionalGids[1]: expected a number");
	CHECK_REFUSED(PROCESS("\"user\":\"root\""), "process.user: expected an object");
}

TEST(rlimits_are_known_unique_and_ordered)
{
	struct spec *s = config(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1024,"
					"\"hard\":18446744073709551615}]"));

	REQUIRE(s);
	CHECK_EQ(s->process->rlimits[0].resource, RLIMIT_NOFILE);
	CHECK(s->process->rlimits[0].hard == UINT64_MAX);
	spec_free(s);
	CHECK_REFUSED(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_FOO\",\"soft\":1,\"hard\":1}]"),
		      "process.rlimits[0]: \"RLIMIT_FOO\" is not a resource limit");
	CHECK_REFUSED(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},"
			      "{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1}]"),
		      "RLIMIT_CPU is there twice");
	CHECK_REFUSED(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,"
			      "\"hard\":1}]"),
		      "above its hard limit");
	CHECK_REFUSED(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2}]"), "hard is missing");
	CHECK_REFUSED(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":-1,"
			      "\"hard\":-1}]"),
		      "rlimits[0].soft");
}

TEST(capabilities_become_masks)
{
	struct spec *s = config(PROCESS("\"capabilities\":{\"bounding\":[\"CAP_CHOWN\","
					"\"CAP_CHECKPOINT_RESTORE\"],"
					"\"permitted\":[\"CAP_CHOWN\"],\"effective\":[\"CAP_CHOWN\"]}"));

	REQUIRE(s);
	CHECK(s->process->caps.set);
	CHECK_EQ(s->process->caps.bounding, UINT64_C(1) | UINT64_C(1) << 40);
	CHECK_EQ(s->process->caps.effective, 1);
	CHECK_EQ(s->process->caps.ambient, 0);
	CHECK_EQ(s->warnings.n, 0);
	spec_free(s);
}

TEST(unknown_and_ungrantable_capabilities_are_warnings)
{
	struct spec *s = config(PROCESS("\"capabilities\":{\"bounding\":[\"CAP_NOSUCH\","
					"\"CHOWN\",\"5\",\"CAP_5\"],"
					"\"effective\":[\"CAP_KILL\"],\"ambient\":[\"CAP_KILL\"]}"));

	REQUIRE(s);
	CHECK_EQ(s->process->caps.bounding, 0);
	CHECK_EQ(s->process->caps.effective, 0);
	CHECK_EQ(s->process->caps.ambient, 0);
	CHECK_EQ(s->warnings.n, 6);
	CHECK_CONTAINS(s->warnings.v[0], "CAP_NOSUCH");
	spec_free(s);
	CHECK_REFUSED(PROCESS("\"capabilities\":[\"CAP_CHOWN\"]"), "process.capabilities: expected an object");
}

TEST(warnings_are_bounded)
{
	char *text = malloc(200000);
	struct spec *s;
	size_t len = (size_t)sprintf(text, "%s",
				     "\"process\":{" BASE_PROCESS ","
				     "\"capabilities\":{\"bounding\":[\"X\"");

	for (int i = 0; i < 20000; i++)
		len += (size_t)sprintf(text + len, ",\"X\"");
	sprintf(text + len, "]}}");
	s = config(text);
	REQUIRE(s);
	CHECK_EQ(s->warnings.n, 65);
	spec_free(s);
	free(text);
}

TEST(terminal_size_needs_a_terminal)
{
	struct spec *s = config(PROCESS("\"terminal\":true,\"consoleSize\":{\"height\":40,\"width\":120}"));

	REQUIRE(s);
	CHECK_EQ(s->process->rows, 40);
	CHECK_EQ(s->process->cols, 120);
	spec_free(s);
	s = config(PROCESS("\"consoleSize\":{\"height\":40,\"width\":120}"));
	REQUIRE(s);
	CHECK_EQ(s->process->rows, 0);
	spec_free(s);
	CHECK_REFUSED(PROCESS("\"terminal\":true,\"consoleSize\":{\"height\":70000,\"width\":1}"),
		      "consoleSize.height");
}

TEST(oom_score_is_set_only_when_present)
{
	struct spec *s = config("");

	REQUIRE(s);
	CHECK(!s->process->oom_score_adj.set);
	spec_free(s);
	s = config(PROCESS("\"oomScoreAdj\":0"));
	REQUIRE(s);
	CHECK(s->process->oom_score_adj.set);
	spec_free(s);
	CHECK_REFUSED(PROCESS("\"oomScoreAdj\":1001"), "oomScoreAdj: 1001 is not an integer from -1000 to 1000");
}

TEST(scheduler_values_fit_their_policy)
{
	struct spec *s = config(PROCESS("\"scheduler\":{\"policy\":\"SCHED_FIFO\",\"priority\":10,"
					"\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\"]}"));

	REQUIRE(s);
	CHECK(s->process->scheduler.set);
	CHECK_EQ(s->process->scheduler.policy, SCHED_FIFO);
	CHECK_EQ(s->process->scheduler.flags, 1);
	spec_free(s);
	CHECK_ACCEPTED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"nice\":-20}"));
	CHECK_ACCEPTED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1,"
			       "\"deadline\":2,\"period\":2}"));
	CHECK_REFUSED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_ISO\"}"), "not a scheduling policy");
	CHECK_REFUSED(PROCESS("\"scheduler\":{}"), "policy is missing");
	CHECK_REFUSED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}"), "nice");
	CHECK_REFUSED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\","
			      "\"priority\":1}"),
		      "priority 1 does not fit");
	CHECK_REFUSED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_RR\"}"), "priority 0 does not fit");
	CHECK_REFUSED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\","
			      "\"runtime\":1}"),
		      "SCHED_DEADLINE only");
	CHECK_REFUSED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":3,\"deadline\":2}"),
		      "needs 0 <");
	CHECK_REFUSED(PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\","
			      "\"flags\":[\"X\"]}"),
		      "not a scheduler flag");
}

TEST(io_priority_becomes_the_kernels_number)
{
	struct spec *s = config(PROCESS("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":4}"));

	REQUIRE(s);
	CHECK_EQ(s->process->ioprio.v, 2 << 13 | 4);
	spec_free(s);
	CHECK_REFUSED(PROCESS("\"ioPriority\":{\"class\":\"BE\"}"), "not an I/O priority class");
	CHECK_REFUSED(PROCESS("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\","
			      "\"priority\":8}"),
		      "ioPriority.priority");
}

TEST(affinity_is_a_list_of_cpus)
{
	CHECK_ACCEPTED(PROCESS("\"execCPUAffinity\":{\"initial\":\"0-3,7\",\"final\":\"1\"}"));
	CHECK_REFUSED(PROCESS("\"execCPUAffinity\":{\"initial\":\"3-1\"}"), "not a list of CPUs");
	CHECK_REFUSED(PROCESS("\"execCPUAffinity\":{\"final\":\"x\"}"), "not a list of CPUs");
	CHECK_REFUSED(PROCESS("\"execCPUAffinity\":{\"final\":\"0-99999999999\"}"), "not a list of CPUs");
}

TEST(an_apparmor_profile_is_a_warning)
{
	struct spec *s = config(PROCESS("\"apparmorProfile\":\"docker-default\""));

	REQUIRE(s);
	CHECK_EQ(s->warnings.n, 1);
	CHECK_CONTAINS(s->warnings.v[0], "docker-default");
	spec_free(s);
	s = config(PROCESS("\"apparmorProfile\":\"unconfined\""));
	REQUIRE(s);
	CHECK_EQ(s->warnings.n, 0);
	spec_free(s);
}

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

/* ---- hooks, annotations, vm ---- */

TEST(hooks_are_checked)
{
	struct spec *s =
		config("\"hooks\":{\"poststop\":[{\"path\":\"/bin/h\",\"args\":[\"h\",\"x\"],\"env\":[\"A=1\"],"
		       "\"timeout\":5}]}");

	REQUIRE(s);
	CHECK_EQ(s->hooks[HOOK_POSTSTOP].n, 1);
	CHECK_EQ(s->hooks[HOOK_POSTSTOP].v[0].timeout, 5);
	CHECK_STR(s->hooks[HOOK_POSTSTOP].v[0].args.v[1], "x");
	spec_free(s);
	CHECK_REFUSED("\"hooks\":{\"prestart\":[{\"path\":\"h\"}]}",
		      "hooks.prestart[0]: \"h\" is not an absolute path");
	CHECK_REFUSED("\"hooks\":{\"prestart\":[{\"path\":\"/h\",\"timeout\":0}]}",
		      "timeout: 0 is not an integer from 1");
	CHECK_REFUSED("\"hooks\":{\"prestart\":[{}]}", "path is missing");
	CHECK_REFUSED("\"hooks\":{\"prestart\":{}}", "hooks.prestart: expected an array");
}

TEST(annotations_are_strings_with_names)
{
	CHECK_REFUSED("\"annotations\":{\"\":\"x\"}", "the name of an annotation is empty");
	CHECK_REFUSED("\"annotations\":{\"a\":1}", "annotations.a: expected a string");
	CHECK_REFUSED("\"annotations\":[]", "annotations: expected an object");
}

TEST(husks_own_annotations_are_checked)
{
	struct spec *s =
		config("\"annotations\":{\"run.husk.memory\":\"256\",\"run.husk.vcpus\":\"4\",\"run.husk.debug\":"
		       "\"true\",\"run.husk.network\":\"none\",\"run.husk.dax\":\"all\",\"run.husk.typo\":\"1\"}");

	REQUIRE(s);
	CHECK_EQ(s->husk.memory.v, 256);
	CHECK_EQ(s->husk.vcpus.v, 4);
	CHECK(s->husk.debug.v);
	CHECK_EQ(s->husk.network, HUSK_NET_NONE);
	CHECK_EQ(s->husk.dax, HUSK_DAX_ALL);
	CHECK_EQ(s->warnings.n, 1);
	CHECK_CONTAINS(s->warnings.v[0], "run.husk.typo");
	spec_free(s);
	CHECK_REFUSED("\"annotations\":{\"run.husk.memory\":\"256m\"}", "is not a number from 32 to");
	CHECK_REFUSED("\"annotations\":{\"run.husk.memory\":\"8\"}", "is not a number from 32 to");
	CHECK_REFUSED("\"annotations\":{\"run.husk.vcpus\":\"0\"}", "is not a number from 1 to 254");
	CHECK_REFUSED("\"annotations\":{\"run.husk.debug\":\"yes\"}", "neither true nor false");
	CHECK_REFUSED("\"annotations\":{\"run.husk.network\":\"host\"}", "neither auto nor none");
	CHECK_REFUSED("\"annotations\":{\"run.husk.dax\":\"some\"}", "neither auto, none nor all");
}

TEST(the_vm_object_is_checked)
{
	CHECK_ACCEPTED("\"vm\":{\"kernel\":{\"path\":\"/k\",\"parameters\":[\"a=b\"],\"initrd\":\"/i\"},"
		       "\"image\":{\"path\":\"/x\",\"format\":\"raw\"}}");
	CHECK_REFUSED("\"vm\":{\"kernel\":{}}", "vm.kernel: path is missing");
	CHECK_REFUSED("\"vm\":{\"kernel\":{\"path\":\"k\"}}", "not an absolute path");
	CHECK_REFUSED("\"vm\":{\"image\":{\"path\":\"/x\",\"format\":\"iso\"}}", "not an image format");
}

/* ---- the engines' configs ---- */

TEST(the_config_of_docker_parses)
{
	struct spec *s = config_file("docker");

	REQUIRE(s);
	CHECK_EQ(s->nmounts, 11);
	CHECK(s->process->terminal);
	CHECK_EQ(s->hooks[HOOK_PRESTART].n, 1);
	CHECK_EQ(s->lin.resources.ndevices, 8);
	CHECK(!s->lin.resources.cpu.shares.set);
	CHECK_STR(s->lin.sysctl.v[0].key, "net.ipv4.ip_unprivileged_port_start");
	CHECK_EQ(s->pod.role, POD_NONE);
	CHECK_EQ(s->warnings.n, 1); /* AppArmor */
	spec_free(s);
}

TEST(the_config_of_podman_parses)
{
	struct spec *s = config_file("podman");

	REQUIRE(s);
	CHECK_STR(s->lin.ns[NS_NETWORK].path, "/run/netns/netns-1f0c");
	CHECK_EQ(s->process->user.umask.v, 022);
	CHECK_EQ(s->lin.resources.pids.v, 2048);
	CHECK(s->mounts[9].copyup);
	CHECK(s->mounts[7].bind && !s->mounts[7].recursive);
	CHECK_STR(spec_annotation(s, "io.container.manager"), "libpod");
	CHECK(!spec_annotation(s, "nosuch"));
	CHECK_EQ(s->warnings.n, 0);
	spec_free(s);
}

TEST(pods_of_cri_are_recognised)
{
	struct spec *s = config_file("cri-sandbox");

	REQUIRE(s);
	CHECK_EQ(s->pod.role, POD_SANDBOX);
	CHECK_STR(s->pod.sandbox_id, "6e0b");
	CHECK_EQ(s->pod.sandbox_memory.v, 536870912);
	CHECK_EQ(s->pod.sandbox_quota.v, 150000);
	spec_free(s);
	s = config_file("cri-container");
	REQUIRE(s);
	CHECK_EQ(s->pod.role, POD_CONTAINER);
	spec_free(s);
	s = config("\"annotations\":{\"io.kubernetes.cri-o.ContainerType\":\"container\","
		   "\"io.kubernetes.cri-o.SandboxID\":\"p\"}");
	REQUIRE(s);
	CHECK_EQ(s->pod.role, POD_CONTAINER);
	CHECK_STR(s->pod.sandbox_id, "p");
	spec_free(s);
}

/* ---- files, process.json, resources ---- */

TEST(a_missing_file_is_enoent_and_other_kinds_are_refused)
{
	char fifo[] = "/tmp/husk-test-fifo-XXXXXX";
	struct spec *s;
	int fd;

	CHECK_EQ(spec_load_file("/nonexistent/config.json", &s, &help_error), -1);
	CHECK_EQ(help_error.code, ENOENT);
	CHECK_CONTAINS(help_error.text, "open /nonexistent/config.json: no such file or directory");
	CHECK_EQ(spec_load_file("/tmp", &s, &help_error), -1);
	CHECK_CONTAINS(help_error.text, "is not a regular file: is a directory");
	CHECK_EQ(spec_load_file("/dev/zero", &s, &help_error), -1);
	CHECK_CONTAINS(help_error.text, "is not a regular file");
	fd = mkstemp(fifo);
	close(fd);
	unlink(fifo);
	CHECK_EQ(mkfifo(fifo, 0600), 0);
	CHECK_EQ(spec_load_file(fifo, &s, &help_error), -1); /* and does not hang */
	unlink(fifo);
}

TEST(a_file_that_is_too_big_is_refused)
{
	char path[] = "/tmp/husk-test-big-XXXXXX";
	struct spec *s;
	int fd = mkstemp(path);

	CHECK_EQ(ftruncate(fd, (off_t)SPEC_FILE_MAX + 1), 0);
	CHECK_EQ(spec_load_file(path, &s, &help_error), -1);
	CHECK_CONTAINS(help_error.text, "larger than 16 MiB");
	close(fd);
	unlink(path);
}

TEST(process_json_parses_alone)
{
	static const char text[] = "{\"args\":[\"sh\"],\"cwd\":\"/\",\"terminal\":true,"
				   "\"apparmorProfile\":\"p\"}";
	struct spec_process *p;

	CHECK_EQ(process_parse(text, strlen(text), &p, &help_error), 0);
	CHECK(p->terminal);
	CHECK_EQ(p->warnings.n, 1);
	process_free(p);
	CHECK_EQ(process_parse("{\"args\":[]}", 11, &p, &help_error), -1);
	CHECK_CONTAINS(help_error.text, "process: cwd is missing");
	CHECK_EQ(process_parse("[]", 2, &p, &help_error), -1);
	CHECK_CONTAINS(help_error.text, "process: expected an object, found an array");
}

TEST(resources_are_read_from_a_pipe)
{
	static const char text[] = "{\"memory\":{\"limit\":67108864},\"devices\":[{\"allow\":false}]}";
	struct spec_resources *r;
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
	close(fds[1]);
	CHECK_EQ(resources_load_fd(fds[0], &r, &help_error), 0);
	CHECK_EQ(r->memory.limit.v, 67108864);
	CHECK(!r->pids.set);
	resources_free(r);
	close(fds[0]);
	CHECK_EQ(resources_load_fd(-1, &r, &help_error), -1);
	CHECK_CONTAINS(help_error.text, "bad file descriptor");
}

TEST(every_truncation_of_a_config_is_refused)
{
	char *text;
	struct spec *s;
	int len = asprintf(&text, "%s", BASE "," MOUNT("\"destination\":\"/t\",\"type\":\"tmpfs\"") "}");

	for (int i = 0; i < len; i++)
		CHECK_EQ(spec_parse(text, (size_t)i, &s, &help_error), -1);
	CHECK_EQ(spec_parse(text, (size_t)len, &s, &help_error), 0);
	spec_free(s);
	free(text);
}

TEST(any_value_of_a_wrong_type_is_refused_or_ignored_but_never_a_crash)
{
	static const char *const values[] = {
		"null", "true", "7", "-1", "\"x\"", "[]", "{}", "[7]", "[{}]", "{\"a\":7}"
	};
	static const char *const places[] = {
		"\"ociVersion\":%s",
		"\"root\":%s",
		"\"process\":%s",
		"\"mounts\":%s",
		"\"hooks\":%s",
		"\"linux\":%s",
		"\"vm\":%s",
		"\"annotations\":%s",
		"\"hostname\":%s",
		LINUX("\"resources\":%s"),
		LINUX("\"seccomp\":%s"),
		LINUX("\"devices\":%s"),
		LINUX("\"sysctl\":%s"),
		LINUX("\"uidMappings\":%s"),
		LINUX("\"timeOffsets\":%s"),
		LINUX("\"netDevices\":%s"),
		LINUX("\"intelRdt\":%s"),
		LINUX("\"memoryPolicy\":%s"),
		LINUX("\"personality\":%s"),
		LINUX("\"maskedPaths\":%s"),
		LINUX("\"cgroupsPath\":%s"),
		PROCESS("\"user\":%s"),
		PROCESS("\"rlimits\":%s"),
		PROCESS("\"capabilities\":%s"),
		PROCESS("\"env\":%s"),
		PROCESS("\"scheduler\":%s"),
		PROCESS("\"consoleSize\":%s"),
		RESOURCES("\"memory\":%s"),
		RESOURCES("\"cpu\":%s"),
		RESOURCES("\"blockIO\":%s"),
		RESOURCES("\"devices\":%s"),
		RESOURCES("\"unified\":%s"),
		RESOURCES("\"rdma\":%s"),
		RESOURCES("\"hugepageLimits\":%s"),
		RESOURCES("\"network\":%s"),
		RESOURCES("\"pids\":%s"),
	};
	char text[1024];

	for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			struct spec *s;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(text, sizeof(text), places[p], values[v]);
#pragma GCC diagnostic pop
			s = config(text);
			CHECK(s || strncmp(help_error.text, "config.json: ", 13) == 0);
			spec_free(s);
		}
}
