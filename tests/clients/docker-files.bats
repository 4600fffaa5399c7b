#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Files between host and container as Docker's users have them: volumes, single files, tmpfs, sockets, cp, ownership.

load lib/clients

setup_file() { engine_up; }

# bats test_tags=quick
@test "a bound directory: both sides see at once what the other writes, renames, links and removes" {
	mkdir "$T/v"
	echo from-host >"$T/v/a"
	up c -v "$T/v:/v" box sleep 1000
	on c 'cat /v/a; echo from-container >/v/b; mv /v/a /v/c; ln /v/b /v/d; ln -s b /v/e; mkdir -p /v/x/y'
	is "$out" from-host
	is "$(<"$T/v/b")$(<"$T/v/e")" from-containerfrom-container
	[ ! -e "$T/v/a" ] && [ -d "$T/v/x/y" ] && [ "$T/v/b" -ef "$T/v/d" ]
	echo changed >"$T/v/b"
	echo new >"$T/v/new"
	rm "$T/v/c"
	rmdir "$T/v/x/y"
	on c 'cat /v/b /v/new; ls /v/c 2>&1; ls /v/x | wc -l'
	has_line "$out" changed
	has_line "$out" new
	has "$out" 'No such file'
	has_line "$out" 0
}

@test "a read-only bind cannot be written, not even by a privileged container that mounts it anew" {
	mkdir "$T/v"
	echo kept >"$T/v/a"
	box --privileged -v "$T/v:/v:ro" -- '(echo x >/v/a) 2>&1; touch /v/b 2>&1; mount -o remount,rw,bind /v 2>&1; cat /v/a; grep " /v " /proc/mounts'
	has "$out" 'Read-only file system'
	has_line "$out" kept
	is_husk || return 0
	# a container with its own kernel may remount; the host's side stays read-only
	box --privileged -v "$T/v:/v:ro" -- 'mount -o remount,rw,bind /v; echo x >/v/a 2>/dev/null; rm -f /v/a 2>/dev/null; true'
	is "$(<"$T/v/a")" kept
}

@test "one file: written in place it is seen inside, read-only holds, its neighbours are not there" {
	mkdir "$T/d"
	echo one >"$T/d/f"
	echo secret >"$T/d/other"
	up c -v "$T/d/f:/etc/f" -v "$T/d/other:/ro:ro" box sleep 1000
	on c 'cat /etc/f; ls /etc; (echo x >/ro) 2>&1; true'
	has_line "$out" one
	lacks "$out" other
	has "$out" 'Read-only file system'
	echo two-longer >"$T/d/f"
	on c 'cat /etc/f; echo three >/etc/f'
	is "$out" two-longer
	is "$(<"$T/d/f")" three
}

@test "missing sources: -v makes the directory, --mount refuses" {
	box -v "$T/made:/v" -- 'touch /v/x'
	[ -e "$T/made/x" ]
	no run --rm --mount "type=bind,src=$T/none,dst=/v" box true
	has "$err" 'does not exist'
}

# bats test_tags=quick
@test "a named volume shared by two running containers, locks and appends included" {
	volume v
	up a -v "$N-v:/data" box sh -c 'for i in $(seq 40); do echo "a$i" >>/data/log; usleep 20000; done; echo end >/data/a; sleep 1000'
	up b -v "$N-v:/data" box sh -c 'for i in $(seq 40); do echo "b$i" >>/data/log; usleep 20000; done; echo end >/data/b; sleep 1000'
	poll 40 docker exec "$N-a" sh -c 'test -e /data/a -a -e /data/b'
	on b 'wc -l </data/log; sort -u /data/log | wc -l'
	is "$(echo $out)" "80 80"
	on a 'echo first >/data/x'
	on b 'cat /data/x; mv /data/x /data/y'
	is "$out" first
	on a 'cat /data/y'
	is "$out" first
}

