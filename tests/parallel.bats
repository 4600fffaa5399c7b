#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many at once: containers, verbs on one container, one name wanted twice.

load lib/common

N=${HUSK_TEST_PARALLEL:-20}

@test "twenty containers at once each run their own program to its own status" {
	container . 'read a; echo "$a"; exit ${a#n}'
	for i in $(seq "$N"); do
		mkdir "$T/b$i"
		ln "$B/config.json" "$T/b$i/config.json"
		jq ".linux.cgroupsPath = \"${CG}b$i\" | .root.path = \"$B/rootfs\"" "$B/config.json" >"$T/b$i/new"
		mv "$T/b$i/new" "$T/b$i/config.json"
	done
	pids=()
	for i in $(seq "$N"); do
		echo "n$i" | rt run -b "$T/b$i" "$C-$i" >"$T/out$i" 2>"$T/err$i" &
		pids[i]=$!
	done
	for i in $(seq "$N"); do
		rc=0
		wait "${pids[i]}" || rc=$?
		is "$rc" "$i" "status of container $i ($(<"$T/err$i"))"
		is "$(<"$T/out$i")" "n$i"
	done
	no_leaks
}

# bats test_tags=slow
@test "of two creates of one name at the same moment exactly one succeeds" {
	runc_fault "lets both go on and leaves what the loser made"
	container . 'sleep 1000'
	for _ in 1 2 3; do
		rt create -b "$B" "$C" </dev/null >"$T/o1" 2>&1 &
		a=$!
		rt create -b "$B" "$C" </dev/null >"$T/o2" 2>&1 &
		b=$!
		ra=0 rb=0
		wait $a || ra=$?
		wait $b || rb=$?
		is "$(((ra == 0) + (rb == 0)))" 1 "creates that succeeded"
		cat "$T/o1" "$T/o2" >"$T/o"
		has "$(<"$T/o")" "container with given ID already exists"
		is "$(status_of)" created
		must rt delete --force "$C"
	done
}

# bats test_tags=slow
@test "verbs on one container at the same time all end, and the container stays whole" {
	container . 'sleep 1000'
	launch
	pids=()
	for i in 1 2 3 4; do
		rt state "$C" </dev/null >"$T/s$i" 2>&1 &
		pids+=($!)
		rt exec "$C" true </dev/null >"$T/e$i" 2>&1 &
		pids+=($!)
		rt ps --format json "$C" </dev/null >"$T/p$i" 2>&1 &
		pids+=($!)
		rt kill "$C" WINCH </dev/null >"$T/k$i" 2>&1 &
		pids+=($!)
	done
	for p in "${pids[@]}"; do wait "$p" || fail "$(cat "$T"/[sepk][1-4])"; done
	is "$(status_of)" running
}

# bats test_tags=slow
@test "kill and delete while an exec starts end well" {
	container . 'sleep 1000'
	for _ in 1 2 3; do
		launch
		rt exec "$C" sleep 1000 </dev/null >"$T/e" 2>&1 &
		e=$!
		rt kill "$C" KILL
		wait_status stopped
		wait $e && fail "exec of a killed container succeeded"
		must rt delete --force "$C"
		no_leaks
	done
}

# bats test_tags=slow
@test "two delete --force of one container at the same time both succeed" {
	container . 'sleep 1000'
	launch
	rt delete --force "$C" >"$T/o1" 2>&1 &
	a=$!
	rt delete --force "$C" >"$T/o2" 2>&1 &
	b=$!
	ra=0 rb=0
	wait $a || ra=$?
	wait $b || rb=$?
	is "$ra $rb" "0 0" "$(cat "$T/o1" "$T/o2")"
	no_leaks
}

# bats test_tags=slow
@test "containers created and deleted one after the other leave nothing that grows" {
	container . true
	before=$(ls -A "$ROOT" 2>/dev/null | wc -l)
	for _ in 1 2 3 4 5; do
		must rt create -b "$B" "$C"
		must rt start "$C"
		wait_status stopped
		must rt delete "$C"
	done
	is "$(ls -A "$ROOT" | wc -l)" "$before"
	no_leaks
}

# bats test_tags=slow
@test "two containers share a volume and see each other's writes" {
	mkdir "$T/vol"
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}]" 'echo ping >/vol/ping; while [ ! -e /vol/pong ]; do usleep 50000; done; cat /vol/pong; sleep 1000'
	launch
	B=$T/second
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}]" 'while [ ! -e /vol/ping ]; do usleep 50000; done; cat /vol/ping; echo pong >/vol/pong.new; mv /vol/pong.new /vol/pong'
	must rt run -b "$B" "$C-2"
	is "$out" ping
	wait_output pong
}
