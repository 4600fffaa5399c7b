#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What people do with single containers through Docker: run, exec, logs, signals, ends, users, rights, builds.

load lib/clients

setup_file() { engine_up; }

# ---- run, output, statuses ----

# bats test_tags=quick
@test "run shows stdout and stderr apart, and ends with the status of the program" {
	no run --rm box sh -c 'echo to-out; echo to-err >&2; exit 42'
	is "$rc" 42
	is "$out" to-out
	is "$err" to-err
}

@test "exit statuses 0, 1, 137, 139 and 143 are reported by wait and inspect" {
	up zero box true
	up one box false
	up kill box sleep 1000
	up segv --init box sh -c 'kill -SEGV $$'
	up term --init box sh -c 'kill -TERM $$'
	ok kill "$N-kill"
	ok wait "$N-zero" "$N-one" "$N-kill" "$N-segv" "$N-term"
	is "$(echo $out)" "0 1 137 139 143"
	is "$(inspect kill '{{.State.ExitCode}} {{.State.Status}} {{.State.Pid}} {{.State.OOMKilled}}')" "137 exited 0 false"
}

# bats test_tags=quick
@test "a missing program is 127, one that is not executable 126, a wrong option 125, each with its reason" {
	no run --rm box no-such-program
	is "$rc" 127
	has "$err" 'executable file not found in $PATH'
	no run --rm box /bin/notexecutable
	is "$rc" 126
	has "$err" 'permission denied'
	no run --rm box /tmp
	is "$rc" 126
	no run --rm --no-such-option box true
	is "$rc" 125
}

@test "a program of a wrong format and a script without interpreter fail at start with the kernel's word" {
	no run --rm box /bin/garbage
	has "$err" 'exec format error'
	no run --rm box /bin/badscript
	has "$err" 'no such file or directory'
	ok run --rm box /bin/script a 'b c'
	is "$out" "script a b c"
}

@test "create, start -a and rm are separate steps" {
	MADE+=("$N-c")
	ok create --name "$N-c" box sh -c 'echo created-then-started; exit 3'
	is "$(inspect c '{{.State.Status}}')" created
	no start -a "$N-c"
	is "$rc" 3
	is "$out" created-then-started
	ok rm "$N-c"
	no inspect "$N-c"
}

@test "stdin to its end goes through a container" {
	rc=0
	out=$(printf 'first\nsecond\n' | timeout 60 docker run --rm -i box sh -c 'cat; echo end' 3>&-) || rc=$?
	is "$rc" 0
	is "$out" $'first\nsecond\nend'
	# without -i there is nothing to read
	box -- 'cat; echo end'
	is "$out" end
}

@test "a client that closes its input still gets the output that follows" {
	out=$( (printf 'word\n'; sleep 1) | timeout 60 docker run --rm -i box sh -c 'cat >/dev/null; sleep 1; seq 3; echo done' 3>&-)
	is "$out" $'1\n2\n3\ndone'
}

@test "twenty megabytes of stdout arrive whole and in order" {
	out=$(timeout 90 docker run --rm --log-driver none box stream spew 20000000 2>/dev/null 3>&- | "$HUSK_TEST_TOOLS/stream" drain)
	has "$out" 20000000
	lacks "$out" wrong
}

# bats test_tags=slow
@test "a hundred megabytes of stdout arrive whole through a reader that stalls" {
	out=$(timeout 110 docker run --rm --log-driver none box sh -c 'head -c 104857600 /dev/zero' 3>&- | (sleep 3; wc -c))
	is "$out" 104857600
}

@test "what a detached container wrote is in its log, split by stream, and can be followed" {
	up log box sh -c 'echo one; echo two >&2; sleep 2; echo three; sleep 1000'
	wait_log log one
	(timeout 30 docker logs -f "$N-log" >"$T/follow" 2>/dev/null 3>&-; true) &
	JOBS+=($!)
	poll 30 file_has "$T/follow" three
	ok logs "$N-log"
	is "$out" $'one\nthree'
	is "$err" two
	ok logs --tail 1 -t "$N-log"
	matches "$out" '^20[0-9-]+T[0-9:.]+Z three$'
}

