#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=vm
# The jail as the host sees it: what husk-vmm and each of its threads are left with while a guest runs.

load lib/common

local_setup() {
	husk_only "the jail of the VMM"
}

# status_field TASK-DIR NAME
status_field() { awk -v k="$2:" '$1 == k { $1 = ""; print substr($0, 2) }' "$1/status"; }

@test "the VMM has namespaces of its own, an empty root and nothing of its environment" {
	local vmm ns own
	container . "sleep 100"
	launch
	vmm=$(vmm_of "$C")
	for ns in user mnt pid ipc uts net; do
		for own in $PID $$; do
			[ "$(readlink /proc/"$vmm"/ns/$ns)" != "$(readlink /proc/"$own"/ns/$ns)" ] || fail "the $ns namespace is that of $own"
		done
	done
	has "$(status_field /proc/"$vmm" NSpid)" " 1"
	[[ "$(status_field /proc/"$vmm" NSpid)" == *[[:space:]]1 ]] || fail "not the first process of its pid namespace"
	is "$(wc -l <"/proc/$vmm/mountinfo")" 1 "mounts"
	has "$(cat "/proc/$vmm/mountinfo")" " / / ro,nosuid,nodev,noexec"
	is "$(ls -A "/proc/$vmm/root/" | wc -l)" 0 "files in its root"
	is "$(nsenter -t "$vmm" -n ip -o link | grep -vc ': lo:')" 0 "network interfaces"
	is "$(wc -c <"/proc/$vmm/environ")" 0 "environment"
	# not dumpable: its files in /proc belong to root, whoever it is
	is "$(stat -c %u "/proc/$vmm/environ")" 0
	has "$(tr -s ' ' <"/proc/$vmm/limits")" "Max core file size 0 0"
	has "$(tr -s ' ' <"/proc/$vmm/limits")" "Max locked memory 0 0"
}

@test "no memory of the VMM is offered to the host's page merging, locked or executable and writable" {
	local vmm
	container . "sleep 100"
	launch
	vmm=$(vmm_of "$C")
	is "$(grep -c '^VmFlags:.* \(mg\|lo\)\b' "/proc/$vmm/smaps")" 0
	is "$(grep -c '^[0-9a-f-]* .wx' "/proc/$vmm/maps")" 0
}

@test "each thread of the VMM is behind a filter, and none but the file server's has capabilities or root's id" {
	local vmm t n=0
	container . "sleep 100"
	launch
	vmm=$(vmm_of "$C")
	for t in /proc/"$vmm"/task/*; do
		n=$((n + 1))
		is "$(status_field "$t" Seccomp)" 2 "seccomp mode of $(<"$t/comm")"
		is "$(status_field "$t" NoNewPrivs)" 1
		is "$(status_field "$t" CapBnd)" 0000000000000000
		is "$(status_field "$t" CapAmb)" 0000000000000000
		is "$(status_field "$t" CapInh)" 0000000000000000
		is "$(status_field "$t" Groups)" ""
		case $(<"$t/comm") in
		fs*)
			# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETGID, SETUID, MKNOD, SETFCAP
			is "$(status_field "$t" CapPrm)" 00000000880000df
			;;
		*)
			is "$(status_field "$t" CapPrm)" 0000000000000000
			[[ "$(status_field "$t" Uid)" =~ ^(1[89]|20)[0-9]{8}\  ]] || fail "user ids $(status_field "$t" Uid)"
			;;
		esac
	done
	[ "$n" -ge 3 ]
}

@test "two VMs have two user ids" {
	local a b
	container . "sleep 100"
	launch
	cp -a "$B" "$B.2"
	jq ".linux.cgroupsPath = \"$CG${B##*/}.2\"" "$B/config.json" >"$B.2/config.json"
	launch "$C.2" "$B.2"
	a=$(status_field "/proc/$(vmm_of "$C")" Uid)
	b=$(status_field "/proc/$(vmm_of "$C.2")" Uid)
	echo "$a, $b"
	[ "$a" != "$b" ]
}

@test "the control socket is its owner's, and bytes that are no request end the connection only" {
	local sock=$ROOT/$C/vm.sock n
	container . "sleep 100"
	launch
	for n in 1 2 3; do must ctlcall "$sock" garbage; done
	# neither by the path nor, were it open to all, by the socket itself
	must_fail setpriv --reuid 1000 --regid 1000 --clear-groups "$TOOLS/ctlcall" "$sock" 2 0
	chmod 711 "$T" "$SUITE" "$ROOT" "$ROOT/$C" && chmod 777 "$sock"
	must_fail setpriv --reuid 1000 --regid 1000 --clear-groups "$TOOLS/ctlcall" "$sock" 2 0
	is "$(ctlcall "$sock" 2 0)" 0
	chmod 700 "$ROOT" "$ROOT/$C"
}
