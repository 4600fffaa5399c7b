/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent makes of a plan: mounts, devices, credentials, limits, hooks, lookups, namespaces;
 * on this machine.
 */
// link: agent
#define UNIT_SECONDS 60
#include "tests/unit/agent_env.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

/* Run a plan to its end: its output; the exit is in *exit. */
static const char *run(struct pb *p, const char *cid, struct wire_exit *exit)
{
	static char out[2 * 65536];
	struct host *s = host_start(p, cid);

	out[0] = '\0';
	if (!s)
		return out;
	CHECK(host_run(s));
	snprintf(out, sizeof(out), "%s%s", s->out[0], s->out[1]);
	if (exit)
		*exit = s->exit;
	host_close(s);
	return out;
}

/* CREATE fails so, and leaves nothing. */
static void create_fails(struct pb *p, const char *cid, uint32_t stage, uint32_t err, const char *part)
{
	struct host *s = host_connect(), *other = host_connect();
	char text[1100];

	host_plan(s, p, WIRE_CREATE);
	CHECK(host_error(s, stage, err, text));
	CHECK_CONTAINS(text, part);
	host_frame(other, WIRE_START, 0, cid, strlen(cid));
	CHECK(host_error(other, STAGE_STATE, ENOENT, text));
	host_close(other);
	host_close(s);
}

AGENT_TEST(the_root_is_the_share_and_nothing_of_the_agent_shows)
{
	struct pb p;
	const char *out;

	pb_container(&p, "c1", "ls /; ls /run 2>&1; cat /proc/self/mountinfo | wc -l; readlink /proc/1/exe");
	out = run(&p, "c1", NULL);
	CHECK_CONTAINS(out, "bin\ndata\ndev\netc\nhome\nproc\nsys\ntmp\n");
	CHECK_CONTAINS(out, "ls: /run: No such file");
	CHECK_CONTAINS(out, "\n4\n"); /* /, /proc, /dev, /dev/pts */
	CHECK_CONTAINS(out, "/bin/busybox\n");
}

AGENT_TEST(a_process_has_three_descriptors_and_default_signals)
{
	const char *fds[] = { "/bin/ls", "/proc/self/fd", NULL }, *status[] = { "/bin/cat", "/proc/self/status", NULL };
	struct pb p;
	const char *out;

	pb_environment(&p, "c1");
	pb_pivot(&p);
	pb_op(&p, OP_ARGS, NULL, 0, "l", fds);
	CHECK_STR(run(&p, "c1", NULL), "0\n1\n2\n3\n"); /* 3 is the directory that it reads */
	pb_environment(&p, "c2");
	pb_pivot(&p);
	pb_op(&p, OP_ARGS, NULL, 0, "l", status);
	out = run(&p, "c2", NULL);
	CHECK_CONTAINS(out, "Umask:\t0022");
	CHECK_CONTAINS(out, "SigBlk:\t0000000000000000");
	CHECK_CONTAINS(out, "SigIgn:\t0000000000000000");
}

AGENT_TEST(users_groups_umask_and_home_are_the_plans)
{
	uint32_t gids[] = { 10, 20, 30 };
	struct plan_user u = { .uid = 1000, .gid = 1001, .umask = 027, .ngids = 3 };
	struct pb p;
	const char *out;

	pb_environment(&p, "c1");
	pb_pivot(&p);
	pb_op(&p, OP_CWD, NULL, 0, "s", "/tmp/new/dir");
	pb_op(&p, OP_USER, &u, sizeof(u), "b", gids, sizeof(gids));
	pb_shell(&p,
		 "grep -E '^(Uid|Gid|Groups)' /proc/self/status; umask; echo $HOME; pwd; stat -c %u:%a /tmp/new/dir; "
		 "echo x >/dev/fd/1; grep CapEff /proc/self/status");
	out = run(&p, "c1", NULL);
	CHECK_CONTAINS(out, "Uid:\t1000\t1000\t1000\t1000");
	CHECK_CONTAINS(out, "Gid:\t1001\t1001\t1001\t1001");
	CHECK_CONTAINS(out, "Groups:\t10 20 30");
	CHECK_CONTAINS(out, "0027\n/home/user\n/tmp/new/dir\n0:755\nx\n");
	CHECK_CONTAINS(out, "CapEff:\t0000000000000000");
}

