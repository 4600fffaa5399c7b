#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# events: figures of a running container, as JSON lines.

load lib/common

local_setup() {
	need_cgroup2
}

local_teardown() { [ -z "${SWAP:-}" ] || swapoff "$SWAP"; }

@test "events --stats is one JSON line of type stats with the container's limits and use" {
	container '.linux.resources.memory = {limit: 134217728} | .linux.resources.pids = {limit: 64}' 'n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; echo done; sleep 1000'
	launch
	wait_output done 60
	must rt events --stats "$C"
	is "$err" ""
	is "$(wc -l <<<"$out")" 1
	is "$(jq -r .type <<<"$out")" stats
	is "$(jq -r .id <<<"$out")" "$C"
	is "$(jq .data.memory.usage.limit <<<"$out")" 134217728
	[ "$(jq .data.memory.usage.usage <<<"$out")" -gt 100000 ]
	[ "$(jq .data.memory.usage.usage <<<"$out")" -lt 134217728 ]
	is "$(jq .data.pids.limit <<<"$out")" 64
	[ "$(jq .data.pids.current <<<"$out")" -ge 1 ]
	[ "$(jq .data.cpu.usage.total <<<"$out")" -gt 1000000 ]
	is "$(jq '.data.cpu.usage | .total >= .user and has("kernel")' <<<"$out")" true
	is "$(jq '.data.memory.raw | type' <<<"$out")" '"object"'
	[ "$(jq '.data.memory.raw.anon' <<<"$out")" -gt 0 ]
}

@test "figures grow with what the container does" {
	container . 'echo begun; while [ ! -e /go ]; do sleep 0.2; done; inside alloc 20; n=0; while [ $n -lt 30000 ]; do n=$((n+1)); done; echo done; sleep 1000'
	launch
	wait_output begun
	must rt events --stats "$C"
	a=$(jq .data.cpu.usage.total <<<"$out")
	touch "$B/rootfs/go"
	wait_output done 60
	must rt events --stats "$C"
	[ "$(jq .data.cpu.usage.total <<<"$out")" -gt "$a" ]
}

@test "events --interval writes a line each time until the container ends" {
	container . 'sleep 1000'
	launch
	background rt events --interval 500ms "$C" </dev/null >"$T/events" 2>"$T/events.err"
	poll 30 lines_at_least "$T/events" 2
	must rt kill "$C" KILL
	poll 20 gone "$JOB"
	is "$(jq -r .type "$T/events" | sort -u)" stats
}

lines_at_least() { [ "$(wc -l <"$1")" -ge "$2" ]; }

@test "an OOM kill in the container is told as an event of type oom" {
	container '.linux.resources.memory = {limit: 67108864, swap: 67108864}' 'echo begun; while [ ! -e /go ]; do sleep 0.2; done; inside alloc 200; echo "survived $?"; sleep 1000'
	launch
	wait_output begun
	background rt events --interval 1h "$C" </dev/null >"$T/events" 2>"$T/events.err"
	sleep 1
	touch "$B/rootfs/go"
	wait_output 'survived 137' 60
	poll 20 file_has "$T/events" '"type": *"oom"'
}

# A memory file of the container's cgroup on the host, by its name in cgroup v2
host_memory() {
	local dir=/sys/fs/cgroup/memory$CG${B##*/}
	if [ "$CGROUP_MODE" = v2 ]; then
		cgroup_file "$1"
		return
	fi
	case $1 in
	memory.events) cat "$dir/memory.oom_control" ;;
	memory.max) cat "$dir/memory.limit_in_bytes" ;;
	memory.swap.max) cat "$dir/memory.memsw.limit_in_bytes" ;;
	memory.swap.current) sed -n 's/^swap //p' "$dir/memory.stat" ;;
	esac
}

# Its limits as they are after create, then an OOM kill in the guest: that is counted, and the limits come back.
oom_is_counted() {
	container '.linux.resources.memory = {limit: 67108864}' 'echo up; inside alloc 300; echo "status=$?"; sleep 1000'
	create
	max=$(host_memory memory.max)
	swap=$(host_memory memory.swap.max || true) # a kernel may not account it
	must rt start "$C"
	wait_output status= 60
	counted() { host_memory memory.events | grep -q '^oom_kill [1-9]'; }
	poll 10 counted
	back() { [ "$(host_memory memory.max) $(host_memory memory.swap.max || true)" = "$max $swap" ]; }
	poll 10 back
	status_is running
}

@test "an OOM kill is counted in the container's cgroup on the host, where engines look; its limits stay" {
	need_cgroup2
	oom_is_counted
}

# bats test_tags=vm
@test "an OOM kill is counted in the container's cgroup on a host with swap, too; none of the VM goes there" {
	husk_only "another runtime's host swaps what is the container's"
	fallocate -l 512M "$T/swap"
	chmod 600 "$T/swap"
	mkswap -q "$T/swap"
	swapon "$T/swap" || skip "no swap here"
	SWAP=$T/swap
	oom_is_counted
	[ "$(host_memory memory.swap.current)" -lt 8388608 ]
}

@test "events of an unknown container, and of one that has stopped, are errors" {
	must_fail rt events --stats "$C"
	has "$err" "does not exist"
	container . true
	launch
	wait_status stopped
	must_fail rt events --stats "$C"
	has "$err" "not running"
}
