#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=vm,slow
# Guests that are hostile from their first instruction (guest/hostile.c): small programs in the kernel's place that attack
# husk-vmm. Each ends with the guest alive and its devices answering, or with the VM's end and a clear reason.

load lib/common

local_setup() {
	husk_only "attacks on the VMM"
	VMM=${RUNTIME_BIN%/*}/husk-vmm
	HOSTILE=${TOOLS%/*}/guest/hostile
	LIMIT=60000
	mkdir "$T/share"
	ln -s /etc "$T/share/out"
	mkfifo "$T/share/fifo"
	mknod "$T/share/null" c 1 3
}

# attack NAME [OPTION..]: starts the guest; $rc, $err as by try. Nothing of the VMM may be left.
attack() {
	local name=$1
	shift
	try "$VMM" --kernel "$HOSTILE" --mem 64 --cpus 1 --debug --boot-timeout "$LIMIT" --share share:fd:7 --cmdline "attack=$name" \
		"$@" 7<"$T/share"
}

survives() {
	attack "$@"
	has "$err" "end: survived"
	lacks "$err" FAIL
	is "$rc" 0
}

@test "queues outside memory, across its end and wrapping around are refused" {
	survives queue-outside
}

@test "loops, chains too long, tables in tables and heads in flight stop the device, and a reset mends it" {
	survives chains
}

@test "nothing about a queue changes once it runs" {
	survives change-after-ok
}

@test "rings that change while they are read do no harm" {
	survives race-ring
}

@test "any access to any register does no harm" {
	survives register-storm
}

@test "wide, unaligned and locked accesses and strings across windows do no harm" {
	survives wide-accesses
}

@test "an instruction that KVM cannot do on device memory ends the VM with a reason" {
	attack odd-instruction
	is "$rc" 2
	has "$err" "KVM could not execute the guest's instruction"
	lacks "$err" "not reached"
}

@test "a flood of notifications does no harm" {
	survives notify-flood
}

@test "resets in the middle of requests do no harm" {
	survives reset-storm
}

@test "a request for random bytes is bounded" {
	survives rng-greedy
}

@test "memory given back twice, or that never was, does no harm" {
	survives balloon-twice
}

@test "no vsock port of the host answers" {
	survives vsock-host-ports
}

@test "vsock packets of every kind do no harm" {
	survives vsock-flood
}

@test "no name leads out of a share, and no special file is opened" {
	survives fs-names
}

@test "FUSE requests that lie about their length do no harm" {
	survives fs-lengths
}

@test "no request of a disk reaches beyond it, and those without sense do no harm" {
	truncate -s 1M "$T/disk"
	printf 'beyond' >>"$T/disk"
	survives disk --disk fd:9 9<>"$T/disk"
	is "$(stat -c %s "$T/disk")" 1048582
	is "$(tail -c 6 "$T/disk")" beyond
}

@test "a disk that is read-only stays as it is" {
	head -c 1048576 /dev/zero | tr '\0' r >"$T/disk"
	attack disk --disk fd:9:ro 9<"$T/disk"
	has "$err" "FAIL a write"
	is "$(tr -d r <"$T/disk" | wc -c)" 0
}

@test "all ports of the machine can be touched" {
	survives ports
}

@test "all model specific registers can be touched" {
	survives msrs
}

@test "several processors may storm the registers at once" {
	survives smp-storm --max-cpus 4
}

@test "several processors may reset the devices at once" {
	survives smp-resets --max-cpus 4
}

@test "a triple fault ends the VM with a reason" {
	attack triple-fault
	is "$rc" 2
	has "$err" "restarted before its agent was ready"
}

@test "a guest that never yields is ended by the boot time limit" {
	LIMIT=3000
	attack spin
	is "$rc" 2
	has "$err" spinning
	has "$err" "was not ready after 3000 ms"
}

@test "a guest that halts is ended by the boot time limit" {
	LIMIT=3000
	attack halt
	is "$rc" 2
	has "$err" "was not ready after 3000 ms"
}

@test "a guest that never yields ends with its owner" {
	attack spin --owner fd:8 8< <(sleep 3)
	is "$rc" 0
	lacks "$err" "was not ready"
}

@test "what a guest can make the VMM hold is bounded: descriptors, threads, memory, messages" {
	local pid fds threads kib
	"$VMM" --kernel "$HOSTILE" --mem 64 --cpus 1 --max-cpus 4 --debug --boot-timeout 60000 --cmdline attack=smp-resets 2>"$T/log" &
	pid=$!
	JOBS+=($pid)
	fds=0 threads=0 kib=0
	while [ -d /proc/$pid/fd ]; do
		n=$(ls /proc/$pid/fd 2>/dev/null | wc -l) && [ "$n" -gt "$fds" ] && fds=$n
		n=$(ls /proc/$pid/task 2>/dev/null | wc -l) && [ "$n" -gt "$threads" ] && threads=$n
		n=$(awk '/^VmRSS/ { print $2 }' /proc/$pid/status 2>/dev/null) && [ "${n:-0}" -gt "$kib" ] && kib=$n
		sleep 0.1
		kill -0 $pid 2>/dev/null || break
	done
	echo "descriptors $fds, threads $threads, resident $kib KiB, messages $(wc -c <"$T/log") bytes"
	[ "$fds" -lt 80 ]
	[ "$threads" -lt 16 ]
	[ "$kib" -lt $((64 * 1024 + 4096)) ]
	[ "$(grep -c husk-vmm "$T/log")" -le 66 ]
}
