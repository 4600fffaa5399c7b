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

@test "git clones a tree of a thousand files, sees no change in it, then exactly the changes made; the host agrees" {
	need_programs git
	local d
	mkdir -p "$T/vol/origin"
	(
		cd "$T/vol/origin" || exit
		for d in $(seq 40); do
			mkdir "d$d"
			for f in $(seq 25); do echo "$d $f" >"d$d/f$f"; done
		done
		git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm first
	)
	with_programs 'git config --global --add safe.directory "*"
		cd /vol; git clone -q origin work; cd work
		echo "changes: $(git status --porcelain | wc -l)"
		echo new >d1/f1; rm d2/f2; echo added >d3/new; mv d4/f4 d4/moved
		git status --porcelain --no-renames | sort
		git add -A; git -c user.name=a -c user.email=a@b commit -qm second
		git fsck --full 2>&1 | grep -v "^Checking\|^notice" || true
		echo "files: $(git ls-files | wc -l)"'
	must timeout 1200 "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	is "$out" "changes: 0
 D d2/f2
 D d4/f4
 M d1/f1
?? d3/new
?? d4/moved
files: 1000"
	is "$(git -c safe.directory='*' -C "$T/vol/work" status --porcelain | wc -l)" 0
	is "$(git -c safe.directory='*' -C "$T/vol/work" log --format=%s | tr '\n' ' ')" "second first "
}

@test "what PostgreSQL has committed survives kill -9 of its VM" {
	local dir as i last
	dir=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n1)
	need_programs "${dir:-/usr/lib/postgresql}/postgres"
	as="setpriv --reuid=postgres --regid=postgres --clear-groups"
	mkdir -p "$T/vol/pg" "$T/vol/log"
	chown postgres:postgres "$T/vol/pg" "$T/vol/log"
	chmod o+x "$SUITE" "$T" "$T/vol"
	# on this host: some thousand small writes take emulated guests minutes
	must $as "$dir/initdb" -D "$T/vol/pg" -U pg --no-locale -A trust
	printf '%s\n' 'huge_pages = off' 'shared_buffers = 16MB' 'fsync = on' "listen_addresses = ''" \
		"unix_socket_directories = '/tmp'" >>"$T/vol/pg/postgresql.conf"
	with_programs 'chmod 1777 /tmp; as="'"$as"'"; PATH='"$dir"':$PATH
		$as postgres -D /vol/pg >/vol/log/log 2>&1 &
		until psql -h /tmp -U pg -d postgres -Atc "SELECT 1" >/dev/null 2>&1; do sleep 0.5; done
		psql -h /tmp -U pg -d postgres -Atc "CREATE TABLE IF NOT EXISTS t (k serial PRIMARY KEY, v text)"
		echo "rows $(psql -h /tmp -U pg -d postgres -Atc "SELECT count(*), coalesce(max(k), 0) FROM t")"
		yes "INSERT INTO t (v) VALUES (repeat('"'x'"', 500)) RETURNING k;" | psql -h /tmp -U pg -d postgres -Atq'
	launch
	wait_output '^40$' 600
	kill -9 "$(vmm_of)"
	poll 30 gone "$PID"
	last=$(grep -c '^[0-9][0-9]*$' "$T/stdout")
	must rt delete --force "$C"
	launch
	poll 600 file_has "$T/stdout" '^rows '
	i=$(sed -n 's/^rows \([0-9]*\)|.*/\1/p' "$T/stdout")
	[ "$i" -ge "$last" ] || fail "$last rows were committed, $i are there"
	[ "$i" -le $((last + 1)) ] || fail "$last rows were committed, $i are there"
	file_has "$T/vol/log/log" 'not properly shut down'
	lacks "$(<"$T/vol/log/log")" PANIC
}