AGENT_TEST(home_of_an_unknown_user_is_the_root_directory)
{
	struct pb p;

	pb_environment(&p, "c1");
	pb_pivot(&p);
	pb_user(&p, 4242, 4242);
	pb_shell(&p, "echo home=$HOME");
	CHECK_CONTAINS(run(&p, "c1", NULL), "home=/\n");
}

AGENT_TEST(capabilities_are_exactly_the_plans)
{
	struct plan_caps c = {
		.bounding = 0x21, .effective = 0x21, .permitted = 0x21, .inheritable = 0x20, .ambient = 0x20
	};
	struct pb p;
	const char *out;

	pb_environment(&p, "c1");
	pb_pivot(&p);
	pb_user(&p, 0, 0);
	pb_caps(&p, 0x21);
	pb_shell(&p, "grep Cap /proc/self/status");
	out = run(&p, "c1", NULL);
	CHECK_CONTAINS(out, "CapPrm:\t0000000000000021");
	CHECK_CONTAINS(out, "CapEff:\t0000000000000021");
	CHECK_CONTAINS(out, "CapBnd:\t0000000000000021");
	CHECK_CONTAINS(out, "CapAmb:\t0000000000000000");

	pb_environment(&p, "c2"); /* ambient ones survive for a user */
	pb_pivot(&p);
	pb_user(&p, 1000, 1000);
	pb_op(&p, OP_CAPS, &c, sizeof(c), "");
	pb_shell(&p, "grep Cap /proc/self/status");
	out = run(&p, "c2", NULL);
	CHECK_CONTAINS(out, "CapInh:\t0000000000000020");
	CHECK_CONTAINS(out, "CapEff:\t0000000000000020");
	CHECK_CONTAINS(out, "CapAmb:\t0000000000000020");
}

AGENT_TEST(limits_privileges_and_scores_are_set)
{
	struct plan_rlimit nofile = { .resource = 7, .soft = 100, .hard = 200 };
	struct plan_int score = { .value = 321 };
	struct pb p;
	const char *out;

	pb_environment(&p, "c1");
	pb_pivot(&p);
	pb_op(&p, OP_OOM_SCORE, &score, sizeof(score), "");
	pb_op(&p, OP_RLIMIT, &nofile, sizeof(nofile), "");
	pb_user(&p, 0, 0);
	pb_op(&p, OP_NO_NEW_PRIVS, NULL, 0, "");
	pb_shell(&p, "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status");
	out = run(&p, "c1", NULL);
	CHECK_CONTAINS(out, "100\n200\n321\n");
	CHECK_CONTAINS(out, "NoNewPrivs:\t1");
	pb_container(&p, "c2", "cat /proc/self/oom_score_adj");
	CHECK_STR(run(&p, "c2", NULL), "0\n");
}

/*
 * Refuse mkdir and mkdirat with EDOM; with `more`, sockets and everything newer than Linux 3.10
 * with EPERM.
 */
static void seccomp_op(struct pb *p, bool more)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, more ? SYS_sendmsg : 0xffff, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, more ? SYS_sendto : 0xffff, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, more ? SYS_kcmp : 0xffff, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
	};
	struct plan_seccomp s = { .count = sizeof(f) / sizeof(f[0]) };

	pb_op(p, OP_SECCOMP, &s, sizeof(s), "b", f, sizeof(f));
}

