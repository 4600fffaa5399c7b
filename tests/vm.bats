#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=vm
# The container's own kernel, its clock and memory, and what husk says about the machine and about the VM.

load lib/common

local_setup() {
	husk_only "a kernel of the container's own"
}

@test "the container's kernel is not the host's" {
	inside . 'uname -r; cat /proc/version; cat /proc/cmdline'
	[ "$(head -n1 <<<"$out")" != "$(uname -r)" ]
	matches "$(head -n1 <<<"$out")" '^6\.'
}

@test "the container sees no device, disk or bus of the host" {
	inside . 'ls /sys/bus/pci/devices 2>/dev/null | wc -l; ls /sys/class/block | grep -c "^[svh]d" ; ls /sys/firmware 2>/dev/null | wc -l; ls /dev/kvm 2>/dev/null | wc -l'
	is "$out" "0
0
0
0"
}

@test "the container cannot reach the host by vsock" {
	container '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"])' 'ls /dev/vsock 2>/dev/null; echo end'
	must rt run -b "$B" "$C"
	is "$out" end
}

@test "a guest whose kernel panics ends the container, and its stderr says why" {
	container '.linux.resources.memory.limit = 33554432 | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])
		| .linux.readonlyPaths = [] | .linux.maskedPaths = []' \
		'echo 2 >/proc/sys/vm/panic_on_oom && tail /dev/zero'
	try rt run -b "$B" "$C"
	is "$rc" 137
	matches "$err" 'the guest kernel panicked: Out of memory: compulsory panic_on_oom is enabled;'
}

@test "the clock is the host's within a second, at the start and after a pause" {
	container . 'while :; do echo "now $(inside clock | sed -n s/realtime_ms=//p)"; sleep 1; done'
	launch
	wait_output 'now 1'
	clock_agrees
	must rt pause "$C"
	sleep 4
	must rt resume "$C"
	sleep 2
	clock_agrees
}

clock_agrees() {
	local before guest after
	before=$(date +%s%3N)
	guest=$(rt exec "$C" inside clock </dev/null | sed -n 's/^realtime_ms=//p')
	after=$(date +%s%3N)
	[ "$guest" -ge $((before - 1000)) ] && [ "$guest" -le $((after + 1000)) ] || fail "guest $guest, host $before..$after"
}

@test "the clock source needs no exits: kvm-clock or tsc" {
	inside . 'cat /sys/devices/system/clocksource/clocksource0/current_clocksource'
	matches "$out" '^(kvm-clock|tsc)$'
}

@test "a program sleeps as long as it asks to" {
	inside . 'a=$(inside clock | sed -n s/realtime_ms=//p); sleep 2; b=$(inside clock | sed -n s/realtime_ms=//p); echo "slept=$((b-a))"'
	s=$(fact_value slept)
	[ "$s" -ge 1990 ] && [ "$s" -lt 5000 ]
}

@test "the guest's memory follows the limit: a container of 64 MiB has no gigabyte" {
	inside '.linux.resources.memory = {limit: 67108864}' 'sed -n "s/^MemTotal: *\([0-9]*\) kB/total=\1/p" /proc/meminfo'
	t=$(fact_value total)
	[ "$t" -ge 65536 ] && [ "$t" -le 262144 ]
}

@test "husk check tells line by line what the host offers, and passes here" {
	try rt check
	is "$rc" 0
	for w in kvm tun cgroups boot; do matches "$out" "pass  $w "; done
	lacks "$out" $'\nfail '
}

@test "husk check --json is JSON with a result for each line" {
	try rt check --json
	is "$rc" 0
	jq -e . <<<"$out" >/dev/null
	is "$(jq -r .result <<<"$out")" pass
	is "$(jq '[.checks[] | select((.name and .result and .detail) | not)] | length' <<<"$out")" 0
	is "$(jq -r '.checks[] | select(.name == "kvm") | .result' <<<"$out")" pass
}

@test "the timeline of a run is in milliseconds, in order" {
	container . 'true'
	must rt run --timeline -b "$B" "$C"
	is "$out" ""
	for step in "husk-vmm started" "guest kernel entered" "agent ready" "process runs" "process ended"; do has "$err" "$step"; done
	t=$(awk '$1 ~ /^[0-9.]+$/ { print $1 }' <<<"$err")
	[ "$(wc -l <<<"$t")" -ge 6 ]
	is "$(sort -n <<<"$t")" "$t"
}

@test "--debug shows the guest kernel's log, and without it nothing of it is seen" {
	container . 'echo program'
	try rt --debug run -b "$B" "$C"
	is "$rc" 0
	matches "$out$err" 'Linux version|Run /init|Kernel command line'
	must rt run -b "$B" "$C"
	is "$out" program
	is "$err" ""
}

