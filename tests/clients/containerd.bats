#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# containerd's io.containerd.runc.v2 with the runtime as its binary, driven by ctr: each property holds with runc
# (RUNTIME=runc) and with husk.

load ../lib/common
load lib/containerd

# ---- running ----

# bats test_tags=quick
@test "run: output on both streams, environment, folder, and the status comes back" {
	go --env COLOR=blue --cwd /tmp -- sh -c 'echo "$COLOR $PWD $1"; echo problem >&2; exit 42' x 'two words'
	is "$rc" 42
	is "$out" "blue /tmp two words"
	has "$err" problem
}

@test "run: a missing program, one that may not be executed and one of no format are errors in the runtime's words" {
	go -- no-such-program
	[ "$rc" -ne 0 ]
	has "$err" 'executable file not found in $PATH'
	go -- /bin/notexecutable
	has "$err" "permission denied"
	go -- /no/such/file
	has "$err" "no such file or directory"
	task_is ""
}

@test "run: standard input and its end" {
	bundle
	run_words --rm -- sh -c 'wc -c; echo end'
	rc=0
	out=$(head -c 200000 /dev/zero | timeout 100 ctr --address "$CD/sock" --namespace test run "${WORDS[@]}" 3>&-) || rc=$?
	is "$rc" 0
	is "$out" $'200000\nend'
}

@test "run: twenty megabytes through the fifo arrive unchanged" {
	go -- sh -c 'yes 0123456789abcdef | head -c 20000000 | sha256sum'
	want=$out
	bundle "$B-2"
	B=$B-2 run_words --rm -- sh -c 'yes 0123456789abcdef | head -c 20000000'
	cc run "${WORDS[@]}" </dev/null >"$T/bytes"
	is "$(sha256sum <"$T/bytes")" "$want"
}

# bats test_tags=quick
@test "run -t: a terminal of the caller's size; the program's end is the status" {
	bundle
	run_words --rm -t -- sh -c 'for i in $(seq 100); do [ "$(stty size)" = "33 77" ] && break; usleep 50000; done; stty size; tty; exit 7'
	terminal 33 77 "$(ctr_text run "${WORDS[@]}")"
	is "$rc" 7
	has_line "$out" "33 77"
	has "$out" /dev/pts/0
}

@test "a terminal follows resizes" {
	bundle
	run_words --rm -t -- sh -c 'n=0; while [ $n -lt 300 ]; do a=$(stty size); [ "$a" = "$b" ] || echo $a; b=$a; [ "$a" != "40 120" ] || exit 3; n=$((n+1)); usleep 100000; done'
	terminal_start 31 99 "$(ctr_text run "${WORDS[@]}")"
	poll 40 file_has "$T/tty" "31 99"
	stty -F "$(<"$T/pty")" rows 40 cols 120
	terminal_end
	is "$rc" 3
	has_line "$out" "40 120"
}

# ---- the task's process ----

