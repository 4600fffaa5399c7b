#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Crashes: any process of the runtime killed at any moment, and then delete --force: nothing may be left (teardown
# and no_leaks look for processes, mounts, cgroups, sockets, files; links and netns are compared here).

load lib/common

local_setup() {
	links=$(taps)
	netns=$({ ls /run/netns 2>/dev/null || :; } | sort)
}

same_network() {
	is "$({ ls /run/netns 2>/dev/null || :; } | sort)" "$netns" "named network namespaces"
	poll 5 same_links
}
same_links() { [ "$(taps)" = "$links" ]; }
taps() { ls -d /sys/class/net/*/tun_flags 2>/dev/null || true; }

# Processes of this test's containers, by the token.
own_processes() { leaks "$TOKEN" | sed -n 's/^process \([0-9]*\) .*/\1/p'; }

@test "create killed at any moment leaves nothing that delete --force does not remove" {
	runc_fault "leaves its cgroup when it is killed before its state is written"
	container . 'sleep 1000'
	for ms in 0.01 0.03 0.06 0.1 0.15 0.2 0.3 0.4 0.6 0.9; do
		background "$RUNTIME_BIN" --root "$ROOT" create -b "$B" --pid-file "$T/pid" "$C" </dev/null >"$T/stdout" 2>"$T/stderr"
		sleep "$ms"
		kill -9 "$JOB" 2>/dev/null || true
		wait "$JOB" || true
		must rt delete --force "$C"
		no_leaks
	done
	same_network
	create
	is "$(status_of)" created
}

# bats test_tags=slow
@test "a created container outlives the engine that made it" {
	container . 'sleep 1000'
	try setsid sh -c "$RUNTIME_BIN --root $ROOT create -b $B $C; kill -9 \$\$"
	is "$rc" 137
	is "$(status_of)" created
	must rt start "$C"
	is "$(status_of)" running
	must rt delete --force "$C"
	no_leaks
}

# bats test_tags=slow
@test "start killed at any moment leaves a container that can be killed and deleted" {
	container . 'sleep 1000'
	for ms in 0.01 0.05 0.1 0.2; do
		create
		background "$RUNTIME_BIN" --root "$ROOT" start "$C"
		sleep "$ms"
		kill -9 "$JOB" 2>/dev/null || true
		wait "$JOB" || true
		matches "$(status_of)" '^(created|running|stopped)$'
		must rt delete --force "$C"
		no_leaks
	done
	same_network
}

# bats test_tags=slow
@test "exec killed at any moment harms neither the container nor later execs" {
	container . 'sleep 1000'
	launch
	for ms in 0.01 0.05 0.1 0.2 0.4; do
		background "$RUNTIME_BIN" --root "$ROOT" exec "$C" sleep 77 </dev/null >/dev/null 2>&1
		sleep "$ms"
		kill -9 "$JOB" 2>/dev/null || true
		wait "$JOB" || true
	done
	is "$(status_of)" running
	must rt exec "$C" echo fine
	is "$out" fine
	if is_husk; then poll 20 no_sleep_77; fi
}

no_sleep_77() { ! rt exec "$C" ps </dev/null | grep -q 'sleep 77'; }

# bats test_tags=slow
@test "delete killed at any moment can be done again" {
	container . 'sleep 1000'
	for ms in 0.01 0.05 0.1 0.2; do
		launch
		background "$RUNTIME_BIN" --root "$ROOT" delete --force "$C"
		sleep "$ms"
		kill -9 "$JOB" 2>/dev/null || true
		wait "$JOB" || true
		must rt delete --force "$C"
		no_leaks
	done
	same_network
}

# bats test_tags=slow
@test "kill, pause, resume and update killed midway leave a container that can be deleted" {
	container . 'sleep 1000'
	launch
	for verb in pause resume "update --pids-limit 50" "kill"; do
		background "$RUNTIME_BIN" --root "$ROOT" $verb "$C" </dev/null >/dev/null 2>&1
		sleep 0.05
		kill -9 "$JOB" 2>/dev/null || true
		wait "$JOB" || true
	done
	must rt delete --force "$C"
	no_leaks
}

@test "the process of the pid file killed: stopped, kill says not running, plain delete cleans all" {
	container . 'sleep 1000 & sleep 1000'
	launch
	rt exec -d "$C" sleep 1000 </dev/null >/dev/null 2>&1
	kill -9 "$PID"
	wait_status stopped "$C" 5
	must_fail rt kill "$C" 15
	has "$err" "container not running"
	must rt delete "$C"
	no_leaks
	same_network
}

# bats test_tags=slow
@test "every process of the runtime killed, one at a time, each ends the container or leaves it whole; delete --force cleans" {
	container . 'sleep 1000'
	for victim in 1 2 3 4 5 6; do
		launch
		rt exec -d "$C" sleep 1000 </dev/null >/dev/null 2>&1
		pids=($(own_processes))
		[ ${#pids[@]} -gt 0 ] || fail "no process found"
		[ ${#pids[@]} -ge "$victim" ] || { rt delete --force "$C"; break; }
		kill -9 "${pids[victim - 1]}" 2>/dev/null || true # it may have been on its way out
		sleep 0.3
		before=$SECONDS
		matches "$(status_of)" '^(running|stopped)$'
		must rt delete --force "$C"
		[ $((SECONDS - before)) -lt 15 ]
		no_leaks
	done
	same_network
}

@test "all processes of the runtime killed at once; delete --force cleans" {
	container . 'sleep 1000'
	for delay in 0 0.2 0.5; do
		rt create -b "$B" "$C" </dev/null >"$T/stdout" 2>"$T/stderr"
		background "$RUNTIME_BIN" --root "$ROOT" start "$C"
		sleep "$delay"
		for p in $(own_processes); do kill -9 "$p" 2>/dev/null || true; done
		wait "$JOB" || true
		must rt delete --force "$C"
		no_leaks
	done
	same_network
}

# bats test_tags=vm
@test "the VMM killed: every process of the container ends with 137, state says stopped, plain delete cleans all" {
	husk_only "there is a VMM"
	container . 'sleep 1000'
	launch
	background "$RUNTIME_BIN" --root "$ROOT" exec "$C" sleep 1000 </dev/null >/dev/null 2>&1
	sleep 1
	vmm=$(vmm_of)
	[ -n "$vmm" ]
	kill -9 "$vmm"
	rc=0
	wait "$JOB" || rc=$?
	is "$rc" 137
	wait_status stopped "$C" 10
	must_fail rt kill "$C" 9
	has "$err" "container not running"
	must rt delete "$C"
	no_leaks
	same_network
}

# bats test_tags=vm,slow
@test "a VMM that is stopped, as one that hangs, is still ended by kill KILL within seconds" {
	husk_only "there is a VMM"
	container . 'sleep 1000'
	launch
	vmm=$(vmm_of)
	[ -n "$vmm" ]
	kill -STOP "$vmm"
	before=$SECONDS
	must rt kill "$C" KILL
	wait_status stopped "$C" 20
	[ $((SECONDS - before)) -lt 20 ]
	must rt delete --force "$C"
	no_leaks
}

# bats test_tags=slow
@test "state left over from before a reboot is not taken for a live container" {
	container . 'sleep 1000'
	launch
	cp -a "$ROOT/$C" "$T/saved"
	must rt delete --force "$C"
	cp -a "$T/saved" "$ROOT/$C"
	try rt state "$C"
	[ $rc -ne 0 ] || is "$(jq -r .status <<<"$out")" stopped
	must_fail rt exec "$C" true
	must rt delete --force "$C"
	[ ! -e "$ROOT/$C" ]
}

# bats test_tags=slow
@test "the cgroup of a container is removed even when something foreign was made in it" {
	need_cgroup2
	container . 'sleep 1000'
	launch
	d=$(cgroup_dir)
	must rt kill "$C" KILL
	wait_status stopped
	mkdir -p "$d/left/over" 2>/dev/null || true
	must rt delete --force "$C"
	[ ! -e "$d" ]
}
