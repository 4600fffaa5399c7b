#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# state, list and ps: what engines and people read about a container.

load lib/common

@test "state is one JSON object with the specification's members and nothing on stderr" {
	container '.annotations = {"org.example.key": "a \"quoted\" value"}' 'sleep 1000'
	launch
	must rt state "$C"
	is "$err" ""
	is "$(jq -r .id <<<"$out")" "$C"
	is "$(jq -r .status <<<"$out")" running
	is "$(jq -r .pid <<<"$out")" "$PID"
	is "$(jq -r .bundle <<<"$out")" "$B"
	is "$(jq -r .rootfs <<<"$out")" "$B/rootfs"
	is "$(jq -r '.annotations["org.example.key"]' <<<"$out")" 'a "quoted" value'
	matches "$(jq -r .ociVersion <<<"$out")" '^1\.[0-9]+\.[0-9]+'
	matches "$(jq -r .created <<<"$out")" '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$'
	matches "$(jq -r .owner <<<"$out")" '^(root|)$'
	if is_husk; then is "$(jq -r .owner <<<"$out")" root; fi
	date -d "$(jq -r .created <<<"$out")" >/dev/null
}

@test "status goes created, running, paused, running, stopped" {
	container . 'trap "exit 0" TERM; while :; do sleep 0.1; done'
	create
	is "$(status_of)" created
	must rt start "$C"
	is "$(status_of)" running
	must rt pause "$C"
	is "$(status_of)" paused
	must rt resume "$C"
	is "$(status_of)" running
	must rt kill "$C" TERM
	wait_status stopped
}

@test "state of a stopped container says stopped and pid 0 until it is deleted" {
	container . true
	launch
	wait_status stopped
	must rt state "$C"
	is "$(jq .pid <<<"$out")" 0
	is "$(jq -r .status <<<"$out")" stopped
	must rt delete "$C"
	must_fail rt state "$C"
}

@test "state of an unknown container says that it does not exist" {
	must_fail rt state "$C"
	has "$err" "does not exist"
	is "$out" ""
	must_fail rt state
}

@test "state sees at once that the process was killed from outside" {
	container . 'sleep 1000'
	launch
	kill -9 "$PID"
	poll 5 gone "$PID"
	wait_status stopped "$C" 3
}

@test "another process that got the pid of a dead container is not mistaken for it" {
	container . 'sleep 1000'
	launch
	kill -9 "$PID"
	poll 5 gone "$PID"
	poll 5 take_pid
	is "$(status_of)" stopped
	must_fail rt kill "$C" KILL
	must rt delete "$C"
	[ -d "/proc/$PID" ] || fail "delete ended a foreign process"
}

take_pid() {
	background pidtake "$PID" >"$T/taken" 2>&1
	poll 2 file_has "$T/taken" taken
}

@test "list prints a table with a head and a line for each container" {
	container . 'sleep 1000'
	launch
	B=$T/second
	container . true
	create "$C-2"
	must rt list
	matches "$(head -n1 <<<"$out")" '^ID +PID +STATUS +BUNDLE +CREATED +OWNER'
	matches "$out" "$C +[0-9]+ +running +$T/bundle"
	matches "$out" "$C-2 +[0-9]+ +created +$T/second"
	is "$(wc -l <<<"$out")" 3
	is "$err" ""
}

@test "list --format json is an array of states, list -q only the names" {
	container . 'sleep 1000'
	launch
	must rt list --format json
	is "$err" ""
	is "$(jq length <<<"$out")" 1
	is "$(jq -r '.[0] | "\(.id) \(.status) \(.pid) \(.bundle)"' <<<"$out")" "$C running $PID $B"
	must rt list --format=json
	is "$(jq -r '.[0].id' <<<"$out")" "$C"
	must rt list -q
	is "$out" "$C"
	must rt list --quiet
	is "$out" "$C"
}

@test "list without containers, or without a state directory, is empty and no error" {
	must rt list
	is "$(wc -l <<<"$out")" 1
	must rt list -q
	is "$out" ""
	must rt list -f json
	is "$(jq -c '. // []' <<<"$out")" '[]'
}

@test "list skips what other programs put under the same root" {
	container . 'sleep 1000'
	launch
	mkdir -p "$ROOT/foreign"
	echo '{"id": "foreign", "init_process_pid": 1}' >"$ROOT/foreign/other.json"
	touch "$ROOT/file"
	must rt list -q
	is "$out" "$C"
	rm -r "$ROOT/foreign" "$ROOT/file"
}

@test "ps --format json is an array of host pids that has the first process, and nothing else on either stream" {
	container . 'sleep 1000 & sleep 1000 & wait'
	launch
	rt ps --format json "$C" </dev/null >"$T/ps" 2>&1
	is "$(jq -r type "$T/ps")" array
	is "$(jq -r 'all(type == "number")' "$T/ps")" true
	is "$(jq "index($PID) != null" "$T/ps")" true
	for p in $(jq '.[]' "$T/ps"); do [ -d "/proc/$p" ] || fail "no process $p"; done
}

@test "ps prints a table with PID and CMD and the container's processes" {
	container . 'sleep 1234'
	launch
	must rt ps "$C"
	matches "$(head -n1 <<<"$out")" 'PID.*CMD'
	has "$out" "sleep 1234"
	must rt ps --format table "$C"
	has "$out" "sleep 1234"
	must_fail rt ps --format xml "$C"
}

@test "ps of an unknown container is an error" {
	must_fail rt ps "$C"
	has "$err" "does not exist"
}

@test "--version names the runtime, its commit and the specification" {
	try "$RUNTIME_BIN" --version
	is "$rc" 0
	matches "$(head -n1 <<<"$out")" '^[a-z]+ version [0-9]+\.[0-9]+\.[0-9]+'
	matches "$out" 'spec: 1\.[0-9]+'
	is "$(grep -c version <<<"$out")" 1
	try "$RUNTIME_BIN" -v
	is "$rc" 0
}

@test "an unknown verb and an unknown flag are errors that name it" {
	must_fail rt no-such-verb
	has "$out$err" no-such-verb
	must_fail rt state --no-such-flag "$C"
	has "$out$err" no-such-flag
	must_fail "$RUNTIME_BIN" --no-such-global-flag state "$C"
	has "$out$err" no-such-global-flag
}

@test "global flags are taken in any order and in every form that engines use" {
	container . true
	must "$RUNTIME_BIN" --log-format=json --debug=false --log "$T/log" --root="$ROOT" --rootless=false --criu criu list -q
	must "$RUNTIME_BIN" -root "$ROOT" -log-format json -log="$T/log" --systemd-cgroup=false list -q
	must "$RUNTIME_BIN" --root "$ROOT" --debug --log "$T/log" list -q
	must "$RUNTIME_BIN" --root "$ROOT" --rootless auto list -q
}