# ---- terminals ----

@test "a terminal: tty, its name, ONLCR, the size that the client gives and changes" {
	up tty -t box sh -c 'tty; stty -a | grep -q onlcr && echo onlcr; while :; do stty size; sleep 0.5; done'
	wait_log tty onlcr
	has "$(docker logs "$N-tty" 2>&1 3>&-)" /dev/pts/0
	ok inspect -f '{{.Id}}' "$N-tty"
	api POST "/containers/$out/resize?h=33&w=111" >"$T/resize"
	poll 30 logs_have tty '33 111'
}

# typed NAME OPTS... -- CMD...: docker run -it on a terminal of its own; what fd 8 gets is typed, $T/session is the screen
typed() {
	mkfifo "$T/keys"
	script -qefc "docker run -it --rm $*" /dev/null <"$T/keys" >"$T/session" 2>&1 3>&- 4>&- &
	TYPED=$!
	JOBS+=($!)
	exec 8>"$T/keys"
}

@test "-it on a real terminal: what is typed is echoed and executed, Ctrl-D ends it" {
	typed box sh
	poll 60 file_has "$T/session" '# '
	printf 'echo sum-$((40+2)); exit 3\n' >&8
	poll 30 file_has "$T/session" sum-42
	has "$(<"$T/session")" 'echo sum-$((40+2))'
	rc=0
	wait $TYPED || rc=$?
	exec 8>&-
	is "$rc" 3
}

@test "Ctrl-C on the container's terminal interrupts the program in front, Ctrl-D ends its input" {
	typed box sh -c "'trap \"echo interrupted\" INT; echo ready; cat; echo then; cat; echo end; exit 7'"
	poll 60 file_has "$T/session" ready
	printf '\003' >&8
	poll 30 file_has "$T/session" then
	has "$(<"$T/session")" interrupted
	printf 'line\n\004' >&8
	rc=0
	wait $TYPED || rc=$?
	exec 8>&-
	has "$(<"$T/session")" end
	is "$rc" 7
}

# ---- exec ----

# bats test_tags=quick
@test "exec: status, streams, stdin, user, directory, environment, terminal" {
	up c -e FROM=run box sleep 1000
	no exec "$N-c" sh -c 'echo o; echo e >&2; exit 9'
	is "$rc $out $err" "9 o e"
	is "$(printf 'typed' | docker exec -i "$N-c" sh -c 'cat; echo -after' 3>&-)" typed-after
	ok exec -u user -w /home -e MORE='a b' "$N-c" sh -c 'id -un; pwd; echo $FROM $MORE'
	is "$out" $'user\n/home\nrun a b'
	ok exec -u 1234:99 "$N-c" id
	has "$out" 'uid=1234 gid=99'
	ok exec -t "$N-c" sh -c 'tty'
	is "$(tr -d '\r' <<<"$out")" /dev/pts/0
	ok exec -d "$N-c" sh -c 'echo detached >/tmp/detached'
	poll 20 docker exec "$N-c" test -s /tmp/detached
}

@test "exec of what does not exist is 127 or 126; in a stopped or paused container it is refused" {
	up c box sleep 1000
	no exec "$N-c" no-such-program
	matches "$rc" '^12[67]$' # Docker 20.10 says 126, later ones 127
	has "$out$err" 'executable file not found in $PATH'
	no exec "$N-c" /bin/notexecutable
	is "$rc" 126
	no exec -w /no/such/directory "$N-c" true
	no exec -u nobody-here "$N-c" true
	has "$err$out" 'unable to find user'
	ok pause "$N-c"
	no exec "$N-c" true
	has "$err" paused
	ok unpause "$N-c"
	ok kill "$N-c"
	no exec "$N-c" true
	has "$err" 'is not running'
}

