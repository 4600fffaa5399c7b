#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Docker's networks: bridge, user-defined with its resolver, ports, live connect and disconnect, IPv6, macvlan, ipvlan.

load lib/clients

setup_file() {
	engine_up
	# a program that answers: netpeer is static
	cp "$HUSK_TEST_TOOLS/netpeer" "$SUITE/netpeer"
}

# interfaces of the host and a network namespace that a case makes, for when it fails midway
local_setup() { LINKS=() PEER=''; }
local_teardown() {
	local l
	for l in "${LINKS[@]}"; do [ ! -e "/sys/class/net/$l" ] || ip link del "$l"; done
	[ ! -e "/run/netns/${PEER:-none}" ] || ip netns del "$PEER"
}

peer() { echo "-v $SUITE/netpeer:/bin/netpeer:ro"; }

# served NAME: netpeer in it says that it listens
served() { wait_log "$1" ready; }

# The default bridge does not always tell its own.
gateway() {
	if [ "$1" = bridge ]; then
		ip -4 -o addr show docker0 | sed -n 's,.* inet \([0-9.]*\)/.*,\1,p'
	else
		docker network inspect -f '{{range .IPAM.Config}}{{.Gateway}} {{end}}' "$1" 3>&- | tr ' ' '\n' | grep -m1 '\.'
	fi
}
address() { docker inspect -f "{{(index .NetworkSettings.Networks \"${2:-bridge}\").IPAddress}}" "$N-$1" 3>&-; }

# bats test_tags=quick
@test "bridge: address, route, MAC and name as the engine gave them; the gateway answers; bytes go both ways" {
	# shellcheck disable=SC2046
	up c $(peer) box sh -c 'netpeer echo 0.0.0.0 7777'
	served c
	ip=$(address c)
	mac=$(inspect c '{{.NetworkSettings.MacAddress}}')
	gw=$(gateway bridge)
	on c "ip -o addr show eth0; cat /sys/class/net/eth0/address; ip route; ping -c 1 -W 5 $gw >/dev/null && echo pinged"
	has "$out" "$ip/16"
	has_line "$out" "$mac"
	has "$out" "default via $gw dev eth0"
	has_line "$out" pinged
	is "$(timeout 30 netpeer talk "$ip" 7777 1000000 3>&-)" "echoed 1000000"
	timeout 60 netpeer echo "$gw" 7778 >"$T/echo" 3>&- &
	JOBS+=($!)
	poll 10 file_has "$T/echo" ready
	on c "netpeer talk $gw 7778 1000000"
	is "$out" "echoed 1000000"
}

@test "two containers on the default bridge reach each other by address, --link adds the name" {
	# shellcheck disable=SC2046
	up a $(peer) box sh -c 'netpeer echo 0.0.0.0 7777'
	served a
	# shellcheck disable=SC2046
	box $(peer) --link "$N-a:server" -- "netpeer talk $(address a) 7777 100000; ping -c 1 -W 5 server >/dev/null && echo by-name; env | grep -c SERVER_NAME"
	has_line "$out" "echoed 100000"
	has_line "$out" by-name
}

# bats test_tags=quick
@test "published ports: TCP on all addresses, on localhost only, UDP, and one that the engine chose" {
	# shellcheck disable=SC2046
	up c $(peer) -p 18080:7777 -p 127.0.0.1:18081:7777 -p 18082:7778/udp -p 7777 box sh -c 'netpeer udpecho 0.0.0.0 7778 & netpeer echo 0.0.0.0 7777'
	served c
	is "$(timeout 30 netpeer talk 127.0.0.1 18080 10000 3>&-)" "echoed 10000"
	is "$(timeout 30 netpeer talk 127.0.0.1 18081 10000 3>&-)" "echoed 10000"
	is "$(timeout 30 netpeer talk "$(gateway bridge)" 18080 10000 3>&-)" "echoed 10000"
	timeout 10 netpeer talk "$(gateway bridge)" 18081 10 3>&- && fail "the port of localhost answers elsewhere"
	has "$(timeout 30 netpeer udptalk 127.0.0.1 18082 3 3>&-)" 3
	ok port "$N-c" 7777
	port=$(sed -n 's/^0.0.0.0://p' <<<"$out" | grep -v 1808)
	is "$(timeout 30 netpeer talk 127.0.0.1 "$port" 10000 3>&-)" "echoed 10000"
}

