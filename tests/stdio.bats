#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stdin, stdout, stderr and terminals: every byte, in order, and the ends where they belong.

load lib/common

BYTES=${HUSK_TEST_BYTES:-20000000}

@test "stdout and stderr are separate, and each keeps its order" {
	container . 'for i in $(seq 300); do echo o$i; echo e$i >&2; done'
	must rt run -b "$B" "$C"
	is "$out" "$(seq -f o%g 300)"
	is "$err" "$(seq -f e%g 300)"
}

@test "stdout and stderr to one file stay in the order of writing within each stream" {
	container . 'for i in $(seq 100); do echo o$i; done; echo e >&2'
	rt run -b "$B" "$C" </dev/null >"$T/x" 2>&1
	is "$(grep ^o "$T/x")" "$(seq -f o%g 100)"
	is "$(grep -c ^e "$T/x")" 1
}

@test "bytes are bytes: all 256 values pass both ways" {
	for i in $(seq 0 255); do printf '%b' "\\0$(printf %o "$i")"; done >"$T/all"
	container . cat
	rt run -b "$B" "$C" <"$T/all" >"$T/x"
	cmp "$T/all" "$T/x"
}

@test "the end of stdin reaches the program, and its output after that still comes" {
	container . 'cat; echo after; sleep 0.5; echo later'
	printf 'one\ntwo' | rt run -b "$B" "$C" >"$T/x"
	is "$(<"$T/x")" "one
twoafter
later"
}

@test "a stdin that never ends does not keep run from ending" {
	container . 'echo done'
	mkfifo "$T/open"
	exec 7<>"$T/open"
	before=$SECONDS
	rt run -b "$B" "$C" <"$T/open" >"$T/x" 7>&-
	exec 7>&-
	is "$(<"$T/x")" done
	[ $((SECONDS - before)) -lt 30 ]
}

@test "a closed stdin, stdout or stderr of the caller does no harm" {
	container . 'echo ran; echo ran >/ran'
	rt run -b "$B" "$C" <&- >"$T/x"
	is "$(<"$T/x")" ran
	rm "$B/rootfs/ran"
	rt run -b "$B" "$C" </dev/null >&- 2>&- || true
	rt delete --force "$C"
}

@test "millions of bytes come out whole and in order" {
	given ".process.args = [\"stream\", \"spew\", \"$BYTES\"]"
	rt run -b "$B" "$C" </dev/null | stream drain >"$T/x"
	is "$(<"$T/x")" "drain=ok bytes=$BYTES"
}

@test "millions of bytes go in whole and in order" {
	given '.process.args = ["stream", "drain"]'
	stream spew "$BYTES" | rt run -b "$B" "$C" >"$T/x"
	is "$(<"$T/x")" "drain=ok bytes=$BYTES"
}

@test "millions of bytes pass through in both directions at once" {
	given '.process.args = ["cat"]'
	stream spew "$BYTES" | rt run -b "$B" "$C" | stream drain >"$T/x"
	is "$(<"$T/x")" "drain=ok bytes=$BYTES"
}

@test "a slow reader loses nothing, and holds up neither the other stream nor signals" {
	container . 'stream spew 3000000; echo end >&2; trap "exit 0" TERM; while :; do sleep 0.1; done'
	mkfifo "$T/pipe"
	stream drain 400 500000 <"$T/pipe" >"$T/x" 3>&- &
	d=$!
	rt create -b "$B" --pid-file "$T/pid" "$C" </dev/null >"$T/pipe" 2>"$T/stderr"
	must rt start "$C"
	poll 60 file_has "$T/stderr" end
	must rt kill "$C" TERM
	wait_status stopped
	wait $d
	is "$(<"$T/x")" "drain=ok bytes=3000000"
}

