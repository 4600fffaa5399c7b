#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# programs: real ones on shares. They come from this host: its /usr is in the container, read-only.

# bats file_tags=slow
load lib/common

export BATS_TEST_TIMEOUT=1500

# A container with this host's programs and $T/vol at /vol that runs the script $1 in bash.
with_programs() {
	local d
	mkdir -p "$B/rootfs" "$T/vol"
	if [ ! -e "$B/config.json" ]; then
		cp "$TESTS/lib/config.json" "$B/config.json"
		for d in bin sbin lib lib64; do ln -s "usr/$d" "$B/rootfs/$d"; done
		for d in usr etc proc dev tmp vol root; do mkdir "$B/rootfs/$d"; done
		cp /etc/passwd /etc/group /etc/ld.so.cache /etc/nsswitch.conf "$B/rootfs/etc/"
		[ ! -d /etc/alternatives ] || cp -a /etc/alternatives "$B/rootfs/etc/"
	fi
	given ".process.args = [\"/bin/bash\", \"-c\", \$script] | .process.cwd = \"/\" |
		.process.env = [\"PATH=/usr/sbin:/usr/bin:/sbin:/bin\", \"HOME=/root\", \"LC_ALL=C\"] |
		.process.capabilities |= map_values(. + [\"CAP_CHOWN\", \"CAP_DAC_OVERRIDE\", \"CAP_FOWNER\", \"CAP_SETUID\", \"CAP_SETGID\"] | unique) |
		.mounts += [{destination: \"/usr\", type: \"bind\", source: \"/usr\", options: [\"rbind\", \"ro\"]},
			{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rw\"]}]" --arg script "set -e; $1"
}

need_programs() {
	local p
	for p in "$@"; do [ -x "$p" ] || command -v "$p" >/dev/null || skip "no $p on this host"; done
}

@test "sqlite's locks hold between two containers that write to one database" {
	need_programs sqlite3
	local k first=$B
	mkdir -p "$T/vol"
	sqlite3 "$T/vol/db" 'CREATE TABLE t (k INTEGER PRIMARY KEY, who TEXT); CREATE TABLE n (v INTEGER); INSERT INTO n VALUES (0)'
	for k in 1 2; do
		B=$first$k
		with_programs 'for i in $(seq 15); do sqlite3 -cmd ".timeout 60000" /vol/db "BEGIN IMMEDIATE; INSERT INTO t (who) VALUES ('"'$k'"'); UPDATE n SET v = v + 1; COMMIT"; done
			touch /vol/done-'$k'; sleep 1000'
		launch "$C$k" "$B"
	done
	poll 300 test -e "$T/vol/done-1"
	poll 300 test -e "$T/vol/done-2"
	is "$(sqlite3 "$T/vol/db" 'SELECT v FROM n; SELECT count(*) FROM t; PRAGMA integrity_check')" "30
30
ok"
}