AGENT_TEST(a_filter_works_before_and_after_the_change_of_user)
{
	struct pb p;

	pb_environment(&p, "c1"); /* with no-new-privs: last */
	pb_pivot(&p);
	pb_op(&p, OP_CWD, NULL, 0, "s", "/");
	pb_user(&p, 1000, 1000);
	pb_op(&p, OP_NO_NEW_PRIVS, NULL, 0, "");
	seccomp_op(&p, false);
	pb_shell(&p, "mkdir /tmp/x; echo $?");
	CHECK_CONTAINS(run(&p, "c1", NULL), "Numerical argument out of domain\n");

	pb_environment(&p, "c2"); /* without: first, and the rest lives under an old profile */
	pb_pivot(&p);
	pb_op(&p, OP_CWD, NULL, 0, "s", "/");
	seccomp_op(&p, true);
	pb_user(&p, 1000, 1000);
	pb_caps(&p, 0);
	pb_shell(&p, "mkdir /tmp/x; echo $?");
	CHECK_CONTAINS(run(&p, "c2", NULL), "Numerical argument out of domain\n");
}

AGENT_TEST(mounts_have_their_flags_and_targets_are_made)
{
	struct plan_mount ro = { .flags = MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_REC, .opts = PLAN_MOUNT_BIND };
	struct plan_mount copyup = { .opts = PLAN_MOUNT_COPYUP };
	struct plan_mount optional = { .opts = PLAN_MOUNT_BIND | PLAN_MOUNT_OPTIONAL };
	struct pb p;
	const char *out;

	pb_environment(&p, "c1");
	pb_op(&p, OP_MOUNT, &ro, sizeof(ro), "ssss", PLAN_SHARES "/root/home", "/made/by/mount", "", "");
	pb_op(&p, OP_MOUNT, &ro, sizeof(ro), "ssss", PLAN_SHARES "/root/etc/passwd", "/made/file", "", "");
	pb_op(&p, OP_MOUNT, &copyup, sizeof(copyup), "ssss", "tmpfs", "/etc", "tmpfs", "size=1m");
	pb_op(&p, OP_MOUNT, &optional, sizeof(optional), "ssss", "/no/such", "/x", "", "");
	pb_pivot(&p);
	pb_op(&p, OP_REMOUNT_ROOT, NULL, 0, "");
	pb_user(&p, 0, 0);
	pb_caps(&p, ALL_CAPS);
	pb_shell(&p, "grep -E ' /made| /etc | / / ' /proc/self/mountinfo; "
		     "touch /made/by/mount/x /x; echo more >>/etc/passwd && "
		     "tail -n 1 /etc/passwd; head -n 1 /made/file; stat -c %a /etc");
	out = run(&p, "c1", NULL);
	CHECK_CONTAINS(out, "/made/by/mount ro,nosuid,noexec");
	CHECK_CONTAINS(out, "/made/file ro,nosuid,noexec");
	CHECK_CONTAINS(out, "touch: /made/by/mount/x: Read-only file system");
	CHECK_CONTAINS(out, "touch: /x: Read-only file system");
	CHECK_CONTAINS(out, "root:x:0:0");
	CHECK_CONTAINS(out, "755\n");
}

AGENT_TEST(links_of_the_image_do_not_lead_out_of_its_root)
{
	struct plan_mount bind = { .flags = MS_REC, .opts = PLAN_MOUNT_BIND };
	struct pb p;
	struct host *s;
	const char *out;

	/* the first container plants the links, the second is built over them */
	pb_container(&p, "c1",
		     "cd /data; busybox ln -s /../../../../.. up; busybox ln -s /not/there dangling; "
		     "busybox ln -s ../../../../tmp rel; busybox ln -s loop loop; mkdir real");
	(void)run(&p, "c1", NULL);
	pb_environment(&p, "c2");
	pb_op(&p, OP_MOUNT, &bind, sizeof(bind), "ssss", PLAN_SHARES "/root/home", "/data/up/escaped", "", "");
	pb_op(&p, OP_MOUNT, &bind, sizeof(bind), "ssss", PLAN_SHARES "/root/home", "/data/dangling/sub", "", "");
	pb_op(&p, OP_MOUNT, &bind, sizeof(bind), "ssss", PLAN_SHARES "/root/home", "/data/rel/inner", "", "");
	pb_op(&p, OP_MOUNT, &bind, sizeof(bind), "ssss", PLAN_SHARES "/root/home", "/../../climb", "", "");
	pb_pivot(&p);
	pb_user(&p, 0, 0);
	pb_shell(&p, "cut -d' ' -f5 /proc/self/mountinfo");
	out = run(&p, "c2", NULL);
	CHECK_CONTAINS(out, "\n/escaped\n");
	CHECK_CONTAINS(out, "\n/not/there/sub\n");
	CHECK_CONTAINS(out, "\n/tmp/inner\n");
	CHECK_CONTAINS(out, "\n/climb\n");

	pb_environment(&p, "c3");
	pb_op(&p, OP_MOUNT, &bind, sizeof(bind), "ssss", PLAN_SHARES "/root/home", "/data/loop/x", "", "");
	pb_pivot(&p);
	create_fails(&p, "c3", STAGE_SETUP, ELOOP, "/data/loop/x");
	/* proc and sysfs must not follow any */
	pb_environment(&p, "c4");
	pb_mount(&p, "proc", "/data/rel", "proc", "", 0, 0);
	create_fails(&p, "c4", STAGE_SETUP, ELOOP, "/data/rel");
	s = host_connect();
	CHECK(host_request(s, WIRE_DESTROY, "c4"));
	host_close(s);
}

