#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pause and resume: nothing runs in between, nothing is lost, and killing still works.

load lib/common

counting() {
	container . 'n=0; while :; do n=$((n+1)); echo $n >/tmp/n; usleep 50000; done'
	launch
	poll 20 file_has "$B/rootfs/tmp/n" '[0-9]'
}

changed() { [ -s "$1" ] && [ "$(<"$1")" != "$2" ]; }

@test "nothing in a paused container runs, and it goes on where it was after resume" {
	counting
	must rt pause "$C"
	is "$out$err" ""
	is "$(status_of)" paused
	a=$(<"$B/rootfs/tmp/n")
	sleep 1.5
	is "$(<"$B/rootfs/tmp/n")" "$a"
	must rt resume "$C"
	is "$(status_of)" running
	poll 20 changed "$B/rootfs/tmp/n" "$a"
}

@test "what the container wrote before the pause is on the host during it" {
	container . 'head -c 3000000 /dev/zero | tr "\0" x >/tmp/big; echo written; sleep 1000'
	launch
	wait_output written
	must rt pause "$C"
	is "$(stat -c %s "$B/rootfs/tmp/big")" 3000000
	is "$(tr -d x <"$B/rootfs/tmp/big" | wc -c)" 0
}

@test "resume of a container that is not paused is an error that says so" {
	counting
	must_fail rt resume "$C"
	has "$err" "not paused"
	is "$(status_of)" running
}

@test "pause of a paused, a stopped or an unknown container is an error" {
	counting
	must rt pause "$C"
	must_fail rt pause "$C"
	is "$(status_of)" paused
	must rt kill "$C" KILL
	wait_status stopped
	must_fail rt pause "$C"
	must_fail rt resume "$C"
	must_fail rt pause "$C-unknown"
	has "$err" "does not exist"
	must_fail rt resume "$C-unknown"
	has "$err" "does not exist"
}

@test "KILL ends a paused container without a resume" {
	counting
	must rt pause "$C"
	must rt kill "$C" KILL
	wait_status stopped "$C" 10
	must rt delete "$C"
}

@test "other signals to a paused container arrive after resume" {
	given '.process.args = ["inside", "signals"]'
	launch
	wait_output ready
	must rt pause "$C"
	must rt kill "$C" USR1
	sleep 0.5
	lacks "$(<"$T/stdout")" 'signal 10'
	must rt resume "$C"
	wait_output 'signal 10'
}

@test "a running exec pauses and resumes with its container" {
	counting
	background rt exec "$C" sh -c 'n=0; while :; do n=$((n+1)); echo $n >/tmp/m; usleep 50000; done' </dev/null >/dev/null 2>&1
	poll 20 file_has "$B/rootfs/tmp/m" '[0-9]'
	must rt pause "$C"
	a=$(<"$B/rootfs/tmp/m")
	sleep 1
	is "$(<"$B/rootfs/tmp/m")" "$a"
	must rt resume "$C"
	poll 20 changed "$B/rootfs/tmp/m" "$a"
}

@test "pausing and resuming ten times loses no output" {
	container . 'for i in $(seq 200); do echo line $i; usleep 20000; done'
	launch
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		try rt pause "$C"
		try rt resume "$C"
	done
	wait_status stopped "$C" 60
	is "$(<"$T/stdout")" "$(for i in $(seq 200); do echo "line $i"; done)"
}
