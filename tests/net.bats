#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Networking as engines do it: interfaces are put into the process's network namespace before start, or while it runs.

# bats file_tags=slow
load lib/common

local_setup() {
	V=v$$x$((RANDOM % 100))
}

local_teardown() {
	local l
	for l in /sys/class/net/"$V"*; do
		ip link del "${l##*/}" 2>/dev/null
	done
	ip netns del "$TOKEN" 2>/dev/null
	return 0
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

# A command in the host-side network namespace of $PID.
within() { nsenter -t "$PID" -n "$@"; }

# A server of netpeer in the background, once it listens: serve [within] ARGS...
serve() {
	local out=$T/serve.$RANDOM cmd=(netpeer)
	if [ "$1" = within ]; then
		cmd=(nsenter -t "$PID" -n netpeer)
		shift
	fi
	background "${cmd[@]}" "$@" >"$out" </dev/null
	poll 20 file_has "$out" ready
}

with_peer() {
	bundle
	cp "$TOOLS/netpeer" "$B/rootfs/bin/"
}

@test "an interface put in between create and start has its name, address, MAC, MTU and route inside" {
	container . 'ip -o link show eth0; ip -o addr show eth0; ip route; cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address; echo end; sleep 1000'
	create
	plug eth0 192.0.2.2/24 02:00:00:aa:bb:cc 1400
	must rt start "$C"
	wait_output '^end' 60
	out=$(<"$T/stdout")
	has "$out" 192.0.2.2/24
	has_line "$out" 1400
	has_line "$out" 02:00:00:aa:bb:cc
	matches "$out" 'default via 192.0.2.1 dev eth0'
}

@test "host and container reach each other through it: ping, TCP both ways, a large transfer" {
	with_peer
	container . 'ping -c 2 -W 5 192.0.2.1 >/dev/null && echo pinged; netpeer echo 0.0.0.0 7777 & netpeer talk 192.0.2.1 7778 3000000; echo end; sleep 1000'
	create
	plug
	serve echo 192.0.2.1 7778
	must rt start "$C"
	wait_output '^end' 60
	has "$(<"$T/stdout")" pinged
	has "$(<"$T/stdout")" "echoed 3000000"
	busybox ping -c 2 -W 5 192.0.2.2 >/dev/null
	is "$(netpeer talk 192.0.2.2 7777 3000000)" "echoed 3000000"
}

# bats test_tags=vm
@test "the host's kernel moves the frames where it has vhost-net" {
	husk_only "it has no frames to move"
	[ -c /dev/vhost-net ] || skip "this host has no vhost-net"
	with_peer
	container . 'netpeer talk 192.0.2.1 7778 300000; echo end; sleep 1000'
	create
	plug
	serve echo 192.0.2.1 7778
	must rt start "$C"
	wait_output "echoed 300000" 60
	vmm=$(vmm_of)
	has "$(ls -l "/proc/$vmm/fd" | grep -o vhost-net)" vhost-net
	has "$(ps axo comm)" "vhost-$vmm"
}

# bats test_tags=vm
@test "with four vCPUs an interface has four queue pairs, all of them carry frames, and nothing is lost" {
	husk_only "queues of a virtual interface"
	with_peer
	given '.annotations["run.husk.vcpus"] = "4"'
	container . 'ls -d /sys/class/net/eth0/queues/rx-* | wc -l
		netpeer echo 0.0.0.0 7777 & for i in 1 2 3 4 5 6; do netpeer talk 192.0.2.1 7778 400000 & done; wait %2 %3 %4 %5 %6 %7; echo end; sleep 1000'
	create
	plug
	serve echo 192.0.2.1 7778
	must rt start "$C"
	wait_output '^end' 120
	is "$(head -n1 "$T/stdout")" 4
	is "$(grep -c '^echoed 400000' "$T/stdout")" 6
	local i talks=()
	for i in 1 2 3 4; do
		netpeer talk 192.0.2.2 7777 400000 >"$T/t$i" 3>&- &
		talks+=($!)
	done
	wait "${talks[@]}"
	is "$(cat "$T"/t[1-4] | grep -c 'echoed 400000')" 4
}

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
	wait_output up 60
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
	wait_output appeared 60
	busybox ping -c 1 -W 5 198.51.100.2 >/dev/null
	ip link del "$V.2"
	wait_output disappeared 60
}