@test "a C project is built with make -j, and the second make finds everything up to date" {
	need_programs gcc make
	local k
	mkdir -p "$T/vol/src"
	{
		echo 'all: prog'
		echo 'objs := $(patsubst %.c,%.o,$(wildcard *.c))'
		echo 'prog: $(objs)'
		printf '\tgcc -o $@ $^\n'
		echo '%.o: %.c all.h'
		printf '\tgcc -c -o $@ $<\n'
	} >"$T/vol/src/Makefile"
	for k in $(seq 12); do
		echo "int f$k(void);" >>"$T/vol/src/all.h"
		printf '#include "all.h"\nint f%s(void) { return %s; }\n' "$k" "$k" >"$T/vol/src/f$k.c"
	done
	printf '#include "all.h"\n#include <stdio.h>\nint main(void) { printf("%%d\\n", %s); }\n' \
		"$(printf 'f%s() + ' $(seq 12) | sed 's/ + $//')" >"$T/vol/src/main.c"
	with_programs 'chmod 1777 /tmp; cd /vol/src; make -s -j4; ./prog; make; touch f3.c; make | grep -c "^gcc"'
	must timeout 1200 "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	is "$(head -n1 <<<"$out")" 78
	has "$out" "Nothing to be done for 'all'"
	is "$(tail -n1 <<<"$out")" 2
	is "$("$T/vol/src/prog")" 78
}

@test "dpkg installs, upgrades and removes a package, with links, owners and scripts" {
	need_programs dpkg-deb
	local k v
	for v in 1 2; do
		mkdir -p "$T/vol/p$v"/{DEBIAN,usr/share/thing,etc}
		for k in $(seq 100); do echo "$v $k" >"$T/vol/p$v/usr/share/thing/f$k"; done
		[ $v = 1 ] || rm "$T/vol/p2/usr/share/thing/f7"
		ln "$T/vol/p$v/usr/share/thing/f1" "$T/vol/p$v/usr/share/thing/hard"
		ln -s ../thing/f2 "$T/vol/p$v/usr/share/thing/soft"
		echo config >"$T/vol/p$v/etc/thing.conf"
		printf 'Package: thing\nVersion: %s\nArchitecture: all\nMaintainer: a <a@b>\nDescription: thing\n' $v >"$T/vol/p$v/DEBIAN/control"
		echo /etc/thing.conf >"$T/vol/p$v/DEBIAN/conffiles"
		printf '#!/bin/sh\nchown 12:34 "$DPKG_ROOT/usr/share/thing/f3"\n' >"$T/vol/p$v/DEBIAN/postinst"
		chmod 755 "$T/vol/p$v/DEBIAN/postinst"
		dpkg-deb -b --root-owner-group "$T/vol/p$v" "$T/vol/thing_$v.deb" >/dev/null
	done
	with_programs 'mkdir -p /vol/sys/var/lib/dpkg/info /vol/sys/var/lib/dpkg/updates; touch /vol/sys/var/lib/dpkg/status /vol/sys/var/lib/dpkg/available
		i="dpkg --root=/vol/sys --force-script-chrootless"; cd /vol/sys
		$i -i /vol/thing_1.deb >/dev/null; cat usr/share/thing/f7; stat -c "%u:%g %h" usr/share/thing/f3 usr/share/thing/f1; readlink usr/share/thing/soft
		$i -i /vol/thing_2.deb >/dev/null; cat usr/share/thing/f8; ls usr/share/thing | wc -l; [ ! -e usr/share/thing/f7 ] && echo gone
		dpkg --root=/vol/sys --verify thing; dpkg-query --admindir=/vol/sys/var/lib/dpkg -W -f "\${Status} \${Version}\n" thing
		$i -P thing >/dev/null; find usr etc -type f | wc -l'
	must timeout 1200 "$RUNTIME_BIN" --root "$ROOT" run -b "$B" "$C"
	is "$out" "1 7
12:34 1
0:0 2
../thing/f2
2 8
101
gone
install ok installed 2
0"
}