AGENT_TEST(masked_and_readonly_paths_are_covered)
{
	struct pb p;
	const char *out;

	pb_environment(&p, "c1");
	pb_pivot(&p);
	pb_op(&p, OP_MASK, NULL, 0, "s", "/proc/kallsyms");
	pb_op(&p, OP_MASK, NULL, 0, "s", "/proc/cmdline");
	pb_op(&p, OP_MASK, NULL, 0, "s", "/home");
	pb_op(&p, OP_MASK, NULL, 0, "s", "/proc/irq");
	pb_op(&p, OP_MASK, NULL, 0, "s", "/not/there");
	pb_op(&p, OP_READONLY, NULL, 0, "s", "/proc/sys");
	pb_op(&p, OP_READONLY, NULL, 0, "s", "/data");
	pb_op(&p, OP_READONLY, NULL, 0, "s", "/not/there");
	pb_user(&p, 0, 0);
	pb_caps(&p, ALL_CAPS);
	pb_shell(&p, "cat /proc/kallsyms /proc/cmdline; ls /home /proc/irq; touch /home/x; touch /data/x; "
		     "echo 1 >/proc/sys/kernel/domainname; stat -c '%F %t:%T' /proc/cmdline");
	out = run(&p, "c1", NULL);
	CHECK_CONTAINS(out, "/home:\n\n/proc/irq:\ncharacter special file 1:3\n");
	CHECK_CONTAINS(out, "touch: /home/x: Read-only file system");
	CHECK_CONTAINS(out, "touch: /data/x: Read-only file system");
	CHECK_CONTAINS(out, "domainname: Read-only file system");
}

AGENT_TEST(devices_are_made_and_a_different_file_in_their_place_is_an_error)
{
	struct plan_mknod fifo = { .mode = S_IFIFO | 0640, .uid = 5, .gid = 6 };
	struct pb p;
	const char *out;

	pb_environment(&p, "c1");
	pb_op(&p, OP_MKNOD, &fifo, sizeof(fifo), "s", "/dev/sub/pipe");
	pb_node(&p, "/dev/null", 1, 3); /* a second time: the same device */
	pb_pivot(&p);
	pb_user(&p, 0, 0);
	pb_shell(&p, "stat -c '%n %F %u:%g %a' /dev/sub/pipe; "
		     "stat -c '%n %t:%T %a' /dev/null /dev/zero; echo gone >/dev/null");
	out = run(&p, "c1", NULL);
	CHECK_CONTAINS(out, "/dev/sub/pipe fifo 5:6 640\n");
	CHECK_CONTAINS(out, "/dev/null 1:3 666\n/dev/zero 1:5 666\n");
	pb_environment(&p, "c2");
	pb_node(&p, "/dev/null", 1, 5);
	create_fails(&p, "c2", STAGE_SETUP, EEXIST, "/dev/null");
}

