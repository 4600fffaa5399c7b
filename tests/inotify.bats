#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# inotify: what the host changes in a volume is told in the container.

# bats file_tags=vm,slow
load lib/common

local_setup() { husk_only "on the host's own kernel inotify needs no help"; }

# A container that watches /vol, /vol/d and /vol/known; `told N` waits until it has printed N events.
watcher() {
	mkdir -p "$T/vol/d"
	echo a >"$T/vol/known"
	echo a >"$T/vol/unknown"
	bundle
	cp "$TOOLS/fsevents" "$B/rootfs/bin/"
	container ".annotations[\"run.husk.inotify\"] = \"true\" | .mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"${1:-rw}\"]}]" \
		'cat /vol/known >/dev/null; (while [ ! -e /vol/.stop ]; do sleep 0.2; done) | fsevents /vol /vol/d /vol/known & wait; sleep 1000'
	launch
	wait_output watching 60
}
told() { poll 30 sh -c "[ \$(wc -l <'$T/stdout') -ge $(($1 + 1)) ]"; }

@test "changes of the host are events in the container, in their order, each once" {
	local v=$T/vol
	watcher
	echo 1 >"$v/new" && told 3
	echo 2 >>"$v/known" && told 7
	chmod 600 "$v/known" && told 9
	mv "$v/new" "$v/newer" && told 11
	rm "$v/unknown" && told 12
	mkdir "$v/sub" && told 13
	ln "$v/newer" "$v/d/newer" && told 14
	mv "$v/newer" "$v/known" && told 18
	rmdir "$v/sub" && told 19
	rm "$v/d/newer" && told 20
	is "$(<"$T/stdout")" "watching
/vol new create
/vol new modify
/vol new close_write
/vol known modify
/vol/known . modify
/vol known close_write
/vol/known . close_write
/vol known attrib
/vol/known . attrib
/vol new from
/vol newer to
/vol unknown delete
/vol sub create dir
/vol/d newer create
/vol newer from
/vol known to
/vol/known . attrib
/vol/known . gone
/vol sub delete dir
/vol/d newer delete"
}

@test "what the container itself changes is told once, and by its own kernel" {
	watcher
	must rt exec "$C" sh -c 'echo x >/vol/own; mv /vol/own /vol/mine; rm /vol/mine'
	touch "$T/vol/last"
	poll 30 file_has "$T/stdout" last
	is "$(grep -E 'own|mine' "$T/stdout")" "/vol own create
/vol own modify
/vol own close_write
/vol own from
/vol mine to
/vol mine delete"
}

@test "a read-only volume is watched as well" {
	watcher ro
	echo 1 >"$T/vol/d/f"
	told 3
	is "$(tail -n3 "$T/stdout")" "/vol/d f create
/vol/d f modify
/vol/d f close_write"
}
