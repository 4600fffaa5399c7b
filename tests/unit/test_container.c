/* SPDX-License-Identifier: Apache-2.0 */
// link: runtime oci
/*
 * The verbs end to end against a VM that is this program itself (fake_vm.h): life of a container, wrong states, errors,
 * what a killed command leaves. Needs root: namespaces, mounts, cgroups.
 */
#define UNIT_SECONDS 60
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define main husk_main
#include "runtime/main.c"
#undef main
#include "runtime/container.h"
#include "tests/unit/fake_vm.h"
#include "tests/unit/unit.h"

static char dir[64], root_arg[96], output[16384];
static pid_t last;

static const char config[] =
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"hostname\":\"h\","
	"\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},\"env\":[\"PATH=/bin\"],\"args\":[%s]},"
	"\"hooks\":{%s},"
	"\"linux\":{\"cgroupsPath\":\"/husk-unit-%d\",\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},"
	"{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}]}}";

static void bundle(const char *args, const char *hooks)
{
	CLEAN_FREE char *text = NULL, *path = NULL;

	if (geteuid() != 0) {
		printf("# needs root\n");
		exit(1);
	}
	if (!*dir) {
		strcpy(dir, "/tmp/husk-unit.XXXXXX");
		if (!mkdtemp(dir))
			abort();
		snprintf(root_arg, sizeof(root_arg), "--root=%s/state", dir);
		setenv("HUSK_VMM", "/proc/self/exe", 1);
		setenv("HUSK_KERNEL", "/dev/null", 1);
		setenv("HUSK_INITRAMFS", "/dev/null", 1);
	}
	path = xasprintf("%s/rootfs", dir);
	mkdir(path, 0755);
	free(path);
	path = xasprintf("%s/config.json", dir);
	text = xasprintf(config, args, hooks, (int)getpid());
	if (file_replace_at(AT_FDCWD, path, text, strlen(text), 0644) < 0)
		abort();
}

static void finish(void)
{
	CLEAN_FREE char *cmd = xasprintf("rm -rf --one-file-system %s", dir);

	if (system(cmd) != 0)
		UNIT_FAIL("cannot remove %s", dir);
}

static void spawn(int out, char **argv, int argc)
{
	last = fork();
	if (!last) {
		dup2(out, 1);
		dup2(out, 2);
		exit(husk_main(argc, argv));
	}
}

