#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# dax: files of read-only trees are mapped from the host's page cache.

# bats file_tags=vm
load lib/common

local_setup() { husk_only "DAX is a VM's"; }

# A read-only root with a large file /big, its sum of bytes in $SUM.
readonly_root() {
	bundle
	cp "$TOOLS/maptouch" "$B/rootfs/bin/"
	head -c 5000000 "$HUSK_TREE/build/vmlinux" >"$B/rootfs/big"
	SUM=$(maptouch "$B/rootfs/big")
}

@test "a large file of a read-only root is read without a copy in the guest" {
	readonly_root
	inside '.root.readonly = true' 'maptouch /big; md5sum </big; awk "/^Cached/ { print (\$2 < 3000 ? \"no copy\" : \$0) }" /proc/meminfo'
	is "$out" "$SUM
$(md5sum <"$B/rootfs/big")
no copy"
	inside '.root.readonly = true | .annotations["run.husk.dax"] = "none"' 'maptouch /big; awk "/^Cached/ { print (\$2 < 3000 ? \"no copy\" : \"copy\") }" /proc/meminfo'
	is "$out" "$SUM
copy"
}

# bats test_tags=vm,slow
@test "a read-only volume is mapped when the annotation says all, and what the host writes into it is seen" {
	readonly_root
	mkdir "$T/vol"
	cp "$B/rootfs/big" "$T/vol/big"
	container ".annotations[\"run.husk.dax\"] = \"all\" | .mounts += [{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"ro\"]}]" \
		'maptouch /vol/big /vol/go; sleep 1000'
	launch
	poll 20 grep -q mapped "$T/stdout"
	printf '\001' | dd of="$T/vol/big" bs=1 seek=3000000 conv=notrunc status=none
	touch "$T/vol/go"
	poll 20 sh -c "[ \$(wc -l <'$T/stdout') = 3 ]"
	is "$(tail -n1 "$T/stdout")" "$(maptouch "$T/vol/big")"
}

# bats test_tags=vm,slow
@test "a file cut under its mapping is SIGBUS for the process that touches it, and for nobody else" {
	readonly_root
	container '.root.readonly = true' 'maptouch /big /go; echo "status $?"; dd if=/big of=/dev/null bs=1M 2>/dev/null; echo "read $?"; sleep 1000'
	launch
	poll 20 grep -q mapped "$T/stdout"
	truncate -s 100000 "$B/rootfs/big"
	touch "$B/rootfs/go"
	poll 40 grep -q '^read' "$T/stdout"
	has "$(<"$T/stdout")" "status 135"
	must rt exec "$C" echo alive
	is "$out" alive
}

# bats test_tags=vm,slow
@test "more files than the window holds are mapped one after the other" {
	local k
	readonly_root
	for k in $(seq 100); do head -c 70000 "$HUSK_TREE/build/vmlinux" >"$B/rootfs/f$k"; done
	inside '.root.readonly = true | .annotations["run.husk.memory"] = "128"' 'for k in $(seq 100); do md5sum </f$k; done | sort | uniq -c | awk "{ print \$1 }"; for k in $(seq 100); do maptouch /f$k; done | sort -u | wc -l'
	is "$out" "100
1"
}
