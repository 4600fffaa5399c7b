#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# podman as users call it: each property holds with crun (RUNTIME=crun) and with husk.

load ../lib/common
load lib/podman
LIVE_WANTED=1

# ---- running ----

# bats test_tags=quick
@test "run: output, environment, working directory and arguments reach the program, and its status comes back" {
	rc=0
	try pm run --rm --network none --name "$C" -e COLOR=blue -w /home/user "$IMAGE" \
		sh -c 'echo "$COLOR $PWD $1 $(hostname | wc -c)"; echo problem >&2; exit 42' x 'two words'
	is "$rc" 42
	is "$out" "blue /home/user two words 13"
	has "$err" problem
}

# bats test_tags=quick
@test "run: a program that is missing ends with 127 and its name" {
	try pm run --rm --network none --name "$C" "$IMAGE" no-such-program
	is "$rc" 127
	has "$err" "executable file"
	has "$err" "no-such-program"
}

@test "run: a program that may not be executed ends with 126" {
	try pm run --rm --network none --name "$C" "$IMAGE" /bin/notexecutable
	is "$rc" 126
	has "$err" "permission denied"
}

@test "run: death by a signal is 128 plus its number" {
	try pm run --rm --network none --name "$C" "$IMAGE" sh -c 'kill -SEGV $$'
	# pid 1 of its namespace ignores what it sends itself, unless it handles it
	is "$rc" 0
	try pm run --rm --init --network none --name "$C" "$IMAGE" sh -c 'kill -SEGV $$'
	is "$rc" 139
	try pm run --rm --init --network none --name "$C" "$IMAGE" sh -c 'kill -TERM $$'
	is "$rc" 143
}

@test "run -i: standard input arrives and its end ends the reader" {
	rc=0
	out=$(head -c 300000 /dev/zero | tr '\0' y | pm run -i --rm --network none --name "$C" "$IMAGE" wc -c) || rc=$?
	is "$rc" 0
	is "$out" 300000
}

@test "run: twenty megabytes through stdout arrive unchanged" {
	pm run --rm --network none --name "$C" "$IMAGE" sh -c 'yes 0123456789abcdef | head -c 20000000' </dev/null >"$T/bytes"
	is "$(sha256sum <"$T/bytes")" "$(yes 0123456789abcdef | head -c 20000000 | sha256sum)"
}

@test "run -it: a terminal of the caller's size, whose end is the program's status" {
	terminal 24 80 "$PM run -it --rm --network none --name $C $IMAGE sh -c 'stty size; tty; exit 7'"
	is "$rc" 7
	has "$out" "24 80"
	has "$out" /dev/pts/0
}

@test "run --init, --entrypoint, --hostname, --add-host" {
	run_in --init --entrypoint '["sh","-c"]' --hostname strange --add-host peer:192.0.2.7 "$IMAGE" \
		'hostname; grep peer /etc/hosts; cat /proc/1/comm; echo $$'
	has_line "$out" strange
	matches "$out" "192.0.2.7[[:space:]]+peer"
	lacks "$out" $'\n1\n' # the shell is not process 1
}

# ---- who and what may be done ----

@test "--user, by number and by name, with its groups" {
	run_in --user 1000:5 "$IMAGE" sh -c 'id -u; id -g; touch /tmp/x && stat -c %u:%g /tmp/x'
	is "$out" $'1000\n5\n1000:5'
	run_in --user user "$IMAGE" id -un
	is "$out" user
}

@test "--cap-drop, --cap-add, no-new-privileges and the default capabilities" {
	run_in --cap-drop all --cap-add net_admin --security-opt no-new-privileges "$IMAGE" grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status
	matches "$out" "CapEff:[[:space:]]+0000000000001000"
	matches "$out" "CapBnd:[[:space:]]+0000000000001000"
	matches "$out" "NoNewPrivs:[[:space:]]+1"
}

@test "--privileged: all capabilities and a writable /sys" {
	run_in --privileged "$IMAGE" sh -c 'grep CapEff /proc/self/status; mount -t tmpfs none /mnt && echo mounted'
	all_capabilities
	has_line "$out" mounted
}