AGENT_TEST(executables_are_looked_up_at_create_as_the_user)
{
	static const struct {
		const char *arg0;
		uint32_t err;
	} cases[] = {
		{ "nonesuch", ENOENT },	 { "/nonesuch", ENOENT },     { "/bin/notexec", EACCES },
		{ "notexec", ENOENT },	 { "/bin", EISDIR },	      { "/etc/passwd/x", ENOTDIR },
		{ "", ENOENT },		 { "/proc/self/exe", ELOOP }, { "/proc/self/fd/0", ELOOP },
		{ "/dev/null", EACCES }, { "./bin", EISDIR },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *args[] = { cases[i].arg0, NULL }, *env[] = { "PATH=/sbin:/bin", NULL };
		struct pb p;

		pb_environment(&p, "c1");
		pb_pivot(&p);
		pb_op(&p, OP_CWD, NULL, 0, "s", "/");
		pb_user(&p, 1000, 1000);
		pb_op(&p, OP_ARGS, NULL, 0, "l", args);
		pb_op(&p, OP_ENV, NULL, 0, "l", env);
		create_fails(&p, "c1", STAGE_LOOKUP, cases[i].err, cases[i].arg0);
	}
}

AGENT_TEST(execution_that_fails_at_start_is_told_to_the_starter_and_ends_the_container)
{
	const char *args[] = { "/bin/badscript", NULL };
	struct host *s = host_connect(), *other = host_connect();
	char text[1100];
	struct pb p;

	pb_environment(&p, "c1");
	pb_pivot(&p);
	pb_op(&p, OP_ARGS, NULL, 0, "l", args);
	host_plan(s, &p, WIRE_CREATE);
	CHECK(host_ok(s));
	host_frame(other, WIRE_START, 0, "c1", 2);
	CHECK(host_error(other, STAGE_EXEC, ENOENT, text));
	CHECK_STR(text, "/bin/badscript");
	CHECK(host_run(s));
	CHECK_EQ(s->exit.code, 127);
	host_frame(other, WIRE_START, 0, "c1", 2);
	CHECK(host_error(other, STAGE_STATE, 0, text));
	CHECK_CONTAINS(text, "cannot start a container that has stopped");
	host_close(other);
	host_close(s);
}

AGENT_TEST(a_directory_that_the_user_may_not_enter_is_a_cwd_error)
{
	struct pb p;

	pb_container(&p, "c1", "chmod 700 /data; mkdir /data/deep");
	(void)run(&p, "c1", NULL);
	pb_environment(&p, "c2");
	pb_pivot(&p);
	pb_user(&p, 1000, 1000);
	pb_op(&p, OP_CWD, NULL, 0, "s", "/data/deep");
	pb_shell(&p, "pwd");
	create_fails(&p, "c2", STAGE_CWD, EACCES, "/data/deep");
	/* no descriptor of the agent's serves as a way out */
	for (int fd = 0; fd < 12; fd++) {
		char dir[64];

		snprintf(dir, sizeof(dir), "/proc/self/fd/%d", fd);
		pb_environment(&p, "c3");
		pb_pivot(&p);
		pb_op(&p, OP_CWD, NULL, 0, "s", dir);
		pb_user(&p, 0, 0);
		pb_shell(&p, "pwd; ls");
		create_fails(&p, "c3", STAGE_CWD, 0, "/proc/self/fd");
	}
}