@test "IPv6 addresses and routes are there, and answer" {
	container . 'sleep 1; ip -6 -o addr show eth0; ip -6 route; echo end; sleep 1000'
	create
	plug
	ip -6 addr add fd00:1234::1/64 dev "$V" nodad
	nsenter -t "$PID" -n ip -6 addr add fd00:1234::2/64 dev eth0 nodad
	nsenter -t "$PID" -n ip -6 route add default via fd00:1234::1
	must rt start "$C"
	wait_output '^end' 60
	has "$(<"$T/stdout")" fd00:1234::2/64
	matches "$(<"$T/stdout")" 'default via fd00:1234::1'
	busybox ping -6 -c 1 -W 5 fd00:1234::2 >/dev/null
}

@test "after the container has ended its interfaces are gone from the host" {
	container . 'echo up; sleep 1000'
	create
	plug
	must rt start "$C"
	wait_output up 60
	must rt delete --force "$C"
	poll 5 link_is_gone "$V"
}

link_is_gone() { [ ! -e "/sys/class/net/$1" ]; }

@test "a namespace with nothing but loopback is a container with nothing but loopback, and no error" {
	inside . 'ls /sys/class/net; ip -o addr show lo'
	is "$(sed -n 1p <<<"$out")" lo
	has "$out" 127.0.0.1/8
	lacks "$out" eth
	is "$err" ""
}

@test "the first interface of a container that started without one appears, too" {
	container . 'echo up; while ! ip -o addr show eth0 2>/dev/null | grep -q 192.0.2.2; do sleep 0.2; done; echo appeared; sleep 1000'
	create
	must rt start "$C"
	wait_output up 60
	plug
	wait_output appeared 60
	poll 10 busybox ping -c 1 -W 2 192.0.2.2 >/dev/null
}

@test "the engine's resolver at 127.0.0.11 answers inside by UDP and TCP, and reaches its own upstream" {
	with_peer
	container . 'for i in 1 2 3 4 5; do netpeer lookup udp 127.0.0.11 name$i.test; done; netpeer lookup tcp 127.0.0.11 a.test; echo end; sleep 1000'
	create
	plug
	within ip link set lo up
	serve within resolver 127.0.0.11
	serve echo 192.0.2.1 7101
	must rt start "$C"
	wait_output '^end' 60
	is "$(grep -c '^192.0.2.53$' "$T/stdout")" 6
	is "$(within netpeer talk 192.0.2.1 7101 20000)" "echoed 20000"
	# a port that the container uses stays the container's
	is "$(<"$T/stderr")" ""
}

@test "a container's own server on port 53 of all addresses starts beside the engine's resolver (UDP)" {
	with_peer
	container . 'netpeer udpecho 0.0.0.0 53 & sleep 1; netpeer udptalk 192.0.2.2 53 3; netpeer lookup udp 127.0.0.11 a.test; echo end; sleep 1000'
	create
	plug
	within ip link set lo up
	serve within resolver 127.0.0.11
	must rt start "$C"
	wait_output '^end' 60
	has "$(<"$T/stdout")" "echoed 3"
	has "$(<"$T/stdout")" 192.0.2.53
}

@test "connections to localhost inside the namespace reach the container: IPv4, IPv6, either for the other, large, refused" {
	with_peer
	container . 'netpeer echo 127.0.0.1 8080 & netpeer echo ::1 8081 & sleep 1; echo up; sleep 1000'
	create
	plug
	within ip link set lo up
	must rt start "$C"
	wait_output up 60
	is "$(within netpeer talk 127.0.0.1 8080 2000000)" "echoed 2000000"
	is "$(within netpeer talk ::1 8081 1000)" "echoed 1000"
	is "$(within netpeer talk 127.0.0.1 8080 0)" "echoed 0"
	must_fail within netpeer talk 127.0.0.1 8082 10
	if is_husk; then is "$(within netpeer talk 127.0.0.1 8081 1000)" "echoed 1000"; fi
}

