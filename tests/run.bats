#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run in the foreground: status, arguments, signals, and what it leaves.

load lib/common

exits() {
	container . "$1"
	try rt run -b "$B" "$C"
	is "$rc" "$2" "status of '$1'"
}

@test "the exit status of the program is that of run: 0, 1, 42, 255" {
	exits 'exit 0' 0
	exits 'exit 1' 1
	exits 'exit 42' 42
	exits 'exit 255' 255
}

# Process 1 of a pid namespace does not die of a signal that it sends itself: a shell that reports its child's death does.
@test "a program killed by a signal ends run with 128 plus its number: 139, 143, 137" {
	exits 'sh -c "kill -SEGV \$\$"; exit $?' 139
	exits 'sh -c "kill -TERM \$\$"; exit $?' 143
	container . 'trap : TERM; echo begun; while :; do sleep 1; done'
	background rt run -b "$B" "$C" </dev/null >"$T/stdout"
	wait_output begun
	must rt kill "$C" KILL
	rc=0
	wait "$JOB" || rc=$?
	is "$rc" 137
}

@test "run leaves nothing: the container is unknown afterwards, its cgroup and state are gone" {
	container . true
	must rt run -b "$B" "$C"
	must_fail rt state "$C"
	has "$err" "does not exist"
	no_leaks
}

@test "run --keep leaves the stopped container to be deleted" {
	runtime_at_least runc 1.1 "run --keep"
	container . 'exit 3'
	try rt run --keep -b "$B" "$C"
	is "$rc" 3
	is "$(status_of)" stopped
	must rt delete "$C"
}

@test "run -d returns while the program runs, and says nothing" {
	container . 'echo begun; sleep 1000'
	launch
	is "$(status_of)" running
	wait_output begun
	is "$(<"$T/stdout")" begun
	is "$(<"$T/stderr")" ""
}

@test "arguments arrive byte for byte: blanks, quotes, an empty one, new lines, non-ASCII" {
	given '.process.args = ["/bin/busybox", "printf", "<%s>\n", "a b", "", "it'\''s \"x\"", "l1\nl2", "žluťoučký", "$HOME *", "back\\slash"]'
	must rt run -b "$B" "$C"
	is "$out" "<a b>
<>
<it's \"x\">
<l1
l2>
<žluťoučký>
<\$HOME *>
<back\\slash>"
}

@test "the environment is exactly that of config.json" {
	given '.process.env = ["PATH=/bin", "HOME=/elsewhere", "EMPTY=", "EQ=a=b", "SPACE=a b"] | .process.args = ["/bin/busybox", "env"]'
	must rt run -b "$B" "$C"
	is "$(sort <<<"$out")" "EMPTY=
EQ=a=b
HOME=/elsewhere
PATH=/bin
SPACE=a b"
}

@test "HOME is taken from the container's passwd when config.json has none" {
	container '.process.env = ["PATH=/bin"] | .process.user = {uid: 1000, gid: 1000}' 'echo "$HOME"'
	must rt run -b "$B" "$C"
	is "$out" /home/user
}

@test "sixty-four arguments of 4 KiB arrive whole" {
	given '.process.args = ["/bin/sh", "-c", "echo $# $(printf %s \"$@\" | wc -c)", "sh"] + [range(10; 74) | "\(.)" + $long]' \
		--arg long "$(head -c 4094 /dev/zero | tr '\0' x)"
	must rt run -b "$B" "$C"
	is "$out" "64 $((64 * 4096))"
}

@test "signals sent to run reach the program, by the same number" {
	given '.process.args = ["inside", "signals"]'
	background "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C" </dev/null >"$T/stdout" 2>"$T/stderr"
	wait_output ready
	for s in HUP INT USR1 USR2; do kill -$s "$JOB"; done
	for n in 1 2 10 12; do wait_output "signal $n"; done
	kill -TERM "$JOB"
	rc=0
	wait "$JOB" || rc=$?
	is "$rc" 0
	wait_output "signal 15"
}

@test "run ends when the first process ends, whatever it left running, and that is ended too" {
	container . '(trap "" TERM HUP; sleep 1000) >/dev/null 2>&1 & echo done'
	before=$SECONDS
	must rt run -b "$B" "$C"
	[ $((SECONDS - before)) -lt 30 ]
	is "$out" done
	no_leaks
}

@test "the pid file of run -d names the process that has the container's exit status" {
	container . 'echo begun; exec sleep 1000'
	background shim -p "$T/pid" -- "$RUNTIME_BIN" --root "$ROOT" run -d -b "$B" --pid-file "$T/pid" "$C" >"$T/shim"
	poll 30 file_has "$T/shim" '^child=yes'
	must rt kill "$C" KILL
	poll 20 file_has "$T/shim" '^init='
	matches "$(sed -n 's/^init=//p' "$T/shim")" '^(signal:9|exit:137)$'
}

@test "a name can be used again as soon as run has ended" {
	container . 'echo again'
	for _ in 1 2 3; do
		must rt run -b "$B" "$C"
		is "$out" again
	done
}

@test "killing run itself does not leave a container that delete --force cannot remove" {
	container . 'echo begun; sleep 1000'
	background "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C" </dev/null >"$T/stdout" 2>"$T/stderr"
	wait_output begun
	kill -9 "$JOB"
	must rt delete --force "$C"
	no_leaks
}

@test "the bundle's rootfs may be a symbolic link or an absolute path" {
	container . 'echo here'
	mv "$B/rootfs" "$T/elsewhere"
	ln -s "$T/elsewhere" "$B/rootfs"
	try rt run -b "$B" "$C"
	[ $rc -eq 0 ] || [ "$RUNTIME_KIND" != husk ] # other runtimes may refuse a link
	given ".root.path = \"$T/elsewhere\""
	must rt run -b "$B" "$C"
	is "$out" here
}