AGENT_TEST(hooks_run_before_the_process_with_their_state_and_limits)
{
	const char *hook_args[] = { "hook", "a b", NULL }, *hook_env[] = { "X=y", NULL };
	const char *bad_args[] = { "sh", "-c", "echo reason >&2; exit 3", NULL }, *none[] = { NULL };
	const char *slow_args[] = { "sleep", "60", NULL };
	struct plan_int no_limit = { 0 }, one_second = { .value = 1 };
	struct host *s;
	char text[1100];
	struct pb p;
	const char *out;

	pb_container(&p, "c1",
		     "printf '#!/bin/sh\\n(echo \"$0 $1 $X\"; /bin/cat; echo; /bin/id -u) >/tmp/hook.out\\n' "
		     ">/data/hook; chmod 755 /data/hook; chmod 777 /data");
	(void)run(&p, "c1", NULL);
	pb_container(&p, "c2", "cat /tmp/hook.out; touch /tmp/ran");
	pb_op(&p, OP_HOOK, &no_limit, sizeof(no_limit), "slls", "/data/hook", hook_args, hook_env, "{\"state\":1}");
	out = run(&p, "c2", NULL);
	CHECK_STR(out, "/data/hook a b y\n{\"state\":1}\n0\n");

	for (int slow = 0; slow < 2; slow++) {
		pb_container(&p, "c3", "echo must not run");
		pb_op(&p, OP_HOOK, &one_second, sizeof(one_second), "slls", slow ? "/bin/sleep" : "/bin/sh",
		      slow ? slow_args : bad_args, none, "{}");
		s = host_connect();
		host_plan(s, &p, WIRE_CREATE);
		REQUIRE(host_ok(s));
		host_frame(s, WIRE_START, 0, "c3", 2);
		CHECK(host_error(s, STAGE_HOOK, slow ? ETIMEDOUT : EIO, text));
		CHECK_CONTAINS(text, slow ? "not done after 1 s" : "exit status 3: reason");
		CHECK(host_run(s));
		CHECK_EQ(s->exit.code, 1);
		CHECK_EQ(s->exit.signal, 0);
		CHECK_STR(s->out[0], "");
		host_close(s);
	}
}

AGENT_TEST(a_user_namespace_has_its_maps_and_devices_are_bound)
{
	struct plan_idmap uids = { .gid = 0, .container_id = 0, .host_id = 200000, .size = 65536 };
	struct plan_idmap gids = { .gid = 1, .container_id = 0, .host_id = 300000, .size = 65536 };
	struct plan_root root = { 0 };
	struct host *s, *e;
	struct pb p;

	pb_begin(&p, PLAN_CONTAINER);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "c1");
	pb_ns(&p, CLONE_NEWUSER, "");
	pb_op(&p, OP_IDMAP, &uids, sizeof(uids), "");
	pb_op(&p, OP_IDMAP, &gids, sizeof(gids), "");
	pb_ns(&p, CLONE_NEWPID, "");
	pb_ns(&p, CLONE_NEWNS, "");
	pb_ns(&p, CLONE_NEWIPC, "");
	pb_ns(&p, CLONE_NEWUTS, "");
	pb_ns(&p, CLONE_NEWCGROUP, "");
	pb_op(&p, OP_ROOT, &root, sizeof(root), "s", PLAN_SHARES "/root");
	pb_mount(&p, "proc", "/proc", "proc", "", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
	pb_mount(&p, "tmpfs", "/dev", "tmpfs", "mode=755", MS_NOSUID, 0);
	pb_mount(&p, "devpts", "/dev/pts", "devpts", "newinstance,ptmxmode=0666", MS_NOSUID | MS_NOEXEC, 0);
	pb_mount(&p, "sysfs", "/sys", "sysfs", "", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, 0);
	pb_node(&p, "/dev/null", 1, 3);
	pb_pivot(&p);
	pb_op(&p, OP_CWD, NULL, 0, "s", "/");
	pb_user(&p, 1000, 1000);
	pb_shell(&p,
		 "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; id -u; id -g; echo x >/dev/null && echo null; "
		 "echo re >/proc/self/fd/2; ls /sys | head -n 1; cat /proc/self/oom_score_adj; cat");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_expect(s, 0, "block\n0\n"));
	CHECK_CONTAINS(s->out[0], " 0 200000 65536\n 0 300000 65536\n1000\n1000\nnull\n");
	CHECK(host_expect(s, 1, "re\n"));

	e = host_connect();
	pb_exec(&p, "c1",
		"cat /proc/self/uid_map | tr -s ' '; id -u; echo y >/proc/self/fd/1; kill -9 -1 2>&1; echo $?");
	host_plan(e, &p, WIRE_EXEC);
	REQUIRE(host_ok(e));
	CHECK(host_run(e));
	CHECK_CONTAINS(e->out[0], " 0 200000 65536\n0\ny\n");
	host_close(e);
	host_close(s);
}