@test "an exec ends with its container, and killing its client leaves the container running" {
	up c box sleep 1000
	(
		st=0
		timeout 200 docker exec "$N-c" sleep 500 >/dev/null 2>&1 3>&- || st=$?
		echo "status $st" >"$T/exec"
	) &
	JOBS+=($!)
	sleep 3
	on c 'ps' && has "$out" 'sleep 500'
	ok kill "$N-c"
	poll 20 test -s "$T/exec"
	is "$(<"$T/exec")" 'status 137'
}

@test "--privileged exec and exec environment do not leak into the container" {
	up c box sleep 1000
	ok exec --privileged "$N-c" sh -c 'grep CapEff /proc/self/status'
	full=$out
	on c 'grep CapEff /proc/self/status'
	[ "$full" != "$out" ] || fail "both have $out"
	on c 'tr "\0" "\n" </proc/1/environ'
	lacks "$out" MORE
}

# ---- ends and beginnings ----

@test "stop lets the program end by itself; a deaf one is killed after the time" {
	up good box sh -c 'trap "echo ending; exit 7" TERM; echo ready; while :; do sleep 0.2; done'
	up deaf box sh -c 'trap "" TERM; echo ready; while :; do sleep 0.2; done'
	wait_log good ready
	wait_log deaf ready
	ok stop "$N-good"
	is "$(inspect good '{{.State.ExitCode}}')" 7
	logs_have good ending
	ok stop -t 1 "$N-deaf"
	is "$(inspect deaf '{{.State.ExitCode}}')" 137
}

@test "signals of all kinds reach the program: by name, by number, real-time, the stop signal" {
	up c --stop-signal SIGQUIT box sh -c 'trap "echo got-usr1" USR1; trap "echo got-hup" HUP; trap "echo got-37" 37; trap "echo got-quit; exit 5" QUIT; echo ready; while :; do sleep 0.2; done'
	wait_log c ready
	ok kill -s USR1 "$N-c"
	wait_log c got-usr1
	ok kill -s 1 "$N-c"
	wait_log c got-hup
	ok kill -s RTMIN+3 "$N-c"
	wait_log c got-37
	ok stop "$N-c"
	logs_have c got-quit
	is "$(inspect c '{{.State.ExitCode}}')" 5
}

@test "restart: the same root file system, a new process" {
	up c box sh -c 'echo run >>/count; wc -l </count; sleep 1000'
	wait_log c '^1$'
	ok restart -t 0 "$N-c"
	wait_log c '^2$'
	ok stop -t 0 "$N-c"
	ok start "$N-c"
	wait_log c '^3$'
}

@test "restart policies: on-failure counts its tries, always survives the death of the host's process" {
	up fails --restart on-failure:2 box sh -c 'echo try; exit 3'
	up always --restart always box sh -c 'echo up; sleep 1000'
	wait_log always up
	pid=$(inspect always '{{.State.Pid}}')
	kill -9 "$pid"
	poll 60 inspect_is always '{{.RestartCount}} {{.State.Status}}' '1 running'
	poll 60 inspect_is fails '{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}' '2 exited 3'
}

# bats test_tags=quick
@test "kill -9 of the process that the engine sees ends the container as 137 and frees everything" {
	up c box sh -c 'echo up; sleep 1000'
	wait_log c up
	pid=$(inspect c '{{.State.Pid}}')
	id=$(inspect c '{{.Id}}')
	[ -d "/proc/$pid" ]
	kill -9 "$pid"
	poll 20 state_is c exited
	is "$(inspect c '{{.State.ExitCode}}')" 137
	poll 10 test ! -e "/sys/fs/cgroup/docker/$id"
	ok rm "$N-c"
}