# bats test_tags=quick
@test "a user-defined network: the engine's resolver answers names, aliases and reverse; foreign names are refused in time" {
	net n
	# shellcheck disable=SC2046
	up a $(peer) --network "$N-n" --network-alias db box sh -c 'netpeer echo 0.0.0.0 7777'
	served a
	ip=$(address a "$N-n")
	# shellcheck disable=SC2046
	up b $(peer) --network "$N-n" box sleep 1000
	on b "cat /etc/resolv.conf; nslookup $N-a; nslookup db 127.0.0.11; nslookup $ip; netpeer lookup tcp 127.0.0.11 db; netpeer talk $ip 7777 1000"
	has "$out" 'nameserver 127.0.0.11'
	[ "$(grep -c "Address.*$ip\$" <<<"$out")" -ge 2 ] || fail "$out"
	has "$out" "name = $N-a.$N-n"
	has_line "$out" "$ip"
	has_line "$out" "echoed 1000"
	no exec "$N-b" timeout 30 nslookup no-such-host-here
}

@test "a name server of its own on port 53 of all addresses works beside the engine's resolver" {
	net n
	# shellcheck disable=SC2046
	up dns $(peer) --network "$N-n" box sh -c 'netpeer resolver 0.0.0.0'
	served dns
	# shellcheck disable=SC2046
	up b $(peer) --network "$N-n" box sleep 1000
	ip=$(address dns "$N-n")
	on b "netpeer lookup udp $ip example.org; netpeer lookup tcp $ip example.org"
	is "$out" $'192.0.2.53\n192.0.2.53'
	on dns "netpeer lookup udp 127.0.0.11 $N-b; netpeer lookup tcp 127.0.0.11 $N-b"
	is "$out" "$(address b "$N-n")"$'\n'"$(address b "$N-n")"
}

@test "networks are connected and disconnected while the container runs; the first one stays" {
	net one
	net two --subnet 172.31.77.0/24
	# shellcheck disable=SC2046
	up s $(peer) --network "$N-two" box sh -c 'netpeer echo 0.0.0.0 7777'
	# shellcheck disable=SC2046
	up c $(peer) --network "$N-one" box sleep 1000
	served s
	no exec "$N-c" timeout 5 nslookup "$N-s"
	ok network connect --ip 172.31.77.99 --alias late "$N-two" "$N-c"
	poll 20 docker exec "$N-c" sh -c 'ip -o addr show eth1 | grep -q 172.31.77.99/24'
	on c "netpeer talk $(address s "$N-two") 7777 1000; nslookup $N-s | grep -c $(address s "$N-two")"
	has_line "$out" 'echoed 1000'
	on s 'nslookup late'
	has "$out" 172.31.77.99
	ok network disconnect "$N-two" "$N-c"
	gone_inside() { ! docker exec "$N-c" ip link show eth1 >/dev/null 2>&1 3>&-; }
	poll 20 gone_inside
	on c "ping -c 1 -W 5 $(gateway "$N-one") >/dev/null && echo first-stays"
	is "$out" first-stays
}

@test "disconnected from its only network and connected again" {
	net n
	up c --network "$N-n" box sleep 1000
	ok network disconnect "$N-n" "$N-c"
	gone_inside() { ! docker exec "$N-c" ip link show eth0 >/dev/null 2>&1 3>&-; }
	poll 20 gone_inside
	ok network connect "$N-n" "$N-c"
	poll 20 docker exec "$N-c" ping -c 1 -W 3 "$(gateway "$N-n")"
}