@test "a reader that stalls holds the program back instead of letting bytes pile up" {
	container . 'stream spew 400000000'
	mkfifo "$T/pipe"
	exec 7<>"$T/pipe"
	rt create -b "$B" --pid-file "$T/pid" "$C" </dev/null >"$T/pipe" 2>"$T/stderr" 7>&-
	must rt start "$C"
	sleep 2
	is "$(status_of)" running
	PID=$(<"$T/pid")
	rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$PID/status")
	[ "$rss" -lt 30000 ] || fail "the process of the pid file has grown to $rss KiB"
	must rt kill "$C" KILL
	exec 7>&-
	wait_status stopped
}

@test "when the reader of stdout goes away, the program gets EPIPE, and the container goes on" {
	container . 'stream push; echo "status=$?" >/after'
	rt run -b "$B" "$C" </dev/null 2>"$T/err" | head -c 10 >"$T/x" || true
	poll 20 file_has "$B/rootfs/after" status=0
	file_has "$T/err" push=EPIPE
}

@test "a program without a handler dies of SIGPIPE when its reader has gone" {
	container . '(yes; echo "status=$?" >/after) ; true'
	rt run -b "$B" "$C" </dev/null 2>/dev/null | head -c 10 >"$T/x" || true
	poll 20 file_has "$B/rootfs/after" 'status='
	is "$(<"$B/rootfs/after")" status=141
}

@test "the last bytes are in the pipe before the process of the pid file ends" {
	container . 'stream spew 200000; echo; echo LAST'
	for _ in 1 2 3; do
		launch
		poll 30 gone "$PID"
		is "$(tail -n1 "$T/stdout")" LAST
		is "$(head -c 200000 "$T/stdout" | stream drain)" "drain=ok bytes=200000"
		must rt delete "$C"
	done
}

@test "the end of file follows the end of the container at once" {
	container . 'echo out'
	rt create -b "$B" --pid-file "$T/pid" "$C" </dev/null 2>"$T/stderr" > >(cat >"$T/x"; echo eof >"$T/eof")
	must rt start "$C"
	poll 20 file_has "$T/eof" eof
	is "$(<"$T/x")" out
}

@test "an exec'ed program's background child keeps its stdout open, and its bytes arrive" {
	container . 'sleep 1000'
	launch
	before=$SECONDS
	rt exec "$C" sh -c '(sleep 2; echo late) & echo early' </dev/null 2>/dev/null | cat >"$T/x"
	is "$(<"$T/x")" "early
late"
}

@test "a shell on a terminal: the size, the controlling terminal and cooked mode are there" {
	console '.process.consoleSize = {height: 20, width: 70}' 'inside tty; sleep 1000'
	wait_tty size=
	out=$(tr -d '\r' <"$T/tty")
	fact isatty 111
	fact controlling yes
	fact foreground yes
	fact icanon 1
	fact echo 1
	fact isig 1
	fact opost 1
	fact onlcr 1
	matches "$(fact_value name)" '^/dev/(pts/0|console)$'
	fact size 20x70
}

# console FILTER SCRIPT [RECVTTY-OPTIONS]: a container with a terminal, received through a console socket
console() {
	container "$1 | .process.terminal = true" "$2"
	mkfifo "$T/keys" "$T/ctl"
	exec 6<>"$T/keys"
	background recvtty -c "$T/ctl" "${@:3}" "$T/tty.sock" <"$T/keys" >"$T/tty" 2>"$T/recv" 6>&-
	poll 10 file_has "$T/recv" ready
	must rt create -b "$B" --pid-file "$T/pid" --console-socket "$T/tty.sock" "$C" 6>&-
	poll 10 file_has "$T/recv" eof=
	must rt start "$C" 6>&-
	PID=$(<"$T/pid")
}

wait_tty() { poll "${2:-20}" file_has "$T/tty" "$1"; }

@test "the console socket gets one message with one descriptor and a name, and is closed" {
	console . 'sleep 1000'
	out=$(<"$T/recv")
	fact cmsg "one fd"
	fact eof yes
	matches "$(fact_value bytes)" '^[1-9][0-9]*$'
}