@test "pause stops the processes, unpause continues them, a paused container can be killed" {
	up c box sh -c 'while :; do echo tick; sleep 0.2; done'
	wait_log c tick
	ok pause "$N-c"
	is "$(inspect c '{{.State.Status}} {{.State.Paused}}')" "paused true"
	a=$(docker logs "$N-c" 2>&1 3>&- | wc -l)
	sleep 2
	is "$(docker logs "$N-c" 2>&1 3>&- | wc -l)" "$a"
	ok unpause "$N-c"
	more() { [ "$(docker logs "$N-c" 2>&1 3>&- | wc -l)" -gt "$a" ]; }
	poll 20 more
	ok pause "$N-c"
	ok kill "$N-c"
	poll 20 state_is c exited
}

@test "health checks: starting, healthy, unhealthy, with their output" {
	up c --health-cmd 'echo checked; test -e /tmp/well' --health-interval 1s --health-retries 2 --health-timeout 20s --health-start-period 1s box sleep 1000
	on c 'touch /tmp/well'
	poll 60 inspect_is c '{{.State.Health.Status}}' healthy
	has "$(inspect c '{{json .State.Health.Log}}')" checked
	on c 'rm /tmp/well'
	poll 60 inspect_is c '{{.State.Health.Status}}' unhealthy
}

@test "--init: an init reaps what the program leaves, and passes signals on" {
	up c --init box sh -c 'trap "echo ended; exit 4" TERM; (sleep 0.1 & exec sleep 0.2) & echo ready; while :; do sleep 0.2; done'
	wait_log c ready
	on c 'cat /proc/1/cmdline | tr "\0" " "'
	has "$out" docker-init
	sleep 1
	on c 'ps -o stat,args'
	lacks "$(grep -v ps <<<"$out")" Z
	ok stop "$N-c"
	is "$(inspect c '{{.State.ExitCode}}')" 4
}

@test "events tell the life of a container in order" {
	since=$(date +%s)
	up c box sh -c 'exit 6'
	ok wait "$N-c"
	ok rm "$N-c"
	ok events --since "$since" --until "$(($(date +%s) + 2))" --filter "container=$N-c" --format '{{.Action}} {{.Actor.Attributes.exitCode}}'
	is "$(echo $(sed 's/<no value>//; s/ *$//' <<<"$out"))" "create attach start die 6 destroy" || is "$(echo $(sed 's/<no value>//; s/ *$//' <<<"$out"))" "create start die 6 destroy"
}

@test "top lists the processes of the container and no others" {
	up c box sh -c 'sleep 1234 & sleep 4321'
	poll 20 docker exec "$N-c" sh -c 'ps | grep -v grep | grep -q 4321'
	ok top "$N-c"
	has "$out" PID
	lacks "$out" dockerd
	[ "$(wc -l <<<"$out")" -ge 2 ] || fail "$out"
}

@test "rename, wait, port, diff and inspect work on a running container" {
	up c box sh -c 'echo new >/made; rm /bin/garbage; echo ready; sleep 1000'
	wait_log c ready
	ok diff "$N-c"
	has_line "$out" 'A /made'
	has_line "$out" 'D /bin/garbage'
	MADE+=("$N-renamed")
	ok rename "$N-c" "$N-renamed"
	ok inspect -f '{{.State.Running}}' "$N-renamed"
	is "$out" true
}

@test "commit makes an image of what the container has written" {
	up c box sh -c 'mkdir /made; echo kept >/made/file; echo ready; sleep 1000'
	wait_log c ready
	ok commit -c 'CMD ["cat", "/made/file"]' "$N-c" "$TOKEN"
	ok run --rm "$TOKEN"
	is "$out" kept
	ok rmi -f "$TOKEN"
}

# ---- what the process is given ----

@test "environment, directory, host name, extra hosts, entry point, arguments" {
	printf 'A=1\nB=two words\n' >"$T/env"
	box --env-file "$T/env" -e C=3 -e EMPTY= -w /made/here -h the-host --add-host other:192.0.2.9 --dns 192.0.2.53 --dns-search example.org -- '
		echo "$A,$B,$C,${EMPTY-unset}"; pwd; hostname; grep other /etc/hosts; cat /etc/resolv.conf; stat -c %U:%a /made/here'
	has_line "$out" '1,two words,3,'
	has_line "$out" /made/here
	has_line "$out" the-host
	matches "$out" $'192.0.2.9\tother'
	has "$out" 'nameserver 192.0.2.53'
	has "$out" 'search example.org'
	has_line "$out" root:755
	ok run --rm --entrypoint echo box "an argument" 'with "quotes"' '$not'
	is "$out" 'an argument with "quotes" $not'
}

