#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What goes wrong: broken and hostile config.json, missing things, and how errors are told to people and to engines.

load lib/common

# refused [WORD]: create must fail with a message (that has WORD), write no pid file and leave nothing, in good time.
refused() {
	local before=$SECONDS
	rm -f "$T/pid"
	must_fail timeout 60 "$RUNTIME_BIN" --root "$ROOT" create -b "$B" --pid-file "$T/pid" "$C"
	[ "$rc" -lt 124 ] || fail "ended by a signal or a time limit: status $rc"
	[ -n "$err" ] || fail "no message"
	[ -z "${1:-}" ] || matches "$err" "$1"
	[ ! -e "$T/pid" ]
	[ $((SECONDS - before)) -lt 30 ]
}

# each_refused: every line "FILTER|WORD" of stdin, put over a good config.json, is refused; all leave nothing.
each_refused() {
	local filter word
	bundle
	cp "$B/config.json" "$T/good.json"
	while IFS='|' read -r filter word; do
		jq "$filter" "$T/good.json" >"$B/config.json"
		refused "$word"
	done
	must rt delete --force "$C"
	no_leaks
}

raw() {
	[ -d "$B" ] || bundle
	printf '%s' "$1" >"$B/config.json"
}

@test "a bundle that does not exist, or has no config.json, is an error that names what is missing" {
	must_fail rt create -b "$T/no-such-bundle" "$C"
	has "$err" no-such-bundle
	bundle
	rm "$B/config.json"
	refused config.json
	no_leaks
}

@test "config.json that is empty, cut off, of another type, or not JSON is refused" {
	for text in '' ' ' '{' '[]' 'null' '"text"' '42' '{"ociVersion": "1.0.2"' 'not json' $'\x00\x01\x02' $'{"ociVersion": "\xff\xfe"}' '{"process": }'; do
		raw "$text"
		refused
	done
	no_leaks
}

@test "members of the wrong type are refused by name: process, root, mounts, hooks, annotations" {
	each_refused <<-'END'
		.process = []|process
		.process.args = "sh"|args
		.process.args = [1]|args
		.process.env = "A=b"|env
		.process.cwd = 7|cwd
		.process.user.uid = "root"|uid
		.process.user.uid = -1|uid
		.process.user.uid = 4294967296|uid
		.process.user.additionalGids = 5|additionalGids
		.process.capabilities.bounding = "CAP_KILL"|bounding
		.process.rlimits = {}|rlimits
		.process.rlimits[0].soft = -1|soft
		.process.terminal = "yes"|terminal
		.process.noNewPrivileges = 1|noNewPrivileges
		.process.oomScoreAdj = "high"|oomScoreAdj
		.root = "rootfs"|root
		.root.path = []|path
		.root.readonly = "no"|readonly
		.hostname = {}|hostname
		.mounts = {}|mounts
		.mounts[0].options = "ro"|options
		.mounts[0].destination = 1|destination
		.hooks = []|hooks
		.hooks = {"prestart": {}}|prestart
		.annotations = {"k": 1}|annotations
		.ociVersion = 1|ociVersion
	END
}

@test "members of the wrong type are refused by name: linux" {
	each_refused <<-'END'
		.linux = 1|linux
		.linux.namespaces = {}|namespaces
		.linux.namespaces[0].type = 1|type
		.linux.resources = []|resources
		.linux.resources.memory = 1|memory
		.linux.resources.memory = {"limit": "1g"}|limit
		.linux.resources.pids = {"limit": 1.5}|limit
		.linux.sysctl = []|sysctl
		.linux.sysctl = {"a": 1}|sysctl
		.linux.maskedPaths = "/x"|maskedPaths
		.linux.devices = {}|devices
		.linux.seccomp = []|seccomp
		.linux.uidMappings = [1]|uidMappings
	END
}

@test "values that no version of the specification knows are refused" {
	each_refused <<-'END'
		.process.args = []
		.process.cwd = ""
		.linux.namespaces += [{"type": "galaxy"}]
		.linux.rootfsPropagation = "sideways"
		.process.rlimits += [{"type": "RLIMIT_LUCK", "soft": 1, "hard": 1}]
		.linux.devices = [{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}]
		.linux.seccomp = {"defaultAction": "SCMP_ACT_MAYBE"}
		.root.path = ""
	END
}

@test "unknown members are ignored, at every depth" {
	container '.unknown = {"deep": [1, 2, {"x": null}]} | .process.unknown = 1 | .linux.unknown = "x" | .linux.resources.unknown = {} | .root.unknown = [] | .mounts[0].unknown = true | .windows = {"layerFolders": ["x"]}' 'echo ran'
	must rt run -b "$B" "$C"
	is "$out" ran
}

