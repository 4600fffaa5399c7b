#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pods: a sandbox and its containers share one VM, one network, one IPC; each lives and dies on its own. Through
# containerd with the annotations and namespace paths that CRI gives.

load ../lib/common
load lib/containerd

# sandbox NAME [OPTIONS]: the pod's first container, in a network namespace that was made before, as CRI does
sandbox() {
	local pod=$C-$1
	shift
	[ -e "/run/netns/$pod" ] || ip netns add "$pod"
	ip -n "$pod" link set lo up
	mkdir -p "$T/shm-$pod"
	mount -t tmpfs -o size=8m shm "$T/shm-$pod"
	ID=$pod up --annotation io.kubernetes.cri.container-type=sandbox --annotation "io.kubernetes.cri.sandbox-id=$pod" \
		--with-ns "network:/run/netns/$pod" "$@" -- sleep 100000
	SANDBOX[${pod##*-}]=$PID
}

# member POD NAME [OPTIONS] -- CMD: a further container of the pod
member() {
	local pod=$C-$1 name=$C-$1-$2 p=${SANDBOX[$1]}
	shift 2
	ID=$name up --annotation io.kubernetes.cri.container-type=container --annotation "io.kubernetes.cri.sandbox-id=$pod" \
		--with-ns "network:/proc/$p/ns/net" --with-ns "ipc:/proc/$p/ns/ipc" --with-ns "uts:/proc/$p/ns/uts" \
		--mount "type=bind,src=$T/shm-$pod,dst=/dev/shm,options=rbind:rw" "$@"
}

# at POD NAME CMD: exec in a member
at() {
	local id=$C-$1-$2
	shift 2
	ID=$id in_it "$@"
}

two_pods() {
	for pod in a b; do
		sandbox $pod
		for m in web app db; do member $pod $m -- "${@:-sleep}" 100000; done
	done
}

eval "base_$(declare -f local_setup)"
local_setup() {
	base_local_setup
	declare -gA SANDBOX=()
}

boot_id() { at "$1" "$2" cat /proc/sys/kernel/random/boot_id; }
vmms() {
	local f name
	for f in /proc/[0-9]*/comm; do
		if read -r name 2>/dev/null <"$f" && [ "$name" = husk-vmm ]; then echo "$f"; fi
	done
}

# bats test_tags=vm,quick
@test "two pods of three containers each: two VMs, in each one kernel, one network, one IPC, one name" {
	husk_only "a pod has a VM"
	before=$(vmms | wc -l)
	two_pods
	is "$(($(vmms | wc -l) - before))" 2 "VMs"
	boot_id a web
	a=$out
	boot_id b web
	b=$out
	[ "$a" != "$b" ]
	for m in app db; do
		boot_id a $m
		is "$out" "$a"
		boot_id b $m
		is "$out" "$b"
	done
	for ns in net ipc uts; do
		at a web readlink /proc/self/ns/$ns
		first=$out
		at a db readlink /proc/self/ns/$ns
		is "$out" "$first" "$ns namespace"
	done
	for ns in mnt pid; do
		at a web readlink /proc/self/ns/$ns
		first=$out
		at a db readlink /proc/self/ns/$ns
		[ "$out" != "$first" ] || fail "one $ns namespace"
	done
}

# bats test_tags=quick
@test "the containers of a pod reach each other on localhost and share /dev/shm; another pod does not see either" {
	sandbox a
	sandbox b
	member a web -- httpd -f -p 8080 -h /home
	member a app -- sleep 100000
	member b app -- sleep 100000
	poll 10 at a app sh -c 'printf "GET /x HTTP/1.0\r\n\r\n" | nc -w 20 127.0.0.1 8080 | grep " 404 "'
	must_fail cc task exec --exec-id nc1 "$C-b-app" nc -w 5 127.0.0.1 8080
	at a web sh -c 'echo shared >/dev/shm/x'
	at a app cat /dev/shm/x
	is "$out" shared
	at b app ls /dev/shm
	is "$out" ""
}

@test "localhost of the pod's network namespace on the host reaches the pod's server, as port-forward does" {
	ip netns add "$C-a"
	ip link add "v$RANDOM" type veth peer name eth0 netns "$C-a"
	ip -n "$C-a" addr add 192.0.2.2/24 dev eth0
	ip -n "$C-a" link set eth0 up
	sandbox a
	member a web -- httpd -f -p 8080 -h /home
	poll 20 forwarded
}
forwarded() {
	ip netns exec "$C-a" bash -c 'exec 5<>/dev/tcp/127.0.0.1/8080 && printf "GET /x HTTP/1.0\r\n\r\n" >&5 && timeout 10 cat <&5' 2>&1 | grep -q 404
}

@test "a container of a pod ends, is killed, starts again; the others and the sandbox do not notice" {
	sandbox a
	member a web -- sleep 100000
	member a app -- sh -c 'exit 3'
	ID=$C-a-app poll 20 task_is STOPPED
	try cc task rm "$C-a-app"
	has "$err$out" "exit code 3"
	cc container rm "$C-a-app"
	for round in 1 2 3; do
		member a app -- sleep 100000
		at a app echo "$round"
		is "$out" "$round"
		must cc task kill -s KILL "$C-a-app"
		ID=$C-a-app poll 20 task_is STOPPED
		try cc task rm "$C-a-app"
		cc container rm "$C-a-app"
	done
	at a web echo alive
	is "$out" alive
	ID=$C-a task_is RUNNING
}

@test "the pod's end: members first and then the sandbox, or the sandbox first: all end, nothing is left" {
	for order in members sandbox; do
		sandbox a
		member a web -- sleep 100000
		member a app -- sleep 100000
		if [ $order = members ]; then ids="$C-a-web $C-a-app $C-a"; else ids="$C-a $C-a-web $C-a-app"; fi
		must cc task kill -s KILL "${ids%% *}"
		ID=${ids%% *} poll 20 task_is STOPPED
		if [ $order = sandbox ] && is_husk; then # its VM is theirs
			ID=$C-a-web poll 20 task_is STOPPED
			ID=$C-a-app poll 20 task_is STOPPED
		fi
		for id in $ids; do
			cc task rm -f "$id" >/dev/null 2>&1 || true
			must cc container rm "$id"
		done
		ip netns del "$C-a"
		umount "$T/shm-$C-a"
		ROOT='' no_leaks
	done
}

@test "a pod that shares its PID namespace: all see all processes; the kill of one container's task ends only that" {
	sandbox a
	member a web --with-ns "pid:/proc/${SANDBOX[a]}/ns/pid" -- sleep 1111
	member a app --with-ns "pid:/proc/${SANDBOX[a]}/ns/pid" -- sleep 2222
	at a app ps
	has "$out" "sleep 1111"
	has "$out" "sleep 2222"
	has "$out" "sleep 100000"
	must cc task kill -s KILL "$C-a-web"
	ID=$C-a-web poll 20 task_is STOPPED
	at a app ps
	lacks "$out" "sleep 1111"
	has "$out" "sleep 100000"
}

@test "each container of a pod has its own memory limit; one that exceeds it dies alone" {
	sandbox a
	member a web --memory-limit 50000000 -- sleep 100000
	member a app --memory-limit 40000000 -- tail /dev/zero
	ID=$C-a-app poll 60 task_is STOPPED
	try cc task rm "$C-a-app"
	has "$err$out" "exit code 137"
	at a web echo alive
	is "$out" alive
}

@test "a container that comes late, for debugging, joins the VM and may see another's processes" {
	sandbox a
	member a web -- sleep 1111
	member a debug --with-ns "pid:/proc/$(<"$T/$C-a-web.pid")/ns/pid" -- sleep 2222
	at a debug ps
	has "$out" "sleep 1111"
	lacks "$out" "sleep 100000"
}

# bats test_tags=vm
@test "a pod without a sandbox container: what carries its name and has its network shares a VM, which ends with the first" {
	husk_only "a pod has a VM"
	ip netns add "$C-a"
	ip -n "$C-a" link set lo up
	for m in web app; do
		ID=$C-a-$m up --annotation io.kubernetes.cri.container-type=container --annotation "io.kubernetes.cri.sandbox-id=$C-a" \
			--with-ns "network:/run/netns/$C-a" -- httpd -f -p "$([ $m = web ] && echo 81 || echo 82)" -h /home
	done
	boot_id a web
	first=$out
	boot_id a app
	is "$out" "$first"
	at a app nc -w 20 127.0.0.1 81 </dev/null
}

# bats test_tags=vm
@test "a member whose sandbox is of another runtime is refused in words, and nothing is left" {
	husk_only "the other runtime is not"
	RUNTIME_BIN=$(command -v runc) sandbox a
	bundle
	ID=$C-a-web
	p=${SANDBOX[a]}
	run_words -d --null-io --annotation io.kubernetes.cri.container-type=container --annotation "io.kubernetes.cri.sandbox-id=$C-a" \
		--with-ns "network:/proc/$p/ns/net" -- sleep 1000
	must_fail cc run "${WORDS[@]}"
	has "$err" "does not run"
	must cc task rm -f "$C-a"
}