AGENT_TEST(containers_of_a_pod_join_namespaces)
{
	struct plan_root root = { 0 };
	struct host *s, *t;
	struct pb p;

	pb_container(&p, "sandbox", "sleep 1000");
	s = host_start(&p, "sandbox");
	REQUIRE(s);
	pb_begin(&p, PLAN_CONTAINER);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "app");
	pb_ns(&p, CLONE_NEWPID, "sandbox");
	pb_ns(&p, CLONE_NEWUTS, "sandbox");
	pb_ns(&p, CLONE_NEWIPC, "sandbox");
	pb_ns(&p, CLONE_NEWNS, "");
	pb_op(&p, OP_ROOT, &root, sizeof(root), "s", PLAN_SHARES "/root");
	pb_mount(&p, "proc", "/proc", "proc", "", 0, 0);
	pb_op(&p, OP_PIVOT, &(struct plan_pivot){ 0 }, sizeof(struct plan_pivot), "");
	pb_user(&p, 0, 0);
	pb_shell(&p, "hostname; tr '\\0' ' ' </proc/1/cmdline; sleep 500 & echo; echo $$ | grep -vx 1 && exit 4");
	t = host_start(&p, "app");
	REQUIRE(t);
	CHECK(host_run(t));
	CHECK_CONTAINS(t->out[0], "inside\nsleep 1000");
	CHECK_EQ(t->exit.code, 4);
	host_close(t); /* and its background process is gone: agent_end() finds no cgroup left */
	host_close(s);
}

AGENT_TEST(a_pod_with_a_user_namespace_goes_through_a_helper)
{
	struct plan_idmap uids = { .gid = 0, .host_id = 200000, .size = 65536 };
	struct plan_idmap gids = { .gid = 1, .host_id = 200000, .size = 65536 };
	struct plan_root root = { 0 };
	struct host *s, *t;
	struct pb p;

	pb_begin(&p, PLAN_CONTAINER);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "sandbox");
	pb_ns(&p, CLONE_NEWUSER, "");
	pb_op(&p, OP_IDMAP, &uids, sizeof(uids), "");
	pb_op(&p, OP_IDMAP, &gids, sizeof(gids), "");
	pb_ns(&p, CLONE_NEWPID, "");
	pb_ns(&p, CLONE_NEWUTS, "");
	pb_ns(&p, CLONE_NEWIPC, "");
	pb_op(&p, OP_ROOT, &root, sizeof(root), "s", PLAN_SHARES "/root");
	pb_pivot(&p);
	pb_shell(&p, "sleep 1000");
	s = host_start(&p, "sandbox");
	REQUIRE(s);
	pb_begin(&p, PLAN_CONTAINER);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "app");
	pb_ns(&p, CLONE_NEWUSER, "sandbox");
	pb_ns(&p, CLONE_NEWUTS, "sandbox");
	pb_ns(&p, CLONE_NEWIPC, "sandbox");
	pb_ns(&p, CLONE_NEWPID, "");
	pb_ns(&p, CLONE_NEWNS, "");
	pb_ns(&p, CLONE_NEWCGROUP, "");
	pb_op(&p, OP_ROOT, &root, sizeof(root), "s", PLAN_SHARES "/root");
	pb_mount(&p, "proc", "/proc", "proc", "", 0, 0);
	pb_op(&p, OP_PIVOT, &(struct plan_pivot){ 0 }, sizeof(struct plan_pivot), "");
	pb_user(&p, 7, 7);
	pb_shell(&p, "hostname; id -u; echo pid $$; tr -s ' ' </proc/self/uid_map; "
		     "echo z >/dev/fd/1; cat /proc/self/oom_score_adj; "
		     "exit 6");
	t = host_start(&p, "app");
	REQUIRE(t);
	CHECK(host_run(t));
	CHECK_CONTAINS(t->out[0], "inside\n7\npid 1\n 0 200000 65536\n");
	CHECK_EQ(t->exit.code, 6);
	host_close(t);
	host_close(s);
}