@test "--ulimit and --sysctl" {
	run_in --ulimit nofile=123:456 --sysctl net.ipv4.ip_forward=1 "$IMAGE" \
		sh -c 'ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward'
	is "$out" $'123\n456\n1'
}

@test "--userns with a mapping: root inside is somebody else outside, files keep their owners" {
	must pm run -d --network none --name "$C" --uidmap 0:200000:65536 --gidmap 0:200000:65536 "$IMAGE" \
		sh -c 'cat /proc/self/uid_map; stat -c %u /bin/busybox; exec sleep 1000'
	ID=$out
	poll 20 log_has 200000
	matches "$(pm logs "$C")" "0[[:space:]]+200000[[:space:]]+65536"
	is "$(pm logs "$C" | tail -n1)" 0
}

all_capabilities() {
	if is_husk; then
		matches "$out" "CapEff:[[:space:]]+000001ffffffffff"
	else # as many as this host's bounding set has
		has "$out" "$(sed -n 's/^CapBnd/CapEff/p' /proc/self/status)"
	fi
}

# ---- files ----

@test "--read-only: the root cannot be written, the temporary folders can" {
	run_in --read-only "$IMAGE" sh -c 'touch /bin/x 2>/dev/null || echo root-ro; touch /tmp/x && echo tmp-rw; touch /run/x && echo run-rw'
	is "$out" $'root-ro\ntmp-rw\nrun-rw'
}

@test "--tmpfs with its options, --shm-size" {
	run_in --tmpfs /scratch:size=3m,mode=1770 --shm-size 5m "$IMAGE" \
		sh -c 'stat -c %a /scratch; df -k /scratch /dev/shm | sed "s/  */ /g" | cut -d" " -f2'
	has_line "$out" 1770
	has_line "$out" 3072
	has_line "$out" 5120
}

@test "-v: a folder read-write and one read-only, seen at once on both sides" {
	mkdir "$T/rw" "$T/ro"
	echo from-host >"$T/ro/file"
	run_in -v "$T/rw:/rw" -v "$T/ro:/ro:ro" "$IMAGE" \
		sh -c 'cat /ro/file; echo from-guest >/rw/file; touch /ro/x 2>/dev/null || echo refused'
	is "$out" $'from-host\nrefused'
	is "$(<"$T/rw/file")" from-guest
}

@test "named volumes keep the image's files and are shared by running containers" {
	must pm volume create "$C-v"
	start -v "$C-v:/home" "$IMAGE" sh -c 'ls /home; until [ -e /home/reply ]; do sleep 0.1; done; cat /home/reply'
	poll 20 log_has user
	run_in --name "$C-2" -v "$C-v:/home" "$IMAGE" sh -c 'echo hello >/home/reply'
	must pm wait "$C"
	is "$out" 0
	has "$(pm logs "$C")" hello
	pm rm -f "$C" >/dev/null
	must pm volume rm "$C-v"
}

@test "cp both ways, diff and commit see the files of a running container" {
	start "$IMAGE" sh -c 'echo inside >/home/out; rm /bin/vi; exec sleep 1000'
	poll 20 pm exec "$C" test -s /home/out
	must pm cp "$C:/home/out" "$T/copied"
	is "$(<"$T/copied")" inside
	echo outside >"$T/in"
	must pm cp "$T/in" "$C:/tmp/in"
	must pm exec "$C" cat /tmp/in
	is "$out" outside
	must pm diff "$C"
	has_line "$out" "A /home/out"
	has_line "$out" "D /bin/vi"
	must pm commit -q "$C" "localhost/$C:made"
	run_in --name "$C-2" "localhost/$C:made" cat /home/out /tmp/in
	is "$out" $'inside\noutside'
	must pm rmi -f "localhost/$C:made"
}