@test "a given address and MAC, the network's MTU, extra hosts" {
	net n --subnet 172.31.78.0/24 -o com.docker.network.driver.mtu=1400
	up c --network "$N-n" --ip 172.31.78.42 --mac-address 02:11:22:33:44:55 --add-host x:192.0.2.1 box sleep 1000
	on c 'ip -o addr show eth0; cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address; grep -c x /etc/hosts; ping -c 1 -W 5 -s 1350 172.31.78.1 >/dev/null && echo pinged'
	has "$out" 172.31.78.42/24
	for l in 1400 02:11:22:33:44:55 pinged; do has_line "$out" "$l"; done
}

@test "IPv6: address, route, both ways" {
	net n --ipv6 --subnet fd00:77::/64 --subnet 172.31.79.0/24
	# shellcheck disable=SC2046
	up c $(peer) --network "$N-n" box sh -c 'netpeer echo :: 7777 || netpeer echo 0.0.0.0 7777'
	ip=$(docker inspect -f "{{(index .NetworkSettings.Networks \"$N-n\").GlobalIPv6Address}}" "$N-c" 3>&-)
	on c 'ip -6 -o addr show eth0; ip -6 route; ping -6 -c 1 -W 5 fd00:77::1 >/dev/null && echo pinged'
	has "$out" "$ip/64"
	matches "$out" 'default via fd00:77::1'
	has_line "$out" pinged
	busybox ping -6 -c 1 -W 5 "$ip" >/dev/null
}

@test "none: loopback alone; an internal network reaches its own members" {
	box --network none -- 'ls /sys/class/net; ping -c 1 -W 2 127.0.0.1 >/dev/null && echo lo-answers'
	is "$out" $'lo\nlo-answers'
	net n --internal
	up a --network "$N-n" box sleep 1000
	box --network "$N-n" -- "ping -c 1 -W 5 $N-a >/dev/null && echo reached"
	is "$out" reached
}

@test "--network host: the host's own network, or a clear refusal" {
	if is_husk; then
		no run --rm --network host box true
		has "$err" network
		has "$err" host
	else
		box --network host -- 'ls /sys/class/net'
		has "$out" docker0
	fi
}

@test "--network container:X: one network for both, or a clear refusal; the first container keeps its own" {
	# shellcheck disable=SC2046
	up a $(peer) box sh -c 'netpeer echo 127.0.0.1 7777'
	served a
	# shellcheck disable=SC2046
	dk run --rm --network "container:$N-a" $(peer) box sh -c 'netpeer talk 127.0.0.1 7777 1000; ip -o addr show eth0'
	if [ $rc -eq 0 ]; then
		has_line "$out" 'echoed 1000'
		has "$out" "$(address a)"
	else
		is_husk
		has "$err" network
	fi
	on a "ping -c 1 -W 5 $(gateway bridge) >/dev/null && echo still"
	is "$out" still
}

@test "macvlan on an interface of the host: the container is a station of its own there" {
	p=mv${RANDOM}p q=mv${RANDOM}q
	ip link add "$p" type veth peer name "$q"
	LINKS+=("$p")
	ip link set "$p" up
	ip link set "$q" up
	ip addr add 172.31.81.1/24 dev "$q"
	net mv -d macvlan --subnet 172.31.81.0/24 -o parent="$p"
	# shellcheck disable=SC2046
	up c $(peer) --network "$N-mv" --ip 172.31.81.9 box sh -c 'netpeer echo 0.0.0.0 7777'
	served c
	on c 'ping -c 1 -W 5 172.31.81.1 >/dev/null && echo pinged; ip -o addr show eth0'
	has_line "$out" pinged
	is "$(timeout 30 netpeer talk 172.31.81.9 7777 100000 3>&-)" "echoed 100000"
	ok rm -f "$N-c"
	ok network rm "$N-mv"
	ip link del "$p"
}

