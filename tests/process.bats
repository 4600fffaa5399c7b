#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# process of config.json: what the program is given, seen by itself.

load lib/common

# The container's program is the probe: its facts are in $out.
facts() {
	given "${1:-.} | .process.args = [\"inside\", \"facts\"]" "${@:2}"
	must rt run -b "$B" "$C"
}

bit() { is "$((0x$(fact_value "$1") >> $2 & 1))" "$3" "bit $2 of $1"; }

@test "user, group and additional groups are those of config.json" {
	facts '.process.user = {uid: 1000, gid: 1001, additionalGids: [5, 6, 100000]}'
	fact uid 1000
	fact euid 1000
	fact gid 1001
	fact egid 1001
	matches "$(fact_value groups)" '5,6(,1001)?,100000'
}

@test "large user and group numbers arrive whole" {
	facts '.process.user = {uid: 2147483646, gid: 2147483647} | .process.cwd = "/tmp"'
	fact uid 2147483646
	fact gid 2147483647
}

@test "without additional groups there are none of the runtime's own" {
	facts .
	matches "$(fact_value groups)" '^0?$'
}

@test "umask is that of config.json, 0022 when it has none" {
	facts '.process.user.umask = 63'
	fact umask 0077
	facts 'del(.process.user.umask)'
	fact umask 0022
}

@test "cwd is that of config.json, made when missing" {
	facts '.process.cwd = "/made/by/the/runtime"'
	fact cwd /made/by/the/runtime
	[ -d "$B/rootfs/made/by/the/runtime" ]
}

@test "a cwd that is a file is an error with the words that engines match" {
	given '.process.cwd = "/etc/passwd" | .process.args = ["true"]'
	must_fail rt run -b "$B" "$C"
	has "$err" 'not a directory'
	try rt delete --force "$C"
	no_leaks
}

@test "a relative cwd is refused" {
	given '.process.cwd = "relative" | .process.args = ["true"]'
	must_fail rt run -b "$B" "$C"
	matches "$err" "[Cc]wd"
}

@test "capabilities are exactly the sets of config.json" {
	facts '.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_TIME"], effective: ["CAP_CHOWN"], permitted: ["CAP_CHOWN", "CAP_KILL"], inheritable: ["CAP_KILL"], ambient: []}'
	fact cap_bounding 0000000002000021
	# execve as root takes permitted and effective from the bounding and inheritable sets
	bit cap_permitted 0 1
	bit cap_permitted 5 1
	bit cap_permitted 21 0
	fact cap_ambient 0000000000000000
}

@test "without capabilities in config.json a root program has none" {
	facts 'del(.process.capabilities)'
	fact cap_effective 0000000000000000
	fact cap_permitted 0000000000000000
	fact cap_bounding 0000000000000000
}

@test "ambient capabilities reach a program that is not root" {
	facts '.process.user = {uid: 1000, gid: 1000} | .process.capabilities = {bounding: ["CAP_NET_BIND_SERVICE"], effective: ["CAP_NET_BIND_SERVICE"], permitted: ["CAP_NET_BIND_SERVICE"], inheritable: ["CAP_NET_BIND_SERVICE"], ambient: ["CAP_NET_BIND_SERVICE"]}'
	fact cap_effective 0000000000000400
	fact cap_permitted 0000000000000400
	fact cap_inheritable 0000000000000400
	fact cap_ambient 0000000000000400
}

@test "a program that is not root has no effective capabilities unless ambient" {
	facts '.process.user = {uid: 1000, gid: 1000}'
	fact cap_effective 0000000000000000
	fact cap_bounding 00000000a80425fb
}

@test "what capabilities allow works, and what they do not fails" {
	inside . 'inside try chown mknod rawsocket bind80; inside try mount unshare settime sethostname nice kexec'
	for t in chown mknod rawsocket bind80; do fact $t ok; done
	for t in mount unshare settime sethostname; do fact $t EPERM; done
	matches "$(fact_value kexec)" 'EPERM|ENOSYS'
	fact nice EACCES
}

@test "a capability that does not exist is skipped, not an error" {
	facts '.process.capabilities.bounding += ["CAP_NO_SUCH_THING"]'
	fact cap_bounding 00000000a80425fb
}

