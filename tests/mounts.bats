#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# mounts: every kind and option, seen in the container's mountinfo and by what works there.

load lib/common

# mounted JSON-OBJECTS SCRIPT: mounts added to the default ones
mounted() { inside ".mounts += [$1]" "$2"; }

# The mountinfo options (field 6 and the last) of a mount point, as printed by `cat /proc/self/mountinfo`.
options_of() { awk -v m="$1" '$5 == m { line = $6 "," $NF } END { print line }' <<<"$out"; }
option() { [[ ,$(options_of "$1"), == *,$2,* ]] || fail "$1 is not mounted $2: $(options_of "$1")"; }
no_option() { [[ ,$(options_of "$1"), != *,$2,* ]] || fail "$1 is mounted $2: $(options_of "$1")"; }
fstype_of() { awk -v m="$1" '$5 == m { sub(/.* - /, ""); t = $1 } END { print t }' <<<"$out"; }

@test "the standard mounts have their types and options" {
	inside . 'cat /proc/self/mountinfo'
	is "$(fstype_of /proc)" proc
	is "$(fstype_of /dev)" tmpfs
	is "$(fstype_of /dev/pts)" devpts
	is "$(fstype_of /sys)" sysfs
	is "$(fstype_of /dev/mqueue)" mqueue
	is "$(fstype_of /dev/shm)" tmpfs
	for o in nosuid noexec nodev; do
		option /proc $o
		option /sys $o
		option /dev/shm $o
		option /dev/mqueue $o
	done
	option /dev nosuid
	no_option /dev nodev
	option /sys ro
	option /dev/pts gid=5
	option /dev/pts mode=620
	option /dev/pts ptmxmode=666
	option /dev/shm size=65536k
}

@test "/sys/fs/cgroup shows the container's own cgroup" {
	need_cgroup2
	inside '.linux.resources.pids = {limit: 77}' 'cat /sys/fs/cgroup/pids.max; cat /proc/self/cgroup; grep " /sys/fs/cgroup " /proc/self/mountinfo; cat /sys/fs/cgroup/cgroup.procs | head -n1'
	is "$(sed -n 1p <<<"$out")" 77
	is "$(sed -n 2p <<<"$out")" 0::/
	has "$out" "cgroup2"
	is "$(sed -n '$p' <<<"$out")" 1
}

@test "a directory bind shows the host's files, and writes go to the host" {
	mkdir -p "$T/vol/sub"
	echo from host >"$T/vol/sub/f"
	mounted "{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rw\"]}" 'cat /vol/sub/f; echo from inside >/vol/new; mkdir /vol/dir; mv /vol/sub/f /vol/dir/g; ln -s g /vol/dir/s; rm -r /vol/sub'
	is "$out" "from host"
	is "$(<"$T/vol/new")" "from inside"
	is "$(<"$T/vol/dir/s")" "from host"
	[ ! -e "$T/vol/sub" ]
}

@test "a single file can be bound over a file, and only it is seen" {
	mkdir "$T/secret"
	echo hosts of the test >"$T/secret/hosts"
	echo other >"$T/secret/other"
	mounted "{destination: \"/etc/hosts\", type: \"bind\", source: \"$T/secret/hosts\", options: [\"bind\", \"ro\"]}" 'cat /etc/hosts; ls /etc; echo x >>/etc/hosts && echo written; true'
	has_line "$out" "hosts of the test"
	lacks "$out" other
	lacks "$out" written
	is "$(<"$T/secret/hosts")" "hosts of the test"
}

@test "mount points that are missing are made: directories for directories, files for files" {
	mkdir "$T/vol"
	echo data >"$T/file"
	mounted "{destination: \"/new/deep/dir\", type: \"bind\", source: \"$T/vol\", options: [\"bind\"]}, {destination: \"/new/deep/file\", type: \"bind\", source: \"$T/file\", options: [\"bind\"]}, {destination: \"/new/tmp\", type: \"tmpfs\", source: \"tmpfs\"}" \
		'stat -c "%F" /new/deep/dir /new/deep/file /new/tmp; cat /new/deep/file'
	is "$out" "directory
regular file
directory
data"
}

