#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What must hold when one of the processes around a container is killed, engine by engine. With the runtime alone:
# tests/crash.bats (create, start, exec, delete killed at any moment; every process of it killed, one at a time).

load ../lib/common
load lib/containerd

# The VMM is the child of the task's process.
vmm_of() {
	local p
	for p in $(cat "/proc/$1/task/$1/children"); do
		if [[ $(readlink "/proc/$p/exe") == */husk-vmm ]]; then echo "$p"; fi
	done
}
shim_of() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status"; }

# All that the runtime keeps of the case's containers.
no_state() { ! ls -d "/run/containerd/runc/test/$C"* 2>/dev/null; }

ended_with() {
	try cc task rm "$ID"
	has "$err$out" "exit code $1"
	no_state
}

# bats test_tags=vm,quick
@test "the VMM killed: the task and its execs end with 137, kill says that it is dead, plain delete cleans all" {
	husk_only "there is a VMM"
	up -- sleep 1000
	background ctr --address "$CD/sock" -n test task exec --exec-id x1 "$ID" sleep 999 </dev/null >"$T/exec" 2>&1
	sleep 3
	kill -9 "$(vmm_of "$PID")"
	rc=0
	wait "$JOB" || rc=$?
	is "$rc" 137
	poll 10 task_is STOPPED
	must_fail cc task kill "$ID"
	has "$err" "not found"
	ended_with 137
}

@test "the task's process killed: its execs end, the task stops with 137, plain delete cleans all" {
	up -- sh -c 'sleep 1000 & sleep 1000'
	must cc task exec -d --exec-id x1 "$ID" sleep 999
	kill -9 "$PID"
	poll 10 task_is STOPPED
	must_fail cc task kill "$ID"
	ended_with 137
}

# bats test_tags=quick
@test "the shim killed: the container ends, containerd cleans up after it, nothing is left" {
	up -- sh -c 'sleep 1000 & sleep 1000'
	must cc task exec -d --exec-id x1 "$ID" sleep 999
	kill -9 "$(shim_of "$PID")"
	poll 20 gone "$PID"
	poll 10 task_is ""
	poll 10 no_state
	must cc container rm "$ID"
	ROOT='' no_leaks
}

@test "containerd's restart and its death by SIGKILL leave the task running, and it can be used afterwards" {
	up -- sleep 1000
	for s in -TERM -KILL; do
		containerd_stop $s
		[ -d "/proc/$PID" ]
		containerd_start
		task_is RUNNING
		in_it echo "alive$s"
		is "$out" "alive$s"
	done
	must cc task kill -s KILL "$ID"
	poll 20 task_is STOPPED
}

# bats test_tags=vm
@test "a VM that hangs: SIGKILL through the engine still ends it within seconds" {
	husk_only "there is a VMM"
	up -- sleep 1000
	kill -STOP "$(vmm_of "$PID")"
	before=$SECONDS
	must cc task kill -s KILL "$ID"
	poll 10 task_is STOPPED
	[ $((SECONDS - before)) -lt $((15 * HUSK_TEST_SLOW)) ]
	ended_with 137
}

@test "a state that is from before a reboot is not taken for a live container, and its pids are not touched" {
	not_runc_boot
	container . 'sleep 1000'
	launch
	echo 11111111-2222-3333-4444-555555555555 >"$T/boot_id"
	after_reboot() { unshare -m sh -c 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"' "$T/boot_id" "$RUNTIME_BIN" --root "$ROOT" "$@"; }
	must after_reboot state "$C"
	is "$(jq -r .status <<<"$out")" stopped
	must_fail after_reboot exec "$C" true
	must_fail after_reboot kill "$C" KILL
	has "$err" "not running"
	cp -a "$ROOT/$C" "$T/saved"
	must after_reboot delete --force "$C"
	[ ! -e "$ROOT/$C" ]
	[ -d "/proc/$PID" ]
	mv "$T/saved" "$ROOT/$C"
	is "$(status_of)" running
}
not_runc_boot() { if [ "$RUNTIME_KIND" != husk ]; then skip "$RUNTIME_KIND looks at the start time alone"; fi; }
