#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux of config.json: namespaces, devices, sysctls, hidden paths, cgroup limits; read from inside the container.

load lib/common

MIB=1048576

@test "each namespace of the list is new: none is the host's" {
	given '.process.args = ["inside", "facts"]'
	must rt run -b "$B" "$C"
	for ns in pid net mnt ipc uts cgroup; do
		[ "$(fact_value ns_$ns)" != "$(readlink /proc/self/ns/$ns)" ] || is_husk || fail "$ns"
	done
}

@test "the container sees its own processes only" {
	container . 'sleep 1000 & ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm; true'
	must rt run -b "$B" "$C"
	[ "$(head -n1 <<<"$out")" -le 4 ]
	is "$(tail -n1 <<<"$out")" sh
}

@test "a new network namespace has lo, and nothing of the host's network" {
	inside . 'ls /sys/class/net; cat /proc/net/route | wc -l; ip -o link show up | grep -c eth; true'
	is "$(grep -cE '^(eth|en|wl|docker|veth|tap|br)' <<<"$out" || true)" 0
	has_line "$out" lo
}

@test "System V and POSIX queues of the host are not seen" {
	mkdir -p "$T/mq"
	inside . 'ls /dev/mqueue | wc -l; wc -l </proc/sysvipc/shm'
	is "$out" "0
1"
}

@test "the default devices are there, with their numbers, modes and working" {
	inside . 'for d in null zero full random urandom tty; do stat -c "%n %t:%T %a" /dev/$d; done
		echo x >/dev/null && head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x 2>/dev/null >/dev/full || echo full'
	is "$out" "/dev/null 1:3 666
/dev/zero 1:5 666
/dev/full 1:7 666
/dev/random 1:8 666
/dev/urandom 1:9 666
/dev/tty 5:0 666
3
5
full"
}

@test "the standard symbolic links are in /dev" {
	inside . 'for l in fd stdin stdout stderr ptmx; do echo "$l $(readlink /dev/$l)"; done; echo through >/dev/stdout'
	has_line "$out" "fd /proc/self/fd"
	has_line "$out" "stdin /proc/self/fd/0"
	has_line "$out" "stdout /proc/self/fd/1"
	has_line "$out" "stderr /proc/self/fd/2"
	matches "$out" 'ptmx (/dev/)?pts/ptmx'
	has_line "$out" through
}

@test "devices of config.json are made with their type, number, mode and owner" {
	inside '.linux.devices = [{path: "/dev/mynull", type: "c", major: 1, minor: 3, fileMode: 384, uid: 12, gid: 34}, {path: "/dev/deep/zero", type: "c", major: 1, minor: 5}, {path: "/dev/afifo", type: "p", fileMode: 420}]
		| .linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 3, access: "rwm"}]' \
		'stat -c "%n %F %t:%T %a %u:%g" /dev/mynull /dev/deep/zero; stat -c "%F %a" /dev/afifo; echo x >/dev/mynull && echo wrote'
	has_line "$out" "/dev/mynull character special file 1:3 600 12:34"
	has "$out" "/dev/deep/zero character special file 1:5"
	has_line "$out" "fifo 644"
	has_line "$out" wrote
}

@test "device rules hold inside: what is denied cannot be opened although its node can be made" {
	inside '.linux.resources.devices = [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 1, minor: 5, access: "r"}, {allow: true, type: "c", access: "m"}]' \
		'mknod /dev/mem c 1 1 && echo made; mknod /dev/kmsg c 1 11; head -c 1 /dev/kmsg 2>/dev/null | wc -c; head -c 1 /dev/mem 2>&1 | grep -ci "not permitted"; echo x 2>/dev/null >/dev/kmsg || echo denied'
	has_line "$out" made
	has_line "$out" denied
	is "$(sed -n 2p <<<"$out")" 0
}

@test "with CAP_MKNOD device nodes can be made in the root file system" {
	not_husk "a node in a shared folder would be one of the host's; /dev is the guest's (docs/config.md)"
	inside . 'mknod /tmp/zero c 1 5 && stat -c %t:%T /tmp/zero'
	is "$out" 1:5
}

@test "a device that no guest can have is an error that names it, or is skipped" {
	husk_only "with one kernel every device can be named"
	given '.process.args = ["true"] | .linux.devices = [{path: "/dev/strange0", type: "c", major: 240, minor: 7}]'
	try rt run -b "$B" "$C"
	[ $rc -eq 0 ] || has "$err" /dev/strange0
}