@test "the pid file: digits only, a child of the shim, leader of its session, in its own network namespace and cgroup" {
	up -- sleep 1000
	is "$(wc -l <"$T/$ID.pid")" 0
	matches "$PID" '^[0-9]+$'
	task_is RUNNING
	ppid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$PID/status")
	has "$(tr '\0' ' ' <"/proc/$ppid/cmdline")" containerd-shim-runc-v2
	is "$(awk '{ print $5, $6 }' "/proc/$PID/stat")" "$PID $PID" "process group and session"
	[ "$(readlink "/proc/$PID/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	has "$(<"/proc/$PID/cgroup")" "/test/$ID"
}

@test "metrics: memory and CPU of the task, from its cgroup on this host" {
	up -- sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; sleep 1000'
	must cc task metrics --format json "$ID"
	if [ "$CGROUP_MODE" = v2 ]; then
		jq -e '.memory.usage > 100000 and .cpu.usage_usec > 1000' <<<"$out" >/dev/null || fail "$out"
	else
		jq -e '.memory.usage.usage > 100000 and .cpu.usage.total > 1000000' <<<"$out" >/dev/null || fail "$out"
	fi
}

@test "ps names the task's process and the execs" {
	up -- sleep 1000
	must cc task exec -d --exec-id mine "$ID" sleep 999
	must cc task ps "$ID"
	has "$out" "$PID"
	has "$out" mine
}

# ---- exec ----

# bats test_tags=quick
@test "exec: status, output, user, folder" {
	up -- sleep 1000
	in_it sh -c 'id -u; pwd'
	is "$out" $'0\n/'
	try cc task exec --exec-id x1 --user 1000 --cwd /home/user "$ID" sh -c 'id -u; pwd; exit 3'
	is "$rc" 3
	is "$out" $'1000\n/home/user'
	task_is RUNNING
}

@test "exec: a missing command is an error in the runtime's words; the task lives on" {
	up -- sleep 1000
	must_fail cc task exec --exec-id x1 "$ID" no-such-command
	has "$err" 'executable file not found in $PATH'
	in_it echo alive
	is "$out" alive
}

@test "exec -t with the caller's size" {
	up -- sleep 1000
	terminal 29 89 "$(ctr_text task exec -t --exec-id x1 "$ID" sh -c 'for i in $(seq 100); do [ "$(stty size)" = "29 89" ] && break; usleep 50000; done; stty size; exit 4')"
	is "$rc" 4
	has_line "$out" "29 89"
}

@test "exec -d: its process is a child of the shim; a raw SIGKILL of it ends the command inside, kill --exec-id does, too" {
	up -- sleep 1000
	for how in raw kill; do
		must cc task exec -d --exec-id "x$how" "$ID" sleep 777
		in_it sh -c 'ps | grep -c "[s]leep 777"'
		is "$out" 1
		p=$(cc task ps "$ID" | awk -v x="x$how" 'index($0, x) { print $1 }')
		[ -n "$p" ]
		if [ $how = raw ]; then kill -9 "$p"; else cc task kill --exec-id xkill -s KILL "$ID"; fi
		poll 10 gone "$p"
		poll 20 no_777
	done
	task_is RUNNING
}
no_777() { ! cc task exec --exec-id "n$RANDOM" "$ID" ps | grep -q 'sleep 777'; }

@test "exec: ten at the same time" {
	up -- sleep 1000
	pids=()
	for i in 1 2 3 4 5 6 7 8 9 10; do
		cc task exec --exec-id "p$i" "$ID" sh -c "echo out$i; exit $i" </dev/null >"$T/p$i" 2>&1 &
		pids+=($!)
	done
	for i in 1 2 3 4 5 6 7 8 9 10; do
		rc=0
		wait "${pids[i - 1]}" || rc=$?
		is "$rc" "$i"
		is "$(<"$T/p$i")" "out$i"
	done
}

# ---- life ----

# bats test_tags=quick
@test "kill: the signal that was asked for; the status is the program's" {
	up --mount "type=bind,src=$T,dst=/mnt,options=rbind:rw" -- sh -c 'trap "echo hup >>/mnt/said" HUP; trap "exit 5" TERM; echo ready >/mnt/said; while :; do usleep 100000; done'
	poll 20 file_has "$T/said" ready
	must cc task kill -s SIGHUP "$ID"
	poll 20 file_has "$T/said" hup
	must cc task kill "$ID"
	poll 20 task_is STOPPED
	ended_with 5
}

@test "kill of a dead task, delete of a live one and of one that does not exist are told apart" {
	up -- sleep 1000
	must_fail cc task rm "$ID"
	has "$err" "running"
	must cc task kill -s KILL "$ID"
	poll 20 task_is STOPPED
	must_fail cc task kill -s KILL "$ID"
	has "$err" "not found"
	ended_with 137
	must_fail cc task rm "$ID"
	has "$err" "not found"
}

@test "rm -f of a running task with execs leaves nothing" {
	up -- sh -c 'sleep 1000 & sleep 1000'
	must cc task exec -d --exec-id x1 "$ID" sleep 999
	try cc task rm -f "$ID"
	task_is ""
	must cc container rm "$ID"
	ROOT='' no_leaks
}

# bats test_tags=quick
@test "pause and resume; exec is refused in between; a paused task can be removed" {
	up --mount "type=bind,src=$T,dst=/mnt,options=rbind:rw" -- sh -c 'while :; do echo x >>/mnt/n; usleep 50000; done'
	poll 20 test -s "$T/n"
	must cc task pause "$ID"
	poll 5 task_is PAUSED
	a=$(wc -c <"$T/n")
	must_fail cc task exec --exec-id x1 "$ID" true
	has "$err" "paused"
	sleep 0.5
	is "$(wc -c <"$T/n")" "$a"
	must cc task resume "$ID"
	sleep 1
	[ "$(wc -c <"$T/n")" -gt "$a" ]
	must cc task pause "$ID"
	try cc task rm -f "$ID"
	task_is ""
}

@test "attach to a task that runs: its output is seen, its input passed on" {
	bundle
	run_words -d -- sh -c 'read a; echo "got $a"; sleep 1'
	must cc run "${WORDS[@]}"
	(sleep 3; echo word; sleep 3) | timeout 60 ctr --address "$CD/sock" --namespace test task attach "$ID" >"$T/attached" 2>&1 3>&- || true
	has "$(<"$T/attached")" "got word"
}

@test "events tell of create, start, exit and its status, and delete" {
	background ctr --address "$CD/sock" -n test events >"$T/events" 2>&1
	sleep 1
	go -- sh -c 'exit 6'
	poll 20 file_has "$T/events" /tasks/delete
	for e in create start exit delete; do grep -q "/tasks/$e .*$ID" "$T/events" || fail "no $e: $(<"$T/events")"; done
	grep "/tasks/exit" "$T/events" | grep -q '"exit_status":6'
}

@test "checkpoint is refused in words, and the task runs on" {
	not_runc_criu
	up -- sleep 1000
	must_fail cc task checkpoint --image-path "$T/cp" "$ID"
	matches "$err" "(cannot|not supported|checkpoint)"
	task_is RUNNING
}
not_runc_criu() { if [ "$RUNTIME_KIND" = runc ]; then skip "runc does it with criu"; fi; }

# Delete the task; ctr tells its status by a warning.
ended_with() {
	try cc task rm "$ID"
	has "$err$out" "exit code $1"
}

# ---- what is asked for ----

@test "--read-only, --mount read-only and read-write" {
	mkdir "$T/rw" "$T/ro"
	echo from-host >"$T/ro/file"
	go --read-only --mount "type=bind,src=$T/rw,dst=/mnt,options=rbind:rw" --mount "type=bind,src=$T/ro,dst=/srv,options=rbind:ro" -- \
		sh -c 'cat /srv/file; touch /bin/x 2>/dev/null || echo root-ro; touch /srv/x 2>/dev/null || echo srv-ro; echo from-guest >/mnt/file'
	is "$rc" 0
	is "$out" $'from-host\nroot-ro\nsrv-ro'
	is "$(<"$T/rw/file")" from-guest
}

@test "capabilities, --privileged, --seccomp, no new privileges" {
	go --cap-drop CAP_CHOWN --seccomp -- grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status
	is "$rc" 0
	matches "$out" 'NoNewPrivs:[[:space:]]+1'
	matches "$out" 'Seccomp:[[:space:]]+2'
	caps=$(sed -n 's/^CapEff:[[:space:]]*//p' <<<"$out")
	is $((0x$caps & 1)) 0
	go --privileged -- grep -E CapEff /proc/self/status
	if is_husk; then has "$out" 000001ffffffffff; else is "${out#*:}" "$(sed -n 's/^CapBnd://p' /proc/self/status)"; fi
}

@test "--memory-limit is enforced, and containerd tells of the kill" {
	background ctr --address "$CD/sock" -n test events >"$T/events" 2>&1
	sleep 1
	up --memory-limit 67108864 -- tail /dev/zero
	poll 30 task_is STOPPED
	ended_with 137
	poll 10 file_has "$T/events" /tasks/oom
}

@test "--cpus and --memory-limit are what the container sees" {
	need_cgroup2
	go --cpus 0.5 --memory-limit 100000000 --mount type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro -- \
		sh -c 'd=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); cat $d/cpu.max $d/memory.max'
	is "$(head -n1 <<<"$out")" "50000 100000"
	is "$(tail -n1 <<<"$out")" 99999744
}

@test "--with-ns network: a named namespace that somebody has configured before, as CRI does" {
	ip netns add "$C"
	ip link add "v$$" type veth peer name eth0 netns "$C"
	ip addr add 192.0.2.1/24 dev "v$$"
	ip link set "v$$" up
	ip -n "$C" addr add 192.0.2.2/24 dev eth0
	ip -n "$C" link set eth0 up
	ip -n "$C" link set lo up
	up --with-ns "network:/run/netns/$C" -- httpd -f -h /home
	in_it ip addr show eth0
	has "$out" 192.0.2.2/24
	in_it ping -c 1 -W 20 192.0.2.1
	poll 20 answers_404
}
answers_404() {
	timeout 10 bash -c 'exec 5<>/dev/tcp/192.0.2.2/80 && printf "GET /x HTTP/1.0\r\n\r\n" >&5 && cat <&5' 2>&1 | grep -q " 404 "
}

@test "a whole config.json with hooks: they run at their time, with the task's pid" {
	export B C T
	container '.linux.cgroupsPath = "/test/\(env.C)" | .root.path = "\(env.B)/rootfs" | .hooks = {
		createRuntime: [{path: "/bin/sh", args: ["sh", "-c", "jq -r .pid,.status >\(env.T)/created"]}],
		poststart: [{path: "/bin/sh", args: ["sh", "-c", "jq -r .status >\(env.T)/started"]}],
		poststop: [{path: "/bin/sh", args: ["sh", "-c", "jq -r .status >\(env.T)/stopped"]}]}' 'sleep 1000'
	must cc run -d --null-io --runc-binary "$RUNTIME_BIN" --pid-file "$T/$ID.pid" --config "$B/config.json" "$ID"
	is "$(head -n1 "$T/created")" "$(<"$T/$ID.pid")"
	is "$(tail -n1 "$T/created")" creating
	matches "$(<"$T/started")" "^(running$([ "$RUNTIME_KIND" = runc ] && echo '|created'))\$" # runc 1.1 is late
	cc task rm -f "$ID" || true
	is "$(<"$T/stopped")" stopped
}