@test "a new volume starts with what the image has there, with its owner; a second container finds the changes" {
	volume v
	box -v "$N-v:/home/user" -- 'stat -c %u /home/user; touch /home/user/made'
	is "$out" 1000
	box -v "$N-v:/elsewhere" -- 'ls /elsewhere'
	is "$out" made
	box --mount "type=volume,src=$N-v,dst=/v,readonly" -- 'touch /v/x 2>&1; ls /v'
	has "$out" 'Read-only'
	has_line "$out" made
}

@test "--volumes-from, and anonymous volumes that rm -v removes" {
	up a -v /anon box sh -c 'echo data >/anon/f; sleep 1000'
	poll 20 docker exec "$N-a" test -s /anon/f
	box --volumes-from "$N-a" -- 'cat /anon/f'
	is "$out" data
	name=$(inspect a '{{(index .Mounts 0).Name}}')
	ok rm -fv "$N-a"
	no volume inspect "$name"
}

@test "tmpfs mounts and shm: sizes, modes, owners; gone with the container" {
	box --shm-size 3m --tmpfs /t1 --mount type=tmpfs,dst=/t2,tmpfs-size=1048576,tmpfs-mode=0700 --tmpfs /t3:uid=1000,gid=1000,exec -- '
		df -k /dev/shm | tail -n1 | { read a b c; echo shm $b; }; df -k /t2 | tail -n1 | { read a b c; echo t2 $b; }; stat -c "%a %u" /t2 /t3
		grep -c "/t1 tmpfs.*nosuid,nodev,noexec" /proc/mounts; cp /bin/busybox /t3/echo; /t3/echo executed'
	for l in 'shm 3072' 't2 1024' '700 0' 1 executed; do has_line "$out" "$l"; done
	matches "$out" '1000'
}

@test "binds below binds: order, submounts of the source, a file over a volume's file" {
	mkdir -p "$T/a/sub" "$T/b"
	mount -t tmpfs none "$T/a/sub"
	echo in-submount >"$T/a/sub/f"
	echo b >"$T/b/f"
	echo file >"$T/file"
	up c -v "$T/a:/a" -v "$T/b:/a/b" -v "$T/file:/a/b/f" box sleep 1000
	on c 'cat /a/sub/f /a/b/f; echo x >/a/sub/made; ls /a'
	is "$out" $'in-submount\nfile\nb\nsub'
	[ -e "$T/a/sub/made" ]
	is "$(<"$T/b/f")" b
}

@test "rslave: a mount that the host makes later below the source appears inside" {
	not_husk "what the guest has looked at would keep the host's mount busy (docs/compatibility.md)"
	mkdir -p "$T/s/sub"
	mount --bind "$T/s" "$T/s"
	mount --make-shared "$T/s"
	up c --mount "type=bind,src=$T/s,dst=/s,bind-propagation=rslave" box sleep 1000
	on c 'ls /s/sub | wc -l'
	is "$out" 0
	mount -t tmpfs none "$T/s/sub"
	echo later >"$T/s/sub/f"
	poll 10 docker exec "$N-c" test -e /s/sub/f
	umount "$T/s/sub"
}

@test "/etc/hosts, hostname and resolv.conf are files of their own, writable, and change with the networks" {
	net n
	up c --hostname here box sleep 1000
	on c 'cat /etc/hostname; grep -c here /etc/hosts; echo "192.0.2.7 mine" >>/etc/hosts; grep mine /etc/hosts; grep " /etc/hosts " /proc/mounts | wc -l'
	has_line "$out" here
	has_line "$out" '192.0.2.7 mine'
	ok network connect "$N-n" "$N-c"
	seen() { [ "$(docker exec "$N-c" grep -c 'here$' /etc/hosts 3>&-)" = 2 ]; }
	poll 20 seen
}

