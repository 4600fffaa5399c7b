#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# husk install and uninstall: on files below a root of their own; no VM, no engine runs.

# bats file_tags=quick

load ../lib/common

local_setup() {
	husk_only "other runtimes have no such verb"
	R=$T/root
	J=$R/etc/docker/daemon.json
	K=$R/etc/containerd/config.toml
	P=$R/etc/containers/containers.conf.d/husk.conf
	mkdir -p "$R/etc/docker" "$R/etc/containerd" "$R/etc/containers" "$R/usr/local/bin"
	printf '#!/bin/sh\n' >"$R/usr/local/bin/husk"
	chmod 755 "$R/usr/local/bin/husk"
}

add() { must rt install --root "$R" --path /usr/local/bin/husk "$@"; }
no_add() {
	must_fail rt install --root "$R" --path /usr/local/bin/husk "$@"
	has "$err" "nothing was changed"
}
drop() { must rt uninstall --root "$R" "$@"; }

# there_and_back FILE ENGINE: install changes the file, uninstall makes it what it was, and leaves no copy
there_and_back() {
	cp "$1" "$T/was"
	add "$2"
	! cmp -s "$1" "$T/was"
	drop "$2"
	cmp "$1" "$T/was"
	[ ! -e "$1.before-husk" ]
}

@test "docker: without a file one is made, and uninstall takes it away again" {
	add docker
	is "$(jq -c . "$J")" '{"runtimes":{"husk":{"path":"/usr/local/bin/husk"}}}'
	has "$out" '+    "runtimes": {'
	has "$out" "systemctl reload docker"
	is "$(stat -c %a "$J")" 644
	drop docker
	[ ! -e "$J" ]
	add docker
}

@test "docker: other members, their order and layout stay; what husk did not write is kept byte for byte" {
	for doc in '{}' ' { } ' '{"debug":true}' $'{\n\t"debug": true\n}\n' $'{\n  "runtimes": {},\n  "a": "}"\n}' \
		$'{\n  "runtimes": {\n    "other": {"path": "/x", "runtimeArgs": ["}", "\\"{"]}\n  },\n  "log-opts": {"tag": "{{.ID}}"}\n}\n'; do
		printf '%s' "$doc" >"$J"
		jq -S 'del(.runtimes.husk)' "$J" >"$T/a"
		there_and_back "$J" docker
		add docker
		is "$(jq -r .runtimes.husk.path "$J")" /usr/local/bin/husk
		# the same without the copy: only husk's lines are gone
		rm "$J.before-husk"
		drop docker
		is "$(jq -cS 'if .runtimes == {} then del(.runtimes) else . end' "$J")" \
			"$(jq -cS 'if .runtimes == {} then del(.runtimes) else . end' "$T/was")"
	done
}

@test "a second install changes nothing; another path replaces the first; uninstall still gives the first state back" {
	printf '{\n    "debug": true\n}\n' >"$J"
	printf 'version = 2\n' >"$K"
	cp "$J" "$T/j"
	cp "$K" "$T/k"
	add
	cp "$J" "$T/j1"
	add
	has "$out" "registered already"
	cmp "$J" "$T/j1"
	cp "$R/usr/local/bin/husk" "$R/usr/local/bin/newer"
	must rt install --root "$R" --path /usr/local/bin/newer docker containerd podman
	is "$(jq -r .runtimes.husk.path "$J")" /usr/local/bin/newer
	has "$(<"$K")" 'BinaryName = "/usr/local/bin/newer"'
	has "$(<"$P")" '["/usr/local/bin/newer"]'
	cmp "$J.before-husk" "$T/j"
	drop
	cmp "$J" "$T/j"
	cmp "$K" "$T/k"
	[ ! -e "$P" ]
	drop
	has "$out" "nothing to do"
}

@test "what was changed after install stays: only husk's entry goes, and the old copy is named" {
	printf '{\n    "debug": true\n}\n' >"$J"
	add docker
	sed -i 's/true/false/' "$J"
	drop docker
	is "$(jq -c . "$J")" '{"debug":false}'
	has "$out" "$J.before-husk"
	printf 'version = 2\n' >"$K"
	add containerd
	printf '\n[grpc]\n  gid = 7\n' >>"$K"
	drop containerd
	is "$(grep . "$K")" $'version = 2\n[grpc]\n  gid = 7'
}

@test "--dry-run shows the difference as patch reads it, and writes nothing" {
	printf '{\n    "debug": true\n}\n' >"$J"
	cp "$J" "$T/was"
	add --dry-run docker podman
	has "$out" "not written"
	cmp "$J" "$T/was"
	[ ! -e "$P" ] && [ ! -e "$J.before-husk" ]
	add --dry-run docker
	patch -s "$J" <<<"$out"
	is "$(jq -r .runtimes.husk.path "$J")" /usr/local/bin/husk
}

@test "docker: a document that husk does not understand is refused and stays as it is" {
	for doc in '{' '[]' '{"runtimes": []}' '{"runtimes": {"husk": []}}' '{"runtimes": {"husk": {}}}' '{"runtimes": {"husk": null}}' \
		'{"runtimes": {}, "runtimes": {}}' '{"runtime\u0073": {}}' '{"a": 1} x' '{/* comment */}'; do
		printf '%s' "$doc" >"$J"
		no_add docker
		is "$(<"$J")" "$doc"
	done
	printf '{\0}' >"$J"
	no_add docker
	rm "$J"
	ln -s elsewhere "$J"
	no_add docker
	has "$err" "regular file"
	[ -L "$J" ]
}