@test "an image: imported, run from an overlay snapshot, its writes stay with the container, removal unmounts all" {
	mkdir "$T/img"
	tar -C "$SUITE/rootfs" -cf "$T/img/layer.tar" .
	echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/bin/sh\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$(sha256sum <"$T/img/layer.tar" | cut -d' ' -f1)\"]}}" >"$T/img/config.json"
	echo '[{"Config":"config.json","RepoTags":["localhost/box:1"],"Layers":["layer.tar"]}]' >"$T/img/manifest.json"
	tar -C "$T/img" -cf "$T/image.tar" manifest.json config.json layer.tar
	must cc image import --snapshotter overlayfs "$T/image.tar"
	must cc run -d --null-io --snapshotter overlayfs --runc-binary "$RUNTIME_BIN" localhost/box:1 "$ID" sh -c 'echo kept >/root/file; exec sleep 1000'
	poll 20 in_it test -s /root/file
	cc task rm -f "$ID" || true
	must cc run --rm --snapshotter overlayfs --runc-binary "$RUNTIME_BIN" localhost/box:1 "$C-2" sh -c 'ls /root'
	is "$out" ""
	must cc container rm "$ID"
	must cc image rm localhost/box:1
	! grep -q "$CD/.*rootfs" /proc/self/mountinfo || fail "$(grep "$CD" /proc/self/mountinfo)"
}