@test "cp: into and out of a running container, directories, owners and modes; from a stopped one" {
	mkdir -p "$T/dir/sub"
	echo inward >"$T/dir/sub/f"
	chmod 751 "$T/dir/sub"
	up c box sh -c 'mkdir -p /out/deep; echo outward >/out/deep/f; chmod 640 /out/deep/f; sleep 1000'
	poll 20 docker exec "$N-c" test -s /out/deep/f
	ok cp "$T/dir" "$N-c:/tmp/dir"
	on c 'cat /tmp/dir/sub/f; stat -c %a /tmp/dir/sub'
	is "$out" $'inward\n751'
	ok cp "$N-c:/out" "$T/out"
	is "$(<"$T/out/deep/f") $(stat -c %a "$T/out/deep/f")" "outward 640"
	printf 'by tar' >"$T/single"
	tar -C "$T" -c single | docker cp - "$N-c:/tmp" 3>&-
	on c 'cat /tmp/single'
	is "$out" 'by tar'
	ok stop -t 0 "$N-c"
	ok cp "$N-c:/tmp/single" "$T/back"
	ok cp "$T/single" "$N-c:/late"
	ok start "$N-c"
	on c 'cat /late'
	is "$out" 'by tar'
}

@test "export and diff see what the container wrote, with the right owners" {
	up c box sh -c 'install() { cat >"$1"; }; echo data | install /written; chown 1000:5 /written; chmod 4755 /written; echo ready; sleep 1000'
	wait_log c ready
	docker export "$N-c" 3>&- | tar -tv --numeric-owner 2>/dev/null >"$T/list"
	matches "$(grep ' written$' "$T/list")" '^-rwsr-xr-x 1000/5'
}

@test "a large file is the same on both sides, written by either" {
	mkdir "$T/v"
	head -c 30000000 /dev/urandom >"$T/v/host"
	box -v "$T/v:/v" -- 'sha256sum </v/host; cp /v/host /v/copy; dd if=/v/host of=/v/odd bs=70001 2>/dev/null; rm -f /big; cat /v/host /v/host >/big; wc -c </big'
	has "$out" "$(sha256sum <"$T/v/host")"
	has_line "$out" 60000000
	cmp "$T/v/host" "$T/v/copy"
	cmp "$T/v/host" "$T/v/odd"
}

@test "ownership and permissions: what --user makes is theirs on the host, and what is not theirs is denied" {
	mkdir "$T/v" "$T/closed"
	chown 1000:1000 "$T/v"
	chmod 700 "$T/closed"
	box -u 1000:1000 -v "$T/v:/v" -v "$T/closed:/closed" -- 'touch /v/mine; ls /closed 2>&1; chown 0 /v/mine 2>&1; umask 027; mkdir /v/d; id -u'
	has "$out" 'denied'
	has "$out" 'not permitted'
	is "$(stat -c '%u:%g' "$T/v/mine") $(stat -c %a "$T/v/d")" "1000:1000 750"
}

@test "a set-user-id program of the root file system runs as its owner, unless privileges may not grow" {
	up c box sh -c 'cp /bin/inside /tmp/facts; chmod 4755 /tmp/facts; sleep 1000'
	poll 20 docker exec "$N-c" test -u /tmp/facts
	ok exec -u user "$N-c" /tmp/facts facts
	fact uid 1000
	fact euid 0
	ok commit "$N-c" "$TOKEN"
	ok run --rm -u user --security-opt no-new-privileges "$TOKEN" /tmp/facts facts
	fact euid 1000
	ok rmi -f "$TOKEN"
}

