#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# files: the root file system and volumes behave like the host's own, alone and shared.

# bats file_tags=slow
load lib/common

export BATS_TEST_TIMEOUT=900

# volume DIR [OPTION]: the mount of a directory at /vol
volume() { echo ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$1\", options: [\"rbind\", \"${2:-rw}\"]}]"; }
suite() { cp "$TOOLS/fs_suite" "$B/rootfs/bin/"; }

# The properties that hold, of a run of fs_suite.
held() { sed -n 's/^ok //p' "$1" | sort; }

@test "the suite of file system properties holds on this host, which proves the suite" {
	mkdir "$T/dir"
	must fs_suite "$T/dir"
	lacks "$out" "not ok"
}

@test "the properties that hold on the host hold on a container's root" {
	bundle
	suite
	mkdir "$T/dir"
	fs_suite "$T/dir" >"$T/host" || true
	inside '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_FOWNER"] | unique)' 'SUITE_SECONDS=300 fs_suite /home'
	echo "$out" >"$T/guest"
	lacks "$out" "not ok"
	# device nodes, and trusted attributes of links, are not for a jailed server
	is "$(comm -23 <(held "$T/host") <(held "$T/guest") | grep -vE 'device_nodes|links_have_trusted')" ""
}

# bats test_tags=slow
@test "the properties that hold on the host hold on a volume" {
	bundle
	suite
	mkdir "$T/vol" "$T/dir"
	fs_suite "$T/dir" >"$T/host" || true
	inside "$(volume "$T/vol") | .process.capabilities |= map_values(. + [\"CAP_SYS_ADMIN\", \"CAP_MKNOD\", \"CAP_FOWNER\"] | unique)" 'SUITE_SECONDS=600 fs_suite /vol'
	echo "$out" >"$T/guest"
	lacks "$out" "not ok"
	is "$(comm -23 <(held "$T/host") <(held "$T/guest") | grep -vE 'device_nodes|links_have_trusted')" ""
	is "$(ls -A "$T/vol")" ""
}

@test "what the host changes in a volume is seen, and what the container changes is there" {
	mkdir "$T/vol"
	echo one >"$T/vol/f"
	ln -s f "$T/vol/current"
	container "$(volume "$T/vol")" 'cat /vol/f /vol/current >/vol/first; while [ ! -e /vol/go ]; do sleep 0.1; done
		cat /vol/f /vol/current /vol/new; [ -e /vol/old ] || echo old is gone; stat -c "%u %a" /vol/new; echo done >/vol/answer; sleep 1000'
	echo x >"$T/vol/old"
	launch
	poll 20 test -s "$T/vol/first"
	is "$(<"$T/vol/first")" "one
one"
	echo "two, longer" >"$T/vol/f"
	echo three >"$T/vol/g"
	ln -s g "$T/vol/.tmp" && mv -T "$T/vol/.tmp" "$T/vol/current"
	echo new >"$T/vol/.new" && chown 1000 "$T/vol/.new" && chmod 640 "$T/vol/.new" && mv "$T/vol/.new" "$T/vol/new"
	rm "$T/vol/old"
	touch "$T/vol/go"
	poll 20 test -s "$T/vol/answer"
	is "$(<"$T/stdout")" "two, longer
three
new
old is gone
1000 640"
}

@test "locks and appends work across two containers that share a volume" {
	local k
	mkdir "$T/vol"
	echo 0 >"$T/vol/counter"
	: >"$T/vol/log"
	for k in 1 2; do
		B=$T/bundle$k
		bundle
		suite
		container "$(volume "$T/vol")" 'for i in $(seq 20); do
			( flock 9; read n </vol/counter; echo $((n + 1)) >/vol/counter; echo "line of some length" >>/vol/log ) 9>/vol/lock; done; echo done >/vol/done-$HOSTNAME'
		given ".hostname = \"h$k\""
		cp /bin/busybox "$B/rootfs/bin/flock"
		launch "$C$k" "$B"
	done
	poll 60 test -s "$T/vol/done-h1"
	poll 60 test -s "$T/vol/done-h2"
	is "$(<"$T/vol/counter")" 40
	is "$(grep -c '^line of some length$' "$T/vol/log")" 40
}

@test "an overlay in the container can have its upper directory on the root and on a volume" {
	local at
	mkdir "$T/vol"
	for at in /root /vol; do
		inside "$(volume "$T/vol") | .process.capabilities |= map_values(. + [\"CAP_SYS_ADMIN\", \"CAP_MKNOD\"] | unique)" "
			cd $at && mkdir lower upper work merged lower/d && echo low >lower/f && echo gone >lower/g && echo x >lower/d/x
			mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged || exit 1
			cat merged/f; echo up >merged/f; rm merged/g; rm -r merged/d; mkdir merged/d; echo new >merged/h; mv merged/h merged/d/h
			ls merged merged/d; cat merged/f merged/d/h lower/f; stat -c %F upper/g; umount merged"
		is "$out" "low
merged:
d
f

merged/d:
h
up
new
low
character special file"
	done
}

@test "files deleted on the host while the container has them open can still be read" {
	mkdir "$T/vol"
	echo still here >"$T/vol/f"
	container "$(volume "$T/vol")" 'exec 5</vol/f; echo open >/vol/open; while [ -e /vol/f ]; do sleep 0.1; done; cat <&5 >/vol/read; sleep 1000'
	launch
	poll 20 test -s "$T/vol/open"
	rm "$T/vol/f"
	poll 20 test -s "$T/vol/read"
	is "$(<"$T/vol/read")" "still here"
}