# bats test_tags=vm
@test "annotations size the VM" {
	husk_only "there is a VM"
	go --annotation run.husk.memory=200 --annotation run.husk.vcpus=2 -- sh -c 'nproc; grep MemTotal /proc/meminfo'
	is "$(head -n1 <<<"$out")" 2
	kib=$(sed -n 's/[^0-9]*\([0-9]*\).*/\1/p' <<<"${out##*$'\n'}")
	[ "$kib" -gt 150000 ] && [ "$kib" -lt 204800 ]
}

@test "the shim's own arguments reach the runtime through a wrapper, and log.json holds one error record" {
	cat >"$T/wrapper" <<-EOT
		#!/bin/sh
		echo "\$*" >>$T/calls
		exec $RUNTIME_BIN "\$@"
	EOT
	chmod 755 "$T/wrapper"
	bundle
	must cc run --rm --runc-binary "$T/wrapper" --env PATH=/bin --rootfs "$B/rootfs" "$ID" echo fine
	is "$out" fine
	matches "$(<"$T/calls")" '--log [^ ]*log.json --log-format json .*create --bundle'
	has "$(<"$T/calls")" " start $ID"
	has "$(<"$T/calls")" " delete $ID"
	must_fail rt --log "$T/log.json" --log-format json create -b "$T" "$C-x"
	is "$(jq -s 'map(select(.level == "error")) | length' "$T/log.json")" 1
	jq -e '.msg and .time' "$T/log.json" >/dev/null
}