@test "every rlimit of config.json is set, soft and hard" {
	facts '.process.rlimits = [
		{type: "RLIMIT_NOFILE", soft: 512, hard: 1000}, {type: "RLIMIT_NPROC", soft: 111, hard: 222}, {type: "RLIMIT_CORE", soft: 0, hard: 0},
		{type: "RLIMIT_FSIZE", soft: 1000000, hard: 2000000}, {type: "RLIMIT_STACK", soft: 4194304, hard: 8388608}, {type: "RLIMIT_DATA", soft: 900000000, hard: 900000000},
		{type: "RLIMIT_AS", soft: 9000000000, hard: 9000000000}, {type: "RLIMIT_CPU", soft: 1000, hard: 2000}, {type: "RLIMIT_MEMLOCK", soft: 65536, hard: 65536},
		{type: "RLIMIT_SIGPENDING", soft: 500, hard: 600}, {type: "RLIMIT_MSGQUEUE", soft: 10000, hard: 20000}, {type: "RLIMIT_NICE", soft: 5, hard: 10},
		{type: "RLIMIT_RTPRIO", soft: 3, hard: 4}, {type: "RLIMIT_RTTIME", soft: 1000000, hard: 2000000}, {type: "RLIMIT_LOCKS", soft: 8, hard: 9}, {type: "RLIMIT_RSS", soft: 70000, hard: 80000}]'
	fact rlimit_nofile 512:1000
	fact rlimit_nproc 111:222
	fact rlimit_core 0:0
	fact rlimit_fsize 1000000:2000000
	fact rlimit_stack 4194304:8388608
	fact rlimit_data 900000000:900000000
	fact rlimit_as 9000000000:9000000000
	fact rlimit_cpu 1000:2000
	fact rlimit_memlock 65536:65536
	fact rlimit_sigpending 500:600
	fact rlimit_msgqueue 10000:20000
	fact rlimit_nice 5:10
	fact rlimit_rtprio 3:4
	fact rlimit_rttime 1000000:2000000
	fact rlimit_locks 8:9
	fact rlimit_rss 70000:80000
}

@test "docker's and podman's large limits can be set: a million open files and processes, infinity" {
	given '.process.args = ["inside", "facts"] | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 1048576, hard: 1048576}, {type: "RLIMIT_NPROC", soft: 1048576, hard: 1048576}, {type: "RLIMIT_MEMLOCK", soft: 4711, hard: 4711}]'
	# jq would round it
	sed -i 's/4711/18446744073709551615/' "$B/config.json"
	must rt run -b "$B" "$C"
	fact rlimit_nofile 1048576:1048576
	fact rlimit_nproc 1048576:1048576
	fact rlimit_memlock unlimited:unlimited
}

@test "an unknown or a doubled rlimit is refused" {
	given '.process.args = ["true"] | .process.rlimits = [{type: "RLIMIT_NOSUCH", soft: 1, hard: 1}]'
	must_fail rt run -b "$B" "$C"
	has "$err" RLIMIT_NOSUCH
	given '.process.rlimits = [{type: "RLIMIT_CORE", soft: 1, hard: 1}, {type: "RLIMIT_CORE", soft: 2, hard: 2}]'
	try rt run -b "$B" "$C"
	if is_husk; then [ $rc -ne 0 ]; fi
}

@test "noNewPrivileges is set when config.json says so, and only then" {
	facts '.process.noNewPrivileges = true'
	fact no_new_privs 1
	facts '.process.noNewPrivileges = false'
	fact no_new_privs 0
}

@test "noNewPrivileges keeps a set-user-id program from becoming root" {
	bundle
	cp "$B/rootfs/bin/inside" "$B/rootfs/bin/suid"
	chmod 4755 "$B/rootfs/bin/suid"
	given '.process.user = {uid: 1000, gid: 1000} | .process.args = ["suid", "facts"]'
	must rt run -b "$B" "$C"
	fact euid 0
	given '.process.noNewPrivileges = true'
	must rt run -b "$B" "$C"
	fact euid 1000
}

@test "oomScoreAdj is that of config.json, for the program and on the host for its process" {
	given '.process.oomScoreAdj = 321 | .process.args = ["/bin/sh", "-c", "inside facts; sleep 1000"]'
	launch
	wait_output oom_score_adj
	file_has "$T/stdout" oom_score_adj=321
	is "$(<"/proc/$PID/oom_score_adj")" 321
}

@test "seccomp: a listed call fails with the errno of config.json, others work, and the program is filtered" {
	given '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], syscalls: [
		{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95}, {names: ["chmod", "fchmodat"], action: "SCMP_ACT_ERRNO"}, {names: ["no_such_call_of_the_future"], action: "SCMP_ACT_ERRNO"}]}'
	inside . 'inside facts; inside try mkdir chmod getcwd mknod'
	fact seccomp 2
	fact mkdir EOPNOTSUPP
	fact chmod EPERM
	fact getcwd ok
	fact mknod ok
}

@test "seccomp: arguments are compared, and a default that denies leaves what is allowed" {
	given '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"], syscalls: [
		{names: ["personality"], action: "SCMP_ACT_ERRNO", errnoRet: 22, args: [{index: 0, value: 8, op: "SCMP_CMP_EQ"}]},
		{names: ["getpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 95, args: [{index: 0, value: 0, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ"}]}]}'
	inside . 'inside try personality_query personality_set getpriority'
	fact personality_query ok
	fact personality_set EINVAL
	fact getpriority EOPNOTSUPP
}