@test "a missing /dev/kvm is an error that says what, why and how to mend it" {
	container . true
	rc=0
	unshare -m sh -c "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 && mknod -m 666 /dev/zero c 1 5 && exec $RUNTIME_BIN --root $ROOT run -b $B $C" </dev/null >"$T/x" 2>"$T/y" 3>&- || rc=$?
	[ $rc -ne 0 ]
	err=$(<"$T/y")
	has "$err" /dev/kvm
	matches "$err" 'modprobe|module|enable|BIOS|firmware|nested|load'
	try rt delete --force "$C"
	no_leaks
}

@test "no permission for /dev/kvm is an error that says so" {
	container . true
	rc=0
	unshare -m sh -c "mount -t tmpfs none /mnt && touch /mnt/kvm && mount --bind /mnt/kvm /dev/kvm && exec $RUNTIME_BIN --root $ROOT run -b $B $C" </dev/null >"$T/x" 2>"$T/y" 3>&- || rc=$?
	[ $rc -ne 0 ]
	has "$(<"$T/y")" /dev/kvm
}

@test "a KVM that cannot run a guest is found out long before the boot time-out, and its reason told" {
	container . true
	printf '#!/bin/sh\n[ "$1" = --probe ] && { echo "/dev/kvm cannot be used: a stub"; exit 1; }\nexec sleep 1000\n' >"$T/stub"
	chmod 755 "$T/stub"
	before=$SECONDS
	try env HUSK_VMM="$T/stub" "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	[ $rc -ne 0 ]
	has "$err" "/dev/kvm cannot be used: a stub"
	[ $((SECONDS - before)) -lt 20 ]
	no_leaks
}

@test "HUSK_BOOT_TIMEOUT is how long a guest may take to start, unless an annotation says so" {
	local p
	container . 'sleep 1000'
	HUSK_BOOT_TIMEOUT=123456 launch
	for p in $(<"/proc/$PID/task/$PID/children"); do tr '\0' ' ' <"/proc/$p/cmdline"; done >"$T/children"
	file_has "$T/children" 'husk-vmm .*--boot-timeout 123456 '
	must rt delete --force "$C"
	given '.annotations["run.husk.boot_timeout"] = "300000" | .process.args = ["true"]'
	HUSK_BOOT_TIMEOUT=100 must rt run -b "$B" "$C"
	HUSK_BOOT_TIMEOUT=soon must_fail rt run -b "$B" "$C"
	has "$err" 'HUSK_BOOT_TIMEOUT=soon: expected milliseconds, 100 to 600000'
}

@test "a missing kernel image is an error that names the file" {
	container . true
	try env HUSK_KERNEL=/no/such/vmlinux "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	[ $rc -ne 0 ]
	has "$err" /no/such/vmlinux
	try env HUSK_INITRAMFS=/no/such/initramfs "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	[ $rc -ne 0 ]
	has "$err" /no/such/initramfs
	no_leaks
}

@test "a kernel image that is no kernel is an error in good time" {
	container . true
	head -c 100000 /dev/urandom >"$T/vmlinux"
	before=$SECONDS
	try env HUSK_KERNEL="$T/vmlinux" "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	[ $rc -ne 0 ]
	[ -n "$err" ]
	[ $((SECONDS - before)) -lt 60 ]
	no_leaks
}

@test "the jail holds: the VMM has its own namespaces, no capabilities, no new privileges and a seccomp filter" {
	container . 'sleep 1000'
	launch
	vmm=$(vmm_of)
	[ -n "$vmm" ]
	status=$(<"/proc/$vmm/status")
	matches "$status" 'NoNewPrivs:.1'
	matches "$status" 'Seccomp:.2'
	matches "$status" 'CapEff:.0000000000000000'
	matches "$status" 'CapBnd:.0000000000000000'
	for n in mnt ipc uts; do
		[ "$(readlink "/proc/$vmm/ns/$n")" != "$(readlink "/proc/self/ns/$n")" ] || fail "namespace $n is the host's"
	done
	is "$(sed -n 's/^Threads:.//p' <<<"$status" | head -n1 | grep -c .)" 1
}

@test "host networking is refused with the reason, never served as an empty network" {
	given '.linux.namespaces |= map(select(.type != "network")) | .process.args = ["true"]'
	try rt run -b "$B" "$C"
	[ $rc -ne 0 ]
	matches "$err" 'network'
	no_leaks
}

@test "stopping a container gives its VM's memory back to the host" {
	container . 'inside alloc 60; sleep 1000'
	launch
	wait_output alloc=ok
	must rt delete --force "$C"
	no_leaks
}
