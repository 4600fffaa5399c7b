#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# delete: from every state, twice, by force, and what it must leave alone.

load lib/common

@test "delete of a stopped container removes all of it" {
	container . true
	launch
	wait_status stopped
	must rt delete "$C"
	is "$out$err" ""
	must_fail rt state "$C"
	no_leaks
}

@test "delete of a running container is refused and does it no harm" {
	container . 'sleep 1000'
	launch
	must_fail rt delete "$C"
	has "$err" "that is not stopped: running"
	is "$(status_of)" running
	[ -d "/proc/$PID" ]
}

@test "delete --force ends a running container and removes it" {
	container . 'trap "" TERM; while :; do sleep 1; done'
	launch
	must rt delete --force "$C"
	gone "$PID"
	no_leaks
}

@test "delete of a created container ends and removes it without force" {
	container . true
	create
	must rt delete "$C"
	gone "$PID"
	no_leaks
}

@test "delete of an unknown container says that it does not exist" {
	must_fail rt delete "$C"
	has "$err" "does not exist"
}

@test "delete --force of an unknown container succeeds silently, also under a root that does not exist" {
	must rt delete --force "$C"
	is "$out$err" ""
	ROOT=$T/no/such/root must rt delete -f "$C"
	is "$out$err" ""
}

@test "delete --force twice is fine, plain delete twice is an error" {
	container . true
	launch
	wait_status stopped
	must rt delete "$C"
	must_fail rt delete "$C"
	has "$err" "does not exist"
	must rt delete --force "$C"
	must rt delete --force "$C"
}

@test "delete --force removes a paused container" {
	container . 'while :; do sleep 1; done'
	launch
	must rt pause "$C"
	must rt delete --force "$C"
	gone "$PID"
	no_leaks
}

@test "delete works after the process of the pid file was killed from outside" {
	container . 'sleep 1000'
	launch
	kill -9 "$PID"
	wait_status stopped
	must rt delete "$C"
	no_leaks
}

@test "after delete the root file system can be unmounted at once" {
	bundle
	mkdir -p "$T/lower" "$T/upper" "$T/work"
	mv "$B/rootfs" "$T/lower/rootfs"
	mkdir "$B/rootfs"
	mount -t overlay overlay -o "lowerdir=$T/lower/rootfs,upperdir=$T/upper,workdir=$T/work" "$B/rootfs"
	container . 'echo written >/written; sleep 1000'
	launch
	poll 20 file_has "$T/upper/written" written
	must rt kill "$C" KILL
	wait_status stopped
	must rt delete "$C"
	umount "$B/rootfs"
	is "$(<"$T/upper/written")" written
}

@test "after delete a volume's mount can be unmounted at once" {
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rw\"]}]" 'echo x >/vol/f; sync; sleep 1000'
	mkdir "$T/vol"
	mount -t tmpfs none "$T/vol"
	launch
	poll 20 file_has "$T/vol/f" x
	must rt delete --force "$C"
	umount "$T/vol"
}

@test "delete removes only its own container" {
	container . 'sleep 1000'
	launch
	first=$PID
	B=$T/second
	container . 'sleep 1000'
	launch "$C-2" "$B"
	must rt delete --force "$C-2"
	[ -d "/proc/$first" ]
	is "$(status_of)" running
	is "$(ls "$ROOT")" "$C"
}

@test "delete leaves the bundle as it was" {
	container . 'touch /made'
	cp "$B/config.json" "$T/config.json"
	launch
	wait_status stopped
	must rt delete "$C"
	is "$(ls -A "$B")" "config.json
rootfs"
	cmp "$B/config.json" "$T/config.json"
	[ -e "$B/rootfs/made" ]
}
