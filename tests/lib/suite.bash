# SPDX-License-Identifier: Apache-2.0
#
# What both suites (tests/*.bats and tests/clients/*.bats) do once before their first case: find the
# runtime, and make a root file system of busybox and the probe programs.

# suite_runtime HERE: sets and exports RUNTIME*, CGROUP_MODE, HUSK_TEST_TOOLS, TESTS, SUITE
suite_runtime() {
	local here=$1 tools t
	tools=${HUSK_TEST_TOOLS:-$here/../build/tests/tools}
	for t in inside stream shim leaks recvtty dirwatch pidtake; do
		[ -x "$tools/$t" ] || { echo "$tools/$t is missing: make test-tools"; return 1; }
	done
	[ "$(id -u)" = 0 ] || { echo "the suite needs root (tests/run-bats runs it in the KVM host)"; return 1; }

	RUNTIME=${RUNTIME:-husk}
	case $RUNTIME in
	husk) RUNTIME_BIN=$(readlink -f "$here/../${HUSK_BUILD:-build}/husk") ;;
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
	TESTS=$here
	: "${BATS_TEST_TIMEOUT:=120}" "${HUSK_TEST_SLOW:=2}"
	export RUNTIME RUNTIME_BIN RUNTIME_KIND RUNTIME_VERSION CGROUP_MODE HUSK_TEST_TOOLS TESTS
	export BATS_TEST_TIMEOUT HUSK_TEST_SLOW
	SUITE=$(mktemp -d /var/tmp/husk-bats.XXXXXX)
	export SUITE
	echo "# $RUNTIME_BIN $RUNTIME_VERSION, kernel $(uname -r), cgroup $CGROUP_MODE" >&3
}

make_rootfs() {
	local r=$1 a
	mkdir -p "$r"/{bin,dev,etc,home/user,mnt,proc,root,sys,tmp,usr/bin,usr/sbin,sbin,var/tmp}
	chmod 1777 "$r/tmp" "$r/var/tmp"
	cp /bin/busybox "$r/bin/busybox"
	cp "$HUSK_TEST_TOOLS/inside" "$HUSK_TEST_TOOLS/stream" "$r/bin/"
	for a in sh cat chmod chown chroot cp cut date dd df du echo env expr false find grep head hostname \
		httpd id ifconfig ip kill ln ls mkdir mkfifo mknod mount mv nc nproc nslookup od ping \
		printenv ps pwd readlink rm rmdir route sed seq setsid sha256sum sleep sort stat stty sync \
		tail tar tee test timeout touch tr true tty umount uname uniq usleep vi wc wget whoami yes; do
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