@test "ipvlan, layer 2 and layer 3: addresses beside the parent's own" {
	N2=iv$RANDOM
	# a machine of its own: in layer 3 the host itself asks for it by ARP, and would not answer itself
	PEER=$N2
	ip netns add "$PEER"
	ip link add "${N2}p" type veth peer name "${N2}q" netns "$PEER"
	LINKS+=("${N2}p")
	ip addr add 172.31.82.2/24 dev "${N2}p"
	ip link set "${N2}p" up
	ip -n "$PEER" addr add 172.31.82.1/24 dev "${N2}q"
	ip -n "$PEER" link set "${N2}q" up
	net l2 -d ipvlan --subnet 172.31.82.0/24 -o parent="${N2}p" -o ipvlan_mode=l2
	# shellcheck disable=SC2046
	up c $(peer) --network "$N-l2" --ip 172.31.82.9 box sh -c 'netpeer echo 0.0.0.0 7777'
	served c
	on c 'ping -c 1 -W 5 172.31.82.1 >/dev/null && echo pinged'
	has_line "$out" pinged
	is "$(timeout 30 ip netns exec "$PEER" netpeer talk 172.31.82.9 7777 100000 3>&-)" "echoed 100000"
	ok rm -f "$N-c"
	ok network rm "$N-l2"
	net l3 -d ipvlan --subnet 172.31.83.0/24 -o parent="${N2}p" -o ipvlan_mode=l3
	# nobody answers ARP there: that is what layer 3 means
	ip -n "$PEER" route add 172.31.83.0/24 dev "${N2}q"
	ip -n "$PEER" neigh add 172.31.83.9 lladdr "$(cat "/sys/class/net/${N2}p/address")" dev "${N2}q" nud permanent
	up d --network "$N-l3" --ip 172.31.83.9 box sleep 1000
	on d 'ping -c 1 -W 5 172.31.82.1 >/dev/null && echo pinged'
	has_line "$out" pinged
	ok rm -f "$N-d"
	ok network rm "$N-l3"
	ip link del "${N2}p"
	ip netns del "$PEER"
}

@test "a listener of the container is the container's: the host's ports and localhost are others" {
	timeout 60 netpeer echo 127.0.0.1 7790 >"$T/echo" 3>&- &
	JOBS+=($!)
	poll 10 file_has "$T/echo" ready
	# shellcheck disable=SC2046
	no run --rm $(peer) box sh -c 'netpeer talk 127.0.0.1 7790 10'
}

@test "rules and routes that a container with NET_ADMIN makes are its own" {
	box --cap-add NET_ADMIN -- 'ip route add 198.51.100.0/24 via $(ip route | sed -n "s/default via \([^ ]*\).*/\1/p") && ip route; ip link add d0 type dummy && ip link set d0 up && echo made'
	has "$out" 198.51.100.0/24
	has_line "$out" made
	lacks "$(ip route)" 198.51.100.0
}

@test "restart keeps the address and the ports, on the default and on a user-defined network" {
	net n --subnet 172.31.84.0/24
	# shellcheck disable=SC2046
	up c $(peer) --network "$N-n" --ip 172.31.84.7 -p 18090:7777 box sh -c 'netpeer echo 0.0.0.0 7777'
	served c
	ok restart -t 0 "$N-c"
	answers() { [ "$(timeout 20 netpeer talk 127.0.0.1 18090 1000 2>/dev/null 3>&-)" = "echoed 1000" ]; }
	poll 40 answers
	on c 'ip -o addr show eth0'
	has "$out" 172.31.84.7/24
}

@test "containers of one network that may not talk to each other do not" {
	net n -o com.docker.network.bridge.enable_icc=false
	up a --network "$N-n" box sleep 1000
	up b --network "$N-n" box sleep 1000
	no exec "$N-b" ping -c 1 -W 2 "$(address a "$N-n")"
	on b "ping -c 1 -W 5 $(gateway "$N-n") >/dev/null && echo gateway"
	is "$out" gateway
}

# bats test_tags=slow
@test "many connections at once through a published port all answer" {
	up c -p 18091:80 box sh -c 'mkdir /www; echo page >/www/index.html; httpd -f -p 80 -h /www'
	answers() { [ "$(curl -s -m 5 http://127.0.0.1:18091/ 3>&-)" = page ]; }
	poll 30 answers
	seq 60 | xargs -P 12 -I{} curl -s -m 60 http://127.0.0.1:18091/ >"$T/pages" 3>&-
	is "$(grep -c page "$T/pages")" 60
}

@test "after all these cases nothing of them is left on the host" {
	poll 10 engine_clean
}