@test "sysctls are set, and of the container's namespaces" {
	inside '.linux.sysctl = {"net.ipv4.ip_forward": "1", "net.ipv4.ping_group_range": "0 1000", "kernel.msgmax": "12345", "net.ipv4.ip_unprivileged_port_start": "0"}' \
		'cd /proc/sys; cat net/ipv4/ip_forward kernel/msgmax net/ipv4/ip_unprivileged_port_start; tr "\t" " " <net/ipv4/ping_group_range'
	is "$out" "1
12345
0
0 1000"
}

@test "a sysctl that does not exist is an error that names it" {
	given '.process.args = ["true"] | .linux.sysctl = {"net.no_such.key": "1"}'
	must_fail rt run -b "$B" "$C"
	has "$err" no_such
	try rt delete --force "$C"
	no_leaks
}

@test "masked paths are empty: files read as nothing, directories have no entries, missing ones do no harm" {
	bundle
	mkdir -p "$B/rootfs/hidden/dir"
	echo secret >"$B/rootfs/hidden/file"
	echo secret >"$B/rootfs/hidden/dir/file"
	inside '.linux.maskedPaths += ["/hidden/file", "/hidden/dir", "/no/such/path"]' 'wc -c </hidden/file; ls -A /hidden/dir | wc -l; head -c 10 /proc/kcore | wc -c; touch /hidden/dir/x 2>/dev/null || echo ro; ls -A /sys/firmware | wc -l'
	is "$out" "0
0
0
ro
0"
	is "$(<"$B/rootfs/hidden/file")" secret
}

@test "read-only paths can be read and not written, submounts included" {
	bundle
	mkdir -p "$B/rootfs/fixed"
	echo text >"$B/rootfs/fixed/f"
	inside '.linux.readonlyPaths += ["/fixed", "/no/such/path"] | .mounts += [{destination: "/fixed/t", type: "tmpfs", source: "x"}]' \
		'cat /fixed/f; echo x 2>/dev/null >/fixed/f || echo no; touch /fixed/t/y 2>/dev/null && echo tmpfs; echo 1 2>/dev/null >/proc/sys/kernel/domainname || echo no; cat /proc/sys/kernel/hostname'
	is "$(head -n2 <<<"$out")" "text
no"
	has_line "$out" bats
}

@test "a read-only root cannot be written, the mounts in it can" {
	inside '.root.readonly = true | .mounts += [{destination: "/tmp", type: "tmpfs", source: "x"}]' 'touch /x 2>/dev/null || echo no; touch /tmp/x && echo yes; touch /dev/shm/x && echo yes; cat /proc/self/mountinfo'
	is "$(head -n3 <<<"$out")" "no
yes
yes"
	matches "$(awk '$5 == "/" { print $6 }' <<<"$out" | tail -n1)" '^ro'
	[ ! -e "$B/rootfs/x" ]
}

@test "the root is the container's: nothing of the host is reachable above it" {
	inside . 'ls -A / | tr "\n" " "; echo; ls -A /../../.. | tr "\n" " "; echo; ls -A /proc/1/root/.. | tr "\n" " "; echo; cat /proc/self/mountinfo >/mounts; stat -c %d:%i / /.. | uniq | wc -l'
	is "$(sed -n 1p <<<"$out")" "$(sed -n 2p <<<"$out")"
	is "$(sed -n 1p <<<"$out")" "$(sed -n 3p <<<"$out")"
	has "$(sed -n 1p <<<"$out")" "bin dev etc home"
	is "$(sed -n 4p <<<"$out")" 1
	# every mount that is there is one of config.json's, of the masked and read-only paths, or the root
	is "$(awk '{ print $5 }' "$B/rootfs/mounts" | grep -vE '^/(proc|dev|sys)(/|$)|^/$' || true)" ""
}

@test "rootfsPropagation is what the container's root has" {
	for p in private slave shared; do
		given ".linux.rootfsPropagation = \"$p\""
		inside . 'cat /proc/self/mountinfo'
		t=$(awk '$5 == "/" { print $7 }' <<<"$out" | tail -n1)
		case $p in
		private) is "$t" - ;;
		# runc 1.1 applies it before pivot_root, where it is lost
		shared) if is_husk; then matches "$t" '^shared:'; fi ;;
		slave) matches "$t" '^(master:|-$)' ;;
		esac
	done
}