@test "a missing rootfs, and one that is a file, are errors that name the path" {
	given '.root.path = "no-such-rootfs" | .process.args = ["true"]'
	refused no-such-rootfs
	given '.root.path = "config.json"'
	refused
	given 'del(.root)'
	refused
	no_leaks
}

@test "a program in a rootfs that is empty is not found" {
	given '.process.args = ["/bin/sh"]'
	rm -rf "$B/rootfs"
	mkdir "$B/rootfs"
	refused 'no such file or directory'
	no_leaks
}

@test "JSON nested a hundred thousand deep is refused or ignored, without a crash" {
	bundle
	printf '%s"x": %s%s}' "$(sed '$d' "$B/config.json" | sed '$s/$/,/')" "$(printf '[%.0s' $(seq 100000))" "$(printf ']%.0s' $(seq 100000))" >"$T/deep.json"
	given '.process.args = ["true"]'
	cp "$T/deep.json" "$B/config.json"
	try timeout 60 "$RUNTIME_BIN" --root "$ROOT" create -b "$B" "$C"
	[ "$rc" -lt 124 ] || fail "status $rc"
	rt delete --force "$C"
	no_leaks
}

@test "huge arrays and strings are refused or served, without a crash, in good time" {
	bundle
	cp "$B/config.json" "$T/good.json"
	k=1
	if is_husk; then k=10; fi # other runtimes take minutes, which is not the point
	long=$(head -c 1000000 /dev/zero | tr '\0' A)
	echo "\"$long\"" >"$T/long"
	for filter in '.process.env += [range(20000 * $k) | "V\(.)=x"]' '.linux.maskedPaths += [range(10000 * $k) | "/m\(.)"]' '.mounts += [range(5000 * $k) | {destination: "/m\(.)", type: "tmpfs", source: "x"}]' \
		'.hostname = $long[0]' '.process.args = [$long[0]]' '.process.user.additionalGids = [range(100000)]' '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [range(3000 * $k) | {names: ["read"], action: "SCMP_ACT_ERRNO", args: [{index: 0, value: ., op: "SCMP_CMP_EQ"}]}]}'; do
		jq --slurpfile long "$T/long" --argjson k $k ".process.args = [\"true\"] | .linux.cgroupsPath = \"${CG}bundle\" | $filter" "$T/good.json" >"$B/config.json"
		try timeout 100 "$RUNTIME_BIN" --root "$ROOT" create -b "$B" "$C"
		[ "$rc" -lt 124 ] || fail "status $rc with $filter"
		rt delete --force "$C"
	done
	no_leaks
}

@test "NUL bytes in strings are refused: nothing is cut short silently" {
	for f in '.process.args = ["echo", "a\u0000b"]' '.process.env += ["A=\u0000"]' '.process.cwd = "/tmp\u0000x"'; do
		given ".process.args = [\"true\"] | $f"
		try rt run -b "$B" "$C"
		[ $rc -ne 0 ] || fail "taken: $f"
		try rt delete --force "$C"
	done
}

@test "paths in config.json cannot climb out of the root file system" {
	bundle
	mkdir "$T/vol"
	touch "$T/vol/mark"
	d=../../../../../../../../../..$T
	container ".mounts += [{destination: \"/..$d/climbed-mount\", type: \"bind\", source: \"$T/vol\", options: [\"bind\"]}] | .process.cwd = \"/..$d/climbed-cwd\" | .linux.devices = [{path: \"/..$d/climbed-dev\", type: \"c\", major: 1, minor: 3}] | .linux.maskedPaths += [\"/..$d/vol\"]" true
	try rt run -b "$B" "$C"
	[ ! -e "$T/climbed-mount" ] && [ ! -e "$T/climbed-cwd" ] && [ ! -e "$T/climbed-dev" ]
	[ -e "$T/vol/mark" ]
	try rt delete --force "$C"
	no_leaks
}

@test "a rootfs full of symbolic links that point outside changes nothing outside" {
	bundle
	mkdir -p "$T/outside"
	for d in dev proc sys; do
		rm -rf "$B/rootfs/$d"
		ln -s "$T/outside" "$B/rootfs/$d"
	done
	container . true
	try timeout 60 "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	is "$(ls -A "$T/outside")" ""
	try rt delete --force "$C"
	no_leaks
}

# ---- how errors are told ----

@test "with --log and json, a failed command writes exactly one error record, and the message to stderr too" {
	given '.process.args = ["no-such-program"]'
	try "$RUNTIME_BIN" --root "$ROOT" --log "$T/log" --log-format json create -b "$B" "$C"
	[ $rc -ne 0 ]
	is "$(wc -l <"$T/log")" 1
	is "$(jq -r .level "$T/log")" error
	has "$(jq -r .msg "$T/log")" 'executable file not found in $PATH'
	date -d "$(jq -r .time "$T/log")" >/dev/null
	matches "$(jq -r .time "$T/log")" '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$'
	has "$err" 'executable file not found in $PATH'
}