@test "long arguments and environments arrive whole" {
	long=$(printf 'x%.0s' $(seq 100000))
	ok run --rm -e "LONG=$long" box sh -c 'echo ${#LONG} ${#1}' - "$long"
	is "$out" "100000 100000"
}

@test "--user by name, number, with groups; HOME follows" {
	box -u user --group-add 77 -- 'id -u; id -G; echo $HOME; touch /root/x 2>&1'  || true
	has_line "$out" 1000
	has_line "$out" '1000 77'
	has_line "$out" /home/user
	box -u 4321:5432 -- 'id -u; id -g; stat -c %u:%g /proc/self/fd/1; echo x >/dev/stdout'
	has_line "$out" 4321
	has_line "$out" 5432
}

# bats test_tags=quick
@test "capabilities: the default set, none, an added one, each as the kernel sees it" {
	box -- 'grep -E "Cap(Eff|Prm|Bnd|Inh|Amb)" /proc/self/status'
	is "$(grep -c 00000000a80425fb <<<"$out")" 3
	box --cap-drop ALL --cap-add NET_ADMIN -- 'grep CapEff /proc/self/status; chown 1 /tmp 2>&1; ip link set lo mtu 1400 && echo set'
	has "$out" 0000000000001000
	has "$out" 'not permitted'
	has_line "$out" set
}

@test "privileged: every capability, /sys writable, mounts, nothing masked" {
	box --privileged -- 'grep CapEff /proc/self/status; mount -t tmpfs none /mnt && echo mounted; mount | grep " /sys " ; grep -c " /proc/" /proc/mounts; hostname changed && hostname'
	matches "$out" 'CapEff:.*(1ff|3f)ffffffff'
	has_line "$out" mounted
	has_line "$out" changed
	matches "$out" ' /sys type sysfs \(rw'
}

@test "seccomp: the default profile, one of the user's, none" {
	box -- 'grep Seccomp: /proc/self/status; unshare -m true 2>&1 || echo refused'
	matches "$out" 'Seccomp:.*2'
	has "$out" refused
	echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":38}]}' >"$T/profile.json"
	box --security-opt "seccomp=$T/profile.json" -- 'mkdir /tmp/x 2>&1; echo end'
	has "$out" 'Function not implemented'
	box --security-opt seccomp=unconfined -- 'grep Seccomp: /proc/self/status'
	matches "$out" 'Seccomp:.*0'
}

@test "no-new-privileges, ulimits, sysctls, oom score, masked and read-only paths" {
	box --security-opt no-new-privileges --ulimit nofile=123:456 --ulimit core=0 --sysctl net.ipv4.ip_forward=0 --sysctl kernel.msgmax=9000 --oom-score-adj 300 -- '
		grep NoNewPrivs /proc/self/status; ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/self/oom_score_adj
		head -c1 /proc/kcore | wc -c; echo x 2>/dev/null >/proc/sys/kernel/domainname || echo read-only'
	matches "$out" 'NoNewPrivs:.*1'
	for l in 123 456 9000 300 read-only; do has_line "$out" "$l"; done
}

@test "--read-only with --tmpfs: the root cannot be written, the tmpfs can, with its size and mode" {
	box --read-only --tmpfs /scratch:size=1m,mode=1700 -- '
		touch /x 2>&1; touch /scratch/y && echo wrote; stat -c %a /scratch; dd if=/dev/zero of=/scratch/z bs=1k count=2000 2>&1 | grep -c "No space"; grep " / " /proc/mounts'
	has "$out" 'Read-only file system'
	for l in wrote 1700 1; do has_line "$out" "$l"; done
}