/* Run a command; its exit status. What it and the container print goes to `output`. */
static int run(const char *words)
{
	CLEAN_FREE char *copy = xasprintf("husk %s %s", root_arg, words);
	CLEAN_FREE char *name = xasprintf("%s/output", dir);
	int out = open(name, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600), status, argc = 0;
	char *argv[32], *save = NULL;
	ssize_t n;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	spawn(out, argv, argc);
	while (waitpid(last, &status, 0) < 0 && errno == EINTR)
		;
	n = pread(out, output, sizeof(output) - 1, 0);
	output[n > 0 ? n : 0] = '\0';
	close(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int husk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int husk(const char *fmt, ...)
{
	char words[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	return run(words);
}

static char *slurp(const char *name)
{
	CLEAN_FREE char *path = xasprintf("%s/%s", dir, name);

	return file_read_at(AT_FDCWD, path, 65536, NULL);
}

/* Wait (at most 5 s) until `husk state` says so. */
static bool becomes(const char *id, const char *status)
{
	CLEAN_FREE char *want = xasprintf("\"status\": \"%s\"", status);

	for (int i = 0; i < 250; i++) {
		if (husk("state %s", id) == 0 && strstr(output, want))
			return true;
		sleep_ms(20);
	}
	return false;
}

/* Nothing of the containers remains: state, cgroup directories, processes with our bundle. */
static void check_clean(void)
{
	CLEAN_FREE char *state = xasprintf("%s/state", dir);
	CLEAN_FREE char *cgroup = xasprintf("/husk-unit-%d", (int)getpid());
	DIR *d = opendir(state);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			UNIT_FAIL("left in the state root: %s", e->d_name);
	if (d)
		closedir(d);
	d = opendir("/sys/fs/cgroup");
	while (d && (e = readdir(d))) {
		CLEAN_FREE char *path = xasprintf("/sys/fs/cgroup/%s%s", e->d_name, cgroup);

		if (access(path, F_OK) == 0)
			UNIT_FAIL("left: %s", path);
	}
	if (d)
		closedir(d);
	/* subreaper: what outlived its parents came to us */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	if (waitpid(-1, NULL, WNOHANG) == 0)
		UNIT_FAIL("a process is left");
}

static void begin(const char *args, const char *hooks)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	bundle(args, hooks);
}

TEST(run_passes_the_exit_status_on_and_leaves_nothing)
{
	begin("\"exit\",\"42\"", "");
	CHECK_EQ(husk("run -b %s c1", dir), 42);
	CHECK_STR(output, "bye\n");
	check_clean();
	finish();
}

TEST(create_start_state_kill_delete)
{
	CLEAN_FREE char *pid = NULL, *cmdline = NULL;

	begin("\"wait\"", "");
	CHECK_EQ(husk("create -b %s --pid-file %s/pid c1", dir, dir), 0);
	CHECK_STR(output, "");
	pid = slurp("pid");
	REQUIRE(pid && atoi(pid) > 1);
	CHECK_EQ(strspn(pid, "0123456789"), strlen(pid));
	CHECK_EQ(husk("state c1"), 0);
	CHECK_CONTAINS(output, "\"status\": \"created\"");
	CHECK_CONTAINS(output, pid);
	CHECK_EQ(husk("create -b %s c1", dir), 1);
	CHECK_CONTAINS(output, "container with given ID already exists");
	CHECK_EQ(husk("start c1"), 0);
	CHECK_EQ(husk("start c1"), 1);
	CHECK_CONTAINS(output, "cannot start an already running container");
	CHECK_EQ(husk("delete c1"), 1);
	CHECK_CONTAINS(output, "cannot delete container c1 that is not stopped: running");
	CHECK_EQ(husk("ps --format json c1"), 0);
	cmdline = xasprintf("[%s]\n", pid);
	CHECK_STR(output, cmdline);
	CHECK_EQ(husk("kill c1 TERM"), 0);
	{
		int status = 0;

		CHECK_EQ(waitpid(atoi(pid), &status, 0), atoi(pid));
		CHECK_EQ(WEXITSTATUS(status), 128 + SIGTERM);
	}
	CHECK(becomes("c1", "stopped"));
	CHECK_CONTAINS(output, "\"pid\": 0");
	CHECK_EQ(husk("kill c1 9"), 1);
	CHECK_CONTAINS(output, "container not running");
	CHECK_EQ(husk("kill --all c1 9"), 0);
	CHECK_EQ(husk("start c1"), 1);
	CHECK_CONTAINS(output, "cannot start a container that has stopped");
	CHECK_EQ(husk("exec c1 x"), 255);
	CHECK_CONTAINS(output, "cannot exec in a stopped container");
	CHECK_EQ(husk("delete c1"), 0);
	CHECK_EQ(husk("delete c1"), 1);
	CHECK_CONTAINS(output, "does not exist");
	CHECK_EQ(husk("delete --force c1"), 0);
	CHECK_STR(output, "");
	check_clean();
	finish();
}

TEST(the_pid_in_the_pid_file_has_the_namespaces_and_the_cgroup)
{
	CLEAN_FREE char *pid = NULL, *cgroup = NULL, *want = NULL, *name = NULL;
	static const char *const ns[] = { "pid", "net", "ipc", "uts", "mnt" };

	begin("\"wait\"", "");
	CHECK_EQ(husk("create -b %s --pid-file %s/pid c1", dir, dir), 0);
	pid = slurp("pid");
	REQUIRE(pid);
	for (size_t i = 0; i < ARRAY_LEN(ns); i++) {
		char a[64], b[64] = "", c[64] = "";

		snprintf(a, sizeof(a), "/proc/%s/ns/%s", pid, ns[i]);
		CHECK(readlink(a, b, sizeof(b) - 1) > 0);
		snprintf(a, sizeof(a), "/proc/self/ns/%s", ns[i]);
		CHECK(readlink(a, c, sizeof(c) - 1) > 0);
		CHECK(strcmp(b, c) != 0);
	}
	name = xasprintf("/proc/%s/cgroup", pid);
	cgroup = file_read_at(AT_FDCWD, name, 65536, NULL);
	want = xasprintf(":/husk-unit-%d\n", (int)getpid());
	CHECK_CONTAINS(cgroup, want);
	CHECK_EQ(husk("delete c1"), 0); /* created: may be deleted without force */
	check_clean();
	finish();
}

TEST(a_missing_executable_fails_create_in_the_words_that_engines_match)
{
	begin("\"missing\"", "");
	CHECK_EQ(husk("--log %s/log --log-format json create -b %s --pid-file %s/pid c1", dir, dir, dir), 1);
	CHECK_CONTAINS(output,
		       "unable to start container process: exec: \"missing\": executable file not found in $PATH");
	{
		CLEAN_FREE char *log = slurp("log");

		CHECK_CONTAINS(log, "\"level\":\"error\"");
		CHECK_CONTAINS(log, "executable file not found in $PATH");
		CHECK(log && strchr(log, '\n') == log + strlen(log) - 1); /* one record */
	}
	{
		CLEAN_FREE char *pid = slurp("pid");

		CHECK(!pid);
	}
	check_clean();
	finish();
}

TEST(exec_relays_and_reports)
{
	begin("\"wait\"", "");
	CHECK_EQ(husk("run -d -b %s c1", dir), 0);
	CHECK_EQ(husk("exec c1 exit 7"), 7);
	CHECK_STR(output, "bye\n");
	CHECK_EQ(husk("exec c1 missing"), 255);
	CHECK_CONTAINS(output, "exec failed: unable to start container process: exec: \"missing\": "
			       "executable file not found in $PATH");
	CHECK_EQ(husk("exec -d --pid-file %s/epid c1 wait", dir), 0);
	{
		CLEAN_FREE char *pid = slurp("epid");
		CLEAN_FREE char *want = NULL;
		int status = 0;

		REQUIRE(pid);
		CHECK_EQ(husk("ps -f json c1"), 0);
		want = xasprintf(",%s]", pid);
		CHECK_CONTAINS(output, want);
		kill(atoi(pid), SIGUSR1); /* raw, as engines do */
		CHECK_EQ(waitpid(atoi(pid), &status, 0), atoi(pid));
		CHECK_EQ(WEXITSTATUS(status), 128 + SIGUSR1);
		CHECK_EQ(husk("ps -f json c1"), 0);
		CHECK(!strstr(output, want));
	}
	CHECK_EQ(husk("delete --force c1"), 0);
	check_clean();
	finish();
}

TEST(pause_and_resume)
{
	begin("\"wait\"", "");
	CHECK_EQ(husk("run -d -b %s c1", dir), 0);
	CHECK_EQ(husk("resume c1"), 1);
	CHECK_CONTAINS(output, "container not paused");
	CHECK_EQ(husk("pause c1"), 0);
	CHECK(becomes("c1", "paused"));
	CHECK_EQ(husk("exec c1 exit 1"), 255);
	CHECK_CONTAINS(output, "cannot exec in a paused container");
	CHECK_EQ(husk("resume c1"), 0);
	CHECK(becomes("c1", "running"));
	CHECK_EQ(husk("delete --force c1"), 0);
	check_clean();
	finish();
}

TEST(hooks_run_in_order_with_the_state_on_stdin)
{
	CLEAN_FREE char *hooks = NULL, *log = NULL;
#define HOOK(kind)                                                                                                     \
	"\"" kind "\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\"printf '%%s ' " kind " >>%s/log; cat >%s/" kind \
	"\"]}]"

	begin("\"exit\",\"0\"", "");
	hooks = xasprintf(HOOK("prestart") "," HOOK("createRuntime") "," HOOK("createContainer") "," HOOK(
				  "poststart") "," HOOK("poststop"),
			  dir, dir, dir, dir, dir, dir, dir, dir, dir, dir);
	bundle("\"wait\"", hooks);
	CHECK_EQ(husk("run -d -b %s c1", dir), 0);
	CHECK_EQ(husk("delete --force c1"), 0);
	log = slurp("log");
	CHECK_STR(log, "prestart createRuntime createContainer poststart poststop ");
	{
		CLEAN_FREE char *pre = slurp("prestart"), *start = slurp("poststart"), *stop = slurp("poststop");

		CHECK_CONTAINS(pre, "creating");
		CHECK_CONTAINS(start, "running");
		CHECK_CONTAINS(stop, "stopped");
	}
	check_clean();
	finish();
}

TEST(a_failing_prestart_hook_undoes_create)
{
	begin("\"wait\"",
	      "\"prestart\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\"echo why not >&2; exit 3\"]}]");
	CHECK_EQ(husk("create -b %s c1", dir), 1);
	CHECK_CONTAINS(output, "error running prestart hook #0");
	CHECK_CONTAINS(output, "exit status 3");
	CHECK_CONTAINS(output, "why not");
	check_clean();
	finish();
}

TEST(a_hook_that_hangs_is_killed_at_its_timeout)
{
	begin("\"wait\"", "\"createRuntime\":[{\"path\":\"/bin/sleep\",\"args\":[\"sleep\",\"100\"],\"timeout\":1}]");
	CHECK_EQ(husk("create -b %s c1", dir), 1);
	CHECK_CONTAINS(output, "timeout");
	check_clean();
	finish();
}

TEST(a_raw_sigkill_to_the_init_proxy_ends_the_container)
{
	CLEAN_FREE char *pid = NULL;

	begin("\"wait\"", "");
	CHECK_EQ(husk("run -d -b %s --pid-file %s/pid c1", dir, dir), 0);
	pid = slurp("pid");
	REQUIRE(pid);
	kill(atoi(pid), SIGKILL);
	CHECK(becomes("c1", "stopped"));
	CHECK_EQ(husk("delete c1"), 0);
	check_clean();
	finish();
}

TEST(a_dead_vmm_ends_the_container_with_137)
{
	CLEAN_FREE char *pid = NULL, *name = NULL, *children = NULL;
	int status = 0;

	begin("\"wait\"", "");
	CHECK_EQ(husk("run -d -b %s --pid-file %s/pid c1", dir, dir), 0);
	pid = slurp("pid");
	REQUIRE(pid);
	name = xasprintf("/proc/%s/task/%s/children", pid, pid);
	children = file_read_at(AT_FDCWD, name, 4096, NULL);
	REQUIRE(children && atoi(children) > 1);
	kill(atoi(children), SIGKILL);
	CHECK_EQ(waitpid(atoi(pid), &status, 0), atoi(pid));
	CHECK_EQ(WEXITSTATUS(status), 137);
	CHECK_EQ(husk("kill c1 9"), 1);
	CHECK_CONTAINS(output, "container not running");
	CHECK_EQ(husk("delete c1"), 0);
	check_clean();
	finish();
}

TEST(a_killed_create_is_cleaned_by_delete_force)
{
	/* at any moment: with an agent that never answers, so that create hangs */
	for (unsigned int ms = 0; ms < 100; ms += 7) {
		char *argv[] = { "husk", root_arg, "create", "-b", dir, "c1", NULL };
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		begin("\"mute\"", "");
		spawn(null, argv, 6);
		sleep_ms(ms);
		kill(last, SIGKILL);
		waitpid(last, NULL, 0);
		close(null);
		CHECK_EQ(husk("delete --force c1"), 0);
		for (int i = 0; i < 100 && waitpid(-1, NULL, WNOHANG) >= 0; i++)
			sleep_ms(10);
		check_clean();
	}
	finish();
}

TEST(an_interrupted_create_undoes_itself)
{
	char *argv[] = { "husk", root_arg, "create", "-b", dir, "c1", NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), status;

	begin("\"mute\"", "");
	spawn(null, argv, 6);
	sleep_ms(300);
	kill(last, SIGTERM);
	CHECK_EQ(waitpid(last, &status, 0), last);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	check_clean();
	finish();
}

TEST(an_oom_kill_leaves_the_file_that_engines_look_for)
{
	CLEAN_FREE char *mark = NULL;

	begin("\"oom\"", "");
	CHECK_EQ(husk("run -b %s c1", dir), 137);
	mark = slurp("oom");
	CHECK(mark);
	check_clean();
	finish();
}

static const char member_config[] =
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},"
	"\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\",\"io.kubernetes.cri.sandbox-id\":\"%s\"},"
	"\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"wait\"]},"
	"\"linux\":{\"cgroupsPath\":\"/husk-unit-%d-member\",\"namespaces\":[{\"type\":\"pid\"},"
	"{\"type\":\"network\",\"path\":\"/proc/%s/ns/net\"},{\"type\":\"ipc\",\"path\":\"/proc/%s/ns/ipc\"},"
	"{\"type\":\"uts\",\"path\":\"/proc/%s/ns/uts\"},{\"type\":\"mount\"}]}}";

TEST(a_container_of_a_pod_joins_the_vm_of_its_sandbox_and_dies_with_it)
{
	CLEAN_FREE char *pid = NULL, *member = NULL, *path = NULL, *text = NULL, *a = NULL, *b = NULL;
	char ns[2][64] = { "", "" };

	begin("\"wait\"", "");
	path = xasprintf("%s/config.json", dir);
	CHECK_EQ(husk("run -d -b %s --pid-file %s/pid sandbox", dir, dir), 0);
	pid = slurp("pid");
	REQUIRE(pid);
	text = xasprintf(member_config, "sandbox", (int)getpid(), pid, pid, pid);
	REQUIRE(file_replace_at(AT_FDCWD, path, text, strlen(text), 0644) == 0);
	CHECK_EQ(husk("run -d -b %s --pid-file %s/mpid member", dir, dir), 0);
	CHECK_STR(output, "");
	member = slurp("mpid");
	REQUIRE(member);
	a = xasprintf("/proc/%s/ns/net", pid);
	b = xasprintf("/proc/%s/ns/net", member);
	CHECK(readlink(a, ns[0], 63) > 0 && readlink(b, ns[1], 63) > 0);
	CHECK_STR(ns[0], ns[1]);
	{
		CLEAN_FREE char *children = xasprintf("/proc/%s/task/%s/children", member, member);
		CLEAN_FREE char *none = file_read_at(AT_FDCWD, children, 4096, NULL);

		CHECK_STR(none, ""); /* no VMM of its own */
	}
	CHECK_EQ(husk("exec member exit 5"), 5);
	CHECK_EQ(husk("kill sandbox 9"), 0);
	CHECK(becomes("sandbox", "stopped"));
	CHECK(becomes("member", "stopped"));
	CHECK_EQ(husk("delete member"), 0);
	CHECK_EQ(husk("delete sandbox"), 0);
	check_clean();
	finish();
}

TEST(the_network_of_another_runtime_s_container_is_not_taken_over)
{
	CLEAN_FREE char *path = NULL, *text = NULL;
	char pid[16];
	pid_t other;

	begin("\"wait\"", "");
	other = fork();
	if (!other) {
		if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0)
			pause();
		_exit(1);
	}
	sleep_ms(50);
	snprintf(pid, sizeof(pid), "%d", (int)other);
	path = xasprintf("%s/config.json", dir);
	text = xasprintf(member_config, "nobody", (int)getpid(), pid, pid, pid);
	REQUIRE(file_replace_at(AT_FDCWD, path, text, strlen(text), 0644) == 0);
	CHECK_EQ(husk("create -b %s c1", dir), 1);
	CHECK_CONTAINS(output, "belongs to a container that husk does not run");
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	check_clean();
	finish();
}