@test "each failing verb appends its one record to the log, and successes write none" {
	container . 'sleep 1000'
	J=(--root "$ROOT" --log "$T/log" --log-format json)
	n=0
	for args in "start $C" "state $C" "kill $C 9" "exec $C true" "pause $C" "resume $C" "delete $C" "ps $C" "update --pids-limit 9 $C"; do
		try "$RUNTIME_BIN" "${J[@]}" $args
		[ $rc -ne 0 ] || fail "should have failed: $args"
		n=$((n + 1))
		is "$(wc -l <"$T/log")" $n "records after '$args'"
	done
	is "$(jq -r .level "$T/log" | sort -u)" error
	must "$RUNTIME_BIN" "${J[@]}" run -d -b "$B" "$C" >/dev/null
	must "$RUNTIME_BIN" "${J[@]}" state "$C"
	must "$RUNTIME_BIN" "${J[@]}" ps --format json "$C"
	must "$RUNTIME_BIN" "${J[@]}" kill "$C" 9
	wait_status stopped
	must "$RUNTIME_BIN" "${J[@]}" delete "$C"
	is "$(wc -l <"$T/log")" $n
}

@test "quotes, newlines and control characters in a message are JSON-escaped" {
	given '.process.args = ["no \"such\"\n\tprogram\u0001 \\ é"]'
	try "$RUNTIME_BIN" --root "$ROOT" --log "$T/log" --log-format json create -b "$B" "$C"
	[ $rc -ne 0 ]
	is "$(wc -l <"$T/log")" 1
	has "$(jq -r .msg "$T/log")" 'such'
}

@test "--debug adds records, all JSON, and none of level error unless something failed" {
	container . true
	rt run -b "$B" "$C" >/dev/null 2>&1
	must "$RUNTIME_BIN" --root "$ROOT" --debug --log "$T/log" --log-format json run -b "$B" "$C"
	[ "$(wc -l <"$T/log")" -ge 1 ]
	is "$(jq -c 'select(.level == "error")' "$T/log")" ""
	is "$(jq -c 'select((.level and .msg and .time) | not)' "$T/log")" ""
}

@test "the text log has one line with the message, and --log /dev/null does not hide it from stderr" {
	must_fail "$RUNTIME_BIN" --root "$ROOT" --log "$T/log" state "$C"
	is "$(wc -l <"$T/log")" 1
	has "$(<"$T/log")" "does not exist"
	must_fail "$RUNTIME_BIN" --root "$ROOT" --log /dev/null state "$C"
	has "$err" "does not exist"
}

@test "errors on the terminal say what, in one line each, without a stack or a dump" {
	given '.process.args = ["no-such-program"]'
	must_fail rt create -b "$B" "$C"
	[ "$(wc -l <<<"$err")" -le 2 ]
	lacks "$err" goroutine
	matches "$out" '^$'
}

@test "a root directory that cannot be used is an error that names it" {
	touch "$T/file"
	bundle
	must_fail "$RUNTIME_BIN" --root "$T/file/root" create -b "$B" "$C"
	has "$err" "$T/file"
	must_fail "$RUNTIME_BIN" --root "$T/file" create -b "$B" "$C"
}

@test "a damaged state directory is an error, never a crash, and delete --force removes it" {
	container . 'sleep 1000'
	launch
	must rt kill "$C" KILL
	wait_status stopped
	must rt delete "$C"
	for content in '' '{' '{"id": 5}' $'\x00\xff\x00'; do
		mkdir -p "$ROOT/$C"
		printf '%s' "$content" >"$ROOT/$C/state.json"
		for verb in "state $C" "kill $C 9" "start $C" "exec $C true" "ps $C"; do
			try timeout 30 "$RUNTIME_BIN" --root "$ROOT" $verb
			[ "$rc" -ne 0 ] && [ "$rc" -lt 124 ] || [ "$rc" -eq 255 ] || fail "status $rc from $verb"
		done
		must timeout 30 "$RUNTIME_BIN" --root "$ROOT" list
		if is_husk; then
			must timeout 30 "$RUNTIME_BIN" --root "$ROOT" delete --force "$C"
		fi
		rm -rf "${ROOT:?}/$C"
	done
}

@test "too few and too many arguments are errors with a hint" {
	for verb in create start state kill delete exec ps pause resume update events run; do
		must_fail rt $verb
		[ -n "$out$err" ]
	done
	must_fail rt start "$C" extra
	must_fail rt delete "$C" extra
	must_fail rt state "$C" extra
}

@test "--help works for the program and for each verb" {
	must "$RUNTIME_BIN" --help
	for verb in create start state kill delete exec ps pause resume update events run list spec; do
		has "$out" "$verb"
	done
	must "$RUNTIME_BIN" create --help
	has "$out" pid-file
}
