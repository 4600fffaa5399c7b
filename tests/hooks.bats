#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Hooks: each at its time, in its order, with the state on stdin, and with its failure taken seriously.

load lib/common

local_setup() {
	# a hook notes its name, its environment, its directory, and what state it read
	cat >"$T/hook" <<-'END'
		#!/bin/bash
		state=$(cat)
		s() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" <<<"$state" | head -n1; }
		echo "$1 status=$(s status) pid=$(s pid) id=$(s id) bundle=$(s bundle)" >>"$2"
		echo "$state" >"$2.$1.state"
		env >"$2.$1.env"
		pwd >"$2.$1.pwd"
		tr '\0' '\n' <"/proc/$$/cmdline" >"$2.$1.args"
		[ -z "$3" ] || [ "$4" = hang ] || sleep "$3"
		[ "$4" != hang ] || exec sleep "$3"
		exit "${4:-0}"
	END
	chmod 755 "$T/hook"
}

# runc 1.1 runs poststart hooks at the end of create, gives its own environment to hooks that have none, and stops at the
# first poststop hook that fails.
new_hooks() { [ "$RUNTIME_KIND" = husk ]; }

# hook KIND [NAME [SLEEP [STATUS [TIMEOUT]]]]
hook() {
	given ".hooks[\$kind] += [{path: \"$T/hook\", args: [\"hook\", \$name, \"$T/log\", \"${3:-}\", \"${4:-}\"], env: [\"HOOK=\" + \$name]} ${5:+| .timeout = $5}]" \
		--arg kind "$1" --arg name "${2:-$1}"
}

log() { cut -d' ' -f1 "$T/log" 2>/dev/null | tr '\n' ' '; }

@test "host hooks run in the specification's order, each in its phase" {
	container . 'sleep 1000'
	for k in poststop poststart createContainer createRuntime prestart; do hook $k; done
	create
	if new_hooks; then is "$(log)" "prestart createRuntime createContainer "; fi
	must rt start "$C"
	is "$(log)" "prestart createRuntime createContainer poststart "
	must rt kill "$C" KILL
	wait_status stopped
	is "$(log)" "prestart createRuntime createContainer poststart "
	must rt delete "$C"
	is "$(log)" "prestart createRuntime createContainer poststart poststop "
}

@test "hooks of one kind run in their listed order, one after the other" {
	container . true
	hook prestart a 0.3
	hook prestart b
	hook prestart c
	hook poststop x
	hook poststop y
	must rt run -b "$B" "$C"
	is "$(log)" "a b c x y "
}

@test "each hook reads the state of its moment: status, pid, id and bundle" {
	container '.annotations = {"org.example.k": "v"}' 'sleep 1000'
	for k in prestart createRuntime createContainer poststart poststop; do hook $k; done
	create
	must rt start "$C"
	must rt kill "$C" KILL
	wait_status stopped
	must rt delete "$C"
	has_line "$(<"$T/log")" "prestart status=creating pid=$PID id=$C bundle=$B"
	has_line "$(<"$T/log")" "createRuntime status=creating pid=$PID id=$C bundle=$B"
	has "$(<"$T/log")" "createContainer status=creat"
	if new_hooks; then has_line "$(<"$T/log")" "poststart status=running pid=$PID id=$C bundle=$B"; fi
	matches "$(<"$T/log")" "poststop status=stopped pid=0? id=$C bundle=$B"
	for k in prestart createRuntime createContainer poststart poststop; do
		jq -e '.ociVersion and .id and .status and .bundle and (.annotations["org.example.k"] == "v")' "$T/log.$k.state" >/dev/null || fail "state of $k"
	done
}

@test "a hook's environment and arguments are exactly those given, its directory is the bundle" {
	container . true
	hook createRuntime
	given '.hooks.prestart = [.hooks.createRuntime[0] | .args[1] = "prestart" | .args += ["a b", ""] | del(.env)]'
	must env LEAKED=1 "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	is "$(grep -Ev '^(_|PWD|SHLVL|OLDPWD)=' "$T/log.createRuntime.env")" HOOK=createRuntime
	if new_hooks; then is "$(grep -Ev '^(_|PWD|SHLVL|OLDPWD)=' "$T/log.prestart.env" || true)" ""; fi
	is "$(<"$T/log.createRuntime.pwd")" "$B"
	has "$(<"$T/log.prestart.args")" "a b"
}

