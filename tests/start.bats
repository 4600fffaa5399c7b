#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# start: the program begins, once, and what goes wrong at the last moment is said by start.

load lib/common

@test "start runs the program and returns while it runs" {
	container . 'echo begun; sleep 1000'
	create
	before=$SECONDS
	must rt start "$C"
	[ $((SECONDS - before)) -lt 20 ]
	wait_output begun
	is "$(status_of)" running
}

@test "start of a running container is an error and does it no harm" {
	container . 'echo begun; sleep 1000'
	launch
	must_fail rt start "$C"
	has "$err" "cannot start an already running container"
	is "$(status_of)" running
	is "$(grep -c begun "$T/stdout")" 1
}

@test "start of a container that has stopped is an error" {
	container . true
	launch
	wait_status stopped
	must_fail rt start "$C"
	has "$err" "cannot start a container that has stopped"
}

@test "start of an unknown container is an error that says so" {
	must_fail rt start "$C"
	has "$err" "does not exist"
}

# runc 1.1 says it on the container's stderr, where newer ones and husk let start fail.
failing_start() {
	create
	try rt start "$C"
	if is_husk || [ $rc -ne 0 ]; then
		[ $rc -ne 0 ] || fail "start should have failed"
		has "$err" "$1"
	else
		poll 10 file_has "$T/stderr" "$1"
	fi
	wait_status stopped
	must rt delete "$C"
}

@test "a file that is no program is an error of start, in the words that engines match" {
	given '.process.args = ["/bin/garbage"]'
	failing_start "exec format error"
}

@test "a script whose interpreter is missing is an error of start, in the words that engines match" {
	given '.process.args = ["/bin/badscript"]'
	failing_start "no such file or directory"
}

@test "a script with an interpreter runs, with its arguments" {
	given '.process.args = ["script", "one", "two three"]'
	must rt run -b "$B" "$C"
	is "$out" "script one two three"
}

@test "a config without a process cannot be created or cannot be started" {
	given 'del(.process)'
	try rt create -b "$B" "$C"
	if [ $rc -eq 0 ]; then must_fail rt start "$C"; fi
	has "$err" process
	must rt delete --force "$C"
}

@test "the output of the program goes to the files that create was given, not to those of start" {
	container . 'echo out; echo err >&2'
	create
	must rt start "$C"
	is "$out$err" ""
	wait_status stopped
	is "$(<"$T/stdout")" out
	is "$(<"$T/stderr")" err
}

@test "two containers started at the same moment both run" {
	container . 'echo begun; sleep 1000'
	create
	B=$T/second
	container . 'echo begun; sleep 1000'
	must rt create -b "$B" "$C-2"
	rt start "$C" &
	a=$!
	rt start "$C-2" &
	wait $a
	wait $!
	is "$(status_of "$C")" running
	is "$(status_of "$C-2")" running
}
