#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=vm
# Several virtual CPUs: as many as config.json implies, all of them usable at once.

load lib/common

local_setup() {
	husk_only "virtual CPUs"
}

four() { given '.annotations["run.husk.vcpus"] = "4"'; }

@test "a container gets the four virtual CPUs that its annotation asks for, and each runs programs" {
	four
	inside . 'inside cpus; nproc; grep -c ^processor /proc/cpuinfo; cat /sys/devices/system/cpu/online'
	fact cpus 4
	fact online 4
	has_line "$out" 0-3
}

@test "a quota of two periods gives two virtual CPUs" {
	inside '.linux.resources.cpu = {quota: 200000, period: 100000}' 'nproc'
	is "$out" 2
}

@test "a quota below one period gives one virtual CPU" {
	inside '.linux.resources.cpu = {quota: 50000, period: 100000}' 'nproc'
	is "$out" 1
}

@test "work on four virtual CPUs at once gives the right results" {
	four
	inside . 'for i in 1 2 3 4; do (stream spew 3000000 | sha256sum | cut -c1-16) & done; wait'
	is "$(sort -u <<<"$out" | wc -l)" 1
	is "$(wc -l <<<"$out")" 4
	is "$(head -n1 <<<"$out")" "$(stream spew 3000000 | sha256sum | cut -c1-16)"
}

@test "bytes through stdio, files and volumes stay whole with four virtual CPUs" {
	four
	mkdir "$T/vol"
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}]" \
		'for i in 1 2 3 4; do (stream spew 2000000 >/vol/f$i; stream drain </vol/f$i >/vol/r$i) & done; stream spew 5000000; wait'
	rt run -b "$B" "$C" </dev/null | stream drain >"$T/x"
	is "$(<"$T/x")" "drain=ok bytes=5000000"
	for i in 1 2 3 4; do
		is "$(<"$T/vol/r$i")" "drain=ok bytes=2000000"
		is "$(stream drain <"$T/vol/f$i")" "drain=ok bytes=2000000"
	done
}

@test "processes that fork, pipe and exit on four virtual CPUs all end" {
	four
	inside . 'n=0; for i in 1 2 3 4; do (j=0; while [ $j -lt 40 ]; do echo x | cat >/dev/null; j=$((j+1)); done; echo end) & done; wait'
	is "$(grep -c end <<<"$out")" 4
}

@test "with four virtual CPUs exec, pause, resume and kill work" {
	four
	container . 'for i in 1 2 3; do (while :; do :; done) & done; wait'
	launch
	must rt exec "$C" nproc
	is "$out" 4
	must rt pause "$C"
	must rt resume "$C"
	must rt exec "$C" echo alive
	is "$out" alive
	must rt kill "$C" KILL
	wait_status stopped
}

@test "a CPU quota holds inside: two busy loops on half a CPU get about half a CPU" {
	need_cgroup2
	inside '.linux.resources.cpu = {quota: 50000, period: 100000}' '(timeout 4 sh -c "while :; do :; done") & timeout 4 sh -c "while :; do :; done"; wait; grep usage_usec /sys/fs/cgroup/cpu.stat; grep nr_throttled /sys/fs/cgroup/cpu.stat'
	[ "$(sed -n 's/^usage_usec //p' <<<"$out")" -lt 3600000 ]
	# with a VM either kernel may have been the one that held it back
	is_husk || [ "$(sed -n 's/^nr_throttled //p' <<<"$out")" -gt 0 ]
}
