#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A project of three services as people run them: nginx, an application, Redis with a volume; health checks, load, restart.

# bats file_tags=slow
load lib/clients

LOAD_TIME=${LOAD_TIME:-300}

setup_file() {
	engine_up
	image_debian
	mkdir "$SUITE/site"
	cp "$TESTS/clients/compose/"* "$SUITE/site/"
}

teardown_file() {
	engine_use main
	[ ! -e "$SUITE/site" ] || compose down -v -t 2 >/dev/null 2>&1
}

compose() { (cd "$SUITE/site" && timeout 600 docker-compose -p site "$@" 3>&- 4>&-); }

get() { curl -s -f -m 100 http://127.0.0.1:18180/"${1:-}" 3>&-; }
answers() { [[ $(get) =~ ^:[0-9]+$ ]]; }
count() { get | tr -d ':'; }

@test "up waits for health, service by service, and the site answers" {
	try compose up -d
	[ $rc -eq 0 ] || fail "$err"
	poll 60 answers
	ok ps --format '{{.Names}} {{.Status}}'
	matches "$out" 'site_store_1 .*healthy'
	matches "$out" 'site_app_1 .*healthy'
}

@test "services find each other by name, and only on the networks that they share" {
	ok exec site_app_1 python3 -c 'import socket; socket.create_connection(("store", 6379), 30); socket.gethostbyname("web"); print("found")'
	is "$out" found
	no exec site_web_1 getent hosts store
}

@test "load for some minutes: no request fails, none is counted twice or lost" {
	local before after end=$((SECONDS + LOAD_TIME))
	before=$(count)
	for i in 1 2 3; do
		(
			n=0 bad=0
			while [ $SECONDS -lt $end ]; do
				answers || bad=$((bad + 1))
				n=$((n + 1))
			done
			echo "$n $bad" >"$T/load.$i"
		) &
		JOBS+=($!)
	done
	wait "${JOBS[@]}"
	after=$(count)
	awk '{ n += $1; bad += $2 } END { print n, bad }' "$T"/load.* >"$T/sum"
	read -r n bad <"$T/sum"
	echo "# $n requests in $LOAD_TIME s, $bad failed" >&3
	is "$bad" 0 "failed requests"
	is $((after - before - 1)) "$n" "counted"
}

@test "the store is killed: it comes back by its restart policy with all it had, and the site goes on" {
	local before pid
	before=$(count)
	pid=$(docker inspect -f '{{.State.Pid}}' site_store_1 3>&-)
	kill -9 "$pid"
	poll 120 answers
	after=$(count)
	[ "$after" -gt "$before" ] || fail "$before before, $after after"
}

@test "restart and scale: the web server is made anew, its port answers again" {
	try compose restart -t 2 web
	[ $rc -eq 0 ] || fail "$err"
	poll 60 answers
}

@test "down leaves nothing; the volume keeps its data until it is removed, too" {
	try compose down -t 2
	[ $rc -eq 0 ] || fail "$err"
	ok volume ls -q
	has_line "$out" site_data
	try compose down -v
	ok volume ls -q
	lacks "$out" site_data
	ok network ls
	lacks "$out" site_
	poll 10 engine_clean
}