@test "build: RUN steps work, keep what they wrote and pass their failure on" {
	mkdir "$T/ctx"
	echo data >"$T/ctx/file"
	printf 'FROM %s\nCOPY file /file\nRUN cat /file > /made && id -u >> /made\nUSER user\nRUN id -un > /tmp/who\nCMD cat /made /tmp/who\n' "$IMAGE" \
		>"$T/ctx/Dockerfile"
	must pm build --runtime "$RUNTIME_BIN" --isolation oci --network none -q -t "localhost/$C:built" "$T/ctx"
	run_in "localhost/$C:built"
	is "$out" $'data\n0\nuser'
	must pm rmi -f "localhost/$C:built"
	printf 'FROM %s\nRUN exit 9\n' "$IMAGE" >"$T/ctx/Dockerfile"
	must_fail pm build --runtime "$RUNTIME_BIN" --isolation oci --network none -q "$T/ctx"
	matches "$err" "(status|code:?) 9"
}

# ---- in a running container ----

# bats test_tags=quick
@test "exec: the status of the command, its output on both streams, its environment and folder" {
	try pm exec -e COLOR=red -w /tmp "$LIVE" sh -c 'echo "$COLOR $PWD"; echo problem >&2; exit 3'
	is "$rc" 3
	is "$out" "red /tmp"
	is "$err" problem
}

@test "exec: 127 for a missing command, 126 for one that may not be executed, 137 for a killed one" {
	try pm exec "$LIVE" no-such-command
	is "$rc" 127
	has "$err" "executable file"
	try pm exec "$LIVE" /bin/notexecutable
	is "$rc" 126
	has "$err" "permission denied"
	try pm exec "$LIVE" sh -c 'kill -9 $$'
	is "$rc" 137
}

@test "exec -i: standard input and its end" {
	rc=0
	out=$(echo typed | pm exec -i "$LIVE" sh -c 'cat; echo end') || rc=$?
	is "$rc" 0
	is "$out" $'typed\nend'
}

@test "exec -it: the caller's terminal size, and it follows a resize" {
	terminal_start 31 99 "$PM exec -it $LIVE sh -c 'n=0; while [ \$n -lt 300 ]; do a=\$(stty size); [ \"\$a\" = \"\$b\" ] || echo \$a; b=\$a; [ \"\$a\" != \"40 120\" ] || exit 3; n=\$((n+1)); usleep 100000; done'"
	poll 40 file_has "$T/tty" "31 99"
	stty -F "$(<"$T/pty")" rows 40 cols 120
	terminal_end
	is "$rc" 3
	has_line "$out" "31 99"
	has_line "$out" "40 120"
}

@test "exec --user, --privileged" {
	must pm exec --user 1000 "$LIVE" sh -c 'id -u; grep CapEff /proc/self/status'
	has_line "$out" 1000
	matches "$out" "CapEff:[[:space:]]+0000000000000000"
	must pm exec --privileged "$LIVE" grep CapEff /proc/self/status
	all_capabilities
}

@test "exec -d runs on after podman has returned" {
	must pm exec -d "$LIVE" sh -c 'echo started >/tmp/marker; sleep 1; echo done >>/tmp/marker'
	poll 20 pm exec "$LIVE" grep done /tmp/marker
}

