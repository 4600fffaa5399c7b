#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# update: limits change while the container runs, seen from inside it; and what must be refused.

load lib/common

local_setup() {
	need_cgroup2
}

MIB=1048576

limited() {
	container '.linux.resources.memory = {limit: 134217728} | .linux.resources.pids = {limit: 64} | .linux.resources.cpu = {shares: 1024, quota: 50000, period: 100000}' 'sleep 1000'
	launch
}

# The container's own cgroup file, as it sees it.
limit() { rt exec "$C" cat "/sys/fs/cgroup/$1" </dev/null; }

@test "update --memory and --pids-limit change what the container sees, and nothing else" {
	limited
	must rt update --memory $((100 * MIB)) --pids-limit 32 "$C"
	is "$(limit memory.max)" $((100 * MIB))
	is "$(limit pids.max)" 32
	is "$(limit cpu.max)" "50000 100000"
}

@test "update --cpu-quota, --cpu-period and --cpu-share change the CPU limits" {
	limited
	must rt update --cpu-quota 30000 --cpu-period 60000 "$C"
	is "$(rt exec "$C" cat /sys/fs/cgroup/cpu.max </dev/null)" "30000 60000"
	w=$(limit cpu.weight)
	must rt update --cpu-share 512 "$C"
	[ "$(limit cpu.weight)" -lt "$w" ]
	is "$(limit memory.max)" $((128 * MIB))
}

@test "a new quota and period that are valid together below a limited parent are set, whichever has to go first" {
	local parent=${CG}p cpu=/sys/fs/cgroup/cpu
	container ".linux.cgroupsPath = \"$parent/c\" | .linux.resources.cpu = {quota: 50000, period: 100000}" 'sleep 1000'
	launch
	if [ "$CGROUP_MODE" = v2 ]; then
		echo "100000 100000" >"/sys/fs/cgroup$parent/cpu.max"
	else
		echo 100000 >"$cpu$parent/cpu.cfs_quota_us"
	fi
	must rt update --cpu-quota 10000 --cpu-period 20000 "$C"
	must rt update --cpu-quota 90000 --cpu-period 100000 "$C"
	must rt delete --force "$C"
	find /sys/fs/cgroup -depth -type d -path "*$parent" -exec rmdir {} +
}

@test "update --resources - reads JSON from stdin; members that are absent stay as they are" {
	limited
	rc=0
	echo '{"memory": {"limit": 94371840}}' | rt update --resources - "$C" >"$T/x" 2>&1 || rc=$?
	is "$rc" 0
	is "$(limit memory.max)" 94371840
	is "$(limit pids.max)" 64
	is "$(limit cpu.max)" "50000 100000"
	echo '{"pids": {"limit": 50}}' | rt update --resources=- "$C"
	is "$(limit pids.max)" 50
	is "$(limit memory.max)" 94371840
}

@test "update --resources FILE takes podman's complete object, zeros meaning unset" {
	limited
	cat >"$T/resources.json" <<-'END'
		{"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": 115343360, "disableOOMKiller": false},
		 "cpu": {"shares": 0, "quota": 25000, "period": 100000}, "pids": {"limit": 40}, "blockIO": {"weight": 0}}
	END
	must rt update "--resources=$T/resources.json" "$C"
	is "$(limit memory.max)" 115343360
	is "$(limit pids.max)" 40
	is "$(limit cpu.max)" "25000 100000"
}

@test "the new limits are enforced" {
	limited
	must rt update --pids-limit 10 "$C"
	must rt exec "$C" inside forks 30
	fact forks_error EAGAIN
	[ "$(fact_value forks)" -le 10 ]
	must rt update --pids-limit 100 "$C"
	must rt exec "$C" inside forks 30
	fact forks 30
}

@test "memory can be raised and lowered, and made unlimited" {
	limited
	must rt update --memory $((64 * MIB)) "$C"
	is "$(limit memory.max)" $((64 * MIB))
	must rt update --memory $((120 * MIB)) "$C"
	is "$(limit memory.max)" $((120 * MIB))
	must rt update --memory -1 "$C"
	is "$(limit memory.max)" max
}

@test "--memory-reservation and --memory-swap arrive as memory.low and memory.swap.max" {
	limited
	must rt update --memory $((100 * MIB)) --memory-swap $((150 * MIB)) --memory-reservation $((50 * MIB)) "$C"
	is "$(limit memory.low)" $((50 * MIB))
	if [ -e "$(cgroup_dir)/memory.swap.max" ] || is_husk; then
		v=$(limit memory.swap.max 2>/dev/null || echo none)
		matches "$v" "^($((50 * MIB))|none)\$"
	fi
}

@test "broken, hostile or impossible resources are refused and change nothing" {
	limited
	for text in '' '{' '[1]' '{"memory": 5}' '{"memory": {"limit": "much"}}' '{"pids": {"limit": {}}}'; do
		rc=0
		printf '%s' "$text" | rt update --resources - "$C" >"$T/x" 2>&1 || rc=$?
		[ $rc -ne 0 ] || fail "taken: $text"
	done
	must_fail rt update --resources "$T/no-such-file" "$C"
	must_fail rt update --memory lots "$C"
	must_fail rt update --cpu-quota 1 "$C"
	is "$(limit memory.max)" $((128 * MIB))
	is "$(limit pids.max)" 64
	is "$(limit cpu.max)" "50000 100000"
}

# bats test_tags=slow
@test "checkBeforeUpdate: a limit below what is in use is refused, and nothing changes or dies" {
	runc_fault "does not know checkBeforeUpdate"
	limited
	must rt exec "$C" dd if=/dev/zero of=/dev/shm/held bs=1M count=30
	echo '{"memory": {"limit": 20971520, "checkBeforeUpdate": true}, "pids": {"limit": 9}}' >"$T/r.json"
	must_fail rt update --resources "$T/r.json" "$C"
	has "$err" "in use"
	is "$(limit memory.max)" $((128 * MIB))
	is "$(limit pids.max)" 64
	echo '{"memory": {"limit": 62914560, "checkBeforeUpdate": true}}' >"$T/r.json"
	must rt update --resources "$T/r.json" "$C"
	is "$(limit memory.max)" 62914560
	rt delete --force "$C"
	# asked for by config.json
	given '.linux.resources.memory.checkBeforeUpdate = true'
	launch
	must_fail rt update --memory 4096 "$C"
	has "$err" "in use"
	is "$(status_of)" running
}

@test "update of an unknown or stopped container is an error" {
	must_fail rt update --pids-limit 10 "$C"
	has "$err" "does not exist"
	container . true
	launch
	wait_status stopped
	must_fail rt update --pids-limit 10 "$C"
}

@test "limits that were updated are seen by later execs and survive pause and resume" {
	limited
	must rt update --pids-limit 20 "$C"
	must rt pause "$C"
	must rt resume "$C"
	is "$(limit pids.max)" 20
}
