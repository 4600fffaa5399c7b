#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Disks: block devices and images of the host in the container, seen from inside and in the host's files.

load lib/common

local_setup() {
	husk_only "another runtime gives the host's own device"
	loops=()
}

local_teardown() {
	for l in "${loops[@]}"; do losetup -d "$l"; done
}

# image SIZE [MKE2FS-OPTION...]: an ext4 image, in $IMG
image() {
	IMG=$T/image$RANDOM
	truncate -s "$1" "$IMG"
	mke2fs -q -t ext4 "${@:2}" "$IMG"
}

# loop FILE: a loop device of it: $LOOP, its number $MINOR
loop() {
	LOOP=$(losetup -f --show "$1")
	MINOR=${LOOP#/dev/loop}
	loops+=("$LOOP")
}

# device ACCESS [PATH]: jq filter that gives the container the loop device
device() {
	echo ".linux.devices = [{type: \"b\", path: \"${2:-/dev/xdisk}\", major: 7, minor: $MINOR, fileMode: 432, uid: 0, gid: 6}]
		| .linux.resources.devices += [{allow: true, type: \"b\", major: 7, minor: $MINOR, access: \"$1\"}]"
}

# volume SOURCE TARGET OPTIONS...: jq filter that mounts an ext4 image
volume() { echo ".mounts += [{type: \"ext4\", source: \"$1\", destination: \"$2\", options: $(jq -cn '$ARGS.positional' --args "${@:3}")}]"; }

is_clean() { e2fsck -fn "$1" >"$T/fsck" 2>&1 || fail "not clean: $(<"$T/fsck")"; }
content() { debugfs -R "cat $2" "$1" 2>/dev/null; }

# bats test_tags=vm
@test "a block device is a disk with the asked name, mode and owner, and what is written is on it" {
	truncate -s 8M "$T/raw"
	loop "$T/raw"
	inside "$(device rwm)" 'stat -c "%F %a %u:%g" /dev/xdisk; cat /sys/block/vda/size
		echo written inside | dd of=/dev/xdisk bs=512 seek=9 conv=fsync,sync 2>/dev/null; dd if=/dev/xdisk bs=512 skip=9 count=1 2>/dev/null'
	is "$(sed -n 1p <<<"$out")" "block special file 660 0:6"
	is "$(sed -n 2p <<<"$out")" 16384
	has "$out" "written inside"
	is "$(dd if="$T/raw" bs=512 skip=9 count=1 2>/dev/null | head -n1)" "written inside"
}

# bats test_tags=vm
@test "rights to a disk are those of the device rules" {
	truncate -s 1M "$T/raw"
	loop "$T/raw"
	inside "$(device r)" 'cat /sys/block/vda/ro; dd if=/dev/xdisk of=/dev/null count=1 2>/dev/null && echo read
		echo x 2>/dev/null >/dev/xdisk || echo refused; mknod /dev/again b $(sed "s/:/ /" /sys/block/vda/dev) && echo x 2>/dev/null >/dev/again || echo refused'
	is "$out" $'1\nread\nrefused\nrefused'
	is "$(tr -d '\0' <"$T/raw" | wc -c)" 0
}

# bats test_tags=vm
@test "an image is mounted by the guest, and its file system is clean afterwards" {
	image 32M
	inside "$(volume "$IMG" /data loop nosuid)" 'grep " /data " /proc/mounts; echo kept >/data/file; mkdir /data/dir; rm -r /data/lost+found'
	has "$out" "/dev/vda /data ext4 rw,nosuid"
	is_clean "$IMG"
	is "$(content "$IMG" file)" kept
	# again, read-only, by annotation, as a user who is not root in a user namespace
	inside ".annotations[\"run.husk.volume.x\"] = \"type=ext4,source=$IMG,target=/vol,ro\"
		| .mounts |= map(select(.destination != \"/data\"))" 'cat /vol/file; touch /vol/new 2>/dev/null || echo refused; cat /sys/block/vda/ro'
	is "$out" $'kept\nrefused\n1'
}

# bats test_tags=vm
@test "one image is written by one container at a time, and read by many" {
	image 8M
	container "$(volume "$IMG" /data)" 'echo up; sleep 1000'
	launch
	wait_output up
	first=$B B=$T/second
	container "$(volume "$IMG" /data ro)" 'ls /data'
	must_fail rt run -b "$B" "$C-2"
	has "$err" "is used by another container"
	must rt delete --force "$C"
	B=$first
	container ".mounts |= map(select(.destination != \"/data\")) | $(volume "$IMG" /data ro)" 'echo up; sleep 1000'
	launch
	wait_output up
	must rt run -b "$T/second" "$C-2"
	has "$out" lost+found
}

# bats test_tags=vm
@test "a device that the host has mounted is not given for writing" {
	image 8M
	loop "$IMG"
	mkdir "$T/mnt"
	mount "$LOOP" "$T/mnt"
	container "$(device rw)" 'true'
	try rt run -b "$B" "$C"
	umount "$T/mnt"
	[ $rc -ne 0 ] || fail "it was given"
	has "$err" "is mounted on the host or in use"
	must rt run -b "$B" "$C"
}

# bats test_tags=vm
@test "a root on a device that is mounted read-only is mounted by the guest" {
	bundle
	IMG=$T/root.img
	truncate -s 64M "$IMG"
	mke2fs -q -t ext4 -d "$B/rootfs" "$IMG"
	loop "$IMG"
	mkdir "$B/disk"
	mount -o ro "$LOOP" "$B/disk"
	container '.root.path = "disk"' 'grep " / " /proc/mounts; touch /new 2>/dev/null || echo refused; ls /bin/busybox'
	try rt run -b "$B" "$C"
	umount "$B/disk"
	[ $rc -eq 0 ] || fail "status $rc"
	matches "$out" "^/dev/vda / ext4 ro"
	has "$out" refused
	has "$out" /bin/busybox
}

# bats test_tags=vm
@test "what was synced is there after the VM was killed" {
	image 32M
	container "$(volume "$IMG" /data)" 'for i in $(seq 50); do echo "line $i" >>/data/log; done; dd if=/dev/zero bs=64k count=32 2>/dev/null | tr "\0" "A" >/data/big; sync /data/log /data/big; sync; echo synced; sleep 1000'
	launch
	wait_output synced
	kill -9 "$(vmm_of)"
	wait_status stopped
	must rt delete --force "$C"
	e2fsck -fy "$IMG" >"$T/fsck" 2>&1 || [ $? -eq 1 ] || fail "$(<"$T/fsck")"
	is_clean "$IMG"
	is "$(content "$IMG" log | tail -n1)" "line 50"
	is "$(content "$IMG" big | tr -d A | wc -c)" 0
	is "$(content "$IMG" big | wc -c)" 2097152
}

# bats test_tags=vm
@test "a file that is cut short, and a host without space, are errors inside and nothing hangs" {
	mkdir "$T/small"
	mount -t tmpfs -o size=4m none "$T/small"
	truncate -s 16M "$T/small/raw"
	loop "$T/small/raw"
	container "$(device rw)" 'dd if=/dev/zero bs=1M count=12 2>/dev/null | tr "\0" B | dd of=/dev/xdisk bs=64k conv=fsync 2>/dev/null && echo fits || echo full
		sleep 1; dd if=/dev/xdisk of=/dev/null bs=4k count=1 2>/dev/null && echo alive'
	try rt run -b "$B" "$C"
	losetup -d "$LOOP"
	loops=()
	umount "$T/small"
	[ $rc -eq 0 ] || fail "status $rc"
	is "$out" $'full\nalive'
	image 16M
	container ".linux.devices = [] | $(volume "$IMG" /data)" 'dd if=/dev/zero of=/data/big bs=1M count=8 conv=fsync 2>/dev/null; echo up; while [ ! -e /cut ]; do sleep 0.2; done; dd if=/data/big of=/dev/null bs=1M iflag=direct 2>/dev/null || echo failed'
	launch
	wait_output up
	truncate -s 1M "$IMG"
	: >"$B/rootfs/cut"
	wait_output failed
	wait_status stopped
}

# bats test_tags=vm
@test "throttles of the device hold inside" {
	truncate -s 8M "$T/raw"
	loop "$T/raw"
	container "$(device r) | .linux.resources.blockIO = {throttleReadBpsDevice: [{major: 7, minor: $MINOR, rate: 1048576}]}" 'a=$(cut -d. -f1 /proc/uptime); dd if=/dev/xdisk of=/dev/null bs=64k count=64 iflag=direct 2>/dev/null; b=$(cut -d. -f1 /proc/uptime); echo $((b - a))'
	must rt run -b "$B" "$C"
	[ "$out" -ge 3 ] && [ "$out" -le 20 ] || fail "4 MiB at 1 MiB/s took $out s"
}
