#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Networking as engines do it: interfaces are put into the process's network namespace before start, or while it runs.

load lib/common

local_setup() {
	V=v$$x$((RANDOM % 100))
}

local_teardown() {
	ip link del "$V" 2>/dev/null
	ip link del "$V.2" 2>/dev/null
	ip netns del "$TOKEN" 2>/dev/null
}

# plug [NAME [ADDRESS [MAC [MTU]]]]: a veth pair: $V here, eth0 in the namespace of $PID
plug() {
	local name=${1:-eth0} addr=${2:-192.0.2.2/24} mac=${3:-02:00:00:11:22:33} mtu=${4:-1500}
	ip link add "$V" mtu "$mtu" type veth peer name "$name" address "$mac" mtu "$mtu" netns "$PID"
	ip addr add 192.0.2.1/24 dev "$V"
	ip link set "$V" up
	nsenter -t "$PID" -n ip addr add "$addr" dev "$name"
	nsenter -t "$PID" -n ip link set "$name" up
	nsenter -t "$PID" -n ip route add default via 192.0.2.1
}

@test "an interface put in between create and start has its name, address, MAC, MTU and route inside" {
	container . 'ip -o link show eth0; ip -o addr show eth0; ip route; cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address; echo end; sleep 1000'
	create
	plug eth0 192.0.2.2/24 02:00:00:aa:bb:cc 1400
	must rt start "$C"
	wait_output '^end'
	out=$(<"$T/stdout")
	has "$out" 192.0.2.2/24
	has_line "$out" 1400
	has_line "$out" 02:00:00:aa:bb:cc
	matches "$out" 'default via 192.0.2.1 dev eth0'
}

@test "host and container reach each other through it: ping, TCP both ways, a large transfer" {
	container . 'ping -c 2 -W 5 192.0.2.1 >/dev/null && echo pinged; nc -l -p 7777 >/got; wc -c </got; nc 192.0.2.1 7778 </got; echo sent; sleep 1000'
	create
	plug
	must rt start "$C"
	wait_output pinged
	busybox ping -c 2 -W 5 192.0.2.2 >/dev/null
	background busybox nc -l -p 7778 -s 192.0.2.1 </dev/null >"$T/back"
	poll 10 send_into 192.0.2.2 7777
	wait_output sent
	poll 10 gone "$JOB"
	is "$(stream drain <"$T/back")" "drain=ok bytes=3000000"
}

send_into() { stream spew 3000000 | timeout 20 busybox nc "$1" "$2"; }

@test "an interface in a given network namespace, as podman and CRI prepare it, is there from the first moment" {
	ip netns add "$TOKEN"
	ip link add "$V" type veth peer name eth0 netns "$TOKEN"
	ip addr add 192.0.2.1/24 dev "$V"
	ip link set "$V" up
	ip -n "$TOKEN" addr add 192.0.2.2/24 dev eth0
	ip -n "$TOKEN" link set eth0 up
	ip -n "$TOKEN" link set lo up
	inside "(.linux.namespaces[] | select(.type == \"network\")).path = \"/run/netns/$TOKEN\"" 'ip -o addr show eth0; ping -c 1 -W 5 192.0.2.1 >/dev/null && echo pinged'
	has "$out" 192.0.2.2/24
	has_line "$out" pinged
	# what the engine made is untouched
	has "$(ip -n "$TOKEN" -o addr show eth0)" 192.0.2.2/24
}

@test "the engine's interface keeps its name, address and MAC on the host's side while the container runs" {
	container . 'echo up; sleep 1000'
	create
	plug eth0 192.0.2.2/24 02:00:00:aa:bb:cc
	must rt start "$C"
	wait_output up
	out=$(nsenter -t "$PID" -n ip addr show eth0)
	has "$out" 192.0.2.2/24
	has "$out" 02:00:00:aa:bb:cc
}

@test "an interface added while the container runs appears, one taken away disappears" {
	container . 'ip link | grep -c eth1; while ! ip -o addr show eth1 2>/dev/null | grep -q 198.51.100.2; do sleep 0.2; done; echo appeared; while ip link show eth1 >/dev/null 2>&1; do sleep 0.2; done; echo disappeared; sleep 1000'
	create
	plug
	must rt start "$C"
	wait_output 0
	ip link add "$V.2" type veth peer name eth1 netns "$PID"
	ip addr add 198.51.100.1/24 dev "$V.2"
	ip link set "$V.2" up
	nsenter -t "$PID" -n ip addr add 198.51.100.2/24 dev eth1
	nsenter -t "$PID" -n ip link set eth1 up
	wait_output appeared
	busybox ping -c 1 -W 5 198.51.100.2 >/dev/null
	ip link del "$V.2"
	wait_output disappeared
}

@test "IPv6 addresses and routes are there, and answer" {
	container . 'sleep 1; ip -6 -o addr show eth0; ip -6 route; echo end; sleep 1000'
	create
	plug
	ip -6 addr add fd00:1234::1/64 dev "$V" nodad
	nsenter -t "$PID" -n ip -6 addr add fd00:1234::2/64 dev eth0 nodad
	nsenter -t "$PID" -n ip -6 route add default via fd00:1234::1
	must rt start "$C"
	wait_output '^end'
	has "$(<"$T/stdout")" fd00:1234::2/64
	matches "$(<"$T/stdout")" 'default via fd00:1234::1'
	busybox ping -6 -c 1 -W 5 fd00:1234::2 >/dev/null
}

@test "after the container has ended its interfaces are gone and nothing else is changed" {
	before=$(ls /sys/class/net | sort)
	container . 'echo up; sleep 1000'
	create
	plug
	must rt start "$C"
	wait_output up
	must rt delete --force "$C"
	poll 5 same_links
}

same_links() { [ "$(ls /sys/class/net | sort)" = "$before" ]; }