@test "an unknown rootfsPropagation is refused" {
	given '.process.args = ["true"] | .linux.rootfsPropagation = "nosuch"'
	must_fail rt run -b "$B" "$C"
	has "$err" nosuch
}

# ---- cgroup limits ----

@test "limits of memory, processes and CPU are in the container's cgroup files" {
	need_cgroup2
	inside '.linux.resources += {memory: {limit: 134217728, reservation: 67108864, swap: 201326592}, pids: {limit: 123}, cpu: {shares: 2048, quota: 40000, period: 80000}}' \
		'cd /sys/fs/cgroup; cat memory.max memory.low pids.max cpu.max cpu.weight; cat memory.swap.max 2>/dev/null || echo none'
	matches "$out" "^134217728
67108864
123
40000 80000
(79|174)
(67108864|none)\$"
}

@test "on the host, too, the container's cgroup bounds it" {
	need_cgroup2
	container '.linux.resources += {memory: {limit: 134217728}, cpu: {quota: 40000, period: 80000}}' 'sleep 1000'
	launch
	is "$(cgroup_file cpu.max)" "40000 80000"
	m=$(cgroup_file memory.max)
	# a VM needs something on top of what the container may use; not much
	[ "$m" -ge $((128 * MIB)) ] && [ "$m" -le $((256 * MIB)) ]
}

@test "without limits the files say so" {
	need_cgroup2
	inside . 'cd /sys/fs/cgroup; cat memory.max pids.max cpu.max'
	is "$out" "max
max
max 100000"
}

@test "docker's zeros and -1 mean no limit" {
	need_cgroup2
	inside '.linux.resources += {memory: {limit: -1, swap: -1, disableOOMKiller: false}, cpu: {shares: 0, quota: 0, period: 0, cpus: "", mems: ""}, blockIO: {weight: 0}, pids: {limit: -1}}' 'cd /sys/fs/cgroup; cat memory.max pids.max cpu.max'
	is "$out" "max
max
max 100000"
}

@test "the limit of processes is enforced" {
	need_cgroup2
	inside '.linux.resources.pids = {limit: 20}' 'inside forks 50'
	fact forks_error EAGAIN
	[ "$(fact_value forks)" -le 19 ] && [ "$(fact_value forks)" -ge 15 ]
}

@test "a program that takes more memory than the limit is killed for it, the container is not" {
	need_cgroup2
	inside '.linux.resources.memory = {limit: 67108864, swap: 67108864}' 'inside alloc 30; inside alloc 300; echo "status=$?"; grep ^oom_kill /sys/fs/cgroup/memory.events'
	has_line "$out" alloc=ok
	fact status 137
	matches "$(tail -n1 <<<"$out")" 'oom_kill(_group)? [1-9]'
}

@test "when the first process is killed for memory, the container ends with 137" {
	need_cgroup2
	given '.linux.resources.memory = {limit: 67108864, swap: 67108864} | .process.args = ["inside", "alloc", "300"]'
	try rt run -b "$B" "$C"
	is "$rc" 137
}

@test "a small memory limit, as 32 MiB, is enough for a container to start" {
	need_cgroup2
	inside '.linux.resources.memory = {limit: 33554432}' 'cat /sys/fs/cgroup/memory.max; echo started'
	is "$out" "33554432
started"
}

@test "unified: files of the container's cgroup are written as they are" {
	need_cgroup2
	inside '.linux.resources.unified = {"memory.high": "50331648", "pids.max": "99"}' 'cat /sys/fs/cgroup/memory.high /sys/fs/cgroup/pids.max'
	is "$out" "50331648
99"
}

@test "unified: a file name with a slash, or of no controller, is refused" {
	need_cgroup2
	for k in ../cgroup.procs nosuch.max; do
		given '.process.args = ["true"] | .linux.resources.unified = {($k): "1"}' --arg k "$k"
		must_fail rt run -b "$B" "$C"
		try rt delete --force "$C"
	done
	no_leaks
}

@test "the cgroup is at cgroupsPath, also when that is relative or deep" {
	need_cgroup2
	container ".linux.cgroupsPath = \"${CG#/}deep/er\"" 'sleep 1000'
	launch
	is "$(sed -n 's/^0:://p' "/proc/$PID/cgroup")" "${CG}deep/er"
	must rt delete --force "$C"
	rmdir "/sys/fs/cgroup${CG}deep"
}