# ---- the runtime alone, called as engines call it ----

@test "with an empty environment and standard error joined to the output: features, create, ps, state, kill, delete" {
	bare() { env -i "$RUNTIME_BIN" --root "$ROOT" "$@" 3>&- 4>&-; }
	bare features >"$T/features" 2>&1 || [ "$RUNTIME_KIND" = runc ]
	[ "$RUNTIME_KIND" = runc ] || jq -e .ociVersionMin "$T/features" >/dev/null
	container . 'sleep 1000'
	bare create --bundle "$B" --pid-file "$T/pid" "$C" </dev/null >"$T/stdout" 2>"$T/stderr"
	is "$(wc -l <"$T/pid")" 0 "newlines in the pid file"
	PID=$(<"$T/pid")
	has "$(<"/proc/$PID/cgroup")" "$CG"
	[ "$(readlink "/proc/$PID/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	must bare start "$C"
	bare ps --format json "$C" >"$T/ps" 2>&1
	is "$(jq -c 'type, (map(type) | unique)' "$T/ps")" $'"array"\n["number"]'
	is "$(jq ".[0]" "$T/ps")" "$PID"
	must bare kill "$C" 9
	wait_status stopped
	bare state "$C" >"$T/said" 2>&1
	is "$(jq -r '"\(.status) \(.pid)"' "$T/said")" "stopped 0"
	must_fail bare kill "$C" 15
	matches "$err" "(container not running|process already finished)"
	must bare delete "$C"
	must bare delete --force "$C"
	must_fail bare state "$C"
	has "$err" "does not exist"
}

@test "of two creates of one id one succeeds, and delete --force of it, twice, and of what never was, succeeds" {
	runc_fault "lets both go on and leaves what the loser made"
	container . 'sleep 1000'
	rt create -b "$B" "$C" </dev/null >"$T/o1" 2>&1 &
	a=$!
	rt create -b "$B" "$C" </dev/null >"$T/o2" 2>&1 &
	b=$!
	ra=0 rb=0
	wait $a || ra=$?
	wait $b || rb=$?
	is "$(((ra == 0) + (rb == 0)))" 1
	must rt delete --force "$C"
	must rt delete --force "$C"
	must rt delete --force "$C-never"
}