@test "a network namespace is there for prestart and createRuntime hooks, and what they put in it stays" {
	container . 'ip addr show dev hooked'
	cat >"$T/nethook" <<-END
		#!/bin/bash
		PATH=/usr/sbin:/usr/bin:/sbin:/bin
		pid=\$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
		ip link add hooked netns "\$pid" type veth peer name hk$$ || exit
		ip link set hk$$ up
		nsenter -t "\$pid" -n ip addr add 192.0.2.9/24 dev hooked
		nsenter -t "\$pid" -n ip link set hooked up
	END
	chmod 755 "$T/nethook"
	given ".hooks.prestart = [{path: \"$T/nethook\"}]"
	must rt run -b "$B" "$C"
	has "$out" 192.0.2.9/24
	poll 5 link_is_gone "hk$$"
}

link_is_gone() { [ ! -e "/sys/class/net/$1" ]; }

@test "startContainer hooks run inside the container, after start was asked and before the program" {
	container '.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "cat >/hook.state; inside facts >/hook.facts; echo hook >>/order"]}]' 'echo program >>/order'
	create
	[ ! -e "$B/rootfs/hook.facts" ]
	must rt start "$C"
	wait_status stopped
	is "$(<"$B/rootfs/order")" "hook
program"
	has_line "$(<"$B/rootfs/hook.facts")" hostname=bats
	is "$(jq -r '.id' "$B/rootfs/hook.state")" "$C"
	is "$(jq -r '.status' "$B/rootfs/hook.state")" created
}

@test "a failing prestart or createRuntime hook fails create with its status in the message, and nothing stays" {
	for k in prestart createRuntime; do
		rm -rf "$B"
		container . 'touch /ran'
		hook $k $k "" 7
		must_fail rt create -b "$B" "$C"
		has "$err" "exit status 7"
		try rt delete --force "$C"
		no_leaks
		[ ! -e "$B/rootfs/ran" ]
	done
}

@test "a failing createContainer hook fails create, and nothing stays" {
	container . 'touch /ran'
	hook createContainer createContainer "" 7
	must_fail rt create -b "$B" "$C"
	try rt delete --force "$C"
	no_leaks
}

@test "a failing startContainer hook fails start or the program never runs" {
	container '.hooks.startContainer = [{path: "/bin/false"}]' 'touch /ran'
	create
	try rt start "$C"
	if is_husk; then [ $rc -ne 0 ]; fi
	wait_status stopped
	[ ! -e "$B/rootfs/ran" ]
}

@test "a failing poststart hook fails start and ends the container" {
	container . 'sleep 1000'
	hook poststart poststart "" 7
	try rt create -b "$B" "$C"
	if new_hooks; then is "$rc" 0; fi
	if [ $rc -eq 0 ]; then must_fail rt start "$C"; fi
	has "$err" "exit status 7"
	poll 20 not_alive
}

not_alive() { [[ $(status_of) == @(stopped|unknown) ]]; }

@test "a failing poststop hook does not keep delete from succeeding, nor the next hook from running" {
	container . true
	hook poststop a "" 7
	hook poststop b
	launch
	wait_status stopped
	must rt delete "$C"
	if new_hooks; then is "$(log)" "a b "; else has "$(log)" "a "; fi
	no_leaks
}

@test "a hook that outlives its timeout is killed and fails create" {
	container . 'touch /ran'
	hook prestart slow 100 hang 1
	before=$SECONDS
	must_fail rt create -b "$B" "$C"
	[ $((SECONDS - before)) -lt 30 ]
	try rt delete --force "$C"
	no_leaks
}

@test "a hook that does not exist fails create with the path in the message" {
	container '.hooks.prestart = [{path: "/no/such/hook"}]' true
	must_fail rt create -b "$B" "$C"
	has "$err" "/no/such/hook"
	try rt delete --force "$C"
	no_leaks
}

@test "a hook that does not read its stdin, and one that reads all, both pass" {
	container '.hooks.prestart = [{path: "/bin/true"}, {path: "/bin/cat"}]' 'echo ran'
	must rt run -b "$B" "$C"
	has "$out" ran
}

@test "delete --force of a container whose hooks failed runs poststop hooks at most once" {
	container . true
	hook prestart prestart "" 7
	hook poststop
	must_fail rt create -b "$B" "$C"
	must rt delete --force "$C"
	[ "$(grep -c poststop "$T/log" || true)" -le 1 ]
}