@test "UDP, large TCP transfers both ways and IPv6 arrive intact with MTU 9000 and with 1400" {
	local mtu
	with_peer
	container . 'netpeer echo :: 7000 & netpeer udpecho 0.0.0.0 7001 & sleep 1; netpeer talk 192.0.2.1 7100 2000000; netpeer talk fd00:1234::1 7100 300000; echo end; sleep 1000'
	for mtu in 9000 1400; do
		create "$C-$mtu"
		plug eth0 192.0.2.2/24 02:00:00:11:22:33 $mtu
		ip -6 addr add fd00:1234::1/64 dev "$V" nodad
		within ip -6 addr add fd00:1234::2/64 dev eth0 nodad
		serve echo :: 7100
		must rt start "$C-$mtu"
		wait_output '^end' 60
		has "$(<"$T/stdout")" "echoed 2000000"
		has "$(<"$T/stdout")" "echoed 300000"
		is "$(netpeer talk 192.0.2.2 7000 2000000)" "echoed 2000000"
		is "$(netpeer talk fd00:1234::2 7000 300000)" "echoed 300000"
		is "$(netpeer udptalk 192.0.2.2 7001 50)" "echoed 50"
		kill "$JOB"
		must rt delete --force "$C-$mtu"
		poll 5 no_link "$V"
	done
}

no_link() { [ ! -e "/sys/class/net/$1" ]; }

@test "two containers on a bridge reach each other by their addresses" {
	local one
	with_peer
	container . 'echo up; netpeer echo 0.0.0.0 7000'
	ip link add "$V.b" type bridge
	ip link set "$V.b" up
	create "$C-1"
	one=$PID
	attach "$V.1" 198.51.100.2/24
	must rt start "$C-1"
	cp -a "$B" "$B.2"
	B=$B.2
	container . 'ping -c 2 -W 5 198.51.100.2 >/dev/null && echo pinged; netpeer talk 198.51.100.2 7000 1000000; echo end; sleep 1000'
	given ".linux.cgroupsPath = \"$CG-2\""
	create "$C-2" "$B"
	[ "$one" != "$PID" ]
	attach "$V.2" 198.51.100.3/24
	must rt start "$C-2"
	wait_output '^end' 60
	has "$(<"$T/stdout")" pinged
	has "$(<"$T/stdout")" "echoed 1000000"
}

# attach PORT ADDRESS: eth0 of $PID on the bridge
attach() {
	ip link add "$1" type veth peer name eth0 netns "$PID"
	ip link set "$1" master "$V.b" up
	within ip addr add "$2" dev eth0
	within ip link set eth0 up
}

@test "a host route, an on-link gateway outside of every prefix, a permanent neighbour and other kinds of routes are taken over, and that IPv6 is off" {
	container . 'ip route; ip neigh; ip -6 addr show eth0; echo end; sleep 1000'
	create
	ip link add "$V" type veth peer name eth0 netns "$PID"
	ip link set "$V" up
	within sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'
	within ip addr add 10.1.2.3/32 dev eth0
	within ip link set eth0 up
	within ip route add 169.254.1.1 dev eth0 scope link
	within ip route add default via 169.254.1.1 dev eth0 src 10.1.2.3
	within ip route add 203.0.113.0/24 via 169.254.1.9 dev eth0 onlink metric 50 mtu 1300
	within ip route add blackhole 198.18.0.0/15
	within ip neigh add 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent
	must rt start "$C"
	wait_output '^end' 60
	out=$(<"$T/stdout")
	matches "$out" 'default via 169.254.1.1 dev eth0 +src 10.1.2.3'
	matches "$out" '169.254.1.1 dev eth0 scope link'
	matches "$out" '203.0.113.0/24 via 169.254.1.9 dev eth0.* metric 50'
	matches "$out" 'blackhole 198.18.0.0/15'
	matches "$out" '169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee.* PERMANENT'
	lacks "$out" inet6
}

@test "changes while the container runs follow: default route, address, MTU, neighbour, link down" {
	container . 'echo up; sleep 1000'
	create
	plug
	must rt start "$C"
	wait_output up 60
	within ip addr add 192.0.2.77/24 dev eth0
	within ip link set eth0 mtu 1280
	within ip route replace default via 192.0.2.9
	within ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent
	poll 60 sees 'inet 192.0.2.77/24.*mtu 1280.*default via 192.0.2.9.*192.0.2.9 dev eth0 lladdr 02:00:00:00:00:09'
	within ip link set eth0 mtu 1500
	within ip addr del 192.0.2.77/24 dev eth0
	poll 60 sees 'mtu 1500'
	lacks "$seen" 192.0.2.77
}

