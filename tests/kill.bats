#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill: every signal, to every state, with the words that engines match.

load lib/common

listening() {
	given '.process.args = ["inside", "signals"]'
	launch
	wait_output ready
}

@test "kill without a signal sends TERM" {
	listening
	must rt kill "$C"
	wait_output 'signal 15'
	wait_status stopped
}

@test "signals may be numbers, or names with and without SIG in either case" {
	listening
	for s in 1 HUP SIGHUP hup sighup; do must rt kill "$C" "$s"; done
	must rt kill "$C" SIGUSR1
	wait_output 'signal 10'
	# standard signals may merge while pending, so only that they arrived is certain
	wait_output 'signal 1$'
	lacks "$(sort -u "$T/stdout")" 'signal 2'
}

@test "real-time signals arrive, all of those sent" {
	listening
	must rt kill "$C" 37
	must rt kill "$C" 37
	must rt kill "$C" 34
	must rt kill "$C" 64
	must rt kill "$C" 10
	wait_output 'signal 10'
	is "$(grep -c 'signal 37' "$T/stdout")" 2
	is "$(grep -c 'signal 34' "$T/stdout")" 1
	is "$(grep -c 'signal 64' "$T/stdout")" 1
}

@test "real-time signals may be named from either end" {
	runtime_at_least runc 99 "names for real-time signals"
	listening
	must rt kill "$C" RTMIN+3
	wait_output 'signal 37'
	must rt kill "$C" SIGRTMAX-1
	wait_output 'signal 63'
}

@test "a signal that does not exist is an error and changes nothing" {
	listening
	for s in NOSUCH 65 -1 SIG 1x; do
		must_fail rt kill "$C" "$s"
	done
	is "$(status_of)" running
	is "$(<"$T/stdout")" ready
}

@test "kill of an unknown container says that it does not exist" {
	must_fail rt kill "$C" TERM
	has "$err" "does not exist"
}

@test "kill of a stopped container says that it is not running" {
	container . true
	launch
	wait_status stopped
	must_fail rt kill "$C" TERM
	has "$err" "container not running"
	must_fail rt kill "$C" KILL
	has "$err" "container not running"
}

@test "kill --all of a stopped container is no error" {
	container . true
	launch
	wait_status stopped
	must rt kill --all "$C" 9
	must rt kill -a "$C" KILL
}

@test "kill --all reaches every process of the container" {
	container . 'for i in 1 2 3; do inside signals >/tmp/s$i & done; wait; echo all ended; sleep 1000'
	launch
	for i in 1 2 3; do poll 20 file_has "$B/rootfs/tmp/s$i" ready; done
	must rt kill --all "$C" USR1
	for i in 1 2 3; do poll 20 file_has "$B/rootfs/tmp/s$i" 'signal 10'; done
}

@test "without --all only the first process gets the signal" {
	container . 'trap "echo first" USR1; inside signals >/tmp/s & while :; do wait; done'
	launch
	poll 20 file_has "$B/rootfs/tmp/s" ready
	must rt kill "$C" USR1
	wait_output first
	lacks "$(<"$B/rootfs/tmp/s")" signal
}

@test "KILL ends the container, at once, whatever the program does" {
	container . 'trap "" TERM INT HUP; echo begun; while :; do sleep 1; done'
	launch
	wait_output begun
	must rt kill "$C" TERM
	sleep 0.5
	is "$(status_of)" running
	must rt kill "$C" KILL
	wait_status stopped "$C" 10
	poll 5 gone "$PID"
}

@test "a first process without a handler ignores TERM, as process 1 of any pid namespace does" {
	given '.process.args = ["/bin/busybox", "sleep", "1000"]'
	launch
	must rt kill "$C" TERM
	sleep 1
	is "$(status_of)" running
}

@test "KILL ends a container that was created and never started" {
	container . true
	create
	must rt kill "$C" KILL
	wait_status stopped
	must rt delete "$C"
}

@test "TERM ends a container that was created and never started" {
	container . true
	create
	must rt kill "$C" TERM
	wait_status stopped
	must rt delete "$C"
}

@test "STOP and CONT stop and continue the first process" {
	container . 'n=0; while :; do n=$((n+1)); echo $n >/tmp/n; sleep 0.1; done'
	launch
	poll 20 file_has "$B/rootfs/tmp/n" '[0-9]'
	must rt kill "$C" STOP
	sleep 1
	a=$(<"$B/rootfs/tmp/n")
	sleep 1.5
	is "$(<"$B/rootfs/tmp/n")" "$a"
	must rt kill "$C" CONT
	poll 20 changed "$B/rootfs/tmp/n" "$a"
}

changed() { [ "$(<"$1")" != "$2" ]; }

@test "a raw catchable signal to the process of the pid file reaches the program" {
	listening
	kill -USR2 "$PID"
	wait_output 'signal 12'
	kill -TERM "$PID"
	wait_output 'signal 15'
	wait_status stopped
}