TEST(a_cgroup_that_others_live_in_is_refused_and_they_live_on)
{
	begin("\"wait\"", "");
	CHECK_EQ(husk("run -d -b %s c1", dir), 0);
	CHECK_EQ(husk("create -b %s c2", dir), 1); /* the same cgroupsPath */
	CHECK_CONTAINS(output, "container's cgroup is not empty: ");
	CHECK(becomes("c1", "running"));
	CHECK_EQ(husk("delete c2"), 1);
	CHECK_CONTAINS(output, "does not exist");
	CHECK_EQ(husk("delete --force c1"), 0);
	check_clean();
	finish();
}

TEST(a_cgroup_that_was_only_planned_is_not_killed)
{
	struct spec_pair planned = { "cgroups_planned", "1" };
	struct container c1, c2;
	struct error err;
	struct state s;
	char *root;

	begin("\"wait\"", "");
	CHECK_EQ(husk("run -d -b %s c1", dir), 0);
	root = xasprintf("%s/state", dir);
	REQUIRE(container_open(&c1, root, "c1", false, &err) == 0);
	REQUIRE(container_make(&c2, root, "c2", &err) == 0);
	/*
	 * what a create of c2 with the same cgroupsPath leaves when it is killed before it has looked who lives
	 * there
	 */
	s = *c1.state;
	s.id = s.vm_id = "c2";
	s.status = STATUS_CREATING;
	s.pid = s.vmm_pid = 0;
	s.extra = (struct spec_map){ &planned, 1 };
	CHECK_EQ(container_save(&c2, &s, &err), 0);
	container_close(&c2);
	container_close(&c1);
	CHECK_EQ(husk("delete --force c2"), 0);
	CHECK(becomes("c1", "running"));
	CHECK_EQ(husk("delete --force c1"), 0);
	check_clean();
	finish();
	free(root);
}