@test "a cgroupsPath that climbs out stays below the cgroup root" {
	need_cgroup2
	container ".linux.cgroupsPath = \"/../../../..${CG}up\"" 'echo ran'
	try rt run -b "$B" "$C"
	[ $rc -ne 0 ] || is "$out" ran
	[ ! -e "${CG}up" ] && [ ! -e "/sys${CG}up" ] && [ ! -e "/sys/fs${CG}up" ]
}

# ---- user and time namespaces, ids ----

userns() {
	given '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 65536}]'
	chown -R 100000:200000 "$B/rootfs"
	chmod 755 "$T" "$B"
	chmod o+x "$SUITE" "$ROOT" 2>/dev/null || true
}

@test "a user namespace has the maps of config.json, and root in it owns the root file system" {
	userns
	inside . 'tr -s " " </proc/self/uid_map; tr -s " " </proc/self/gid_map; id -u; stat -c "%u %g" /bin; touch /made; inside try settime'
	has_line "$out" " 0 100000 65536"
	has_line "$out" " 0 200000 65536"
	has_line "$out" 0
	has_line "$out" "0 0"
	fact settime EPERM
	is "$(stat -c '%u %g' "$B/rootfs/made")" "100000 200000"
}

@test "what a user namespace does not map belongs to nobody" {
	userns
	mkdir "$T/vol"
	chown 7:7 "$T/vol"
	inside ".mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\"]}]" 'stat -c "%u %g" /vol; touch /vol/x 2>/dev/null || echo no; chown 5:5 /vol 2>/dev/null || echo no'
	is "$out" "65534 65534
no
no"
}

@test "a user namespace takes a bind with the flags that its source has on the host, as Docker repeats them" {
	local flags
	userns
	mkdir "$T/vol"
	for flags in noatime relatime; do
		mount -t tmpfs -o "nosuid,nodev,$flags,mode=755,uid=100000,gid=200000" none "$T/vol"
		inside ".mounts = [.mounts[] | select(.destination != \"/vol\")] + [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\",
			options: [\"rbind\", \"rprivate\", \"nosuid\", \"nodev\", \"$flags\"]}]" 'touch /vol/x && echo made; grep -c " /vol .*nosuid,nodev" /proc/mounts'
		is "$out" $'made\n1'
		umount "$T/vol"
	done
}

@test "exec in a container with a user namespace is in it" {
	userns
	container . 'sleep 1000'
	launch
	must rt exec -u 5:6 "$C" sh -c 'id -u; id -g; tr -s " " </proc/self/uid_map'
	is "$out" "5
6
 0 100000 65536"
}

@test "a user namespace without mappings is refused" {
	given '.process.args = ["true"] | .linux.namespaces += [{type: "user"}]'
	must_fail rt run -b "$B" "$C"
	try rt delete --force "$C"
	no_leaks
}

@test "time namespaces offset the clocks that they can" {
	runtime_at_least runc 1.2 "time namespaces"
	inside '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {monotonic: {secs: 100000, nanosecs: 0}, boottime: {secs: 200000, nanosecs: 5}}' 'inside clock; cat /proc/self/timens_offsets'
	[ "$(fact_value monotonic_s)" -ge 100000 ]
	[ "$(fact_value boottime_s)" -ge 200000 ]
}

@test "an unknown or doubled namespace is refused" {
	given '.process.args = ["true"] | .linux.namespaces += [{type: "nosuch"}]'
	must_fail rt run -b "$B" "$C"
	has "$err" nosuch
	given '.linux.namespaces |= map(select(.type != "nosuch")) + [{type: "ipc"}]'
	must_fail rt run -b "$B" "$C"
}

@test "a hostname without a uts namespace is refused" {
	given '.process.args = ["true"] | .linux.namespaces |= map(select(.type != "uts"))'
	must_fail rt run -b "$B" "$C"
	has "$err" hostname
}

@test "a namespace path that does not exist or is of another kind is an error that names it" {
	given '.process.args = ["true"] | (.linux.namespaces[] | select(.type == "network")).path = "/proc/self/ns/no-such"'
	must_fail rt run -b "$B" "$C"
	has "$err" no-such
	given '(.linux.namespaces[] | select(.type == "network")).path = "/proc/1/ns/uts"'
	must_fail rt run -b "$B" "$C"
	try rt delete --force "$C"
	no_leaks
}
