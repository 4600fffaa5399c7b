/* SPDX-License-Identifier: Apache-2.0 */
/* Resources to cgroup v2 files, and cgroupsPath. */
// link: oci
#include "tests/unit/oci_help.h"

#include "oci/cgroup2.h"

static char written[4096];

static int note(void *ctx, const char *file, const char *value, struct error *err)
{
	size_t len = strlen(written);

	(void)ctx;
	(void)err;
	snprintf(written + len, sizeof(written) - len, "%s=%s;", file, value);
	return 0;
}

/* "file=value;..." for the members of resources; NULL with help_error when they are refused. */
static const char *settings(const char *members, enum cgroup2_side side, uint64_t overhead)
{
	struct spec_resources *r;
	char text[2048];
	int ret;

	snprintf(text, sizeof(text), "{%s}", members);
	written[0] = '\0';
	if (resources_parse(text, strlen(text), &r, &help_error) < 0)
		return NULL;
	ret = cgroup2_settings(r, side, overhead, note, NULL, &help_error);
	resources_free(r);
	return ret < 0 ? NULL : written;
}

#define GUEST(members) settings(members, CGROUP2_GUEST, 0)
#define HOST(members) settings(members, CGROUP2_HOST, 0)
#define REFUSED(members, words)                         \
	do {                                            \
		CHECK(!GUEST(members));                 \
		CHECK_STR(written, "");                 \
		CHECK(!HOST(members));                  \
		CHECK_STR(written, "");                 \
		CHECK_CONTAINS(help_error.text, words); \
	} while (0)

TEST(shares_become_weights_as_runc_has_them)
{
	CHECK_EQ(cgroup2_cpu_weight(2), 1);
	CHECK_EQ(cgroup2_cpu_weight(1024), 100);
	CHECK_EQ(cgroup2_cpu_weight(262144), 10000);
	CHECK_EQ(cgroup2_cpu_weight(1), 1);
	CHECK_EQ(cgroup2_cpu_weight(UINT64_MAX), 10000);
	for (uint64_t s = 2; s < 262144; s += 37)
		CHECK(cgroup2_cpu_weight(s) <= cgroup2_cpu_weight(s + 37));
}

TEST(blkio_weights_become_io_weights)
{
	CHECK_EQ(cgroup2_io_weight(10), 1);
	CHECK_EQ(cgroup2_io_weight(1000), 10000);
	CHECK_EQ(cgroup2_io_weight(500), 4950);
}

TEST(unset_members_write_nothing)
{
	CHECK_STR(GUEST(""), "");
	CHECK_STR(HOST(""), "");
	CHECK_STR(HOST("\"memory\":{\"limit\":0},\"cpu\":{\"shares\":0},\"blockIO\":{\"weight\":0}"), "");
}

TEST(the_guest_enforces_the_exact_memory_limit_and_the_host_adds_the_overhead)
{
	CHECK_STR(GUEST("\"memory\":{\"limit\":1000,\"reservation\":500}"), "memory.max=1000;memory.low=500;");
	CHECK_STR(settings("\"memory\":{\"limit\":1000}", CGROUP2_HOST, 24), "memory.max=1024;");
	CHECK_STR(settings("\"memory\":{\"limit\":9223372036854775807}", CGROUP2_HOST, 24),
		  "memory.max=9223372036854775807;");
	CHECK_STR(GUEST("\"memory\":{\"limit\":-1}"), "memory.max=max;");
}

TEST(swap_is_the_hosts_and_without_the_memory)
{
	CHECK_STR(HOST("\"memory\":{\"limit\":1000,\"swap\":3000}"), "memory.swap.max=2000;memory.max=1000;");
	CHECK_STR(HOST("\"memory\":{\"limit\":1000,\"swap\":-1}"), "memory.swap.max=max;memory.max=1000;");
	CHECK_STR(HOST("\"memory\":{\"limit\":-1}"), "memory.swap.max=max;memory.max=max;");
	CHECK_STR(GUEST("\"memory\":{\"limit\":1000,\"swap\":3000}"), "memory.max=1000;");
	REFUSED("\"memory\":{\"limit\":1000,\"swap\":999}", "resources.memory.swap");
	REFUSED("\"memory\":{\"swap\":999}", "needs a limit");
	REFUSED("\"memory\":{\"limit\":1000,\"reservation\":2000}", "reservation");
}

TEST(cpu_limits_are_on_both_sides_and_cpusets_on_the_host)
{
	static const char cpu[] = "\"cpu\":{\"shares\":1024,\"quota\":50000,\"period\":100000,\"burst\":1000,"
				  "\"cpus\":\"0-1\",\"mems\":\"0\"}";

	CHECK_STR(GUEST(cpu), "cpu.weight=100;cpu.max=50000 100000;cpu.max.burst=1000;");
	CHECK_STR(HOST(cpu), "cpu.weight=100;cpu.max=50000 100000;cpu.max.burst=1000;cpuset.cpus=0-1;cpuset.mems=0;");
	CHECK_STR(GUEST("\"cpu\":{\"quota\":50000}"), "cpu.max=50000 100000;");
	CHECK_STR(GUEST("\"cpu\":{\"quota\":-1}"), "cpu.max=max 100000;");
	CHECK_STR(GUEST("\"cpu\":{\"period\":5000}"), "cpu.max=max 5000;");
	CHECK_STR(GUEST("\"cpu\":{\"idle\":1,\"shares\":512}"), "cpu.idle=1;");
	REFUSED("\"cpu\":{\"quota\":50000,\"burst\":60000}", "burst: is above the quota");
	REFUSED("\"cpu\":{\"realtimeRuntime\":1000}", "realtimeRuntime");
}

