#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec and features: what the runtime says of itself is what it does.

load lib/common

@test "spec writes a config.json that is complete JSON and that the runtime itself runs" {
	bundle
	rm "$B/config.json"
	must rt spec -b "$B"
	is "$(jq -r '.process.args | join(" ")' "$B/config.json")" sh
	is "$(jq -r '.process.terminal' "$B/config.json")" true
	is "$(jq -r '.process.cwd' "$B/config.json")" /
	is "$(jq -r '.root.path' "$B/config.json")" rootfs
	is "$(jq -r '.root.readonly' "$B/config.json")" true
	container '.process.terminal = false' 'echo ran; touch /x'
	try rt run -b "$B" "$C"
	has "$out" ran
	has "$err" 'Read-only file system'
}

@test "spec writes into the current directory unless told otherwise, and never over a file that is there" {
	bundle
	cd "$B"
	must_fail rt spec
	has "$err" "exist"
	cmp config.json "$TESTS/lib/config.json"
	rm config.json
	must rt spec
	jq -e .ociVersion config.json >/dev/null
}

@test "features is JSON alone on stdout, with the versions and the lists that engines read" {
	must rt features
	is "$err" ""
	matches "$(jq -r .ociVersionMin <<<"$out")" '^1\.0\.'
	matches "$(jq -r .ociVersionMax <<<"$out")" '^1\.[0-9]+\.'
	is "$(jq -c '.hooks | sort' <<<"$out")" '["createContainer","createRuntime","poststart","poststop","prestart","startContainer"]'
	is "$(jq -c '[.linux.namespaces | sort | .[] | select(IN("cgroup", "ipc", "mount", "network", "pid", "user", "uts"))]' <<<"$out")" '["cgroup","ipc","mount","network","pid","user","uts"]'
	is "$(jq '.linux.capabilities | index("CAP_SYS_ADMIN") != null' <<<"$out")" true
	is "$(jq '.linux.cgroup.v2' <<<"$out")" true
	is "$(jq '.linux.seccomp.enabled' <<<"$out")" true
	is "$(jq '.linux.seccomp.archs | index("SCMP_ARCH_X86_64") != null' <<<"$out")" true
}

@test "every mount option that features lists is taken" {
	must rt features
	# left out: what means something else on a tmpfs; "defaults", which runc 1.1 lists and hands on to the kernel
	opts=$(jq -c '[.mountOptions[] | select(IN("defaults", "bind", "rbind", "remount", "mand", "idmap", "ridmap", "rro", "acl", "noacl",
		"iversion", "silent", "loud", "unbindable", "runbindable", "tmpcopyup") | not)]' <<<"$out")
	[ "$(jq length <<<"$opts")" -gt 30 ]
	given '.mounts += [$opts[] | {destination: "/m/\(.)", type: "tmpfs", source: "tmpfs", options: [.]}] |
		.process.args = ["/bin/sh", "-c", "grep -c \" /m/\" /proc/self/mountinfo"]' --argjson opts "$opts"
	must rt run -b "$B" "$C"
	is "$out" "$(jq length <<<"$opts")"
}

@test "every capability that features lists can be given" {
	must rt features
	caps=$(jq -c .linux.capabilities <<<"$out")
	given '.process.capabilities = {bounding: $caps, effective: $caps, permitted: $caps} | .process.args = ["inside", "facts"]' --argjson caps "$caps"
	must rt run -b "$B" "$C"
	n=$(jq length <<<"$caps")
	v=$((0x$(fact_value cap_effective)))
	bits=0
	while [ $v -ne 0 ]; do bits=$((bits + (v & 1))) v=$((v >> 1)); done
	# a list may name more capabilities than the kernel at hand has
	[ $bits -le "$n" ] && [ $bits -ge 38 ]
}

@test "checkpoint and restore fail with a message, not silently" {
	container . 'sleep 1000'
	launch
	must_fail rt checkpoint --image-path "$T/image" "$C"
	[ -n "$err" ]
	is "$(status_of)" running
}