@test "one engine's strange file keeps the others from being changed, too" {
	printf '{}' >"$J"
	printf 'version = 1\n' >"$K"
	no_add docker containerd
	is "$(<"$J")" "{}"
	[ ! -e "$J.before-husk" ]
}

@test "containerd: versions 2 and 3 get their plugin's table; cgroups are made by whom runc's are" {
	cat >"$K" <<-'EOT'
		# a comment with [brackets] = "and quotes
		version = 2
		imports = ["a", # why
		  'b']
		[plugins."io.containerd.grpc.v1.cri"]
		  text = """
		[not.a.table]
		"""
		  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		    SystemdCgroup = true
	EOT
	there_and_back "$K" containerd
	add containerd
	has "$(<"$K")" '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.husk.options]'
	is "$(grep -c 'SystemdCgroup = true' "$K")" 2
	has "$out" "systemctl restart containerd"
	rm "$K.before-husk"
	drop containerd
	cmp "$K" "$T/was"
	printf "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\n  x = {a = 1}" >"$K"
	there_and_back "$K" containerd
	add containerd
	has "$(<"$K")" '[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.husk]'
	rm "$K" "$K.before-husk"
	add containerd
	has "$(<"$K")" "version = 2"
}

@test "containerd: what a table cannot be added to, and what is no TOML, is refused" {
	cri='plugins."io.containerd.grpc.v1.cri"'
	for doc in 'root = "/x"' 'version = 1' 'version = 4' "version = 2
[$cri]
containerd = { a = 1 }" "version = 2
[$cri]
containerd.runtimes.runc.x = 1" "version = 2
plugins = {}" "version = 2
[[$cri.containerd.runtimes]]
a = 1" "version = 2
[$cri.containerd.runtimes.husk]
runtime_type = 'x'" 'version = 2
[a' 'version = 2
a = "x' 'version = 2
a = [1' 'version = 2
a = 1 2' 'version = 2
= 1' 'version = 2
"k\u0065y" = 1'; do
		printf '%s\n' "$doc" >"$K"
		no_add containerd
		is "$(<"$K")" "$doc"
	done
	matches "$err" "line 2"
}

@test "podman: a drop-in of its own; somebody else's file there, or an entry in the main file, is refused" {
	add podman
	is "$(<"$P")" $'[engine.runtimes]\nhusk = ["/usr/local/bin/husk"]'
	printf '[engine]\nruntime = "crun"\n' >"$P"
	no_add podman
	is "$(<"$P")" $'[engine]\nruntime = "crun"'
	must_fail rt uninstall --root "$R" podman
	rm "$P"
	printf '[engine.runtimes]\nhusk = ["/elsewhere"]\n' >"$R/etc/containers/containers.conf"
	no_add podman
	has "$err" "line 2"
}

@test "uninstall is refused while husk is an engine's default, because the engine would not start" {
	add docker containerd podman
	jq '."default-runtime" = "husk"' "$J" >"$T/j" && cp "$T/j" "$J"
	must_fail rt uninstall --root "$R" docker
	has "$err" "default-runtime"
	cmp "$J" "$T/j"
	sed -i '1i version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "husk"' "$K"
	sed -i '4,$ { /^version/d }' "$K"
	must_fail rt uninstall --root "$R" containerd
	has "$err" "default_runtime_name"
	printf '[engine]\nruntime = "husk"\n' >"$R/etc/containers/containers.conf"
	must_fail rt uninstall --root "$R" podman
	has "$err" "line 2"
	[ -e "$P" ]
}

@test "without a name: the engines that are there; a program that is not there, or cannot be written down, is refused" {
	rm -r "$R/etc"
	must_fail rt install --root "$R" --path /usr/local/bin/husk
	has "$err" "is installed"
	mkdir -p "$R/usr/bin"
	touch "$R/usr/bin/podman"
	add
	[ -e "$P" ] && [ ! -e "$J" ] && [ ! -e "$K" ]
	must_fail rt install --root "$R" --path /no/such/husk docker
	has "$err" "no such file"
	must_fail rt install --root "$R" --path 'relative' docker
	has "$err" "absolute"
	must_fail rt install --root "$R" --path '/a"b' docker
	must_fail rt install --root "$R" kubernetes
	has "$err" "docker, containerd and podman"
}

@test "mode and owner of a file stay" {
	printf '{}' >"$J"
	chmod 640 "$J"
	chown 0:5 "$J"
	add docker
	is "$(stat -c '%a %g' "$J" "$J.before-husk")" $'640 5\n640 5'
	drop docker
	is "$(stat -c '%a %g' "$J")" "640 5"
}

@test "the engines themselves take what install wrote" {
	command -v containerd podman >/dev/null || skip "no containerd or podman on this machine"
	printf 'version = 2\n' >"$K"
	mkdir -p "$R${RUNTIME_BIN%/*}"
	cp "$R/usr/local/bin/husk" "$R$RUNTIME_BIN"
	must rt install --root "$R" --path "$RUNTIME_BIN" containerd podman
	must containerd --config "$K" config dump
	has "$out" "BinaryName = \"$RUNTIME_BIN\""
	has "$out" 'runtimes.husk]'
	CONTAINERS_CONF=$P must podman --root "$T/s" --runroot "$T/r" --runtime husk info --format '{{.Host.OCIRuntime.Path}}'
	is "$out" "$RUNTIME_BIN"
}