@test "keys reach the program, with echo, and carriage returns are not doubled" {
	console . 'read a; echo "got $a"; sleep 1000'
	printf 'hello\r' >&6
	wait_tty 'got hello'
	is "$(od -An -c "$T/tty" | tr -d ' \n')" 'hello\r\ngothello\r\n'
}

@test "control-C, control-\\ and control-D mean what they mean on a terminal" {
	console . 'trap "echo int" INT; trap "echo quit" QUIT; echo ready; while ! read a; do :; done; echo "line $a"; cat; echo eof; sleep 1000'
	wait_tty ready
	printf '\003' >&6
	wait_tty int
	printf '\034' >&6
	wait_tty quit
	printf 'x\r' >&6
	wait_tty 'line x'
	printf 'y\r\004' >&6
	wait_tty eof
}

@test "resizes of the engine's end reach the program, the first one too" {
	given '.'
	console . 'inside winch' -s 30x90
	wait_tty size=30x90
	echo "41 101" >"$T/ctl"
	wait_tty size=41x101
	echo "25 81" >"$T/ctl"
	wait_tty size=25x81
}

@test "a program that makes its terminal raw gets raw bytes" {
	console . 'stty raw -echo; echo ready; head -c 3 | od -An -tx1; sleep 1000'
	wait_tty ready
	printf '\003\r\n' >&6
	wait_tty '03 0d 0a'
}

@test "a large paste into a terminal arrives whole" {
	console . 'stty -icanon -echo; echo ready; head -c 200000 | sha256sum; sleep 1000'
	wait_tty ready
	head -c 200000 /dev/zero | tr '\0' 'p' >"$T/paste"
	cat "$T/paste" >&6
	wait_tty "$(sha256sum <"$T/paste" | cut -d' ' -f1)" 40
}

@test "when the engine closes its end, the program gets SIGHUP" {
	console . 'trap "echo hup >/hup" HUP; echo ready; while :; do sleep 0.1; done'
	wait_tty ready
	echo hangup >"$T/ctl"
	poll 20 file_has "$B/rootfs/hup" hup
}

@test "the output of a terminal is complete when the process of the pid file has ended" {
	console . 'stty -opost; stream spew 100000'
	poll 30 gone "$PID"
	poll 10 gone "$JOB"
	is "$(stream drain <"$T/tty")" "drain=ok bytes=100000"
}

@test "/dev/console and /dev/tty are the terminal" {
	console . 'echo by-console >/dev/console; echo by-tty >/dev/tty; ls -l /dev/console | cut -c1; sleep 1000'
	wait_tty by-tty
	wait_tty by-console
	wait_tty '^c'
}

# The size reaches a terminal only after the start: wait for it, but not for ever.
size_script() {
	bundle
	printf '#!/bin/sh\nfor i in $(seq 100); do [ "$(stty size)" = "$1" ] && break; usleep 50000; done\ninside tty\n' >"$B/rootfs/bin/size-wait"
	chmod 755 "$B/rootfs/bin/size-wait"
}

@test "run in the foreground on a terminal: its size and keys are those of the caller's" {
	command -v script >/dev/null || skip "no script(1)"
	size_script
	container '.process.terminal = true' 'size-wait "28 88"; echo ready; read a; echo "got $a"; exit 5'
	terminal_start 28 88 "exec $RUNTIME_BIN --root $ROOT run -b $B $C"
	poll 30 file_has "$T/tty" ready
	printf 'typed\r' >&7
	terminal_end
	is "$rc" 5
	fact isatty 111
	fact size 28x88
	has_line "$out" 'got typed'
}

@test "exec -t in the foreground runs on the caller's terminal" {
	command -v script >/dev/null || skip "no script(1)"
	size_script
	container . 'sleep 1000'
	launch
	terminal 29 89 "exec $RUNTIME_BIN --root $ROOT exec -t $C sh -c 'size-wait \"29 89\"; exit 6'"
	is "$rc" 6
	fact isatty 111
	fact size 29x89
}
