# SPDX-License-Identifier: Apache-2.0
#
# Once per run of tests/clients: finds the runtime and makes $SUITE on a real file system, with a root file system of
# busybox in it. Engines are started by the first file that wants one; each leaves a script in $SUITE/end.d, which ends it.

setup_suite() {
	local here
	here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
	# shellcheck source=tests/lib/suite.bash
	. "$here/lib/suite.bash"
	suite_runtime "$here"
	make_rootfs "$SUITE/rootfs"
	mkdir "$SUITE/end.d"
}

teardown_suite() {
	local f
	[ -n "${SUITE:-}" ] || return 0
	for f in "$SUITE"/end.d/*; do
		[ ! -e "$f" ] || bash "$f" >"$SUITE/end.log" 2>&1 3>&- || { sed 's/^/# /' "$SUITE/end.log" >&3; }
	done
	rm -rf --one-file-system "$SUITE" || { echo "# cannot remove $SUITE" >&3; return 1; }
}
