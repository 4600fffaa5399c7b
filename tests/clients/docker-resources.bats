#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Limits and figures through Docker: memory, CPU, pids, block I/O, update while running, stats.

load lib/clients

setup_file() { engine_up; }

# A file of the container's cgroup on the host: host_cgroup NAME FILE
host_cgroup() {
	local id
	id=$(inspect "$1" '{{.Id}}')
	cat "/sys/fs/cgroup/docker/$id/$2"
}

need_v2() { [ "$CGROUP_MODE" = v2 ] || skip "this host has cgroup v1"; }

# bats test_tags=quick
@test "a memory limit: seen inside, enforced, and the kill is reported as OOMKilled with 137" {
	need_v2
	up c -m 64m box sh -c 'cat /sys/fs/cgroup/memory.max; exec tail /dev/zero'
	poll 60 state_is c exited
	is "$(inspect c '{{.State.ExitCode}}')" 137
	is "$(docker logs "$N-c" 2>/dev/null 3>&- | head -n1)" 67108864
	is "$(inspect c '{{.State.OOMKilled}}')" true
}

@test "a process that is killed for memory does not end a container whose first process lives; the event is told" {
	since=$(date +%s)
	up c -m 64m box sh -c 'sh -c "tail /dev/zero"; echo "child: $?"; sleep 1000'
	wait_log c 'child: 137'
	state_is c running
	ok events --since "$since" --until "$(($(date +%s) + 2))" --filter "container=$N-c" --filter event=oom --format '{{.Action}}'
	matches "$out" oom
}

@test "small limits start: 16 MB of memory, 5 processes" {
	box -m 16m --pids-limit 5 -- 'echo started; cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max'
	has_line "$out" started
	has_line "$out" 5
}

@test "a pids limit stops who forks on and on; the container lives" {
	up c --pids-limit 20 box sh -c '(i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done); exec sleep 1000'
	poll 30 logs_have c 'fork'
	ok top "$N-c"
	[ "$(grep -c 'sleep 1000' <<<"$out")" -le 20 ]
}

@test "CPU quota, shares and set: what the container sees and what the host enforces" {
	need_v2
	up c --cpus 0.5 --cpu-shares 512 --cpuset-cpus 0 box sh -c 'nproc; cat /sys/fs/cgroup/cpu.max; sleep 1000'
	poll 20 logs_have c 100000
	has_line "$(docker logs "$N-c" 2>&1 3>&-)" 1
	has_line "$(docker logs "$N-c" 2>&1 3>&-)" '50000 100000'
	is "$(host_cgroup c cpu.max)" '50000 100000'
	is "$(host_cgroup c cpuset.cpus.effective)" 0
	[ "$(host_cgroup c cpu.weight)" -lt 100 ]
}

@test "a quota of half a CPU is held: a busy loop gets at most that" {
	need_v2
	up c --cpus 0.5 box sh -c 'while :; do :; done'
	sleep 3
	a=$(host_cgroup c cpu.stat | sed -n 's/^usage_usec //p') t=$(date +%s%6N)
	sleep 6
	b=$(host_cgroup c cpu.stat | sed -n 's/^usage_usec //p') u=$(date +%s%6N)
	[ $(((b - a) * 100 / (u - t))) -le 60 ] || fail "$(((b - a) * 100 / (u - t))) % of a CPU"
}

@test "two CPUs are two CPUs inside" {
	box --cpus 2 -- 'nproc'
	is "$out" 2
}

# bats test_tags=quick
@test "update while running: memory, CPU and pids limits change inside and in inspect" {
	need_v2
	up c -m 128m --cpus 1 box sleep 1000
	ok update -m 96m --memory-swap 96m --cpus 0.7 --pids-limit 33 "$N-c"
	on c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max'
	is "$out" $'100663296\n70000 100000\n33'
	is "$(inspect c '{{.HostConfig.Memory}}')" 100663296
	ok update --restart on-failure:1 "$N-c"
}

@test "stats: memory, CPU, network and pids have figures, the limit is the one that was set" {
	up c -m 128m box sh -c 'while :; do :; done'
	sleep 3
	ok stats --no-stream --format '{{.MemUsage}}|{{.CPUPerc}}|{{.PIDs}}|{{.NetIO}}' "$N-c"
	matches "$out" '^[0-9.]+[kKMG]?i?B / [0-9.]+MiB\|[0-9.]+%\|[0-9]+\|[0-9.]+k?B / '
	lacks "$out" '|0.00%|'
	lacks "$out" '0B / 0B|'
}

@test "the cgroup of the container holds its processes on the host, below the parent that was asked for" {
	need_v2
	up c --cgroup-parent /husk-clients-parent box sleep 1000
	id=$(inspect c '{{.Id}}')
	pid=$(inspect c '{{.State.Pid}}')
	is "$(cat "/proc/$pid/cgroup")" "0::/husk-clients-parent/$id"
	grep -qx "$pid" "/sys/fs/cgroup/husk-clients-parent/$id/cgroup.procs"
	ok rm -f "$N-c"
	[ ! -e "/sys/fs/cgroup/husk-clients-parent/$id" ]
	rmdir /sys/fs/cgroup/husk-clients-parent
}

@test "block I/O weight, memory reservation, swap and kernel options are taken" {
	box -m 64m --memory-reservation 32m --memory-swap 128m --memory-swappiness 0 --blkio-weight 300 --oom-kill-disable=false -- 'echo started'
	has_line "$out" started
}

@test "shared memory, huge limits and ulimits together with a memory limit" {
	box -m 100m --shm-size 20m --ulimit nofile=1048576:1048576 --ulimit memlock=-1 --ulimit nproc=500 -- 'ulimit -n; ulimit -l; dd if=/dev/zero of=/dev/shm/x bs=1M count=19 2>/dev/null && echo filled'
	has_line "$out" 1048576
	has_line "$out" unlimited
	has_line "$out" filled
}

@test "a container that fills its memory with files is not killed: the cache gives way" {
	box -m 48m -- 'dd if=/dev/zero of=/file bs=1M count=100 2>/dev/null; cat /file | wc -c'
	has_line "$out" 104857600
}

@test "a frozen container costs nothing, its figures stay readable" {
	need_v2
	up c box sh -c 'while :; do :; done'
	sleep 2
	ok pause "$N-c"
	sleep 1
	a=$(host_cgroup c cpu.stat | sed -n 's/^usage_usec //p')
	sleep 3
	b=$(host_cgroup c cpu.stat | sed -n 's/^usage_usec //p')
	[ $((b - a)) -lt 600000 ] || fail "$((b - a)) us in 3 s"
	ok stats --no-stream "$N-c"
	ok unpause "$N-c"
}

@test "info names the runtime, and inspect says which one a container has" {
	ok info --format '{{.DefaultRuntime}} {{range $k, $v := .Runtimes}}{{$k}} {{end}}'
	has "$out" "$RUNTIME"
	has "$out" husk
	up c box sleep 1000
	is "$(inspect c '{{.HostConfig.Runtime}}')" "$RUNTIME"
}

@test "after all these cases nothing of them is left on the host" {
	poll 10 engine_clean
}
