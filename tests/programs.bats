#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# programs: real ones on shares. They come from this host: its /usr is in the container, read-only and mapped by DAX.

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
	given ".annotations[\"run.husk.dax\"] = \"all\" | .process.args = [\"/bin/bash\", \"-c\", \$script] | .process.cwd = \"/\" |
		.process.env = [\"PATH=/usr/sbin:/usr/bin:/sbin:/bin\", \"HOME=/root\", \"LC_ALL=C\"] |
		.process.capabilities |= map_values(. + [\"CAP_CHOWN\", \"CAP_DAC_OVERRIDE\", \"CAP_FOWNER\", \"CAP_SETUID\", \"CAP_SETGID\"] | unique) |
		.mounts += [{destination: \"/usr\", type: \"bind\", source: \"/usr\", options: [\"rbind\", \"ro\"]},
			{destination: \"/vol\", type: \"bind\", source: \"$T/vol\", options: [\"rbind\", \"rw\"]}]" --arg script "set -e; $1"
}

programs() {
	with_programs "$1"
	must rt run -b "$B" "$C"
}

need_programs() {
	local p
	for p in "$@"; do [ -x "$p" ] || command -v "$p" >/dev/null || skip "no $p on this host"; done
}

@test "git clones a tree onto a volume and onto the root, and finds nothing changed" {
	need_programs git
	mkdir -p "$T/vol/tree0"
	cp -r "$HUSK_TREE"/{agent,docs,oci,rootfs,runtime,tests/*.bats,tests/unit,vmm,Makefile,README.md} "$T/vol/tree0"
	git -C "$T/vol/tree0" init -q
	git -C "$T/vol/tree0" add .
	git -C "$T/vol/tree0" -c user.name=x -c user.email=x@x commit -q -m all
	mv "$T/vol/tree0/.git" "$T/vol/origin.git"
	rm -r "$T/vol/tree0"
	programs 'for at in /vol /root; do git config --global --add safe.directory "*"; git clone -q /vol/origin.git $at/tree; cd $at/tree
		git status --porcelain; git fsck --no-progress 2>&1; git ls-files | wc -l; touch Makefile; echo "# more" >>README.md; git status --porcelain; done'
	local n
	n=$(git -C "$T/vol/origin.git" ls-tree -r HEAD | wc -l)
	is "$out" "$n
 M README.md
$n
 M README.md"
	is "$(git -C "$T/vol/tree" -c safe.directory='*' status --porcelain)" " M README.md"
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

@test "PostgreSQL keeps what it has acknowledged when its VM is killed" {
	local bin acked
	bin=$(echo /usr/lib/postgresql/*/bin)
	need_programs "$bin/postgres" "$bin/initdb"
	mkdir -p "$T/vol/run"
	chown 1000:1000 "$T/vol" "$T/vol/run"
	grep -q ':1000:' /etc/passwd || :
	local start="export PGHOST=/vol/run PGUSER=pg PGDATABASE=postgres; $bin/pg_ctl -w -t 300 -D /vol/data -o '-c listen_addresses= -c unix_socket_directories=/vol/run -c fsync=on' -l /vol/log start >/dev/null"
	local user='.process.user = {uid: 1000, gid: 1000}'
	with_programs "$bin/initdb -A trust -U pg --no-locale -E UTF8 -D /vol/data >/vol/initdb.log; $start
		psql -qc 'CREATE TABLE t (k int)'; for i in \$(seq 100000); do psql -qc \"INSERT INTO t VALUES (\$i)\" && echo \$i >>/vol/acked; done"
	echo 'pg:x:1000:1000::/root:/bin/bash' >>"$B/rootfs/etc/passwd"
	given "$user"
	launch
	poll 600 sh -c "[ \"\$(wc -l <'$T/vol/acked')\" -ge 10 ]"
	kill -9 "$PID"
	poll 20 gone "$PID"
	must rt delete --force "$C"
	acked=$(wc -l <"$T/vol/acked")
	rm -f "$T/vol/data/postmaster.pid" "$B/config.json"
	cp "$TESTS/lib/config.json" "$B/config.json"
	with_programs "$start; psql -Atc 'SELECT count(*) >= $acked, count(*) = max(k) FROM t'; $bin/pg_ctl -D /vol/data -m fast stop >/dev/null"
	given "$user"
	must rt run -b "$B" "$C-again"
	is "$out" "t|t"
}

@test "make -j builds a C project on a volume and on the root" {
	need_programs gcc make
	programs 'for at in /vol /root; do mkdir $at/p; cd $at/p
		for i in $(seq 12); do echo "int f$i(int x) { return x + $i; }" >f$i.c; done
		{ for i in $(seq 12); do echo "int f$i(int);"; done; echo "int main(void) { int s = 0;"; for i in $(seq 12); do echo "s = f$i(s);"; done; echo "return s != 78; }"; } >main.c
		printf "p: \$(patsubst %%.c,%%.o,\$(wildcard *.c))\n\t\$(CC) -o \$@ \$^\n" >Makefile
		make -s -j4; ./p && echo works; make -q && echo done; done'
	is "$out" "works
done
works
done"
}

@test "dpkg builds a package and installs it into a root on a volume" {
	need_programs dpkg dpkg-deb
	programs 'mkdir -p /vol/pkg/DEBIAN /vol/pkg/usr/share/x; for i in $(seq 50); do echo $i >/vol/pkg/usr/share/x/$i; done; ln /vol/pkg/usr/share/x/1 /vol/pkg/usr/share/x/hard
		printf "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n" >/vol/pkg/DEBIAN/control
		dpkg-deb --root-owner-group -b /vol/pkg /vol/x.deb >/dev/null
		for at in /vol /root; do mkdir -p $at/r/var/lib/dpkg/updates $at/r/var/lib/dpkg/info; touch $at/r/var/lib/dpkg/status $at/r/var/lib/dpkg/available
		dpkg --root=$at/r --force-not-root,script-chrootless -i /vol/x.deb >/dev/null 2>&1 || dpkg --root=$at/r -i /vol/x.deb
		ls $at/r/usr/share/x | wc -l; stat -c %h $at/r/usr/share/x/1; dpkg --root=$at/r -r x >/dev/null; ls $at/r/usr 2>/dev/null | wc -l; done'
	is "$out" "51
2
0
51
2
0"
}
