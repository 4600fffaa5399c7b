#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# create: everything is built, nothing of the program runs; and what engines read right after it.

load lib/common

@test "create builds the container and does not run its program" {
	container . 'touch /ran'
	create
	is "$(status_of)" created
	[ ! -e "$B/rootfs/ran" ]
	must rt start "$C"
	wait_status stopped
	[ -e "$B/rootfs/ran" ]
}

@test "the pid file holds digits and nothing else, no newline" {
	container . 'sleep 100'
	create
	matches "$(cat "$T/pid"; echo .)" '^[0-9]+\.$'
	is "$(wc -l <"$T/pid")" 0
	[ -d "/proc/$PID" ]
}

@test "the pid file appears by rename, complete, in its own directory" {
	container . 'sleep 100'
	mkdir "$T/watched"
	mkfifo "$T/hold"
	exec 9<>"$T/hold"
	background dirwatch "$T/watched" <"$T/hold" >"$T/events"
	poll 10 file_has "$T/events" ready
	must rt create -b "$B" --pid-file "$T/watched/the.pid" "$C"
	poll 10 file_has "$T/events" 'moved_to the.pid'
	exec 9>&-
	lacks "$(<"$T/events")" 'create the.pid'
	lacks "$(<"$T/events")" 'write the.pid'
	is "$(ls -A "$T/watched")" the.pid "left in the directory"
}

@test "the process of the pid file is a child of the engine, whose wait gets the container's exit status" {
	container . 'exit 42'
	background shim -p "$T/pid" -- "$RUNTIME_BIN" --root "$ROOT" create -b "$B" --pid-file "$T/pid" "$C" >"$T/shim"
	poll 30 file_has "$T/shim" '^child='
	out=$(<"$T/shim")
	has_line "$out" cli=exit:0
	has_line "$out" child=yes
	must rt start "$C"
	poll 20 file_has "$T/shim" '^init='
	file_has "$T/shim" init=exit:42
	must rt delete "$C"
	poll 10 file_has "$T/shim" '^left='
	is "$(grep -E '^(reaped|left)' "$T/shim")" left=0 "children that the engine did not know"
}

@test "raw SIGKILL of the process of the pid file ends the container, and the engine sees the signal" {
	container . 'sleep 1000'
	background shim -p "$T/pid" -- "$RUNTIME_BIN" --root "$ROOT" create -b "$B" --pid-file "$T/pid" "$C" >"$T/shim"
	poll 30 file_has "$T/shim" '^child='
	must rt start "$C"
	kill -9 "$(<"$T/pid")"
	poll 20 file_has "$T/shim" '^init='
	file_has "$T/shim" init=signal:9
	wait_status stopped
	must rt delete "$C"
	poll 10 file_has "$T/shim" '^left='
	is "$(grep -E '^(reaped|left)' "$T/shim")" left=0 "children that the engine did not know"
}

@test "the process of the pid file leads its own session and process group" {
	container . 'sleep 100'
	create
	read -r _ _ _ _ pgid sid _ <<<"$(sed 's/([^)]*)/x/' "/proc/$PID/stat")"
	is "$pgid" "$PID" "process group"
	is "$sid" "$PID" session
}

@test "when create returns, the process of the pid file is in the container's cgroup" {
	need_cgroup2
	container . 'sleep 100'
	create
	is "$(sed -n 's/^0:://p' "/proc/$PID/cgroup")" "${CG}bundle"
	has_line "$(cgroup_file cgroup.procs)" "$PID"
}

@test "when create returns, the process of the pid file is in new namespaces of its own" {
	container . 'sleep 100'
	create
	for n in net ipc uts pid mnt cgroup; do
		[ "$(readlink "/proc/$PID/ns/$n")" != "$(readlink "/proc/self/ns/$n")" ] || fail "$n is the host's"
	done
}

@test "a network namespace given by path is the one the process is in, and outlives the container" {
	ip netns add "$TOKEN"
	container "(.linux.namespaces[] | select(.type == \"network\")).path = \"/run/netns/$TOKEN\"" 'sleep 100'
	create
	is "$(stat -Lc %i "/proc/$PID/ns/net")" "$(stat -Lc %i "/run/netns/$TOKEN")"
	must rt delete --force "$C"
	[ -e "/run/netns/$TOKEN" ]
	ip netns del "$TOKEN"
}

@test "a second container of the same name is refused, and the first one goes on" {
	container . 'sleep 100'
	launch
	mkdir "$T/other"
	B=$T/other container . 'touch /ran'
	must_fail rt create -b "$T/other" --pid-file "$T/other.pid" "$C"
	has "$err" "container with given ID already exists"
	[ ! -e "$T/other.pid" ]
	is "$(status_of)" running
	is "$(cat "$T/pid")" "$PID"
}

@test "names with characters outside [A-Za-z0-9_+.-], dots alone, or none are refused" {
	container . true
	for id in . .. a/b ../x 'a b' 'ä' 'a:b' 'a$b'; do
		must_fail rt create -b "$B" "$id"
		has "$err" "invalid"
	done
	must_fail rt create -b "$B" ''
	must_fail rt create -b "$B"
	[ ! -d "$ROOT" ] || is "$(ls -A "$ROOT")" ""
}

