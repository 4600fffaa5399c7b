#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# exec: a further process in a running container, in the foreground and detached.

load lib/common

running() {
	container "${1:-.}" "${2:-trap 'exit 0' TERM; while :; do sleep 0.2; done}"
	launch
}

# process.json for exec --process: process FILTER [JQ-ARGS]
process() {
	jq "${@:2}" ".process | $1" "$B/config.json" >"$T/process.json"
}

@test "exec runs a program in the container and ends with its status: 0, 1, 42, 137" {
	running
	must rt exec "$C" true
	try rt exec "$C" false
	is "$rc" 1
	try rt exec "$C" sh -c 'echo out; echo err >&2; exit 42'
	is "$rc" 42
	is "$out" out
	is "$err" err
	try rt exec "$C" sh -c 'kill -9 $$'
	is "$rc" 137
}

@test "exec'ed programs are in the namespaces, cgroup, root and hostname of the container" {
	running . 'inside facts >/first; while :; do sleep 0.2; done'
	poll 20 file_has "$B/rootfs/first" fd2=
	must rt exec "$C" inside facts
	for ns in pid net mnt ipc uts cgroup; do
		fact "ns_$ns" "$(sed -n "s/^ns_$ns=//p" "$B/rootfs/first")"
	done
	fact hostname bats
	must rt exec "$C" cat /proc/self/cgroup
	must rt exec "$C" sh -c 'echo made >/made; ps | grep -c "sleep 0.2"'
	is "$(<"$B/rootfs/made")" made
	must rt exec "$C" cat /proc/1/cgroup /proc/self/cgroup
	is "$(sort -u <<<"$out" | wc -l)" "$(($(wc -l <<<"$out") / 2))" "cgroups of both"
}

@test "exec takes user, groups, environment, cwd and HOME defaults from the container's config" {
	running '.process.user = {uid: 1000, gid: 1001, additionalGids: [7, 5]} | .process.cwd = "/home/user" | .process.env += ["FROM=config"]'
	must rt exec "$C" inside facts
	fact uid 1000
	fact gid 1001
	has "$(fact_value groups)" 5
	fact cwd /home/user
	must rt exec "$C" env
	has_line "$out" FROM=config
}

@test "exec's options for user, groups, environment and cwd override the config" {
	running
	must rt exec -u 1234:4321 -g 11 -g 12 --cwd /tmp --env ONE=1 --env TWO='2 b' "$C" sh -c 'inside facts; env'
	fact uid 1234
	fact gid 4321
	matches "$(fact_value groups)" '11,12'
	fact cwd /tmp
	has_line "$out" ONE=1
	has_line "$out" 'TWO=2 b'
	must rt exec -e X=1 --user 1234 "$C" inside facts
	fact uid 1234
	fact gid 0
}

@test "exec --process takes all about the process from the file" {
	running '.process.env += ["FROM=config"]'
	process '.args = ["/bin/sh", "-c", "inside facts; env"] | .user = {uid: 33, gid: 34, additionalGids: [44]} | .cwd = "/var" | .env = ["PATH=/bin", "ONLY=this"]
		| .rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: 78}] | .noNewPrivileges = true | .capabilities = {bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"]}'
	must rt exec --process "$T/process.json" "$C"
	fact uid 33
	fact gid 34
	has "$(fact_value groups)" 44
	fact cwd /var
	# the language runtime that runc is written in puts the first soft limit back when it executes the program
	if [ "$RUNTIME_KIND" = runc ]; then matches "$(fact_value rlimit_nofile)" ':78$'; else fact rlimit_nofile 77:78; fi
	fact no_new_privs 1
	fact cap_bounding 0000000000000020
	has_line "$out" ONLY=this
	lacks "$out" FROM=config
	process '.args = ["sh", "-c", "echo short form"]'
	must rt exec -p "$T/process.json" "$C"
	is "$out" "short form"
}

