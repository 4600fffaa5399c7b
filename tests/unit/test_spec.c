/* SPDX-License-Identifier: Apache-2.0 */
/* config.json and process.json to checked structs: what is honoured, what is refused and in which words. */
// link: oci
#include "tests/unit/oci_help.h"

#include <sched.h>
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
		       "\"true\",\"run.husk.network\":\"none\",\"run.husk.dax\":\"all\","
		       "\"run.husk.net_queues\":\"3\",\"run.husk.typo\":\"1\"}");

	REQUIRE(s);
	CHECK_EQ(s->husk.memory.v, 256);
	CHECK_EQ(s->husk.vcpus.v, 4);
	CHECK(s->husk.debug.v);
	CHECK_EQ(s->husk.network, HUSK_NET_NONE);
	CHECK_EQ(s->husk.dax, HUSK_DAX_ALL);
	CHECK_EQ(s->husk.net_queues.v, 3);
	CHECK_EQ(s->warnings.n, 1);
	CHECK_CONTAINS(s->warnings.v[0], "run.husk.typo");
	spec_free(s);
	CHECK_REFUSED("\"annotations\":{\"run.husk.memory\":\"256m\"}", "is not a number from 32 to");
	CHECK_REFUSED("\"annotations\":{\"run.husk.memory\":\"8\"}", "is not a number from 32 to");
	CHECK_REFUSED("\"annotations\":{\"run.husk.vcpus\":\"0\"}", "is not a number from 1 to 254");
	CHECK_REFUSED("\"annotations\":{\"run.husk.net_queues\":\"9\"}", "is not a number from 1 to 8");
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
