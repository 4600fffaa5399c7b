#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# faults: what goes wrong below a share has the errno that it has on the host, and nothing hangs.

# bats file_tags=slow
load lib/common

export BATS_TEST_TIMEOUT=600

local_setup() { LOOPS=() DM=''; }

local_teardown() {
	local l
	rt delete --force "$C" 2>/dev/null # it holds the file system
	umount -l "$T/fs" 2>/dev/null
	[ -z "$DM" ] || dmsetup remove --retry "$DM"
	for l in "${LOOPS[@]}"; do losetup -d "$l"; done
	return 0
}

loop_device() { # a new loop device of $1 MiB in $LOOP
	truncate -s "$1M" "$T/disk"
	LOOP=$(losetup -f --show "$T/disk")
	LOOPS+=("$LOOP")
	mke2fs -q -t ext4 -m 0 "$LOOP"
	mkdir -p "$T/fs" "$T/ctl"
}

# A container with $T/fs at /vol and $T/ctl at /ctl that runs $1; `await NAME` in it waits for /ctl/NAME.
with_disk() {
	container ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/fs\", options: [\"rbind\", \"rw\"]},
		{destination: \"/ctl\", type: \"bind\", source: \"$T/ctl\", options: [\"rbind\", \"rw\"]}]" \
		"await() { echo >/ctl/ready-\$1; while [ ! -e /ctl/\$1 ]; do sleep 0.1; done; }
$1
echo end; sleep 1000"
	launch
}

@test "a full disk is ENOSPC at the write, and room that comes back can be used" {
	loop_device 16
	mount "$LOOP" "$T/fs"
	with_disk 'dd if=/dev/zero of=/vol/a bs=64k 2>&1 | grep -o "No space left on device" | head -n1
		stat -c %s /vol/a >/ctl/size
		rm /vol/a; dd if=/dev/zero of=/vol/b bs=64k count=100 conv=fsync 2>/dev/null && echo room'
	wait_output '^end' 60
	is "$(<"$T/stdout")" "No space left on device
room
end"
	[ "$(<"$T/ctl/size")" -gt 8000000 ]
	is "$(stat -c %s "$T/fs/b")" 6553600
}

@test "a full disk below the root is told at fsync and at close, though writes are kept back" {
	loop_device 32
	mount "$LOOP" "$T/fs"
	B=$T/fs/bundle
	bundle
	container . 'dd if=/dev/zero of=/a bs=64k count=800 conv=fsync 2>&1 | grep -o "No space left on device" | head -n1
		rm /a; dd if=/dev/zero of=/b bs=64k count=16 conv=fsync 2>/dev/null && echo room; sync; sleep 1000'
	launch "$C" "$B"
	wait_output '^room' 60
	is "$(<"$T/stdout")" "No space left on device
room"
	is "$(stat -c %s "$B/rootfs/b")" 1048576
	must rt delete --force "$C"
}

@test "a disk that fails is EIO for reads and for fsync, and the rest of the container goes on" {
	modprobe dm-mod || skip "no device mapper on this host"
	loop_device 16
	DM=$TOKEN
	dmsetup create "$DM" --table "0 32768 linear $LOOP 0"
	dmsetup mknodes "$DM" # no udev here
	mount "/dev/mapper/$DM" "$T/fs"
	head -c 1000000 /dev/urandom >"$T/fs/data"
	cp "$T/fs/data" "$T/fs/unread"
	sync
	with_disk 'cat /vol/data >/dev/null && echo readable; exec 5>>/vol/log; await broken
		cat /vol/unread 2>&1 >/dev/null | grep -o "Input/output error"
		echo line >&5; dd if=/dev/zero of=/vol/new bs=4k count=1 conv=fsync 2>&1 | grep -oE "Input/output error|Read-only file system"
		ls / >/dev/null && echo alive'
	wait_output readable
	poll 20 test -e "$T/ctl/ready-broken"
	dmsetup suspend --noflush --nolockfs "$DM"
	dmsetup load "$DM" --table "0 32768 error"
	dmsetup resume "$DM"
	echo 3 >/proc/sys/vm/drop_caches
	touch "$T/ctl/broken"
	wait_output '^end' 60
	is "$(grep -c "error\|Read-only" "$T/stdout")" 2
	has "$(<"$T/stdout")" "Input/output error"
	is "$(tail -n2 "$T/stdout")" "alive
end"
}

@test "a file system that becomes read-only on the host is EROFS in the container" {
	loop_device 16
	mount "$LOOP" "$T/fs"
	with_disk 'echo one >/vol/f; await ro
		echo two 2>&1 >/vol/f | grep -o "Read-only file system"; mkdir /vol/d 2>&1 | grep -o "Read-only file system"; cat /vol/f
		await rw; echo three >/vol/f; cat /vol/f'
	poll 20 test -e "$T/ctl/ready-ro"
	mount -o remount,ro "$T/fs"
	touch "$T/ctl/ro"
	poll 20 test -e "$T/ctl/ready-rw"
	mount -o remount,rw "$T/fs"
	touch "$T/ctl/rw"
	wait_output '^end'
	is "$(<"$T/stdout")" "Read-only file system
Read-only file system
one
three
end"
}

@test "what the host removes under a container is gone for it, and open files live on" {
	loop_device 16
	mount "$LOOP" "$T/fs"
	mkdir "$T/fs/d"
	echo kept >"$T/fs/d/f"
	with_disk 'cd /vol/d; exec 5<f; await gone; cat <&5; cat f 2>&1 | grep -o "No such file"; ls | wc -l
		touch new 2>&1 | grep -o "No such file"; cd /vol && ls'
	poll 20 test -e "$T/ctl/ready-gone"
	rm -r "$T/fs/d"
	umount -l "$T/fs"
	touch "$T/ctl/gone"
	wait_output '^end'
	is "$(grep -v lost+found "$T/stdout")" "kept
No such file
0
No such file
end"
}

@test "a file that the host cuts under a mapping is SIGBUS behind its new end" {
	mkdir -p "$T/fs" "$T/ctl"
	bundle
	cp "$TOOLS/maptouch" "$B/rootfs/bin/"
	head -c 1000000 /dev/zero >"$T/fs/f"
	with_disk 'maptouch /vol/f /ctl/cut; echo "status $?"; stat -c %s /vol/f; sleep 0.1; maptouch /vol/f'
	wait_output mapped
	: >"$T/fs/f"
	echo x >"$T/fs/f"
	touch "$T/ctl/cut"
	wait_output '^end'
	# pages that the guest has read before it hears of the cut may still be there; nothing else may come of it
	matches "$(grep status "$T/stdout")" '^status (0|135)$'
	is "$(tail -n3 "$T/stdout")" "2
130
end"
}