@test "exec --process of docker's kind, without seccomp and with three capability sets, starts" {
	running
	process '{terminal: false, user: {uid: 0, gid: 0}, args: ["inside", "facts"], env: ["PATH=/bin"], cwd: "/", apparmorProfile: "",
		capabilities: {bounding: ["CAP_CHOWN", "CAP_KILL"], effective: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_CHOWN", "CAP_KILL"]}}'
	must rt exec --process "$T/process.json" "$C"
	fact cap_effective 0000000000000021
	fact cap_inheritable 0000000000000000
}

@test "the options --cap and --no-new-privs reach the process" {
	running
	must rt exec --cap CAP_SYS_TIME --no-new-privs "$C" inside facts
	fact no_new_privs 1
	is "$((0x$(fact_value cap_bounding) >> 25 & 1))" 1
	must rt exec "$C" inside facts
	fact no_new_privs 0
	is "$((0x$(fact_value cap_bounding) >> 25 & 1))" 0
}

@test "a program that is not there ends exec with 255 and the words that engines match" {
	running
	try rt exec "$C" no-such-program
	is "$rc" 255
	has "$err" 'exec failed'
	has "$err" 'executable file not found in $PATH'
	try rt exec "$C" /no/such
	is "$rc" 255
	has "$err" 'no such file or directory'
	try rt exec "$C" /bin/notexecutable
	is "$rc" 255
	has "$err" 'permission denied'
	try rt exec --cwd /no/such/dir -u 1000 "$C" true
	is "$rc" 255
	is "$(status_of)" running
}

@test "a failed detached exec leaves no pid file" {
	running
	must_fail rt exec -d --pid-file "$T/exec.pid" "$C" no-such-program
	[ ! -e "$T/exec.pid" ]
}

@test "exec in a container that has stopped, or does not exist, is an error that says so" {
	must_fail rt exec "$C" true
	has "$err" 'does not exist'
	container . true
	launch
	wait_status stopped
	must_fail rt exec "$C" true
	has "$err" 'cannot exec in a stopped container'
}

@test "exec in a created container works before start" {
	container . 'echo begun'
	create
	must rt exec "$C" sh -c 'echo early'
	is "$out" early
	is "$(<"$T/stdout")" ""
	must rt start "$C"
	wait_output begun
}

@test "exec in a paused container is refused" {
	running
	must rt pause "$C"
	must_fail rt exec "$C" true
	has "$err" 'cannot exec in a paused container'
	must rt resume "$C"
	must rt exec "$C" true
}

@test "exec passes stdin to the program, and its end" {
	running
	rc=0
	printf 'one\ntwo\n' | rt exec "$C" sh -c 'cat; echo end' >"$T/x" || rc=$?
	is "$rc" 0
	is "$(<"$T/x")" "one
two
end"
}

@test "exec --detach returns while the program runs, with a pid file without a newline" {
	running
	rt exec -d --pid-file "$T/exec.pid" "$C" sh -c 'echo begun; exec sleep 1000' </dev/null >"$T/x" 2>&1
	matches "$(cat "$T/exec.pid"; echo .)" '^[0-9]+\.$'
	[ -d "/proc/$(<"$T/exec.pid")" ]
	poll 20 file_has "$T/x" begun
	must rt ps -f json "$C"
	is "$(jq "index($(<"$T/exec.pid")) != null" <<<"$out")" true
}

@test "the process of exec's pid file is a child of the engine, whose wait gets the program's status" {
	running
	process '.args = ["/bin/sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 33"]'
	background shim -p "$T/exec.pid" -- "$RUNTIME_BIN" --root "$ROOT" exec --process "$T/process.json" --detach --pid-file "$T/exec.pid" "$C" >"$T/shim"
	poll 30 file_has "$T/shim" '^child=yes'
	rm "$T/process.json"
	touch "$B/rootfs/go"
	poll 20 file_has "$T/shim" '^init='
	file_has "$T/shim" init=exit:33
	poll 10 file_has "$T/shim" '^left=0'
	is "$(status_of)" running
}

@test "raw SIGKILL of exec's process ends the program inside" {
	running
	rt exec -d --pid-file "$T/exec.pid" "$C" sh -c 'trap "" TERM HUP INT; while :; do sleep 0.321; done' </dev/null >/dev/null 2>&1
	poll 20 in_ps 0.321
	kill -9 "$(<"$T/exec.pid")"
	poll 20 not_in_ps 0.321
	is "$(status_of)" running
}

in_ps() { rt exec "$C" ps </dev/null 2>/dev/null | grep -q -- "$1"; }
not_in_ps() { ! in_ps "$1"; }

@test "raw catchable signals to exec's process reach the program" {
	running
	rt exec -d --pid-file "$T/exec.pid" "$C" inside signals </dev/null >"$T/x" 2>&1
	poll 20 file_has "$T/x" ready
	kill -USR1 "$(<"$T/exec.pid")"
	poll 20 file_has "$T/x" 'signal 10'
	kill -WINCH "$(<"$T/exec.pid")"
	kill -TERM "$(<"$T/exec.pid")"
	poll 20 file_has "$T/x" 'signal 15'
	poll 20 gone "$(<"$T/exec.pid")"
}

@test "when the container ends, its exec'ed processes end with it, at once, with 137" {
	running
	background rt exec "$C" sh -c 'trap "" TERM; echo begun; while :; do sleep 0.2; done' </dev/null >"$T/x"
	poll 20 file_has "$T/x" begun
	must rt kill "$C" KILL
	rc=0
	before=$SECONDS
	wait "$JOB" || rc=$?
	is "$rc" 137
	[ $((SECONDS - before)) -lt 10 ]
}

@test "ten execs at once all end with their own output and status" {
	running
	for i in 0 1 2 3 4 5 6 7 8 9; do
		rt exec "$C" sh -c "echo n$i; exit 1$i" </dev/null >"$T/x$i" 2>&1 &
		pids[i]=$!
	done
	for i in 0 1 2 3 4 5 6 7 8 9; do
		rc=0
		wait "${pids[i]}" || rc=$?
		is "$rc" "1$i"
		is "$(<"$T/x$i")" "n$i"
	done
}

@test "orphans of an exec'ed process are reaped" {
	running
	for _ in 1 2 3; do must rt exec "$C" inside orphan 0; done
	must rt exec "$C" sh -c 'sleep 0.5; ps -o stat,args 2>/dev/null || ps'
	is "$(grep -c '^Z' <<<"$out" || true)" 0
}

@test "an exec'ed program gets only file descriptors 0, 1 and 2, owned by its user" {
	running
	exec 7<"$B/config.json"
	rt exec -u 1000:1000 "$C" inside facts </dev/null 2>&1 | cat >"$T/x"
	exec 7<&-
	out=$(<"$T/x")
	fact fds 0,1,2
	must rt exec -u 1000:1000 "$C" sh -c 'echo again >/dev/stderr'
	has "$err" again
}

@test "exec'ed processes get the container's seccomp filter and no more capabilities than it" {
	running '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"], syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95}]}'
	must rt exec "$C" sh -c 'inside facts; inside try mkdir'
	fact seccomp 2
	fact cap_effective 00000000a80425fb
	fact mkdir EOPNOTSUPP
}

@test "exec -t gives the program a terminal of its own" {
	running
	background recvtty -s 33x99 "$T/tty.sock" >"$T/x" 2>"$T/recv"
	poll 10 file_has "$T/recv" ready
	must rt exec -t -d --pid-file "$T/exec.pid" --console-socket "$T/tty.sock" "$C" sh -c 'sleep 0.5; inside tty; sleep 1000'
	poll 20 file_has "$T/x" size=
	file_has "$T/recv" 'cmsg=one fd'
	out=$(tr -d '\r' <"$T/x")
	fact isatty 111
	fact controlling yes
	fact size 33x99
}

@test "exec --process with terminal true needs a console socket when detached" {
	running
	process '.terminal = true | .args = ["true"]'
	must_fail rt exec --process "$T/process.json" -d "$C"
	has "$err" 'console'
}

@test "a hundred short execs leave nothing behind" {
	running
	n=$(ls "$ROOT/$C" | wc -l)
	for i in $(seq "$(is_husk && echo 40 || echo 20)"); do
		rt exec "$C" true </dev/null >/dev/null 2>&1 || fail "exec $i"
	done
	is "$(ls "$ROOT/$C" | wc -l)" "$n" "files in the state directory"
	must rt ps -f json "$C"
	[ "$(jq length <<<"$out")" -le 3 ]
}

@test "exec with a broken process file is an error that names it" {
	running
	for text in '' '{' '[]' '{"args": []}' '{"args": "true", "cwd": "/"}' '{"args": ["true"], "cwd": "relative"}'; do
		printf '%s' "$text" >"$T/process.json"
		must_fail rt exec --process "$T/process.json" "$C"
		[ -n "$err" ]
	done
	must_fail rt exec --process "$T/no-such.json" "$C"
	has "$err" 'no such file'
	must_fail rt exec "$C"
	must rt exec "$C" true
}

# bats test_tags=slow
@test "exec gets into a container that is full of processes, also of a fork bomb without a limit" {
	runc_fault "needs threads to enter, which the limit does not allow"
	container '.linux.resources.pids = {limit: 12}' '(for i in $(seq 30); do sleep 1000 & done); echo full; exec sleep 1000'
	launch
	wait_output full # the inner shell has died of the first fork that was refused
	must rt exec "$C" cat /sys/fs/cgroup/pids.max
	is "$out" 12
	rt delete --force "$C"
	is_husk || return 0 # elsewhere it would take this host down
	container . '(bomb() { bomb | bomb & }; bomb); exec sleep 1000'
	launch
	sleep 5
	before=$SECONDS
	must rt exec "$C" echo in
	is "$out" in
	echo "exec took $((SECONDS - before)) s"
	must rt kill --all "$C" KILL
	wait_status stopped "$C" 60
}
