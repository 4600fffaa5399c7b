#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=vm
# Breaking the wall on purpose: a VMM with a hole (make BREACH=1, tests/breach) in which the guest makes system calls
# in the VMM's threads, and tries all that somebody would try who controls one of them (guest/breach.c). What gets
# through is compared with what docs/threat-model.md says.

load lib/common

local_setup() {
	husk_only "the jail of the VMM"
	GUEST=${TOOLS%/*}/guest/breach
	BREACHED=${RUNTIME_BIN%/build/husk}/build-breach/husk-vmm
	# exit, exit_group and rt_sigreturn would end the threads; the guest leaves them out
	calls --numbers | sed -E 's/ (15|60|231)\b//g' >"$T/tables"
}

# What a thread of this kind got, and that its calls are those of its table.
got() { grep "^$1: " "$2" | grep -v "^$1: calls:" | sort -u; }
calls_as_in_tables() { is "$(grep "^$1: calls:" "$2" | sort -u)" "$(grep "^$1: calls:" "$T/tables")"; }

@test "a guest that controls threads of its VMM gets at nothing of the host but its shares" {
	local kind
	bundle
	mkdir "$T/vol"
	[ -e /lib64/ld-linux-x86-64.so.2 ] && [ ! -e "$B/rootfs/lib64" ] || fail "the guest looks for this file of the host"
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rw\"]}]" true
	# the guest is no container: `run` fails when its VM has ended
	HUSK_VMM=$BREACHED HUSK_KERNEL=$GUEST try rt --debug run -b "$B" "$C"
	tr -d '\r' <<<"$err" >"$T/log"
	grep -q "^end: survived" "$T/log" || fail "the guest did not come to its end: $err"
	for kind in loop vcpu fs; do
		calls_as_in_tables $kind "$T/log"
	done
	is "$(got loop "$T/log")" ""
	is "$(got vcpu "$T/log")" ""
	# the root: an empty file system, read-only
	is "$(got fs "$T/log")" "fs: opens: /"
	is "$(ls -A "$T/vol")" ""
}

@test "a guest that controls the thread of its disks gets at nothing of the host" {
	truncate -s 1M "$T/disk"
	mkdir "$T/share"
	try "$BREACHED" --kernel "$GUEST" --mem 64 --cpus 1 --debug --boot-timeout 90000 --disk fd:9 --share s:fd:8 \
		8<"$T/share" 9<>"$T/disk"
	has "$err" "end: survived"
	calls_as_in_tables blk <(echo "$err")
	lacks "$err" "blk: opens"
	is "$(got blk <(echo "$err"))" ""
	# shares of a VMM that is started by hand are roots, too
	is "$(got fs <(echo "$err"))" "fs: opens: /"
}

@test "the product has no such hole" {
	is "$(grep -ac breach_twin "${RUNTIME_BIN%/*}/husk-vmm")" 0
	[ "$(grep -ac breach_twin "$BREACHED")" -gt 0 ]
}