@test "a read-only bind refuses every kind of writing, and remounting it does not help" {
	mkdir "$T/vol"
	echo keep >"$T/vol/f"
	mounted "{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"ro\"]}" 'cat /proc/self/mountinfo; cat /vol/f
		for c in "touch /vol/n" "rm -f /vol/f" "mkdir /vol/d" "chmod 600 /vol/f" "mv /vol/f /vol/g" "ln -s x /vol/l" "mount -o remount,rw,bind /vol"; do $c 2>/dev/null && echo "worked: $c"; done
		true'
	option /vol ro
	has_line "$out" keep
	lacks "$out" worked
	is "$(ls "$T/vol")" f
	is "$(stat -c %a "$T/vol/f")" 644
}

@test "a container root with every capability cannot make a read-only volume writable" {
	mkdir "$T/vol"
	echo keep >"$T/vol/f"
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"bind\", \"ro\"]}] | .process.capabilities |= map_values(. + [\"CAP_SYS_ADMIN\"])" \
		'mount -o remount,rw,bind /vol; mount -o remount,rw /vol; mkdir /x; mount -o bind /vol /x; mount -o remount,rw,bind /x; echo broken >/x/f; echo broken >/vol/f; echo tried'
	not_husk_skip_runc_ro
	must rt run -b "$B" "$C"
	has "$out" tried
	is "$(<"$T/vol/f")" keep
}

# With one kernel, CAP_SYS_ADMIN can remount a bind: only a container with a kernel of its own can promise this.
not_husk_skip_runc_ro() { is_husk || skip "CAP_SYS_ADMIN may remount with a shared kernel"; }

@test "submounts of a bind are seen with rbind and not with bind" {
	mkdir -p "$T/vol/sub"
	mount -t tmpfs none "$T/vol/sub"
	echo deep >"$T/vol/sub/f"
	mounted "{destination: \"/r\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}, {destination: \"/b\", type: \"bind\", source: \"$T/vol\", options: [\"bind\"]}" 'cat /r/sub/f; ls /b/sub | wc -l'
	umount "$T/vol/sub"
	is "$out" "deep
0"
}

@test "ro covers the top mount alone, rro the submounts too" {
	runtime_at_least runc 1.1 "rro"
	mkdir -p "$T/vol/sub"
	mount -t tmpfs none "$T/vol/sub"
	must rt features
	rro=$(jq '.mountOptions | index("rro") != null' <<<"$out")
	mounted "{destination: \"/a\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"ro\"]}" 'touch /a/f || echo top; touch /a/sub/f || echo sub'
	is "$out" top
	if [ "$rro" = true ]; then
		mounted "{destination: \"/b\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rro\"]}" 'touch /b/g || echo top; touch /b/sub/g || echo sub'
		is "$out" "top
sub"
	fi
	umount "$T/vol/sub"
}

@test "tmpfs options arrive: size, mode, uid, gid, nosuid, noexec, nodev" {
	mounted '{destination: "/t", type: "tmpfs", source: "tmpfs", options: ["size=1m", "mode=1770", "uid=1000", "gid=1001", "nosuid", "noexec", "nodev", "noatime"]}' \
		'cat /proc/self/mountinfo; stat -c "stat=%a %u %g" /t; dd if=/dev/zero of=/t/big bs=64k count=64 2>&1 | grep -c "No space"; cp /bin/busybox /t/x 2>/dev/null; rm /t/big; printf "#!/bin/sh\necho ran" >/t/s; chmod 755 /t/s; /t/s; echo end'
	is "$(fstype_of /t)" tmpfs
	option /t size=1024k
	has_line "$out" "stat=1770 1000 1001"
	has_line "$out" 1
	for o in nosuid noexec nodev noatime; do option /t $o; done
	lacks "$out" ran
}