@test "devices: those that every kernel has; one of the host's that cannot cross is refused by name" {
	box --device /dev/fuse --device /dev/net/tun:/dev/mytun -- 'test -c /dev/fuse && echo fuse; test -c /dev/mytun && echo tun; echo x >/dev/null && echo null; head -c 4 /dev/urandom | wc -c'
	for l in fuse tun null 4; do has_line "$out" "$l"; done
	is_husk || return 0
	no run --rm --device /dev/kvm box true
	has "$err" /dev/kvm
}

@test "--ipc, --uts, --cgroupns and --userns of the usual kinds" {
	box --ipc private --uts "" --cgroupns private -- 'cat /proc/self/cgroup; ls /dev/shm | wc -l'
	has "$out" '0::/'
	box --ipc shareable --cgroupns host -- 'echo fine; df -k /dev/shm | tail -n1'
	has_line "$out" fine
	matches "$out" ' 65536 '
	box --userns host -- 'cat /proc/self/uid_map'
	matches "$out" '0 +0 +4294967295'
}

# bats test_tags=slow
@test "containers go on while the engine restarts, and it finds them again" {
	up c --restart always box sh -c 'while :; do echo tick; sleep 1; done'
	up d box sh -c 'sleep 1000'
	wait_log c tick
	pid=$(inspect c '{{.State.Pid}}')
	p=$(<"$ENGINE/dockerd.pid")
	kill "$p"
	poll 30 gone "$p"
	[ -d "/proc/$pid" ]
	dockerd_start
	is "$(inspect c '{{.State.Pid}} {{.State.Status}}')" "$pid running"
	on c 'echo exec works'
	ok kill "$N-d"
	is "$(inspect d '{{.State.ExitCode}}')" 137
}

# bats test_tags=slow
@test "ten containers at once start, answer and end" {
	local pids=()
	for i in 0 1 2 3 4 5 6 7 8 9; do
		MADE+=("$N-$i")
		timeout $((HUSK_TEST_SLOW * 100)) docker run -d --name "$N-$i" -m 48m box sh -c "echo up-$i; sleep 1000" >/dev/null 2>"$T/err.$i" 3>&- &
		pids+=($!)
	done
	for i in 0 1 2 3 4 5 6 7 8 9; do wait "${pids[$i]}" || echo "$i: status $?: $(<"$T/err.$i")" >>"$T/failed"; done
	[ ! -e "$T/failed" ] || fail "$(<"$T/failed")"
	for i in 0 1 2 3 4 5 6 7 8 9; do logs_have $i "up-$i"; done
}

# ---- build ----

@test "build: RUN, COPY, USER, WORKDIR, ENV and CMD, each in a container of its own" {
	mkdir "$T/ctx"
	echo "from the context" >"$T/ctx/file"
	cat >"$T/ctx/Dockerfile" <<-'E'
		FROM box
		ENV WHERE=/made
		RUN mkdir -p $WHERE/sub && echo built >$WHERE/built && chown -R 1000:1000 $WHERE
		COPY --chown=1000:1000 file /made/file
		USER user
		WORKDIR /made/sub
		RUN id -un >who && cat ../file >>who
		CMD ["sh", "-c", "cat who ../built; pwd; stat -c %U who /made/file"]
	E
	ok build --force-rm -t "$TOKEN" "$T/ctx"
	ok run --rm "$TOKEN"
	is "$out" $'user\nfrom the context\nbuilt\n/made/sub\nuser\nuser'
	ok rmi -f "$TOKEN"
}

@test "a build step that fails ends the build with its status and its output" {
	mkdir "$T/ctx"
	printf 'FROM box\nRUN echo reason; exit 23\n' >"$T/ctx/Dockerfile"
	no build --force-rm "$T/ctx"
	has "$out" reason
	has "$err" 'returned a non-zero code: 23'
}

@test "after all these cases nothing of them is left on the host" {
	poll 10 engine_clean
}
