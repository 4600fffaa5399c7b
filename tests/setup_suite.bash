# SPDX-License-Identifier: Apache-2.0
#
# Once per run of the suite: finds the runtime, makes the folder on a real file system in which
# all tests work, and a root file system of busybox and the probe programs that each test copies.
# At the end nothing of it may remain.

setup_suite() {
	local tools=${HUSK_TEST_TOOLS:-$PWD/build/tests/tools} t
	local here
	here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
	[ -d "$tools" ] || tools=$here/../build/tests/tools
	for t in inside stream shim leaks recvtty dirwatch pidtake netpeer; do
		[ -x "$tools/$t" ] || { echo "$tools/$t is missing: make test-tools"; return 1; }
	done
	[ "$(id -u)" = 0 ] || { echo "the suite needs root (tests/run-bats runs it in the KVM host)"; return 1; }

	RUNTIME=${RUNTIME:-husk}
	case $RUNTIME in
	husk) RUNTIME_BIN=$(readlink -f "$here/../build/husk") ;;
	*) RUNTIME_BIN=$(command -v "$RUNTIME") ;;
	esac
	[ -x "$RUNTIME_BIN" ] || { echo "no runtime $RUNTIME"; return 1; }
	case ${RUNTIME_BIN##*/} in
	husk*) RUNTIME_KIND=husk ;;
	crun*) RUNTIME_KIND=crun ;;
	*) RUNTIME_KIND=runc ;;
	esac
	RUNTIME_VERSION=$("$RUNTIME_BIN" --version | sed -n '1s/.*version //p')
	CGROUP_MODE=v1
	[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && CGROUP_MODE=v2
	HUSK_TEST_TOOLS=$(readlink -f "$tools")
	SUITE=$(mktemp -d /var/tmp/husk-bats.XXXXXX)
	TESTS=$here
	: "${BATS_TEST_TIMEOUT:=120}" "${HUSK_TEST_SLOW:=2}"
	export RUNTIME RUNTIME_BIN RUNTIME_KIND RUNTIME_VERSION CGROUP_MODE HUSK_TEST_TOOLS SUITE TESTS
	export BATS_TEST_TIMEOUT HUSK_TEST_SLOW
	make_rootfs "$SUITE/rootfs"
	echo "# $RUNTIME_BIN $RUNTIME_VERSION, kernel $(uname -r), cgroup $CGROUP_MODE" >&3
}

make_rootfs() {
	local r=$1 a
	mkdir -p "$r"/{bin,dev,etc,home/user,mnt,proc,root,sys,tmp,usr/bin,usr/sbin,sbin,var/tmp}
	chmod 1777 "$r/tmp" "$r/var/tmp"
	cp /bin/busybox "$r/bin/busybox"
	cp "$HUSK_TEST_TOOLS/inside" "$HUSK_TEST_TOOLS/stream" "$r/bin/"
	for a in sh cat chmod chown cp cut date dd df du echo env expr false find grep head hostname id \
		ifconfig ip kill ln ls mkdir mkfifo mknod mount mv nc nproc od ping printenv ps pwd readlink \
		rm rmdir route sed seq setsid sha256sum sleep sort stat stty sync tail tar tee test timeout \
		touch tr true tty umount uname uniq usleep vi wc wget whoami yes chroot; do
		ln -s busybox "$r/bin/$a"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >"$r/etc/passwd"
	printf 'root:x:0:\ntty:x:5:\nuser:x:1000:\n' >"$r/etc/group"
	chown 1000:1000 "$r/home/user"
	printf 'not an executable format\n' >"$r/bin/garbage"
	printf '#!/no/such/interpreter\n' >"$r/bin/badscript"
	printf '#!/bin/sh\necho script "$@"\n' >"$r/bin/script"
	printf '#!/bin/sh\n' >"$r/bin/notexecutable"
	chmod 755 "$r/bin/garbage" "$r/bin/badscript" "$r/bin/script"
	chmod 644 "$r/bin/notexecutable"
}

# A test that was ended by its time limit had no teardown of its own: do it here.
teardown_suite() {
	local d id
	[ -n "${SUITE:-}" ] || return 0
	for d in "$SUITE"/hb*/state; do
		[ -d "$d" ] || continue
		for id in "$d"/*/; do
			[ -d "$id" ] || continue
			"$RUNTIME_BIN" --root "$d" delete --force "$(basename "$id")" >/dev/null 2>&1 3>&-
		done
	done
	rmdir /sys/fs/cgroup/husk-bats 2>/dev/null
	rm -rf --one-file-system "$SUITE" || { echo "# cannot remove $SUITE" >&3; return 1; }
}