@test "top, stats and inspect tell of the container" {
	must pm top "$LIVE" pid user args
	has "$out" PID
	must pm top "$LIVE" ps -o pid,args # falls back to the container's own ps
	has "$out" "sleep 100000"
	must pm stats --no-stream --format '{{.MemUsageBytes}} {{.PIDs}} {{.CPUNano}}' "$LIVE"
	matches "$out" '^[0-9.]+[kKMG]i?B / '
	lacks "$out" "0B /"
	p=$(inspect '{{.State.Pid}}' "$LIVE")
	[ -d "/proc/$p" ]
	is "$(inspect '{{.State.Status}} {{.OCIRuntime}}' "$LIVE")" "running $RUNTIME_BIN"
	[ "$(readlink "/proc/$p/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# ---- life ----

@test "stop: the program's own answer to SIGTERM; one that ignores it is killed after the time" {
	start "$IMAGE" sh -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'
	poll 20 log_has ready
	must pm stop -t 20 "$C"
	is "$(inspect '{{.State.Status}} {{.State.ExitCode}}')" "exited 5"
	must pm start "$C"
	state_is running
	must pm kill -s KILL "$C"
	must pm wait "$C"
	is "$out" 137
}

@test "stop: a program that ignores SIGTERM is killed when its time is over" {
	start "$IMAGE" sleep 1000
	must pm stop -t 1 "$C"
	is "$(inspect '{{.State.ExitCode}}')" 137
}

@test "kill: the signal that was asked for, also a real-time one" {
	start "$IMAGE" sh -c 'trap "echo got-hup" HUP; trap "echo got-37; exit 0" 37; echo ready; while :; do sleep 0.1; done'
	poll 20 log_has ready
	must pm kill -s HUP "$C"
	poll 20 log_has got-hup
	must pm kill -s 37 "$C"
	must pm wait "$C"
	is "$out" 0
	poll 5 log_has got-37
}

@test "rm: a running container only by force, and then nothing is left" {
	start "$IMAGE" sh -c 'sleep 1000 & sleep 1000'
	must_fail pm rm "$C"
	has "$err" running
	must pm rm -f -t 0 "$C"
	no_trace "$ID"
	must_fail pm inspect --type container "$C"
}

@test "pause: the container stands still, exec is refused, unpause lets it go on, a paused one can be removed" {
	start "$IMAGE" sh -c 'n=0; while :; do n=$((n+1)); echo $n >/tmp/n; sleep 0.1; done'
	poll 20 pm exec "$C" test -s /tmp/n
	merged=$(inspect '{{.GraphDriver.Data.MergedDir}}')
	must pm pause "$C"
	state_is paused
	a=$(<"$merged/tmp/n")
	must_fail pm exec "$C" true
	is "$(<"$merged/tmp/n")" "$a"
	must pm unpause "$C"
	state_is running
	sleep 1
	must pm exec "$C" cat /tmp/n
	[ "$out" -gt "$a" ]
	must pm pause "$C"
	must pm rm -f -t 0 "$C"
}

@test "create, start, wait, restart, logs of both lives" {
	must pm create --network none --name "$C" "$IMAGE" sh -c 'echo life; exit 4'
	ID=$out
	state_is created
	must pm start "$C"
	must pm wait "$C"
	is "$out" 4
	must pm restart "$C"
	must pm wait "$C"
	is "$(pm logs "$C" | grep -c life)" 2
}

@test "--restart on-failure tries again as often as it was told" {
	start --restart on-failure:2 "$IMAGE" sh -c 'echo try; exit 1'
	tries_are_over() { state_is exited && [ "$(pm logs "$C" | grep -c try)" = 3 ]; }
	poll 60 tries_are_over
}

@test "logs -f follows until the end; attach sees input and output" {
	must pm run -d -i --network none --name "$C" "$IMAGE" sh -c 'read a; echo "got $a"; echo last'
	ID=$out
	background "$PM" logs -f "$C" >"$T/follow" 2>&1
	(sleep 5; echo word) | timeout 60 "$PM" attach "$C" >"$T/attached" 2>&1 3>&- || true
	poll 20 state_is exited
	wait "$JOB" || true
	is "$(<"$T/follow")" $'got word\nlast'
	has "$(<"$T/attached")" last
}

@test "events tell of create, start, exit with its status, and removal" {
	since=$(date +%s)
	try pm run --rm --network none --name "$C" "$IMAGE" sh -c 'exit 6'
	must pm events --since "$since" --stream=false --filter "container=$C" --format '{{.Status}} {{.ContainerExitCode}}'
	for e in create start died remove; do has "$out" "$e"; done
	has "$out" "died 6"
}

@test "--pidfile, --conmon-pidfile, --cidfile" {
	start --pidfile "$T/pid" --conmon-pidfile "$T/conmon" --cidfile "$T/cid" "$IMAGE" sleep 1000
	is "$(<"$T/cid")" "$ID"
	is "$(<"$T/pid")" "$(inspect '{{.State.Pid}}')"
	kill -0 "$(<"$T/conmon")"
	is "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$(<"$T/pid")/status")" "$(<"$T/conmon")" "the parent"
}

@test "health checks: healthy and unhealthy" {
	start --health-cmd 'test -e /tmp/fine' --health-interval disable --health-retries 1 "$IMAGE" sleep 1000
	must_fail pm healthcheck run "$C"
	has "$out$err" unhealthy
	must pm exec "$C" touch /tmp/fine
	must pm healthcheck run "$C"
}

@test "checkpoint is refused in words" {
	start "$IMAGE" sleep 1000
	must_fail pm container checkpoint "$C"
	[ -n "$err" ]
	state_is running
}

# ---- resources ----

@test "-m: the limit is enforced, the kill is told as out of memory" {
	try pm run --network none --name "$C" -m 64m --memory-swap 64m "$IMAGE" sh -c 'head -c 200m /dev/zero | tail >/dev/null; echo after; dd if=/dev/zero of=/dev/shm/x bs=1M count=200; exit 1'
	must pm run -d --network none --name "$C-2" -m 64m --memory-swap 64m "$IMAGE" tail /dev/zero
	must pm wait "$C-2"
	is "$out" 137
	is "$(inspect '{{.State.OOMKilled}}' "$C-2")" true
}

@test "--cpus, --pids-limit, and update of a running container" {
	need_cgroup2
	start --cgroupns private --cpus 1 --pids-limit 20 -m 128m "$IMAGE" sleep 1000 # not the default with cgroup v1
	must pm exec "$C" sh -c 'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max'
	is "$out" $'20\n134217728'
	must pm update --memory 100m --cpus 0.5 "$C"
	must pm exec "$C" sh -c 'cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max'
	is "$out" $'50000 100000\n104857600'
}

# ---- networks ----

@test "a network of its own: containers find each other by name, the host reaches a published port" {
	must pm network create "$C-net"
	must pm run -d --network "$C-net" --name "$C-web" -p 127.0.0.1:18080:80 "$IMAGE" sh -c 'echo page >/tmp/index.html; exec httpd -f -h /tmp'
	ID=$out
	# without the capability busybox's ping asks for a raw socket all the same
	must pm run --rm --cap-add net_raw --network "$C-net" --name "$C-2" "$IMAGE" \
		sh -c "nslookup $C-web; ping -c 1 -W 20 $C-web && printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 20 $C-web 80"
	has "$out" page
	poll 20 fetch http://127.0.0.1:18080/
	has "$(<"$T/page")" page
	must pm rm -f -t 0 "$C-web"
	must pm network rm "$C-net"
}
fetch() { busybox wget -q -T 5 -O "$T/page" "$1" 2>/dev/null || curl -s -m 5 -o "$T/page" "$1"; }

@test "network connect and disconnect while the container runs" {
	must pm network create "$C-a"
	must pm network create "$C-b"
	must pm run -d --network "$C-a" --name "$C" "$IMAGE" sleep 1000
	ID=$out
	must pm network connect "$C-b" "$C"
	poll 20 pm exec "$C" ip addr show eth1
	must pm network disconnect "$C-b" "$C"
	poll 20 no_eth1
	must pm rm -f -t 0 "$C"
	must pm network rm "$C-a" "$C-b"
}
no_eth1() { ! pm exec "$C" ip addr show eth1 >/dev/null 2>&1; }

@test "--network container: shares the other's network" {
	start --name "$C-1" "$IMAGE" httpd -f -h /home
	must pm run --rm --name "$C-2" --network "container:$C-1" "$IMAGE" sh -c "printf 'GET /x HTTP/1.0\r\n\r\n' | nc -w 20 127.0.0.1 80"
	has "$out" " 404 "
}

# bats test_tags=vm
@test "--network host is refused in words, and nothing is left" {
	husk_only "a shared kernel can do it"
	must_fail pm run --rm --network host --name "$C" "$IMAGE" true
	has "$err" "network"
	lacks "$(pm ps -a --format '{{.Names}}')" "$C"
}

# ---- errors ----

@test "podman reads the runtime's error from its log when it is told that the log is JSON: one record, the same status" {
	export CONTAINERS_CONF=$PM_DIR/json.conf
	try pm run --rm --network none --name "$C" "$IMAGE" no-such-program
	is "$rc" 127
	has "$err" "executable file"
	lacks "$err" '"level"'
}

@test "the runtime's options can be given by --runtime-flag" {
	must pm --runtime-flag debug run --rm --network none --name "$C" "$IMAGE" echo fine
	has "$out" fine
}

# ---- pods ----

@test "a pod of three containers: one name, one localhost, one IPC; one is restarted; the pod's end ends all" {
	# with podman's cgroupfs the pod's own cgroup lets no device be opened, whatever the runtime: no common parent
	must pm pod create --name "$C-pod" --network none --share-parent=false --hostname shared
	for m in web app db; do
		must pm run -d --pod "$C-pod" --name "$C-$m" "$IMAGE" sh -c 'httpd -p 80$(hostname | wc -c) -h /home; exec sleep 100000'
	done
	must pm exec "$C-app" sh -c 'hostname; cat /proc/sys/kernel/random/boot_id; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc'
	first=$out
	has_line "$first" shared
	must pm exec "$C-db" sh -c 'hostname; cat /proc/sys/kernel/random/boot_id; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc'
	is "$out" "$first"
	must pm exec "$C-db" sh -c 'printf "GET /x HTTP/1.0\r\n\r\n" | nc -w 20 127.0.0.1 807'
	has "$out" " 404 "
	must pm restart -t 1 "$C-app"
	must pm exec "$C-app" cat /proc/sys/kernel/random/boot_id
	has "$first" "$out"
	state_is running "$C-web"
	must pm pod inspect "$C-pod" --format '{{len .Containers}} {{.State}}'
	is "$out" "4 Running"
	ids=$(pm ps -a --no-trunc --filter "pod=$C-pod" --format '{{.ID}}')
	must pm pod stop -t 1 "$C-pod"
	state_is exited "$C-db"
	must pm pod rm -f -t 0 "$C-pod"
	for i in $ids; do no_trace "$i"; done
}

@test "two pods beside each other are two kernels; a pod that shares its PID namespace shows all its processes" {
	for p in a b; do
		must pm pod create --name "$C-$p" --network none --share-parent=false --share net,ipc,uts,pid
		must pm run -d --pod "$C-$p" --name "$C-$p-1" "$IMAGE" sleep 1111
		must pm run -d --pod "$C-$p" --name "$C-$p-2" "$IMAGE" sleep 2222
	done
	must pm exec "$C-a-2" ps
	has "$out" "sleep 1111"
	is_husk || return 0
	must pm exec "$C-a-1" cat /proc/sys/kernel/random/boot_id
	first=$out
	must pm exec "$C-a-2" cat /proc/sys/kernel/random/boot_id
	is "$out" "$first"
	must pm exec "$C-b-1" cat /proc/sys/kernel/random/boot_id
	[ "$out" != "$first" ]
}

# ---- when something is killed ----

@test "conmon killed: the container runs on, rm -f ends it, and what podman then asks nobody to remove goes with delete --force" {
	start "$IMAGE" sh -c 'sleep 1000 & sleep 1000'
	conmon=$(inspect '{{.State.ConmonPid}}')
	p=$(inspect '{{.State.Pid}}')
	kill -9 "$conmon"
	sleep 1
	[ -d "/proc/$p" ]
	must pm rm -f -t 0 "$C"
	gone "$p"
	must "$RUNTIME_BIN" delete --force "$ID"
}

@test "the container's process killed from outside: podman says 137, and rm removes it without force" {
	start "$IMAGE" sleep 1000
	kill -9 "$(inspect '{{.State.Pid}}')"
	poll 30 state_is exited
	is "$(inspect '{{.State.ExitCode}}')" 137
	must pm rm "$C"
	no_trace "$ID"
}
