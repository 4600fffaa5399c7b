# SPDX-License-Identifier: Apache-2.0
#
# Once per run of the suite: finds the runtime, makes the folder on a real file system in which
# all tests work, and a root file system of busybox and the probe programs that each test copies.
# At the end nothing of it may remain.

setup_suite() {
	local here
	here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
	# shellcheck source=tests/lib/suite.bash
	. "$here/lib/suite.bash"
	suite_runtime "$here"
	make_rootfs "$SUITE/rootfs"
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