@test "the root file system: many small files, hard links, sparse files, long names, removal while open" {
	box -- '
		mkdir /m; i=0; while [ $i -lt 500 ]; do echo $i >/m/$i; i=$((i+1)); done; ls /m | wc -l; cat /m/* | sort -n | tail -n1
		ln /m/1 /m/link; stat -c %h /m/1
		dd if=/dev/zero of=/sparse bs=1 count=1 seek=1000000000 2>/dev/null; stat -c %s /sparse; du -k /sparse | { read k f; [ $k -lt 1000 ] && echo sparse; }
		n=$(printf "n%.0s" $(seq 255)); echo long >/m/$n; cat /m/$n
		exec 5</m/7; rm -r /m; cat <&5; ls /m 2>&1; true'
	for l in 500 499 2 1000000001 sparse long 7; do has_line "$out" "$l"; done
	has "$out" 'No such file'
}

@test "a pipe made inside connects its processes, in the root file system and in a volume" {
	mkdir "$T/v"
	box -v "$T/v:/v" -- 'for p in /tmp/p /v/p; do mkfifo $p; (echo through >$p &); cat $p; done'
	is "$out" $'through\nthrough'
}

# ---- sockets ----

@test "a bound UNIX socket: the container talks to a server of the host, half-close included" {
	mkdir "$T/s"
	"$HUSK_TEST_TOOLS/stream" serve "$T/s/sock" >"$T/served" 3>&- 4>&- &
	JOBS+=($!)
	poll 20 file_has "$T/served" ready
	chmod 600 "$T/s/sock"
	box -v "$T/s/sock:/run/the.sock" -- 'stat -c "%F %a" /run/the.sock; stream dial /run/the.sock hello-host'
	has "$out" 'socket 600'
	has "$out" HELLO-HOST
}

@test "a bound docker.sock: what is asked through it in the container is answered by the engine" {
	# the host's client with its libraries
	up c -v "$ENGINE_RUN/docker.sock:/var/run/docker.sock" -v "$(command -v docker):/usr/bin/docker:ro" -v /lib64:/lib64:ro \
		-v /lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu:ro box sleep 1000
	on c 'docker ps --format "{{.Names}}"'
	has_line "$out" "$N-c"
	on c "docker run --rm box echo from-a-sibling"
	is "$out" from-a-sibling
	is "$(printf typed | docker exec -i "$N-c" docker run --rm -i box cat 3>&-)" typed
}

@test "a bound socket nobody listens to refuses, one with many connections serves them all" {
	mkdir "$T/s"
	socat -t 60 "UNIX-LISTEN:$T/s/sock,fork,backlog=64" EXEC:cat 3>&- 4>&- &
	JOBS+=($!)
	poll 20 test -S "$T/s/sock"
	box -v "$T/s/sock:/sock" -- 'for i in $(seq 20); do stream dial /sock "text-$i" >/tmp/o.$i & done; wait; cat /tmp/o.* | grep -o "text-[0-9]*" | sort -u | wc -l'
	has_line "$out" 20
	kill "${JOBS[0]}"
	poll 10 gone "${JOBS[0]}"
	[ -S "$T/s/sock" ] || python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$T/s/sock')"
	no run --rm -v "$T/s/sock:/sock" box stream dial /sock text
}

# ---- user namespaces ----

# bats test_tags=slow
@test "userns-remap: root inside is an unprivileged user of the host, for the process and for files" {
	grep -q '^husktest:' /etc/passwd || {
		echo 'husktest:x:200000:200000::/:/bin/false' >>/etc/passwd
		echo 'husktest:x:200000:' >>/etc/group
		echo 'husktest:300000:65536' | tee -a /etc/subuid >>/etc/subgid
	}
	chmod 711 "$SUITE" "$T"
	engine_up remap '"userns-remap": "husktest"'
	mkdir "$T/v"
	chown 301000:301000 "$T/v"
	up c -v "$T/v:/v" -u 1000 box sh -c 'id -u; touch /v/made; cat /proc/self/uid_map; touch /root/x 2>&1; echo end; sleep 1000'
	wait_log c end
	ok logs "$N-c"
	has_line "$out" 1000
	matches "$out" '0 +300000 +65536'
	is "$(stat -c %u "$T/v/made")" 301000
	ok rm -fv "$N-c"
	engine_use main
}

@test "after all these cases nothing of them is left on the host" {
	poll 10 engine_clean
}