# What the container sees on one line, in $seen: does it match?
sees() {
	seen=$(rt exec "$C" sh -c 'ip -o addr show eth0; ip -o link show eth0; ip route; ip neigh' </dev/null | tr '\n' ' ')
	[[ $seen =~ $1 ]]
}

@test "macvlan and ipvlan interfaces work as veth does" {
	local kind
	with_peer
	# the peer of both is a second interface of the same kind in a namespace of its own
	ip link add "$V" type veth peer name "$V.p"
	ip link set "$V" up
	ip link set "$V.p" up
	for kind in "macvlan mode bridge" "ipvlan mode l2"; do
		container . 'echo up; netpeer echo 0.0.0.0 7000'
		create "$C-${kind%% *}"
		ip netns add "$TOKEN"
		# shellcheck disable=SC2086
		ip link add link "$V" name eth0 netns "$PID" type $kind
		# shellcheck disable=SC2086
		ip link add link "$V" name eth0 netns "$TOKEN" type $kind
		within ip addr add 198.51.100.2/24 dev eth0
		within ip link set eth0 up
		ip -n "$TOKEN" addr add 198.51.100.3/24 dev eth0
		ip -n "$TOKEN" link set eth0 up
		must rt start "$C-${kind%% *}"
		wait_output up 60
		poll 20 talks
		must rt delete --force "$C-${kind%% *}"
		ip netns del "$TOKEN"
	done
}

talks() { [ "$(ip netns exec "$TOKEN" netpeer talk 198.51.100.2 7000 500000)" = "echoed 500000" ]; }

@test "several networks are several interfaces by their own names" {
	local n
	container . 'ls /sys/class/net; ip -o addr; echo end; sleep 1000'
	create
	for n in 0 1 2 3; do
		ip link add "$V.$n" type veth peer name "net$n" netns "$PID"
		ip link set "$V.$n" up
		within ip addr add "198.51.$n.2/24" dev "net$n"
		within ip link set "net$n" up
	done
	must rt start "$C"
	wait_output '^end' 60
	for n in 0 1 2 3; do
		matches "$(<"$T/stdout")" "net$n +inet 198.51.$n.2/24"
	done
}

# bats test_tags=vm
@test "more interfaces than the VM has slots are an error at start that says so" {
	local n
	husk_only "slots"
	container . 'sleep 1000'
	create
	for n in 0 1 2 3 4; do
		ip link add "$V.$n" type veth peer name "net$n" netns "$PID"
		within ip link set "net$n" up
	done
	must_fail rt start "$C"
	has "$err" "no free network slot"
	has "$err" net4
}

@test "a namespace that outlives the container is as it was, and serves the next one" {
	ip netns add "$TOKEN"
	ip link add "$V" type veth peer name eth0 netns "$TOKEN"
	ip addr add 192.0.2.1/24 dev "$V"
	ip link set "$V" up
	ip -n "$TOKEN" addr add 192.0.2.2/24 dev eth0
	ip -n "$TOKEN" link set eth0 up
	before=$(ip -n "$TOKEN" -o link | sed 's/qdisc.*//')
	inside "(.linux.namespaces[] | select(.type == \"network\")).path = \"/run/netns/$TOKEN\"" 'ping -c 1 -W 5 192.0.2.1 >/dev/null && echo pinged'
	has_line "$out" pinged
	is "$(ip -n "$TOKEN" -o link | sed 's/qdisc.*//')" "$before"
	is "$(tc -n "$TOKEN" filter show dev eth0 ingress)" ""
	# killed without a chance to tidy up
	launch_in_namespace
	kill -9 "$PID"
	wait_status stopped
	must rt delete "$C"
	is "$(tc -n "$TOKEN" filter show dev eth0 ingress)" ""
	must rt run -b "$B" "$C"
	has_line "$out" pinged
}

launch_in_namespace() {
	container . 'ping -c 1 -W 5 192.0.2.1 >/dev/null && echo pinged; sleep 1000'
	launch
	wait_output pinged 60
	container . 'ping -c 1 -W 5 192.0.2.1 >/dev/null && echo pinged'
}

# bats test_tags=vm
@test "the host's own network namespace is refused by its path" {
	husk_only "its network cannot be shared"
	container '(.linux.namespaces[] | select(.type == "network")).path = "/proc/self/ns/net"' true
	must_fail rt run -b "$B" "$C"
	has "$err" "the host's own"
}