TEST(pids_are_limited_in_the_guest_only)
{
	CHECK_STR(GUEST("\"pids\":{\"limit\":20}"), "pids.max=20;");
	CHECK_STR(GUEST("\"pids\":{\"limit\":-1}"), "pids.max=max;");
	CHECK_STR(GUEST("\"pids\":{\"limit\":0}"), "pids.max=1;");
	CHECK_STR(HOST("\"pids\":{\"limit\":20}"), "");
}

TEST(block_io_is_limited_on_the_host_only)
{
	static const char io[] =
		"\"blockIO\":{\"weight\":10,\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":1000}],"
		"\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":16,\"rate\":1048576}],"
		"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":0}]}";

	CHECK_STR(HOST(io), "io.weight=1;io.weight=8:0 10000;io.max=8:16 rbps=1048576;io.max=8:0 wiops=max;");
	CHECK_STR(GUEST(io), "");
}

TEST(huge_pages_that_the_guest_lacks_are_refused_unless_none_are_asked_for)
{
	CHECK_STR(GUEST("\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304},"
			"{\"pageSize\":\"1GB\",\"limit\":0}]"),
		  "hugetlb.2MB.rsvd.max=4194304;hugetlb.2MB.max=4194304;");
	CHECK(!GUEST("\"hugepageLimits\":[{\"pageSize\":\"1GB\",\"limit\":1073741824}]"));
	CHECK_CONTAINS(help_error.text, "pages of 1GB are not possible");
}

TEST(unified_keys_go_to_the_side_that_has_them)
{
	static const char u[] =
		"\"unified\":{\"memory.high\":\"1\",\"memory.min\":\"2\",\"io.latency\":\"3\","
		"\"cpu.weight\":\"4\",\"cpuset.cpus\":\"0\",\"memory.swap.max\":\"5\",\"pids.max\":\"6\"}";

	CHECK_STR(GUEST(u), "memory.high=1;memory.min=2;cpu.weight=4;pids.max=6;");
	CHECK_STR(HOST(u), "memory.min=2;io.latency=3;cpu.weight=4;cpuset.cpus=0;memory.swap.max=5;");
	REFUSED("\"unified\":{\"nosuch.x\":\"1\"}", "nosuch.x is not possible: there is no such controller");
	REFUSED("\"unified\":{\"cgroup.procs\":\"1\"}", "cgroup.procs is not possible");
	REFUSED("\"unified\":{\"rdma.max\":\"1\"}", "RDMA");
	REFUSED("\"rdma\":{\"mlx\":{\"hcaHandles\":1}}", "RDMA");
}

/* ---- cgroupsPath ---- */

static struct cgroup_path path_of(const char *text, bool systemd)
{
	struct cgroup_path p;

	help_error.text[0] = '\0';
	if (cgroup_path_parse(text, systemd, "cid", false, &p, &help_error) < 0)
		strcpy(p.path, "refused");
	return p;
}

TEST(cgroupfs_paths_are_cleaned)
{
	CHECK_STR(path_of("/docker/abc", false).path, "/docker/abc");
	CHECK_STR(path_of("a//b/./c/", false).path, "/a/b/c");
	CHECK_STR(path_of(NULL, false).path, "/husk/cid");
	CHECK_STR(path_of("/a/../../etc", false).path, "refused");
	CHECK_CONTAINS(help_error.text, "\"..\"");
	CHECK_STR(path_of("/", false).path, "refused");
	CHECK_STR(path_of("system.slice:docker:x", false).path, "/system.slice:docker:x");
}

TEST(systemd_paths_have_three_parts)
{
	struct cgroup_path p = path_of("system.slice:docker:abc", true);

	CHECK_STR(p.slice, "system.slice");
	CHECK_STR(p.unit, "docker-abc.scope");
	CHECK_STR(p.path, "/system.slice/docker-abc.scope");
	CHECK_STR(path_of("kubepods-burstable-pod1.slice:cri-containerd:id", true).path,
		  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-id.scope");
	CHECK_STR(path_of(":x:y", true).path, "/system.slice/x-y.scope");
	CHECK_STR(path_of("-.slice:x:y", true).path, "/x-y.scope");
	CHECK_STR(path_of("a.slice:x:a-b.slice", true).path, "/a.slice/a-b.slice");
	CHECK_STR(path_of(NULL, true).path, "/system.slice/husk-cid.scope");
	CHECK_STR(path_of("/docker/abc", true).path, "refused");
	CHECK_CONTAINS(help_error.text, "slice:prefix:name");
	CHECK_STR(path_of("a:b:c:d", true).path, "refused");
	CHECK_STR(path_of("a:b:", true).path, "refused");
	CHECK_STR(path_of("a.scope:b:c", true).path, "refused");
	CHECK_STR(path_of("a--b.slice:x:y", true).path, "refused");
	CHECK_STR(path_of("a.slice:x:../../y", true).path, "refused");
	CHECK_STR(path_of("../x.slice:x:y", true).path, "refused");
}

TEST(rootless_default_slice_is_the_users)
{
	struct cgroup_path p;

	CHECK_EQ(cgroup_path_parse(NULL, true, "cid", true, &p, &help_error), 0);
	CHECK_STR(p.path, "/user.slice/husk-cid.scope");
}

TEST(long_paths_are_refused)
{
	char *text = calloc(1, 10001);

	memset(text, 'a', 10000);
	CHECK_STR(path_of(text, false).path, "refused");
	memcpy(text, "x.slice:y:", 10);
	CHECK_STR(path_of(text, true).path, "refused");
	free(text);
}
