#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=vm
# The filters of husk-vmm allow nothing that it does not need: a covering set of work under a tool that notes each call
# (tools/calls.c), and then no line of the tables may be unused. A call that is forbidden but needed ends the VM, here as
# in every other case.

load lib/common

# properties of fs_suite that together need every call of the file server
FILES="getlk_tells bytes_written holes_and fallocate copy_file_range direct_io synchronous modes_are owners_can what_a_user times_are_set
	user_attributes inode_flags posix_locks_are flock_is a_waiting_lock symbolic_links hard_links rename_of rename_flags
	temporary_files device_nodes directories_are_removed truncate_cuts blocks_and file_capabilities"
FILES=$(tr -s '\n\t' ' ' <<<"$FILES")

export BATS_TEST_TIMEOUT=600 BATS_TEST_RETRIES=0

local_setup() {
	husk_only "the VMM's filters"
	V=v$$x$((RANDOM % 100))
	mkdir "$T/calls"
	cp "$TOOLS/calls" "$T/calls/calls"
	echo "${RUNTIME_BIN%/*}/husk-vmm" >"$T/calls/vmm"
	export HUSK_VMM=$T/calls/calls
}

local_teardown() {
	ip link del "$V" 2>/dev/null
	[ -z "${LOOP:-}" ] || losetup -d "$LOOP"
	[ -n "${BATS_TEST_COMPLETED:-}" ] || sort -u "$T/calls/calls.log" | sed 's/^/used: /'
	return 0
}

# hostile ATTACK [OPTION..]: a small guest, whose end is its own affair
hostile() {
	"$HUSK_VMM" --kernel "${TOOLS%/*}/guest/hostile" --mem 64 --cpus 1 --max-cpus 4 --debug --boot-timeout 90000 --cmdline "attack=$1" \
		"${@:2}" 2>"$T/log" || true
	cat "$T/log"
}

# bats test_tags=slow
@test "no line of the filters' tables is unused" {
	local sock
	# files, network, CPUs, pause, memory, streams
	bundle
	cp "$TOOLS/fs_suite" "$B/rootfs/bin/"
	mkdir "$T/vol" "$T/new"
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rw\"]}]
		| .process.capabilities |= map_values(. + [\"CAP_SYS_ADMIN\", \"CAP_MKNOD\", \"CAP_FOWNER\"] | unique)
		| .linux.resources.memory.limit = 268435456 | .annotations[\"run.husk.vcpus\"] = \"2\"" \
		"ping -c 2 -W 5 192.0.2.1 >/dev/null; fs_suite /vol $FILES >/tmp/log; echo end; exec sleep 1000"
	create
	ip link add "$V" type veth peer name eth0 netns "$PID"
	ip addr add 192.0.2.1/24 dev "$V"
	ip link set "$V" up
	nsenter -t "$PID" -n ip addr add 192.0.2.2/24 dev eth0
	nsenter -t "$PID" -n ip link set eth0 up
	must rt start "$C"
	wait_output '^end' 200
	must rt pause "$C"
	must rt resume "$C"
	must rt update --memory 134217728 "$C"
	is "$(head -c 1000000 /dev/zero | rt exec "$C" sh -c 'wc -c')" 1000000
	# what the runtime asks for in rarer cases: shares that come later, vCPUs that stand still
	sock=$ROOT/$C/vm.sock
	is "$(ctlcall "$sock" 3 0 later "$T/new")" 0
	is "$(ctlcall "$sock" 4 0 later)" 0
	is "$(ctlcall "$sock" 9 0)" 0
	is "$(ctlcall "$sock" 10 0)" 0
	must rt delete --force "$C"
	truncate -s 1M "$T/disk" "$T/file"
	hostile disk --disk fd:9 9<>"$T/disk"
	# a block device whose size changes
	LOOP=$(losetup --find --show "$T/disk")
	ctlcall "$T/sock" listen "$HUSK_VMM" --kernel "${TOOLS%/*}/guest/hostile" --mem 64 --cpus 1 --boot-timeout 90000 --listen fd:3 \
		--cmdline attack=halt --disk fd:9 --disk fd:8 9<>"$LOOP" 8<>"$T/file" 2>/dev/null &
	JOBS+=($!)
	poll 20 test -S "$T/sock"
	is "$(ctlcall "$T/sock" 13 0)" 0
	is "$(ctlcall "$T/sock" 13 1)" 0
	ctlcall "$T/sock" 12 0 || true
	hostile odd-instruction
	calls --unused "$T/calls/calls.log"
}