TEST(ids_are_checked)
{
	static const char *const bad[] = { "../x", "a/b", ".", "..", "a b", "a:b" };

	begin("\"exit\",\"0\"", "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *argv[] = { "husk", root_arg, "create", "-b", dir, (char *)bad[i], NULL };
		CLEAN_FREE char *name = xasprintf("%s/output", dir);
		int out = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), status;
		ssize_t n;

		spawn(out, argv, 6);
		waitpid(last, &status, 0);
		n = pread(out, output, sizeof(output) - 1, 0);
		output[n > 0 ? n : 0] = '\0';
		close(out);
		CHECK_EQ(WEXITSTATUS(status), 1);
		CHECK_CONTAINS(output, "invalid container ID format");
	}
	check_clean();
	finish();
}

TEST(a_state_from_before_a_reboot_is_stopped)
{
	CLEAN_FREE char *pid = NULL;
	struct container c;
	struct error err;
	struct state s;
	char *root;

	begin("\"wait\"", "");
	CHECK_EQ(husk("run -d -b %s --pid-file %s/pid c1", dir, dir), 0);
	root = xasprintf("%s/state", dir);
	REQUIRE(container_open(&c, root, "c1", false, &err) == 0);
	s = *c.state;
	s.boot_id = "00000000-0000-0000-0000-000000000000";
	CHECK_EQ(container_save(&c, &s, &err), 0);
	CHECK_EQ(container_status(&c), STATUS_STOPPED);
	CHECK_EQ(container_pid(&c), 0);
	container_close(&c);
	CHECK_EQ(husk("delete c1"), 0);
	/* delete must not have touched the process that has that pid now */
	pid = slurp("pid");
	REQUIRE(pid);
	CHECK_EQ(kill(atoi(pid), 0), 0);
	kill(atoi(pid), SIGKILL);
	waitpid(atoi(pid), NULL, 0);
	{
		CLEAN_FREE char *rm =
			xasprintf("find /sys/fs/cgroup -depth -name husk-unit-%d -exec rmdir {} +", (int)getpid());

		CHECK_EQ(system(rm), 0);
	}
	check_clean();
	finish();
	free(root);
}