@test "tmpcopyup starts a tmpfs with what the image has there" {
	bundle
	mkdir -p "$B/rootfs/data/sub"
	echo image >"$B/rootfs/data/f"
	echo deep >"$B/rootfs/data/sub/g"
	ln -s f "$B/rootfs/data/l"
	chmod 640 "$B/rootfs/data/f"
	chown 33:34 "$B/rootfs/data/f"
	mounted '{destination: "/data", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"]}' 'cat /data/l /data/sub/g; stat -c "%a %u %g" /data/f; echo changed >/data/f; stat -f -c %T /data'
	is "$(head -n3 <<<"$out")" "image
deep
640 33 34"
	is "$(<"$B/rootfs/data/f")" image
}

@test "mounts are made in their order: a later one hides an earlier one" {
	mkdir "$T/one" "$T/two"
	touch "$T/one/one" "$T/two/two"
	mounted "{destination: \"/m\", type: \"bind\", source: \"$T/one\", options: [\"bind\"]}, {destination: \"/m\", type: \"bind\", source: \"$T/two\", options: [\"bind\"]}, {destination: \"/m2\", type: \"tmpfs\", source: \"x\"}, {destination: \"/m2/in\", type: \"bind\", source: \"$T/one\", options: [\"bind\"]}" \
		'ls /m; ls /m2/in'
	is "$out" "two
one"
}

@test "mount options of the kernel appear in mountinfo" {
	mkdir "$T/vol"
	mounted "{destination: \"/a\", type: \"bind\", source: \"$T/vol\", options: [\"bind\", \"nosuid\", \"nodev\", \"noexec\", \"noatime\", \"nodiratime\"]}, {destination: \"/b\", type: \"tmpfs\", source: \"x\", options: [\"ro\", \"sync\", \"dirsync\", \"strictatime\"]}" 'cat /proc/self/mountinfo'
	for o in nosuid nodev noexec noatime nodiratime; do option /a $o; done
	for o in ro sync dirsync; do option /b $o; done
	no_option /b relatime
}

@test "propagation of a mount is what its options say" {
	mkdir "$T/vol"
	mounted '{destination: "/p", type: "tmpfs", source: "x", options: ["private"]}, {destination: "/s", type: "tmpfs", source: "x", options: ["shared"]}, {destination: "/u", type: "tmpfs", source: "x", options: ["unbindable"]}' 'cat /proc/self/mountinfo'
	optional() { awk -v m="$1" '$5 == m { t = $7 } END { print t }' <<<"$out"; }
	is "$(optional /p)" "-"
	matches "$(optional /s)" '^shared:'
	is "$(optional /u)" unbindable
}

@test "a mount that the host makes under an rslave volume appears inside" {
	not_husk "what the guest has looked at would keep the host's mount busy (docs/config.md)"
	mkdir -p "$T/vol/sub"
	mount --bind "$T/vol" "$T/vol"
	mount --make-shared "$T/vol"
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rslave\"]}]" 'while [ ! -e /vol/sub/f ]; do sleep 0.1; done; cat /vol/sub/f'
	launch
	mount -t tmpfs none "$T/vol/sub"
	echo late >"$T/vol/sub/f"
	wait_output late
	umount "$T/vol/sub"
	must rt delete --force "$C"
	umount "$T/vol"
}

# bats test_tags=vm
@test "a mount that the host makes under a volume later stays outside, and can be unmounted at once" {
	mkdir -p "$T/vol/sub"
	echo below >"$T/vol/sub/f"
	mount --bind "$T/vol" "$T/vol"
	mount --make-shared "$T/vol"
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rslave\"]}]" 'while [ ! -e /vol/go ]; do sleep 0.1; done; cat /vol/sub/f'
	launch
	mount -t tmpfs none "$T/vol/sub"
	echo late >"$T/vol/sub/f"
	touch "$T/vol/go"
	wait_output below
	umount "$T/vol/sub"
	must rt delete --force "$C"
	umount "$T/vol"
}

