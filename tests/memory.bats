#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Memory of the VM: what the container gets, and what the host pays.

load lib/common

MIB=1048576

local_setup() { husk_only "memory of the VM"; }

stat_of() { rt stats --json "$C" </dev/null | jq -r ".$1"; }
pays_less() { [ "$(stat_of vmmPss)" -lt "$1" ]; }
limit() { rt exec "$C" cat "/sys/fs/cgroup/$1" </dev/null; }

# bats test_tags=vm
@test "update gives a container more memory than its VM began with" {
	container '.linux.resources.memory = {limit: 100663296}' 'echo up; sleep 1000'
	launch
	wait_output up
	before=$(stat_of guestRam)
	must_fail rt exec "$C" dd if=/dev/zero of=/dev/null bs=200M count=1
	must rt update --memory $((320 * MIB)) "$C"
	is "$(limit memory.max)" $((320 * MIB))
	must rt exec "$C" dd if=/dev/zero of=/dev/null bs=200M count=1
	[ "$(stat_of guestRam)" -gt "$before" ]
	[ "$(stat_of guestRam)" -le $((400 * MIB)) ]
}

# bats test_tags=slow,vm
@test "a container without a limit can use far more than its VM begins with" {
	container . 'echo up; dd if=/dev/zero of=/dev/null bs=1000M count=1 && echo had it; sleep 1000'
	launch
	wait_output up
	[ "$(stat_of guestRam)" -le $((512 * MIB)) ]
	wait_output "had it" 100
	[ "$(stat_of guestRam)" -gt $((1000 * MIB)) ]
}

# bats test_tags=slow,vm
@test "memory that a container frees goes back to the host within thirty seconds" {
	container '.linux.resources.memory = {limit: 1342177280}' 'echo up; while [ ! -e /go ]; do sleep 0.2; done; dd if=/dev/zero of=/dev/null bs=1024M count=1; echo freed; sleep 1000'
	launch
	wait_output up
	before=$(stat_of vmmPss)
	: >"$B/rootfs/go"
	peak=0
	for _ in $(seq 400); do
		now=$(stat_of vmmPss)
		[ "$now" -le "$peak" ] || peak=$now
		! file_has "$T/stdout" freed || break
	done
	wait_output freed 60
	[ "$peak" -gt $((900 * MIB)) ] || fail "the peak was only $((peak / MIB)) MiB"
	poll 30 pays_less $((before + 128 * MIB))
	echo "# host memory in MiB: before $((before / MIB)), peak $((peak / MIB)), afterwards $(($(stat_of vmmPss) / MIB))" >&3
}