@test "seccomp: a call whose action is to kill ends the program with SIGSYS" {
	given '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"], syscalls: [{names: ["personality"], action: "SCMP_ACT_KILL_PROCESS"}]}'
	inside . 'inside try personality_set; echo "status=$?"'
	fact status 159
}

@test "seccomp: docker's default profile in short, an allow-list, runs a shell" {
	given '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1, architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], syscalls: [{names: $names, action: "SCMP_ACT_ALLOW"}]}' --argjson names '[
		"access","arch_prctl","brk","capget","capset","chdir","clone","clone3","close","close_range","dup","dup2","dup3","epoll_ctl","epoll_pwait","execve","exit","exit_group",
		"faccessat","faccessat2","fchdir","fchown","fcntl","fstat","fstatfs","futex","getcwd","getdents64","getegid","geteuid","getgid","getgroups","getpgid","getpgrp","getpid",
		"getppid","getpriority","getrandom","getresgid","getresuid","getrlimit","getsid","gettid","getuid","ioctl","ioprio_get","kill","lseek","lstat","madvise","mkdir","mkdirat","mmap",
		"mprotect","mremap","munmap","nanosleep","clock_nanosleep","clock_gettime","newfstatat","open","openat","openat2","pause","personality","pipe","pipe2","poll","ppoll","prctl","pread64",
		"prlimit64","pwrite64","read","readlink","readlinkat","readv","rseq","rt_sigaction","rt_sigprocmask","rt_sigreturn","rt_sigsuspend","sched_getaffinity","sched_getparam","sched_getscheduler",
		"sched_yield","select","pselect6","set_robust_list","set_tid_address","setgid","setgroups","setpgid","setresgid","setresuid","setsid","setuid","sigaltstack","stat","statfs","statx","sysinfo",
		"tgkill","time","umask","uname","unlink","unlinkat","vfork","wait4","waitid","write","writev"]'
	inside . 'inside facts; inside try mkdir mknod; echo end'
	fact seccomp 2
	fact mkdir ok
	fact mknod EPERM
	has_line "$out" end
}

@test "seccomp: an unknown action, operator or architecture is refused" {
	for f in '.defaultAction = "SCMP_ACT_NOSUCH"' '.syscalls[0].action = "SCMP_ACT_NOSUCH"' '.architectures = ["SCMP_ARCH_NOSUCH"]' '.syscalls[0].args = [{index: 0, value: 1, op: "SCMP_CMP_NOSUCH"}]'; do
		given '.process.args = ["true"] | .linux.seccomp = ({defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO"}]} | '"$f"')'
		must_fail rt run -b "$B" "$C"
		has "$err" NOSUCH
	done
}

@test "a real-time or batch scheduler and its nice value are set" {
	runtime_at_least runc 1.2 "process.scheduler"
	facts '.process.scheduler = {policy: "SCHED_BATCH", nice: 7}'
	fact sched_policy 3
	fact nice 7
	facts '.process.scheduler = {policy: "SCHED_FIFO", priority: 12}'
	fact sched_policy 1
	fact sched_priority 12
}

@test "an I/O priority is set" {
	runtime_at_least runc 1.2 "process.ioPriority"
	facts '.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 6}'
	fact ioprio_class 2
	fact ioprio_level 6
}

@test "personality LINUX32 makes uname say i686" {
	runtime_at_least runc 1.2 "linux.personality"
	facts '.linux.personality = {domain: "LINUX32"}'
	fact personality 0x8
	fact machine i686
}

@test "signals are neither blocked nor ignored, whatever the caller's were" {
	given '.process.args = ["inside", "facts"]'
	(
		trap '' HUP USR1 PIPE TERM
		exec "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C" </dev/null >"$T/x" 2>&1
	)
	out=$(<"$T/x")
	fact sig_blocked 0000000000000000
	fact pdeathsig 0
	# an ignored signal is inherited over execve: the runtime must not hand on its own
	if is_husk; then fact sig_ignored 0000000000000000; fi
}

@test "the program is process 1, leads its session, and its parent is nobody's" {
	facts .
	fact pid 1
	fact ppid 0
	fact pgid 1
	fact sid 1
}

@test "without a terminal the standard streams are no terminal, and belong to the user" {
	given '.process.user = {uid: 1000, gid: 1000} | .process.args = ["/bin/sh", "-c", "inside facts; inside tty; echo again >/dev/stdout; echo again >/proc/self/fd/2"]'
	if is_husk; then
		must rt run -b "$B" "$C"
		fact isatty 000
		has_line "$out" again
		has "$err" again
	else
		# the engines own that with one kernel: they make the pipes and chown them
		background rt run -b "$B" "$C" </dev/null >"$T/x" 2>&1
		wait "$JOB" || true
		file_has "$T/x" isatty=000
	fi
}

@test "hostname and domainname are those of config.json" {
	facts '.hostname = "a-name.of-some-length"'
	fact hostname a-name.of-some-length
	runtime_at_least runc 1.2 "domainname"
	facts '.domainname = "example.org"'
	fact domainname example.org
}