@test "names may be long and have every allowed character" {
	container . true
	C=$TOKEN+a_b.c-D9$(printf 'x%.0s' {1..60})
	create
	is "$(status_of)" created
}

@test "the bundle is the current directory unless one is named" {
	container . 'echo here'
	cd "$B"
	must rt run "$C"
	is "$out" here
}

@test "a bundle named by a relative path is found, and state tells its absolute path" {
	container . 'sleep 100'
	cd "$T"
	must rt create -b bundle "$C"
	must rt state "$C"
	is "$(jq -r .bundle <<<"$out")" "$B"
}

@test "a program that is not in PATH is an error at create, with the words that engines match" {
	given '.process.args = ["no-such-program"]'
	must_fail rt create -b "$B" --pid-file "$T/pid" "$C"
	has "$err" 'executable file not found in $PATH'
	[ ! -e "$T/pid" ]
	try rt delete --force "$C"
	no_leaks
}

@test "a program whose path does not exist is an error at create, with the words that engines match" {
	given '.process.args = ["/no/such/program"]'
	must_fail rt create -b "$B" --pid-file "$T/pid" "$C"
	has "$err" 'no such file or directory'
	[ ! -e "$T/pid" ]
	try rt delete --force "$C"
	no_leaks
}

@test "a program without execute permission is an error at create, with the words that engines match" {
	given '.process.args = ["/bin/notexecutable"]'
	must_fail rt create -b "$B" --pid-file "$T/pid" "$C"
	has "$err" 'permission denied'
	[ ! -e "$T/pid" ]
}

@test "a directory as the program is an error at create" {
	given '.process.args = ["/etc"]'
	must_fail rt create -b "$B" --pid-file "$T/pid" "$C"
	matches "$err" 'permission denied|is a directory'
	[ ! -e "$T/pid" ]
}

@test "the program is looked up in the container's PATH, not in the runtime's" {
	given '.process.args = ["tool"] | .process.env = ["PATH=/opt/x:/opt/y"]'
	mkdir -p "$B/rootfs/opt/y"
	printf '#!/bin/sh\necho "tool of y"\n' >"$B/rootfs/opt/y/tool"
	chmod 755 "$B/rootfs/opt/y/tool"
	must rt run -b "$B" "$C"
	is "$out" "tool of y"
}

@test "a terminal without a console socket, and a console socket without a terminal, are refused" {
	container '.process.terminal = true' true
	must_fail rt create -b "$B" "$C"
	has "$err" 'cannot allocate tty if runc will detach without setting console socket'
	container '.process.terminal = false' true
	must_fail rt create -b "$B" --console-socket "$T/none.sock" "$C-2"
	has "$err" 'console socket'
}

@test "the state directory is made when missing, readable by its owner only" {
	container . 'sleep 100'
	ROOT=$T/state/deeper
	create
	is "$(stat -c %a "$ROOT")" 700
	is "$(status_of)" created
	must rt delete --force "$C"
	is "$(ls -A "$ROOT")" ""
	ROOT=$T/state
	rm -r "$ROOT"
}

@test "changes of config.json after create have no effect" {
	container . 'echo first; hostname'
	create
	container '.hostname = "changed"' 'echo second; hostname'
	must rt start "$C"
	wait_status stopped
	is "$(<"$T/stdout")" "first
bats"
}

@test "create that cannot write the pid file fails and leaves nothing running" {
	container . 'sleep 100'
	must_fail rt create -b "$B" --pid-file "$T/no/such/dir/pid" "$C"
	try rt delete --force "$C"
	is "$rc" 0 "delete --force"
	no_leaks
}

@test "no environment at all is enough for create, start, state, kill and delete" {
	container . 'sleep 1000'
	must env -i "$RUNTIME_BIN" --root "$ROOT" create -b "$B" --pid-file "$T/pid" "$C"
	must env -i "$RUNTIME_BIN" --root "$ROOT" start "$C"
	must env -i "$RUNTIME_BIN" --root "$ROOT" state "$C"
	has "$out" running
	must env -i "$RUNTIME_BIN" --root "$ROOT" kill "$C" KILL
	wait_status stopped
	must env -i "$RUNTIME_BIN" --root "$ROOT" delete "$C"
}

@test "nothing that outlives create holds a file that the caller had open" {
	container . 'sleep 100'
	: >"$T/caller-file"
	exec 8>"$T/caller-file"
	create
	exec 8>&-
	for p in /proc/[0-9]*; do
		for f in "$p"/fd/*; do
			[ "$f" -ef "$T/caller-file" ] && fail "$p ($(<"$p/comm")) holds it"
		done
	done
	return 0
}

@test "the program gets only file descriptors 0, 1 and 2" {
	given '.process.args = ["inside", "facts"]'
	exec 7<"$B/config.json" 8>"$T/caller-file"
	must rt run -b "$B" "$C"
	exec 7<&- 8>&-
	fact fds 0,1,2
}