AGENT_TEST(a_joined_container_must_be_running)
{
	struct pb p;

	pb_begin(&p, PLAN_CONTAINER);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "app");
	pb_ns(&p, CLONE_NEWUTS, "nobody");
	create_fails(&p, "app", STAGE_STATE, ESRCH, "nobody");
}

AGENT_TEST(time_offsets_hold_for_the_container_and_its_execs)
{
	struct plan_timeoffset boot = { .clock = CLOCK_BOOTTIME, .sec = 1000000 };
	struct host *s, *e;
	struct pb p;

	pb_environment(&p, "c1");
	pb_ns(&p, CLONE_NEWTIME, "");
	pb_op(&p, OP_TIMEOFFSET, &boot, sizeof(boot), "");
	pb_pivot(&p);
	pb_user(&p, 0, 0);
	pb_shell(&p, "cut -d. -f1 /proc/uptime | sed 's/^/up /'; cat");
	s = host_start(&p, "c1");
	REQUIRE(s);
	CHECK(host_expect(s, 0, "\n"));
	CHECK(atoi(s->out[0] + 3) > 1000000);
	e = host_connect();
	pb_exec(&p, "c1", "cut -d. -f1 /proc/uptime");
	host_plan(e, &p, WIRE_EXEC);
	CHECK(host_ok(e));
	CHECK(host_run(e));
	CHECK(atoi(e->out[0]) > 1000000);
	host_close(e);
	host_close(s);
}

AGENT_TEST(sysctls_of_own_namespaces_are_written)
{
	struct pb p;

	pb_environment(&p, "c1");
	pb_ns(&p, CLONE_NEWNET, "");
	pb_op(&p, OP_SYSCTL, NULL, 0, "ss", "kernel.shmmni", "1234");
	pb_op(&p, OP_SYSCTL, NULL, 0, "ss", "net/ipv4/ip_unprivileged_port_start", "77");
	pb_pivot(&p);
	pb_op(&p, OP_SYSCTL, NULL, 0, "ss", "kernel.msgmax", "4321");
	pb_user(&p, 0, 0);
	pb_shell(&p, "cd /proc/sys; cat kernel/shmmni net/ipv4/ip_unprivileged_port_start kernel/msgmax; "
		     "grep -c . /proc/net/dev");
	CHECK_CONTAINS(run(&p, "c1", NULL), "1234\n77\n4321\n");
	pb_environment(&p, "c2");
	pb_op(&p, OP_SYSCTL, NULL, 0, "ss", "kernel/../../self/comm", "x");
	create_fails(&p, "c2", STAGE_SETUP, EINVAL, "write sysctl key kernel/../../self/comm");
}

AGENT_TEST(plans_that_ask_for_nonsense_fail_and_leave_nothing)
{
	struct plan_ns odd = { .clone_flag = 3 };
	struct pb p;

	pb_begin(&p, PLAN_CONTAINER);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "c1");
	pb_op(&p, OP_NAMESPACE, &odd, sizeof(odd), "s", "");
	create_fails(&p, "c1", STAGE_PROTOCOL, EINVAL, "namespace");
	pb_environment(&p, "c1");
	pb_op(&p, OP_CGROUP_WRITE, NULL, 0, "ss", "../cgroup.procs", "1");
	create_fails(&p, "c1", STAGE_SETUP, EINVAL, "cgroup file");
	pb_environment(&p, "c1");
	pb_op(&p, OP_CGROUP_WRITE, NULL, 0, "ss", "no.such", "1");
	create_fails(&p, "c1", STAGE_SETUP, 0, "no.such");
	pb_begin(&p, PLAN_CONTAINER);
	pb_op(&p, OP_CONTAINER, NULL, 0, "s", "c1");
	pb_op(&p, OP_ROOT, &(struct plan_root){ 0 }, sizeof(struct plan_root), "s", PLAN_SHARES "/missing");
	create_fails(&p, "c1", STAGE_SETUP, ENOENT, "root file system");
	pb_environment(&p, "c1");
	pb_mount(&p, "x", "/x", "nosuchfs", "", 0, 0);
	create_fails(&p, "c1", STAGE_SETUP, ENODEV, "error mounting \"x\" to rootfs at \"/x\"");
}
