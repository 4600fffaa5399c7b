/* SPDX-License-Identifier: Apache-2.0 */
/* The plan compiler: whole configs, namespaces, limits, processes, updates. */
// link: oci,agent
#include "tests/unit/compile_env.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

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