@test "a file written by the host is seen inside at once, and one written inside is seen by the host" {
	mkdir "$T/vol"
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}]" 'echo ready; n=0; while [ $n -lt 5 ]; do while [ ! -e /vol/q$n ]; do usleep 20000; done; cat /vol/q$n >/vol/a$n; n=$((n+1)); done'
	launch
	wait_output ready
	for n in 0 1 2 3 4; do
		echo "question $n" >"$T/vol/q$n.new"
		mv "$T/vol/q$n.new" "$T/vol/q$n"
		poll 10 file_has "$T/vol/a$n" "question $n"
	done
}

@test "a bound file that the host rewrites in place is seen rewritten, and a symlink swap in a bound directory too" {
	echo first >"$T/hosts"
	mkdir -p "$T/map/v1" "$T/map/v2"
	echo v1 >"$T/map/v1/key"
	echo v2 >"$T/map/v2/key"
	ln -s v1 "$T/map/..data"
	ln -s ..data/key "$T/map/key"
	container ".mounts += [{destination: \"/etc/hosts\", type: \"bind\", source: \"$T/hosts\", options: [\"bind\"]}, {destination: \"/map\", type: \"bind\", source: \"$T/map\", options: [\"rbind\", \"ro\"]}]" \
		'cat /etc/hosts /map/key; while ! grep -q second /etc/hosts || ! grep -q v2 /map/key; do usleep 50000; done; cat /etc/hosts /map/key'
	launch
	wait_output v1
	echo second and longer >"$T/hosts"
	ln -s v2 "$T/map/..new"
	mv -T "$T/map/..new" "$T/map/..data"
	wait_output v2
	is "$(<"$T/stdout")" "first
v1
second and longer
v2"
}

@test "owners, modes, times and links keep across the boundary" {
	mkdir "$T/vol"
	echo x >"$T/vol/f"
	chown 1234:2345 "$T/vol/f"
	chmod 2754 "$T/vol/f"
	touch -d '2001-02-03 04:05:06 UTC' "$T/vol/f"
	ln "$T/vol/f" "$T/vol/hard"
	mounted "{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}" \
		'stat -c "%u %g %a %Y %h" /vol/f; [ /vol/f -ef /vol/hard ] && echo same; echo y >/vol/g; chown 77:88 /vol/g; chmod 4711 /vol/g; touch -d @1000000000 /vol/g; mknod /vol/p p; stat -c "%F" /vol/p'
	is "$out" "1234 2345 2754 981173106 2
same
fifo"
	is "$(stat -c '%u %g %a %Y' "$T/vol/g")" "77 88 4711 1000000000"
}

@test "files are written as the process's user, and permissions hold for it" {
	mkdir "$T/vol"
	chmod 755 "$T" "$T/vol"
	mkdir "$T/vol/mine" "$T/vol/theirs"
	chown 1000:1000 "$T/vol/mine"
	chmod 700 "$T/vol/theirs"
	inside ".process.user = {uid: 1000, gid: 1000} | .mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}]" \
		'touch /vol/mine/f; touch /vol/f 2>/dev/null || echo no; ls /vol/theirs 2>/dev/null || echo no'
	is "$out" "no
no"
	is "$(stat -c '%u %g' "$T/vol/mine/f")" "1000 1000"
}

@test "a bind destination that is a symbolic link is followed inside the root only" {
	bundle
	mkdir "$T/vol" "$T/outside" "$B/rootfs/real"
	echo data >"$T/vol/f"
	ln -s /real "$B/rootfs/link"
	ln -s "$T/outside" "$B/rootfs/escape"
	ln -s ../../../../../../../../../../etc "$B/rootfs/climb"
	mounted "{destination: \"/link/in\", type: \"bind\", source: \"$T/vol\", options: [\"bind\"]}, {destination: \"/escape/in\", type: \"bind\", source: \"$T/vol\", options: [\"bind\"]}, {destination: \"/climb/in-etc\", type: \"bind\", source: \"$T/vol\", options: [\"bind\"]}" \
		'cat /real/in/f /etc/in-etc/f; ls -d /etc/in-etc'
	is "$(head -n2 <<<"$out")" "data
data"
	is "$(ls -A "$T/outside")" ""
	[ ! -e /etc/in-etc ]
}

@test "a bind source that does not exist is an error that names it, and nothing stays" {
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/no-such-source\", options: [\"bind\"]}]" true
	must_fail rt create -b "$B" "$C"
	has "$err" "no-such-source"
	has "$err" "no such file or directory"
	try rt delete --force "$C"
	no_leaks
}

@test "an unknown file system type or a bad option is an error that names it" {
	container '.mounts += [{destination: "/x", type: "nosuchfs", source: "none"}]' true
	must_fail rt run -b "$B" "$C"
	if is_husk; then has "$err" nosuchfs; else has "$err" "no such device"; fi
	container '.mounts[-1] = {destination: "/x", type: "tmpfs", source: "none", options: ["nosuchoption=1"]}' true
	must_fail rt run -b "$B" "$C"
	try rt delete --force "$C"
	no_leaks
}

@test "nothing may be mounted over /proc but the files that are allowed" {
	mkdir "$T/vol"
	echo fake >"$T/file"
	for d in /proc/sys /proc/self /proc/1; do
		container ".mounts += [{destination: \"$d\", type: \"bind\", source: \"$T/vol\", options: [\"bind\"]}]" true
		must_fail rt run -b "$B" "$C"
		given 'del(.mounts[-1])'
	done
	mounted "{destination: \"/proc/uptime\", type: \"bind\", source: \"$T/file\", options: [\"bind\", \"ro\"]}" 'cat /proc/uptime'
	is "$out" fake
}

@test "a unix socket bound into the container reaches its listener on the host" {
	background stream serve "$T/s.sock" >"$T/serve"
	poll 10 file_has "$T/serve" ready
	mounted "{destination: \"/run/s.sock\", type: \"bind\", source: \"$T/s.sock\", options: [\"bind\"]}" 'stream dial /run/s.sock "hello from inside"'
	is "$out" "HELLO FROM INSIDE"
}

@test "a relative mount destination counts from the root" {
	mkdir "$T/vol"
	touch "$T/vol/f"
	mounted "{destination: \"rel/dir\", type: \"bind\", source: \"$T/vol\", options: [\"bind\"]}" 'ls /rel/dir'
	is "$out" f
}

@test "a relative bind source counts from the bundle" {
	bundle
	mkdir "$B/vol"
	touch "$B/vol/f"
	mounted '{destination: "/vol", type: "bind", source: "vol", options: ["bind"]}' 'ls /vol'
	is "$out" f
}

@test "shared memory in /dev/shm is as large as its size option, not larger" {
	inside '(.mounts[] | select(.destination == "/dev/shm")).options = ["nosuid", "size=2m", "mode=1777"]' 'stat -c %a /dev/shm; dd if=/dev/zero of=/dev/shm/f bs=64k count=100 2>/dev/null; stat -c %s /dev/shm/f'
	is "$out" "1777
$((2 << 20))"
}

@test "fifty mounts in one container all work" {
	for i in $(seq 50); do
		mkdir -p "$T/v/$i"
		echo "n$i" >"$T/v/$i/f"
	done
	inside ".mounts += [range(1; 51) | {destination: \"/v/\\(.)\", type: \"bind\", source: \"$T/v/\\(.)\", options: [\"rbind\", \"ro\"]}]" 'cat /v/*/f | sort -u | wc -l'
	is "$out" 50
}

@test "a large file keeps every byte through a volume, both ways" {
	mkdir "$T/vol"
	stream spew 20000000 >"$T/vol/in"
	mounted "{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}" 'stream drain </vol/in; stream spew 20000003 >/vol/out'
	is "$out" "drain=ok bytes=20000000"
	is "$(stream drain <"$T/vol/out")" "drain=ok bytes=20000003"
}
